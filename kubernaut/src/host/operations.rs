//! The table of operations, and carrying one out.

use std::{path::Path, time::Duration};

use kubernaut_cluster::BundleCluster;
use kubernaut_core::{
    Error, Result,
    model::{
        ActionRequest, ActionSpec, Alert, Analysis, Approval, ApprovalDecision, AuditRow, Classification, DryRun, Event, Execution, HistoryEntry,
        Incident, IncidentId, JournalEntry, ObjectRef, Run, veil,
    },
    port::{ClusterInfo, IncidentFilter, KubeEvent, LedgerStats, LogText},
    service::{
        Actor, AnalysisRequest, Analyzer, CallContext, Classifier, ClassifyRequest, ExecuteRequest, RecallQuery, Recalled, RunFilter, Signal,
        UndoRequest,
    },
};
use kubernaut_diagnosis::Diagnosis;
use kubernaut_gateway::Received;
use kubernaut_processor::LabelClassifier;
use schemars::{Schema, SchemaGenerator};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    params,
    wire::{Bundle, Evaluation, EventPage},
};
use crate::{Config, Kubernaut, Report, analyze_bundle, eval};

/// Where an operation is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Scope {
    /// By an engine.
    Engine,
    /// Without an engine.
    Library,
    /// By an engine, and by the window on a cluster that a test gives to a plug-in.
    Cluster,
}

/// One operation.
pub(super) struct Operation {
    pub(super) name: &'static str,
    pub(super) scope: Scope,
    pub(super) doc: &'static str,
    pub(super) schemas: fn(&mut SchemaGenerator) -> (Schema, Schema),
}

macro_rules! table {
    ($($scope:ident $name:ident($params:ty) -> $result:ty, $doc:literal;)*) => {
        pub(super) const OPERATIONS: &[Operation] = &[$(Operation {
            name: stringify!($name),
            scope: Scope::$scope,
            doc: $doc,
            schemas: |g| (g.subschema_for::<$params>(), g.subschema_for::<$result>()),
        },)*];
    };
}

