//! Pods that are refused on creation: quota used up, quota that demands limits, LimitRange, pod security.

use std::sync::LazyLock;

use kubernaut_core::model::{Category, EvidenceSource, Object, ObjectRef};
use regex::Regex;
use serde_json::{Map, Value, json};

use super::Case;
use crate::{
    facts::{collect::creation_failures, quantity},
    graph::{Finding, Report},
    propose,
};

static MUST: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"failed quota: ([^:]+): must specify ([a-z.,\- ]+?)(?: for:? ([^;]+))?(?:;|$)").ok());
static EXCEEDED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"exceeded quota: ([^,]+), requested: ([^ ]+(?:, ?[^ =]+=[^ ]+)*), used: ([^ ]+(?:, ?[^ =]+=[^ ]+)*), limited: ([^ ]+)").ok()
});

pub(super) fn examine(case: &Case<'_>, report: &mut Report) {
    let short = case.workload.pods.iter().filter(|p| !crate::facts::pod::is_finished(p)).count();
    if i64::try_from(short).unwrap_or(i64::MAX) >= case.workload.desired() && case.workload.kind() != "Job" && !case.workload.is_refused() {
        return;
    }
    for message in creation_failures(case.facts, &case.workload) {
        let finding = must_specify(case, &message).or_else(|| exceeded(case, &message)).or_else(|| other(case, &message));
        if let Some(finding) = finding {
            report.find(finding.because(&case.reference(), EvidenceSource::Event, message));
            return;
        }
    }
}

fn quota<'a>(case: &Case<'a>, name: &str) -> Option<&'a Object> {
    case.facts.store.get("ResourceQuota", case.workload.namespace(), name.trim())
}

fn amount(quota: &Object, part: &str, resource: &str) -> Option<f64> {
    quota
        .at(&format!("/status/{part}"))
        .or_else(|| quota.at("/spec/hard").filter(|_| part == "hard"))
        .and_then(|m| m.get(resource))
        .and_then(quantity::of)
}

fn must_specify(case: &Case<'_>, message: &str) -> Option<Finding> {
    let found = MUST.as_ref()?.captures(message)?;
    let resources: Vec<&str> = found[2].split([',', ' ']).map(str::trim).filter(|r| r.contains('.') || matches!(*r, "cpu" | "memory")).collect();
    let reference = case.reference();
    let quota = quota(case, &found[1]);
    let name = ObjectRef::new("ResourceQuota", case.workload.namespace(), found[1].trim());
    let mut finding = Finding::new(
        Category::QuotaRequiresLimits,
        &reference,
        0.97,
        format!("quota {} demands {}, which the template does not set", name.name, resources.join(", ")),
    );
    if let Some(quota) = quota {
        let text = resources
            .iter()
            .map(|r| format!("{r}: {} of {} used", show(r, amount(quota, "used", r)), show(r, amount(quota, "hard", r))))
            .collect::<Vec<_>>()
            .join(", ");
        finding = finding.because(&name, EvidenceSource::Status, text);
    }
    let container = named_container(case, found.get(3).map_or("", |m| m.as_str()));
    let mut limits = Map::new();
    let mut requests = Map::new();
    let mut fits = true;
    for resource in &resources {
        let (bound, plain) = resource.split_once('.').unwrap_or(("requests", resource));
        let (value, ok) = share(case, quota, resource, plain, container);
        fits &= ok;
        let target = if bound == "limits" { &mut limits } else { &mut requests };
        target.insert(plain.to_owned(), json!(value));
    }
    let mut params = Map::from_iter([("container".to_owned(), container["name"].clone())]);
    for (key, values) in [("limits", limits), ("requests", requests)] {
        if !values.is_empty() {
            params.insert(key.to_owned(), Value::Object(values));
        }
    }
    let action = if params.contains_key("limits") { "set_resource_limits" } else { "set_resource_requests" };
    Some(
        finding.propose(
            propose::action(action, &reference, Value::Object(params))
                .when(fits, "the quota has room for all replicas with these values")
                .effect("the pods are created")
                .done(),
        ),
    )
}

fn show(resource: &str, value: Option<f64>) -> String {
    value.map_or_else(|| "?".to_owned(), |v| if v == 0.0 { "0".to_owned() } else { quantity::render(resource, v) })
}

fn named_container<'a>(case: &Case<'a>, names: &str) -> &'a Value {
    static NULL: Value = Value::Null;
    let containers = case.workload.object.pod_spec().and_then(|s| s["containers"].as_array()).map(Vec::as_slice).unwrap_or_default();
    containers
        .iter()
        .find(|c| c["name"].as_str().is_some_and(|n| names.split([',', ' ']).any(|w| w == n)))
        .or_else(|| containers.first())
        .unwrap_or(&NULL)
}

/// What each replica may have: an equal share of what the quota leaves, at most four times the request, at least the request.
fn share(case: &Case<'_>, quota: Option<&Object>, resource: &str, plain: &str, container: &Value) -> (String, bool) {
    let request = quantity::of(&container["resources"]["requests"][plain]).unwrap_or(0.0);
    let limit = quantity::of(&container["resources"]["limits"][plain]);
    let free = quota.and_then(|q| Some(amount(q, "hard", resource)? - amount(q, "used", resource).unwrap_or(0.0)));
    let replicas = case.workload.desired().max(1) as f64;
    let part = free.map_or(f64::INFINITY, |f| (f / replicas).max(0.0));
    let wish = match (request > 0.0, limit) {
        (true, _) => request * 4.0,
        (false, Some(limit)) => limit,
        (false, None) if plain == "cpu" => 0.1,
        (false, None) => 128.0 * 1_048_576.0,
    };
    let value = wish.min(part).max(request);
    let value = if plain == "cpu" { (value * 1000.0).floor() / 1000.0 } else { value };
    (quantity::render(plain, value), value > 0.0 && value <= part + 1e-9)
}

