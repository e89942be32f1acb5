//! Whatever comes in: no panic, and one entry for each alert of the array.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::parse;
use crate::SourceKind;

const KINDS: [SourceKind; 2] = [SourceKind::Alertmanager, SourceKind::Native];

fn webhook(alerts: usize) -> Value {
    let alert = |n: usize| {
        json!({
            "status": if n % 3 == 2 { "resolved" } else { "firing" },
            "labels": {"alertname": "KubePodCrashLooping", "namespace": "shop", "pod": format!("web-5566d57b57-4{n:04}"), "severity": "warning"},
            "annotations": {"summary": "A container keeps crashing."},
            "startsAt": "2026-01-01T10:43:38.267Z", "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "http://p/graph", "fingerprint": format!("{n:016x}")
        })
    };
    json!({"version": "4", "status": "firing", "receiver": "hook", "groupLabels": {}, "truncatedAlerts": 0, "alerts": (0..alerts).map(alert).collect::<Vec<_>>()})
}

fn native(alerts: usize) -> Value {
    let alert = |n: usize| json!({"name": "Slow", "status": "firing", "severity": "critical", "target": {"kind": "Pod", "namespace": "shop", "name": format!("p{n}")}, "labels": {"a": "b"}, "starts_at": "2026-01-01T10:43:38Z"});
    json!({"alerts": (0..alerts).map(alert).collect::<Vec<_>>()})
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        "(0000|0001|2026|9999)-(01|12|13)-(01|31)T(00|23|24):00:00(Z|\\+14:00|\\.999999999Z)?".prop_map(Value::from),
        Just(Value::from("x".repeat(70_000))),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((".{0,12}", inner), 0..4).prop_map(|fields| Value::Object(Map::from_iter(fields))),
        ]
    })
}

/// All places in a document, as JSON pointers.
fn places(value: &Value, at: String, into: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| places(value, format!("{at}/{key}"), into)),
        Value::Array(items) => items.iter().enumerate().for_each(|(n, value)| places(value, format!("{at}/{n}"), into)),
        _ => {}
    }
    into.push(at);
}

fn alerts_in(body: &Value) -> Option<usize> {
    Some(body.as_object()?.get("alerts")?.as_array()?.len())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for kind in KINDS {
            prop_assert!(parse(kind, &bytes).is_ok() == serde_json::from_slice::<Value>(&bytes).is_ok_and(|body| alerts_in(&body).is_some()));
        }
    }

    #[test]
    fn cut_and_flipped_bodies_are_answered(cut in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        for (kind, body) in KINDS.into_iter().zip([webhook(3), native(3)]) {
            let mut bytes = body.to_string().into_bytes();
            let place = at.index(bytes.len());
            bytes[place] = byte;
            if let Ok(batch) = parse(kind, &bytes) {
                let read: Value = serde_json::from_slice(&bytes).unwrap();
                prop_assert_eq!(Some(batch.alerts.len()), alerts_in(&read));
            }
            bytes.truncate(cut.index(bytes.len()));
            prop_assert!(parse(kind, &bytes).is_err());
        }
    }

    #[test]
    fn a_wrong_value_anywhere_drops_no_alert_and_spoils_no_other(at in any::<prop::sample::Index>(), value in any_json(), count in 1_usize..5) {
        for (kind, mut body) in KINDS.into_iter().zip([webhook(count), native(count)]) {
            let mut all = Vec::new();
            places(&body, String::new(), &mut all);
            let place = at.get(&all).clone();
            *body.pointer_mut(&place).unwrap() = value.clone();
            match (parse(kind, body.to_string().as_bytes()), alerts_in(&body)) {
                (Ok(batch), Some(alerts)) => {
                    prop_assert_eq!(batch.alerts.len(), alerts);
                    let hit = place.strip_prefix("/alerts/").and_then(|rest| rest.split('/').next()?.parse::<usize>().ok());
                    for (n, alert) in batch.alerts.iter().enumerate().filter(|_| place != "/alerts" && !place.is_empty()) {
                        match alert {
                            Ok(_) => {}
                            Err(reason) => {
                                prop_assert_eq!(Some(n), hit, "{}", reason);
                                prop_assert!(reason.starts_with(&format!("$.alerts[{n}]")) && reason.len() < 2_000, "{}", reason);
                            }
                        }
                    }
                }
                (Ok(_), None) => prop_assert!(false, "accepted without alerts: {}", place),
                (Err(error), alerts) => prop_assert!(alerts.is_none(), "{}: {}", place, error),
            }
        }
    }
}
