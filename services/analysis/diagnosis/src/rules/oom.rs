//! Killed for memory: a limit too low, a leak, a release that needs more, or a fix that is being reverted.

use kubernaut_core::model::{Category, EvidenceSource, HistoryEntry, Object, Outcome, ProposedAction};
use serde_json::{Value, json};

use super::{Case, rollout};
use crate::{
    facts::{
        capacity, managed,
        metric::{self, Trend},
        owner,
        pod::Container,
        quantity,
        revision::{ChangeKind, Rollout},
    },
    graph::{Finding, Report},
    propose,
};

/// Seconds of growth that make a leak.
const LEAK_S: i64 = 1_800;

/// Seconds within which a rising need must meet the limit to count.
const DAY_S: f64 = 86_400.0;

pub(super) fn examine(case: &Case<'_>, report: &mut Report) {
    let killed = case
        .failing_containers()
        .filter(|(_, c)| !c.init)
        .find(|(o, c)| (c.last_end().is_some_and(|t| t.is_oom()) || killed_at_limit(case, o, c)) && (c.is_crashing(case.facts.now) || !c.ready()));
    let recent = || {
        let fresh = |c: &Container<'_>| c.last_end().is_some_and(|t| t.is_oom() && t.finished.is_some_and(|f| case.facts.age_s(f) < 1_800));
        case.workload.live_pods().flat_map(|p| crate::facts::pod::containers(p).into_iter().map(move |c| (p, c))).find(|(_, c)| fresh(c))
    };
    match killed.or_else(recent) {
        Some((object, container)) => report.find(cause(case, object, &container)),
        None if case.is_target => report.findings.extend(growing(case)),
        None => {}
    }
}

/// Killed without a word on memory, while it used all that it may: the kernel ended a child, or the runtime lost the reason.
fn killed_at_limit(case: &Case<'_>, object: &Object, container: &Container<'_>) -> bool {
    let by_probe = || case.facts.events_of(&object.reference()).any(|e| e.reason == "Killing" && e.message.contains("probe"));
    let at_limit = || {
        let limit = container.resource("limits", "memory")?;
        Some(memory_trend(case, object, container)?.peak >= 0.93 * limit)
    };
    container.last_end().is_some_and(|t| t.exit_code == 137) && !by_probe() && at_limit() == Some(true)
}

/// Not killed yet, but memory rises steadily towards the limit.
fn growing(case: &Case<'_>) -> Option<Finding> {
    let running =
        case.workload.live_pods().flat_map(|p| crate::facts::pod::containers(p).into_iter().map(move |c| (p, c))).filter(|(_, c)| c.is_running());
    for (object, container) in running {
        let Some(limit) = container.resource("limits", "memory") else { continue };
        let Some(trend) = memory_trend(case, object, &container) else { continue };
        let left = limit - trend.peak;
        let reaches = trend.slope > 0.0 && left / trend.slope < DAY_S;
        if trend.span_s >= LEAK_S && trend.rising >= 0.7 && reaches && trend.slope * trend.span_s as f64 > 0.1 * limit {
            let hours = (left / trend.slope / 3_600.0).max(0.0);
            let finding = Finding::new(
                Category::MemoryLeak,
                &case.reference(),
                0.88,
                format!("memory of container {} rises steadily and meets its limit in {hours:.0} h", container.name),
            )
            .because(
                &object.reference(),
                EvidenceSource::Metric,
                format!(
                    "working set rises by {} an hour over {} minutes, now {}",
                    quantity::memory(trend.slope * 3_600.0),
                    trend.span_s / 60,
                    quantity::memory(trend.peak)
                ),
            );
            return Some(relieve(case, &container, finding));
        }
    }
    None
}

fn cause(case: &Case<'_>, object: &Object, container: &Container<'_>) -> Finding {
    if let Some(finding) = drift(case, object, container) {
        return finding;
    }
    if let Some(finding) = release(case, object, container) {
        return finding;
    }
    let trend = memory_trend(case, object, container);
    let raised_in_vain =
        case.facts.history.iter().filter(|h| raised_memory(case, h)).filter(|h| matches!(h.outcome, Some(Outcome::Ineffective))).count();
    // A limit that was raised again and again, still stands, and is reached once more.
    let now = container.resource("limits", "memory").unwrap_or(0.0);
    let stood = |h: &&HistoryEntry| value_of(&h.parameters).is_some_and(|to| to <= now * 1.01);
    let in_vain_all = case.facts.history.iter().filter(|h| raised_memory(case, h)).filter(stood).count();
    let raised_in_vain = if in_vain_all >= 2 { raised_in_vain.max(in_vain_all) } else { raised_in_vain };
    let ran = container.last_end().and_then(|t| t.ran_s()).unwrap_or(0);
    let grows = trend.is_some_and(|t| t.span_s >= LEAK_S && t.rising >= 0.7 && t.slope > 0.0);
    if grows || raised_in_vain > 0 || (ran >= 2 * LEAK_S && container.restarts() >= 2 && trend.is_none()) {
        return leak(case, object, container, trend.filter(|_| grows), raised_in_vain, ran);
    }
    too_low(case, object, container, trend, ran)
}

