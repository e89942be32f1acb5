//! The behaviour of every [`ClusterRead`].

use serde_json::{Value, json};

use super::{ClusterFixture, FIXTURE_LOG_LINES, FIXTURE_SECRET};
use crate::{
    ErrorKind,
    model::{Object, ObjectRef},
    port::{ClusterRead, EventQuery, ListQuery, LogQuery},
    service::{CallContext, Capability},
};

/// Checks the rules of [`ClusterRead`] on a cluster that holds the fixture.
///
/// # Panics
/// With the rule that does not hold.
pub async fn cluster_read_suite(read: &dyn ClusterRead, fixture: &ClusterFixture) {
    info_has_an_id_and_a_time(read).await;
    get_gives_the_object_whole_or_none(read, fixture).await;
    unknown_kinds_are_unsupported(read, fixture).await;
    list_gives_exactly_what_matches_in_order(read, fixture).await;
    secret_values_are_left_out(read, fixture).await;
    owners_go_from_the_nearest_to_the_top(read, fixture).await;
    events_are_about_the_object_oldest_first(read, fixture).await;
    if fixture.logs {
        logs_keep_whole_lines_within_the_limits(read, fixture).await;
    }
    absent_logs_are_none(read, fixture).await;
    metrics_need_the_capability(read).await;
}

fn ctx() -> CallContext {
    CallContext::system("suite")
}

/// The pods of one of the fixture's deployments.
pub(super) async fn pods(read: &dyn ClusterRead, fixture: &ClusterFixture, app: &str) -> Vec<Object> {
    let query = ListQuery::of("Pod", Some(&fixture.namespace)).with_selector(json!({"matchLabels": {"app": app}}));
    let pods = read.list(ctx(), query).await.expect("pods can be listed");
    pods.into_iter().filter(|p| p.at("/metadata/deletionTimestamp").is_none()).collect()
}

async fn info_has_an_id_and_a_time(read: &dyn ClusterRead) {
    let info = read.info(ctx()).await.expect("info succeeds");
    assert!(!info.id.is_empty(), "a cluster has an id");
    assert!(info.now > crate::model::Timestamp::UNIX_EPOCH, "a cluster has a time");
}

async fn get_gives_the_object_whole_or_none(read: &dyn ClusterRead, fixture: &ClusterFixture) {
    let reference = fixture.reference("Deployment", "web");
    let found = read.get(ctx(), reference.clone()).await.expect("get succeeds").expect("the deployment exists");
    assert_eq!((found.api_version(), found.kind(), found.name()), ("apps/v1", "Deployment", "web"), "the answer has apiVersion and kind");
    let exact = found.reference();
    assert!(exact.same_object(&reference) && exact.uid.is_some(), "the answer is the object that was named");
    assert!(read.get(ctx(), exact).await.expect("get succeeds").is_some(), "a reference with the object's uid finds it");
    for absent in [
        reference.clone().with_uid("00000000-0000-4000-8000-000000000000"),
        fixture.reference("Deployment", "absent"),
        ObjectRef::new("Deployment", Some("no-such-namespace"), "web"),
        ObjectRef::new("Node", None, "no-such-node"),
        fixture.reference("ConfigMap", "../deployments/web"),
    ] {
        assert_eq!(read.get(ctx(), absent.clone()).await.expect("get of an absent object succeeds"), None, "{absent} does not exist");
    }
}

async fn unknown_kinds_are_unsupported(read: &dyn ClusterRead, fixture: &ClusterFixture) {
    let recorded = read.info(ctx()).await.expect("info succeeds").recorded;
    let unknown = fixture.reference("NoSuchKind", "x").with_group("nowhere.example");
    match read.get(ctx(), unknown).await {
        Err(e) => assert_eq!(e.kind(), ErrorKind::Unsupported, "a kind that the cluster does not know is unsupported: {e}"),
        Ok(found) => assert!(recorded && found.is_none(), "only a recording cannot tell an unknown kind from one without objects"),
    }
}

