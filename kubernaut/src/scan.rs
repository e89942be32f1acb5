//! What is unhealthy, without an alert: found, analysed, and put together by root cause.

use std::collections::BTreeMap;

use kubernaut_core::{
    Result,
    model::{Decision, Object, ObjectRef, selector_matches},
    port::{ClusterRead, ListQuery},
    service::CallContext,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Kubernaut, Report};

/// Kinds of a namespace that are looked at.
const KINDS: &[&str] = &["Deployment", "StatefulSet", "DaemonSet", "Job", "PersistentVolumeClaim", "Pod", "Service", "HorizontalPodAutoscaler"];

/// What a scan found: one entry a root cause, the gravest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Scan {
    /// Namespaces that were looked at.
    pub namespaces: usize,
    /// Root causes with what they affect.
    pub causes: Vec<Finding>,
    /// Objects that looked unwell and for which nothing has to be done.
    pub benign: Vec<String>,
    /// Unhealthy objects beyond the limit, which were not analysed.
    pub left_out: usize,
}

/// One root cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Unhealthy objects that it explains.
    pub affected: Vec<String>,
    /// The analysis of the one that it explains with the highest confidence.
    pub report: Report,
}

/// How much a scan analyses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanOptions {
    /// Namespaces; none for all, nodes included.
    pub namespaces: Vec<String>,
    /// Objects that are analysed at most.
    pub limit: usize,
}

impl Default for ScanOptions {
    fn default() -> Self {
        Self { namespaces: Vec::new(), limit: 100 }
    }
}

impl Kubernaut {
    /// Objects of a namespace that are not as they should be: workloads with fewer ready replicas than wanted, failed jobs, unbound claims,
    /// Services that select nothing, autoscalers that cannot scale, and pods without an owner that do not run. One entry an object, sorted.
    ///
    /// # Errors
    /// Errors of the cluster.
    pub async fn unhealthy(&self, ctx: CallContext, namespace: &str) -> Result<Vec<ObjectRef>> {
        let mut all: BTreeMap<&str, Vec<Object>> = BTreeMap::new();
        for kind in KINDS {
            all.insert(kind, self.cluster().list(ctx.clone(), ListQuery::of(kind, Some(namespace))).await?);
        }
        let idle = |o: &Object| o.kind() == "Service" && selects_nothing(o, &all);
        let mut found: Vec<ObjectRef> = all.values().flatten().filter(|o| needs_attention(o) || idle(o)).map(Object::reference).collect();
        found.sort();
        Ok(found)
    }

