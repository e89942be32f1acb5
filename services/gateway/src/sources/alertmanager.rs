//! The webhook of Prometheus Alertmanager, version 4. The only place that knows its camelCase.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kubernaut_core::{
    Result,
    model::{AlertStatus, Severity},
};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{Batch, Incoming, json_path, set_time, take_alerts, time};

/// What is read of one alert; fields that later versions add are passed over.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireAlert {
    status: WireStatus,
    labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "null_is_empty")]
    annotations: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "time")]
    starts_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "time")]
    ends_at: Option<Timestamp>,
    #[serde(default, rename = "generatorURL")]
    generator_url: Option<String>,
    #[serde(default)]
    fingerprint: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum WireStatus {
    Firing,
    Resolved,
}

fn null_is_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A body as a whole, without regard to what is wrong where.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireBatch {
    alerts: Vec<WireAlert>,
    #[serde(default)]
    truncated_alerts: Value,
}

/// Reads a body of which nothing is wrong, in one go; `None` for any other, which [`parse`] then reads piece by piece.
pub(super) fn parse_sound(body: &[u8]) -> Option<Batch> {
    // What is passed over is not looked at, so that all of it is text is asked before.
    let batch: WireBatch = serde_json::from_str(std::str::from_utf8(body).ok()?).ok()?;
    let alerts = batch.alerts.into_iter().enumerate().map(|(index, alert)| incoming(index, alert)).collect();
    Some(Batch { alerts, truncated: batch.truncated_alerts.as_u64().unwrap_or_default() })
}

/// Reads any body, and tells for each alert what is wrong with it.
pub(super) fn parse(mut body: Value) -> Result<Batch> {
    let alerts = take_alerts(&mut body)?;
    let alerts = alerts.into_iter().enumerate().map(|(index, value)| json_path::read_alert(index, value).and_then(|alert| incoming(index, alert)));
    Ok(Batch { alerts: alerts.collect(), truncated: body["truncatedAlerts"].as_u64().unwrap_or_default() })
}

