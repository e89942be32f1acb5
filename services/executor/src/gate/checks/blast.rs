//! How much an action takes down at once.

use kubernaut_core::model::{ActionSpec, Object, Risk, selector_matches};
use serde_json::Value;

use super::{
    super::{
        config::GateConfig,
        pass::{Purpose, Reservation, Scene, Verdict},
    },
    capacity,
};
use crate::action::Effect;

/// What the check needs beside the scene.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Load {
    /// Disruption budgets of the namespace, for an eviction.
    pub(in super::super) budgets: Vec<Object>,
    /// All nodes, for closing or emptying one.
    pub(in super::super) nodes: Vec<Object>,
    /// Pods of the namespace, for a Service that is to choose others; all pods, for emptying a node.
    pub(in super::super) pods: Vec<Object>,
    /// Workloads of the namespace, for a ConfigMap.
    pub(in super::super) workloads: Vec<Object>,
}

/// What is checked.
pub(in super::super) struct Blast<'a> {
    pub(in super::super) config: &'a GateConfig,
    pub(in super::super) scene: &'a Scene,
    pub(in super::super) spec: &'a ActionSpec,
    pub(in super::super) effect: Effect,
    pub(in super::super) params: &'a Value,
}

/// Refuses what a disruption budget or the limit of cordoned nodes forbids; asks about what takes or adds too much at once.
pub(in super::super) fn blast_radius(blast: &Blast<'_>, load: &Load, purpose: Purpose) -> Verdict {
    if purpose == Purpose::Undo {
        return Verdict::pass("an undo goes back to what was there before");
    }
    let target = &blast.scene.target;
    match blast.effect {
        Effect::Record => Verdict::skip("nothing in the cluster changes"),
        Effect::Evict | Effect::Isolate => evict(blast, &load.budgets),
        Effect::Force => Verdict::ask("the pod's containers may still run afterwards; a person must agree each time"),
        Effect::Inside => Verdict::ask("a command runs inside of a container and may hold it up; a person must agree each time"),
        Effect::Restart | Effect::Template => {
            let (down, ready) = pods_replaced(target);
            share(blast.config, down, ready)
        }
        Effect::Scale => scale(blast),
        Effect::Autoscaler => autoscaler(blast),
        Effect::NodeClose => close_node(blast, &load.nodes),
        Effect::NodeDrain => drain_node(blast, load),
        Effect::Source => Verdict::ask("everything that the source keeps may change; a person must agree each time"),
        Effect::NodeOpen => Verdict::pass("a node that takes pods again takes nothing down"),
        Effect::NodeMark => Verdict::pass("a label of a node takes no running pod down"),
        Effect::Reroute => reroute(target, &load.pods),
        Effect::Config => config(target, &load.workloads),
        Effect::Settings => Verdict::pass("the change takes no pod down"),
        Effect::Consult => Verdict::ask(format!("{} opens, weakens or cannot be taken back; a person must agree each time", blast.spec.name)),
        Effect::Other => other(blast.spec),
    }
}

/// Replicas of one workload that this action takes down, out of those that may be down at once. Whoever acts takes the places first, so that
/// several actions at the same time do not take down together what each could alone.
pub(in super::super) fn reservation(blast: &Blast<'_>) -> Option<Reservation> {
    let target = &blast.scene.target;
    let (workload, down) = match blast.effect {
        Effect::Evict if pod_is_ready(target) => (workload_of(blast.scene)?, 1),
        Effect::Restart | Effect::Template => (target, pods_replaced(target).0),
        Effect::Scale => (target, ready(target) - blast.params["replicas"].as_i64().unwrap_or(i64::MAX)),
        _ => return None,
    };
    let all = wanted(workload).max(ready(workload)).max(0);
    let most = all * i64::from(blast.config.max_unavailable_percent.min(100)) / 100;
    let units = u32::try_from(down).ok().filter(|units| *units > 0)?;
    // Beyond the limit a person agreed; then it takes all places, so that nothing else goes down meanwhile.
    Some(Reservation { scope: workload.reference().to_string(), units, limit: u32::try_from(most).unwrap_or(u32::MAX).max(units) })
}

/// Replicas that a workload is to have.
fn wanted(workload: &Object) -> i64 {
    let field = if workload.kind() == "DaemonSet" { "/status/desiredNumberScheduled" } else { "/spec/replicas" };
    workload.i64_at(field).unwrap_or(1)
}