async fn list_gives_exactly_what_matches_in_order(read: &dyn ClusterRead, fixture: &ClusterFixture) {
    let list = async |query: ListQuery| read.list(ctx(), query).await.expect("list succeeds");
    let query = ListQuery::of("ConfigMap", Some(&fixture.namespace));
    let all = list(query.clone()).await;
    for (selector, expected) in [
        (json!({"matchLabels": {"suite": "yes"}}), vec!["back", "front"]),
        (json!({"matchLabels": {"suite": "yes", "tier": "front"}}), vec!["front"]),
        (json!({"matchExpressions": [{"key": "tier", "operator": "In", "values": ["front", "other"]}]}), vec!["front"]),
        (
            json!({"matchExpressions": [{"key": "suite", "operator": "Exists"}, {"key": "tier", "operator": "NotIn", "values": ["front"]}]}),
            vec!["back"],
        ),
        (json!({"matchLabels": {"suite": "no"}}), vec![]),
    ] {
        let found = list(query.clone().with_selector(selector.clone())).await;
        assert_eq!(found.iter().map(Object::name).collect::<Vec<_>>(), expected, "exactly the objects that match {selector}, by name");
        assert!(found.iter().all(|o| o.api_version() == "v1" && o.kind() == "ConfigMap"), "items have apiVersion and kind");
    }
    let without = query.clone().with_selector(json!({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}));
    let expected: Vec<_> = all.iter().filter(|o| o.label("tier").is_none()).map(Object::name).collect();
    assert_eq!(list(without).await.iter().map(Object::name).collect::<Vec<_>>(), expected, "DoesNotExist takes those without the label");
    let everywhere = list(ListQuery::of("ConfigMap", None)).await;
    let order: Vec<_> = everywhere.iter().map(|o| (o.namespace(), o.name())).collect();
    assert!(order.is_sorted(), "sorted by namespace and name");
    assert!(all.iter().all(|o| order.contains(&(o.namespace(), o.name()))), "a list of all namespaces holds those of one");
    assert!(all.iter().all(|o| o.namespace() == Some(fixture.namespace.as_str())), "a list of one namespace holds no other");
    assert_eq!(list(ListQuery { limit: Some(2), ..query }).await.len(), 2, "a limit is kept");
    assert!(list(ListQuery::of("CronJob", Some(&fixture.namespace))).await.is_empty(), "a kind without objects gives an empty list");
    assert!(list(ListQuery::of("Pod", Some("no-such-namespace"))).await.is_empty(), "so does a namespace that does not exist");
}

async fn secret_values_are_left_out(read: &dyn ClusterRead, fixture: &ClusterFixture) {
    let got = read.get(ctx(), fixture.reference("Secret", "token")).await.expect("get succeeds").expect("the secret exists");
    let listed = read.list(ctx(), ListQuery::of("Secret", Some(&fixture.namespace))).await.expect("list succeeds");
    let listed = listed.into_iter().find(|s| s.name() == "token").expect("the secret is listed");
    for secret in [got, listed] {
        assert_eq!(secret.at("/data"), Some(&json!({"a": "", "b": ""})), "keys stay, with empty values");
        assert!(!secret.value().to_string().contains(FIXTURE_SECRET), "no copy of a value is left");
    }
}

async fn owners_go_from_the_nearest_to_the_top(read: &dyn ClusterRead, fixture: &ClusterFixture) {
    let pod = pods(read, fixture, "web").await.into_iter().next().expect("the deployment has pods");
    let owners = read.owners(ctx(), pod.reference()).await.expect("owners succeeds");
    let kinds: Vec<_> = owners.iter().map(|o| o.kind.as_str()).collect();
    assert_eq!(kinds, ["ReplicaSet", "Deployment"], "the walk goes from the nearest to the top");
    assert!(owners[1].same_object(&fixture.reference("Deployment", "web")), "the last one is the top owner: {}", owners[1]);
    assert!(owners.iter().all(|o| o.uid.is_some()), "owners come with their uid");
    let top = read.owners(ctx(), fixture.reference("Deployment", "web")).await.expect("owners succeeds");
    assert!(top.is_empty(), "an object without a controller has no owners");
    let absent = read.owners(ctx(), fixture.reference("Pod", "absent")).await;
    assert_eq!(absent.expect_err("the object does not exist").kind(), ErrorKind::NotFound, "owners of an absent object are not found");
    let orphan = fixture.reference("ConfigMap", "orphan");
    if read.get(ctx(), orphan.clone()).await.expect("get succeeds").is_some() {
        let owners = read.owners(ctx(), orphan).await.expect("owners succeeds");
        assert_eq!(
            owners.iter().map(|o| o.name.as_str()).collect::<Vec<_>>(),
            ["gone"],
            "an owner that no longer exists ends the walk and is included"
        );
    }
}

