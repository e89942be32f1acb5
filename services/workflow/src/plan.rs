//! Whether a plan can be run, and in which order. Pure.

use std::collections::{BTreeMap, BTreeSet};

use kubernaut_core::{
    Error, Result,
    model::{ActionRequest, Mode, ObjectRef, PLAN_VERSION, Plan, RUN_SCHEMA, Run, RunState, Step, StepRun, StepState, Timestamp},
    service::StartRequest,
};
use uuid::Uuid;

const OPERATION: &str = "workflow_engine.start";
const MAX_STEPS: usize = 100;
const MAX_STEP_ID: usize = 63;
const MAX_ATTEMPTS: u32 = 10;
const DAY_S: u64 = 24 * 60 * 60;

/// Refuses a plan that cannot be run as written.
pub(crate) fn validate(plan: &Plan) -> Result<()> {
    if plan.version != PLAN_VERSION {
        return Err(invalid("this release runs plans of another version; plan again", plan)
            .with("version", plan.version)
            .with("expected", PLAN_VERSION));
    }
    if plan.steps.is_empty() {
        return Err(invalid("the plan has no step; add at least one", plan));
    }
    if plan.steps.len() > MAX_STEPS {
        return Err(invalid("the plan has too many steps; split it", plan).with("steps", plan.steps.len()).with("at_most", MAX_STEPS));
    }
    in_bounds(plan, "approval_timeout_s", plan.approval_timeout_s, 1, 7 * DAY_S)?;
    plan.steps.iter().try_for_each(|step| step_bounds(plan, step))?;
    ids(plan)?;
    dependencies(plan)?;
    match cycle(plan) {
        Some(cycle) => Err(invalid("steps wait for each other; break the cycle", plan).with("cycle", cycle.join(" -> "))),
        None => Ok(()),
    }
}

fn invalid(message: &'static str, plan: &Plan) -> Error {
    Error::invalid(OPERATION, message).with("plan", plan.id)
}

fn in_bounds(plan: &Plan, what: &str, value: u64, least: u64, most: u64) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(invalid("a value is out of bounds", plan).with("field", what).with("value", value).with("bounds", format!("{least} to {most}")))
}

fn step_bounds(plan: &Plan, step: &Step) -> Result<()> {
    if step.id.is_empty() || step.id.len() > MAX_STEP_ID || step.id.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(invalid("a step id needs 1 to 63 characters without spaces", plan).with("step", format!("{:?}", step.id)));
    }
    let field = |name: &str| format!("steps.{}.{name}", step.id);
    in_bounds(plan, &field("retry.max_attempts"), step.retry.max_attempts.into(), 1, MAX_ATTEMPTS.into())?;
    in_bounds(plan, &field("retry.max_backoff_ms"), step.retry.max_backoff_ms, 0, DAY_S * 1000)?;
    in_bounds(plan, &field("timeout_s"), step.timeout_s, 1, DAY_S)
}

fn ids(plan: &Plan) -> Result<()> {
    let mut seen = BTreeSet::new();
    match plan.steps.iter().find(|s| !seen.insert(s.id.as_str())) {
        Some(step) => Err(invalid("a step id is used twice; ids are unique within a plan", plan).with("step", &step.id)),
        None => Ok(()),
    }
}

fn dependencies(plan: &Plan) -> Result<()> {
    let known: BTreeSet<&str> = plan.steps.iter().map(|s| s.id.as_str()).collect();
    for step in &plan.steps {
        if let Some(missing) = step.depends_on.iter().find(|d| !known.contains(d.as_str())) {
            let known = known.iter().copied().collect::<Vec<_>>().join(", ");
            return Err(invalid("a step depends on one that the plan does not have", plan)
                .with("step", &step.id)
                .with("depends_on", missing)
                .with("steps", known));
        }
    }
    Ok(())
}

/// The steps of one cycle, the first one repeated at the end; `None` if there is none. Unknown dependencies are ignored.
fn cycle(plan: &Plan) -> Option<Vec<String>> {
    let waits: BTreeMap<&str, &[String]> = plan.steps.iter().map(|s| (s.id.as_str(), s.depends_on.as_slice())).collect();
    // What is left after all steps without open dependencies are taken away again and again lies on a cycle or behind one.
    let mut left: BTreeSet<&str> = waits.keys().copied().collect();
    loop {
        let free: Vec<&str> = left.iter().copied().filter(|s| open(&waits, &left, s).is_none()).collect();
        if free.is_empty() {
            break;
        }
        free.iter().for_each(|s| {
            left.remove(s);
        });
    }
    let mut path: Vec<&str> = vec![left.first()?];
    loop {
        let next = open(&waits, &left, path.last()?)?;
        if let Some(start) = path.iter().position(|s| *s == next) {
            return Some(path[start..].iter().chain([&next]).map(|s| (*s).to_owned()).collect());
        }
        path.push(next);
    }
}

/// A dependency of `step` that is still left.
fn open<'a>(waits: &BTreeMap<&'a str, &'a [String]>, left: &BTreeSet<&'a str>, step: &str) -> Option<&'a str> {
    waits.get(step)?.iter().find_map(|d| left.get(d.as_str()).copied())
}

/// The run of a plan that is about to begin.
pub(crate) fn new_run(request: StartRequest, now: Timestamp) -> Result<Run> {
    validate(&request.plan)?;
    if request.mode == Mode::Observe {
        return Err(
            Error::invalid(OPERATION, "mode observe carries nothing out; use dry_run to see what a plan would do").with("plan", request.plan.id)
        );
    }
    let steps = request.plan.steps.iter().map(|step| new_step(&request, step)).collect();
    Ok(Run {
        schema: RUN_SCHEMA,
        id: request.run_id,
        incident_id: request.incident_id,
        attempt: request.attempt,
        state: RunState::Running,
        paused_from: None,
        mode: request.mode,
        cancel_requested: false,
        rollback_requested: false,
        held: false,
        ending: None,
        steps,
        created_at: now,
        updated_at: now,
        message: "accepted".into(),
        plan: request.plan,
    })
}