/// The workload that a pod belongs to, from the top.
fn workload_of(scene: &Scene) -> Option<&Object> {
    let workloads = ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController"];
    scene.owners.iter().rev().filter_map(|o| o.object.as_ref()).find(|o| workloads.contains(&o.kind()))
}

fn other(spec: &ActionSpec) -> Verdict {
    match spec.risk {
        Risk::None | Risk::Low => Verdict::pass("the action declares a low risk"),
        _ => Verdict::ask(format!("what {} takes down is not known; a person must agree", spec.name)),
    }
}

fn share(config: &GateConfig, down: i64, ready: i64) -> Verdict {
    let limit = config.max_unavailable_percent;
    if down <= 0 || ready <= 0 {
        return Verdict::pass(format!("takes none of {} ready replicas down at once", ready.max(0)));
    }
    let text = format!("takes {down} of {ready} ready replicas down at once (limit {limit} %)");
    if down * 100 > i64::from(limit) * ready { Verdict::ask(text) } else { Verdict::pass(text) }
}

/// Ready replicas of a workload.
fn ready(workload: &Object) -> i64 {
    let field = if workload.kind() == "DaemonSet" { "/status/numberReady" } else { "/status/readyReplicas" };
    workload.i64_at(field).unwrap_or(0)
}

/// How many ready pods a rollout takes down at once, and how many there are.
fn pods_replaced(workload: &Object) -> (i64, i64) {
    let ready = ready(workload);
    let down = match workload.kind() {
        "Deployment" if workload.str_at("/spec/strategy/type") == Some("Recreate") => ready,
        "Deployment" => {
            portion(workload.at("/spec/strategy/rollingUpdate/maxUnavailable"), workload.i64_at("/spec/replicas").unwrap_or(1), (25, false))
        }
        _ if workload.str_at("/spec/updateStrategy/type") == Some("OnDelete") => 0,
        "DaemonSet" => portion(
            workload.at("/spec/updateStrategy/rollingUpdate/maxUnavailable"),
            workload.i64_at("/status/desiredNumberScheduled").unwrap_or(1),
            (0, true),
        )
        .max(1),
        _ => portion(workload.at("/spec/updateStrategy/rollingUpdate/maxUnavailable"), workload.i64_at("/spec/replicas").unwrap_or(1), (0, true))
            .max(1),
    };
    (down.min(ready), ready)
}

/// A number or percentage of `total`; `otherwise` is the percentage where absent and whether to round up.
fn portion(value: Option<&Value>, total: i64, otherwise: (i64, bool)) -> i64 {
    let (default_percent, up) = otherwise;
    let percent = match value {
        Some(Value::String(text)) => text.trim_end_matches('%').parse().unwrap_or(100),
        Some(number) => return number.as_i64().unwrap_or(total),
        None => default_percent,
    };
    if up { (total * percent + 99) / 100 } else { total * percent / 100 }
}

fn pod_is_ready(pod: &Object) -> bool {
    pod.condition("Ready").is_some_and(|c| c["status"] == "True")
}

fn evict(blast: &Blast<'_>, budgets: &[Object]) -> Verdict {
    let pod = &blast.scene.target;
    if !pod_is_ready(pod) {
        return Verdict::pass("the pod is not ready, so nothing that serves is taken down");
    }
    let labels = pod.labels();
    let guards = |budget: &&Object| budget.at("/spec/selector").is_some_and(|s| selector_matches(s, &labels));
    if let Some(budget) = budgets.iter().filter(guards).find(|b| b.i64_at("/status/disruptionsAllowed") == Some(0)) {
        return Verdict::fail(format!("{} allows no disruption now", budget.reference()));
    }
    match workload_of(blast.scene) {
        Some(workload) => share(blast.config, 1, ready(workload).max(1)),
        None => Verdict::ask("what serves beside this ready pod cannot be told"),
    }
}

/// A Service that leads somewhere now would lead somewhere else.
fn reroute(service: &Object, pods: &[Object]) -> Verdict {
    let selector = service.map_at("/spec/selector");
    let behind = |pod: &&Object| !selector.is_empty() && selector.iter().all(|(k, v)| pod.label(k) == Some(v)) && pod_is_ready(pod);
    match pods.iter().filter(behind).count() {
        0 => Verdict::pass("no ready pod is behind the Service now"),
        n => Verdict::ask(format!("{n} ready pods are behind the Service now and may be left")),
    }
}

