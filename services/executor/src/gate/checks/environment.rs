//! Which environment an object is in.

use kubernaut_core::model::{Environment, Object};

use super::super::pass::Scene;

/// Labels, else annotations, that say so; the first one counts.
const KEYS: &[&str] = &["kubernaut.ai/environment", "environment", "env"];
/// Words with an everyday meaning, too: in a name they say nothing.
const AMBIGUOUS: &[&str] = &["live", "local", "ci", "stage", "develop"];

/// The environment of a target, as strict as it could be: what nothing tells counts as production.
pub(in super::super) fn environment(scene: &Scene) -> Environment {
    let said = scene.namespace.as_ref().into_iter().chain([&scene.target]).find_map(stated);
    let name = scene.target.namespace().unwrap_or_default();
    said.or_else(|| named(name)).unwrap_or(Environment::Production)
}

/// A label that cannot be understood says production rather than nothing.
fn stated(object: &Object) -> Option<Environment> {
    let text = KEYS.iter().find_map(|key| object.label(key)).or_else(|| KEYS.iter().find_map(|key| object.annotation(key)))?;
    Some(Environment::from_token(text).or_else(|| named(text)).unwrap_or(Environment::Production))
}

/// The strictest environment that a word of a name names.
fn named(name: &str) -> Option<Environment> {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).map(|w| w.trim_end_matches(|c: char| c.is_ascii_digit()));
    words.filter(|w| !AMBIGUOUS.contains(w)).filter_map(Environment::from_token).max()
}

#[cfg(test)]
mod tests {
    use kubernaut_core::model::Environment::{Development, Production, Staging};
    use serde_json::{Value, json};

    use super::*;

    fn of(namespace: &str, metadata: Value) -> Environment {
        let target = Object::new(json!({"kind": "Pod", "metadata": {"name": "p", "namespace": namespace}}));
        let namespace = Object::new(json!({"kind": "Namespace", "metadata": metadata}));
        environment(&Scene { target, namespace: Some(namespace), owners: Vec::new() })
    }

    #[test]
    fn a_label_counts_before_the_name_and_what_is_not_known_is_production() {
        assert_eq!(of("shop-dev", json!({"labels": {"environment": "staging"}})), Staging);
        assert_eq!(of("shop-dev2", json!({})), Development);
        assert_eq!(of("dev-prod-mirror", json!({})), Production, "the strictest word");
        assert_eq!(of("shop", json!({})), Production);
        assert_eq!(of("shop-dev", json!({"labels": {"env": "blue"}})), Production, "a label that says nothing known");
        assert_eq!(of("live-dev", json!({})), Development);
    }
}
