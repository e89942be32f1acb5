use jiff::SignedDuration;
use kubernaut_core::{
    model::{FieldChange, INCIDENT_SCHEMA, IncidentId, ObjectRef, PLAN_VERSION, PlanId, RUN_SCHEMA, Run, RunId},
    testkit::ObjectsCluster,
};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

const ACTED: i64 = 1_000_000;

fn now() -> Timestamp {
    at(ACTED + 30)
}

/// Read from JSON, so that a new field with a default does not concern these tests.
fn incident(target: &str, firing: u64) -> Incident {
    let target: ObjectRef = target.parse().unwrap();
    let resolved = (firing == 0).then(|| at(ACTED + 20));
    serde_json::from_value(json!({
        "schema": INCIDENT_SCHEMA, "id": IncidentId::new(at(ACTED - 60)), "cluster": "c", "fingerprint": "f", "phase": "verifying", "attempt": 1,
        "alert_name": "PodCrashes", "severity": "warning", "target": target, "owner": target, "owner_resolved": true, "opened_at": at(ACTED - 60),
        "updated_at": at(ACTED), "phase_since": at(ACTED), "occurrences": 1, "firing": firing, "alert_resolved_at": resolved,
    }))
    .unwrap()
}

fn run(action: &str, target: &str, changes: Vec<FieldChange>) -> Run {
    let target: ObjectRef = target.parse().unwrap();
    let execution = json!({"outcome": "applied", "changes": changes, "digest": "d", "pre_state": {}, "message": ""});
    serde_json::from_value(json!({
        "schema": RUN_SCHEMA, "id": RunId::new(at(ACTED)), "incident_id": IncidentId::new(at(ACTED)), "attempt": 1, "state": "succeeded", "mode": "auto",
        "plan": {"id": PlanId::new(at(ACTED)), "version": PLAN_VERSION, "reason": "", "approval_timeout_s": 900,
            "steps": [{"id": "1", "action": action, "action_version": 1, "target": target, "params": {}}]},
        "steps": [{"id": "1", "state": "completed", "attempts": 1, "key": "k", "execution": execution}],
        "created_at": at(ACTED), "updated_at": at(ACTED + 1),
    }))
    .unwrap()
}

fn deployment(desired: i64, updated: i64, available: i64) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop", "generation": 3},
        "spec": {"replicas": desired, "selector": {"matchLabels": {"app": "web"}}, "template": {"spec": {"containers": [{"name": "c", "image": "i:1"}]}}},
        "status": {"observedGeneration": 3, "replicas": desired, "updatedReplicas": updated, "availableReplicas": available}})
}

fn pod(state: Value, last_ended: Option<i64>) -> Value {
    let ready = if state.get("running").is_some() { "True" } else { "False" };
    let last = last_ended.map_or(json!({}), |s| json!({"terminated": {"exitCode": 1, "finishedAt": at(s)}}));
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-1", "namespace": "shop", "labels": {"app": "web"}}, "spec": {"nodeName": "n1"},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}],
            "containerStatuses": [{"name": "c", "state": state, "lastState": last}]}})
}

fn running(since: i64) -> Value {
    json!({"running": {"startedAt": at(since)}})
}

fn crashing() -> Value {
    json!({"waiting": {"reason": "CrashLoopBackOff"}})
}

fn healthy() -> ObjectsCluster {
    let cluster = ObjectsCluster::at(now());
    cluster.put(deployment(1, 1, 1));
    cluster.put(pod(running(ACTED + 5), None));
    cluster
}

const WEB: &str = "Deployment/shop/web";

async fn look_at(cluster: &ObjectsCluster, incident: Incident, run: Run, last_look: bool, baseline: Value) -> Verification {
    let verifier = EffectivenessVerifier::new(Arc::new(cluster.clone()), VerifyConfig::default());
    verifier.verify(CallContext::system("test"), VerifyRequest { incident, run, last_look, baseline }).await.unwrap()
}

async fn both(cluster: &ObjectsCluster, firing: u64) -> (Verdict, Verdict) {
    let look = |last| look_at(cluster, incident(WEB, firing), run("rollback_deployment", WEB, vec![]), last, Value::Null);
    (look(false).await.verdict, look(true).await.verdict)
}

#[tokio::test]
async fn a_healthy_workload_without_its_alert_is_effective() {
    let look = look_at(&healthy(), incident(WEB, 0), run("rollback_deployment", WEB, vec![]), false, Value::Null).await;
    assert_eq!(look.verdict, Verdict::Effective, "{:?}", look.checks);
    assert!((look.score - 1.0).abs() < 1e-9 && !look.simulated);
}

