//! The demo on a recorded incident.

use std::path::PathBuf;

use kubernaut::{Config, Error, Result, services::cluster::BundleCluster};
use rust_embed::RustEmbed;
use serde_json::Value;

use super::client::Client;

/// The recorded incident that ships with the program.
#[derive(RustEmbed)]
#[folder = "../examples/bundles/crashing-release"]
struct Shipped;

#[derive(Debug)]
pub(super) struct RecordedScene {
    pub(super) id: String,
    pub(super) dir: PathBuf,
    pub(super) namespace: String,
    alert: Vec<u8>,
    /// Set if the folder was unpacked for this run.
    unpacked: bool,
}

impl RecordedScene {
    pub(super) fn open(given: Option<PathBuf>) -> Result<Self> {
        let unpacked = given.is_none();
        let dir = match given {
            Some(dir) => dir,
            None => unpack()?,
        };
        let bundle = BundleCluster::open(&dir)?;
        let alert = bundle.alert_json().ok_or_else(|| Error::invalid("demo", "the bundle has no alert.json").with("path", dir.display()))?.to_vec();
        let body: Value =
            serde_json::from_slice(&alert).map_err(|e| Error::invalid("demo", "alert.json is not JSON").with("path", dir.display()).source(e))?;
        let namespace = body.pointer("/alerts/0/labels/namespace").and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(Self { id: bundle.id().to_owned(), dir, namespace, alert, unpacked })
    }

    pub(super) fn configure(&self, config: &mut Config) {
        config.cluster.bundle = Some(self.dir.clone());
        // Nothing reconciles in a recording: what is going to happen has happened by the next look.
        config.processor.verification.window_s = 3;
        config.processor.verification.interval_ms = 500;
    }

    pub(super) async fn raise_alert(&self, client: &Client) -> Result<String> {
        let answer = client.post_alerts(self.alert.clone()).await?;
        Ok(format!("Posted the recorded Alertmanager webhook: answered {answer}"))
    }

    pub(super) fn close(self) -> Result<()> {
        if self.unpacked {
            std::fs::remove_dir_all(&self.dir)
                .map_err(|e| Error::internal("demo", "cannot remove the unpacked bundle").with("path", self.dir.display()).source(e))?;
        }
        Ok(())
    }
}

fn unpack() -> Result<PathBuf> {
    let dir = std::env::temp_dir().join(format!("kubernaut-bundle-{}", uuid::Uuid::now_v7()));
    let failed = |e: std::io::Error| Error::invalid("demo", "cannot unpack the shipped bundle").with("path", dir.display()).source(e);
    for name in Shipped::iter() {
        let Some(file) = Shipped::get(&name) else { continue };
        let path = dir.join(name.as_ref());
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        std::fs::write(&path, file.data).map_err(failed)?;
    }
    Ok(dir)
}
