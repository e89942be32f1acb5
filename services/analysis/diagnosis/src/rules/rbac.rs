//! Rights that a service account lost.

use kubernaut_core::model::{Category, EvidenceSource, Object, ObjectRef};
use serde_json::json;

use super::Case;
use crate::{
    facts::{
        log::Signature,
        rbac::{self, Right},
    },
    graph::{Finding, Report},
    propose,
};

pub(super) fn examine(case: &Case<'_>, report: &mut Report) {
    let hits = case.all_hits();
    let denied =
        hits.iter().find_map(|(o, h)| (h.sign.kind == Signature::Forbidden).then(|| Some((*o, *h, Right::parse(h.sign.subject.as_deref()?)?)))?);
    let Some((object, hit, right)) = denied else { return };
    if is_granted(case, &right) {
        return;
    }
    let namespace = if right.namespace.is_empty() { None } else { Some(right.namespace.as_str()) };
    let finding = dangling(case, &right, namespace).or_else(|| unbound(case, &right, namespace)).unwrap_or_else(|| unknown(case, &right));
    report.find(finding.because(&object.reference(), EvidenceSource::Log, hit.line.clone()));
}

fn bindings<'a>(case: &Case<'a>, namespace: Option<&str>) -> Vec<&'a Object> {
    let mut all: Vec<&Object> = case.facts.store.all("ClusterRoleBinding").collect();
    if namespace.is_some() {
        all.extend(case.facts.store.list("RoleBinding", namespace));
    }
    all
}

fn is_granted(case: &Case<'_>, right: &Right) -> bool {
    let namespace = Some(right.namespace.as_str()).filter(|n| !n.is_empty());
    bindings(case, namespace).iter().any(|b| rbac::binds(b, right) && rbac::role_of(case.facts, b).is_some_and(|r| rbac::grants(r, right)))
}

fn wish(right: &Right) -> String {
    format!(
        "{} {}{} in {}",
        right.verb,
        right.resource,
        if right.group.is_empty() { String::new() } else { format!(".{}", right.group) },
        if right.namespace.is_empty() { "the cluster" } else { &right.namespace }
    )
}

/// A binding of the account whose role is gone or no longer grants the right.
fn dangling(case: &Case<'_>, right: &Right, namespace: Option<&str>) -> Option<Finding> {
    let binding =
        bindings(case, namespace).into_iter().find(|b| rbac::binds(b, right) && !b.list_at("/subjects").iter().any(|s| s["kind"] == "Group"))?;
    let role = rbac::role_of(case.facts, binding);
    let kind = binding.str_at("/roleRef/kind").unwrap_or("Role");
    let at = ObjectRef::new(kind, binding.namespace(), binding.str_at("/roleRef/name")?);
    let (confidence, summary) = match role {
        None => (0.93, format!("{} refers to {at}, which does not exist", binding.reference())),
        Some(_) => (0.88, format!("{at} no longer grants {}", wish(right))),
    };
    let steps = vec![format!("let {at} grant {} again, and nothing beyond", wish(right))];
    Some(
        Finding::new(Category::RbacDenied, &at, confidence, summary)
            .because(&binding.reference(), EvidenceSource::Spec, format!("binds {} to {}", at, right.account))
            .propose(propose::escalate(&at, "what the role granted before is not known", steps)),
    )
}

/// A role that grants the right, and no binding that gives it to the account.
fn unbound(case: &Case<'_>, right: &Right, namespace: Option<&str>) -> Option<Finding> {
    let roles = || case.facts.store.list("Role", namespace);
    let mut granting: Vec<&Object> = roles().filter(|r| rbac::grants(r, right)).collect();
    if granting.is_empty() && namespace.is_none() {
        granting = case.facts.store.all("ClusterRole").filter(|r| rbac::grants(r, right) && !is_system(r)).collect();
    }
    granting.sort_by_key(|r| (crate::facts::text::distance(r.name(), &right.account, 12), bound_at_all(case, r)));
    let role = granting.first()?;
    let cluster = role.kind() == "ClusterRole";
    let wrong = bindings(case, namespace)
        .into_iter()
        .find(|b| b.str_at("/roleRef/name") == Some(role.name()) && b.str_at("/roleRef/kind") == Some(role.kind()));
    let kind = if cluster { "ClusterRoleBinding" } else { "RoleBinding" };
    let at = wrong.map_or_else(|| ObjectRef::new(kind, namespace, binding_name(case, role)), Object::reference);
    let summary = match wrong {
        Some(_) => format!("{at} does not name service account {}", right.account),
        None => format!("no binding gives {} to service account {}", role.reference(), right.account),
    };
    Some(
        Finding::new(Category::RbacDenied, &at, 0.93, summary)
            .because(&role.reference(), EvidenceSource::Spec, format!("grants {}", wish(right)))
            .propose(
                propose::action("restore_role_binding", &at, json!({ "role_kind": role.kind(), "role": role.name(), "service_account": right.account, "service_account_namespace": right.account_namespace }))
                    .when(true, format!("{} exists and grants what is asked for", role.reference()))
                    .effect("the account may do again what its role allows")
                    .done(),
            ),
    )
}

fn is_system(role: &Object) -> bool {
    role.name().starts_with("system:") || matches!(role.name(), "cluster-admin" | "admin" | "edit" | "view")
}

fn bound_at_all(case: &Case<'_>, role: &Object) -> bool {
    bindings(case, role.namespace()).iter().any(|b| b.str_at("/roleRef/name") == Some(role.name()))
}

/// The name that the namespace's habit gives a binding: the role's own, or with the suffix that others have.
fn binding_name(case: &Case<'_>, role: &Object) -> String {
    let suffix = case
        .facts
        .store
        .list("RoleBinding", role.namespace())
        .find_map(|b| b.name().strip_prefix(b.str_at("/roleRef/name")?).filter(|s| !s.is_empty()));
    format!("{}{}", role.name(), suffix.unwrap_or_default())
}

fn unknown(case: &Case<'_>, right: &Right) -> Finding {
    let at = ObjectRef::new("ServiceAccount", Some(&right.account_namespace), right.account.clone());
    let steps = vec![format!("grant {} to service account {} with a role of its own", wish(right), right.account)];
    let confidence = if case.facts.store.is_complete("Role", Some(&right.namespace)) { 0.85 } else { 0.7 };
    Finding::new(Category::RbacDenied, &at, confidence, format!("service account {} may not {}", right.account, wish(right)))
        .propose(propose::escalate(&at, "no role grants what is asked for", steps))
}