#[tokio::test]
async fn an_alert_that_still_fires_is_never_effective() {
    assert_eq!(both(&healthy(), 1).await, (Verdict::Pending, Verdict::Ineffective));
}

#[tokio::test]
async fn a_pod_that_was_only_just_started_proves_nothing() {
    let cluster = healthy();
    cluster.put(pod(running(ACTED + 25), None));
    assert_eq!(both(&cluster, 0).await, (Verdict::Pending, Verdict::Ineffective), "5 s");
    cluster.put(pod(running(ACTED + 12), Some(ACTED + 11)));
    assert_eq!(both(&cluster, 0).await, (Verdict::Pending, Verdict::Ineffective), "restarted since the action, 18 s");
    cluster.put(pod(running(ACTED - 70), Some(ACTED - 71)));
    assert_eq!(both(&cluster, 0).await.0, Verdict::Effective, "a restart before the action is no fault of it");
}

#[tokio::test]
async fn a_restart_that_leaves_the_fault_is_ineffective() {
    let cluster = healthy();
    cluster.put(deployment(1, 1, 0));
    cluster.put(pod(crashing(), Some(ACTED + 20)));
    assert_eq!(both(&cluster, 1).await, (Verdict::Pending, Verdict::Ineffective));
    assert_eq!(both(&cluster, 0).await, (Verdict::Pending, Verdict::Ineffective), "a flapping alert does not heal a pod");
}

#[tokio::test]
async fn an_unfinished_rollout_is_waited_for() {
    let cluster = healthy();
    for (desired, updated, available) in [(2, 1, 2), (2, 2, 1)] {
        cluster.put(deployment(desired, updated, available));
        assert_eq!(both(&cluster, 0).await, (Verdict::Pending, Verdict::Ineffective));
    }
    let mut unseen = deployment(1, 1, 1);
    unseen["metadata"]["generation"] = json!(4);
    cluster.put(unseen);
    assert_eq!(both(&cluster, 0).await.0, Verdict::Pending);
    cluster.put(deployment(0, 0, 0));
    assert_eq!(both(&cluster, 0).await.1, Verdict::Ineffective, "nothing crashes where nothing runs");
}

#[tokio::test]
async fn what_cannot_be_read_is_unknown_and_never_effective() {
    let cluster = healthy();
    cluster.forbid("Pod");
    assert_eq!(both(&cluster, 0).await, (Verdict::Pending, Verdict::Unknown));
}

#[tokio::test]
async fn an_object_that_says_nothing_is_judged_by_the_alert_alone() {
    let cluster = ObjectsCluster::at(now());
    cluster.put(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "conf", "namespace": "shop"}}));
    let look = |cluster: ObjectsCluster, firing| async move {
        look_at(&cluster, incident("ConfigMap/shop/conf", firing), run("patch_configmap", "ConfigMap/shop/conf", vec![]), true, Value::Null)
            .await
            .verdict
    };
    assert_eq!(look(cluster.clone(), 0).await, Verdict::Effective);
    assert_eq!(look(cluster.recorded(), 1).await, Verdict::Unknown, "neither object nor alert says anything");
}

#[tokio::test]
async fn a_field_that_somebody_changed_since_is_for_a_person_to_judge() {
    let cluster = healthy();
    let change =
        |after: &str| FieldChange { path: "/spec/template/spec/containers/0/image".into(), before: Some(json!("i:2")), after: Some(json!(after)) };
    let look = |after| look_at(&cluster, incident(WEB, 0), run("rollback_deployment", WEB, vec![change(after)]), true, Value::Null);
    assert_eq!(look("i:1").await.verdict, Verdict::Effective);
    let drifted = look("i:0").await;
    assert_eq!((drifted.verdict, drifted.score), (Verdict::Unknown, 0.0), "{:?}", drifted.checks);
}

#[tokio::test]
async fn fewer_replicas_than_before_that_crash_are_harm_once_they_had_their_time() {
    let cluster = healthy();
    cluster.put(deployment(2, 1, 2));
    let verifier = EffectivenessVerifier::new(Arc::new(cluster.clone()), VerifyConfig::default());
    let run = run("rollback_deployment", WEB, vec![]);
    let before = verifier.baseline(CallContext::system("test"), incident(WEB, 1), run.plan.clone()).await.unwrap();
    cluster.put(deployment(2, 2, 0));
    cluster.put(pod(crashing(), Some(ACTED + 20)));
    assert_eq!(look_at(&cluster, incident(WEB, 1), run.clone(), false, before.clone()).await.verdict, Verdict::Pending, "30 s after");
    cluster.set_now(at(ACTED + 90));
    let harmed = look_at(&cluster, incident(WEB, 1), run.clone(), false, before).await;
    assert_eq!(harmed.verdict, Verdict::Harmful, "{:?}", harmed.checks);
    assert_eq!(look_at(&cluster, incident(WEB, 1), run, true, Value::Null).await.verdict, Verdict::Ineffective, "without a baseline nobody can tell");
}

