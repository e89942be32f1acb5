//! What was read about an incident, and views on it. I/O is in [`collect`] only.

pub(crate) mod capacity;
pub(crate) mod collect;
pub(crate) mod deps;
pub(crate) mod events;
pub(crate) mod log;
pub(crate) mod managed;
pub(crate) mod metric;
pub(crate) mod netpol;
pub(crate) mod owner;
pub(crate) mod pod;
pub(crate) mod rbac;
pub(crate) mod refs;
pub(crate) mod revision;
pub(crate) mod schedule;
pub(crate) mod service;
pub(crate) mod store;
pub(crate) mod text;
pub(crate) mod workload;

pub(crate) use kubernaut_core::model::quantity;

use kubernaut_core::{
    model::{HistoryEntry, ObjectRef, Timestamp},
    port::{KubeEvent, MetricSeries},
};

/// Everything that rules may look at.
#[derive(Debug)]
pub(crate) struct Facts {
    /// Now, by the cluster's clock.
    pub(crate) now: Timestamp,
    /// The alerted object, as it was asked for.
    pub(crate) target: ObjectRef,
    /// When the alert began; the earliest of its alerts.
    pub(crate) alert_at: Option<Timestamp>,
    /// Whether the alert is about requests rather than about an object's own state.
    pub(crate) about_requests: bool,
    pub(crate) history: Vec<HistoryEntry>,
    pub(crate) store: store::Store,
    pub(crate) events: Vec<KubeEvent>,
    pub(crate) logs: log::Logs,
    pub(crate) metrics: Vec<MetricSeries>,
    pub(crate) peers: deps::Cache,
    /// What nodes have given out, worked out when it is first asked for.
    pub(crate) usage: std::sync::OnceLock<capacity::Usage>,
    /// What could not be read, and why.
    pub(crate) gaps: Vec<String>,
}

impl Facts {
    /// Facts without content, to be filled.
    pub(crate) fn empty(now: Timestamp, target: ObjectRef) -> Self {
        Self {
            now,
            target,
            alert_at: None,
            about_requests: false,
            history: Vec::new(),
            store: store::Store::default(),
            events: Vec::new(),
            logs: log::Logs::default(),
            metrics: Vec::new(),
            peers: deps::Cache::default(),
            usage: std::sync::OnceLock::new(),
            gaps: Vec::new(),
        }
    }
}
