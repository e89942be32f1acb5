//! Series as the Prometheus HTTP API writes them.

use std::collections::BTreeMap;

use kubernaut_core::{model::Timestamp, port::MetricSeries};
use serde::Deserialize;
use serde_json::Value;

/// One series as Prometheus writes it: `values` of a range query or `value` of an instant one.
#[derive(Deserialize)]
pub(crate) struct Series {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<(f64, Value)>,
    value: Option<(f64, Value)>,
}

impl Series {
    pub(crate) fn into_series(self, query: &str) -> MetricSeries {
        let values = self.values.into_iter().chain(self.value).filter_map(|(at, value)| Some((time(at)?, number(&value)?)));
        let mut values: Vec<_> = values.collect();
        values.sort_by_key(|(at, _)| *at);
        MetricSeries { query: query.to_owned(), labels: self.metric, values }
    }
}

fn time(seconds: f64) -> Option<Timestamp> {
    let millis = seconds * 1000.0;
    #[expect(clippy::cast_possible_truncation, reason = "checked to be within the years that a timestamp holds")]
    (millis.abs() < 2.5e14).then_some(millis.round() as i64).and_then(|m| Timestamp::from_millisecond(m).ok())
}

/// Prometheus writes numbers as text, so that `NaN` and `+Inf` survive.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}
