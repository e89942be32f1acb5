//! Kubernaut's own JSON, for senders that are not Alertmanager.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kubernaut_core::{
    Error, Result,
    model::{AlertStatus, ObjectRef, Severity, well_known_kinds},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Batch, Incoming, OPERATION, json_path, set_time, take_alerts, time};
use crate::target::is_safe_name;

/// Body of the native endpoint. An example:
///
/// ```json
/// {"alerts": [{"name": "CheckoutSlow", "severity": "critical", "target": {"kind": "Deployment", "namespace": "shop", "name": "checkout"},
///   "annotations": {"summary": "p99 above 2 s"}}]}
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NativeBatch {
    /// The alerts; may be empty.
    pub alerts: Vec<NativeAlert>,
}

/// One alert. It names its object by `target`, or by labels as Prometheus rules use them (`namespace`, `pod`, `deployment` …).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NativeAlert {
    /// The alert's name, such as `CheckoutSlow`.
    pub name: String,
    /// Firing or resolved. Default `firing`.
    #[serde(default = "firing")]
    pub status: AlertStatus,
    /// `critical`, `warning`, `info`, or a word of a common scale (`page`, `sev1`, `p3` …). Default `warning`.
    #[serde(default = "warning")]
    pub severity: String,
    /// The alerted object; without it the labels are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<NativeTarget>,
    /// Labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Texts for people, such as `summary` and `description`.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// When the condition began. Default: when it is received.
    #[serde(default, deserialize_with = "time", skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Timestamp>,
    /// When it ended, of a resolved alert. Default: when it is received.
    #[serde(default, deserialize_with = "time", skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// Link to the rule or query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generator_url: Option<String>,
    /// The sender's own identity of the alert; the resolved alert must carry the same. Default: derived from name, target and labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_fingerprint: Option<String>,
}

/// The alerted object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NativeTarget {
    /// Kind, such as `Deployment`.
    pub kind: String,
    /// Namespace; not for cluster-scoped objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
    /// API group; only needed for kinds that are not built in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

fn firing() -> AlertStatus {
    AlertStatus::Firing
}

fn warning() -> String {
    "warning".to_owned()
}

pub(super) fn parse(mut body: Value) -> Result<Batch> {
    let alerts = take_alerts(&mut body)?;
    if let Some(field) = body.as_object().and_then(|rest| rest.keys().next()) {
        return Err(Error::invalid(OPERATION, "unknown field; the body has only `alerts`").with("path", json_path::wrong("$", field)));
    }
    let alerts = alerts.into_iter().enumerate().map(|(index, value)| json_path::read_alert(index, value).and_then(|alert| incoming(index, alert)));
    Ok(Batch { alerts: alerts.collect(), truncated: 0 })
}

/// The same checks for alerts that come as values.
pub(crate) fn from_values(batch: NativeBatch) -> Batch {
    Batch { alerts: batch.alerts.into_iter().enumerate().map(|(index, alert)| incoming(index, alert)).collect(), truncated: 0 }
}

fn incoming(index: usize, alert: NativeAlert) -> Result<Incoming, String> {
    let path = |field: &str| format!("$.alerts[{index}]{field}");
    if alert.name.trim().is_empty() {
        return Err(json_path::wrong(&path(".name"), "the alert has no name"));
    }
    if alert.target.is_none() && alert.labels.is_empty() {
        return Err(json_path::wrong(&path(""), "name the object by `target`, or give labels"));
    }
    let source_fingerprint = alert.source_fingerprint.clone().filter(|print| !print.is_empty()).unwrap_or_else(|| derived_fingerprint(&alert));
    let target = alert.target.map(|target| reference(target).map_err(|(field, message)| json_path::wrong(&path(field), &message))).transpose()?;
    Ok(Incoming {
        status: alert.status,
        name: alert.name.trim().to_owned(),
        severity: Severity::from_label(&alert.severity),
        labels: alert.labels,
        annotations: alert.annotations,
        starts_at: set_time(alert.starts_at),
        ends_at: set_time(alert.ends_at).filter(|_| alert.status == AlertStatus::Resolved),
        generator_url: alert.generator_url.filter(|url| !url.is_empty()),
        source_fingerprint: Some(source_fingerprint),
        target,
    })
}

