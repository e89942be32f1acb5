//! Writes a bundle's folder.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use kubernaut_core::{Error, ErrorKind, Result, model::Object, port::MetricSeries};
use serde_json::{Value, json};

use super::{
    RecordOptions, RecordSummary,
    collect::Collected,
    logs::Log,
    veil::{Veil, shorten_managers},
    yaml,
};
use crate::secrets;

/// What the format is called in `bundle.yaml`.
const FORMAT: &str = "incident-bundle/v1";

/// Nothing is overwritten, and two recordings are never mixed.
pub(super) fn check_empty(out: &Path) -> Result<()> {
    let refuse = |message: &'static str| Err(Error::invalid("record.out", message).with("out", out.display()));
    match fs::read_dir(out).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => refuse("the folder is not empty; give a new one"),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(_) => refuse("not a folder that can be read; give a new one"),
    }
}

pub(super) fn write(dir: &Path, namespace: &str, options: &RecordOptions, collected: Collected) -> Result<RecordSummary> {
    let info = &collected.info;
    let id = options.id.clone().unwrap_or_else(|| default_id(&info.id, namespace, &info.now.to_string()));
    let manifest = json!({"id": id, "format": FORMAT, "cluster": info.id, "namespace": namespace, "taken_at": info.now, "version": info.version});
    put(dir, "bundle.yaml", yaml::document(&manifest).as_bytes())?;
    if let Some(alert) = &options.alert {
        put(dir, "alert.json", alert)?;
    }
    let objects = by_kind(&collected.objects);
    let mut veil = Veil::default();
    for (kind, group) in &objects {
        put(dir, &format!("objects/{}.yaml", kind.to_lowercase()), documents(group, &mut veil).as_bytes())?;
    }
    if !collected.events.is_empty() {
        put(dir, "events.yaml", documents(&collected.events.iter().collect::<Vec<_>>(), &mut veil).as_bytes())?;
    }
    let logs = collected.logs.iter().filter(|log| is_file_name(&log.namespace) && is_file_name(&log.pod) && is_file_name(&log.container));
    let mut log_count = 0;
    for log in logs {
        put(dir, &log_path(log), log.text.as_bytes())?;
        log_count += 1;
    }
    if !collected.metrics.is_empty() {
        put(dir, "metrics.json", format!("{:#}", metrics(&collected.metrics)).as_bytes())?;
    }
    Ok(RecordSummary {
        dir: dir.to_owned(),
        id,
        taken_at: info.now,
        objects: objects.into_iter().map(|(kind, group)| (kind.to_owned(), group.len())).collect(),
        events: collected.events.len(),
        logs: log_count,
        left_out: collected.left_out,
    })
}

fn default_id(cluster: &str, namespace: &str, at: &str) -> String {
    let at: String = at.chars().take(19).filter(|c| c.is_ascii_alphanumeric()).collect();
    format!("{cluster}-{namespace}-{at}")
}

fn by_kind(objects: &[Object]) -> BTreeMap<&str, Vec<&Object>> {
    let mut groups: BTreeMap<&str, Vec<&Object>> = BTreeMap::new();
    for object in objects {
        groups.entry(object.kind()).or_default().push(object);
    }
    groups
}

/// One YAML document an object.
fn documents(objects: &[&Object], veil: &mut Veil) -> String {
    let mut text = String::new();
    for object in objects {
        let mut value = object.value().clone();
        secrets::blank(&mut value);
        veil.cover(&mut value);
        shorten_managers(&mut value);
        if !text.is_empty() {
            text.push_str("---\n");
        }
        text.push_str(&yaml::document(&value));
    }
    text
}

/// Names become file names, so one that would lead elsewhere is not written.
fn is_file_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0'])
}

fn log_path(log: &Log) -> String {
    let run = if log.previous { ".previous" } else { "" };
    format!("logs/{}/{}/{}{run}.log", log.namespace, log.pod, log.container)
}

/// As the Prometheus HTTP API writes series, grouped by query.
fn metrics(series: &[MetricSeries]) -> Value {
    let mut queries: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for one in series {
        let values: Vec<Value> = one.values.iter().map(|(at, value)| json!([at.as_millisecond() as f64 / 1000.0, value.to_string()])).collect();
        queries.entry(&one.query).or_default().push(json!({"metric": one.labels, "values": values}));
    }
    json!({"results": queries.into_iter().map(|(query, result)| json!({"query": query, "result": result})).collect::<Vec<_>>()})
}

fn put(dir: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path: PathBuf = dir.join(name);
    let parent = path.parent().unwrap_or(dir);
    fs::create_dir_all(parent).and_then(|()| fs::write(&path, bytes)).map_err(|e| {
        Error::new(ErrorKind::Unavailable, "record.write", "cannot write the bundle; check the folder and the free space")
            .with("file", path.display())
            .source(e)
    })
}