fn killed(case: &Case<'_>, finding: Finding, object: &Object, container: &Container<'_>) -> Finding {
    let limit = container.spec["resources"]["limits"]["memory"].as_str().unwrap_or("none");
    let ran = container.last_end().and_then(|t| t.ran_s()).map(|s| format!(", {s} s after its start")).unwrap_or_default();
    let finding = finding
        .because(
            &object.reference(),
            EvidenceSource::Status,
            format!(
                "container {} killed for memory (exit code 137, {}){ran}, {} restarts",
                container.name,
                container.last_end().map_or("", |t| t.reason),
                container.restarts()
            ),
        )
        .because(&case.reference(), EvidenceSource::Spec, format!("container {} memory limit {limit}", container.name));
    let node = object.str_at("/spec/nodeName").and_then(|n| case.facts.store.get("Node", None, n));
    let pressure = node.and_then(|n| n.condition("MemoryPressure")?["status"].as_str().map(|s| (n.reference(), s.to_owned())));
    match pressure {
        Some((node, status)) => finding.because(&node, EvidenceSource::Status, format!("MemoryPressure={status}")),
        None => finding,
    }
}

fn memory_trend(case: &Case<'_>, object: &Object, container: &Container<'_>) -> Option<Trend> {
    let labels = [("namespace", case.namespace()), ("pod", object.name()), ("container", container.name)];
    let series = case.facts.series("container_memory_working_set_bytes", &labels);
    let mine = series.into_iter().filter(|s| s.labels.get("container").is_none_or(|c| c == container.name) && !s.query.contains("rate("));
    mine.filter_map(|s| metric::trend(&s.values)).max_by_key(|t| t.span_s)
}

/// The latest rollout brought what eats the memory, or took the room away.
fn release(case: &Case<'_>, object: &Object, container: &Container<'_>) -> Option<Finding> {
    let rollout = case.blamed_rollout().filter(|r| r.proven.is_some())?;
    let reference = case.reference();
    let own = |c: &&crate::facts::revision::Change| c.container.as_deref().is_none_or(|n| n == container.name);
    if let Some(change) = rollout.of(ChangeKind::Resources).find(own)
        && lowered_limit(change.before.as_ref(), change.after.as_ref())
    {
        let finding = Finding::new(
            Category::OomLimitTooLow,
            &reference,
            0.95,
            format!("revision {} lowered the memory limit of container {} below its need", rollout.current.number, container.name),
        )
        .because(&reference, EvidenceSource::Revision, rollout::describe(rollout, change));
        return Some(rollout::with_undo(case, rollout, &[change], killed(case, finding, object, container)));
    }
    let (category, confidence, change) = memory_change(rollout, container.name)?;
    let summary = format!("revision {} changed {} and its pods are killed for memory", rollout.current.number, change.path);
    let finding = Finding::new(category, &reference, confidence, summary)
        .because(&reference, EvidenceSource::Revision, rollout::describe(rollout, change))
        .because_some(&reference, EvidenceSource::Revision, rollout.proven.clone());
    Some(rollout::with_undo(case, rollout, &[change], killed(case, finding, object, container)))
}

fn memory_change<'r>(rollout: &'r Rollout<'_>, container: &str) -> Option<(Category, f64, &'r crate::facts::revision::Change)> {
    let own = |c: &&crate::facts::revision::Change| c.container.as_deref().is_none_or(|n| n == container);
    let first = |kind: ChangeKind| rollout.of(kind).find(own);
    if let Some(c) = first(ChangeKind::Config) {
        return Some((Category::BadReleaseConfig, 0.92, c));
    }
    if let Some(c) = first(ChangeKind::Command) {
        return Some((Category::BadReleaseCommand, 0.9, c));
    }
    if let Some(c) = first(ChangeKind::Env) {
        return Some((Category::BadReleaseEnv, 0.88, c));
    }
    first(ChangeKind::Image).map(|c| (Category::MemoryLeak, 0.75, c))
}

