//! Diagnoses every bundle below `KUBERNAUT_CASES_DIR` and prints one JSON line a case; for work on the rules.
//!
//! The alerted object is read from the alert's labels in the usual order; environment and decision are left to the server's own evaluation.

use std::{collections::BTreeMap, error::Error, path::PathBuf, sync::Arc};

use kubernaut_cluster::BundleCluster;
use kubernaut_core::{
    model::ObjectRef,
    port::ClusterRead,
    service::{AnalysisRequest, Analyzer, CallContext},
};
use kubernaut_diagnosis::{Diagnosis, DiagnosisConfig};
use serde_json::{Value, json};

const LABELS: &[(&str, &str)] = &[
    ("horizontalpodautoscaler", "HorizontalPodAutoscaler"),
    ("poddisruptionbudget", "PodDisruptionBudget"),
    ("persistentvolumeclaim", "PersistentVolumeClaim"),
    ("deployment", "Deployment"),
    ("statefulset", "StatefulSet"),
    ("daemonset", "DaemonSet"),
    ("job_name", "Job"),
    ("cronjob", "CronJob"),
    ("node", "Node"),
    ("pod", "Pod"),
    ("service_name", "Service"),
    ("service", "Service"),
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir: PathBuf = std::env::var_os("KUBERNAUT_CASES_DIR").ok_or("set KUBERNAUT_CASES_DIR to a folder of bundles")?.into();
    let only = std::env::args().nth(1);
    let mut cases: Vec<PathBuf> = std::fs::read_dir(dir)?.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.join("bundle.yaml").exists()).collect();
    cases.sort();
    for case in cases {
        let bundle = BundleCluster::open(&case)?;
        if only.as_deref().is_some_and(|o| o != bundle.id()) {
            continue;
        }
        let alert: Value = serde_json::from_slice(bundle.alert_json().unwrap_or(b"{}"))?;
        let target = target_of(&bundle, &alert["alerts"][0]["labels"]).await;
        let request =
            AnalysisRequest { incident_id: None, target: target.clone(), alerts: Vec::new(), classification: None, history: bundle.history() };
        let id = bundle.id().to_owned();
        let analysis = Diagnosis::new(Arc::new(bundle), DiagnosisConfig::default()).analyze(CallContext::system("grade"), request).await?;
        if only.is_some() {
            println!("{}", serde_json::to_string_pretty(&analysis)?);
            continue;
        }
        let candidates: Vec<Value> = analysis
            .candidates
            .iter()
            .map(|c| json!({ "category": c.category, "object": c.object.to_string(), "confidence": c.confidence }))
            .collect();
        let actions: Vec<Value> = analysis
            .actions
            .iter()
            .map(|a| json!({ "action": a.action, "target": a.target.to_string(), "params": a.params, "holds": a.preconditions.iter().all(|p| p.holds), "reversible": a.reversible, "risk": a.risk }))
            .collect();
        println!(
            "{}",
            json!({ "id": id, "target": target.to_string(), "candidates": candidates, "actions": actions, "no_action": analysis.no_action, "latency_ms": analysis.latency_ms })
        );
    }
    Ok(())
}

async fn target_of(cluster: &dyn ClusterRead, labels: &Value) -> ObjectRef {
    let labels: BTreeMap<&str, &str> = labels.as_object().into_iter().flatten().filter_map(|(k, v)| Some((k.as_str(), v.as_str()?))).collect();
    let namespace = labels.get("namespace").copied();
    for (label, kind) in LABELS {
        let Some(name) = labels.get(label) else { continue };
        for kind in [*kind, "Deployment"] {
            let reference = ObjectRef::new(kind, namespace, *name);
            if matches!(cluster.get(CallContext::system("grade"), reference.clone()).await, Ok(Some(_))) {
                return reference;
            }
        }
    }
    ObjectRef::new("Pod", namespace, labels.get("pod").copied().unwrap_or_default())
}
