//! Whether the other nodes have room for what a drain moves. Pure.

use kubernaut_core::model::{Object, quantity};
use serde_json::Value;

/// Processor time in cores and memory in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Room {
    cpu: f64,
    memory: f64,
}

impl Room {
    fn sum(rooms: impl Iterator<Item = Self>) -> Self {
        rooms.fold(Self::default(), |a, b| Self { cpu: a.cpu + b.cpu, memory: a.memory + b.memory })
    }

    fn less(self, other: Self) -> Self {
        Self { cpu: self.cpu - other.cpu, memory: self.memory - other.memory }
    }

    fn holds(self, other: Self) -> bool {
        self.cpu >= other.cpu && self.memory >= other.memory
    }
}

/// Whether a node says that it works.
pub(super) fn is_ready(node: &Object) -> bool {
    node.condition("Ready").is_none_or(|c| c["status"] == "True")
}

/// What is free on the other nodes once a node is empty.
///
/// # Errors
/// Why there is no room.
pub(super) fn after_drain(node: &Object, nodes: &[Object], pods: &[Object], min_free_percent: u32) -> Result<String, String> {
    let others: Vec<&Object> =
        nodes.iter().filter(|n| n.name() != node.name() && n.bool_at("/spec/unschedulable") != Some(true) && is_ready(n)).collect();
    let free: Vec<Room> = others.iter().map(|n| allocatable(n).less(used(n.name(), pods))).collect();
    let moved: Vec<&Object> = pods.iter().filter(|p| on(p, node.name()) && moves(p)).collect();
    if let Some(pod) = moved.iter().find(|p| !free.iter().any(|f| f.holds(requests(p)))) {
        return Err(format!("no other node has room for {}", pod.reference()));
    }
    let all = Room::sum(others.iter().map(|n| allocatable(n)));
    let left = Room::sum(free.into_iter()).less(Room::sum(moved.iter().map(|p| requests(p))));
    let share = |left: f64, all: f64| if all > 0.0 { left * 100.0 / all } else { 0.0 };
    let (cpu, memory) = (share(left.cpu, all.cpu), share(left.memory, all.memory));
    let text =
        format!("{} pods move; then {cpu:.0} % of processor time and {memory:.0} % of memory are free on {} other nodes", moved.len(), others.len());
    let enough = |share: f64| moved.is_empty() || share >= f64::from(min_free_percent);
    if enough(cpu) && enough(memory) { Ok(text) } else { Err(format!("{text} (at least {min_free_percent} % must be)")) }
}

fn on(pod: &Object, node: &str) -> bool {
    pod.str_at("/spec/nodeName") == Some(node) && !matches!(pod.str_at("/status/phase"), Some("Succeeded" | "Failed"))
}

/// Pods of a DaemonSet and those that mirror a file belong to their node.
fn moves(pod: &Object) -> bool {
    pod.annotation("kubernetes.io/config.mirror").is_none() && pod.controller().is_none_or(|c| c.kind != "DaemonSet")
}

fn used(node: &str, pods: &[Object]) -> Room {
    Room::sum(pods.iter().filter(|p| on(p, node)).map(requests))
}

fn allocatable(node: &Object) -> Room {
    room(node.at("/status/allocatable"))
}

fn room(value: Option<&Value>) -> Room {
    let read = |key: &str| value.and_then(|v| quantity::of(&v[key])).unwrap_or(0.0);
    Room { cpu: read("cpu"), memory: read("memory") }
}

/// What the scheduler counts a pod as: the sum of its containers, or the largest of its first steps if that is more.
fn requests(pod: &Object) -> Room {
    let of = |path: &str| pod.list_at(path).iter().map(|c| room(c.pointer("/resources/requests"))).collect::<Vec<_>>();
    let sum = Room::sum(of("/spec/containers").into_iter());
    of("/spec/initContainers").into_iter().fold(sum, |a, b| Room { cpu: a.cpu.max(b.cpu), memory: a.memory.max(b.memory) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(name: &str, cpu: &str) -> Object {
        Object::new(
            json!({"kind": "Node", "metadata": {"name": name}, "status": {"allocatable": {"cpu": cpu, "memory": "4Gi"}, "conditions": [{"type": "Ready", "status": "True"}]}}),
        )
    }

    fn pod(name: &str, node: &str, cpu: &str, owner: &str) -> Object {
        Object::new(
            json!({"kind": "Pod", "metadata": {"name": name, "namespace": "s", "ownerReferences": [{"apiVersion": "apps/v1", "kind": owner, "name": "o", "uid": "1", "controller": true}]},
            "spec": {"nodeName": node, "containers": [{"resources": {"requests": {"cpu": cpu, "memory": "1Gi"}}}]}, "status": {"phase": "Running"}}),
        )
    }

    fn drained(others: &[Object], pods: &[Object]) -> Result<String, String> {
        let mut nodes = vec![node("a", "4")];
        nodes.extend_from_slice(others);
        after_drain(&nodes[0], &nodes, pods, 10)
    }

    #[test]
    fn a_drain_needs_room_that_stays_partly_free() {
        let pods = [pod("p", "a", "1", "ReplicaSet"), pod("d", "a", "9", "DaemonSet"), pod("q", "b", "2", "ReplicaSet")];
        assert!(drained(&[node("b", "4")], &pods).unwrap().contains("1 pods move"), "a DaemonSet's pod stays");
        let tight = drained(&[node("b", "3.2")], &pods).unwrap_err();
        assert!(tight.contains("at least 10 %"), "{tight}");
    }

    #[test]
    fn a_pod_must_fit_on_one_node_and_a_closed_or_broken_one_does_not_count() {
        let pods = [pod("p", "a", "2", "ReplicaSet")];
        assert!(drained(&[node("b", "1500m"), node("c", "1500m")], &pods).unwrap_err().contains("no other node has room for Pod/s/p"));
        let mut closed = node("b", "8").value().clone();
        closed["spec"] = json!({"unschedulable": true});
        assert!(drained(&[Object::new(closed)], &pods).is_err());
    }

    #[test]
    fn an_empty_node_can_be_drained_wherever_the_rest_stands() {
        assert!(drained(&[node("b", "1")], &[pod("q", "b", "1", "ReplicaSet")]).is_ok());
    }
}
