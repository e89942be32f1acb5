//! Objects that are missing and come back.

use std::collections::BTreeMap;

use kubernaut_core::{
    Error, ErrorKind, Result,
    model::{Object, ObjectRef, Precondition, Reversibility, Risk},
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    action::{Action, Current, Effect, Read, Step, Write, bad_params, condition, typed},
    edit::{Edit, escape},
};

fn absent(current: &Current) -> Precondition {
    let reference = current.target.reference();
    condition(!current.exists(), format!("{reference} {}", if current.exists() { "exists" } else { "does not exist" }))
}

fn metadata(current: &Current) -> Value {
    json!({"name": current.target.name(), "namespace": current.target.namespace()})
}

const fn restoring(name: &'static str, kinds: &'static [&'static str], family: &'static str, summary: &'static str) -> Action {
    Action {
        name,
        aliases: &[],
        family,
        summary,
        target_kinds: kinds,
        effect: Effect::Consult,
        risk: Risk::Medium,
        reversibility: Reversibility::Undo,
        preconditions: &[],
        parameters: || schema_for!(ServiceParams),
        reads: &[],
        check: |_, _| Ok(Vec::new()),
        plan: |_, _, _| Ok(Write::None(String::new())),
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ServiceParams {
    /// Port of the Service.
    #[schemars(range(min = 1, max = 65535))]
    port: u16,
    /// Port of the pods, by number or name; as `port` where absent.
    target_port: Option<Value>,
    /// Labels of the pods that it leads to.
    selector: BTreeMap<String, String>,
    /// Name of the port.
    #[schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$"))]
    port_name: Option<String>,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static RESTORE_SERVICE: Action = Action {
    effect: Effect::Settings,
    preconditions: &["the Service does not exist", "pods have the labels that it selects"],
    parameters: || schema_for!(ServiceParams),
    reads: &[Read::Pods],
    check: check_service,
    plan: plan_service,
    ..restoring("restore_service", &["Service"], "network", "makes a Service that is missing, for pods that are there")
};

fn check_service(current: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let params: ServiceParams = typed(params)?;
    let chosen = |pod: &&Object| params.selector.iter().all(|(k, v)| pod.label(k) == Some(v));
    let behind = current.related(Read::Pods).iter().filter(chosen).count();
    Ok(vec![absent(current), condition(!params.selector.is_empty() && behind > 0, format!("{behind} pods have the labels that it selects"))])
}

fn plan_service(current: &Current, params: &Value, _: &str) -> Result<Write> {
    let params: ServiceParams = typed(params)?;
    if current.exists() {
        return Ok(Write::None("the Service exists already".into()));
    }
    let target_port = params.target_port.filter(|p| !p.is_null()).unwrap_or_else(|| json!(params.port));
    let mut port = json!({"port": params.port, "targetPort": target_port});
    if let Some(name) = params.port_name {
        port["name"] = json!(name);
    }
    let service =
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata(current), "spec": {"selector": params.selector, "ports": [port]}});
    Ok(Step::only(vec![Step::Create(service)]))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ConfigMapParams {
    /// The whole content, key by key. Where absent, the copy that was put by is taken.
    #[serde(default)]
    data: BTreeMap<String, String>,
    /// Only this key comes back into a ConfigMap that exists.
    #[schemars(regex(pattern = r"^[-._a-zA-Z0-9]{1,253}$"))]
    key: Option<String>,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static RESTORE_CONFIGMAP: Action = Action {
    effect: Effect::Consult,
    preconditions: &["the ConfigMap, or the key of it, is missing", "its content is given, or a copy of it was put by"],
    parameters: || schema_for!(ConfigMapParams),
    reads: &[Read::Kept],
    check: check_config_map,
    plan: plan_config_map,
    ..restoring(
        "restore_configmap",
        &["ConfigMap"],
        "configuration",
        "makes a ConfigMap, or a key of it, that is missing, from the given content or the copy that was put by",
    )
};

/// The content that comes back, and where it is from.
fn content(current: &Current, params: &ConfigMapParams) -> Option<(BTreeMap<String, String>, &'static str)> {
    if !params.data.is_empty() {
        return Some((params.data.clone(), "as given"));
    }
    let wanted = current.target.reference();
    let mut copies: Vec<&Object> =
        current.related(Read::Kept).iter().filter(|c| c.annotation("kubernaut.ai/copy-of") == Some(wanted.to_string().as_str())).collect();
    copies.sort_by_key(|c| c.created_at());
    let data = copies.last()?.map_at("/data");
    Some((data.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(), "from the copy that was put by"))
}

fn missing_keys(current: &Current, params: &ConfigMapParams) -> Option<BTreeMap<String, String>> {
    let (all, _) = content(current, params)?;
    let there = current.target.map_at("/data");
    let asked = |key: &String| params.key.as_ref().is_none_or(|k| k == key);
    Some(all.into_iter().filter(|(key, _)| asked(key) && !there.contains_key(key.as_str())).collect())
}

fn check_config_map(current: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let params: ConfigMapParams = typed(params)?;
    let missing = missing_keys(current, &params);
    let some = missing.as_ref().is_some_and(|m| !m.is_empty());
    let from = content(current, &params).map(|(_, from)| from);
    Ok(vec![
        condition(!current.exists() || some, if current.exists() { "keys of the ConfigMap are missing" } else { "the ConfigMap does not exist" }),
        condition(some, from.map_or("no content is given and no copy of it was put by".to_owned(), |f| format!("its content is known, {f}"))),
    ])
}

fn plan_config_map(current: &Current, params: &Value, _: &str) -> Result<Write> {
    let params: ConfigMapParams = typed(params)?;
    let nothing = || Error::new(ErrorKind::Refused, "executor.restore", "no content is given and no copy of it was put by");
    let missing = missing_keys(current, &params).ok_or_else(nothing)?;
    if !current.exists() {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(current), "data": missing});
        return Ok(Step::only(vec![Step::Create(map)]));
    }
    let mut edit = Edit::of(&current.target);
    for (key, value) in missing {
        edit.set(&format!("/data/{}", escape(&key)), Some(json!(value)));
    }
    Ok(edit.finish(|| "nothing of it is missing".into()))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SecretParams {
    /// The key that is missing; goes on record only, as the owner brings all keys back.
    #[serde(rename = "key")]
    #[schemars(length(max = 253))]
    _key: Option<String>,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static RESTORE_SECRET: Action = Action {
    family: "secret",
    reversibility: Reversibility::NotNeeded,
    preconditions: &["an ExternalSecret, SealedSecret or Certificate makes the Secret"],
    parameters: || schema_for!(SecretParams),
    reads: &[Read::ExternalSecrets, Read::SealedSecrets, Read::Certificates],
    check: check_secret,
    plan: plan_secret,
    ..restoring(super::RESTORE_SECRET, &["Secret"], "secret", "asks the owner of a Secret to make it anew; no value is read, kept or shown")
};

/// The object that makes the Secret.
fn maker(current: &Current) -> Option<&Object> {
    let name = current.target.name();
    let of = |read: Read, path: &str| {
        let named = |o: &&Object| o.str_at(path).map_or(read != Read::Certificates && o.name() == name, |n| n == name);
        current.related(read).iter().find(named)
    };
    of(Read::ExternalSecrets, "/spec/target/name")
        .or_else(|| of(Read::SealedSecrets, "/spec/template/metadata/name"))
        .or_else(|| of(Read::Certificates, "/spec/secretName"))
}

fn check_secret(current: &Current, _: &Value) -> Result<Vec<Precondition>> {
    Ok(vec![match maker(current) {
        Some(maker) => condition(true, format!("{} makes the Secret", maker.reference())),
        None => condition(false, "no ExternalSecret, SealedSecret or Certificate makes the Secret; bring it back from where it is kept"),
    }])
}

fn plan_secret(current: &Current, params: &Value, key: &str) -> Result<Write> {
    let _: SecretParams = typed(params)?;
    let maker = maker(current).ok_or_else(|| Error::new(ErrorKind::Refused, "executor.restore", "nothing is known to make the Secret"))?;
    // A new value of this annotation is what each of the three takes for a reason to look again.
    let stamp = crate::action::stamp(key);
    let body = json!({"metadata": {"annotations": {"force-sync": stamp, "kubernaut.ai/renew": stamp}}});
    Ok(Step::only(vec![Step::Touch { target: maker.reference(), body }]))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PullSecretParams {
    /// A pull secret of the same or another namespace, as `namespace/name`; its values are copied.
    #[schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?/[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    copy_from: Option<String>,
    /// The same as `copy_from`.
    #[schemars(length(max = 320))]
    from: Option<String>,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static RECREATE_PULL_SECRET: Action = Action {
    preconditions: &["the Secret does not exist", "the one to copy is named"],
    parameters: || schema_for!(PullSecretParams),
    check: check_pull_secret,
    plan: plan_pull_secret,
    ..restoring("recreate_pull_secret", &["Secret"], "secret", "makes a missing pull secret as a copy of another one; no value is shown or kept")
};

fn source(params: &Value) -> Result<Option<ObjectRef>> {
    let params: PullSecretParams = typed(params)?;
    let Some(text) = params.copy_from.or(params.from) else { return Ok(None) };
    let text = text.strip_prefix("Secret/").unwrap_or(&text);
    let parts = text.split_once('/').ok_or_else(|| bad_params("copy_from must be namespace/name"))?;
    Ok(Some(ObjectRef::new("Secret", Some(parts.0), parts.1)))
}

fn check_pull_secret(current: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let from = source(params)?;
    let text = from.as_ref().map_or("name the Secret to copy in copy_from".to_owned(), |f| format!("{f} is copied"));
    Ok(vec![absent(current), condition(from.is_some(), text)])
}

fn plan_pull_secret(current: &Current, params: &Value, _: &str) -> Result<Write> {
    let source = source(params)?.ok_or_else(|| bad_params("name the Secret to copy in copy_from"))?;
    // The type makes the API server refuse whatever is no login to a registry, so that no other secret can be carried into this namespace.
    let object = json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson", "metadata": metadata(current)});
    Ok(Step::only(vec![Step::CopySecret { source, object }]))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BindingParams {
    /// Kind of the role.
    #[schemars(regex(pattern = "^(Role|ClusterRole)$"))]
    role_kind: String,
    /// Name of the role.
    #[schemars(length(min = 1, max = 253))]
    role: String,
    /// The service account that gets it.
    #[schemars(length(min = 1, max = 253))]
    service_account: String,
    /// Its namespace; the binding's where absent.
    #[schemars(length(max = 63))]
    service_account_namespace: Option<String>,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static RESTORE_ROLE_BINDING: Action = Action {
    risk: Risk::High,
    preconditions: &["the binding does not exist, or binds that role", "the role is none of those that rule the cluster"],
    parameters: || schema_for!(BindingParams),
    check: check_binding,
    plan: plan_binding,
    ..restoring(
        "restore_role_binding",
        &["RoleBinding", "ClusterRoleBinding"],
        "rbac",
        "gives a service account the role that it had, by a new binding or as a further subject",
    )
};

fn subject(current: &Current, params: &BindingParams) -> Value {
    let namespace = params.service_account_namespace.as_deref().or(current.target.namespace()).unwrap_or("default");
    json!({"kind": "ServiceAccount", "name": params.service_account, "namespace": namespace})
}

fn check_binding(current: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let params: BindingParams = typed(params)?;
    let bound = current.target.at("/roleRef").is_none_or(|r| r["kind"] == params.role_kind.as_str() && r["name"] == params.role.as_str());
    let rules = ["cluster-admin", "admin", "system:masters"].contains(&params.role.as_str()) || params.role.starts_with("system:");
    let kinds = current.target.kind() == "RoleBinding" || params.role_kind == "ClusterRole";
    Ok(vec![
        condition(bound && kinds, format!("{} binds {} {}, or is missing", current.target.reference(), params.role_kind, params.role)),
        condition(
            !rules,
            format!("{} {}", params.role, if rules { "rules too much to be given unasked" } else { "is none of those that rule the cluster" }),
        ),
    ])
}

fn plan_binding(current: &Current, params: &Value, _: &str) -> Result<Write> {
    let params: BindingParams = typed(params)?;
    let subject = subject(current, &params);
    if current.exists() {
        let mut subjects = current.target.list_at("/subjects").to_vec();
        if subjects.iter().any(|s| s["kind"] == subject["kind"] && s["name"] == subject["name"] && s["namespace"] == subject["namespace"]) {
            return Ok(Write::None("the account is bound already".into()));
        }
        subjects.push(subject);
        let mut edit = Edit::of(&current.target);
        edit.set("/subjects", Some(json!(subjects)));
        return Ok(edit.finish(String::new));
    }
    let mut metadata = json!({"name": current.target.name()});
    if let Some(namespace) = current.target.namespace() {
        metadata["namespace"] = json!(namespace);
    }
    Ok(Step::only(vec![Step::Create(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": current.target.kind(), "metadata": metadata, "subjects": [subject],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": params.role_kind, "name": params.role},
    }))]))
}

type Amounts = BTreeMap<String, String>;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LimitRangeParams {
    /// Limits of containers that name none, such as `{"memory": "256Mi"}`.
    #[serde(default)]
    default: Amounts,
    /// Requests of containers that name none.
    #[serde(default)]
    default_request: Amounts,
    /// The most that a container may ask for.
    #[serde(default)]
    max: Amounts,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static CREATE_LIMIT_RANGE: Action = Action {
    effect: Effect::Settings,
    preconditions: &["the namespace has no other LimitRange for containers", "requests do not exceed limits"],
    parameters: || schema_for!(LimitRangeParams),
    reads: &[Read::LimitRanges],
    check: check_limit_range,
    plan: plan_limit_range,
    ..restoring("create_limit_range", &["LimitRange"], "quota", "gives containers that name no requests or limits some; takes effect for new pods")
};

fn check_limit_range(current: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let params: LimitRangeParams = typed(params)?;
    let other = current.related(Read::LimitRanges).iter().find(|l| l.list_at("/spec/limits").iter().any(|x| x["type"] == "Container"));
    let amount = kubernaut_core::model::quantity::amount;
    let mut fits = true;
    for (resource, request) in &params.default_request {
        if let Some(limit) = params.default.get(resource) {
            fits &= amount(resource, request)? <= amount(resource, limit)?;
        }
    }
    Ok(vec![
        condition(
            other.is_none(),
            other.map_or("no other LimitRange is for containers".to_owned(), |o| format!("{} is for containers already", o.reference())),
        ),
        condition(fits, "default requests do not exceed default limits"),
    ])
}

fn plan_limit_range(current: &Current, params: &Value, _: &str) -> Result<Write> {
    let params: LimitRangeParams = typed(params)?;
    if current.exists() {
        return Ok(Write::None("the LimitRange exists already".into()));
    }
    let mut limit = json!({"type": "Container"});
    for (field, amounts) in [("default", params.default), ("defaultRequest", params.default_request), ("max", params.max)] {
        if !amounts.is_empty() {
            limit[field] = json!(amounts);
        }
    }
    if limit.as_object().is_some_and(|l| l.len() == 1) {
        return Err(bad_params("give default, default_request or max"));
    }
    Ok(Step::only(vec![Step::Create(json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": metadata(current), "spec": {"limits": [limit]}}))]))
}
