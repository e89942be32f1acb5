//! YAML and JSON files as a flat list of Kubernetes objects.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use kubernaut_core::{Error, Result};
use serde_json::Value;

/// Below this much text a second thread costs more than it saves.
const PARALLEL_FROM: usize = 24 * 1024;

/// A file's text, with its path relative to the bundle.
pub(super) struct Source {
    pub(super) file: PathBuf,
    pub(super) text: String,
}

/// One document of a file, and the line it starts on (from 0).
struct Document<'a> {
    file: &'a Path,
    line: usize,
    text: &'a str,
}

/// An error about a place in a file of the bundle.
pub(super) fn malformed(file: &Path, line: Option<usize>, message: String) -> Error {
    let error = Error::invalid("bundle.open", message).with("file", file.display());
    match line {
        Some(line) => error.with("line", line),
        None => error,
    }
}

/// All objects of the files, in order; members of Lists one by one.
pub(super) fn objects(sources: &[Source]) -> Result<Vec<Value>> {
    let documents: Vec<Document<'_>> = sources.iter().flat_map(split).collect();
    let mut objects = Vec::with_capacity(documents.len());
    for (document, value) in documents.iter().zip(parse_all(&documents)) {
        flatten(document, value?, &mut objects)?;
    }
    Ok(objects)
}

/// A line `---` at the left margin always separates documents: text inside a block scalar is indented.
fn split(source: &Source) -> Vec<Document<'_>> {
    let whole = Document { file: &source.file, line: 0, text: &source.text };
    if is_json(&source.file) {
        return vec![whole];
    }
    let (mut documents, mut current, mut offset) = (Vec::new(), whole, 0);
    let mut start = 0;
    for (number, line) in source.text.split_inclusive('\n').enumerate() {
        if offset > start && line.starts_with("---") && line[3..].chars().next().is_none_or(char::is_whitespace) {
            documents.push(Document { text: &source.text[start..offset], ..current });
            start = offset;
            current = Document { file: &source.file, line: number, text: "" };
        }
        offset += line.len();
    }
    documents.push(Document { text: &source.text[start..], ..current });
    documents
}

fn is_json(file: &Path) -> bool {
    file.extension().is_some_and(|e| e == "json")
}

fn parse_all(documents: &[Document<'_>]) -> Vec<Result<Value>> {
    let size: usize = documents.iter().map(|d| d.text.len()).sum();
    let workers = if size < PARALLEL_FROM { 1 } else { thread::available_parallelism().map_or(1, usize::from).min(8) };
    if workers == 1 {
        return documents.iter().map(parse).collect();
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(document) = documents.get(index) else { return done };
            done.push((index, parse(document)));
        }
    };
    let mut parsed: Vec<(usize, Result<Value>)> = thread::scope(|scope| {
        let others: Vec<_> = (1..workers).map(|_| scope.spawn(work)).collect();
        let mut all = work();
        for other in others {
            // A worker that panicked took its documents with it; they are parsed again below.
            all.extend(other.join().unwrap_or_default());
        }
        all
    });
    parsed.sort_by_key(|(index, _)| *index);
    if parsed.len() == documents.len() {
        return parsed.into_iter().map(|(_, value)| value).collect();
    }
    documents.iter().map(parse).collect()
}

fn parse(document: &Document<'_>) -> Result<Value> {
    if is_json(document.file) {
        return json(document.file, document.text.as_bytes());
    }
    serde_yaml_ng::from_str(document.text).map_err(|e| {
        let line = document.line + e.location().map_or(1, |l| l.line());
        malformed(document.file, Some(line), format!("not valid YAML: {}", without_position(&e.to_string())))
    })
}

/// The parser counts from the start of its document; a position of its own would contradict ours.
fn without_position(message: &str) -> &str {
    message.split_once(" at line ").map_or(message, |(text, _)| text)
}

/// One JSON file.
pub(super) fn json<T: serde::de::DeserializeOwned>(file: &Path, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| malformed(file, Some(e.line()), format!("not valid JSON: {}", without_position(&e.to_string()))))
}

fn flatten(document: &Document<'_>, value: Value, out: &mut Vec<Value>) -> Result<()> {
    match value {
        Value::Null => Ok(()),
        Value::Array(items) => items.into_iter().try_for_each(|item| flatten(document, item, out)),
        Value::Object(mut map) => {
            let kind = map.get("kind").and_then(Value::as_str).unwrap_or_default();
            let Some(item_kind) = kind.strip_suffix("List").map(str::to_owned).filter(|_| map.get("items").is_some_and(Value::is_array)) else {
                return push_object(document, Value::Object(map), out);
            };
            let version = map.get("apiVersion").cloned().unwrap_or_default();
            let items = map.remove("items").and_then(|items| if let Value::Array(items) = items { Some(items) } else { None });
            items.unwrap_or_default().into_iter().try_for_each(|item| flatten(document, typed(item, &item_kind, &version), out))
        }
        _ => Err(malformed(document.file, Some(document.line + 1), "expected a Kubernetes object or a List of them".into())),
    }
}

/// Items of a typed list, as the API server sends it, have no kind of their own.
fn typed(mut item: Value, kind: &str, version: &Value) -> Value {
    if let Some(map) = item.as_object_mut().filter(|m| !kind.is_empty() && !m.contains_key("kind")) {
        map.insert("kind".into(), kind.into());
        map.entry("apiVersion").or_insert_with(|| version.clone());
    }
    item
}

fn push_object(document: &Document<'_>, value: Value, out: &mut Vec<Value>) -> Result<()> {
    let missing = ["/apiVersion", "/kind", "/metadata/name"].into_iter().find(|p| value.pointer(p).and_then(Value::as_str).is_none_or(str::is_empty));
    match missing {
        Some(field) => Err(malformed(document.file, Some(document.line + 1), format!("a Kubernetes object without {field}"))),
        None => {
            out.push(value);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(file: &str, text: &str) -> Source {
        Source { file: file.into(), text: text.into() }
    }

    #[test]
    fn documents_lists_and_json_give_one_flat_list() {
        let yaml = "# made by hand\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  text: |\n    ---\n    not a separator\n--- # next\n\
                    apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: b}\n---\n";
        let json = r#"{"kind": "PodList", "apiVersion": "v1", "items": [{"metadata": {"name": "c"}}]}"#;
        let all = objects(&[source("a.yaml", yaml), source("b.json", json)]).unwrap();
        let names: Vec<_> = all.iter().map(|o| format!("{}/{}", o["kind"].as_str().unwrap(), o["metadata"]["name"].as_str().unwrap())).collect();
        assert_eq!(names, ["ConfigMap/a", "ConfigMap/b", "Pod/c"]);
        assert_eq!(all[0]["data"]["text"], "---\nnot a separator\n");
    }

    #[test]
    fn an_error_names_the_file_and_the_line_in_it() {
        let good = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
        for (bad, line) in [
            (format!("{good}---\nkind: Pod\n  metadata: x\n"), "line=6"),
            (format!("{good}---\nkind: Pod\n"), "line=4"),
            ("just text\n".into(), "line=1"),
        ] {
            let error = objects(&[source("objects/pod.yaml", &bad)]).unwrap_err().to_string();
            assert!(error.contains("file=objects/pod.yaml") && error.contains(line), "{error}");
        }
        let error = objects(&[source("x.json", "{\n\"a\": }")]).unwrap_err().to_string();
        assert!(error.contains("line=2"), "{error}");
    }
}
