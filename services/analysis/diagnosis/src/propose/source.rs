//! Managed objects are copies: the change is proposed where the original is.

use kubernaut_core::model::{Category, Object, ObjectRef, ProposedAction, Timestamp};
use serde_json::json;

use super::{action, escalate, lookup};
use crate::facts::{
    Facts, managed,
    owner::{self, Manager},
    revision,
    workload::Workload,
};

/// Seconds between a deployment of the source and the change it made.
const SAME_CHANGE_S: i64 = 600;

/// The proposal itself, or its counterpart at the source of the object it would change.
pub(super) fn redirect(facts: &Facts, category: Category, proposal: ProposedAction) -> ProposedAction {
    if !lookup(&proposal.action).is_some_and(|k| k.edits_source) {
        return proposal;
    }
    let Some(object) = facts.store.find(&proposal.target) else { return proposal };
    let Some(manager) = owner::manager(facts, object).or_else(|| manager_of_owner(facts, object)) else { return proposal };
    // A change made by hand on a managed object is itself the difference: taking it back brings the copy in line.
    if taken_back_by_hand(facts, object, &manager, &proposal) {
        return proposal;
    }
    match &manager {
        Manager::Argo(app) => argo(facts, object, app, proposal),
        Manager::Helm { release, namespace } => helm(facts, category, object, release, namespace, proposal),
        Manager::Flux(source) => flux(facts, object, source, proposal),
        Manager::Operator(resource) => escalate(
            resource,
            format!("{} is kept by the operator of {resource}, which would set the change back", object.reference()),
            vec![format!("make the change of {} ({} {}) in {resource}", object.reference(), proposal.action, proposal.params)],
        ),
    }
}

fn manager_of_owner(facts: &Facts, object: &Object) -> Option<Manager> {
    let top = facts.store.top_owner(object);
    let owner = facts.store.find(&top).filter(|o| o.name() != object.name() || o.kind() != object.kind())?;
    owner::manager(facts, owner)
}

fn taken_back_by_hand(facts: &Facts, object: &Object, manager: &Manager, proposal: &ProposedAction) -> bool {
    if proposal.action != "rollback_deployment" {
        return false;
    }
    let Some(workload) = Workload::find(facts, &object.reference()) else { return false };
    let by = revision::last_rollout(facts, &workload).and_then(|r| r.by);
    by.is_some_and(|by| !manager.writes_as(&by) && !by.is_empty())
}

/// When the object was last changed by its manager, or at all.
fn changed_at(facts: &Facts, object: &Object) -> Option<Timestamp> {
    let rollout = Workload::find(facts, &object.reference()).and_then(|w| revision::last_rollout(facts, &w)).and_then(|r| r.at);
    rollout.or_else(|| managed::changed_at(object))
}

fn argo(facts: &Facts, object: &Object, app: &ObjectRef, proposal: ProposedAction) -> ProposedAction {
    let application = facts.store.find(app);
    let history = application.map(owner::argo_history).unwrap_or_default();
    let near = |at: Option<Timestamp>| {
        let alerted = facts.store.find(&crate::rules::subject(facts, &facts.target)).and_then(|o| changed_at(facts, o));
        let close = |b: Timestamp| at.is_some_and(|a| (a.as_second() - b.as_second()).abs() <= SAME_CHANGE_S);
        [changed_at(facts, object), alerted].into_iter().flatten().any(close)
    };
    if let [.., before, last] = history.as_slice()
        && near(last.at)
        && before.revision != last.revision
    {
        let repo = application.and_then(|a| a.str_at("/spec/source/repoURL")).unwrap_or_default();
        let branch = application.and_then(|a| a.str_at("/spec/source/targetRevision")).unwrap_or_default();
        let params = json!({ "commit": short(&last.revision), "revert_to": short(&before.revision), "repository": repo, "branch": branch });
        return action("git_revert", app, params)
            .when(
                true,
                format!("the fault came with the sync of {} at {}", short(&last.revision), last.at.map(|t| t.to_string()).unwrap_or_default()),
            )
            .when(true, format!("{} was deployed before", short(&before.revision)))
            .effect(format!("Argo CD syncs {object} back to its last good state", object = object.reference()))
            .steps(vec![format!("git revert {} on {branch} of {repo}", short(&last.revision)), format!("let {app} sync and become Healthy")])
            .done();
    }
    git_change(object, &Manager::Argo(app.clone()), proposal)
}

