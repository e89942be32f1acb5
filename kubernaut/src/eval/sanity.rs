//! Whether a raised memory limit is one that a person would set.

use std::path::Path;

use kubernaut_cluster::BundleCluster;
use kubernaut_core::{
    Result,
    model::{ObjectRef, quantity},
    port::ClusterRead,
    service::CallContext,
};
use serde_json::Value;

use super::{
    Prediction,
    names::{action_names, leaves},
};

/// Times the limit in force that a new one may be at most.
const MOST: f64 = 64.0;
/// Numbers below this are no amounts of memory.
const LEAST: f64 = 1e5;

/// The memory limits of the workload whose memory limit the first proposal raises, as the bundle has them; empty for any other proposal.
///
/// # Errors
/// `InvalidInput` for a bundle that cannot be read.
pub async fn limits_in_force(bundle: &Path, prediction: &Prediction) -> Result<Vec<f64>> {
    let Some(action) = prediction.actions.first().filter(|a| action_names(&a.action, &a.params).contains("increase_memory_limit")) else {
        return Ok(Vec::new());
    };
    let Ok(target) = action.target.parse::<ObjectRef>() else { return Ok(Vec::new()) };
    let cluster = BundleCluster::open(bundle)?;
    let object = cluster.get(CallContext::system("eval"), target).await?;
    Ok(object.map(|o| memory_limits(o.value())).unwrap_or_default())
}

/// Whether the first proposal's limit is above the lowest in force and at most 64 times the highest; `None` without a limit to compare with.
#[must_use]
pub fn sane(prediction: &Prediction, now: &[f64]) -> Option<bool> {
    let lowest = now.iter().copied().reduce(f64::min)?;
    let highest = now.iter().copied().fold(lowest, f64::max);
    let action = prediction.actions.first()?;
    let proposed = leaves(&action.params).into_iter().filter_map(|(_, v)| quantity::parse(&v)).filter(|q| *q > LEAST);
    Some(proposed.into_iter().any(|q| lowest < q && q <= MOST * highest))
}

fn memory_limits(object: &Value) -> Vec<f64> {
    let paths = ["/spec/template/spec", "/spec/jobTemplate/spec/template/spec", "/spec"];
    let pod = paths.iter().find_map(|p| object.pointer(p).filter(|s| s.get("containers").is_some()));
    let containers = pod.and_then(|p| p["containers"].as_array()).map(Vec::as_slice).unwrap_or_default();
    containers.iter().filter_map(|c| c.pointer("/resources/limits/memory")?.as_str()).filter_map(quantity::parse).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::eval::predict::PredictedAction;

    fn raising_to(limit: &str) -> Prediction {
        let action = PredictedAction { action: "increase_memory_limit".into(), target: "Deployment/a/b".into(), params: json!({"memory": limit}) };
        Prediction {
            id: "x".into(),
            target: String::new(),
            environment: String::new(),
            candidates: Vec::new(),
            actions: vec![action],
            decision: "approve".into(),
            latency_ms: 0.0,
        }
    }

    #[test]
    fn a_limit_is_sane_between_the_one_in_force_and_64_times_it() {
        let now = [128.0 * 1024.0 * 1024.0];
        assert_eq!(sane(&raising_to("256Mi"), &now), Some(true));
        assert_eq!(sane(&raising_to("128Mi"), &now), Some(false), "not above");
        assert_eq!(sane(&raising_to("9Gi"), &now), Some(false), "more than 64 times");
        assert_eq!(sane(&raising_to("256Mi"), &[]), None, "nothing to compare with");
    }

    #[test]
    fn limits_are_read_from_the_template_of_any_workload() {
        let containers = json!([{"resources": {"limits": {"memory": "1Gi"}}}, {"resources": {}}]);
        let cron = json!({"spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": containers}}}}}});
        assert_eq!(memory_limits(&cron), [1_073_741_824.0]);
    }
}
