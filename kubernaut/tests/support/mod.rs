//! A recorded incident that can be changed and analysed again.

#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its own part")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use kubernaut::{Config, analyze_bundle, eval::Prediction, service::CallContext};
use serde::Deserialize;
use serde_json::{Value, json};

pub(crate) fn cases(half: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases").join(half)
}

/// The parts of a bundle.
#[derive(Debug, Clone)]
pub(crate) struct Incident {
    pub manifest: String,
    pub alert: Value,
    pub objects: Vec<Value>,
    pub events: Vec<Value>,
    /// Path below `logs` and text.
    pub logs: BTreeMap<PathBuf, String>,
    pub metrics: Option<Value>,
    pub history: Option<Value>,
}

impl Incident {
    pub(crate) fn read(dir: &Path) -> Self {
        let json = |name: &str| fs::read_to_string(dir.join(name)).ok().map(|t| serde_json::from_str::<Value>(&t).unwrap());
        let mut objects = Vec::new();
        let mut files: Vec<_> = fs::read_dir(dir.join("objects")).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        for file in files {
            objects.extend(documents(&fs::read_to_string(file).unwrap()));
        }
        let mut logs = BTreeMap::new();
        collect(&dir.join("logs"), &dir.join("logs"), &mut logs);
        Self {
            manifest: fs::read_to_string(dir.join("bundle.yaml")).unwrap(),
            alert: json("alert.json").unwrap(),
            objects,
            events: documents(&fs::read_to_string(dir.join("events.yaml")).unwrap()),
            logs,
            metrics: json("metrics.json"),
            history: json("history.json"),
        }
    }

    pub(crate) fn write(&self, dir: &Path) {
        let _ = fs::remove_dir_all(dir);
        fs::create_dir_all(dir.join("objects")).unwrap();
        let list = |items: &[Value]| json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
        fs::write(dir.join("bundle.yaml"), &self.manifest).unwrap();
        fs::write(dir.join("alert.json"), self.alert.to_string()).unwrap();
        fs::write(dir.join("objects/all.json"), list(&self.objects)).unwrap();
        fs::write(dir.join("events.json"), list(&self.events)).unwrap();
        for (path, text) in &self.logs {
            let path = dir.join("logs").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        for (name, value) in [("metrics.json", &self.metrics), ("history.json", &self.history)] {
            if let Some(value) = value {
                fs::write(dir.join(name), value.to_string()).unwrap();
            }
        }
    }

    pub(crate) async fn answer(&self, dir: &Path) -> kubernaut::Result<Prediction> {
        self.write(dir);
        Ok(Prediction::from(&analyze_bundle(CallContext::system("test"), dir, &Config::default()).await?))
    }

    pub(crate) fn of(&mut self, kind: &str) -> impl Iterator<Item = &mut Value> {
        self.objects.iter_mut().filter(move |o| o["kind"] == kind)
    }
}

fn documents(text: &str) -> Vec<Value> {
    serde_yaml_ng::Deserializer::from_str(text).map(|d| Value::deserialize(d).unwrap()).filter(|v| !v.is_null()).collect()
}

fn collect(root: &Path, dir: &Path, out: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, out);
        } else {
            out.insert(path.strip_prefix(root).unwrap().to_owned(), fs::read_to_string(&path).unwrap());
        }
    }
}
