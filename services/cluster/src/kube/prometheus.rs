//! Series of the last hour from a Prometheus HTTP API.

use std::time::Duration;

use kubernaut_core::{Error, ErrorKind, Result, model::Timestamp, port::MetricSeries};
use reqwest::Client;
use serde::Deserialize;
use url::Url;

use crate::series::Series;

/// How far back, and how dense.
const WINDOW_S: i64 = 3600;
const STEP_S: &str = "30";

#[derive(Debug)]
pub(super) struct Prometheus {
    client: Client,
    range: Url,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    error: String,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default)]
    result: Vec<Series>,
}

impl Prometheus {
    pub(super) fn new(base: Url) -> Result<Self> {
        let bad = |message: &'static str| Error::invalid("cluster.connect", message);
        let mut range = base;
        let mut path = range.path_segments_mut().map_err(|()| bad("prometheus_url must be an http address"))?;
        path.pop_if_empty().extend(["api", "v1", "query_range"]);
        drop(path);
        let client = Client::builder().timeout(Duration::from_secs(15)).build();
        Ok(Self { client: client.map_err(|e| bad("cannot prepare the metrics client").source(e))?, range })
    }

    /// The series of a query, such as the name of a metric.
    pub(super) async fn series(&self, query: &str) -> Result<Vec<MetricSeries>> {
        let now = Timestamp::now().as_second();
        let (start, end) = ((now - WINDOW_S).to_string(), now.to_string());
        let request = self.client.get(self.range.clone()).query(&[("query", query), ("start", &start), ("end", &end), ("step", STEP_S)]);
        let failed = |e: reqwest::Error| {
            Error::new(ErrorKind::Unavailable, "cluster.metrics", "Prometheus cannot be reached; check prometheus_url").source(e.without_url())
        };
        let response = request.send().await.map_err(failed)?;
        let status = response.status();
        let answer: Answer = response.json().await.map_err(failed)?;
        match answer.data {
            Some(data) if status.is_success() => Ok(data.result.into_iter().map(|s| s.into_series(query)).collect()),
            _ if status.is_client_error() => {
                Err(Error::invalid("cluster.metrics", format!("Prometheus refused the query: {}", answer.error)).with("query", query))
            }
            _ => Err(Error::new(ErrorKind::Unavailable, "cluster.metrics", format!("Prometheus answered {status}: {}", answer.error))),
        }
    }
}
