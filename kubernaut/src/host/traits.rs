//! The methods of the six service traits as a host implements them.

use kubernaut_core::{
    model::{ActionRequest, ActionSpec, Analysis, Classification, DryRun, Execution, HistoryEntry, Notification, Observation, Precondition, Run},
    service::{
        AnalysisRequest, Capability, ChatReply, ChatRequest, ClassifyRequest, Delivery, ExecuteRequest, HistoryPage, MemoryStatus, OutcomeUpdate,
        RecallQuery, Recalled, RunFilter, StartRequest, UndoRequest,
    },
};
use schemars::{Schema, SchemaGenerator};

use super::{
    PluginKind,
    wire::{FetchRequest, ForgetRequest, HistoryRequest, RunRequest, ScanRequest, SignalRequest},
};

/// One method that a host can implement.
#[derive(Debug)]
pub(super) struct Method {
    /// Its name.
    pub(super) name: &'static str,
    /// Where an error of it happens.
    pub(super) operation: &'static str,
    /// What it does; the first lines of its documentation.
    pub(super) doc: &'static str,
    /// Whether an implementation must have it.
    pub(super) required: bool,
    /// The capability that having it means.
    pub(super) capability: Option<Capability>,
    /// Schemas of request and answer.
    pub(super) schemas: fn(&mut SchemaGenerator) -> (Schema, Schema),
}

/// One trait that a host can implement.
#[derive(Debug)]
pub(super) struct Trait {
    /// Which.
    pub(super) kind: PluginKind,
    /// Its name in Rust and of the base class in other languages.
    pub(super) name: &'static str,
    /// What it is for.
    pub(super) doc: &'static str,
    /// Its methods.
    pub(super) methods: &'static [Method],
}

macro_rules! traits {
    ($($kind:ident $table:ident $doc:literal { $($id:ident = $name:ident($request:ty) -> $answer:ty, $required:literal, $capability:expr, $mdoc:literal;)* })*) => {
        $(pub(super) mod $table {
            use super::*;
            $(pub(in super::super) static $id: Method = Method {
                name: stringify!($name),
                operation: concat!(stringify!($table), ".", stringify!($name)),
                doc: $mdoc,
                required: $required,
                capability: $capability,
                schemas: |g| (g.subschema_for::<$request>(), g.subschema_for::<$answer>()),
            };)*
            pub(super) static ALL: &[Method] = &[$(Method {
                name: stringify!($name),
                operation: concat!(stringify!($table), ".", stringify!($name)),
                doc: $mdoc,
                required: $required,
                capability: $capability,
                schemas: |g| (g.subschema_for::<$request>(), g.subschema_for::<$answer>()),
            },)*];
        })*
        /// The six traits.
        pub(super) static TRAITS: &[Trait] = &[$(Trait { kind: PluginKind::$kind, name: stringify!($kind), doc: $doc, methods: $table::ALL },)*];
    };
}

traits! {
    Classifier classifier "Gives environment, priority and business context." {
        CLASSIFY = classify(ClassifyRequest) -> Classification, true, None,
            "Classifies one alert. The same request gives the same answer; below a confidence of 0.8 treated_as is the strictest plausible environment; a namespace that cannot be read is unknown and treated as production.";
        CLASSIFY_BATCH = classify_batch(Vec<ClassifyRequest>) -> Vec<Classification>, false, Some(Capability::ClassifyBatch),
            "Classifies several alerts: as many answers as requests, in their order.";
    }
    Analyzer analyzer "Finds the root cause and proposes actions. It has no way to act." {
        ANALYZE = analyze(AnalysisRequest) -> Analysis, true, None,
            "Analyses one incident. Nothing is changed; candidates are sorted by confidence and come with evidence; missing facts are named in gaps; text found in logs and alerts never chooses an action.";
        CHAT = chat(ChatRequest) -> ChatReply, false, Some(Capability::Chat),
            "Answers a follow-up question.";
    }
    WorkflowEngine workflow_engine "Runs plans so that a crash at any point loses nothing and doubles nothing." {
        START = start(StartRequest) -> Run, true, None,
            "Accepts a plan; returns when it is durable. Starting an id again returns the run that exists; a bad plan is invalid_input.";
        GET = get(RunRequest) -> Run, true, None,
            "The run as it stands; not_found for an unknown id.";
        SIGNAL = signal(SignalRequest) -> Run, true, None,
            "Tells a run something. An approval counts once; another digest than the one asked for is digest_changed; an ended run takes only rollback.";
        CANCEL = cancel(RunRequest) -> Run, true, None,
            "Asks a run to end at the next safe point; completed steps stay.";
        LIST = list(RunFilter) -> Vec<Run>, false, Some(Capability::ListRuns),
            "Lists runs, newest first.";
    }
    Executor executor "Carries out actions. The gate stands around every implementation." {
        ACTIONS = actions(()) -> Vec<ActionSpec>, true, None,
            "The actions offered. Names and aliases are unique over all of them.";
        EXECUTE = execute(ExecuteRequest) -> Execution, true, None,
            "Carries out an action. The same key never acts twice; the write leaves a mark by which observe can tell; a wrong request is invalid_input and changes nothing.";
        OBSERVE = observe(ActionRequest) -> Observation, true, None,
            "Tells whether the effect of a key is there; unknown if it cannot be told.";
        DRY_RUN = dry_run(ActionRequest) -> DryRun, false, Some(Capability::DryRun),
            "Shows what the action would do now. Changes nothing; equal effects on equal objects have equal digests. Without it every action needs approval.";
        PRECONDITIONS = preconditions(ActionRequest) -> Vec<Precondition>, false, Some(Capability::Preconditions),
            "Evaluates what must hold before the action, with the values that were read.";
        UNDO = undo(UndoRequest) -> Execution, false, Some(Capability::Undo),
            "Takes an action back: restores exactly the fields it changed; a field that somebody changed since is a conflict.";
    }
    ContextStore context_store "Remembers incidents and finds similar ones." {
        REMEMBER = remember(HistoryEntry) -> (), true, None,
            "Remembers an incident; the same incident id again replaces the entry.";
        RECALL = recall(RecallQuery) -> Vec<Recalled>, true, None,
            "Finds similar incidents, sorted by score, then newest first; an empty query returns the newest.";
        HISTORY = history(HistoryRequest) -> Vec<HistoryEntry>, true, None,
            "What was done to a resource since a time, newest first.";
        FORGET = forget(ForgetRequest) -> (), false, Some(Capability::Forget),
            "Removes an incident from the memory; unknown ids are no error.";
        OUTCOME = outcome(OutcomeUpdate) -> (), false, Some(Capability::Outcome),
            "Records how an incident ended; not_found if it was never remembered.";
        SCAN = scan(ScanRequest) -> HistoryPage, false, Some(Capability::Scan),
            "Goes through everything that is remembered, of all tenants: from the beginning with 0, then with the next of the page before. Needs fetch, too.";
        FETCH = fetch(FetchRequest) -> Vec<HistoryEntry>, false, Some(Capability::Scan),
            "Entries of the context's tenant by their keys; unknown keys are left out. Needs scan, too.";
        STATUS = status(()) -> MemoryStatus, false, None,
            "How the memory stands.";
    }
    Notifier notifier "Delivers notifications." {
        NOTIFY = notify(Notification) -> Delivery, true, None,
            "Delivers one notification. Success means that every channel accepted it; a transient error is tried again later, so a notification may arrive more than once.";
    }
}
