use std::collections::BTreeMap;

use kubernaut_core::{
    model::{Basis, Environment, Severity, Timestamp},
    testkit::{ObjectsCluster, classifier::classifier_suite},
};
use serde_json::{Value, json};

use super::*;

fn cluster() -> ObjectsCluster {
    ObjectsCluster::at(Timestamp::UNIX_EPOCH)
}

fn namespace(name: &str, labels: Value, annotations: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels, "annotations": annotations}})
}

async fn classify_with(cluster: &ObjectsCluster, config: ClassifyConfig, target: ObjectRef, labels: &[(&str, &str)]) -> Classification {
    let labels: BTreeMap<_, _> = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let classifier = LabelClassifier::new(Arc::new(cluster.clone()), config);
    classifier.classify(CallContext::system("test"), ClassifyRequest { target, severity: Severity::Critical, labels }).await.unwrap()
}

async fn of_namespace(name: &str, labels: Value, annotations: Value) -> Attributed<Environment> {
    let cluster = cluster();
    cluster.put(namespace(name, labels, annotations));
    classify_with(&cluster, ClassifyConfig::default(), ObjectRef::new("Pod", Some(name), "p"), &[]).await.environment
}

#[tokio::test]
async fn behaves_as_every_classifier() {
    classifier_suite(|cluster| LabelClassifier::new(cluster, ClassifyConfig::default())).await;
}

#[tokio::test]
async fn stronger_sources_win() {
    let env = of_namespace("team-qa", json!({"kubernaut.ai/environment": "staging", "env": "dev"}), json!({"environment": "prod"})).await;
    assert_eq!((env.value, env.treated_as, env.basis), (Environment::Staging, Environment::Staging, Basis::NamespaceLabel));
    let env = of_namespace("team-qa", json!({}), json!({"environment": "staging"})).await;
    assert_eq!((env.value, env.basis), (Environment::Staging, Basis::NamespaceAnnotation));
    let env = of_namespace("team-qa2", json!({}), json!({})).await;
    assert_eq!((env.value, env.treated_as, env.basis), (Environment::Testing, Environment::Production, Basis::NamespaceName));
}

#[tokio::test]
async fn rules_stand_between_annotations_and_names_and_alert_labels_come_last() {
    let cluster = cluster();
    cluster.put(namespace("blue-prod", json!({}), json!({})));
    cluster.put(namespace("plain", json!({}), json!({})));
    let rule = EnvironmentRule { namespace: "blue-*".into(), environment: Environment::Testing };
    let config = ClassifyConfig { rules: vec![rule], ..ClassifyConfig::default() };
    let env = classify_with(&cluster, config.clone(), ObjectRef::new("Pod", Some("blue-prod"), "p"), &[]).await.environment;
    assert_eq!((env.value, env.basis), (Environment::Testing, Basis::Rule));
    assert_eq!(env.treated_as, Environment::Production, "a name that says production makes a laxer rule unsure: {env:?}");
    let env = classify_with(&cluster, config, ObjectRef::new("Pod", Some("plain"), "p"), &[("env", "dev")]).await.environment;
    assert_eq!((env.value, env.treated_as, env.basis), (Environment::Development, Environment::Production, Basis::AlertLabel));
}

#[tokio::test]
async fn labels_that_disagree_are_treated_as_the_stricter() {
    let env = of_namespace("team", json!({"environment": "dev", "env": "production"}), json!({})).await;
    assert_eq!((env.value, env.treated_as), (Environment::Development, Environment::Production));
    let explicit = of_namespace("team-prod", json!({"kubernaut.ai/environment": "dev"}), json!({})).await;
    assert_eq!((explicit.value, explicit.treated_as), (Environment::Development, Environment::Development));
}

