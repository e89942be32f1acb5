//! From a parsed alert to one with target, owner and fingerprint.

use kubernaut_core::{
    model::{Alert, AlertId, AlertStatus, FingerprintStrategy},
    port::Clock,
    service::CallContext,
};

use crate::{
    sources::Incoming,
    target::{Resolution, Targets},
};

pub(crate) async fn alert(
    targets: &Targets,
    clock: &dyn Clock,
    fingerprint: FingerprintStrategy,
    ctx: &CallContext,
    source: &str,
    incoming: Incoming,
) -> Alert {
    let Resolution { target, owner, owner_resolved } = match incoming.target {
        Some(target) => targets.by_reference(ctx, target).await,
        None => targets.by_labels(ctx, &incoming.labels, &incoming.name).await,
    };
    let received_at = clock.now();
    let fingerprint = fingerprint.fingerprint(&ctx.cluster, &owner, &incoming.name);
    Alert {
        id: AlertId::new(received_at),
        source: source.to_owned(),
        status: incoming.status,
        name: incoming.name,
        severity: incoming.severity,
        labels: incoming.labels,
        annotations: incoming.annotations,
        starts_at: incoming.starts_at.unwrap_or(received_at),
        ends_at: match incoming.status {
            AlertStatus::Firing => None,
            AlertStatus::Resolved => Some(incoming.ends_at.unwrap_or(received_at)),
        },
        received_at,
        generator_url: incoming.generator_url,
        source_fingerprint: incoming.source_fingerprint,
        target,
        owner,
        owner_resolved,
        fingerprint,
    }
}
