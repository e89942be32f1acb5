//! `history.json`: past incidents, from this program or another.

use std::path::Path;

use kubernaut_core::{
    Result,
    model::{Category, Environment, HistoryEntry, ObjectRef, Outcome, Timestamp},
};
use serde_json::{Value, json};

use super::documents::{json, malformed};

/// Reads a list of past incidents. Field names vary between recorders; only an object and a time are needed.
pub(super) fn parse(file: &Path, bytes: &[u8]) -> Result<Vec<HistoryEntry>> {
    let value: Value = json(file, bytes)?;
    let entries = value.as_array().or_else(|| value["incidents"].as_array());
    let entries = entries.ok_or_else(|| malformed(file, Some(1), "expected a list of incidents".into()))?;
    entries
        .iter()
        .enumerate()
        .map(|(i, e)| entry(e).map_err(|field| malformed(file, None, format!("incident {i} has no readable {field}"))))
        .collect()
}

fn entry(value: &Value) -> Result<HistoryEntry, &'static str> {
    let text = |keys: &[&str]| keys.iter().find_map(|k| value.pointer(k)?.as_str()).map(str::to_owned);
    let time = |key: &str| value[key].as_str().and_then(|t| t.parse::<Timestamp>().ok());
    let closed_at = time("closed_at");
    let category = text(&["/category", "/root_cause/category"]);
    let mut entry = HistoryEntry {
        incident_id: value["incident_id"].as_str().and_then(|id| id.parse().ok()),
        tenant: String::new(),
        fingerprint: text(&["/fingerprint"]).unwrap_or_default(),
        opened_at: time("opened_at").or(closed_at).ok_or("opened_at")?,
        closed_at,
        alert_name: text(&["/alert_name", "/alertname"]).unwrap_or_default(),
        resource: reference(&value["resource"]).ok_or("resource")?,
        environment: text(&["/environment"]).and_then(|e| Environment::from_token(&e)),
        category: category.as_deref().and_then(|c| c.parse::<Category>().ok()),
        cause: [&value["cause"], &value["root_cause"]["object"]].into_iter().find_map(reference),
        action: text(&["/action"]),
        parameters: value.get("parameters").cloned().unwrap_or(Value::Null),
        outcome: value["outcome"].as_str().and_then(outcome),
        effectiveness: value["effectiveness"].as_f64(),
        text: text(&["/text"]).unwrap_or_default(),
    };
    if entry.text.is_empty() {
        entry.text = summary(&entry, value, category.as_deref());
    }
    Ok(entry)
}

fn reference(value: &Value) -> Option<ObjectRef> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Object(_) => serde_json::from_value(value.clone()).ok(),
        _ => None,
    }
}

fn outcome(text: &str) -> Option<Outcome> {
    serde_json::from_value(json!(text.to_ascii_lowercase().replace('-', "_"))).ok()
}

fn summary(entry: &HistoryEntry, value: &Value, category: Option<&str>) -> String {
    let object = entry.resource.to_string();
    let words = [
        value["incident_id"].as_str(),
        Some(entry.alert_name.as_str()),
        Some(object.as_str()),
        category,
        entry.action.as_deref(),
        value["outcome"].as_str(),
        value["summary"].as_str(),
    ];
    words.into_iter().flatten().filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_record_and_our_own_are_both_read() {
        let foreign = json!([{"incident_id": "INC-4", "opened_at": "2026-01-01T00:00:00Z", "alertname": "A", "resource": "Deployment/shop/web",
            "root_cause": {"category": "oom_limit_too_low", "object": "Deployment/shop/web"}, "outcome": "rolled-back", "surprise": [1]}]);
        let read = parse("history.json".as_ref(), foreign.to_string().as_bytes()).unwrap().remove(0);
        assert_eq!((read.resource.group.as_str(), read.category, read.outcome), ("apps", Some(Category::OomLimitTooLow), Some(Outcome::RolledBack)));
        assert_eq!(read.cause.clone().unwrap().to_string(), "Deployment/shop/web");
        assert!(read.text.contains("INC-4") && read.incident_id.is_none());
        let own = serde_json::to_vec(&vec![read.clone()]).unwrap();
        assert_eq!(parse("history.json".as_ref(), &own).unwrap(), [read]);
    }

    #[test]
    fn an_entry_that_cannot_be_placed_is_named() {
        let error = parse("history.json".as_ref(), br#"[{"opened_at": "2026-01-01T00:00:00Z", "resource": "web"}]"#).unwrap_err();
        assert_eq!(error.to_string(), "bundle.open: incident 0 has no readable resource (file=history.json)");
    }
}