fn lowered_limit(before: Option<&Value>, after: Option<&Value>) -> bool {
    let limit = |v: Option<&Value>| v.and_then(|v| quantity::of(&v["limits"]["memory"]));
    match (limit(before), limit(after)) {
        (Some(b), Some(a)) => a < b,
        (None, Some(_)) => true,
        _ => false,
    }
}

fn raised_memory(case: &Case<'_>, entry: &HistoryEntry) -> bool {
    let action = entry.action.as_deref().unwrap_or_default();
    let raises = action.contains("memory") || matches!(action, "set_resource_limits" | "set_resources" | "increase_resources");
    raises && entry.resource.same_object(&kubernaut_core::model::ObjectRef { uid: None, ..case.reference() })
}

/// An earlier raise of the limit helped, and somebody set the old value again.
fn drift(case: &Case<'_>, object: &Object, container: &Container<'_>) -> Option<Finding> {
    let worked = |h: &&HistoryEntry| matches!(h.outcome, Some(Outcome::Resolved)) || h.effectiveness.is_some_and(|e| e >= 0.7);
    let now = container.resource("limits", "memory")?;
    let raised_to = |h: &HistoryEntry| value_of(&h.parameters).filter(|to| *to > now * 1.01);
    let fixes: Vec<_> = case.facts.history.iter().filter(|h| raised_memory(case, h)).filter(worked).filter(|h| raised_to(h).is_some()).collect();
    let last = fixes.iter().max_by_key(|h| h.opened_at)?;
    let reference = case.reference();
    let manager = owner::manager(case.facts, case.workload.object);
    let write = managed::owner_of_container_field(case.workload.object, container.name, "resources");
    let other = write.filter(|w| w.at.is_some_and(|at| at >= last.opened_at) && w.manager != "kubernaut");
    let confidence = match (other.is_some(), fixes.len()) {
        (true, _) => 0.95,
        (false, 2..) => 0.88,
        _ => 0.8,
    };
    let wanted = raised_to(last).map(quantity::memory)?;
    let mut finding = Finding::new(
        Category::ExternalDrift,
        &reference,
        confidence,
        format!("the memory limit was raised {} time(s) with success and was set back each time", fixes.len()),
    );
    for fix in &fixes {
        let text = format!(
            "{} at {}: {} ({})",
            fix.action.as_deref().unwrap_or_default(),
            fix.opened_at,
            fix.parameters,
            fix.outcome.map_or("", |_| "it helped")
        );
        finding = finding.because(&reference, EvidenceSource::History, text);
    }
    if let Some(write) = other {
        finding = finding.because(
            &reference,
            EvidenceSource::Spec,
            format!(
                "resources of container {} were last set by {} at {}",
                container.name,
                write.manager,
                write.at.map(|t| t.to_string()).unwrap_or_default()
            ),
        );
    }
    let finding = killed(case, finding, object, container);
    let steps = vec![format!("set the memory limit of container {} to {wanted} at the source of {reference}", container.name)];
    Some(match manager {
        Some(manager) if manager.is_gitops() => finding.propose(
            propose::action("git_change", &reference, json!({ "container": container.name, "memory_limit": wanted, "manager": manager.describe() }))
                .when(true, format!("{} keeps the limit", manager.describe()))
                .effect("the limit stays, and the container is no longer killed")
                .steps(steps)
                .done(),
        ),
        _ => finding.propose(propose::escalate(&reference, "another manager sets the limit back; it has to be changed there", steps)),
    })
}

/// The limit that an earlier action set, from its recorded parameters.
fn value_of(parameters: &Value) -> Option<f64> {
    for key in ["to", "memory_limit", "memory", "limit", "new_limit"] {
        if let Some(value) = parameters.get(key).and_then(quantity::of) {
            return Some(value);
        }
    }
    parameters.pointer("/limits/memory").and_then(quantity::of)
}

fn leak(case: &Case<'_>, object: &Object, container: &Container<'_>, trend: Option<Trend>, in_vain: usize, ran: i64) -> Finding {
    let reference = case.reference();
    let confidence = match (trend.is_some(), in_vain) {
        (true, _) => 0.92,
        (false, 1..) => 0.85,
        _ => 0.7,
    };
    let mut finding =
        Finding::new(Category::MemoryLeak, &reference, confidence, format!("memory of container {} grows until it is killed", container.name));
    if let Some(t) = trend {
        let text = format!("working set rises by {} an hour over {} minutes", quantity::memory(t.slope * 3600.0), t.span_s / 60);
        finding = finding.because(&object.reference(), EvidenceSource::Metric, text);
    } else {
        finding = finding.because(&object.reference(), EvidenceSource::Status, format!("it ran for {} minutes before it was killed", ran / 60));
    }
    if in_vain > 0 {
        finding = finding.because(&reference, EvidenceSource::History, format!("the limit was raised {in_vain} time(s) without effect"));
    }
    let finding = killed(case, finding, object, container);
    if in_vain > 0 {
        let steps = vec![format!("find the leak in container {}", container.name), "a larger limit only makes it last longer".to_owned()];
        return finding.propose(propose::escalate(&reference, "raising the limit did not help; the leak has to be fixed in the application", steps));
    }
    relieve(case, container, finding)
}

