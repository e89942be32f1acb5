//! Reads the objects that an incident and its run are about, and finds out how they are.

use std::collections::BTreeMap;

use kubernaut_core::{
    Error,
    model::{Incident, Object, ObjectRef, Plan},
    port::{ClusterRead, ListQuery},
    service::CallContext,
};
use serde_json::{Value, json};

use super::{
    finding::{Finding, State},
    pods::{self, Stability},
    workload,
};

/// How to look.
#[derive(Debug)]
pub(super) struct Inspector<'a> {
    pub(super) cluster: &'a dyn ClusterRead,
    pub(super) ctx: CallContext,
    pub(super) stability: Stability,
    /// Nodes that the run itself cordoned.
    pub(super) cordoned: Vec<String>,
    /// Whether the incident's owner stands for its pods. If not, pods are judged one by one.
    pub(super) owner_stands_for_pods: bool,
}

/// Names of actions that take a node out of service on purpose.
const CORDONING: &[&str] = &["cordon_node", "drain_node"];

pub(super) fn cordoned_by(plan: &Plan) -> Vec<String> {
    plan.steps.iter().filter(|s| CORDONING.contains(&s.action.as_str())).map(|s| s.target.name.clone()).collect()
}

/// The objects to judge: owner, alerted object, and what the plan changes.
pub(super) fn concerned(incident: &Incident, plan: &Plan) -> Vec<ObjectRef> {
    let mut all: Vec<ObjectRef> = Vec::new();
    for reference in [&incident.owner, &incident.target].into_iter().chain(plan.steps.iter().map(|s| &s.target)) {
        let reference = ObjectRef { uid: None, ..reference.clone() };
        if !all.iter().any(|r| r.same_object(&reference)) {
            all.push(reference);
        }
    }
    all
}

impl Inspector<'_> {
    pub(super) async fn findings(&self, references: &[ObjectRef]) -> BTreeMap<String, Finding> {
        let mut findings = BTreeMap::new();
        for reference in references {
            findings.insert(reference.to_string(), self.finding(reference).await);
        }
        findings
    }

    async fn finding(&self, reference: &ObjectRef) -> Finding {
        match self.cluster.get(self.ctx.clone(), reference.clone()).await {
            Ok(Some(object)) => self.judge(&object).await.unwrap_or_else(|error| unreadable(reference, &error)),
            // A controller replaces its pods, so that one of them is gone says nothing; what is missing otherwise is missing.
            Ok(None) if reference.kind == "Pod" || reference.kind == "ReplicaSet" => Finding::gone(format!("{reference} is gone")),
            Ok(None) => Finding::bad(format!("{reference} does not exist")),
            Err(error) => unreadable(reference, &error),
        }
    }

    async fn judge(&self, object: &Object) -> Result<Finding, Error> {
        // What is on its way out may look well until its last moment, and its alert ends with it.
        if object.at("/metadata/deletionTimestamp").is_some() {
            let name = object.reference();
            return Ok(if object.kind() == "Pod" {
                Finding::gone(format!("{name} is ending"))
            } else {
                Finding::settling(format!("{name} is being deleted"))
            });
        }
        if let Some(finding) = workload::controller(object) {
            return Ok(finding.and(pods::all(&self.pods_of(object).await?, &self.stability)));
        }
        match object.kind() {
            // Its controller is judged, with all its pods; this one may be on its way out.
            "Pod" if self.owner_stands_for_pods && object.controller().is_some() => {
                Ok(Finding::silent(format!("{} belongs to a controller", object.reference())))
            }
            "Pod" => Ok(pods::one(object, &self.stability)),
            "Job" => self.job(object).await,
            "CronJob" => self.cron_job(object).await,
            "Service" => self.service(object).await,
            _ => Ok(workload::condition(object, self.cordoned.iter().any(|n| n == object.name()))),
        }
    }

    async fn pods_of(&self, workload: &Object) -> Result<Vec<Object>, Error> {
        let selector = match (workload.kind(), workload.at("/spec/selector")) {
            (_, None) => return Ok(Vec::new()),
            ("ReplicationController", Some(labels)) => json!({"matchLabels": labels}),
            (_, Some(selector)) => selector.clone(),
        };
        self.cluster.list(self.ctx.clone(), ListQuery::of("Pod", workload.namespace()).with_selector(selector)).await
    }

    async fn job(&self, job: &Object) -> Result<Finding, Error> {
        let finding = workload::job(job);
        if finding.state != State::Good || job.i64_at("/status/active").unwrap_or(0) == 0 {
            return Ok(finding);
        }
        Ok(finding.and(pods::all(&self.pods_of(job).await?, &self.stability)))
    }

    /// The newest job tells.
    async fn cron_job(&self, cron: &Object) -> Result<Finding, Error> {
        let jobs = self.cluster.list(self.ctx.clone(), ListQuery::of("Job", cron.namespace())).await?;
        let own = jobs.iter().filter(|j| j.controller().is_some_and(|c| c.kind == "CronJob" && c.name == cron.name()));
        Ok(match own.max_by_key(|j| j.created_at()) {
            Some(newest) => self.job(newest).await?,
            None => Finding::silent(format!("{} has no job", cron.reference())),
        })
    }

    async fn service(&self, service: &Object) -> Result<Finding, Error> {
        let name = service.reference();
        if service.str_at("/spec/type") == Some("ExternalName") || service.map_at("/spec/selector").is_empty() {
            return Ok(Finding::silent(format!("{name} selects no pods")));
        }
        let selector = json!({"matchLabels": {"kubernetes.io/service-name": service.name()}});
        let slices = self.cluster.list(self.ctx.clone(), ListQuery::of("EndpointSlice", service.namespace()).with_selector(selector)).await?;
        let ready = |e: &&Value| e["conditions"]["ready"] != false;
        let count = slices.iter().flat_map(|s| s.list_at("/endpoints")).filter(ready).count();
        let text = format!("{name} has {count} ready endpoint(s)");
        Ok(if count > 0 { Finding::good(text) } else { Finding::settling(text) })
    }
}

/// Whether an object of that kind is judged with all its pods.
pub(super) fn stands_for_pods(kind: &str) -> bool {
    matches!(kind, "Deployment" | "ReplicaSet" | "ReplicationController" | "StatefulSet" | "DaemonSet" | "Job" | "CronJob")
}

fn unreadable(reference: &ObjectRef, error: &Error) -> Finding {
    Finding::new(State::Unreadable, format!("{reference} cannot be read: {error}"))
}