fn new_step(request: &StartRequest, step: &Step) -> StepRun {
    StepRun {
        id: step.id.clone(),
        state: StepState::Pending,
        attempts: 0,
        key: Uuid::new_v5(&request.run_id.0, step.id.as_bytes()).to_string(),
        approval_id: None,
        edited_by: None,
        edited: false,
        approved_digest: None,
        execution: None,
        error: None,
        undo_attempts: 0,
        started_at: None,
        ended_at: None,
        not_before: None,
    }
}

/// The key of taking a step back: another effect than the step's own, and the same over all tries.
pub(crate) fn undo_key(step: &StepRun) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("undo/{}", step.key).as_bytes()).to_string()
}

/// The key of a step whose parameters were changed: another effect, of which nothing was promised yet.
pub(crate) fn edited_key(step: &StepRun, params: &serde_json::Value) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("edit/{}/{params}", step.key).as_bytes()).to_string()
}

/// What the executor is asked for.
pub(crate) fn action_request(step: &Step, key: String) -> ActionRequest {
    ActionRequest { action: step.action.clone(), target: step.target.clone(), params: step.params.clone(), key }
}

/// Whether two steps change the same object.
pub(crate) fn same_target(a: &ObjectRef, b: &ObjectRef) -> bool {
    lock_key(a) == lock_key(b)
}

/// What a run locks. The gate locks the bare target for each action, so this has a prefix of its own.
pub(crate) fn lock_key(target: &ObjectRef) -> String {
    match &target.cluster {
        Some(cluster) => format!("run:{cluster}:{target}"),
        None => format!("run:{target}"),
    }
}

#[cfg(test)]
mod tests {
    use kubernaut_core::{
        ErrorKind,
        model::{IncidentId, PlanId, RetryPolicy, RunId},
    };
    use serde_json::json;

    use super::*;

    fn step(id: &str, depends_on: &[&str]) -> Step {
        Step {
            id: id.into(),
            action: "scale_deployment".into(),
            action_version: 1,
            target: ObjectRef::new("Deployment", Some("shop"), "web"),
            params: json!({}),
            depends_on: depends_on.iter().map(|d| (*d).to_owned()).collect(),
            retry: RetryPolicy::default(),
            timeout_s: 60,
            critical: true,
            requires_approval: false,
        }
    }

    fn plan(steps: Vec<Step>) -> Plan {
        Plan { id: PlanId::new(Timestamp::UNIX_EPOCH), version: PLAN_VERSION, reason: "test".into(), steps, approval_timeout_s: 900 }
    }

    fn refusal(plan: &Plan) -> String {
        let error = validate(plan).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        error.to_string()
    }

    #[test]
    fn a_diamond_is_a_plan() {
        validate(&plan(vec![step("d", &["b", "c"]), step("b", &["a"]), step("c", &["a"]), step("a", &[])])).unwrap();
    }

    #[test]
    fn a_cycle_is_named_without_the_steps_around_it() {
        let text = refusal(&plan(vec![step("start", &[]), step("a", &["start", "c"]), step("b", &["a"]), step("c", &["b"]), step("end", &["c"])]));
        assert!(text.contains("cycle=a -> c -> b -> a"), "{text}");
        assert!(refusal(&plan(vec![step("self", &["self"])])).contains("cycle=self -> self"));
    }

    #[test]
    fn what_cannot_be_run_as_written_is_refused_and_named() {
        assert!(refusal(&plan(vec![])).contains("no step"));
        assert!(refusal(&plan(vec![step("a", &[]), step("a", &[])])).contains("step=a"));
        assert!(refusal(&plan(vec![step("a", &["ghost"])])).contains("depends_on=ghost"));
        assert!(refusal(&plan(vec![step("a b", &[])])).contains("\"a b\""));
        assert!(refusal(&Plan { version: 9, ..plan(vec![step("a", &[])]) }).contains("version=9"));
        assert!(refusal(&Plan { approval_timeout_s: 0, ..plan(vec![step("a", &[])]) }).contains("approval_timeout_s"));
        assert!(refusal(&plan(vec![Step { timeout_s: 0, ..step("a", &[]) }])).contains("steps.a.timeout_s"));
        let retry = RetryPolicy { max_attempts: 0, ..RetryPolicy::default() };
        assert!(refusal(&plan(vec![Step { retry, ..step("a", &[]) }])).contains("steps.a.retry.max_attempts"));
    }

    #[test]
    fn keys_differ_between_runs_steps_and_directions_and_stay_the_same_over_tries() {
        let request = |run_id| StartRequest {
            run_id,
            incident_id: IncidentId::new(Timestamp::UNIX_EPOCH),
            attempt: 1,
            plan: plan(vec![step("a", &[]), step("b", &[])]),
            mode: Mode::Auto,
        };
        let id = RunId::new(Timestamp::UNIX_EPOCH);
        let keys = |id| {
            let run = new_run(request(id), Timestamp::UNIX_EPOCH).unwrap();
            run.steps.iter().flat_map(|s| [s.key.clone(), undo_key(s)]).collect::<Vec<_>>()
        };
        let mut all = [keys(id), keys(RunId::new(Timestamp::UNIX_EPOCH))].concat();
        assert_eq!(keys(id), all[..4]);
        assert!(all.iter().all(|k| k.len() <= 63), "a key fits into a label, too");
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 8);
    }
}
