//! From a body to alerts, one file a format.

mod alertmanager;
#[cfg(test)]
mod fuzz;
mod json_path;
mod native;

use std::collections::BTreeMap;

use jiff::Timestamp;
use kubernaut_core::{
    Error, Result,
    model::{AlertStatus, ObjectRef, Severity},
};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;

use crate::SourceKind;

pub(crate) use native::from_values;
pub use native::{NativeAlert, NativeBatch, NativeTarget};

pub(crate) const OPERATION: &str = "gateway.parse";

/// One alert of a request, before its target is known.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Incoming {
    pub(crate) status: AlertStatus,
    pub(crate) name: String,
    pub(crate) severity: Severity,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) starts_at: Option<Timestamp>,
    pub(crate) ends_at: Option<Timestamp>,
    pub(crate) generator_url: Option<String>,
    pub(crate) source_fingerprint: Option<String>,
    /// The object that the sender names itself.
    pub(crate) target: Option<ObjectRef>,
}

/// A request in parsed form: one entry for each alert in the body, in its order. An alert that is wrong carries the reason, with its JSON path.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Batch {
    pub(crate) alerts: Vec<Result<Incoming, String>>,
    /// Alerts that the sender says it left out.
    pub(crate) truncated: u64,
}

/// Parses a body in the format `kind`.
///
/// # Errors
/// `InvalidInput` with the JSON path if the body as a whole is not of that format.
pub(crate) fn parse(kind: SourceKind, body: &[u8]) -> Result<Batch> {
    if kind == SourceKind::Alertmanager
        && let Some(batch) = alertmanager::parse_sound(body)
    {
        return Ok(batch);
    }
    let value: Value = serde_json::from_slice(body).map_err(|e| {
        Error::invalid(OPERATION, "the body is not JSON").with("path", "$").with("line", e.line()).with("column", e.column()).source(e)
    })?;
    match kind {
        SourceKind::Alertmanager => alertmanager::parse(value),
        SourceKind::Native => native::parse(value),
    }
}

/// The array `alerts` of a body.
fn take_alerts(body: &mut Value) -> Result<Vec<Value>> {
    let wrong = |path: &'static str, message: &'static str| Error::invalid(OPERATION, message).with("path", path);
    let Value::Object(fields) = body else {
        return Err(wrong("$", "the body must be a JSON object with the array `alerts`"));
    };
    match fields.remove("alerts") {
        Some(Value::Array(alerts)) => Ok(alerts),
        Some(_) => Err(wrong("$.alerts", "`alerts` must be an array")),
        None => Err(wrong("$.alerts", "`alerts` is missing; send an array, which may be empty")),
    }
}

/// Reads a time. Senders write the last second of the year 9999 for "never", which lies a few hours behind the last time that can be kept: that is
/// no reason to lose an alert.
fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    match text.parse() {
        Err(_) if text.starts_with("9999-12-3") => Ok(Some(Timestamp::MAX)),
        read => read.map(Some).map_err(D::Error::custom),
    }
}

/// Times as the sender's zero value (year 1) mean "not set"; others are cut to microseconds, as they are stored.
fn set_time(at: Option<Timestamp>) -> Option<Timestamp> {
    let at = at?;
    (at.as_second() > YEAR_TWO).then(|| Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at))
}

const YEAR_TWO: i64 = -62_104_060_800;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_is_no_batch_names_the_path() {
        for (body, path) in [
            ("", "path=$"),
            ("{\"alerts\": [", "path=$"),
            ("[]", "path=$"),
            ("{}", "path=$.alerts"),
            ("{\"alerts\": null}", "path=$.alerts"),
            ("{\"alerts\": {}}", "path=$.alerts"),
        ] {
            for kind in [SourceKind::Alertmanager, SourceKind::Native] {
                let error = parse(kind, body.as_bytes()).unwrap_err();
                assert!(error.to_string().contains(path), "{body}: {error}");
            }
        }
    }

    #[test]
    fn the_zero_time_is_not_set() {
        let time = |text: &str| set_time(Some(text.parse().unwrap()));
        assert_eq!(time("0001-01-01T00:00:00Z"), None);
        assert_eq!(time("2026-01-01T00:00:00.123456789Z"), Some("2026-01-01T00:00:00.123456Z".parse().unwrap()));
    }
}
