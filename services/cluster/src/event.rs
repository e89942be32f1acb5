//! Events of core/v1 and events.k8s.io in one shape.

use kubernaut_core::{
    model::{ObjectRef, Timestamp},
    port::{EventQuery, KubeEvent},
};
use serde_json::Value;

/// Reads an Event object of either API; `None` if it is about nothing.
pub(crate) fn parse(event: &Value) -> Option<KubeEvent> {
    let about = [&event["involvedObject"], &event["regarding"]].into_iter().find(|v| v.is_object())?;
    let text = |paths: &[&str]| paths.iter().find_map(|p| event.pointer(p)?.as_str().filter(|s| !s.is_empty())).unwrap_or_default().to_owned();
    let time = |paths: &[&str]| paths.iter().find_map(|p| event.pointer(p)?.as_str()?.parse::<Timestamp>().ok());
    let number = |paths: &[&str]| paths.iter().find_map(|p| event.pointer(p)?.as_u64().filter(|n| *n > 0));
    Some(KubeEvent {
        object: reference(about)?,
        kind: text(&["/type"]),
        reason: text(&["/reason"]),
        message: text(&["/message", "/note"]),
        count: number(&["/series/count", "/count", "/deprecatedCount"]).unwrap_or(1),
        first_at: time(&["/firstTimestamp", "/deprecatedFirstTimestamp", "/eventTime", "/metadata/creationTimestamp"]),
        last_at: time(&["/series/lastObservedTime", "/lastTimestamp", "/deprecatedLastTimestamp", "/eventTime", "/metadata/creationTimestamp"]),
        component: text(&["/source/component", "/reportingComponent", "/reportingController", "/deprecatedSource/component"]),
    })
}

fn reference(about: &Value) -> Option<ObjectRef> {
    let text = |key: &str| about[key].as_str().filter(|s| !s.is_empty());
    let (kind, name) = (text("kind")?, text("name")?);
    let mut object = ObjectRef::new(kind, text("namespace"), name);
    if let Some((group, _)) = text("apiVersion").and_then(|v| v.split_once('/')) {
        object = object.with_group(group);
    }
    // The kubelet writes a node's name where its uid belongs.
    object.uid = text("uid").filter(|uid| *uid != name).map(str::to_owned);
    Some(object)
}

/// Whether the event belongs to the answer: kind, name and namespace of the object, and its uid where both have one.
///
/// The group is not compared: events of older components leave the API version out.
pub(crate) fn matches(event: &KubeEvent, query: &EventQuery) -> bool {
    let namespace = query.namespace.as_deref().is_none_or(|n| event.object.namespace.as_deref() == Some(n));
    let object = query.object.as_ref().is_none_or(|o| {
        let same_group = o.group.is_empty() || event.object.group.is_empty() || o.group == event.object.group;
        same_group && o.same_object(&ObjectRef { cluster: None, group: o.group.clone(), ..event.object.clone() })
    });
    namespace && object
}

/// Oldest last time first; events without a time before all others. Times have whole seconds, so ties are common: they have an order too.
pub(crate) fn sort(events: &mut [KubeEvent]) {
    fn order(e: &KubeEvent) -> impl Ord {
        (e.last_at, e.first_at, &e.object, &e.reason, &e.message)
    }
    events.sort_by(|a, b| order(a).cmp(&order(b)));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_apis_give_the_same_event() {
        let core =
            parse(&json!({"involvedObject": {"apiVersion": "v1", "kind": "Pod", "namespace": "s", "name": "p", "uid": "u"}, "type": "Warning",
            "reason": "BackOff", "message": "m", "count": 3, "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:05:00Z",
            "source": {"component": "kubelet"}, "eventTime": null}));
        let new = parse(&json!({"regarding": {"apiVersion": "v1", "kind": "Pod", "namespace": "s", "name": "p", "uid": "u"}, "type": "Warning",
            "reason": "BackOff", "note": "m", "eventTime": "2026-01-01T00:00:00.000000Z",
            "series": {"count": 3, "lastObservedTime": "2026-01-01T00:05:00.000000Z"}, "reportingController": "kubelet"}));
        assert_eq!(core, new);
        assert_eq!(core.unwrap().count, 3);
    }

    #[test]
    fn an_event_matches_by_uid_only_where_both_have_one() {
        let event = parse(&json!({"involvedObject": {"kind": "Node", "name": "n1", "uid": "n1"}, "reason": "NodeNotReady"})).unwrap();
        let about = |o: ObjectRef| matches(&event, &EventQuery { namespace: None, object: Some(o) });
        assert!(about(ObjectRef::new("Node", None, "n1").with_uid("real-uid")));
        assert!(!about(ObjectRef::new("Node", None, "n2")));
        let pod = parse(&json!({"involvedObject": {"kind": "Pod", "namespace": "s", "name": "p", "uid": "old"}})).unwrap();
        assert!(!matches(&pod, &EventQuery { namespace: None, object: Some(ObjectRef::new("Pod", Some("s"), "p").with_uid("new")) }));
        assert!(!matches(&pod, &EventQuery { namespace: Some("t".into()), object: None }));
    }
}