table! {
    Engine ingest(params::Ingest) -> Received, "Takes the alerts of a webhook body. On success they are durable. Your program vouches for the sender.";
    Engine analyze(params::OfTarget) -> Report, "Analyses one object of the cluster with the services in force. Nothing is stored and nothing is changed.";
    Engine unhealthy(params::OfNamespace) -> Vec<ObjectRef>, "Workloads of a namespace that are not as they should be.";
    Engine incident(params::OfIncident) -> Incident, "One incident.";
    Engine incidents(IncidentFilter) -> Vec<Incident>, "Incidents, newest first.";
    Engine alerts(params::OfIncident) -> Vec<Alert>, "Alerts of an incident, oldest first.";
    Engine timeline(params::OfIncident) -> Vec<Event>, "Events of an incident from its beginning, in order.";
    Engine audit(params::OfIncident) -> Vec<AuditRow>, "The audit chain of an incident.";
    Engine cancel_incident(params::OfIncident) -> (), "Asks to end an incident at the next safe point.";
    Engine approvals(params::Approvals) -> Vec<Approval>, "Requests for approval, newest first.";
    Engine approval(params::OfApproval) -> Approval, "One request for approval.";
    Engine approve(params::Answer) -> Approval, "Agrees to a change in the name of a person. The first answer counts.";
    Engine reject(params::Answer) -> Approval, "Says no to a change in the name of a person. The first answer counts.";
    Engine runs(RunFilter) -> Vec<Run>, "Runs, newest first.";
    Engine run(params::OfRun) -> Run, "One run.";
    Engine journal(params::OfRun) -> Vec<JournalEntry>, "The journal of a run, oldest first.";
    Engine pause_run(params::OfRun) -> Run, "Begins no further step of a run until it is resumed.";
    Engine resume_run(params::OfRun) -> Run, "Goes on with a run after a pause.";
    Engine rollback_run(params::OfRun) -> Run, "Takes completed steps of a run back, in reverse order.";
    Engine cancel_run(params::OfRun) -> Run, "Asks a run to end at the next safe point; completed steps stay.";
    Engine actions(params::Nothing) -> Vec<ActionSpec>, "The actions offered.";
    Engine dry_run(params::DryRunParams) -> DryRun, "Shows what an action would do now, and what the gate says to it.";
    Engine execute(params::Execute) -> Execution, "Carries out one action; the gate stands around it as around any other. It is carried to its end even if the caller goes away.";
    Engine undo(params::Undo) -> Execution, "Takes an action back, through the gate: restores exactly the fields it changed.";
    Engine recall(RecallQuery) -> Vec<Recalled>, "Similar incidents, from the memory.";
    Engine history(params::History) -> Vec<HistoryEntry>, "What was done to a resource since a time, newest first.";
    Engine stopped(params::Nothing) -> Option<String>, "Why all acting is stopped; nothing while it is allowed.";
    Engine stop(params::Stop) -> (), "Stops all acting.";
    Engine resume(params::Nothing) -> (), "Allows acting again.";
    Engine stats(params::Nothing) -> LedgerStats, "Counts of what is open, waiting and kept.";
    Engine events(params::Events) -> EventPage, "One page of events after a sequence number, in order, waiting for the first if asked to.";
    Engine classify(ClassifyRequest) -> Classification, "What the default classifier says, for a classifier of your own that refines it.";
    Engine diagnose(AnalysisRequest) -> Analysis, "What the default analyzer says, for an analyzer of your own that refines it.";
    Engine shutdown(params::Shutdown) -> (), "Stops the workers at their next safe point; what they did not finish is taken up at the next start.";
    Cluster cluster_info(params::Nothing) -> ClusterInfo, "What kind of cluster it is, and its time.";
    Cluster cluster_get(params::OfTarget) -> Option<Value>, "One object as the API server gives it; nothing if it does not exist. Values of Secrets are left out.";
    Cluster cluster_list(params::ClusterList) -> Vec<Value>, "Objects of a kind, sorted by namespace and name. Values of Secrets are left out.";
    Cluster cluster_owners(params::OfTarget) -> Vec<ObjectRef>, "Owners of an object from the nearest to the top.";
    Cluster cluster_events(params::ClusterEvents) -> Vec<KubeEvent>, "Events of Kubernetes, oldest first.";
    Cluster cluster_logs(params::ClusterLogs) -> Option<LogText>, "The end of a container's log; nothing if there is none.";
    Library bundle(params::OfBundle) -> Bundle, "Opens a recorded incident and tells its id and the webhook its alert sent.";
    Library analyze_bundle(params::AnalyzeBundle) -> Report, "Analyses a recorded incident with the default services. Nothing is stored and nothing is changed.";
    Library evaluate(params::Evaluate) -> Evaluation, "Analyses a folder of recorded incidents, and grades the answers where the truth is given.";
}

/// Reads parameters; the error names the field.
pub(super) fn parse<T: DeserializeOwned>(operation: &str, params: &str) -> Result<T> {
    let mut reader = serde_json::Deserializer::from_str(if params.is_empty() { "{}" } else { params });
    serde_path_to_error::deserialize(&mut reader).map_err(|e| {
        let error = Error::invalid("host.call", "the parameters do not fit the operation").with("called", operation);
        error.with("field", e.path()).with("reason", e.inner())
    })
}

/// Writes an answer.
pub(super) fn answer<T: Serialize>(result: Result<T>) -> Result<String> {
    serde_json::to_string(&result?).map_err(|e| Error::internal("host.call", "the answer cannot be written as JSON").source(e))
}

pub(super) fn unknown(operation: &str) -> Error {
    Error::not_found("host.call", "no such operation; package and native module are of different versions").with("called", operation)
}

