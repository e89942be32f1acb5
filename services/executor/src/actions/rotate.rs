//! New values for a Secret.

use kubernaut_core::{
    Result,
    model::{Precondition, Reversibility, Risk},
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::action::{Action, Current, Effect, Read, Step, Write, condition, name_for, typed};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RotateParams {
    /// Keys that get a new value: letters and digits by chance.
    #[schemars(length(min = 1, max = 50))]
    keys: Vec<String>,
    /// Length of each value in characters. Default 32.
    #[schemars(range(min = 16, max = 256))]
    length: Option<usize>,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static ROTATE: Action = Action {
    name: super::ROTATE_SECRETS,
    aliases: &["rotate_secret"],
    family: "secret",
    summary: "gives keys of a Secret new values by chance; the earlier ones stay in a copy beside it, none is shown or recorded",
    target_kinds: &["Secret"],
    effect: Effect::Consult,
    risk: Risk::High,
    reversibility: Reversibility::Undo,
    preconditions: &["nothing else keeps the Secret", "it has the keys", "it is no token and no certificate", "it may be changed"],
    parameters: || schema_for!(RotateParams),
    reads: &[Read::ExternalSecrets, Read::SealedSecrets, Read::Certificates],
    check,
    plan,
};

fn check(current: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let params: RotateParams = typed(params)?;
    let secret = &current.target;
    let helm = secret.annotation("meta.helm.sh/release-name").is_some() || secret.label("app.kubernetes.io/managed-by") == Some("Helm");
    let made_by = |read: Read, path: &str| current.related(read).iter().find(|o| o.str_at(path).unwrap_or(o.name()) == secret.name());
    let maker = made_by(Read::ExternalSecrets, "/spec/target/name")
        .or_else(|| made_by(Read::SealedSecrets, "/spec/template/metadata/name"))
        .or_else(|| made_by(Read::Certificates, "/spec/secretName"))
        .map(|o| o.reference().to_string())
        .or_else(|| secret.controller().map(|o| o.to_string()))
        .or_else(|| helm.then(|| "a Helm release".to_owned()));
    let data = secret.at("/data");
    let missing = params.keys.iter().find(|k| data.and_then(|d| d.get(k.as_str())).is_none());
    let kind = secret.str_at("/type").unwrap_or("Opaque");
    let plain = matches!(kind, "Opaque" | "kubernetes.io/basic-auth");
    let fixed = secret.bool_at("/immutable") == Some(true);
    Ok(vec![
        condition(maker.is_none(), maker.map_or("nothing else keeps the Secret".to_owned(), |m| format!("{m} keeps the Secret; rotate it there"))),
        condition(missing.is_none(), missing.map_or("it has the keys".to_owned(), |k| format!("it has no key {k}"))),
        condition(plain, format!("its type is {kind}")),
        condition(!fixed, if fixed { "it is immutable" } else { "it may be changed" }),
    ])
}

fn plan(current: &Current, params: &Value, key: &str) -> Result<Write> {
    let params: RotateParams = typed(params)?;
    let secret = &current.target;
    let metadata = json!({"name": name_for(&format!("{}-before", secret.name()), key), "namespace": secret.namespace(), "labels": {"kubernaut.ai/copy-of": "secret"}});
    let copy = Step::CopySecret { source: secret.reference(), object: json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata}) };
    // The copy first: without it the earlier values would be gone.
    Ok(Step::only(vec![copy, Step::Fill { keys: params.keys, length: params.length.unwrap_or(32) }]))
}
