//! Looking closer: dumps from inside of containers, diagnostics, and a temporary debug mode.

use kubernaut_core::{
    Result,
    model::{Precondition, Reversibility, Risk},
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::{Value, json};

use super::container::{TEMPLATE, choose, ready_for_change};
use crate::{
    action::{Action, Current, Dump, Effect, Write, bad_params, condition, typed},
    edit::Edit,
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DumpParams {
    /// Name of the container; may be left out where the pod has only one.
    #[schemars(length(min = 1, max = 63))]
    container: Option<String>,
    /// `jvm` asks the Java process by `jcmd`; `custom` runs `command`. Default `jvm`.
    #[schemars(regex(pattern = "^(jvm|custom)$"))]
    runtime: Option<String>,
    /// For `custom`: the command that writes the file; no shell is put around it.
    #[serde(default)]
    command: Vec<String>,
    /// For `jvm`: the number of the Java process. Default 1.
    #[schemars(range(min = 1, max = 4_194_304))]
    pid: Option<u32>,
    /// The file that the command writes in the container. Default `/tmp/heap-dump.hprof`.
    #[schemars(regex(pattern = r"^/[A-Za-z0-9._/-]{1,250}$"))]
    output_path: Option<String>,
    /// For `jvm`: only what is still in use; collects garbage before. Default true.
    live_only: Option<bool>,
    /// Whether the file stays in the container. Default false.
    #[serde(default)]
    keep: bool,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static CREATE_HEAP_DUMP: Action = Action {
    name: "create_heap_dump",
    aliases: &[],
    family: "diagnostics",
    summary: "makes a heap dump inside of a running container and brings the file into the archive",
    target_kinds: &["Pod"],
    effect: Effect::Inside,
    risk: Risk::Medium,
    reversibility: Reversibility::NotNeeded,
    preconditions: &["the container runs"],
    parameters: || schema_for!(DumpParams),
    reads: &[],
    check: check_dump,
    plan: plan_dump,
};

fn container<'a>(current: &'a Current, wanted: Option<&str>) -> Result<&'a str> {
    let names: Vec<&str> = current.target.list_at("/spec/containers").iter().filter_map(|c| c["name"].as_str()).collect();
    match (wanted, names.as_slice()) {
        (Some(wanted), all) => {
            all.iter().find(|n| **n == wanted).copied().ok_or_else(|| bad_params(format!("no container {wanted}; there are {}", all.join(", "))))
        }
        (None, [only]) => Ok(only),
        (None, all) => Err(bad_params(format!("name the container; there are {}", all.join(", ")))),
    }
}

fn check_dump(current: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let params: DumpParams = typed(params)?;
    let name = container(current, params.container.as_deref())?;
    let status = current.target.list_at("/status/containerStatuses").iter().find(|s| s["name"] == name);
    let runs = status.is_some_and(|s| s["state"].get("running").is_some());
    Ok(vec![condition(runs, format!("container {name} {}", if runs { "runs" } else { "does not run" }))])
}

fn plan_dump(current: &Current, params: &Value, _: &str) -> Result<Write> {
    let params: DumpParams = typed(params)?;
    let container = container(current, params.container.as_deref())?.to_owned();
    let path = params.output_path.unwrap_or_else(|| "/tmp/heap-dump.hprof".into());
    if path.contains("..") {
        return Err(bad_params("output_path must not lead upwards"));
    }
    let command = match (params.runtime.as_deref().unwrap_or("jvm"), params.command.is_empty()) {
        ("custom", true) => return Err(bad_params("runtime custom needs a command")),
        ("custom", false) => params.command,
        (_, false) => return Err(bad_params("a command goes with runtime custom")),
        _ => {
            let pid = params.pid.unwrap_or(1).to_string();
            let mut command = vec!["jcmd".to_owned(), pid, "GC.heap_dump".into()];
            if params.live_only == Some(false) {
                command.push("-all".into());
            }
            command.push(path.clone());
            command
        }
    };
    Ok(Write::Dump(Dump { container, command, path, keep: params.keep }))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CollectParams {
    /// Whether logs of the pods are kept, of the run before too. Default true.
    include_logs: Option<bool>,
    /// Whether events are kept. Default true.
    include_events: Option<bool>,
    /// Lines of each log. Default 2000.
    #[schemars(range(min = 1, max = 100_000))]
    tail_lines: Option<usize>,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static COLLECT_DIAGNOSTICS: Action = Action {
    name: "collect_diagnostics",
    aliases: &[],
    family: "diagnostics",
    summary: "writes the object, its pods, their logs and events into the archive, credentials taken out; changes nothing",
    target_kinds: &["Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "Service", "Node", "PersistentVolumeClaim"],
    effect: Effect::Record,
    risk: Risk::None,
    reversibility: Reversibility::NotNeeded,
    preconditions: &[],
    parameters: || schema_for!(CollectParams),
    reads: &[],
    check: |_, _| Ok(Vec::new()),
    plan: |_, params, _| {
        let params: CollectParams = typed(params)?;
        Ok(Write::Collect {
            logs: params.include_logs.unwrap_or(true),
            events: params.include_events.unwrap_or(true),
            tail_lines: params.tail_lines.unwrap_or(2000),
        })
    },
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DebugParams {
    /// Name of the container; may be left out where the workload has only one.
    #[schemars(length(min = 1, max = 63))]
    container: Option<String>,
    /// The variable that sets how much is logged. Default `LOG_LEVEL`.
    #[schemars(regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]{0,99}$"))]
    variable: Option<String>,
    /// Its value while it lasts. Default `debug`.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_.,:=*/-]{1,200}$"))]
    level: Option<String>,
    /// Seconds until it is taken back by itself. Default 3600.
    #[serde(rename = "duration_seconds")]
    #[schemars(range(min = 10, max = 86_400))]
    _duration_seconds: Option<u64>,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static ENABLE_DEBUG_MODE: Action = Action {
    name: "enable_debug_mode",
    family: "diagnostics",
    summary: "sets the log level of one container by its variable for a while; pods are replaced twice, at the beginning and at the end",
    target_kinds: &["Deployment", "StatefulSet", "DaemonSet"],
    preconditions: &[
        "rollouts of the workload are not paused",
        "the variable is not taken from another object",
        "no other temporary change is under way",
    ],
    parameters: || schema_for!(DebugParams),
    check: check_debug,
    plan: plan_debug,
    ..TEMPLATE
};

pub(super) fn debug_lasts(params: &Value) -> Option<u64> {
    Some(params["duration_seconds"].as_u64().unwrap_or(3600))
}

fn check_debug(current: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let params: DebugParams = typed(params)?;
    let chosen = choose(&current.target, params.container.as_deref())?;
    let name = params.variable.as_deref().unwrap_or("LOG_LEVEL");
    let from = chosen.value["env"].as_array().into_iter().flatten().any(|e| e["name"] == name && e.get("valueFrom").is_some());
    let mut all = ready_for_change(current);
    all.push(condition(!from, format!("variable {name} {}", if from { "is taken from another object" } else { "is set here, or absent" })));
    all.push(super::no_other_end(current));
    Ok(all)
}

fn plan_debug(current: &Current, params: &Value, _: &str) -> Result<Write> {
    let params: DebugParams = typed(params)?;
    let chosen = choose(&current.target, params.container.as_deref())?;
    let name = params.variable.as_deref().unwrap_or("LOG_LEVEL");
    let level = params.level.as_deref().unwrap_or("debug");
    let variables = chosen.value["env"].as_array().map_or(&[][..], Vec::as_slice);
    let mut edit = Edit::of(&current.target);
    match variables.iter().position(|e| e["name"] == name) {
        Some(index) => edit.set(&format!("{}/env/{index}/value", chosen.at), Some(json!(level))),
        None => {
            let with: Vec<Value> = variables.iter().cloned().chain([json!({"name": name, "value": level})]).collect();
            edit.set(&format!("{}/env", chosen.at), Some(json!(with)));
        }
    }
    Ok(edit.finish(|| format!("{name} is {level} already")))
}
