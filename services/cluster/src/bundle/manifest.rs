//! `bundle.yaml`: what the recording is and when it was taken.

use std::path::Path;

use kubernaut_core::{Result, model::Timestamp};
use serde::Deserialize;

use super::documents::malformed;

/// What `bundle.yaml` says, with what is missing filled in.
#[derive(Debug, Clone)]
pub(super) struct Manifest {
    pub(super) id: String,
    pub(super) cluster: String,
    pub(super) taken_at: Timestamp,
    pub(super) version: Option<String>,
}

/// `bundle.yaml` as written. Keys that are not known are allowed.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ManifestFile {
    id: Option<String>,
    cluster: Option<String>,
    taken_at: Option<Timestamp>,
    version: Option<String>,
}

impl ManifestFile {
    pub(super) fn parse(file: &Path, text: &str) -> Result<Self> {
        let parsed: Option<Self> =
            serde_yaml_ng::from_str(text).map_err(|e| malformed(file, e.location().map(|l| l.line()), format!("not a bundle manifest: {e}")))?;
        Ok(parsed.unwrap_or_default())
    }

    /// Fills in what is missing: the folder's name, and the latest time seen in the recording.
    pub(super) fn complete(self, dir: &Path, latest: impl FnOnce() -> Option<Timestamp>) -> Manifest {
        let id = self.id.unwrap_or_else(|| dir.file_name().map_or_else(|| "bundle".into(), |n| n.to_string_lossy().into_owned()));
        Manifest {
            cluster: self.cluster.unwrap_or_else(|| id.clone()),
            id,
            taken_at: self.taken_at.or_else(latest).unwrap_or(Timestamp::UNIX_EPOCH),
            version: self.version,
        }
    }
}
