use std::{sync::Arc, time::Duration};

use super::{Bench, advance, ctx};
use crate::{
    ErrorKind,
    model::{Alert, IncidentId, IntakeOutcome, Phase, Severity},
    port::{IncidentFilter, Intake, IntakePolicy, Ledger, ManualClock},
};

pub(super) async fn rules(make: &impl AsyncFn(ManualClock) -> Arc<dyn Ledger>) {
    one_result_per_alert_in_order(&Bench::new(make).await).await;
    an_alert_id_is_stored_once(&Bench::new(make).await).await;
    at_most_one_open_incident_under_concurrency(&Bench::new(make).await).await;
    tenants_and_clusters_have_incidents_of_their_own(&Bench::new(make).await).await;
    firing_counts_distinct_alerts(&Bench::new(make).await).await;
    the_highest_severity_stays(&Bench::new(make).await).await;
    an_ended_incident_takes_no_alerts(&Bench::new(make).await).await;
    a_quiet_time_after_no_action_opens_nothing(&Bench::new(make).await).await;
    a_person_who_took_over_is_not_called_again(&Bench::new(make).await).await;
    incidents_are_filtered_and_paged_newest_first(&Bench::new(make).await).await;
}

async fn one_result_per_alert_in_order(b: &Bench) {
    let batch =
        vec![b.alert("a", "p1"), b.alert("a", "p1"), b.resolved("a", "p1"), b.resolved("nobody", "p1"), b.alert("c", "p9"), b.alert("a", "p2")];
    let ids: Vec<_> = batch.iter().map(|a| Some(a.id)).collect();
    let results = b.intake(batch).await;
    use IntakeOutcome::{Created, Duplicate, Ignored, Resolved};
    assert_eq!(results.iter().map(|r| r.outcome).collect::<Vec<_>>(), [Created, Duplicate, Resolved, Ignored, Created, Duplicate]);
    assert_eq!(results.iter().map(|r| r.alert_id).collect::<Vec<_>>(), ids, "each result names its alert");
    assert_eq!(results[3].incident_id, None, "an ignored alert belongs to no incident");
    let (a, c) = (results[0].incident_id.unwrap(), results[4].incident_id.unwrap());
    assert!(results[1].incident_id == Some(a) && results[2].incident_id == Some(a) && results[5].incident_id == Some(a) && c != a);

    let incident = b.incident(a).await;
    assert_eq!((incident.phase, incident.attempt, incident.occurrences, incident.firing), (Phase::Received, 1, 3, 1));
    assert_eq!(incident.opened_at, b.now(), "times come from the injected clock");
    assert_eq!(incident.alert_resolved_at, None, "an alert that fires again clears it");
    let kept: Vec<_> = b.ledger.alerts(ctx(), a).await.unwrap().iter().map(|alert| Some(alert.id)).collect();
    assert_eq!(kept, [ids[0], ids[1], ids[2], ids[5]], "alerts are kept, oldest first");
    assert_eq!(b.ledger.stats(ctx()).await.unwrap().alerts, 6, "an ignored alert is kept too");
    b.assert_audit(a, &["incident.received"]).await;
    assert_eq!(b.ledger.incident(ctx(), IncidentId::new(b.now())).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(b.ledger.alerts(ctx(), IncidentId::new(b.now())).await.unwrap_err().kind(), ErrorKind::NotFound);
}

async fn an_alert_id_is_stored_once(b: &Bench) {
    let alert = b.alert("a", "p1");
    let results = b.intake(vec![alert.clone(), alert.clone(), b.alert("a", "p2")]).await;
    let outcomes: Vec<_> = results.iter().map(|r| r.outcome).collect();
    assert_eq!(outcomes, [IntakeOutcome::Created, IntakeOutcome::Rejected, IntakeOutcome::Duplicate], "a bad alert does not take good ones with it");
    assert!(results[1].error.is_some() && results[1].alert_id.is_none(), "a rejection says why");
    let again = b.take(alert).await;
    assert_eq!(again.outcome, IntakeOutcome::Rejected);
    assert_eq!(b.incident(results[0].incident_id.unwrap()).await.occurrences, 2, "a rejected alert is not counted");
}

async fn at_most_one_open_incident_under_concurrency(b: &Bench) {
    let requests: Vec<Alert> = (0..64).map(|n| b.alert("same", &format!("p{n}"))).collect();
    let tasks: Vec<_> = requests
        .into_iter()
        .map(|alert| {
            let ledger = b.ledger.clone();
            tokio::spawn(async move { ledger.intake(ctx(), Intake { alerts: vec![alert], policy: IntakePolicy::default() }).await })
        })
        .collect();
    let mut results = Vec::new();
    for task in tasks {
        results.extend(task.await.unwrap().unwrap());
    }
    assert_eq!(
        results.iter().filter(|r| r.outcome == IntakeOutcome::Created).count(),
        1,
        "64 concurrent alerts of one fingerprint open one incident"
    );
    assert_eq!(results.iter().filter(|r| r.outcome == IntakeOutcome::Duplicate).count(), 63);
    let id = results[0].incident_id.unwrap();
    assert!(results.iter().all(|r| r.incident_id == Some(id)));
    let incident = b.incident(id).await;
    assert_eq!((incident.occurrences, incident.firing), (64, 64), "none is dropped");
    assert_eq!(b.ledger.stats(ctx()).await.unwrap().open_incidents, 1);
}

async fn tenants_and_clusters_have_incidents_of_their_own(b: &Bench) {
    let mut of_cluster = b.alert("a", "p1");
    of_cluster.target.cluster = Some("east".into());
    assert_eq!(b.take(b.alert("a", "p1")).await.outcome, IntakeOutcome::Created);
    assert_eq!(b.take(of_cluster).await.outcome, IntakeOutcome::Created, "another cluster is another incident");
    let mut tenant = ctx();
    tenant.tenant = "acme".into();
    let intake = Intake { alerts: vec![b.alert("a", "p1")], policy: IntakePolicy::default() };
    let result = b.ledger.intake(tenant, intake).await.unwrap().remove(0);
    assert_eq!(result.outcome, IntakeOutcome::Created, "another tenant is another incident");
    assert_eq!(b.incident(result.incident_id.unwrap()).await.tenant, "acme");
}

async fn firing_counts_distinct_alerts(b: &Bench) {
    let named = |alert: Alert, name: &str| Alert { source_fingerprint: Some(name.into()), ..alert };
    let id = b.take(named(b.alert("a", "p1"), "x")).await.incident_id.unwrap();
    b.intake(vec![named(b.alert("a", "p2"), "x"), b.alert("a", "p1"), b.alert("a", "p1")]).await;
    assert_eq!(b.incident(id).await.firing, 2, "the source's fingerprint, else the labels, tell alerts apart");
    b.pass(60);
    b.take(named(b.resolved("a", "p3"), "x")).await;
    b.take(named(b.resolved("a", "p3"), "x")).await;
    let half = b.incident(id).await;
    assert_eq!((half.firing, half.alert_resolved_at), (1, None), "an alert that is resolved twice counts once");
    b.take(b.resolved("a", "p1")).await;
    let ended = b.incident(id).await;
    assert_eq!((ended.firing, ended.alert_resolved_at), (0, Some(b.now())));
    assert_eq!(ended.occurrences, 4, "resolved alerts are not counted as occurrences");
    b.take(b.alert("a", "p1")).await;
    let again = b.incident(id).await;
    assert_eq!((again.firing, again.alert_resolved_at), (1, None), "it is cleared when an alert fires again");
}

async fn the_highest_severity_stays(b: &Bench) {
    let id = b.open("a").await;
    b.take(Alert { severity: Severity::Critical, ..b.alert("a", "p1") }).await;
    b.take(Alert { severity: Severity::Info, ..b.alert("a", "p1") }).await;
    assert_eq!(b.incident(id).await.severity, Severity::Critical);
}

/// Ends the only incident that is claimable.
async fn end(b: &Bench, phase: Phase) -> IncidentId {
    let lease = b.ledger.claim(ctx(), "w".into(), Duration::from_secs(30)).await.unwrap().unwrap();
    let mut incident = lease.incident;
    incident.phase = phase;
    b.ledger.advance(ctx(), advance(incident, lease.epoch)).await.unwrap().id
}

async fn an_ended_incident_takes_no_alerts(b: &Bench) {
    let first = b.open("a").await;
    assert_eq!(end(b, Phase::Resolved).await, first);
    assert_eq!(b.incident(first).await.closed_at, Some(b.now()), "an ended incident has an end");
    let late = b.take(b.resolved("a", "web-1")).await;
    assert_eq!((late.outcome, late.incident_id), (IntakeOutcome::Ignored, None), "its end has nothing to be recorded on");
    b.pass(1);
    let second = b.take(b.alert("a", "web-1")).await;
    assert_eq!(second.outcome, IntakeOutcome::Created);
    assert_ne!(second.incident_id, Some(first));
    assert_eq!(b.incident(first).await.occurrences, 1);
}

async fn a_quiet_time_after_no_action_opens_nothing(b: &Bench) {
    let first = b.open("a").await;
    end(b, Phase::NoAction).await;
    let policy = IntakePolicy { quiet_after_no_action: Duration::from_secs(600), ..IntakePolicy::default() };
    let take = async || b.ledger.intake(ctx(), Intake { alerts: vec![b.alert("a", "web-1")], policy }).await.unwrap().remove(0);
    b.pass(599);
    let quiet = take().await;
    assert_eq!((quiet.outcome, quiet.incident_id), (IntakeOutcome::Duplicate, Some(first)), "within the quiet time it is counted there");
    assert_eq!(b.incident(first).await.occurrences, 2);
    assert_eq!(b.incident(first).await.phase, Phase::NoAction, "it stays ended");
    b.pass(2);
    let second = take().await;
    assert_eq!(second.outcome, IntakeOutcome::Created, "after it a new one is opened");
    end(b, Phase::NoAction).await;
    b.ledger.intake(ctx(), Intake { alerts: vec![b.resolved("a", "web-1")], policy }).await.unwrap();
    assert_eq!(take().await.outcome, IntakeOutcome::Created, "what ended and begins again is looked at again");
    end(b, Phase::Resolved).await;
    b.pass(1);
    assert_eq!(take().await.outcome, IntakeOutcome::Created, "only `no_action` makes quiet");
}

async fn a_person_who_took_over_is_not_called_again(b: &Bench) {
    let first = b.open("a").await;
    end(b, Phase::ManualReview).await;
    let policy = IntakePolicy { quiet_after_handover: Duration::from_secs(600), ..IntakePolicy::default() };
    let take = async |alert| b.ledger.intake(ctx(), Intake { alerts: vec![alert], policy }).await.unwrap().remove(0);
    let again = take(b.alert("a", "web-2")).await;
    assert_eq!((again.outcome, again.incident_id), (IntakeOutcome::Duplicate, Some(first)), "while one fires, others of the owner are counted there");
    for name in ["web-1", "web-2"] {
        assert_eq!(take(b.resolved("a", name)).await.outcome, IntakeOutcome::Resolved, "its end is recorded");
    }
    assert_eq!(b.incident(first).await.firing, 0);
    assert_eq!(take(b.alert("a", "web-1")).await.outcome, IntakeOutcome::Created, "after all have ended it is a new incident");
}

async fn incidents_are_filtered_and_paged_newest_first(b: &Bench) {
    let mut ids = Vec::new();
    for fingerprint in ["a", "b", "c"] {
        ids.push(b.open(fingerprint).await);
        b.pass(1);
    }
    end(b, Phase::Resolved).await;
    let list = async |filter: IncidentFilter| -> Vec<IncidentId> { b.ledger.incidents(ctx(), filter).await.unwrap().iter().map(|i| i.id).collect() };
    assert_eq!(list(IncidentFilter::default()).await, [ids[2], ids[1], ids[0]]);
    assert_eq!(list(IncidentFilter { open: Some(true), ..Default::default() }).await, [ids[2], ids[1]]);
    assert_eq!(list(IncidentFilter { open: Some(false), ..Default::default() }).await, [ids[0]]);
    assert_eq!(list(IncidentFilter { phases: vec![Phase::Resolved, Phase::Failed], ..Default::default() }).await, [ids[0]]);
    assert_eq!(list(IncidentFilter { fingerprint: Some("b".into()), ..Default::default() }).await, [ids[1]]);
    assert_eq!(list(IncidentFilter { namespace: Some("other".into()), ..Default::default() }).await, []);
    assert_eq!(list(IncidentFilter { namespace: Some("shop".into()), limit: Some(2), ..Default::default() }).await, [ids[2], ids[1]]);
    assert_eq!(list(IncidentFilter { before: Some(ids[1]), ..Default::default() }).await, [ids[0]]);
}
