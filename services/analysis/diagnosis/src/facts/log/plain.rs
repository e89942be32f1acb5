//! Log lines as text, whatever they are written in: of a JSON line its level, message and fields; escaped quotes as quotes.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// Characters of a line that are looked at.
const MOST: usize = 4_000;

/// Fields that say what happened, in the order in which a reader wants them.
const FIRST: &[&str] = &["level", "severity", "lvl", "message", "msg", "event", "error", "err", "exception", "cause", "reason"];

/// A line as text.
pub(crate) fn plain(line: &str) -> Cow<'_, str> {
    if let Some(text) = of_json(line) {
        return Cow::Owned(text);
    }
    if line.contains("\\\"") { Cow::Owned(line.replace("\\\"", "\"")) } else { Cow::Borrowed(line) }
}

fn of_json(line: &str) -> Option<String> {
    let trimmed = line.trim_end();
    let start = trimmed.find('{').filter(|_| trimmed.ends_with('}') && trimmed.len() <= 64 * 1024)?;
    let fields: Map<String, Value> = serde_json::from_str(&trimmed[start..]).ok()?;
    let mut out = trimmed[..start].trim_end().to_owned();
    for key in FIRST {
        if let Some(value) = fields.get(*key) {
            add(&mut out, key, value, matches!(*key, "message" | "msg" | "event"));
        }
    }
    for (key, value) in fields.iter().filter(|(k, _)| !FIRST.contains(&k.as_str())) {
        add(&mut out, key, value, false);
    }
    Some(out)
}

/// Adds a field; a message stands by itself, a nested one by its last key.
fn add(out: &mut String, key: &str, value: &Value, bare: bool) {
    if out.len() > MOST {
        return;
    }
    let text = match value {
        Value::Object(inner) => {
            inner.iter().for_each(|(k, v)| add(out, k, v, matches!(k.as_str(), "message" | "msg")));
            return;
        }
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("; "),
        Value::String(text) => text.replace(['\n', '\t'], "; "),
        Value::Null => return,
        other => other.to_string(),
    };
    if !out.is_empty() {
        out.push(' ');
    }
    if !bare {
        out.push_str(key);
        out.push('=');
    }
    out.push_str(&text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_line_reads_as_level_message_and_fields() {
        let line = r#"{"ts":"2026-06-04T12:57:28Z","level":"error","msg":"cannot list","err":{"message":"pods is forbidden: User \"a\""},"n":3}"#;
        assert_eq!(plain(line), "level=error cannot list pods is forbidden: User \"a\" n=3 ts=2026-06-04T12:57:28Z");
        assert_eq!(plain("2026-06-04 stdout F {\"msg\":\"x\"}"), "2026-06-04 stdout F x");
    }

    #[test]
    fn other_lines_keep_their_text() {
        assert_eq!(plain("plain {not json}"), "plain {not json}");
        assert_eq!(plain(r#"level=error msg="User \"a\" cannot""#), r#"level=error msg="User "a" cannot""#);
    }
}
