//! Metrics, where a source has them.

use std::collections::BTreeMap;

use kubernaut_core::{model::Timestamp, port::MetricSeries};

use super::Facts;

/// Names of the metrics that rules look at.
pub(crate) const NAMES: &[&str] = &[
    "container_memory_working_set_bytes",
    "kubelet_volume_stats_available_bytes",
    "kubelet_volume_stats_capacity_bytes",
    "kubelet_volume_stats_used_bytes",
    "ephemeral_storage_pod_usage",
    "container_fs_usage_bytes",
    "container_cpu_cfs_throttled_periods_total",
    "container_cpu_cfs_periods_total",
];

/// How a series of memory readings moves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Trend {
    pub(crate) peak: f64,
    /// Bytes per second over the last telling stretch without a drop.
    pub(crate) slope: f64,
    /// Seconds of that stretch.
    pub(crate) span_s: i64,
    /// Share of its steps that go up.
    pub(crate) rising: f64,
}

impl Facts {
    /// Series whose query mentions a metric and whose labels agree; a label that a series lacks does not count against it.
    pub(crate) fn series<'a>(&'a self, name: &str, labels: &[(&str, &str)]) -> Vec<&'a MetricSeries> {
        let agree = |s: &MetricSeries| {
            labels.iter().all(|(k, v)| s.labels.get(*k).is_none_or(|have| have == v) || alias(&s.labels, k).is_some_and(|have| have == *v))
                && labels.iter().any(|(k, _)| s.labels.contains_key(*k) || alias(&s.labels, k).is_some())
        };
        let name = name.to_owned();
        self.metrics.iter().filter(move |s| mentions(&s.query, &name) && agree(s)).collect()
    }

    /// The last value of a metric for exactly these labels.
    pub(crate) fn last_value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let exact = |s: &&MetricSeries| labels.iter().all(|(k, v)| s.labels.get(*k).map(String::as_str) == Some(*v));
        self.metrics.iter().filter(|s| mentions(&s.query, name)).find(exact)?.values.last().map(|(_, v)| *v)
    }
}

fn mentions(query: &str, name: &str) -> bool {
    query.contains(name)
}

fn alias<'a>(labels: &'a BTreeMap<String, String>, key: &str) -> Option<&'a str> {
    let other = match key {
        "pod" => "pod_name",
        "namespace" => "pod_namespace",
        "node" => "node_name",
        _ => return None,
    };
    labels.get(other).map(String::as_str)
}

/// Seconds of one run that tell whether memory grows.
const TELLING_S: i64 = 1_800;

/// The trend of a series; `None` for fewer than five readings.
pub(crate) fn trend(values: &[(Timestamp, f64)]) -> Option<Trend> {
    if values.len() < 5 {
        return None;
    }
    let peak = values.iter().map(|(_, v)| *v).fold(0.0, f64::max);
    let mut runs: Vec<&[(Timestamp, f64)]> = Vec::new();
    let mut start = 0;
    for i in 1..=values.len() {
        // A restart shows as a drop to less than half.
        if i == values.len() || values[i].1 < 0.5 * values[i - 1].1 {
            runs.push(&values[start..i]);
            start = i;
        }
    }
    // What it does now counts: the last run that is long enough to tell, else the longest.
    let span = |r: &[(Timestamp, f64)]| r.last().map_or(0, |l| l.0.as_second()) - r.first().map_or(0, |f| f.0.as_second());
    let telling = runs.iter().rev().find(|r| r.len() >= 5 && span(r) >= TELLING_S);
    let run = *telling.or_else(|| runs.iter().max_by_key(|r| r.len()))?;
    let (first, last) = (run.first()?, run.last()?);
    let span_s = last.0.as_second() - first.0.as_second();
    let ups = run.windows(2).filter(|w| w[1].1 > w[0].1).count();
    let rising = ups as f64 / (run.len().saturating_sub(1)).max(1) as f64;
    Some(Trend { peak, slope: if span_s > 0 { (last.1 - first.1) / span_s as f64 } else { 0.0 }, span_s, rising })
}
