//! Values of the model as databases keep them.

use std::time::Duration;

use kubernaut_core::{
    Error,
    model::{Severity, Timestamp},
};
use serde::{Serialize, de::DeserializeOwned};

use super::fault::Fault;

/// Refuses what a newer version wrote.
pub(crate) fn known_shape(what: &'static str, stored: u32, known: u32) -> Result<(), Fault> {
    if stored <= known {
        return Ok(());
    }
    let error = Error::unsupported("ledger.read", format!("the {what} was written by a newer version of kubernaut; use that version or a newer one"));
    Err(error.with("schema", stored).with("supported", known).into())
}

/// The document of a model value.
pub(crate) fn encode<T: Serialize>(what: &'static str, value: &T) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|source| Fault::Encode { what, source })
}

/// The model value of a document.
pub(crate) fn decode<T: DeserializeOwned>(what: &'static str, id: &str, doc: &str) -> Result<T, Fault> {
    serde_json::from_str(doc).map_err(|source| Fault::Document { what, id: id.to_owned(), source })
}

/// The wire name of a plain enum.
pub(crate) fn wire_name<T: Serialize>(what: &'static str, value: T) -> Result<String, Fault> {
    Ok(encode(what, &value)?.trim_matches('"').to_owned())
}

pub(crate) fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

pub(crate) fn severity_named(name: &str) -> Severity {
    Severity::from_label(name)
}

/// A number as databases keep it.
pub(crate) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A number that is never negative.
pub(crate) fn uint(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

pub(crate) fn time(micros: i64) -> Result<Timestamp, Fault> {
    Timestamp::from_microsecond(micros).map_err(|_| Fault::Value { what: "time", value: micros.to_string() })
}

pub(crate) fn optional_time(micros: Option<i64>) -> Result<Option<Timestamp>, Fault> {
    micros.map(time).transpose()
}

pub(crate) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

pub(crate) fn optional_micros(at: Option<Timestamp>) -> Option<i64> {
    at.map(micros)
}

/// `now` and a while later; the latest time that can be told if that is beyond it.
pub(crate) fn plus(now: Timestamp, while_: Duration) -> Timestamp {
    let micros = i64::try_from(while_.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_microsecond(now.as_microsecond().saturating_add(micros)).unwrap_or(Timestamp::MAX)
}

/// `now` and a while before.
pub(crate) fn minus(now: Timestamp, while_: Duration) -> Timestamp {
    let micros = i64::try_from(while_.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_microsecond(now.as_microsecond().saturating_sub(micros)).unwrap_or(Timestamp::MIN)
}

/// How many rows a caller gets.
pub(crate) fn limit(wanted: Option<u32>, usual: u32, most: u32) -> i64 {
    i64::from(wanted.unwrap_or(usual).min(most))
}
