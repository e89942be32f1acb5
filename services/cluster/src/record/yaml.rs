//! YAML that every reader takes for the same value.
//!
//! Readers differ in which plain words are numbers, times or booleans (`on`, `1e3`, `2026-01-01T00:00:00Z`), so only strings that cannot be
//! any of these are written plain.

use std::fmt::Write as _;

use serde_json::Value;

/// One document, with a newline at its end.
pub(super) fn document(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => mapping(map, 0, "", &mut out),
        Value::Array(items) if !items.is_empty() => sequence(items, 0, &mut out),
        _ => {
            out.push_str(&scalar(value));
            out.push('\n');
        }
    }
    out
}

/// `first` stands before the first key in place of its indentation, after a list item's dash.
fn mapping(map: &serde_json::Map<String, Value>, depth: usize, first: &str, out: &mut String) {
    // What an object is comes before what is in it, as everywhere in Kubernetes.
    let leading = ["apiVersion", "kind", "name", "metadata"];
    let rank = |key: &str| leading.iter().position(|l| *l == key).unwrap_or(leading.len());
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by_key(|(key, _)| rank(key));
    for (index, (key, value)) in entries.into_iter().enumerate() {
        if index > 0 || first.is_empty() {
            indent(depth, out);
        } else {
            out.push_str(first);
        }
        out.push_str(&string(key));
        out.push(':');
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                out.push('\n');
                mapping(inner, depth + 1, "", out);
            }
            Value::Array(items) if !items.is_empty() => {
                out.push('\n');
                sequence(items, depth, out);
            }
            Value::String(text) => text_after_key(text, depth + 1, out),
            other => {
                out.push(' ');
                out.push_str(&scalar(other));
                out.push('\n');
            }
        }
    }
}

fn sequence(items: &[Value], depth: usize, out: &mut String) {
    for item in items {
        indent(depth, out);
        match item {
            Value::Object(map) if !map.is_empty() => mapping(map, depth + 1, "- ", out),
            Value::Array(inner) if !inner.is_empty() => {
                // A list in a list is rare enough to be written as JSON, which is YAML too.
                let _ = writeln!(out, "- {}", json(item));
            }
            other => {
                let _ = writeln!(out, "- {}", scalar(other));
            }
        }
    }
}

/// Several lines are written as a block, so that scripts and configuration can be read.
fn text_after_key(text: &str, depth: usize, out: &mut String) {
    let body = text.strip_suffix('\n').unwrap_or(text);
    let printable = body.chars().all(|c| c == '\n' || (c >= ' ' && !is_special(c)));
    let block =
        body.contains('\n') && printable && !body.starts_with([' ', '\n']) && !body.ends_with('\n') && !body.lines().any(|l| l.ends_with(' '));
    if !block {
        let _ = writeln!(out, " {}", string(text));
        return;
    }
    out.push_str(if text.ends_with('\n') { " |\n" } else { " |-\n" });
    for line in body.split('\n') {
        if !line.is_empty() {
            indent(depth, out);
            out.push_str(line);
        }
        out.push('\n');
    }
}

fn indent(depth: usize, out: &mut String) {
    out.extend(std::iter::repeat_n("  ", depth));
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => string(text),
        other => other.to_string(),
    }
}

/// A string, plain where it can be nothing else, else as JSON writes it.
fn string(text: &str) -> String {
    const WORDS: &[&str] = &["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./()".contains(c);
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.split(' ').all(|word| !word.is_empty() && word.chars().all(plain))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if is_plain { text.to_owned() } else { json(&Value::from(text)) }
}

/// JSON is YAML but for characters that YAML allows only as escapes.
fn json(value: &Value) -> String {
    let text = value.to_string();
    let escape = |c: char| if is_special(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    if text.contains(is_special) { text.chars().map(escape).collect() } else { text }
}

/// Control characters above those that JSON escapes, line separators, the byte order mark, and what is no character.
fn is_special(c: char) -> bool {
    matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn words_that_a_reader_could_take_for_something_else_are_quoted() {
        let value = json!({"kind": "Pod", "apiVersion": "v1", "a": ["yes", "on", "1e3", "98e749874", "2026-01-01T00:00:00Z", "", "~", "0x1f", "- x", "a: b", "plain text"],
            "script": "line one\n\tline two\n", "end": "a\nb", "odd": "a\n b \n", "n": null, "list": [], "map": {}, "deep": [[1, "x"], {"k": "v", "l": [1]}]});
        let text = document(&value);
        let expected = "apiVersion: v1\nkind: Pod\na:\n- \"yes\"\n- \"on\"\n- \"1e3\"\n- \"98e749874\"\n- \"2026-01-01T00:00:00Z\"\n- \"\"\n- \"~\"\n- \"0x1f\"\n- \"- x\"\n\
            - \"a: b\"\n- plain text\ndeep:\n- [1,\"x\"]\n- k: v\n  l:\n  - 1\nend: |-\n  a\n  b\nlist: []\nmap: {}\n\"n\": null\nodd: \"a\\n b \\n\"\nscript: \"line one\\n\\tline two\\n\"\n";
        assert_eq!(text, expected);
        assert_eq!(serde_yaml_ng::from_str::<Value>(&text).unwrap(), value);
    }

    fn value() -> impl Strategy<Value = Value> {
        let text = prop_oneof!["[ -~\n]{0,12}", "[a-z0-9.: #-]{0,8}", "\\PC{0,6}", ".{0,6}"];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            text.clone().prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 24, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(text.clone(), inner, 0..5).prop_map(|m| m.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_is_read(value in value()) {
            let text = document(&value);
            let read: Value = serde_yaml_ng::from_str(&text).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
            prop_assert_eq!(read, value, "{}", text);
        }
    }
}
