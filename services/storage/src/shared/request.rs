//! From a call of intake to what its rules work on.

use std::time::Duration;

use kubernaut_core::{model::Timestamp, port::Intake, service::CallContext};

use super::value::minus;
use crate::rules::intake::Request;

/// The alerts of one call, without characters that a text column of a database cannot hold.
pub(crate) fn request(ctx: &CallContext, intake: Intake, now: Timestamp) -> Request {
    let since = |quiet: Duration| (!quiet.is_zero()).then(|| minus(now, quiet));
    let mut alerts = intake.alerts;
    for alert in &mut alerts {
        let searched = [&mut alert.source_fingerprint, &mut alert.target.namespace, &mut alert.target.cluster];
        searched.into_iter().flatten().for_each(without_zero);
        without_zero(&mut alert.fingerprint);
    }
    Request {
        tenant: ctx.tenant.to_string(),
        cluster: ctx.cluster.to_string(),
        actor: ctx.actor.to_string(),
        alerts,
        quiet_since: since(intake.policy.quiet_after_no_action),
        handed_over_since: since(intake.policy.quiet_after_handover),
    }
}

fn without_zero(text: &mut String) {
    if text.contains('\0') {
        *text = text.replace('\0', "\u{fffd}");
    }
}