#[tokio::test]
async fn a_recording_needs_no_second_alert_and_says_that_it_is_simulated() {
    let cluster = healthy().recorded();
    cluster.put(pod(running(ACTED + 29), None));
    let look = look_at(&cluster, incident(WEB, 1), run("rollback_deployment", WEB, vec![]), false, Value::Null).await;
    assert_eq!((look.verdict, look.simulated), (Verdict::Effective, true), "{:?}", look.checks);
}

#[tokio::test]
async fn what_looked_healthy_before_proves_nothing_without_the_alert() {
    let cluster = healthy().recorded();
    let verifier = EffectivenessVerifier::new(Arc::new(cluster.clone()), VerifyConfig::default());
    let run = run("rollback_deployment", WEB, vec![]);
    let before = verifier.baseline(CallContext::system("test"), incident(WEB, 1), run.plan.clone()).await.unwrap();
    assert_eq!(look_at(&cluster, incident(WEB, 1), run.clone(), true, before.clone()).await.verdict, Verdict::Unknown);
    assert_eq!(look_at(&cluster, incident(WEB, 0), run, true, before).await.verdict, Verdict::Effective, "the alert has ended");
}

#[tokio::test]
async fn a_node_is_well_if_ready_and_open_unless_the_run_closed_it() {
    let cluster = ObjectsCluster::at(now());
    let node = |unschedulable: bool| {
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}, "spec": {"unschedulable": unschedulable},
            "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "False"}]}})
    };
    for (unschedulable, action, expected) in
        [(false, "uncordon_node", Verdict::Effective), (true, "uncordon_node", Verdict::Ineffective), (true, "cordon_node", Verdict::Effective)]
    {
        cluster.put(node(unschedulable));
        let look = look_at(&cluster, incident("Node/n1", 0), run(action, "Node/n1", vec![]), true, Value::Null).await;
        assert_eq!(look.verdict, expected, "{action} {unschedulable}: {:?}", look.checks);
    }
}

#[tokio::test]
async fn an_evicted_pod_is_judged_by_its_successor() {
    let cluster = healthy();
    let mut incident = incident(WEB, 0);
    incident.target = "Pod/shop/web-0".parse().unwrap();
    let gone = FieldChange { path: "/metadata/uid".into(), before: Some(json!("u1")), after: None };
    let look = look_at(&cluster, incident.clone(), run("restart_pod", "Pod/shop/web-0", vec![gone.clone()]), true, Value::Null).await;
    assert_eq!(look.verdict, Verdict::Effective, "{:?}", look.checks);
    cluster.put(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-0", "namespace": "shop", "uid": "u1"}}));
    let look = look_at(&cluster, incident, run("restart_pod", "Pod/shop/web-0", vec![gone]), true, Value::Null).await;
    assert_ne!(look.verdict, Verdict::Effective, "it is still there: {:?}", look.checks);
}

#[test]
fn the_last_look_is_never_pending_and_harm_is_never_hidden() {
    let outcomes = [CheckOutcome::Pass, CheckOutcome::Fail, CheckOutcome::Skip];
    let check = |name: &str, outcome| VerificationCheck { name: name.into(), outcome, text: String::new() };
    for health in [State::Silent, State::Good, State::Settling, State::Bad, State::Unreadable] {
        for alerted in outcomes {
            for drifted in outcomes {
                let checks = [check(alert::NAME, alerted), check(drift::NAME, drifted)];
                let last = score::Facts { health, healthy_before: false, harmed: false, last: true };
                assert_ne!(score::verdict(&checks, last), Verdict::Pending);
                assert_eq!(score::verdict(&checks, score::Facts { harmed: true, ..last }), Verdict::Harmful);
                let effective = score::verdict(&checks, last) == Verdict::Effective;
                let failing = alerted == CheckOutcome::Fail
                    || drifted == CheckOutcome::Fail
                    || matches!(health, State::Settling | State::Bad | State::Unreadable);
                assert!(!(effective && failing), "{health:?} {alerted:?} {drifted:?}");
            }
        }
    }
}

/// Answers one request with `body` and gives back the request line.
async fn alertmanager(body: &'static str) -> (url::Url, tokio::task::JoinHandle<String>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let served = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let read = socket.read(&mut request).await.unwrap();
        let answer =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        socket.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8_lossy(&request[..read]).lines().next().unwrap_or_default().to_owned()
    });
    (url, served)
}

