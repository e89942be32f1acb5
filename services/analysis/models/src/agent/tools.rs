//! What a model may look at: read-only, in scope, and never more bytes than allowed.

use std::sync::Arc;

use kubernaut_core::{
    Error, Result, glob,
    model::{Object, ObjectRef},
    port::{ClusterRead, EventQuery, ListQuery, LogQuery, ToolCall, ToolSpec},
    redact::redact_json,
    service::CallContext,
};
use serde_json::{Value, json};

/// Most objects of a list that are shown.
const LISTED: usize = 60;

/// Tools over a cluster.
#[derive(Debug, Clone)]
pub(crate) struct Toolbox {
    cluster: Arc<dyn ClusterRead>,
    namespaces: Vec<String>,
    bytes: usize,
}

impl Toolbox {
    pub(crate) fn new(cluster: Arc<dyn ClusterRead>, namespaces: Vec<String>, bytes: usize) -> Self {
        Self { cluster, namespaces, bytes: bytes.max(200) }
    }

    /// Carries a call out; what went wrong is an answer too, for the model to read.
    pub(crate) async fn call(&self, ctx: &CallContext, call: &ToolCall) -> std::result::Result<String, String> {
        let arguments = match serde_json::from_str::<Value>(&call.arguments) {
            Ok(Value::Object(arguments)) => Value::Object(arguments),
            _ if call.arguments.trim().is_empty() => json!({}),
            _ => return Err("the arguments are not a JSON object".into()),
        };
        match self.dispatch(ctx, &call.name, &arguments).await {
            Ok(text) => Ok(self.cut(text)),
            Err(error) => Err(format!("{}: {}", error.kind().as_str(), error.message())),
        }
    }

    async fn dispatch(&self, ctx: &CallContext, name: &str, arguments: &Value) -> Result<String> {
        let text = |key: &str| arguments[key].as_str().map(str::trim).filter(|v| !v.is_empty());
        let needed = |key: &'static str| text(key).ok_or_else(|| Error::invalid("models.tool", format!("the argument {key} is missing")));
        let namespace = text("namespace");
        if let Some(namespace) = namespace {
            self.in_scope(namespace)?;
        }
        match name {
            "get_object" => {
                let reference = reference(needed("kind")?, namespace, needed("name")?, text("group"));
                let found = self.cluster.get(ctx.clone(), reference.clone()).await?;
                Ok(found.map_or_else(|| format!("{reference} does not exist"), |object| shown(&object)))
            }
            "list_objects" => self.list(ctx, needed("kind")?, namespace, text("group"), &arguments["labels"]).await,
            "get_events" => {
                let object = match (text("kind"), text("name")) {
                    (Some(kind), Some(name)) => Some(reference(kind, namespace, name, None)),
                    _ => None,
                };
                self.events(ctx, namespace, object).await
            }
            "get_logs" => {
                let previous = arguments["previous"].as_bool().unwrap_or_default();
                self.logs(ctx, needed("namespace")?, needed("pod")?, text("container"), previous).await
            }
            "get_owners" => {
                let reference = reference(needed("kind")?, namespace, needed("name")?, text("group"));
                let owners = self.cluster.owners(ctx.clone(), reference).await?;
                Ok(if owners.is_empty() { "no owner".into() } else { owners.iter().map(ToString::to_string).collect::<Vec<_>>().join(" <- ") })
            }
            "get_metrics" => self.metrics(ctx, needed("name")?).await,
            other => Err(Error::not_found("models.tool", format!("there is no tool {other}"))),
        }
    }

    fn in_scope(&self, namespace: &str) -> Result<()> {
        if self.namespaces.is_empty() || self.namespaces.iter().any(|pattern| glob::matches(pattern, namespace)) {
            return Ok(());
        }
        Err(Error::new(kubernaut_core::ErrorKind::Forbidden, "models.tool", format!("namespace {namespace} is out of scope")))
    }

    async fn list(&self, ctx: &CallContext, kind: &str, namespace: Option<&str>, group: Option<&str>, labels: &Value) -> Result<String> {
        let mut query = ListQuery::of(kind, namespace);
        if let Some(group) = group {
            group.clone_into(&mut query.group);
        }
        if labels.as_object().is_some_and(|l| !l.is_empty()) {
            query.selector = json!({ "matchLabels": labels });
        }
        let found = self.cluster.list(ctx.clone(), query).await?;
        let visible: Vec<&Object> = found.iter().filter(|o| o.namespace().is_none_or(|n| self.in_scope(n).is_ok())).collect();
        let mut lines: Vec<String> = visible.iter().take(LISTED).map(|o| line(o)).collect();
        if visible.len() > LISTED {
            lines.push(format!("... and {} more; narrow it down by namespace or labels", visible.len() - LISTED));
        }
        Ok(if lines.is_empty() { format!("no {kind}") } else { lines.join("\n") })
    }

    async fn events(&self, ctx: &CallContext, namespace: Option<&str>, object: Option<ObjectRef>) -> Result<String> {
        if namespace.is_none() && object.as_ref().is_none_or(|o| o.namespace.is_some()) {
            return Err(Error::invalid("models.tool", "the argument namespace is missing"));
        }
        let events = self.cluster.events(ctx.clone(), EventQuery { namespace: namespace.map(str::to_owned), object }).await?;
        let tail = events.iter().rev().take(40).rev();
        let lines: Vec<String> = tail
            .map(|e| {
                let at = e.last_at.map_or_else(String::new, |at| at.to_string());
                format!("{at} {} {} {} x{}: {}", e.kind, e.reason, e.object, e.count, e.message)
            })
            .collect();
        Ok(if lines.is_empty() { "no events".into() } else { lines.join("\n") })
    }