/// Content that several workloads use changes all of them.
fn config(map: &Object, workloads: &[Object]) -> Verdict {
    let users: Vec<String> =
        workloads.iter().filter(|w| w.pod_spec().is_some_and(|s| uses(s, map.name()))).map(|w| w.reference().to_string()).collect();
    match users.as_slice() {
        [] => Verdict::pass("no workload of the namespace names the ConfigMap"),
        [one] => Verdict::pass(format!("only {one} uses the ConfigMap")),
        many => Verdict::ask(format!("{} workloads use the ConfigMap: {}", many.len(), many.join(", "))),
    }
}

/// Whether a pod spec names a ConfigMap, in a volume or in a variable.
fn uses(value: &Value, map: &str) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|i| uses(i, map)),
        Value::Object(fields) => {
            fields.iter().any(|(k, v)| (matches!(k.as_str(), "configMap" | "configMapRef" | "configMapKeyRef") && v["name"] == map) || uses(v, map))
        }
        _ => false,
    }
}

fn grows_too_much(config: &GateConfig, from: i64, to: i64) -> bool {
    to > from.max(1).saturating_mul(i64::from(config.max_growth_factor))
}

fn scale(blast: &Blast<'_>) -> Verdict {
    let workload = &blast.scene.target;
    let now = workload.i64_at("/spec/replicas").unwrap_or(1);
    let wanted = blast.params["replicas"].as_i64().unwrap_or(now);
    if grows_too_much(blast.config, now, wanted) {
        return Verdict::ask(format!("grows from {now} to {wanted} replicas, more than {} times as many", blast.config.max_growth_factor));
    }
    let ready = ready(workload);
    share(blast.config, ready - wanted, ready)
}

fn autoscaler(blast: &Blast<'_>) -> Verdict {
    let hpa = &blast.scene.target;
    let now = hpa.i64_at("/spec/maxReplicas").unwrap_or(1);
    let wanted = blast.params["max_replicas"].as_i64().unwrap_or(now);
    let lower = blast.params["min_replicas"].as_i64().unwrap_or(0);
    if grows_too_much(blast.config, now, wanted.max(lower)) {
        return Verdict::ask(format!(
            "the bound grows from {now} to {}, more than {} times as much",
            wanted.max(lower),
            blast.config.max_growth_factor
        ));
    }
    let running = hpa.i64_at("/status/currentReplicas").unwrap_or(0);
    share(blast.config, running - wanted, running)
}

/// A drain takes no more from the other nodes than they have, whoever agreed.
fn drain_node(blast: &Blast<'_>, load: &Load) -> Verdict {
    let closed = close_node(blast, &load.nodes);
    if closed.outcome == kubernaut_core::model::CheckOutcome::Fail {
        return closed;
    }
    match capacity::after_drain(&blast.scene.target, &load.nodes, &load.pods, blast.config.min_free_percent) {
        Ok(text) => Verdict::pass(format!("{}; {text}", closed.text)),
        Err(text) => Verdict::fail(text),
    }
}

fn close_node(blast: &Blast<'_>, nodes: &[Object]) -> Verdict {
    let others = || nodes.iter().filter(|n| n.name() != blast.scene.target.name());
    let closed = others().filter(|n| n.bool_at("/spec/unschedulable") == Some(true)).count();
    if !others().any(|n| n.bool_at("/spec/unschedulable") != Some(true) && capacity::is_ready(n)) {
        return Verdict::fail("no other node would take pods");
    }
    let limit = blast.config.max_cordoned_nodes;
    let text = format!("{} of {} nodes would be cordoned (limit {limit})", closed + 1, nodes.len());
    if closed + 1 > usize::try_from(limit).unwrap_or(usize::MAX) { Verdict::fail(text) } else { Verdict::pass(text) }
}

#[cfg(test)]
mod tests {
    use kubernaut_core::model::CheckOutcome::{self, Ask, Fail, Pass};
    use serde_json::json;

    use super::*;
    use crate::{
        gate::pass::Owner,
        registry::{find_spec, registry},
    };