#[tokio::test]
async fn alertmanager_has_the_last_word_about_the_alert() {
    let table = [
        (r"[]", CheckOutcome::Pass),
        (r#"[{"labels": {"alertname": "PodCrashes", "namespace": "shop", "pod": "web-7f-abc"}}]"#, CheckOutcome::Fail),
        (r#"[{"labels": {"alertname": "PodCrashes", "namespace": "shop", "pod": "other-1"}}]"#, CheckOutcome::Pass),
        (r#"[{"labels": {"alertname": "PodCrashes", "namespace": "elsewhere", "deployment": "web"}}]"#, CheckOutcome::Pass),
    ];
    for (body, expected) in table {
        let (url, served) = alertmanager(body).await;
        let config = VerifyConfig { alertmanager_url: Some(url.clone()), ..VerifyConfig::default() };
        let client = Alertmanager::new(url, Duration::from_secs(5));
        let check = alert::check(&config, Some(&client), &incident(WEB, 1), false).await;
        assert_eq!(check.outcome, expected, "{body}: {}", check.text);
        let request = served.await.unwrap();
        assert!(request.starts_with("GET /api/v2/alerts?active=true&silenced=true&inhibited=true&filter=alertname%3D%22PodCrashes%22 "), "{request}");
    }
}

#[tokio::test]
async fn without_an_answer_from_alertmanager_the_sender_is_believed() {
    let config = VerifyConfig { alertmanager_url: Some("http://127.0.0.1:1/".parse().unwrap()), ..VerifyConfig::default() };
    let client = Alertmanager::new("http://127.0.0.1:1/".parse().unwrap(), Duration::from_secs(1));
    assert_eq!(alert::check(&config, Some(&client), &incident(WEB, 1), false).await.outcome, CheckOutcome::Fail);
    assert_eq!(alert::check(&config, Some(&client), &incident(WEB, 0), false).await.outcome, CheckOutcome::Pass);
    let silent = VerifyConfig { expects_resolved: false, ..VerifyConfig::default() };
    assert_eq!(alert::check(&silent, None, &incident(WEB, 1), false).await.outcome, CheckOutcome::Skip);
}

#[test]
fn seconds_between_times_never_underflow() {
    assert_eq!(seconds(at(10), at(5)), 0);
    assert_eq!(seconds(at(5), at(5).checked_add(SignedDuration::from_secs(7)).unwrap()), 7);
}

#[tokio::test]
async fn an_alert_that_ended_with_its_object_proves_nothing() {
    let look = |cluster: ObjectsCluster, target: &'static str| async move {
        let look = |last| look_at(&cluster, incident(target, 0), run("label_node", "Node/n1", vec![]), last, Value::Null);
        (look(false).await.verdict, look(true).await.verdict)
    };
    let node = || {
        let cluster = ObjectsCluster::at(now());
        cluster.put(
            json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
        );
        cluster
    };
    let bare = "Pod/shop/web-1";
    let alone = look_at(&ObjectsCluster::at(now()), incident(bare, 0), run("restart_pod", bare, vec![]), true, Value::Null).await;
    assert_eq!(alone.verdict, Verdict::Unknown, "{:?}", alone.checks);
    assert_eq!(look(node(), bare).await.1, Verdict::Effective, "what was changed stands for it");
    let terminating = healthy();
    let mut web = deployment(1, 1, 1);
    web["metadata"]["deletionTimestamp"] = json!(now());
    terminating.put(web);
    assert_eq!(both(&terminating, 0).await, (Verdict::Pending, Verdict::Ineffective));
}

#[tokio::test]
async fn a_hidden_value_neither_counts_as_changed_nor_is_told() {
    let path = "/spec/template/spec/containers/0/env";
    let set = |value: &str| json!([{"name": "PASSWORD", "value": value}]);
    let change = |after: Value| vec![FieldChange { path: path.into(), before: None, after: Some(after) }];
    let cluster = healthy();
    let mut web = deployment(1, 1, 1);
    web["spec"]["template"]["spec"]["containers"][0]["env"] = set("s3cret");
    cluster.put(web);
    let look = look_at(&cluster, incident(WEB, 0), run("patch_env", WEB, change(set("(hidden)"))), false, Value::Null).await;
    assert_eq!(look.verdict, Verdict::Effective, "{:?}", look.checks);
    let look =
        look_at(&cluster, incident(WEB, 0), run("patch_env", WEB, change(json!([{"name": "OTHER", "value": "(hidden)"}]))), false, Value::Null).await;
    assert_eq!(look.verdict, Verdict::Pending, "another variable than was set");
    assert!(!format!("{look:?}").contains("s3cret"));
}
