//! Records a namespace of a cluster as a bundle.
//!
//! Values of Secrets are left out, and literal values in pod templates that look like credentials are replaced by marks. Everything else is
//! recorded as it is: ConfigMaps and lines of logs too, so look at a bundle before it leaves the house.

mod collect;
mod files;
mod logs;
mod relevant;
mod veil;
mod yaml;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use kubernaut_core::{Error, Result, model::Timestamp, port::ClusterRead, service::CallContext};

/// What to record beside the objects.
#[derive(Debug, Clone)]
pub struct RecordOptions {
    /// The bundle's id. Default: cluster, namespace and time.
    pub id: Option<String>,
    /// The alert's webhook body, as JSON.
    pub alert: Option<Vec<u8>>,
    /// Further kinds to record from the namespace, as (group, kind), such as custom resources.
    pub extra_kinds: Vec<(String, String)>,
    /// Prometheus queries to record where the cluster offers metrics.
    pub metrics: Vec<String>,
    /// Whether to record the logs of all containers. Default: only of those that restarted or are not ready.
    pub all_logs: bool,
    /// Lines of each log, from its end. Default 1,000.
    pub log_lines: usize,
    /// Bytes of each log, from its end. Default 128 KiB.
    pub log_bytes: usize,
    /// How many logs at most. Default 200.
    pub log_count: usize,
}

impl Default for RecordOptions {
    fn default() -> Self {
        let (extra_kinds, metrics) = (Vec::new(), Vec::new());
        Self { id: None, alert: None, extra_kinds, metrics, all_logs: false, log_lines: 1000, log_bytes: 128 * 1024, log_count: 200 }
    }
}

/// What was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSummary {
    /// The bundle's folder.
    pub dir: PathBuf,
    /// The bundle's id.
    pub id: String,
    /// The cluster's time of the recording.
    pub taken_at: Timestamp,
    /// How many objects of each kind.
    pub objects: BTreeMap<String, usize>,
    /// How many events.
    pub events: usize,
    /// How many logs.
    pub logs: usize,
    /// Kinds that could not be read, with the reason.
    pub left_out: Vec<(String, String)>,
}

impl fmt::Display for RecordSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let objects: usize = self.objects.values().sum();
        write!(f, "recorded {objects} objects, {} events and {} logs as {} in {}", self.events, self.logs, self.id, self.dir.display())?;
        for (kind, reason) in &self.left_out {
            write!(f, "\nleft out {kind}: {reason}")?;
        }
        Ok(())
    }
}

/// Records a namespace, and the objects outside it that matter to it, into the new or empty folder `out`.
///
/// Nothing is written unless everything was read; a kind that these credentials may not read, or that the cluster does not serve, is left
/// out and named in the summary.
///
/// # Errors
/// `NotFound` if there is no such namespace, `InvalidInput` if the folder is not empty or the alert is not JSON, else as
/// [`ClusterRead::list`].
pub async fn record(ctx: CallContext, read: &dyn ClusterRead, namespace: &str, out: &Path, options: RecordOptions) -> Result<RecordSummary> {
    files::check_empty(out)?;
    if let Some(alert) = &options.alert {
        let parsed = serde_json::from_slice::<serde::de::IgnoredAny>(alert);
        parsed.map_err(|e| Error::invalid("record.alert", "the alert is not JSON").source(e))?;
    }
    let collected = collect::collect(&ctx, read, namespace, &options).await?;
    let (dir, namespace) = (out.to_owned(), namespace.to_owned());
    let written = tokio::task::spawn_blocking(move || files::write(&dir, &namespace, &options, collected)).await;
    written.map_err(|e| Error::internal("record.write", "the writing task ended early").source(e))?
}