/// Going back where a release brought the leak, else starting afresh.
fn relieve(case: &Case<'_>, container: &Container<'_>, finding: Finding) -> Finding {
    let reference = case.reference();
    if let Some(rollout) = case.rollout().filter(|r| r.proven.is_some() && r.at.is_some_and(|at| case.facts.age_s(at) < 7 * 86_400))
        && let Some(change) = rollout.of(ChangeKind::Image).next()
    {
        let finding = finding.because(&reference, EvidenceSource::Revision, rollout::describe(rollout, change));
        return rollout::with_undo(case, rollout, &[change], finding);
    }
    finding.propose(
        propose::action("rollout_restart", &reference, json!({}))
            .when(reference.kind != "Job", "a controller replaces the pods")
            .effect("memory starts low again; the leak itself has to be fixed in the application")
            .steps(vec![format!("find the leak in container {}", container.name)])
            .done(),
    )
}

fn too_low(case: &Case<'_>, object: &Object, container: &Container<'_>, trend: Option<Trend>, ran: i64) -> Finding {
    let reference = case.reference();
    let confidence = if ran < 600 || trend.is_some() { 0.95 } else { 0.85 };
    let finding = Finding::new(
        Category::OomLimitTooLow,
        &reference,
        confidence,
        format!("container {} needs more memory than its limit allows", container.name),
    );
    let finding = match trend {
        Some(t) => {
            finding.because(&object.reference(), EvidenceSource::Metric, format!("working set reaches {} and stays there", quantity::memory(t.peak)))
        }
        None => finding,
    };
    let finding = killed(case, finding, object, container);
    match raise(case, container) {
        Some(action) => finding.propose(action),
        None => finding.propose(propose::escalate(
            &reference,
            "the container has no memory limit of its own; the node or the pod runs out of memory",
            vec!["look at what else uses the node's memory".to_owned()],
        )),
    }
}

/// Twice the limit, within what nodes, quota and LimitRange allow.
fn raise(case: &Case<'_>, container: &Container<'_>) -> Option<ProposedAction> {
    let now = container.resource("limits", "memory")?;
    let biggest = case.facts.store.all("Node").map(|n| capacity::allocatable(n, "memory")).fold(0.0, f64::max);
    let ceiling = ceiling(case);
    let mut wanted = 2.0 * now;
    for bound in [ceiling, (biggest > 0.0).then_some(biggest * 0.8)].into_iter().flatten() {
        wanted = wanted.min(bound);
    }
    let quota_ok = quota_leaves(case, wanted - now);
    let reference = case.reference();
    let grows = wanted > now * 1.05;
    let text = quantity::memory(if grows { wanted } else { 2.0 * now });
    Some(
        propose::action("increase_memory_limit", &reference, json!({ "container": container.name, "memory_limit": text }))
            .when(grows, format!("nodes and LimitRange leave room above {}", quantity::memory(now)))
            .when(quota_ok, "the namespace's quota leaves room")
            .effect(format!("container {} has {text} and is no longer killed", container.name))
            .done(),
    )
}

/// The largest memory limit that a LimitRange allows a container.
fn ceiling(case: &Case<'_>) -> Option<f64> {
    let ranges = case.facts.store.list("LimitRange", case.workload.namespace());
    let limits = ranges.flat_map(|r| r.list_at("/spec/limits")).filter(|l| l["type"] == "Container");
    limits.filter_map(|l| quantity::of(&l["max"]["memory"])).reduce(f64::min)
}

fn quota_leaves(case: &Case<'_>, more: f64) -> bool {
    let replicas = case.workload.desired().max(1) as f64;
    case.facts.store.list("ResourceQuota", case.workload.namespace()).all(|q| {
        let value = |part: &str| q.at(&format!("/status/{part}")).and_then(|m| m.get("limits.memory")).and_then(quantity::of);
        match (value("hard"), value("used")) {
            (Some(hard), Some(used)) => used + more * replicas <= hard,
            _ => true,
        }
    })
}