    /// Analyses everything that is unhealthy and puts it together by root cause. Nothing is stored and nothing is changed.
    ///
    /// # Errors
    /// Errors of the cluster and of the services.
    pub async fn scan(&self, ctx: CallContext, options: ScanOptions) -> Result<Scan> {
        let whole = options.namespaces.is_empty();
        let namespaces = if whole { self.names(ctx.clone(), "Namespace").await? } else { options.namespaces };
        let mut targets = Vec::new();
        if whole {
            let nodes = self.cluster().list(ctx.clone(), ListQuery::of("Node", None)).await?;
            targets.extend(nodes.iter().filter(|n| !node_is_well(n)).map(Object::reference));
        }
        for namespace in &namespaces {
            targets.extend(self.unhealthy(ctx.clone(), namespace).await?);
        }
        let left_out = targets.len().saturating_sub(options.limit);
        targets.truncate(options.limit);
        let mut reports = Vec::new();
        for target in targets {
            // What is gone by now is no longer unwell.
            match self.analyze(ctx.clone(), target).await {
                Ok(report) => reports.push(report),
                Err(error) if error.kind() == kubernaut_core::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Scan { namespaces: namespaces.len(), left_out, ..Scan::of(reports) })
    }

    async fn names(&self, ctx: CallContext, kind: &str) -> Result<Vec<String>> {
        let objects = self.cluster().list(ctx, ListQuery::of(kind, None)).await?;
        Ok(objects.iter().map(|o| o.name().to_owned()).collect())
    }
}

impl Scan {
    /// Reports put together by their root cause. Pure.
    #[must_use]
    pub fn of(reports: Vec<Report>) -> Self {
        let mut scan = Self::default();
        let mut groups: BTreeMap<(String, String), Finding> = BTreeMap::new();
        for report in reports {
            if report.decision == Decision::NoAction {
                scan.benign.push(report.target);
                continue;
            }
            let key = report.candidates.first().map_or_else(|| (String::new(), report.target.clone()), |c| (family(&c.category), c.object.clone()));
            match groups.get_mut(&key) {
                None => {
                    groups.insert(key, Finding { affected: vec![report.target.clone()], report });
                }
                Some(known) => {
                    known.affected.push(report.target.clone());
                    if confidence(&report) > confidence(&known.report) {
                        known.report = report;
                    }
                }
            }
        }
        scan.causes = groups.into_values().collect();
        scan.causes.sort_by(|a, b| b.weight().total_cmp(&a.weight()).then_with(|| a.report.target.cmp(&b.report.target)));
        scan
    }
}

/// A peer that is switched off is the same cause, whether it is looked at itself or through what needs it.
fn family(category: &str) -> String {
    if category == "scaled_to_zero" || category == "application_error" { "dependency_failure".to_owned() } else { category.to_owned() }
}

impl Finding {
    /// How grave it is: how much it affects, and how sure it is.
    fn weight(&self) -> f64 {
        self.affected.len() as f64 + confidence(&self.report)
    }
}

fn confidence(report: &Report) -> f64 {
    report.candidates.first().map_or(0.0, |c| c.confidence)
}

fn needs_attention(object: &Object) -> bool {
    let status = |field: &str| object.i64_at(&format!("/status/{field}")).unwrap_or(0);
    let wanted = object.i64_at("/spec/replicas").unwrap_or(1);
    match object.kind() {
        "Deployment" => status("availableReplicas") < wanted || status("updatedReplicas") < wanted || wanted == 0,
        "StatefulSet" => status("readyReplicas") < wanted,
        "DaemonSet" => status("numberReady") < status("desiredNumberScheduled"),
        "Job" => object.condition("Failed").is_some_and(|c| c["status"] == "True"),
        "PersistentVolumeClaim" => object.str_at("/status/phase") != Some("Bound"),
        "Pod" => object.controller().is_none() && !runs(object),
        "HorizontalPodAutoscaler" => cannot_scale(object),
        _ => false,
    }
}

/// Whether an autoscaler has nothing to compute with, or would have more replicas than it may.
fn cannot_scale(hpa: &Object) -> bool {
    let is = |kind: &str, status: &str| hpa.condition(kind).filter(|c| c["status"] == status);
    is("ScalingActive", "False").is_some_and(|c| c["reason"] != "ScalingDisabled")
        || is("AbleToScale", "False").is_some()
        || is("ScalingLimited", "True").is_some_and(|c| c["reason"] == "TooManyReplicas")
}

/// Whether no pod, and no template of a workload, carries the labels that a Service selects.
fn selects_nothing(service: &Object, all: &BTreeMap<&str, Vec<Object>>) -> bool {
    let Some(selector) = service.at("/spec/selector").filter(|s| s.as_object().is_some_and(|m| !m.is_empty())) else { return false };
    let selector = serde_json::json!({ "matchLabels": selector });
    !all.values().flatten().any(|o| {
        let labels = if o.kind() == "Pod" { o.labels() } else { o.map_at("/spec/template/metadata/labels") };
        selector_matches(&selector, &labels)
    })
}

fn node_is_well(node: &Object) -> bool {
    let is = |kind: &str, status: &str| node.condition(kind).is_some_and(|c| c["status"] == status);
    is("Ready", "True") && !["MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable"].iter().any(|k| is(k, "True"))
}

fn runs(pod: &Object) -> bool {
    let phase = pod.str_at("/status/phase").unwrap_or_default();
    let steady = pod.list_at("/status/containerStatuses").iter().all(|c: &Value| c["ready"] == true);
    phase == "Succeeded" || (phase == "Running" && steady)
}

impl std::fmt::Display for Scan {
    /// The text form: a table of causes, then each with its evidence and proposal.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.causes.is_empty() {
            write!(f, "no fault found in {} namespace(s)", self.namespaces)?;
        } else {
            writeln!(f, "{} root cause(s) in {} namespace(s)", self.causes.len(), self.namespaces)?;
            for (i, cause) in self.causes.iter().enumerate() {
                let first = cause.report.candidates.first();
                let (category, object) = first.map_or(("unknown", cause.report.target.as_str()), |c| (c.category.as_str(), c.object.as_str()));
                writeln!(f, "{:>3}  {category:<28} {object}  explains {}", i + 1, cause.affected.join(", "))?;
            }
            for cause in &self.causes {
                write!(f, "\n{}\n", cause.report)?;
            }
        }
        if !self.benign.is_empty() {
            write!(f, "\nnothing to do for {}", self.benign.join(", "))?;
        }
        if self.left_out > 0 {
            write!(f, "\n{} more unhealthy objects were not analysed; give a namespace, or a higher --limit", self.left_out)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use kubernaut_core::model::Environment;
    use serde_json::json;

    use super::*;
    use crate::{ReportCandidate, ReportEnvironment};

    fn report(target: &str, category: &str, object: &str, confidence: f64, decision: Decision) -> Report {
        let candidate = ReportCandidate {
            category: category.into(),
            object: object.into(),
            confidence,
            summary: String::new(),
            chain: Vec::new(),
            evidence: Vec::new(),
        };
        Report {
            id: target.into(),
            target: target.into(),
            environment: ReportEnvironment {
                value: Environment::Unknown,
                treated_as: Environment::Production,
                basis: String::new(),
                confidence: 0.5,
            },
            candidates: vec![candidate],
            decision,
            reason: String::new(),
            actions: Vec::new(),
            questions: Vec::new(),
            gaps: Vec::new(),
            latency_ms: 0.0,
            tokens: 0,
        }
    }

    #[test]
    fn what_has_one_cause_is_one_finding_and_the_one_that_explains_most_leads() {
        let node = |target: &str| report(target, "node_not_ready", "Node/n1", 0.9, Decision::Approve);
        let scan = Scan::of(vec![
            report("Deployment/a/x", "image_not_found", "Deployment/a/x", 0.97, Decision::Act),
            node("Deployment/a/y"),
            node("StatefulSet/b/z"),
            report("Job/a/old", "no_fault", "Job/a/old", 0.9, Decision::NoAction),
        ]);
        assert_eq!(scan.causes.len(), 2);
        assert_eq!(scan.causes[0].affected, ["Deployment/a/y", "StatefulSet/b/z"]);
        assert_eq!(scan.benign, ["Job/a/old"]);
    }

    #[test]
    fn a_workload_below_its_replicas_needs_attention() {
        let deployment = |available: i64| {
            Object::new(json!({"kind": "Deployment", "spec": {"replicas": 2}, "status": {"availableReplicas": available, "updatedReplicas": 2}}))
        };
        assert!(needs_attention(&deployment(1)));
        assert!(!needs_attention(&deployment(2)));
    }

    #[test]
    fn a_pod_of_a_workload_is_not_listed_beside_it() {
        let owned = json!({"kind": "Pod", "metadata": {"ownerReferences": [{"kind": "ReplicaSet", "name": "r", "controller": true}]}, "status": {"phase": "Pending"}});
        assert!(!needs_attention(&Object::new(owned)));
        assert!(needs_attention(&Object::new(json!({"kind": "Pod", "status": {"phase": "Pending"}}))));
    }

    #[test]
    fn a_service_without_pods_is_no_finding_while_a_workload_carries_its_labels() {
        let service = Object::new(json!({"kind": "Service", "spec": {"selector": {"app": "x"}}}));
        let workload = Object::new(json!({"kind": "Deployment", "spec": {"template": {"metadata": {"labels": {"app": "x", "v": "2"}}}}}));
        assert!(selects_nothing(&service, &BTreeMap::new()));
        assert!(!selects_nothing(&service, &BTreeMap::from([("Deployment", vec![workload])])));
    }
}
