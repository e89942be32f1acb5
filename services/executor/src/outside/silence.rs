//! Silencing alerts of one namespace for a while, at Alertmanager.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use kubernaut_core::{
    Error, ErrorKind, Result, async_trait,
    model::{ActionRequest, ActionSpec, ExposeSecret, FieldChange, Object, Observation, Precondition, Reversibility, Risk, Timestamp},
    service::UndoRequest,
};
use reqwest::{Client, Method, RequestBuilder, Url};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    AlertmanagerConfig, Outside, Row, Seen, Shown,
    config::{failed, refused},
};
use crate::action::{condition, typed};

pub(super) const NAME: &str = "create_silence";
const OPERATION: &str = "outside.alertmanager";

/// Parameters of `create_silence`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Seconds that it lasts. Default 3600.
    #[schemars(range(min = 60, max = 86_400))]
    duration_s: Option<u32>,
    /// Labels that an alert must have to be silenced, beside the namespace of the target; at least one, such as `alertname`.
    #[schemars(length(min = 1, max = 20))]
    matchers: BTreeMap<String, String>,
    /// Why; stands on the silence.
    #[schemars(length(min = 1, max = 1000))]
    reason: String,
}

/// The registry's row.
pub(super) fn spec() -> ActionSpec {
    Row {
        name: NAME,
        family: "alerting",
        summary: "Silences alerts of the target's namespace for a while, at Alertmanager",
        target_kinds: &[],
        risk: Risk::Medium,
        reversibility: Reversibility::Undo,
        preconditions: &["Alertmanager is configured", "the silence is for one namespace and one kind of alert"],
        parameters: schema_for!(Params),
    }
    .spec()
}

#[derive(Debug)]
pub(super) struct Silence {
    config: AlertmanagerConfig,
    client: Client,
}

/// The mark in the comment of a silence.
fn mark(key: &str) -> String {
    format!("[kubernaut {key}]")
}

fn matchers(target: &Object, params: &Params) -> Vec<Value> {
    let mut wanted = params.matchers.clone();
    if let Some(namespace) = target.namespace() {
        wanted.insert("namespace".into(), namespace.into());
    }
    wanted.iter().map(|(name, value)| json!({"name": name, "value": value, "isRegex": false, "isEqual": true})).collect()
}

impl Silence {
    pub(super) fn new(config: AlertmanagerConfig, client: Client) -> Self {
        Self { config, client }
    }

    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder> {
        let base = self
            .config
            .url
            .as_deref()
            .ok_or_else(|| Error::unsupported(OPERATION, "Alertmanager is not configured; set outside.alertmanager.url"))?;
        let url = Url::parse(&format!("{}/api/v2/{path}", base.trim_end_matches('/')))
            .map_err(|_| Error::invalid(OPERATION, "outside.alertmanager.url cannot be read"))?;
        let request = self.client.request(method, url);
        Ok(match &self.config.token {
            Some(token) => request.bearer_auth(token.read()?.expose_secret()),
            None => request,
        })
    }

    async fn json(&self, request: RequestBuilder) -> Result<Value> {
        let answer = request.send().await.map_err(|e| failed(OPERATION, e))?;
        if !answer.status().is_success() {
            return Err(refused(OPERATION, answer).await);
        }
        answer.json().await.map_err(|e| failed(OPERATION, e))
    }

    /// The silence of a key, whatever its state.
    async fn of(&self, key: &str) -> Result<Option<Value>> {
        let all = self.json(self.request(Method::GET, "silences")?).await?;
        let marked = |s: &&Value| s["comment"].as_str().is_some_and(|c| c.contains(&mark(key)));
        Ok(all.as_array().into_iter().flatten().find(marked).cloned())
    }

    async fn silenced(&self, matchers: &[Value]) -> Result<usize> {
        let filters: Vec<(&str, String)> = matchers
            .iter()
            .map(|m| ("filter", format!("{}={}", m["name"].as_str().unwrap_or_default(), Value::from(m["value"].as_str().unwrap_or_default()))))
            .collect();
        let request = self.request(Method::GET, "alerts")?.query(&[("active", "true")]).query(&filters);
        Ok(self.json(request).await?.as_array().map_or(0, Vec::len))
    }
}

#[async_trait]
impl Outside for Silence {
    async fn check(&self, target: &Object, request: &ActionRequest) -> Result<Vec<Precondition>> {
        let params: Params = typed(&request.params)?;
        let other = params.matchers.get("namespace").is_some_and(|n| Some(n.as_str()) != target.namespace());
        let kinds = params.matchers.keys().filter(|k| *k != "namespace").count();
        Ok(vec![
            condition(self.config.url.is_some(), "Alertmanager is configured (outside.alertmanager.url)"),
            condition(
                target.namespace().is_some() && !other && kinds > 0,
                format!("the silence is for the target's namespace only, and for alerts with {kinds} further labels"),
            ),
        ])
    }

    async fn show(&self, target: &Object, request: &ActionRequest) -> Result<Shown> {
        let params: Params = typed(&request.params)?;
        let matchers = matchers(target, &params);
        let now = self.silenced(&matchers).await?;
        let silence = json!({"matchers": matchers, "duration_s": params.duration_s.unwrap_or(3600), "reason": params.reason});
        let change = FieldChange { path: "/silence".into(), before: None, after: Some(silence) };
        Ok(Shown { changes: vec![change], pre_state: json!({}), warnings: vec![format!("{now} active alerts would be silenced now")] })
    }

    async fn act(&self, target: &Object, request: &ActionRequest, _shown: &Shown) -> Result<String> {
        let params: Params = typed(&request.params)?;
        // Alertmanager's own time counts, and it takes a beginning in the past as now.
        let begins = Timestamp::now();
        let lasts = SignedDuration::from_secs(params.duration_s.unwrap_or(3600).into());
        let ends = begins.checked_add(lasts).map_err(|e| Error::internal(OPERATION, "a time out of range").source(e))?;
        let body = json!({
            "matchers": matchers(target, &params), "startsAt": begins.to_string(), "endsAt": ends.to_string(),
            "createdBy": "kubernaut", "comment": format!("{} {}", params.reason, mark(&request.key)),
        });
        let answer = self.json(self.request(Method::POST, "silences")?.json(&body)).await?;
        Ok(format!("silence {} until {ends}", answer["silenceID"].as_str().unwrap_or("made")))
    }

    async fn look(&self, _target: &Object, request: &ActionRequest) -> Seen {
        Ok(if self.of(&request.key).await?.is_some() { Observation::Applied } else { Observation::NotApplied })
    }

    async fn undo(&self, _target: &Object, undo: &UndoRequest) -> Result<Option<String>> {
        let Some(silence) = self.of(&undo.request.key).await? else { return Ok(None) };
        if silence["status"]["state"] == "expired" {
            return Ok(None);
        }
        let id = silence["id"].as_str().ok_or_else(|| Error::internal(OPERATION, "a silence without an id"))?;
        let answer = self.request(Method::DELETE, &format!("silence/{id}"))?.send().await.map_err(|e| failed(OPERATION, e))?;
        if !answer.status().is_success() {
            let error = refused(OPERATION, answer).await;
            return if error.kind() == ErrorKind::NotFound { Ok(None) } else { Err(error) };
        }
        Ok(Some(format!("silence {id} ended")))
    }
}