fn reference(target: NativeTarget) -> Result<ObjectRef, (&'static str, String)> {
    if !is_safe_name(&target.name) {
        return Err((".target.name", format!("not a name of a Kubernetes object: {:?}", target.name)));
    }
    if let Some(namespace) = target.namespace.as_deref().filter(|n| !is_safe_name(n)) {
        return Err((".target.namespace", format!("not a namespace: {namespace:?}")));
    }
    let known = well_known_kinds().iter().find(|known| known.kind.eq_ignore_ascii_case(&target.kind));
    let kind = known.map_or(target.kind.as_str(), |known| known.kind);
    if !kind.starts_with(|c: char| c.is_ascii_alphabetic()) || !kind.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err((".target.kind", format!("not a kind: {:?}", target.kind)));
    }
    if target.namespace.is_none() && known.is_some_and(|known| known.namespaced) {
        return Err((".target.namespace", format!("a {kind} needs a namespace")));
    }
    let reference = ObjectRef::new(kind, target.namespace.as_deref(), target.name);
    Ok(match target.group {
        Some(group) => reference.with_group(group),
        None => reference,
    })
}

fn derived_fingerprint(alert: &NativeAlert) -> String {
    let identity = serde_json::json!([alert.name, alert.target, alert.labels]);
    let mut print = hex::encode(Sha256::digest(identity.to_string()));
    print.truncate(16);
    print
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(alert: Value) -> Result<Incoming, String> {
        parse(json!({"alerts": [alert]})).unwrap().alerts.remove(0)
    }

    #[test]
    fn a_short_alert_is_enough_and_its_end_has_the_same_identity() {
        let target = json!({"kind": "deployment", "namespace": "shop", "name": "web"});
        let fired = read(json!({"name": "Slow", "target": target})).unwrap();
        assert_eq!(fired.target, Some(ObjectRef::new("Deployment", Some("shop"), "web")));
        assert_eq!((fired.status, fired.severity), (AlertStatus::Firing, Severity::Warning));
        let ended = read(json!({"name": "Slow", "target": target, "status": "resolved", "ends_at": "2026-01-01T00:00:00Z"})).unwrap();
        assert_eq!(fired.source_fingerprint, ended.source_fingerprint);
        let other = read(json!({"name": "Down", "target": target})).unwrap();
        assert_ne!(fired.source_fingerprint, other.source_fingerprint);
    }

    #[test]
    fn what_is_wrong_is_named_by_its_path() {
        let pod = |name: &str| json!({"kind": "Pod", "namespace": "shop", "name": name});
        for (alert, path) in [
            (json!({"target": pod("p")}), "$.alerts[0]: missing field `name`"),
            (json!({"name": " ", "target": pod("p")}), "$.alerts[0].name: "),
            (json!({"name": "A"}), "$.alerts[0]: name the object"),
            (json!({"name": "A", "severty": "x", "target": pod("p")}), "$.alerts[0].severty: unknown field"),
            (json!({"name": "A", "status": "on", "target": pod("p")}), "$.alerts[0].status: "),
            (json!({"name": "A", "target": pod("../../nodes/n1")}), "$.alerts[0].target.name: "),
            (json!({"name": "A", "target": pod("..")}), "$.alerts[0].target.name: "),
            (json!({"name": "A", "target": {"kind": "Pod", "name": "p"}}), "$.alerts[0].target.namespace: a Pod needs"),
            (json!({"name": "A", "target": {"kind": "", "name": "p"}}), "$.alerts[0].target.kind: "),
            (json!({"name": "A", "labels": {"pod": 1}}), "$.alerts[0].labels.pod: "),
        ] {
            let error = read(alert).unwrap_err();
            assert!(error.starts_with(path), "wanted {path}, got {error}");
        }
    }

    #[test]
    fn kinds_that_are_not_built_in_keep_their_group() {
        let target = json!({"kind": "Widget", "namespace": "shop", "name": "w", "group": "example.org"});
        assert_eq!(
            read(json!({"name": "A", "target": target})).unwrap().target,
            Some(ObjectRef::new("Widget", Some("shop"), "w").with_group("example.org"))
        );
    }

    #[test]
    fn the_schema_describes_what_is_read() {
        let schema = serde_json::to_value(schemars::schema_for!(NativeBatch)).unwrap();
        assert_eq!(schema["required"], json!(["alerts"]));
        assert_eq!(schema["$defs"]["NativeAlert"]["required"], json!(["name"]));
    }
}
