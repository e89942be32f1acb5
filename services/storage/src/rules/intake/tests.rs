use kubernaut_core::model::{AlertStatus, ObjectRef};
use proptest::prelude::*;

use super::*;

fn alert(fingerprint: u8, pod: u8, firing: bool) -> Alert {
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    Alert {
        id: AlertId::new(now),
        source: "test".into(),
        status: if firing { AlertStatus::Firing } else { AlertStatus::Resolved },
        name: "A".into(),
        severity: Severity::Warning,
        labels: BTreeMap::from([("pod".to_owned(), pod.to_string())]),
        annotations: BTreeMap::new(),
        starts_at: now,
        ends_at: None,
        received_at: now,
        generator_url: None,
        source_fingerprint: None,
        target: ObjectRef::new("Pod", Some("shop"), pod.to_string()),
        owner: ObjectRef::new("Deployment", Some("shop"), "web"),
        owner_resolved: true,
        fingerprint: fingerprint.to_string(),
    }
}

fn request(alerts: &[(u8, u8, bool)]) -> Request {
    let alerts = alerts.iter().map(|(fingerprint, pod, firing)| alert(*fingerprint, *pod, *firing)).collect();
    Request { tenant: String::new(), cluster: "c".into(), actor: "test".into(), alerts, quiet_since: None, handed_over_since: None }
}

fn planned(requests: &[&Request]) -> Vec<Vec<IntakeResult>> {
    plan(requests, Stored::default(), "2026-01-01T00:00:00Z".parse().unwrap()).results
}

/// Outcomes and, for each alert, the number of its incident in the order of opening.
fn shape(results: &[Vec<IntakeResult>]) -> Vec<(IntakeOutcome, Option<usize>)> {
    let mut seen: Vec<IncidentId> = Vec::new();
    let mut number = |id: IncidentId| {
        seen.iter().position(|s| *s == id).unwrap_or_else(|| {
            seen.push(id);
            seen.len() - 1
        })
    };
    results.iter().flatten().map(|r| (r.outcome, r.incident_id.map(&mut number))).collect()
}

proptest! {
    #[test]
    fn no_alert_is_dropped_and_counts_follow_the_last_words(alerts in prop::collection::vec((0..4_u8, 0..3_u8, any::<bool>()), 0..60)) {
        let request = request(&alerts);
        let plan = plan(&[&request], Stored::default(), "2026-01-01T00:00:00Z".parse().unwrap());
        prop_assert_eq!(plan.results[0].len(), alerts.len());
        prop_assert_eq!(plan.alerts.len(), alerts.len());
        prop_assert!(plan.counted.is_empty(), "nothing was stored before");
        for (incident, _) in &plan.created {
            let opened = plan.results[0].iter().position(|r| r.outcome == IntakeOutcome::Created && r.incident_id == Some(incident.id)).unwrap();
            let of_incident: Vec<_> = alerts.iter().skip(opened).filter(|(f, ..)| f.to_string() == incident.fingerprint).collect();
            let mut words: BTreeMap<u8, bool> = BTreeMap::new();
            of_incident.iter().for_each(|(_, pod, firing)| { words.insert(*pod, *firing); });
            prop_assert_eq!(incident.firing, words.values().filter(|f| **f).count() as u64);
            prop_assert_eq!(incident.occurrences, of_incident.iter().filter(|(.., firing)| *firing).count() as u64);
            prop_assert_eq!(incident.alert_resolved_at.is_some(), incident.firing == 0);
        }
        let fingerprints: HashSet<_> = plan.created.iter().map(|(i, _)| i.fingerprint.clone()).collect();
        prop_assert_eq!(fingerprints.len(), plan.created.len(), "one open incident per fingerprint");
    }

    #[test]
    fn requests_of_one_commit_see_each_other(alerts in prop::collection::vec((0..3_u8, 0..3_u8, any::<bool>()), 0..40), cut in 0..40_usize) {
        let cut = cut.min(alerts.len());
        let (whole, first, second) = (request(&alerts), request(&alerts[..cut]), request(&alerts[cut..]));
        prop_assert_eq!(shape(&planned(&[&whole])), shape(&planned(&[&first, &second])));
    }
}