fn flux(_facts: &Facts, object: &Object, source: &ObjectRef, proposal: ProposedAction) -> ProposedAction {
    git_change(object, &Manager::Flux(source.clone()), proposal)
}

fn git_change(object: &Object, manager: &Manager, proposal: ProposedAction) -> ProposedAction {
    let what = json!({ "change": proposal.action, "to": proposal.params, "manager": manager.describe() });
    let mut change = action("git_change", &proposal.target, what);
    for condition in proposal.preconditions {
        change = change.when(condition.holds, condition.text);
    }
    change
        .effect(proposal.expected_effect)
        .steps(vec![
            format!("make the change of {} ({}) in the repository that {} follows", object.reference(), proposal.action, manager.describe()),
            "a change on the cluster would be put back".to_owned(),
        ])
        .done()
}

/// Whether the cause came with a release, so that going back a release removes it.
fn comes_with_a_release(category: Category) -> bool {
    use Category as C;
    matches!(
        category,
        C::BadReleaseCommand
            | C::BadReleaseEnv
            | C::BadReleaseConfig
            | C::ImageNotFound
            | C::ImageArchMismatch
            | C::ConfigError
            | C::LivenessProbeMisconfig
            | C::ReadinessProbeMisconfig
            | C::InitContainerFailure
            | C::InitContainerHang
            | C::UnschedulableNodeSelector
            | C::UnschedulableResources
            | C::UnschedulableAntiAffinity
            | C::ServicePortMismatch
            | C::ServiceSelectorMismatch
            | C::MissingConfigmap
            | C::MissingSecret
            | C::OomLimitTooLow
    )
}

/// The alerted workload where it is part of the same release, else the object itself: a release is taken back as a whole.
fn release_target(facts: &Facts, proposal: &ProposedAction, release: &str) -> ObjectRef {
    let alerted = crate::rules::subject(facts, &facts.target);
    let same = facts.store.find(&alerted).and_then(|o| owner::manager(facts, o));
    match same {
        Some(Manager::Helm { release: r, .. }) if r == release => alerted,
        _ => proposal.target.clone(),
    }
}

fn helm(facts: &Facts, category: Category, object: &Object, release: &str, namespace: &str, proposal: ProposedAction) -> ProposedAction {
    let target = release_target(facts, &proposal, release);
    let history = owner::helm_history(facts, release, namespace);
    let last = history.last();
    let good = history.iter().rev().skip(1).find(|r| matches!(r.status.as_str(), "superseded" | "deployed" | ""));
    let came_with_it =
        last.and_then(|l| l.at).zip(changed_at(facts, object)).is_some_and(|(a, b)| (a.as_second() - b.as_second()).abs() <= SAME_CHANGE_S);
    if let (Some(last), Some(good)) = (last, good)
        && comes_with_a_release(category)
        && came_with_it
    {
        return action("helm_rollback", &target, json!({ "release": release, "namespace": namespace, "to_revision": good.number }))
            .when(true, format!("the fault came with revision {} of release {release}", last.number))
            .when(true, format!("revision {} of release {release} was deployed before", good.number))
            .effect(format!("{} is as in revision {} of {release}", object.reference(), good.number))
            .steps(vec![format!("helm rollback {release} {} -n {namespace}", good.number)])
            .done();
    }
    // Without the release's records a revert of its own rollout is still a release matter.
    if proposal.action == "rollback_deployment" && comes_with_a_release(category) {
        return action("helm_rollback", &target, json!({ "release": release, "namespace": namespace }))
            .when(!history.is_empty() || !facts.store.is_complete("Secret", Some(namespace)), "the release has an earlier revision")
            .effect(format!("{} is as in the release before", object.reference()))
            .steps(vec![format!("helm history {release} -n {namespace}"), format!("helm rollback {release} -n {namespace}")])
            .done();
    }
    let steps = vec![
        format!("set the value in the chart values of release {release} and upgrade it (wanted: {} {})", proposal.action, proposal.params),
        "a change on the cluster would be lost with the next upgrade".to_owned(),
    ];
    escalate(&proposal.target, format!("{} belongs to Helm release {release}; the change belongs into its values", object.reference()), steps)
}

fn short(revision: &str) -> &str {
    let is_sha = revision.len() >= 12 && revision.bytes().all(|b| b.is_ascii_hexdigit());
    if is_sha { &revision[..7] } else { revision }
}
