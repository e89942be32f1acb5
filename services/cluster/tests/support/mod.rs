//! What several test programs need.

#![allow(dead_code, reason = "each test program uses its own part")]

pub(crate) mod kept;
pub(crate) mod live;

use std::{fs, path::Path};

use kubernaut_core::{
    service::CallContext,
    testkit::{ClusterFixture, FIXTURE_LOG_LINES},
};
use serde_json::Value;

pub(crate) fn ctx() -> CallContext {
    CallContext::system("test")
}

/// Writes files into a folder.
pub(crate) fn write(dir: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

/// Writes the fixture as a bundle.
pub(crate) fn write_fixture(dir: &Path, fixture: &ClusterFixture) {
    let objects = fixture.made_objects();
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    let log: String = (1..=FIXTURE_LOG_LINES).map(|n| format!("line {n}\n")).collect();
    write(dir, &[("bundle.yaml", "id: fixture\ntaken_at: '2026-01-01T00:10:00Z'\n"), ("objects/all.json", &list)]);
    for pod in objects.iter().filter(|o| o["kind"] == "Pod") {
        write(dir, &[(&format!("logs/{}/{}/app.log", fixture.namespace, text(pod, "name")), &log)]);
    }
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object["metadata"][key].as_str().unwrap()
}
