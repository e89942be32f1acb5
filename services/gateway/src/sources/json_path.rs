//! Errors that name the JSON path.

use std::fmt::Write as _;

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

/// Longest error text of one alert: a wrong value is shown, a huge one is cut.
const LONGEST: usize = 300;

/// Reads one entry of `$.alerts`.
pub(super) fn read_alert<T: DeserializeOwned>(index: usize, value: Value) -> Result<T, String> {
    serde_path_to_error::deserialize(value).map_err(|e| {
        let mut path = format!("$.alerts[{index}]");
        e.path().iter().for_each(|segment| push(&mut path, segment));
        wrong(&path, &e.into_inner().to_string())
    })
}

/// `path: message`, cut to a readable length.
pub(super) fn wrong(path: &str, message: &str) -> String {
    format!("{}: {}", cut(path), cut(message))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn push(path: &mut String, segment: &Segment) {
    // Writing to a String cannot fail.
    let _ = match segment {
        Segment::Seq { index } => write!(path, "[{index}]"),
        Segment::Map { key } | Segment::Enum { variant: key } if is_plain(key) => write!(path, ".{key}"),
        Segment::Map { key } | Segment::Enum { variant: key } => write!(path, "[{}]", Value::from(key.as_str())),
        Segment::Unknown => write!(path, ".?"),
    };
}

fn is_plain(key: &str) -> bool {
    key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