pub(super) fn is_cluster(operation: &str) -> bool {
    OPERATIONS.iter().any(|o| o.scope == Scope::Cluster && o.name == operation)
}

pub(super) fn is_library(operation: &str) -> bool {
    OPERATIONS.iter().any(|o| o.scope == Scope::Library && o.name == operation)
}

/// A configuration as a host gives it; the error names the field.
pub(super) fn config(value: &Value) -> Result<Config> {
    if value.is_null() {
        return Ok(Config::default());
    }
    serde_path_to_error::deserialize(value).map_err(|e| {
        Error::invalid("host.config", "the configuration has a mistake; the schema of `kubernaut schema` lists what there is")
            .with("field", e.path())
            .with("reason", e.inner())
    })
}

/// Carries out an operation that needs no engine.
pub(super) async fn library(ctx: CallContext, operation: &str, text: &str) -> Result<String> {
    match operation {
        "bundle" => answer(bundle(&parse::<params::OfBundle>(operation, text)?.path)),
        "analyze_bundle" => {
            let p: params::AnalyzeBundle = parse(operation, text)?;
            answer(analyze_bundle(ctx, &p.path, &config(&p.config)?).await)
        }
        "evaluate" => answer(evaluate(ctx, parse(operation, text)?).await),
        other => Err(unknown(other)),
    }
}

fn bundle(path: &Path) -> Result<Bundle> {
    let bundle = BundleCluster::open(path)?;
    let alert = bundle.alert_json().map(serde_json::from_slice).transpose();
    let alert = alert.map_err(|e| Error::invalid("host.bundle", "alert.json is no JSON").with("path", path.display()).source(e))?;
    Ok(Bundle { id: bundle.id().to_owned(), alert })
}

async fn evaluate(ctx: CallContext, p: params::Evaluate) -> Result<Evaluation> {
    let config = config(&p.config)?;
    let unreadable =
        |e: std::io::Error| Error::not_found("host.evaluate", "cannot read the folder of cases").with("path", p.cases.display()).source(e);
    let mut cases: Vec<_> = std::fs::read_dir(&p.cases).map_err(unreadable)?.filter_map(|e| Some(e.ok()?.path())).collect();
    cases.retain(|path| path.join("alert.json").is_file());
    cases.sort();
    let (mut predictions, mut left_out) = (Vec::new(), Vec::new());
    for case in cases {
        match analyze_bundle(ctx.clone(), &case, &config).await {
            Ok(report) => predictions.push(eval::Prediction::from(&report)),
            Err(error) => left_out.push(format!("{}: {error}", case.display())),
        }
    }
    let scores = match &p.expected {
        Some(expected) => {
            let truths = eval::load_truths(expected)?;
            let grades = truths.iter().map(|t| eval::grade_case(t, predictions.iter().find(|p| p.id == t.id))).collect();
            Some(serde_json::to_value(eval::score(grades)).map_err(|e| Error::internal("host.evaluate", "the scores cannot be written").source(e))?)
        }
        None => None,
    };
    Ok(Evaluation { predictions, scores, left_out })
}

/// Carries out an operation of an engine. What is shown hides values of environment variables, as everywhere.
pub(super) async fn engine(k: &Kubernaut, ctx: CallContext, operation: &str, text: &str) -> Result<String> {
    match operation {
        "ingest" | "analyze" | "unhealthy" | "classify" | "diagnose" | "stats" | "stopped" | "stop" | "resume" => {
            intake_and_analysis(k, ctx, operation, text).await
        }
        "incident" | "incidents" | "alerts" | "timeline" | "audit" | "cancel_incident" => incidents(k, ctx, operation, text).await,
        "approvals" | "approval" | "approve" | "reject" => approvals(k, ctx, operation, text).await,
        "runs" | "run" | "journal" | "pause_run" | "resume_run" | "rollback_run" | "cancel_run" => runs(k, ctx, operation, text).await,
        "actions" | "dry_run" | "execute" | "undo" => actions(k, ctx, operation, text).await,
        "recall" => answer(k.recall(ctx, parse::<RecallQuery>(operation, text)?).await),
        "history" => {
            let p: params::History = parse(operation, text)?;
            let since = p.since.unwrap_or_else(|| k.clock().now() - jiff::SignedDuration::from_hours(24));
            answer(k.parts().context.history(ctx, p.target.resolve()?, since).await)
        }
        other => Err(unknown(other)),
    }
}

