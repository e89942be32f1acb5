//! Prints events as they arrive, and answers the request for approval.

use std::{fmt, time::Duration};

use futures::{Stream, StreamExt};
use kubernaut::{
    Error, Result,
    model::{Event, Phase, Timestamp},
};
use serde_json::Value;

use super::client::Client;
use crate::output::say;

/// How the incident ended.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) incident_id: String,
    pub(super) phase: String,
    pub(super) message: String,
    pub(super) seconds: f64,
}

impl Ending {
    pub(super) fn resolved(&self) -> bool {
        self.phase == Phase::Resolved.as_str()
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "incident {} ended {} after {:.1} s: {}", self.incident_id, self.phase.to_uppercase(), self.seconds, self.message)
    }
}

/// Follows the first incident of the namespace to its end. Gives up after ten minutes without an event.
pub(super) async fn follow(
    client: &Client,
    mut events: impl Stream<Item = Result<Event>> + Unpin,
    namespace: &str,
    recorded: bool,
) -> Result<Ending> {
    let mut followed: Option<(String, Timestamp)> = None;
    loop {
        let next = tokio::time::timeout(Duration::from_secs(600), events.next()).await;
        let next = next.map_err(|_| Error::internal("demo.events", "nothing happened for ten minutes"))?;
        let event = next.ok_or_else(|| Error::internal("demo.events", "the stream of events ended"))??;
        let id = event.incident_id.to_string();
        if followed.is_none() && client.incident(&id).await?.pointer("/target/namespace").and_then(Value::as_str).unwrap_or_default() == namespace {
            followed = Some((id.clone(), event.at));
        }
        let Some((incident, began)) = followed.as_ref().filter(|(f, _)| *f == id) else { continue };
        let seconds = event.at.duration_since(*began).as_secs_f64();
        for line in lines(&event, recorded) {
            say!("{seconds:>7.2} s  {line}");
        }
        if event.kind == "approval.requested" {
            answer(client, &event).await?;
        }
        if let Some(phase) = ended(&event) {
            let message = client.incident(incident).await?["message"].as_str().unwrap_or_default().to_owned();
            return Ok(Ending { incident_id: incident.clone(), phase, message, seconds });
        }
    }
}

async fn answer(client: &Client, event: &Event) -> Result<()> {
    let text = |key: &str| event.data[key].as_str().unwrap_or_default().to_owned();
    // Long enough to be read by whoever watches.
    tokio::time::sleep(Duration::from_secs(1)).await;
    client.approve(&text("approval_id"), &text("digest")).await
}

fn ended(event: &Event) -> Option<String> {
    let phase = event.data["to"].as_str().filter(|_| event.kind == "incident.phase_changed")?;
    Phase::ALL.iter().any(|p| p.as_str() == phase && p.is_terminal()).then(|| phase.to_owned())
}

fn lines(event: &Event, recorded: bool) -> Vec<String> {
    let data = &event.data;
    let text = |pointer: &str| data.pointer(pointer).map(plain).unwrap_or_default();
    match event.kind.as_str() {
        "incident.received" => vec![format!("received    {} on {}", text("/alert_name"), text("/target"))],
        "incident.classified" => {
            let basis = text("/environment/detail");
            vec![format!("classified  environment {} ({basis}), priority {}", text("/environment/value"), text("/priority"))]
        }
        "incident.diagnosed" => diagnosed(data),
        "incident.decided" => vec![format!("decided     {}: {}", text("/decision"), text("/reason"))],
        "incident.planned" => planned(data),
        "step.dry_run" => gate(data),
        "approval.requested" => {
            let mut out = vec![format!("approval    asked for {} {}", text("/action"), text("/target"))];
            out.extend(list(data, "reasons").into_iter().map(|r| format!("              because {r}")));
            out
        }
        "approval.decided" => vec![format!("approval    {} by {}", if data["approved"] == true { "approved" } else { "rejected" }, text("/by"))],
        "step.started" => vec![format!("executing   {} {}", text("/action"), text("/target"))],
        "step.ended" => vec![ended_step(data)],
        "incident.verified" => verified(data, recorded),
        "incident.phase_changed" => vec![format!("            {} \u{2192} {}", text("/from"), text("/to"))],
        _ => Vec::new(),
    }
}

