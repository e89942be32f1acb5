//! Asks Alertmanager whether an alert is still active.

use std::{collections::BTreeMap, time::Duration};

use kubernaut_core::{Error, ErrorKind, Result, model::Incident};
use serde::Deserialize;
use url::Url;

const OPERATION: &str = "alertmanager.alerts";

/// One alert, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct ActiveAlert {
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
}

/// A client of the API version 2.
#[derive(Debug, Clone)]
pub(super) struct Alertmanager {
    base: Url,
    /// `None` if the machine gives no TLS set-up: then nobody can be asked.
    client: Option<reqwest::Client>,
}

impl Alertmanager {
    pub(super) fn new(base: Url, timeout: Duration) -> Self {
        Self { base, client: reqwest::Client::builder().timeout(timeout).build().ok() }
    }

    /// Alerts of that name that fire now, silenced and inhibited ones too: a silence does not heal.
    pub(super) async fn firing(&self, alert_name: &str) -> Result<Vec<ActiveAlert>> {
        let no_client = || Error::new(ErrorKind::Unavailable, OPERATION, "no http client; check the certificates of this machine");
        let request = self.client.as_ref().ok_or_else(no_client)?.get(self.url(alert_name)?);
        let unavailable =
            |e: reqwest::Error| Error::new(ErrorKind::Unavailable, OPERATION, "alertmanager does not answer; check its url").source(e.without_url());
        let response = request.send().await.map_err(unavailable)?.error_for_status().map_err(unavailable)?;
        response.json().await.map_err(unavailable)
    }

    fn url(&self, alert_name: &str) -> Result<Url> {
        let mut url = self.base.clone();
        let invalid = || Error::invalid(OPERATION, "the alertmanager url cannot carry a path; give one like http://host:9093");
        url.path_segments_mut().map_err(|()| invalid())?.pop_if_empty().extend(["api", "v2", "alerts"]);
        let quoted = alert_name.replace('\\', "\\\\").replace('"', "\\\"");
        url.query_pairs_mut()
            .append_pair("active", "true")
            .append_pair("silenced", "true")
            .append_pair("inhibited", "true")
            .append_pair("filter", &format!("alertname=\"{quoted}\""));
        Ok(url)
    }
}

/// Whether an active alert is about the incident: it names its target or owner, or a pod of the owner, in its namespace.
pub(super) fn concerns(alert: &ActiveAlert, incident: &Incident) -> bool {
    let namespace = incident.target.namespace.as_deref().or(incident.owner.namespace.as_deref());
    if namespace.is_some() && alert.labels.get("namespace").map(String::as_str) != namespace {
        return false;
    }
    let pods = format!("{}-", incident.owner.name);
    let names = |(label, value): (&String, &String)| {
        *value == incident.target.name
            || *value == incident.owner.name
            || (label == "pod" && incident.owner.kind != "Pod" && value.starts_with(&pods))
    };
    alert.labels.iter().any(names)
}
