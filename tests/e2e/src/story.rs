//! One scenario with its times.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{Api, Lab, lab::tell};

/// Waits until something holds; panics after the limit.
pub async fn wait_for(what: &str, limit: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + limit;
    while !holds().await {
        assert!(Instant::now() < end, "waited {limit:?} in vain for {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A namespace of its own with a fault, and what became of it.
#[derive(Debug)]
pub struct Story {
    lab: Lab,
    /// The namespace; removed when dropped.
    pub namespace: String,
    faulted: Option<Instant>,
    healthy: Option<Duration>,
}

impl Story {
    /// Makes a namespace whose execution is opted in.
    #[must_use]
    pub fn new(lab: &Lab, name: &str, environment: &str) -> Self {
        let stamp = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() % 1_000_000;
        let namespace = format!("e2e-{name}-{stamp}");
        lab.kubectl.apply(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace,
            "labels": { "kubernaut.ai/managed": "true", "environment": environment } } }));
        Self { lab: lab.clone(), namespace, faulted: None, healthy: None }
    }

    /// The local image `name:1` as the nodes pull it.
    #[must_use]
    pub fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.lab.registry)
    }

    /// Applies a deployment.
    pub fn deploy(&self, manifest: Value) {
        let mut manifest = manifest;
        manifest["metadata"]["namespace"] = json!(self.namespace);
        self.lab.kubectl.apply(&manifest);
    }

    /// Waits until the deployment has fully rolled out.
    pub async fn until_rolled_out(&self, deployment: &str) {
        let kubectl = self.lab.kubectl.clone();
        wait_for(&format!("{deployment} to roll out"), Duration::from_secs(60), async || kubectl.rolled_out(&self.namespace, deployment)).await;
    }

    /// From here the times count.
    pub fn fault_made(&mut self) {
        self.faulted = Some(Instant::now());
    }

    /// Notes the time at which the effect was seen with kubectl.
    pub fn seen_healthy(&mut self) {
        self.healthy = self.faulted.map(|f| f.elapsed());
    }

    /// The incident that this fault opened, once there is one.
    pub async fn incident(&self, api: &Api) -> Value {
        let mut found = Value::Null;
        wait_for("an incident of the fault", Duration::from_secs(120), async || {
            if let Some(incident) = api.incidents(&self.namespace).await.pop() {
                found = incident;
            }
            !found.is_null()
        })
        .await;
        found
    }

    /// Waits for the incident's end, approving what is asked if `approve`; panics if it ends otherwise than expected.
    pub async fn until_ended(&self, api: &Api, id: &str, expected: &str, approve: bool) -> Value {
        let mut incident = Value::Null;
        let end = Instant::now() + Duration::from_secs(240);
        while incident["closed_at"].is_null() && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(100)).await;
            incident = api.incident(id).await;
            if approve && incident["phase"] == "awaiting_approval" {
                api.approve(id).await;
            }
        }
        if incident["closed_at"].is_null() || incident["phase"] != expected {
            for event in api.timeline(id).await {
                eprintln!("{} {} {}", event["at"], event["type"], event["data"]);
            }
        }
        assert_eq!(incident["phase"], expected, "incident {id} of {}: {}", self.namespace, incident["message"]);
        assert!(!incident["closed_at"].is_null(), "incident {id} is {expected} but not closed");
        incident
    }

    /// Prints the times: fault to alert, alert to decision, to the change, to healthy (seen with kubectl), to the end.
    pub async fn report(&self, api: &Api, id: &str) {
        let timeline = api.timeline(id).await;
        let at = |kind: &str| timeline.iter().find(|e| e["type"] == kind).and_then(|e| micros(&e["at"]));
        let received = at("incident.received");
        let since = |t: Option<i64>| received.zip(t).map_or_else(|| "-".to_owned(), |(r, t)| format!("{:.2} s", (t - r) as f64 / 1e6));
        let last = timeline.last().and_then(|e| micros(&e["at"]));
        let healthy = self.healthy.map_or_else(|| "-".to_owned(), |h| format!("{:.1} s", h.as_secs_f64()));
        tell(&format!(
            "TIMES {:<28} alert\u{2192}decision {}  alert\u{2192}acted {}  alert\u{2192}ended {}  fault\u{2192}healthy (kubectl) {healthy}",
            self.namespace,
            since(at("incident.decided")),
            since(at("step.ended")),
            since(last)
        ));
    }
}

fn micros(at: &Value) -> Option<i64> {
    at.as_str()?.parse::<kubernaut::model::Timestamp>().ok().map(|t| t.as_microsecond())
}

impl Drop for Story {
    fn drop(&mut self) {
        let _ = self.lab.kubectl.try_run(&["delete", "namespace", &self.namespace, "--wait=false"]);
    }
}
