//! Growing a volume.

use kubernaut_core::{
    Result,
    model::{Object, Precondition, Reversibility, Risk, quantity},
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::{Value, json};

use super::resources::Quantity;
use crate::{
    action::{Action, Current, Effect, Read, Write, condition, typed},
    edit::Edit,
};

/// A volume never shrinks again, so a slip of the pen stays.
const MAX_FACTOR: u64 = 4;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ExpandParams {
    /// Wanted size in bytes.
    size: Quantity,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static EXPAND_PVC: Action = Action {
    name: "expand_pvc",
    aliases: &[],
    family: "storage",
    summary: "asks for a larger volume; it can never shrink again",
    target_kinds: &["PersistentVolumeClaim"],
    effect: Effect::Consult,
    risk: Risk::Medium,
    reversibility: Reversibility::Irreversible,
    preconditions: &["the claim is bound and not being resized", "its StorageClass allows expansion", "the size grows, at most 4 times"],
    parameters: || schema_for!(ExpandParams),
    reads: &[Read::StorageClasses],
    check,
    plan,
};

const SIZE: &str = "/spec/resources/requests/storage";

fn allows(current: &Current) -> Precondition {
    let name = current.target.str_at("/spec/storageClassName").unwrap_or_default();
    match current.related(Read::StorageClasses).iter().find(|c| c.name() == name && !name.is_empty()) {
        Some(class) if class.bool_at("/allowVolumeExpansion") == Some(true) => condition(true, format!("StorageClass {name} allows expansion")),
        Some(_) => condition(false, format!("StorageClass {name} does not allow expansion")),
        None => condition(false, format!("the StorageClass of the claim ({}) does not exist", if name.is_empty() { "none" } else { name })),
    }
}

fn is_resizing(claim: &Object) -> bool {
    ["Resizing", "FileSystemResizePending"].iter().any(|kind| claim.condition(kind).is_some_and(|c| c["status"] == "True"))
}

fn check(current: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let wanted = typed::<ExpandParams>(params)?.size.0;
    let claim = &current.target;
    let phase = claim.str_at("/status/phase").unwrap_or("unknown");
    let at_rest = phase == "Bound" && !is_resizing(claim);
    let now = claim.str_at(SIZE).unwrap_or("0");
    let (was, will) = (quantity::bytes(now)?, quantity::bytes(&wanted)?);
    let grows = will >= was && will <= was.saturating_mul(MAX_FACTOR);
    Ok(vec![
        condition(at_rest, format!("the claim is {phase}{}", if is_resizing(claim) { " and being resized" } else { "" })),
        allows(current),
        condition(grows, format!("the size goes from {now} to {wanted}: it may grow to {MAX_FACTOR} times as much, and not shrink")),
    ])
}

fn plan(current: &Current, params: &Value, _: &str) -> Result<Write> {
    let wanted = typed::<ExpandParams>(params)?.size.0;
    let now = current.target.str_at(SIZE).map(quantity::bytes).transpose()?;
    if now == Some(quantity::bytes(&wanted)?) {
        return Ok(Write::None(format!("the claim asks for {wanted} already")));
    }
    let mut edit = Edit::of(&current.target);
    edit.set(SIZE, Some(json!(wanted)));
    Ok(edit.finish(String::new))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(class: &str, conditions: Value) -> Current {
        let object =
            |name: &str, expands: bool| Object::new(json!({"kind": "StorageClass", "metadata": {"name": name}, "allowVolumeExpansion": expands}));
        let target = Object::new(
            json!({"kind": "PersistentVolumeClaim", "spec": {"storageClassName": class, "resources": {"requests": {"storage": "1Gi"}}}, "status": {"phase": "Bound", "conditions": conditions}}),
        );
        Current { target, related: [("StorageClass", vec![object("grows", true), object("fixed", false)])].into() }
    }

    #[test]
    fn a_claim_at_rest_grows_where_its_class_allows() {
        let holds =
            |class: &str, conditions: Value, size: &str| check(&world(class, conditions), &json!({"size": size})).unwrap().iter().all(|c| c.holds);
        assert!(holds("grows", json!([]), "1536Mi"));
        assert!(!holds("fixed", json!([]), "1536Mi"));
        assert!(!holds("", json!([]), "1536Mi"));
        assert!(!holds("grows", json!([{"type": "Resizing", "status": "True"}]), "1536Mi"));
        assert!(!holds("grows", json!([]), "512Mi") && !holds("grows", json!([]), "5Gi"));
    }

    #[test]
    fn only_the_size_is_written() {
        let Write::Patch { body, .. } = plan(&world("grows", json!([])), &json!({"size": "2Gi"}), "k").unwrap() else { panic!("no patch") };
        assert_eq!(body, json!([{"op": "replace", "path": SIZE, "value": "2Gi"}]));
        assert!(matches!(plan(&world("grows", json!([])), &json!({"size": "1024Mi"}), "k").unwrap(), Write::None(_)));
    }
}
