//! What can be seen of the cache from outside.

use kubernaut_core::model::KnownKind;
use metrics::{counter, gauge};

use super::{budget::Amount, shelf::State};

pub(super) fn describe() {
    metrics::describe_gauge!("kubernaut_cluster_cache_objects", "Objects kept, by kind.");
    metrics::describe_gauge!("kubernaut_cluster_cache_bytes", "Bytes kept, as estimated, by kind.");
    metrics::describe_gauge!("kubernaut_cluster_cache_state", "1 for the state that a kind is in, else 0.");
    metrics::describe_counter!("kubernaut_cluster_cache_reads_total", "Reads of kept kinds, by where the answer came from.");
    metrics::describe_counter!("kubernaut_cluster_cache_dropped_total", "Times that a kind did not fit and was given up.");
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floats; counts this large do not occur")]
pub(super) fn status(kind: &KnownKind, (state, held): (State, Amount)) {
    gauge!("kubernaut_cluster_cache_objects", "kind" => kind.kind).set(held.objects as f64);
    gauge!("kubernaut_cluster_cache_bytes", "kind" => kind.kind).set(held.bytes as f64);
    for each in State::ALL {
        gauge!("kubernaut_cluster_cache_state", "kind" => kind.kind, "state" => each.name()).set(if each == state { 1.0 } else { 0.0 });
    }
}

pub(super) fn read(kind: &str, from: &'static str) {
    counter!("kubernaut_cluster_cache_reads_total", "kind" => kind.to_owned(), "from" => from).increment(1);
}

pub(super) fn dropped(kind: &KnownKind) {
    counter!("kubernaut_cluster_cache_dropped_total", "kind" => kind.kind).increment(1);
}