async fn intake_and_analysis(k: &Kubernaut, ctx: CallContext, operation: &str, text: &str) -> Result<String> {
    match operation {
        "ingest" => {
            let p: params::Ingest = parse(operation, text)?;
            let source = p.source.clone();
            answer(k.ingest(ctx, &source, p.bytes()?).await)
        }
        "analyze" => answer(k.analyze(ctx, parse::<params::OfTarget>(operation, text)?.target.resolve()?).await),
        "unhealthy" => answer(k.unhealthy(ctx, &parse::<params::OfNamespace>(operation, text)?.namespace).await),
        "classify" => {
            let default = LabelClassifier::new(k.cluster().clone(), k.config().classification.clone());
            answer(default.classify(ctx, parse(operation, text)?).await)
        }
        "diagnose" => {
            let default = Diagnosis::new(k.cluster().clone(), k.config().diagnosis.clone());
            answer(default.analyze(ctx, parse(operation, text)?).await)
        }
        "stats" => answer(k.stats(ctx).await),
        "stopped" => answer(k.stopped(ctx).await),
        "stop" => answer(k.set_stopped(ctx, Some(parse::<params::Stop>(operation, text)?.reason)).await),
        _ => answer(k.set_stopped(ctx, None).await),
    }
}

async fn incidents(k: &Kubernaut, ctx: CallContext, operation: &str, text: &str) -> Result<String> {
    if operation == "incidents" {
        let found = k.incidents(ctx, parse::<IncidentFilter>(operation, text)?).await;
        return answer(found.map(|all| all.into_iter().map(veil::incident).collect::<Vec<_>>()));
    }
    let id: IncidentId = parse::<params::OfIncident>(operation, text)?.incident_id;
    match operation {
        "incident" => answer(k.incident(ctx, id).await.map(veil::incident)),
        "alerts" => answer(k.alerts(ctx, id).await),
        "timeline" => answer(k.timeline(ctx, id).await),
        "audit" => answer(k.audit(ctx, id).await),
        _ => answer(k.cancel_incident(ctx, id).await),
    }
}

async fn approvals(k: &Kubernaut, ctx: CallContext, operation: &str, text: &str) -> Result<String> {
    match operation {
        "approvals" => answer(k.approvals(ctx, parse::<params::Approvals>(operation, text)?.pending_only).await),
        "approval" => answer(k.approval(ctx, parse::<params::OfApproval>(operation, text)?.approval_id).await),
        _ => {
            let p: params::Answer = parse(operation, text)?;
            if p.by.trim().is_empty() {
                return Err(Error::invalid("host.approve", "an answer needs a name; pass who answers as `by`"));
            }
            let decision = ApprovalDecision { approve: operation == "approve", by: p.by, digest: p.digest, comment: p.comment, groups: p.groups };
            answer(k.decide(ctx, p.approval_id, decision).await)
        }
    }
}

async fn runs(k: &Kubernaut, ctx: CallContext, operation: &str, text: &str) -> Result<String> {
    if operation == "runs" {
        let found = k.runs(ctx, parse::<RunFilter>(operation, text)?).await;
        return answer(found.map(|all| all.into_iter().map(veil::run).collect::<Vec<_>>()));
    }
    let id = parse::<params::OfRun>(operation, text)?.run_id;
    let done = match operation {
        "run" => k.run(ctx, id).await,
        "journal" => return answer(k.journal(ctx, id).await),
        "pause_run" => k.signal(ctx, id, Signal::Pause).await,
        "resume_run" => k.signal(ctx, id, Signal::Resume).await,
        "rollback_run" => k.signal(ctx, id, Signal::Rollback).await,
        _ => k.cancel_run(ctx, id).await,
    };
    answer(done.map(veil::run))
}