fn incoming(index: usize, wire: WireAlert) -> Result<Incoming, String> {
    let name = wire.labels.get("alertname").map(|name| name.trim()).filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| json_path::wrong(&format!("$.alerts[{index}].labels.alertname"), "the alert has no name"))?.to_owned();
    let status = match wire.status {
        WireStatus::Firing => AlertStatus::Firing,
        WireStatus::Resolved => AlertStatus::Resolved,
    };
    Ok(Incoming {
        status,
        name,
        severity: Severity::from_label(wire.labels.get("severity").map_or("", String::as_str)),
        labels: wire.labels,
        annotations: wire.annotations,
        starts_at: set_time(wire.starts_at),
        // A firing alert may carry the time at which it would end by itself; that is not an end.
        ends_at: set_time(wire.ends_at).filter(|_| status == AlertStatus::Resolved),
        generator_url: wire.generator_url.filter(|url| !url.is_empty()),
        source_fingerprint: wire.fingerprint.filter(|print| !print.is_empty()),
        target: None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn alert() -> Value {
        json!({
            "status": "firing", "labels": {"alertname": "KubePodCrashLooping", "severity": "page", "pod": "p"}, "annotations": {"summary": "s"},
            "startsAt": "2026-06-04T14:54:30.5+02:00", "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "http://p/graph", "fingerprint": "ff82"
        })
    }

    fn parse_alerts(alerts: Value) -> Vec<Result<Incoming, String>> {
        parse(json!({"version": "4", "alerts": alerts})).unwrap().alerts
    }

    #[test]
    fn all_fields_are_read_and_unknown_ones_passed_over() {
        let mut value = alert();
        value["addedLater"] = json!({"a": [1]});
        let read = parse_alerts(json!([value])).remove(0).unwrap();
        assert_eq!((read.status, read.name.as_str(), read.severity), (AlertStatus::Firing, "KubePodCrashLooping", Severity::Critical));
        assert_eq!((read.starts_at, read.ends_at), (Some("2026-06-04T12:54:30.5Z".parse().unwrap()), None));
        assert_eq!((read.annotations["summary"].as_str(), read.source_fingerprint.as_deref()), ("s", Some("ff82")));
        assert_eq!(read.generator_url.as_deref(), Some("http://p/graph"));
    }

    #[test]
    fn a_sound_body_reads_the_same_in_one_go() {
        let mut resolved = alert();
        resolved["status"] = json!("resolved");
        resolved["labels"] = json!({"severity": "page"});
        let body = json!({"version": "4", "truncatedAlerts": 3, "alerts": [alert(), resolved], "later": {"a": [1]}});
        assert_eq!(parse_sound(body.to_string().as_bytes()), Some(parse(body).unwrap()));
        for unsound in [json!({"alerts": [alert(), 5]}), json!({"alerts": {}}), json!([])] {
            assert_eq!(parse_sound(unsound.to_string().as_bytes()), None);
        }
    }

    #[test]
    fn only_a_resolved_alert_has_an_end() {
        let mut value = alert();
        value["endsAt"] = json!("2026-06-04T13:00:00Z");
        assert_eq!(parse_alerts(json!([value.clone()]))[0].as_ref().unwrap().ends_at, None);
        value["status"] = json!("resolved");
        assert_eq!(parse_alerts(json!([value]))[0].as_ref().unwrap().ends_at, Some("2026-06-04T13:00:00Z".parse().unwrap()));
    }

    #[test]
    fn a_time_that_means_never_loses_no_alert() {
        for never in ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999999999-14:00", "9999-12-30T00:00:00Z"] {
            let mut value = alert();
            value["endsAt"] = json!(never);
            assert!(parse_alerts(json!([value.clone()]))[0].is_ok(), "{never}");
            value["status"] = json!("resolved");
            assert!(parse_alerts(json!([value]))[0].as_ref().unwrap().ends_at.is_some(), "{never}");
        }
    }

    #[test]
    fn optional_parts_may_be_absent_or_null() {
        let read = parse_alerts(json!([{"status": "firing", "labels": {"alertname": "A"}, "annotations": null, "startsAt": null}]));
        assert!(read[0].is_ok(), "{read:?}");
    }

    #[test]
    fn a_wrong_value_is_named_by_its_path_and_spoils_no_other_alert() {
        for (field, value, path) in [
            ("status", json!("unknown"), "$.alerts[1].status: "),
            ("status", json!(7), "$.alerts[1].status: "),
            ("labels", json!({"alertname": "A", "a.b": 5}), "$.alerts[1].labels[\"a.b\"]: "),
            ("labels", json!({"alertname": "A", "pod": ["x"]}), "$.alerts[1].labels.pod: "),
            ("labels", json!({"severity": "page"}), "$.alerts[1].labels.alertname: "),
            ("labels", json!(null), "$.alerts[1].labels: "),
            ("annotations", json!({"x": null}), "$.alerts[1].annotations.x: "),
            ("startsAt", json!("yesterday"), "$.alerts[1].startsAt: "),
            ("endsAt", json!(12), "$.alerts[1].endsAt: "),
            ("generatorURL", json!({}), "$.alerts[1].generatorURL: "),
            ("fingerprint", json!(1), "$.alerts[1].fingerprint: "),
        ] {
            let mut bad = alert();
            bad[field] = value;
            let read = parse_alerts(json!([alert(), bad, alert()]));
            assert!(read.len() == 3 && read[0].is_ok() && read[2].is_ok());
            let error = read[1].as_ref().unwrap_err();
            assert!(error.starts_with(path), "{field}: {error}");
        }
        assert!(parse_alerts(json!([5]))[0].as_ref().unwrap_err().starts_with("$.alerts[0]: "));
    }

    #[test]
    fn a_huge_wrong_value_does_not_blow_up_the_answer() {
        let read = parse_alerts(json!([{"status": "é".repeat(100_000), "labels": {"alertname": "A"}}]));
        assert!(read[0].as_ref().unwrap_err().len() < 2_000);
    }
}
