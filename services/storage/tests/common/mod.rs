//! What tests of this crate share.

#[cfg(feature = "postgres")]
#[allow(dead_code, reason = "not every test needs a server")]
pub(crate) mod database;

use std::collections::BTreeMap;

use kubernaut_core::{
    model::{Alert, AlertId, AlertStatus, ObjectRef, Severity},
    port::{Clock, SystemClock},
};

/// A firing alert.
pub(crate) fn alert(fingerprint: &str, pod: &str) -> Alert {
    let now = SystemClock.now();
    Alert {
        id: AlertId::new(now),
        source: "test".into(),
        status: AlertStatus::Firing,
        name: "PodCrashLooping".into(),
        severity: Severity::Warning,
        labels: BTreeMap::from([("pod".to_owned(), pod.to_owned())]),
        annotations: BTreeMap::new(),
        starts_at: now,
        ends_at: None,
        received_at: now,
        generator_url: None,
        source_fingerprint: None,
        target: ObjectRef::new("Pod", Some("shop"), pod),
        owner: ObjectRef::new("Deployment", Some("shop"), "web"),
        owner_resolved: true,
        fingerprint: fingerprint.into(),
    }
}
