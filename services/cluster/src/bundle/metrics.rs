//! `metrics.json`: recorded answers of the Prometheus HTTP API.

use std::path::Path;

use kubernaut_core::{Result, port::MetricSeries};
use serde::Deserialize;

use super::documents::json;
use crate::series::Series;

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    results: Vec<Answer>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    query: String,
    #[serde(default)]
    result: Vec<Series>,
}

/// Reads the recorded series.
pub(super) fn parse(file: &Path, bytes: &[u8]) -> Result<Vec<MetricSeries>> {
    let parsed: File = json(file, bytes)?;
    let series = parsed.results.into_iter().flat_map(|a| {
        let query = a.query;
        a.result.into_iter().map(move |s| s.into_series(&query)).collect::<Vec<_>>()
    });
    Ok(series.collect())
}

/// The series whose query or name mentions `name`.
pub(super) fn named(series: &[MetricSeries], name: &str) -> Vec<MetricSeries> {
    let mentions = |s: &&MetricSeries| s.query.contains(name) || s.labels.get("__name__").is_some_and(|n| n.contains(name));
    series.iter().filter(mentions).cloned().collect()
}

#[cfg(test)]
mod tests {
    use kubernaut_core::model::Timestamp;

    use super::*;

    #[test]
    fn series_are_found_by_the_metric_their_query_mentions() {
        let file = br#"{"results": [{"query": "rate(http_total[5m])", "result": [{"metric": {"pod": "p"}, "values": [[20.5, "2"], [10, "NaN"]]}]},
                        {"query": "up", "result": [{"metric": {"__name__": "up"}, "value": [10, 1]}]}]}"#;
        let all = parse("metrics.json".as_ref(), file).unwrap();
        let found = named(&all, "http_total");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].labels["pod"], "p");
        assert!(found[0].values[0].1.is_nan() && found[0].values[1].1 == 2.0);
        assert_eq!(found[0].values[1].0, Timestamp::from_millisecond(20_500).unwrap());
        assert_eq!(named(&all, "up").len(), 1);
    }
}
