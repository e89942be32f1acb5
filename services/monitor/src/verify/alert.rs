//! Whether the alert is gone.

use kubernaut_core::model::{CheckOutcome, Incident, VerificationCheck};

use super::{
    VerifyConfig,
    alertmanager::{Alertmanager, concerns},
};

/// Name of the check.
pub(super) const NAME: &str = "alert_resolved";

pub(super) async fn check(config: &VerifyConfig, alertmanager: Option<&Alertmanager>, incident: &Incident, recorded: bool) -> VerificationCheck {
    let asked = match alertmanager {
        Some(client) => Some(client.firing(&incident.alert_name).await.map(|all| all.iter().filter(|a| concerns(a, incident)).count())),
        None => None,
    };
    let unanswered = asked.as_ref().and_then(|a| a.as_ref().err()).map(|e| format!(" ({e})")).unwrap_or_default();
    let (outcome, text) = match asked {
        Some(Ok(0)) => (CheckOutcome::Pass, "alertmanager has no such alert any more".to_owned()),
        Some(Ok(n)) => (CheckOutcome::Fail, format!("{n} alert(s) still fire in alertmanager")),
        Some(Err(_)) | None => by_sender(config, incident, recorded),
    };
    VerificationCheck { name: NAME.into(), outcome, text: text + &unanswered }
}

/// What the sender of the alert said last.
fn by_sender(config: &VerifyConfig, incident: &Incident, recorded: bool) -> (CheckOutcome, String) {
    match (incident.firing, incident.alert_resolved_at) {
        (0, Some(at)) => (CheckOutcome::Pass, format!("the sender resolved it at {at}")),
        (0, None) => (CheckOutcome::Pass, "no alert fires".to_owned()),
        _ if recorded => (CheckOutcome::Skip, "a recording sends no further alerts".to_owned()),
        _ if !config.expects_resolved => (CheckOutcome::Skip, "the sender does not tell when an alert ends".to_owned()),
        (n, _) => (CheckOutcome::Fail, format!("{n} alert(s) still fire")),
    }
}
