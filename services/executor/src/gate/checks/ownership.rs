//! Who keeps the object as it is: change the source, not the copy.

use kubernaut_core::model::{Object, ObjectRef};

use super::super::{
    config::{GateConfig, SourceRule},
    pass::{Scene, Verdict},
};
use crate::action::Effect;

/// Refuses, or asks about, changes that a controller, a GitOps tool or the next Helm upgrade would take back.
///
/// Evictions, restarts and node marks leave what the source says as it is, so they are allowed.
pub(in super::super) fn ownership(config: &GateConfig, scene: &Scene, effect: Effect) -> Verdict {
    match effect {
        Effect::Record
        | Effect::Evict
        | Effect::Force
        | Effect::Isolate
        | Effect::Inside
        | Effect::NodeClose
        | Effect::NodeDrain
        | Effect::NodeOpen
        | Effect::NodeMark => {
            return Verdict::pass("the action leaves what a source declares as it is");
        }
        Effect::Source => return Verdict::pass("the action changes the source"),
        Effect::Restart => return restart(scene),
        _ => {}
    }
    if let Some(owner) = controller(scene) {
        return Verdict::fail(format!("{owner} controls {}: change {owner}, it would take the change back", scene.target.reference()));
    }
    let Some((tool, source, rule)) = source(config, &scene.target) else { return Verdict::pass("no other source declares the object") };
    let text = format!("{tool} keeps the object ({source}): change the source, not the copy");
    match rule {
        SourceRule::Refuse => Verdict::fail(text),
        SourceRule::Ask => Verdict::ask(text),
        SourceRule::Allow => Verdict::pass(format!("{text} (allowed by configuration)")),
    }
}

fn controller(scene: &Scene) -> Option<ObjectRef> {
    scene.target.controller().or_else(|| scene.owners.first().map(|o| o.reference.clone()))
}

/// A restart only stamps the template, yet a controller of the workload may take even that back and restart it twice.
fn restart(scene: &Scene) -> Verdict {
    match controller(scene) {
        Some(owner) => Verdict::ask(format!("{owner} controls the workload and may take the restart stamp back")),
        None => Verdict::pass("a restart leaves what a source declares as it is"),
    }
}

/// Labels and annotations by which a tool marks what it keeps.
fn source(config: &GateConfig, object: &Object) -> Option<(&'static str, String, SourceRule)> {
    let label = |key: &str| object.label(key).map(|v| format!("{key}={v}"));
    let annotation = |key: &str| object.annotation(key).map(|v| format!("{key}={v}"));
    let argo = || annotation("argocd.argoproj.io/tracking-id").or_else(|| label("argocd.argoproj.io/instance"));
    let flux = || label("kustomize.toolkit.fluxcd.io/name").or_else(|| label("helm.toolkit.fluxcd.io/name"));
    let other = || annotation("configmanagement.gke.io/managed").or_else(|| annotation("objectset.rio.cattle.io/id"));
    let helm = || annotation("meta.helm.sh/release-name").or_else(|| label("app.kubernetes.io/managed-by").filter(|v| v.ends_with("=Helm")));
    let gitops = argo().map(|s| ("Argo CD", s)).or_else(|| flux().map(|s| ("Flux", s))).or_else(|| other().map(|s| ("a GitOps tool", s)));
    gitops.map(|(tool, text)| (tool, text, config.gitops)).or_else(|| helm().map(|text| ("Helm", text, config.helm)))
}

#[cfg(test)]
mod tests {
    use kubernaut_core::model::CheckOutcome::{self, Ask, Fail, Pass};
    use serde_json::{Value, json};

    use super::*;

    fn outcome(metadata: Value, effect: Effect) -> CheckOutcome {
        let target = Object::new(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata}));
        ownership(&GateConfig::default(), &Scene { target, namespace: None, owners: Vec::new() }, effect).outcome
    }

    #[test]
    fn the_copy_of_a_source_is_not_changed_but_may_be_restarted() {
        for (metadata, expected) in [
            (json!({"annotations": {"argocd.argoproj.io/tracking-id": "a:apps/Deployment:s/w"}}), Fail),
            (json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "k"}}), Fail),
            (json!({"labels": {"helm.toolkit.fluxcd.io/name": "k", "app.kubernetes.io/managed-by": "Helm"}}), Fail),
            (json!({"labels": {"app.kubernetes.io/managed-by": "Helm"}}), Ask),
            (json!({"annotations": {"meta.helm.sh/release-name": "r"}}), Ask),
            (json!({"labels": {"app.kubernetes.io/managed-by": "kubectl"}}), Pass),
        ] {
            for effect in [
                Effect::Template,
                Effect::Scale,
                Effect::Autoscaler,
                Effect::Reroute,
                Effect::Config,
                Effect::Settings,
                Effect::Consult,
                Effect::Other,
            ] {
                assert_eq!(outcome(metadata.clone(), effect), expected, "{metadata} {effect:?}");
            }
            for effect in [Effect::Evict, Effect::Restart, Effect::NodeClose] {
                assert_eq!(outcome(metadata.clone(), effect), Pass, "{metadata} {effect:?}");
            }
        }
    }

    #[test]
    fn what_a_controller_owns_is_changed_there() {
        let owned = json!({"namespace": "s", "ownerReferences": [{"apiVersion": "db.example.com/v1", "kind": "Database", "name": "d", "uid": "1", "controller": true}]});
        assert_eq!(outcome(owned.clone(), Effect::Template), Fail);
        assert_eq!(outcome(owned.clone(), Effect::Restart), Ask);
        assert_eq!(outcome(owned, Effect::Evict), Pass);
    }
}
