//! Whether a run brought new trouble with it, as the alerts of its incident tell. Pure.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use kubernaut_core::model::{Alert, AlertStatus, Severity, Timestamp};

/// Names of alerts on the same owner that began after the run did, fire still, and were not known before; informational ones do not count.
pub(super) fn new_alerts(alerts: &[Alert], began: Timestamp, now: Timestamp, lasting: SignedDuration) -> Vec<&str> {
    let known: BTreeSet<&str> = alerts.iter().filter(|a| a.received_at < began).map(|a| a.name.as_str()).collect();
    let last_word = |name: &str| alerts.iter().filter(|a| a.name == name).max_by_key(|a| a.received_at).map(|a| a.status);
    // Rules look back: what went wrong before the change may begin to alert after it, and ends by itself once the change helps.
    let lasts = |a: &Alert| now.duration_since(a.starts_at) >= lasting;
    let fresh = |a: &&Alert| a.starts_at >= began && lasts(a) && a.severity > Severity::Info && !known.contains(a.name.as_str());
    let names: BTreeSet<&str> = alerts.iter().filter(fresh).map(|a| a.name.as_str()).collect();
    names.into_iter().filter(|name| last_word(name) == Some(AlertStatus::Firing)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kubernaut_core::model::{AlertId, ObjectRef};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn alert(name: &str, second: i64, status: AlertStatus, severity: Severity) -> Alert {
        let target = ObjectRef::new("Deployment", Some("shop"), "web");
        Alert {
            id: AlertId::new(at(second)),
            source: "test".into(),
            status,
            name: name.into(),
            severity,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            starts_at: at(second),
            ends_at: None,
            received_at: at(second),
            generator_url: None,
            source_fingerprint: None,
            owner: target.clone(),
            target,
            owner_resolved: true,
            fingerprint: "f".into(),
        }
    }

    #[test]
    fn only_what_began_with_the_run_and_still_fires_is_new_trouble() {
        use AlertStatus::{Firing, Resolved};
        use Severity::{Critical, Info, Warning};
        let alerts = [
            alert("Slow", 10, Firing, Warning),
            alert("Slow", 30, Firing, Critical),
            alert("Down", 25, Firing, Critical),
            alert("Blip", 24, Firing, Warning),
            alert("Blip", 28, Resolved, Warning),
            alert("Note", 26, Firing, Info),
        ];
        let minute = SignedDuration::from_secs(60);
        assert_eq!(new_alerts(&alerts, at(20), at(85), minute), ["Down"]);
        assert!(new_alerts(&alerts, at(20), at(84), minute).is_empty(), "it may be the old trouble, alerted late");
        assert!(new_alerts(&alerts, at(40), at(200), minute).is_empty());
    }
}
