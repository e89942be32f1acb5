//! Further changes of workloads: where they run, how they roll out, what they may do, what they ask for.

use kubernaut_core::{
    Result,
    model::{Object, Precondition, Reversibility, Risk, quantity},
    port::PatchKind,
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    container::{TEMPLATE, choose, pod_spec_at, ready_for_change},
    node::takes_pods,
};
use crate::{
    action::{Action, Current, Effect, Read, Write, bad_params, condition, typed},
    edit::{Edit, escape},
};

const HOST: &str = "kubernetes.io/hostname";

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MigrateParams {
    /// The node that the pods are to run on.
    #[schemars(length(min = 1, max = 253))]
    target_node: String,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static MIGRATE_WORKLOAD: Action = Action {
    name: "migrate_workload",
    family: "workload",
    summary: "moves the pods of a workload to one node, in the way its update strategy says",
    target_kinds: &["Deployment", "StatefulSet"],
    preconditions: &["rollouts of the workload are not paused", "the node is ready and takes pods", "no volume of the workload is bound to a node"],
    parameters: || schema_for!(MigrateParams),
    reads: &[Read::Nodes],
    check: check_migrate,
    plan: plan_migrate,
    ..TEMPLATE
};

fn host(node: &Object) -> &str {
    node.label(HOST).unwrap_or(node.name())
}

fn check_migrate(current: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let params: MigrateParams = typed(params)?;
    let node = current.related(Read::Nodes).iter().find(|n| n.name() == params.target_node);
    let fine = node.is_some_and(takes_pods);
    let volumes = current.target.list_at(&format!("{}/volumes", pod_spec_at(&current.target)));
    let local = volumes.iter().any(|v| v.get("hostPath").is_some()) || !current.target.list_at("/spec/volumeClaimTemplates").is_empty();
    let mut all = ready_for_change(current);
    all.push(condition(
        fine,
        format!("node {} {}", params.target_node, if fine { "is ready and takes pods" } else { "is absent, not ready or cordoned" }),
    ));
    all.push(condition(!local, if local { "volumes of the workload may be bound to a node" } else { "no volume is bound to a node" }));
    Ok(all)
}

fn plan_migrate(current: &Current, params: &Value, _: &str) -> Result<Write> {
    let params: MigrateParams = typed(params)?;
    let host = current.related(Read::Nodes).iter().find(|n| n.name() == params.target_node).map_or(params.target_node.as_str(), host);
    let mut edit = Edit::of(&current.target);
    edit.set(&format!("{}/nodeSelector/{}", pod_spec_at(&current.target), escape(HOST)), Some(json!(host)));
    Ok(edit.finish(|| format!("the workload runs on {host} already")))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PauseParams {
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

const fn pausing(name: &'static str, summary: &'static str, plan: fn(&Current, &Value, &str) -> Result<Write>) -> Action {
    Action {
        name,
        aliases: &[],
        family: "workload",
        summary,
        target_kinds: &["Deployment"],
        effect: Effect::Settings,
        risk: Risk::Low,
        reversibility: Reversibility::Undo,
        preconditions: &[],
        parameters: || schema_for!(PauseParams),
        reads: &[],
        check: |_, _| Ok(Vec::new()),
        plan,
    }
}

pub(super) static PAUSE_ROLLOUT: Action =
    pausing("pause_rollout", "holds a rollout of a Deployment where it stands; pods stay as they are", |current, params, _| {
        pause(current, params, true)
    });
pub(super) static RESUME_ROLLOUT: Action =
    pausing("resume_rollout", "lets a Deployment that was paused roll out again", |current, params, _| pause(current, params, false));

fn pause(current: &Current, params: &Value, wanted: bool) -> Result<Write> {
    let _: PauseParams = typed(params)?;
    if current.target.bool_at("/spec/paused").unwrap_or(false) == wanted {
        return Ok(Write::None(format!("rollouts are {} already", if wanted { "paused" } else { "not paused" })));
    }
    let value = if wanted { json!(true) } else { Value::Null };
    Ok(Write::merge(json!({"spec": {"paused": value}}), &["/spec/paused"]))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SecurityParams {
    /// Name of the container; the whole pod where absent.
    #[schemars(length(min = 1, max = 63))]
    container: Option<String>,
    /// User to run as. Not 0.
    #[schemars(range(min = 1, max = 4_294_967_295_i64))]
    run_as_user: Option<i64>,
    /// Group to run as.
    #[schemars(range(min = 0, max = 4_294_967_295_i64))]
    run_as_group: Option<i64>,
    /// Group that owns volumes; of the pod only.
    #[schemars(range(min = 0, max = 4_294_967_295_i64))]
    fs_group: Option<i64>,
    /// Whether the user must not be root. Only `true`: this action never widens.
    run_as_non_root: Option<bool>,
    /// Whether the root file system is only for reading; of a container only.
    read_only_root_filesystem: Option<bool>,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static PATCH_SECURITY_CONTEXT: Action = Action {
    name: "patch_security_context",
    summary: "sets users, groups and file rights of a pod or of one container; never grants more privilege",
    preconditions: &["rollouts of the workload are not paused"],
    parameters: || schema_for!(SecurityParams),
    check: |current, _| Ok(ready_for_change(current)),
    plan: plan_security,
    ..TEMPLATE
};

fn plan_security(current: &Current, params: &Value, _: &str) -> Result<Write> {
    let params: SecurityParams = typed(params)?;
    if params.run_as_non_root == Some(false) {
        return Err(bad_params("run_as_non_root cannot be taken away by this action"));
    }
    let at = match &params.container {
        Some(name) => choose(&current.target, Some(name))?.at,
        None => pod_spec_at(&current.target).to_owned(),
    };
    let in_pod = params.container.is_none();
    if in_pod && params.read_only_root_filesystem.is_some() || !in_pod && params.fs_group.is_some() {
        return Err(bad_params("read_only_root_filesystem is of a container, fs_group of the pod"));
    }
    let wanted = [
        ("runAsUser", params.run_as_user.map(|v| json!(v))),
        ("runAsGroup", params.run_as_group.map(|v| json!(v))),
        ("fsGroup", params.fs_group.map(|v| json!(v))),
        ("runAsNonRoot", params.run_as_non_root.map(|v| json!(v))),
        ("readOnlyRootFilesystem", params.read_only_root_filesystem.map(|v| json!(v))),
    ];
    if wanted.iter().all(|(_, v)| v.is_none()) {
        return Err(bad_params("give at least one field"));
    }
    let mut edit = Edit::of(&current.target);
    for (field, value) in wanted.into_iter().filter(|(_, v)| v.is_some()) {
        edit.set(&format!("{at}/securityContext/{field}"), value);
    }
    Ok(edit.finish(|| "it is as wanted already".into()))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EmptyDirParams {
    /// Name of the emptyDir volume.
    #[schemars(length(min = 1, max = 63))]
    volume: String,
    /// Size of the volume that takes its place, in bytes.
    #[schemars(regex(pattern = r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$"))]
    size: String,
    /// Its StorageClass; the default one where absent.
    #[schemars(length(min = 1, max = 253))]
    storage_class_name: Option<String>,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static MIGRATE_EMPTY_DIR: Action = Action {
    name: "migrate_empty_dir",
    family: "storage",
    summary: "lets each pod keep its scratch data on a volume of its own instead of the node's disk; what is in the emptyDir now is lost, as with every new pod",
    target_kinds: &["Deployment", "StatefulSet"],
    preconditions: &["rollouts of the workload are not paused", "the volume is an emptyDir on disk", "the class exists"],
    parameters: || schema_for!(EmptyDirParams),
    reads: &[Read::StorageClasses],
    check: check_empty_dir,
    plan: plan_empty_dir,
    ..TEMPLATE
};

fn volume<'a>(current: &'a Current, name: &str) -> Option<(usize, &'a Value)> {
    current.target.list_at(&format!("{}/volumes", pod_spec_at(&current.target))).iter().enumerate().find(|(_, v)| v["name"] == name)
}

fn check_empty_dir(current: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let params: EmptyDirParams = typed(params)?;
    let empty = volume(current, &params.volume).is_some_and(|(_, v)| v.get("emptyDir").is_some_and(|e| e["medium"] != "Memory"));
    let classes = current.related(Read::StorageClasses);
    let default = |c: &&Object| c.annotation("storageclass.kubernetes.io/is-default-class") == Some("true");
    let class = match &params.storage_class_name {
        Some(name) => classes.iter().find(|c| c.name() == name),
        None => classes.iter().find(default),
    };
    let mut all = ready_for_change(current);
    all.push(condition(empty, format!("volume {} {}", params.volume, if empty { "is an emptyDir on disk" } else { "is no emptyDir on disk" })));
    all.push(condition(
        class.is_some(),
        class.map_or("no such StorageClass, or no default one".to_owned(), |c| format!("StorageClass {} exists", c.name())),
    ));
    Ok(all)
}

fn plan_empty_dir(current: &Current, params: &Value, _: &str) -> Result<Write> {
    let params: EmptyDirParams = typed(params)?;
    let Some((index, found)) = volume(current, &params.volume) else { return Err(bad_params(format!("no volume {}", params.volume))) };
    if found.get("ephemeral").is_some() {
        return Ok(Write::None("it has a volume of its own already".into()));
    }
    let mut spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": params.size}}});
    if let Some(class) = params.storage_class_name {
        spec["storageClassName"] = json!(class);
    }
    let path = format!("{}/volumes/{index}", pod_spec_at(&current.target));
    let body = json!([{"op": "replace", "path": path, "value": {"name": params.volume, "ephemeral": {"volumeClaimTemplate": {"spec": spec}}}}]);
    Ok(Write::Patch { kind: PatchKind::Json, body, reads: vec![path] })
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OptimizeParams {
    /// Name of the container; may be left out where the workload has only one.
    #[schemars(length(min = 1, max = 63))]
    container: Option<String>,
    /// `cost` leaves 15 %, `balanced` 30 %, `performance` 60 % above the highest use. Default `balanced`.
    #[schemars(regex(pattern = "^(cost|performance|balanced)$"))]
    strategy: Option<String>,
    /// Seconds of use that must be known. Default 1800.
    #[schemars(range(min = 60, max = 604_800))]
    min_history_seconds: Option<i64>,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static OPTIMIZE_RESOURCES: Action = Action {
    name: "optimize_resources",
    family: "resources",
    summary: "sets the memory request of a container by what its pods used, and its limit no lower than that",
    target_kinds: &["Deployment", "StatefulSet", "DaemonSet"],
    preconditions: &["rollouts of the workload are not paused", "use of the pods is known for long enough"],
    parameters: || schema_for!(OptimizeParams),
    reads: &[Read::Pods, Read::Usage],
    check: check_optimize,
    plan: plan_optimize,
    ..TEMPLATE
};

/// Highest use of the container in bytes over the pods of the workload, and for how many seconds it is known.
fn peak(current: &Current, container: &str) -> Option<(f64, i64)> {
    let selector = current.target.at("/spec/selector")?;
    let pods: Vec<&str> =
        current.related(Read::Pods).iter().filter(|p| kubernaut_core::model::selector_matches(selector, &p.labels())).map(Object::name).collect();
    let of_workload = |u: &&Object| u.str_at("/container") == Some(container) && u.str_at("/pod").is_some_and(|p| pods.contains(&p));
    let mut best: Option<(f64, i64)> = None;
    for used in current.related(Read::Usage).iter().filter(of_workload) {
        let (peak, span) = (used.at("/peak").and_then(Value::as_f64)?, used.i64_at("/span_s")?);
        best = Some(best.map_or((peak, span), |(p, s)| (p.max(peak), s.max(span))));
    }
    best
}

fn check_optimize(current: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let params: OptimizeParams = typed(params)?;
    let name = choose(&current.target, params.container.as_deref())?.name;
    let needed = params.min_history_seconds.unwrap_or(1800);
    let mut all = ready_for_change(current);
    all.push(match peak(current, name) {
        Some((peak, span)) => {
            condition(span >= needed, format!("container {name} used at most {} in {span} s (needed: {needed} s)", quantity::memory(peak)))
        }
        None => condition(false, format!("no memory use of container {name} is known; configure Prometheus")),
    });
    Ok(all)
}

fn plan_optimize(current: &Current, params: &Value, _: &str) -> Result<Write> {
    let params: OptimizeParams = typed(params)?;
    let chosen = choose(&current.target, params.container.as_deref())?;
    let Some((peak, _)) = peak(current, chosen.name) else {
        return Err(kubernaut_core::Error::new(kubernaut_core::ErrorKind::Refused, "executor.optimize", "no memory use of the container is known"));
    };
    let room = match params.strategy.as_deref() {
        Some("cost") => 1.15,
        Some("performance") => 1.6,
        _ => 1.3,
    };
    let wanted = quantity::memory(peak * room);
    let now = |part: &str| chosen.value["resources"][part].get("memory").filter(|v| !v.is_null());
    let mut edit = Edit::of(&current.target);
    edit.set(&format!("{}/resources/requests/memory", chosen.at), Some(json!(wanted)));
    let short = now("limits").and_then(quantity::of).zip(quantity::parse(&wanted)).is_some_and(|(limit, wanted)| limit < wanted);
    if short {
        edit.set(&format!("{}/resources/limits/memory", chosen.at), Some(json!(wanted)));
    }
    Ok(edit.finish(|| format!("the request is {wanted} already")))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct IngressParams {
    /// Host of the rule; the only rule where absent.
    #[schemars(length(min = 1, max = 253))]
    host: Option<String>,
    /// Path of the rule; the only one where absent.
    #[schemars(length(min = 1, max = 500))]
    path: Option<String>,
    /// Service that it is to lead to.
    #[schemars(length(min = 1, max = 63))]
    service: Option<String>,
    /// Port of the Service, by number.
    #[schemars(range(min = 1, max = 65535))]
    port: Option<u16>,
    /// Class of the Ingress.
    #[schemars(length(min = 1, max = 253))]
    ingress_class_name: Option<String>,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static PATCH_INGRESS: Action = Action {
    name: "patch_ingress",
    aliases: &["update_ingress"],
    family: "network",
    summary: "lets a rule of an Ingress lead to another Service or port, or changes its class",
    target_kinds: &["Ingress"],
    effect: Effect::Consult,
    risk: Risk::Medium,
    reversibility: Reversibility::Undo,
    preconditions: &["the Service exists and has the port"],
    parameters: || schema_for!(IngressParams),
    reads: &[Read::PeerServices],
    check: check_ingress,
    plan: plan_ingress,
};

/// Where the backend of the rule is.
fn backend(current: &Current, params: &IngressParams) -> Result<String> {
    let mut found = Vec::new();
    for (rule_at, rule) in current.target.list_at("/spec/rules").iter().enumerate() {
        if params.host.as_deref().is_some_and(|h| rule["host"] != h) {
            continue;
        }
        for (path_at, path) in rule["http"]["paths"].as_array().into_iter().flatten().enumerate() {
            if params.path.as_deref().is_none_or(|p| path["path"] == p) {
                found.push(format!("/spec/rules/{rule_at}/http/paths/{path_at}/backend/service"));
            }
        }
    }
    match found.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(bad_params("no rule has that host and path")),
        many => Err(bad_params(format!("{} rules have that host and path; name both", many.len()))),
    }
}

fn check_ingress(current: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let params: IngressParams = typed(params)?;
    if params.service.is_none() && params.port.is_none() {
        return Ok(vec![condition(true, "no Service is changed")]);
    }
    let at = backend(current, &params)?;
    let name = params.service.as_deref().or(current.target.str_at(&format!("{at}/name"))).unwrap_or_default();
    let service = current.related(Read::PeerServices).iter().find(|s| s.name() == name);
    let has_port = |s: &Object| params.port.is_none_or(|p| s.list_at("/spec/ports").iter().any(|x| x["port"] == p));
    let fine = service.is_some_and(has_port);
    Ok(vec![condition(fine, format!("Service {name} {}", if fine { "exists and has the port" } else { "is missing, or has no such port" }))])
}

fn plan_ingress(current: &Current, params: &Value, _: &str) -> Result<Write> {
    let params: IngressParams = typed(params)?;
    let mut edit = Edit::of(&current.target);
    if params.service.is_some() || params.port.is_some() {
        let at = backend(current, &params)?;
        if let Some(service) = &params.service {
            edit.set(&format!("{at}/name"), Some(json!(service)));
        }
        if let Some(port) = params.port {
            edit.set(&format!("{at}/port"), Some(Value::Object(Map::from_iter([("number".to_owned(), json!(port))]))));
        }
    }
    if let Some(class) = &params.ingress_class_name {
        edit.set("/spec/ingressClassName", Some(json!(class)));
    }
    Ok(edit.finish(|| "the Ingress is as wanted already".into()))
}
