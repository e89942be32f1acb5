//! Who opted in, and how far the mode lets an action go.

use kubernaut_core::{
    glob,
    model::{ActionSpec, Mode, Object},
};

use super::super::{
    config::GateConfig,
    pass::{Purpose, Scene, Verdict},
};

const MANAGED: &str = "kubernaut.ai/managed";
/// Families that are off until configured, whoever offers them.
const SENSITIVE: &[&str] = &["rbac", "webhook", "secret", "run_job"];

/// Global stop, families, opt-in, mode. The severity of an alert is no input.
pub(in super::super) fn policy(
    config: &GateConfig,
    scene: &Scene,
    spec: &ActionSpec,
    stopped: Option<String>,
    mode: Mode,
    purpose: Purpose,
) -> Verdict {
    if let Some(reason) = stopped {
        return Verdict::fail(format!("all acting is stopped: {reason}"));
    }
    if SENSITIVE.contains(&spec.family.as_str()) && !config.enabled_families.contains(&spec.family) {
        return Verdict::fail(format!("actions of the family {} are off; list it in enabled_families", spec.family));
    }
    let opted_in = match opt_in(config, scene, spec) {
        Ok(text) => text,
        Err(text) => return Verdict::fail(text),
    };
    match (mode, purpose) {
        (Mode::Observe, _) => Verdict::fail("mode observe: Kubernaut only analyses and tells"),
        (Mode::DryRun, Purpose::Show) => Verdict::pass(format!("{opted_in}; mode dry_run: shown only")),
        (Mode::DryRun, _) => Verdict::fail("mode dry_run: the effect is shown, never carried out"),
        (Mode::Approve, Purpose::Undo) => Verdict::pass(format!("{opted_in}; mode approve: a person agreed to what is taken back")),
        (Mode::Approve, _) => Verdict::ask(format!("{opted_in}; mode approve: a person must agree each time")),
        (Mode::Auto, _) => Verdict::pass(format!("{opted_in}; mode auto")),
    }
}

fn opt_in(config: &GateConfig, scene: &Scene, spec: &ActionSpec) -> Result<String, String> {
    let says =
        |object: &Object, value: &str| object.label(MANAGED).or_else(|| object.annotation(MANAGED)).is_some_and(|v| v.eq_ignore_ascii_case(value));
    let owners = scene.owners.iter().filter_map(|o| o.object.as_ref());
    if let Some(out) = std::iter::once(&scene.target).chain(owners).chain(scene.namespace.as_ref()).find(|o| says(o, "false")) {
        return Err(format!("{} is opted out by {MANAGED}=false", out.reference()));
    }
    let Some(name) = scene.target.namespace() else { return cluster_scope(config, &scene.target, spec) };
    if scene.namespace.as_ref().is_some_and(|n| n.label(MANAGED).is_some_and(|v| v.eq_ignore_ascii_case("true"))) {
        return Ok(format!("namespace {name} is opted in by its label"));
    }
    if let Some(pattern) = config.managed_namespaces.iter().find(|p| glob::matches(p, name)) {
        return Ok(format!("namespace {name} is opted in by managed_namespaces {pattern}"));
    }
    Err(format!("namespace {name} is not opted in; label it {MANAGED}=true or add it to managed_namespaces"))
}

fn cluster_scope(config: &GateConfig, target: &Object, spec: &ActionSpec) -> Result<String, String> {
    match (target.kind(), config.allow_node_actions) {
        ("Node", true) => Ok("node actions are allowed by configuration".into()),
        ("Node", false) => Err("node actions are off; set allow_node_actions".into()),
        // A family that is off was refused before.
        _ if SENSITIVE.contains(&spec.family.as_str()) => Ok(format!("the family {} is enabled by configuration", spec.family)),
        (kind, _) => Err(format!("{kind} is cluster-scoped and cannot be opted in")),
    }
}

#[cfg(test)]
mod tests {
    use kubernaut_core::model::CheckOutcome::{self, Ask, Fail, Pass};
    use serde_json::{Value, json};

    use super::*;
    use crate::registry::registry;

    fn scene(kind: &str, namespace_labels: Value) -> Scene {
        let namespace = Object::new(json!({"kind": "Namespace", "metadata": {"name": "shop", "labels": namespace_labels}}));
        let scope = if kind == "Node" { json!({"name": "n"}) } else { json!({"name": "w", "namespace": "shop"}) };
        Scene { target: Object::new(json!({"kind": kind, "metadata": scope})), namespace: Some(namespace), owners: Vec::new() }
    }

    fn outcome(config: &GateConfig, scene: &Scene, mode: Mode, purpose: Purpose) -> CheckOutcome {
        policy(config, scene, &registry()[0], None, mode, purpose).outcome
    }

    #[test]
    fn the_mode_only_makes_it_stricter() {
        let managed = scene("Pod", json!({MANAGED: "true"}));
        for (mode, show, act) in [(Mode::Observe, Fail, Fail), (Mode::DryRun, Pass, Fail), (Mode::Approve, Ask, Ask), (Mode::Auto, Pass, Pass)] {
            assert_eq!(outcome(&GateConfig::default(), &managed, mode, Purpose::Show), show, "{mode:?}");
            assert_eq!(outcome(&GateConfig::default(), &managed, mode, Purpose::Act), act, "{mode:?}");
        }
    }

    #[test]
    fn nothing_is_managed_by_default_and_false_opts_out_in_any_case() {
        let all = GateConfig { managed_namespaces: vec!["*".into()], ..GateConfig::default() };
        let act = |config: &GateConfig, labels: Value| outcome(config, &scene("Pod", labels), Mode::Auto, Purpose::Act);
        assert_eq!(act(&GateConfig::default(), json!({})), Fail);
        assert_eq!(act(&all, json!({})), Pass);
        assert_eq!(act(&all, json!({MANAGED: "false"})), Fail);
        assert_eq!(outcome(&all, &scene("Node", json!({})), Mode::Auto, Purpose::Act), Fail);
        let nodes = GateConfig { allow_node_actions: true, ..GateConfig::default() };
        assert_eq!(outcome(&nodes, &scene("Node", json!({})), Mode::Auto, Purpose::Act), Pass);
    }

    #[test]
    fn a_global_stop_and_a_family_that_is_off_refuse() {
        let managed = scene("Pod", json!({MANAGED: "true"}));
        let mut spec = registry()[0].clone();
        assert_eq!(policy(&GateConfig::default(), &managed, &spec, Some("fire".into()), Mode::Auto, Purpose::Undo).outcome, Fail);
        spec.family = "rbac".into();
        assert_eq!(policy(&GateConfig::default(), &managed, &spec, None, Mode::Auto, Purpose::Act).outcome, Fail);
        let on = GateConfig { enabled_families: vec!["rbac".into()], ..GateConfig::default() };
        assert_eq!(policy(&on, &managed, &spec, None, Mode::Auto, Purpose::Act).outcome, Pass);
    }
}