async fn events_are_about_the_object_oldest_first(read: &dyn ClusterRead, fixture: &ClusterFixture) {
    let pod = pods(read, fixture, "web").await.into_iter().next().expect("the deployment has pods");
    let about = async |object: ObjectRef| read.events(ctx(), EventQuery { namespace: None, object: Some(object) }).await.expect("events succeeds");
    let events = about(pod.reference()).await;
    assert!(!events.is_empty(), "a pod that was started has events");
    assert!(events.iter().all(|e| e.object.same_object(&pod.reference()) && e.count >= 1), "only events of that object, each counted at least once");
    assert!(events.is_sorted_by_key(|e| e.last_at), "oldest last time first");
    let successor = ObjectRef { uid: Some("another-uid".into()), ..pod.reference() };
    assert!(about(successor).await.is_empty(), "events of a predecessor of the same name do not count");
    let all = read.events(ctx(), EventQuery { namespace: Some(fixture.namespace.clone()), object: None }).await.expect("events succeeds");
    assert!(all.len() >= events.len() && all.is_sorted_by_key(|e| e.last_at), "all events of a namespace, oldest last time first");
}

async fn logs_keep_whole_lines_within_the_limits(read: &dyn ClusterRead, fixture: &ClusterFixture) {
    let pod = pods(read, fixture, "web").await.into_iter().next().expect("the deployment has pods");
    let query = LogQuery::of(&fixture.namespace, pod.name(), "app", false);
    let log = async |query: LogQuery| read.logs(ctx(), query).await.expect("logs succeeds").expect("the container has a log");
    let lines = |from: usize| (from..=FIXTURE_LOG_LINES).map(|n| format!("line {n}\n")).collect::<String>();
    let whole = log(query.clone()).await;
    assert_eq!((whole.text, whole.truncated), (lines(1), false), "the whole log, oldest line first");
    let tail = log(LogQuery { tail_lines: 3, ..query.clone() }).await;
    assert_eq!((tail.text, tail.truncated), (lines(FIXTURE_LOG_LINES - 2), true), "the last lines");
    let cut = log(LogQuery { limit_bytes: 20, ..query }).await;
    assert_eq!((cut.text, cut.truncated), (lines(FIXTURE_LOG_LINES - 1), true), "whole lines only, never more bytes than the limit");
}

async fn absent_logs_are_none(read: &dyn ClusterRead, fixture: &ClusterFixture) {
    let pod = pods(read, fixture, "web").await.into_iter().next().expect("the deployment has pods");
    for (name, container, previous) in
        [(pod.name(), "app", true), (pod.name(), "no-such-container", false), ("no-such-pod", "app", false), ("..", "app", false)]
    {
        let query = LogQuery::of(&fixture.namespace, name, container, previous);
        assert_eq!(read.logs(ctx(), query).await.expect("logs succeeds"), None, "no log of {name}/{container}, previous: {previous}");
    }
}

async fn metrics_need_the_capability(read: &dyn ClusterRead) {
    let answer = read.metrics(ctx(), "up".into()).await;
    if read.capabilities().contains(&Capability::Metrics) {
        answer.expect("metrics succeeds with the capability");
    } else {
        assert_eq!(answer.expect_err("metrics fails without the capability").kind(), ErrorKind::Unsupported, "metrics are unsupported without it");
    }
}

/// The value at a pointer of an object that must exist.
pub(super) async fn value_of(read: &dyn ClusterRead, reference: &ObjectRef, pointer: &str) -> Option<Value> {
    let found = read.get(ctx(), reference.clone()).await.expect("get succeeds").expect("the object exists");
    found.at(pointer).cloned()
}