async fn actions(k: &Kubernaut, ctx: CallContext, operation: &str, text: &str) -> Result<String> {
    match operation {
        "actions" => answer(k.actions(ctx).await),
        "dry_run" => {
            let p: params::DryRunParams = parse(operation, text)?;
            let request = ActionRequest { action: p.action, target: p.target.resolve()?, params: p.params, key: new_key() };
            answer(k.dry_run(ctx, request).await)
        }
        "execute" => answer(execute(k, ctx, parse(operation, text)?).await),
        _ => answer(undo(k, ctx, parse(operation, text)?).await),
    }
}

fn new_key() -> String {
    format!("adhoc-{}", uuid::Uuid::now_v7())
}

/// In the name of a person where there is one.
fn named(mut ctx: CallContext, by: Option<&str>) -> CallContext {
    if let Some(by) = by.filter(|by| !by.trim().is_empty()) {
        ctx.actor = Actor::user(by);
    }
    ctx
}

async fn execute(k: &Kubernaut, ctx: CallContext, p: params::Execute) -> Result<Execution> {
    if p.approved_digest.is_some() && p.by.as_deref().is_none_or(|by| by.trim().is_empty()) {
        return Err(Error::invalid("host.execute", "an agreement needs a name; pass who agreed as `by`"));
    }
    let request = ActionRequest { action: p.action, target: p.target.resolve()?, params: p.params, key: p.key.unwrap_or_else(new_key) };
    let approved_by_person = p.approved_digest.is_some();
    let request = ExecuteRequest { request, incident_id: p.incident_id, approved_digest: p.approved_digest, approved_by_person, approval_id: None };
    k.execute(named(ctx, p.by.as_deref()), request).await
}

async fn undo(k: &Kubernaut, ctx: CallContext, p: params::Undo) -> Result<Execution> {
    let ctx = named(ctx, p.by.as_deref());
    let known = k.ledger().intent(ctx.clone(), p.key.clone()).await?;
    let missing = || Error::not_found("host.undo", "no action was carried out under this key").with("key", &p.key);
    let intent = known.ok_or_else(missing)?;
    let execution = intent.execution.ok_or_else(missing)?;
    let key = format!("{}/undo", p.key);
    k.parts().executor.undo(ctx, UndoRequest { request: intent.request, incident_id: intent.incident_id, execution, key }).await
}

/// Operations whose work goes on when nobody waits any more.
pub(super) fn carries_on(operation: &str) -> bool {
    matches!(operation, "execute" | "undo" | "ingest" | "shutdown")
}

/// Waits for events after a sequence number.
pub(super) async fn events(k: &Kubernaut, ctx: CallContext, p: params::Events, ended: &tokio_util::sync::CancellationToken) -> Result<EventPage> {
    let mut changes = k.ledger().changes();
    let until = tokio::time::Instant::now() + Duration::from_millis(p.wait_ms);
    let limit = Some(p.limit.unwrap_or(500));
    loop {
        // Marked as seen before reading, so that a commit in between wakes the wait below.
        changes.mark_unchanged();
        let over = ended.is_cancelled();
        let events = k.events(ctx.clone(), p.after, p.incident_id, limit).await?;
        let late = tokio::time::Instant::now() >= until;
        if let Some(last) = events.last() {
            return Ok(EventPage { next: last.seq, events, ended: false });
        }
        if over || late {
            return Ok(EventPage { events, next: p.after, ended: over });
        }
        tokio::select! {
            () = ended.cancelled() => {}
            changed = changes.changed() => changed.map_err(|_| Error::internal("host.events", "the ledger is gone"))?,
            () = tokio::time::sleep_until(until) => {}
        }
    }
}