fn exceeded(case: &Case<'_>, message: &str) -> Option<Finding> {
    let start = message.find("exceeded quota: ")?;
    let found = EXCEEDED.as_ref().and_then(|r| r.captures(&message[start..]));
    let name = message[start + 16..].split(',').next().unwrap_or_default().trim();
    let reference = ObjectRef::new("ResourceQuota", case.workload.namespace(), name);
    let quota = quota(case, name);
    let requested = found.as_ref().map_or("", |f| f.get(2).map_or("", |m| m.as_str()));
    let mut hard = Map::new();
    let missing = i64::try_from(case.workload.live_pods().count()).map_or(1, |have| (case.workload.desired() - have).max(1)) as f64;
    for pair in requested.split(',') {
        let Some((resource, value)) = pair.trim().split_once('=') else { continue };
        let (Some(q), Some(each)) = (quota, quantity::parse(value)) else { continue };
        let (limit, used) = (amount(q, "hard", resource).unwrap_or(0.0), amount(q, "used", resource).unwrap_or(0.0));
        if used + each > limit {
            hard.insert(resource.to_owned(), json!(quantity::render(resource, (used + each * missing).max(limit))));
        }
    }
    let known = !hard.is_empty();
    let room = case.facts.store.all("Node").next().is_some();
    Some(
        Finding::new(Category::QuotaExhausted, &reference, 0.96, format!("quota {name} leaves no room for another pod"))
            .because(&reference, EvidenceSource::Status, message.get(start..).unwrap_or_default().to_owned())
            .propose(
                propose::action("increase_quota", &reference, json!({ "hard": hard }))
                    .when(known, "the quota and what the pods need are known")
                    .when(room, "the cluster has nodes to hold them")
                    .effect("the missing pods are created")
                    .done(),
            ),
    )
}

/// LimitRange and pod security: the template asks for what the namespace forbids.
fn other(case: &Case<'_>, message: &str) -> Option<Finding> {
    let reference = case.reference();
    let lower = message.to_lowercase();
    let mut category = Category::BadReleaseConfig;
    let mut at = reference.clone();
    let what = if ["violates podsecurity", "unable to validate against any security context constraint", "podsecuritypolicy"]
        .iter()
        .any(|w| lower.contains(w))
    {
        category = Category::PodSecurityDenied;
        "pod security admission refuses the template"
    } else if lower.contains("maximum") && lower.contains("per container") || lower.contains("minimum") && lower.contains("per container") {
        "the template is outside of what the LimitRange allows"
    } else if lower.contains("serviceaccount") && lower.contains("not found") {
        category = Category::ServiceAccountMissing;
        let name = case.workload.object.pod_spec().and_then(|s| s["serviceAccountName"].as_str()).unwrap_or("default");
        at = ObjectRef::new("ServiceAccount", case.workload.namespace(), name);
        "the service account of the template does not exist"
    } else if lower.contains("no priorityclass with name") {
        "the priority class of the template does not exist"
    } else if lower.contains("runtimeclass") && lower.contains("not found") {
        "the runtime class of the template does not exist"
    } else {
        return None;
    };
    let refused_now = |r: &&crate::facts::revision::Rollout<'_>| r.proven.is_some() && r.at.is_some_and(|at| case.facts.age_s(at) < 86_400);
    if let Some(rollout) = case.rollout().filter(refused_now) {
        let blamed: Vec<_> = rollout.changes.iter().collect();
        let finding = Finding::new(Category::BadReleaseConfig, &reference, 0.85, format!("{what} since revision {}", rollout.current.number));
        let finding = finding.because_some(&reference, EvidenceSource::Revision, blamed.first().map(|c| super::rollout::describe(rollout, c)));
        return Some(super::rollout::with_undo(case, rollout, &blamed, finding));
    }
    let confidence = if category == Category::BadReleaseConfig { 0.78 } else { 0.92 };
    Some(Finding::new(category, &at, confidence, what).propose(propose::escalate(
        &at,
        what,
        vec!["correct the template, or what the namespace allows and holds".to_owned()],
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_the_quota_controller_are_read() {
        let must = MUST
            .as_ref()
            .unwrap()
            .captures("pods \"a-1\" is forbidden: failed quota: compute: must specify limits.cpu for: web; limits.memory for: web")
            .unwrap();
        assert_eq!((&must[1], &must[2], &must[3]), ("compute", "limits.cpu", "web"));
        let old = MUST.as_ref().unwrap().captures("failed quota: q: must specify limits.cpu,limits.memory").unwrap();
        assert_eq!(&old[2], "limits.cpu,limits.memory");
        let over = EXCEEDED
            .as_ref()
            .unwrap()
            .captures("exceeded quota: team, requested: requests.memory=256Mi, used: requests.memory=1Gi, limited: requests.memory=1Gi")
            .unwrap();
        assert_eq!((&over[1], &over[2]), ("team", "requests.memory=256Mi"));
    }
}