#[tokio::test]
async fn silence_and_unknown_words_are_unknown_and_strict() {
    for labels in [json!({}), json!({"env": "canary"}), json!({"env": ""})] {
        let env = of_namespace("web", labels, json!({})).await;
        assert_eq!((env.value, env.treated_as, env.basis), (Environment::Unknown, Environment::Production, Basis::Default));
    }
    let env = of_namespace("web", json!({"env": "qa-eu"}), json!({})).await;
    assert_eq!((env.value, env.treated_as), (Environment::Testing, Environment::Testing));
}

#[tokio::test]
async fn only_whole_words_of_a_name_count_and_negations_do_not() {
    let table = [
        ("production", Environment::Production),
        ("shop-prod-eu1", Environment::Production),
        ("pre-production", Environment::Staging),
        ("shop-pre-prod", Environment::Staging),
        ("prod2", Environment::Production),
        ("dev-prod-mirror", Environment::Production),
        ("product-catalog", Environment::Unknown),
        ("contest", Environment::Unknown),
        ("non-prod", Environment::Unknown),
        ("live-streaming", Environment::Unknown),
        ("local-path-storage", Environment::Unknown),
    ];
    for (name, expected) in table {
        let env = of_namespace(name, json!({}), json!({})).await;
        assert_eq!((env.value, env.treated_as), (expected, Environment::Production), "{name}");
    }
}

#[tokio::test]
async fn a_changed_label_takes_effect_at_once() {
    let cluster = cluster();
    let target = ObjectRef::new("Pod", Some("web"), "p");
    for (word, expected) in [("dev", Environment::Development), ("prod", Environment::Production)] {
        cluster.put(namespace("web", json!({"env": word}), json!({})));
        assert_eq!(classify_with(&cluster, ClassifyConfig::default(), target.clone(), &[]).await.environment.value, expected);
    }
}

fn pod(name: &str, namespace: &str, node: &str, owner: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace, "ownerReferences": [
        {"apiVersion": "apps/v1", "kind": owner, "name": "o", "controller": true}]}, "spec": {"nodeName": node}})
}

#[tokio::test]
async fn a_node_takes_the_strictest_environment_of_the_workloads_it_carries() {
    let cluster = cluster();
    for (name, env) in [("a", "dev"), ("b", "staging"), ("c", "prod"), ("agents", "prod")] {
        cluster.put(namespace(name, json!({"env": env}), json!({})));
    }
    cluster.put(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}}));
    cluster.put(pod("p1", "a", "n1", "ReplicaSet"));
    cluster.put(pod("p2", "b", "n1", "ReplicaSet"));
    cluster.put(pod("p3", "c", "n2", "ReplicaSet"));
    cluster.put(pod("p4", "agents", "n1", "DaemonSet"));
    let node = ObjectRef::new("Node", None, "n1");
    let env = classify_with(&cluster, ClassifyConfig::default(), node.clone(), &[]).await.environment;
    assert_eq!((env.value, env.treated_as), (Environment::Staging, Environment::Staging), "{env:?}");
    cluster.put(namespace("quiet", json!({}), json!({})));
    cluster.put(pod("p5", "quiet", "n1", "ReplicaSet"));
    let env = classify_with(&cluster, ClassifyConfig::default(), node, &[]).await.environment;
    assert_eq!((env.value, env.treated_as), (Environment::Staging, Environment::Production), "an unknown neighbour may be production");
}

#[tokio::test]
async fn business_context_and_priority_come_along() {
    let cluster = cluster();
    cluster.put(namespace("web", json!({"env": "prod", "kubernaut.ai/team": "checkout", "team": "other"}), json!({"kubernaut.ai/sla-tier": "gold"})));
    let got = classify_with(&cluster, ClassifyConfig::default(), ObjectRef::new("Pod", Some("web"), "p"), &[]).await;
    assert_eq!(got.priority, kubernaut_core::model::Priority::P0);
    assert_eq!(got.business, BTreeMap::from([("team".to_owned(), "checkout".to_owned()), ("sla_tier".to_owned(), "gold".to_owned())]));
}