    fn outcome(action: &str, target: Value, owners: Vec<Value>, load: &Load, params: Value) -> CheckOutcome {
        let spec = find_spec(registry(), action).unwrap();
        let owner = |value: Value| Owner { reference: Object::new(value.clone()).reference(), object: Some(Object::new(value)) };
        let scene = Scene { target: Object::new(target), namespace: None, owners: owners.into_iter().map(owner).collect() };
        let blast = Blast { config: &GateConfig::default(), scene: &scene, spec, effect: crate::registry::effect_of(spec), params: &params };
        blast_radius(&blast, load, Purpose::Act).outcome
    }

    fn deployment(strategy: &str, replicas: i64, ready: i64) -> Value {
        json!({"kind": "Deployment", "spec": {"replicas": replicas, "strategy": {"type": strategy}}, "status": {"readyReplicas": ready}})
    }

    fn pod(ready: &str) -> Value {
        json!({"kind": "Pod", "metadata": {"name": "p", "labels": {"app": "a"}}, "status": {"conditions": [{"type": "Ready", "status": ready}]}})
    }

    #[test]
    fn a_rollout_that_takes_most_ready_replicas_down_is_asked_about() {
        let restart = |target| outcome("rollout_restart", target, vec![], &Load::default(), json!({}));
        assert_eq!(restart(deployment("RollingUpdate", 3, 3)), Pass);
        assert_eq!(restart(deployment("RollingUpdate", 1, 1)), Pass, "a quarter of one, rounded down, is none");
        assert_eq!(restart(deployment("Recreate", 3, 3)), Ask);
        assert_eq!(restart(deployment("Recreate", 3, 0)), Pass, "nothing serves that could go down");
        assert_eq!(restart(json!({"kind": "StatefulSet", "spec": {"replicas": 1}, "status": {"readyReplicas": 1}})), Ask);
        assert_eq!(restart(json!({"kind": "StatefulSet", "spec": {"replicas": 3}, "status": {"readyReplicas": 3}})), Pass);
    }

    #[test]
    fn a_ready_pod_goes_only_where_budget_and_siblings_allow() {
        let evict =
            |pod: Value, ready: i64, load: &Load| outcome("delete_pod", pod, vec![deployment("RollingUpdate", ready, ready)], load, json!({}));
        let budget = |allowed: i64| {
            Object::new(
                json!({"kind": "PodDisruptionBudget", "spec": {"selector": {"matchLabels": {"app": "a"}}}, "status": {"disruptionsAllowed": allowed}}),
            )
        };
        let none = Load { budgets: vec![budget(0)], ..Load::default() };
        assert_eq!(evict(pod("True"), 3, &Load::default()), Pass);
        assert_eq!(evict(pod("True"), 1, &Load::default()), Ask);
        assert_eq!(evict(pod("True"), 3, &none), Fail);
        assert_eq!(evict(pod("False"), 1, &none), Pass);
        assert_eq!(outcome("delete_pod", pod("True"), vec![], &Load::default(), json!({})), Ask);
    }

    #[test]
    fn scaling_far_up_or_down_is_asked_about() {
        let scale =
            |now: i64, to: i64| outcome("scale_replicas", deployment("RollingUpdate", now, now), vec![], &Load::default(), json!({"replicas": to}));
        assert_eq!(scale(2, 8), Pass);
        assert_eq!(scale(2, 9), Ask);
        assert_eq!(scale(0, 1), Pass);
        assert_eq!(scale(4, 2), Pass);
        assert_eq!(scale(4, 1), Ask);
        assert_eq!(scale(2, 0), Ask);
        let hpa = json!({"kind": "HorizontalPodAutoscaler", "spec": {"maxReplicas": 3}, "status": {"currentReplicas": 3}});
        let bound = |to: i64| outcome("patch_hpa_max", hpa.clone(), vec![], &Load::default(), json!({"max_replicas": to}));
        assert_eq!([bound(5), bound(13), bound(1)], [Pass, Ask, Ask]);
    }

    #[test]
    fn no_more_nodes_are_closed_than_configured() {
        let node = |name: &str, closed: bool| json!({"kind": "Node", "metadata": {"name": name}, "spec": {"unschedulable": closed}});
        let load = |closed: bool| Load { nodes: vec![Object::new(node("a", false)), Object::new(node("b", closed))], ..Load::default() };
        assert_eq!(outcome("cordon_node", node("a", false), vec![], &load(false), json!({})), Pass);
        assert_eq!(outcome("cordon_node", node("a", false), vec![], &load(true), json!({})), Fail);
    }
}
