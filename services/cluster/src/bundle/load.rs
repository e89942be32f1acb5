//! Reads a bundle's files.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::RwLock,
};

use kubernaut_core::{Error, ErrorKind, Result, model::Timestamp};
use serde_json::Value;

use super::{
    Inner,
    documents::{Source, json, malformed, objects},
    history,
    manifest::ManifestFile,
    metrics, reactions,
    simulation::Simulation,
    store::Store,
};

/// Deepest folder level read below `objects/`; more than any recorder writes, and an end for a link that leads back.
const MAX_DEPTH: usize = 8;

pub(super) fn open(dir: &Path) -> Result<Inner> {
    if !dir.is_dir() {
        return Err(Error::not_found("bundle.open", "no such folder; give the folder that holds bundle.yaml").with("dir", dir.display()));
    }
    let manifest = optional(dir, "bundle.yaml")?.map(|b| ManifestFile::parse("bundle.yaml".as_ref(), &text(b))).transpose()?;
    let alert = optional(dir, "alert.json")?;
    if let Some(bytes) = &alert {
        json::<serde::de::IgnoredAny>("alert.json".as_ref(), bytes)?;
    }
    let history = optional(dir, "history.json")?.map(|b| history::parse("history.json".as_ref(), &b)).transpose()?;
    let metrics = optional(dir, "metrics.json")?.map(|b| metrics::parse("metrics.json".as_ref(), &b)).transpose()?;
    let reactions = optional(dir, "reactions.yaml")?.map(|b| reactions::parse("reactions.yaml".as_ref(), &text(b))).transpose()?;
    let mut store = Store::default();
    for object in objects(&sources(dir)?)? {
        store.put(object);
    }
    logs(&dir.join("logs"), &mut store)?;
    let manifest = manifest.unwrap_or_default().complete(dir, || latest(&store));
    let state = RwLock::new(Simulation::new(store, reactions.unwrap_or_default(), manifest.taken_at));
    Ok(Inner { dir: dir.to_owned(), manifest, alert, history: history.unwrap_or_default(), metrics, state })
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::InvalidInput, "bundle.open", "cannot read this part of the bundle").with("file", path.display()).source(error)
}

fn optional(dir: &Path, name: &str) -> Result<Option<Vec<u8>>> {
    match fs::read(dir.join(name)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(unreadable(&dir.join(name), e)),
    }
}

/// The files with objects and events.
fn sources(dir: &Path) -> Result<Vec<Source>> {
    let mut files = Vec::new();
    collect(&dir.join("objects"), MAX_DEPTH, &mut files)?;
    files.extend(["events.yaml", "events.yml", "events.json"].map(|name| dir.join(name)).into_iter().filter(|path| path.is_file()));
    files.into_iter().map(|path| source(dir, &path)).collect()
}

fn source(dir: &Path, path: &Path) -> Result<Source> {
    let file = path.strip_prefix(dir).unwrap_or(path).to_owned();
    let bytes = fs::read(path).map_err(|e| unreadable(path, e))?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let line = 1 + e.as_bytes().iter().take(e.utf8_error().valid_up_to()).filter(|b| **b == b'\n').count();
        malformed(&file, Some(line), "not UTF-8 text".into())
    })?;
    Ok(Source { file, text })
}

/// Entries of a folder in name order; none if it does not exist.
fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let listing = match fs::read_dir(dir) {
        Ok(listing) => listing,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(unreadable(dir, e)),
    };
    let mut paths = listing.map(|entry| entry.map(|e| e.path())).collect::<io::Result<Vec<_>>>().map_err(|e| unreadable(dir, e))?;
    paths.sort();
    Ok(paths)
}

fn collect(dir: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    for path in entries(dir)? {
        let hidden = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
        if path.is_dir() && depth > 0 {
            collect(&path, depth - 1, files)?;
        } else if !hidden && path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json") {
            files.push(path);
        }
    }
    Ok(())
}

/// Remembers where logs are; they are read when asked for.
fn logs(dir: &Path, store: &mut Store) -> Result<()> {
    for namespace in entries(dir)?.into_iter().filter(|p| p.is_dir()) {
        for pod in entries(&namespace)?.into_iter().filter(|p| p.is_dir()) {
            for file in entries(&pod)?.into_iter().filter(|p| p.is_file()) {
                if let Some((container, previous)) = container_of(&file) {
                    store.put_log((name_of(&namespace), name_of(&pod), container, previous), file);
                }
            }
        }
    }
    Ok(())
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

fn container_of(file: &Path) -> Option<(String, bool)> {
    let name = name_of(file);
    let stem = name.strip_suffix(".log")?;
    Some(stem.strip_suffix(".previous").map_or((stem.to_owned(), false), |container| (container.to_owned(), true)))
}

/// The latest time in the recording, for a bundle that does not say when it was taken.
fn latest(store: &Store) -> Option<Timestamp> {
    let mut latest = None;
    for object in store.all() {
        walk_times(object.value(), &mut latest);
    }
    latest
}

fn walk_times(value: &Value, latest: &mut Option<Timestamp>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let at = value.as_str().filter(|_| key.ends_with("Timestamp") || key.ends_with("Time")).and_then(|t| t.parse().ok());
                *latest = (*latest).max(at);
                walk_times(value, latest);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| walk_times(item, latest)),
        _ => {}
    }
}