    async fn logs(&self, ctx: &CallContext, namespace: &str, pod: &str, container: Option<&str>, previous: bool) -> Result<String> {
        let container = match container {
            Some(container) => container.to_owned(),
            None => {
                let found = self.cluster.get(ctx.clone(), ObjectRef::new("Pod", Some(namespace), pod)).await?;
                let found = found.ok_or_else(|| Error::not_found("models.tool", format!("there is no pod {pod} in {namespace}")))?;
                found.str_at("/spec/containers/0/name").unwrap_or_default().to_owned()
            }
        };
        let query = LogQuery { limit_bytes: self.bytes, tail_lines: 200, ..LogQuery::of(namespace, pod, &container, previous) };
        let log = self.cluster.logs(ctx.clone(), query).await?;
        Ok(log.map_or_else(|| "there is no such log".into(), |l| if l.text.is_empty() { "the log is empty".into() } else { l.text }))
    }

    async fn metrics(&self, ctx: &CallContext, name: &str) -> Result<String> {
        let series = self.cluster.metrics(ctx.clone(), name.to_owned()).await?;
        let visible = series.iter().filter(|s| s.labels.get("namespace").is_none_or(|n| self.in_scope(n).is_ok()));
        let lines: Vec<String> = visible
            .take(20)
            .map(|s| {
                let values: Vec<String> = s.values.iter().rev().step_by(s.values.len().div_ceil(12).max(1)).map(|(_, v)| format!("{v:.4}")).collect();
                format!("{} {:?}: {} (newest first, over the last hour)", s.query, s.labels, values.join(" "))
            })
            .collect();
        Ok(if lines.is_empty() { format!("no metric {name}") } else { lines.join("\n") })
    }

    /// Whole lines within the limit; a log's end says more than its beginning, but here the beginning names what follows.
    fn cut(&self, text: String) -> String {
        if text.len() <= self.bytes {
            return text;
        }
        let mut at = self.bytes;
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let kept = text[..at].rfind('\n').filter(|n| *n > at / 2).unwrap_or(at);
        format!("{}\n... {} bytes left out", &text[..kept], text.len() - kept)
    }
}

/// What is on offer.
pub(crate) fn specs() -> Vec<ToolSpec> {
    let tool = |name: &str, description: &str, properties: Value, required: &[&str]| ToolSpec {
        name: name.into(),
        description: description.into(),
        parameters: json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false }),
    };
    let text = |about: &str| json!({ "type": "string", "description": about });
    let kind = text("such as Pod, Deployment, ConfigMap");
    let namespace = text("leave out for cluster-scoped kinds");
    let group = text("API group; only for custom resources");
    vec![
        tool(
            "get_object",
            "One object with spec and status. Values of Secrets are never shown.",
            json!({ "kind": kind, "namespace": namespace, "name": text("name"), "group": group }),
            &["kind", "name"],
        ),
        tool(
            "list_objects",
            "Objects of a kind, one line each.",
            json!({ "kind": kind, "namespace": namespace, "group": group, "labels": { "type": "object", "additionalProperties": { "type": "string" } } }),
            &["kind"],
        ),
        tool(
            "get_events",
            "Events of a namespace or of one object, newest last.",
            json!({ "namespace": namespace, "kind": kind, "name": text("name") }),
            &["namespace"],
        ),
        tool(
            "get_logs",
            "The end of a container's log; previous for the run before the last restart.",
            json!({ "namespace": text("namespace"), "pod": text("pod"), "container": text("the first one if left out"), "previous": { "type": "boolean" } }),
            &["namespace", "pod"],
        ),
        tool(
            "get_owners",
            "Who owns an object, up to the top.",
            json!({ "kind": kind, "namespace": namespace, "name": text("name"), "group": group }),
            &["kind", "name"],
        ),
        tool("get_metrics", "Series whose query mentions the name, over the last hour.", json!({ "name": text("metric name") }), &["name"]),
    ]
}

pub(crate) fn reference(kind: &str, namespace: Option<&str>, name: &str, group: Option<&str>) -> ObjectRef {
    let reference = ObjectRef::new(kind, namespace, name);
    match group {
        Some(group) => reference.with_group(group),
        None => reference,
    }
}

/// An object without bookkeeping and without what looks like a credential.
fn shown(object: &Object) -> String {
    let mut value = object.value().clone();
    if let Some(meta) = value["metadata"].as_object_mut() {
        for field in ["managedFields", "resourceVersion", "selfLink", "generation"] {
            meta.remove(field);
        }
        if let Some(Value::Object(annotations)) = meta.get_mut("annotations") {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }
    serde_json::to_string(&redact_json(value)).unwrap_or_default()
}

/// One line of a list: name, age and what state it is in.
fn line(object: &Object) -> String {
    let mut parts = vec![object.reference().to_string()];
    for (name, pointer) in [("phase", "/status/phase"), ("ready", "/status/readyReplicas"), ("replicas", "/spec/replicas"), ("type", "/spec/type")] {
        match object.at(pointer) {
            Some(Value::String(text)) => parts.push(format!("{name}={text}")),
            Some(Value::Number(number)) => parts.push(format!("{name}={number}")),
            _ => {}
        }
    }
    for status in object.list_at("/status/containerStatuses") {
        let restarts = status["restartCount"].as_i64().unwrap_or_default();
        let state = ["waiting", "terminated"].into_iter().find_map(|s| status["state"][s]["reason"].as_str());
        if restarts > 0 || state.is_some() {
            parts.push(format!("{}: {} restarts={restarts}", status["name"].as_str().unwrap_or_default(), state.unwrap_or("running")));
        }
    }
    if let Some(at) = object.created_at() {
        parts.push(format!("created={at}"));
    }
    parts.join(" ")
}