/// What the gate says: how many checks pass, and each that does not simply pass.
fn gate(data: &Value) -> Vec<String> {
    let checks: Vec<&Value> = data["checks"].as_array().into_iter().flatten().collect();
    let count = |outcome: &str| checks.iter().filter(|c| c["outcome"] == outcome).count();
    let mut out = vec![format!(
        "gate        {} checks: {} pass, {} do not apply, {} ask, {} refuse",
        checks.len(),
        count("pass"),
        count("skip"),
        count("ask"),
        count("fail")
    )];
    let telling = checks.iter().filter(|c| c["outcome"] == "ask" || c["outcome"] == "fail");
    out.extend(telling.map(|c| format!("              {:<5} {}: {}", plain(&c["outcome"]), plain(&c["name"]), plain(&c["text"]))));
    out
}

fn ended_step(data: &Value) -> String {
    let (outcome, message) = (plain(&data["outcome"]), plain(&data["message"]));
    match outcome.as_str() {
        "applied" if data["simulated"] == true => format!("executed    {message}  [simulated: changed the copy in memory]"),
        "applied" => format!("executed    {message}"),
        other => format!("step ended  {other}: {message}"),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(map) if map.contains_key("kind") && map.contains_key("name") => {
            let part = |key: &str| map.get(key).and_then(Value::as_str);
            [part("kind"), part("namespace"), part("name")].into_iter().flatten().collect::<Vec<_>>().join("/")
        }
        other => other.to_string(),
    }
}

fn list(data: &Value, key: &str) -> Vec<String> {
    data[key].as_array().into_iter().flatten().map(plain).collect()
}

fn diagnosed(data: &Value) -> Vec<String> {
    let Some(cause) = data.pointer("/candidates/0") else { return vec!["diagnosed   no cause found".into()] };
    let at = |key: &str| plain(&cause[key]);
    let confidence = cause["confidence"].as_f64().unwrap_or_default();
    let took = data["latency_ms"].as_f64().unwrap_or_default();
    let mut out = vec![
        format!("diagnosed   {} at {} (confidence {confidence:.2}, {took:.1} ms, no model)", at("category"), at("object")),
        format!("              {}", at("summary")),
    ];
    for fact in cause["evidence"].as_array().into_iter().flatten() {
        out.push(format!("              evidence  {}: {}", plain(&fact["object"]), plain(&fact["text"])));
    }
    out
}

fn planned(data: &Value) -> Vec<String> {
    let steps = data.pointer("/plan/steps").or_else(|| data.get("steps")).and_then(Value::as_array);
    let mut out: Vec<String> =
        steps.into_iter().flatten().map(|s| format!("planned     {} {} {}", plain(&s["action"]), plain(&s["target"]), s["params"])).collect();
    for preview in data["dry_runs"].as_array().into_iter().flatten() {
        out.extend(changes("dry-run     ", preview));
    }
    out
}

fn changes(label: &str, data: &Value) -> Vec<String> {
    let Some(changes) = data["changes"].as_array().filter(|c| !c.is_empty()) else { return Vec::new() };
    let mut out = vec![format!("{label}would change {} field(s):", changes.len())];
    for change in changes {
        out.push(format!("              {}", plain(&change["path"])));
        for (sign, side) in [('-', "before"), ('+', "after")] {
            if let Some(value) = change.get(side).filter(|v| !v.is_null()) {
                out.push(format!("              {sign} {}", shorten(&plain(value))));
            }
        }
    }
    out
}

fn shorten(text: &str) -> String {
    const LIMIT: usize = 160;
    if text.chars().count() <= LIMIT { text.to_owned() } else { text.chars().take(LIMIT).collect::<String>() + " …" }
}

fn verified(data: &Value, recorded: bool) -> Vec<String> {
    let score = data["score"].as_f64().unwrap_or_default();
    let mut out = vec![format!(
        "verified    {} (score {score:.2}){}",
        plain(&data["verdict"]),
        if recorded && data["verdict"] == "effective" { "  [simulated recovery]" } else { "" }
    )];
    for check in data["checks"].as_array().into_iter().flatten() {
        out.push(format!("              {:<5} {}: {}", plain(&check["outcome"]), plain(&check["name"]), plain(&check["text"])));
    }
    out
}
