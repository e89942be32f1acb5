//! Disruption budgets, as the eviction API keeps them.

use kubernaut_core::{
    Error, ErrorKind, Result,
    model::{Object, selector_matches},
    port::ListQuery,
};
use serde_json::{Value, json};

use super::store::Store;

/// What the eviction takes from a budget: the budget and how it is afterwards.
pub(super) type Spent = Option<(Object, Value)>;

/// Whether the budgets leave room for the eviction of `pod`.
pub(super) fn check(store: &Store, pod: &Object) -> Result<Spent> {
    // A pod that has not started or has ended counts for no budget.
    if matches!(pod.str_at("/status/phase"), Some("Pending" | "Succeeded" | "Failed")) {
        return Ok(None);
    }
    let budgets = store.list(&ListQuery::of("PodDisruptionBudget", pod.namespace()));
    let over: Vec<&Object> = budgets.iter().filter(|b| b.at("/spec/selector").is_some_and(|s| selector_matches(s, &pod.labels()))).collect();
    match over.as_slice() {
        [] => Ok(None),
        [budget] => spend(budget, pod),
        _ => Err(refused("more than one disruption budget covers the pod; make their selectors distinct", pod)),
    }
}

fn spend(budget: &Object, pod: &Object) -> Result<Spent> {
    let ready = pod.condition("Ready").is_some_and(|c| c["status"] == "True");
    let number = |field: &str| budget.i64_at(&format!("/status/{field}")).unwrap_or(0);
    let always = budget.str_at("/spec/unhealthyPodEvictionPolicy") == Some("AlwaysAllow");
    let healthy_enough = number("desiredHealthy") > 0 && number("currentHealthy") >= number("desiredHealthy");
    if !ready && (always || healthy_enough) {
        return Ok(None);
    }
    let allowed = number("disruptionsAllowed");
    if allowed <= 0 {
        return Err(refused("the disruption budget leaves no room for an eviction now", pod).with("budget", budget.reference()));
    }
    let mut after = budget.value().clone();
    after["status"]["disruptionsAllowed"] = json!(allowed - 1);
    Ok(Some((budget.clone(), after)))
}

fn refused(message: &'static str, pod: &Object) -> Error {
    Error::new(ErrorKind::Refused, "cluster.evict", message).with("pod", pod.reference())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(allowed: i64) -> (Store, Object) {
        let mut store = Store::default();
        let pod = store.put(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "s", "labels": {"app": "web"}},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}));
        store.put(json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b", "namespace": "s"},
            "spec": {"selector": {"matchLabels": {"app": "web"}}}, "status": {"disruptionsAllowed": allowed, "currentHealthy": 1, "desiredHealthy": 1}}));
        (store, pod)
    }

    #[test]
    fn a_budget_without_room_refuses_and_one_with_room_is_spent() {
        let (none, pod) = store(0);
        assert_eq!(check(&none, &pod).unwrap_err().kind(), ErrorKind::Refused);
        let (one, pod) = store(1);
        let (_, after) = check(&one, &pod).unwrap().unwrap();
        assert_eq!(after["status"]["disruptionsAllowed"], 0);
    }

    #[test]
    fn pods_that_do_not_count_for_a_budget_can_always_go() {
        let (store, pod) = store(0);
        let with = |pointer: &str, value: Value| {
            let mut changed = pod.value().clone();
            *changed.pointer_mut(pointer).unwrap() = value;
            Object::new(changed)
        };
        assert!(check(&store, &with("/status/phase", json!("Pending"))).unwrap().is_none());
        assert!(check(&store, &with("/status/conditions", json!([]))).unwrap().is_none(), "the healthy ones are enough without it");
        assert!(check(&store, &with("/metadata/labels", json!({"app": "other"}))).unwrap().is_none());
    }
}
