//! The behaviour of every [`Classifier`].

use std::{collections::BTreeMap, sync::Arc};

use serde_json::json;

use super::ObjectsCluster;
use crate::{
    ErrorKind,
    model::{Environment, ObjectRef, Severity},
    port::ClusterRead,
    service::{CallContext, Classifier, ClassifyRequest},
};

/// Checks the rules of [`Classifier`]. `make` builds the implementation over a cluster; one that reads no cluster ignores it.
///
/// # Panics
/// With the rule that does not hold.
pub async fn classifier_suite<C: Classifier>(make: impl Fn(Arc<dyn ClusterRead>) -> C) {
    let cluster = namespaces();
    let classifier = make(Arc::new(cluster.clone()));
    same_request_same_answer(&classifier).await;
    weak_answers_are_treated_strictly(&classifier).await;
    batches_keep_count_and_order(&classifier).await;
    a_target_needs_a_name(&classifier).await;
    cluster.forbid("Namespace");
    an_unreadable_namespace_is_unknown(&classifier).await;
}

const NAMES: &[&str] = &["labelled", "shop-prod", "shop-dev", "plain", "absent"];

fn namespaces() -> ObjectsCluster {
    let cluster = ObjectsCluster::at(crate::model::Timestamp::UNIX_EPOCH);
    for name in NAMES.iter().filter(|n| **n != "absent") {
        let labels = if *name == "labelled" { json!({"kubernaut.ai/environment": "staging"}) } else { json!({}) };
        cluster.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}));
    }
    cluster
}

fn request(namespace: &str) -> ClassifyRequest {
    ClassifyRequest { target: ObjectRef::new("Deployment", Some(namespace), "web"), severity: Severity::Warning, labels: BTreeMap::new() }
}

fn ctx() -> CallContext {
    CallContext::system("suite")
}

async fn same_request_same_answer(classifier: &impl Classifier) {
    for name in NAMES {
        let first = classifier.classify(ctx(), request(name)).await.expect("classify succeeds for every namespace, readable or not");
        let second = classifier.classify(ctx(), request(name)).await.expect("classify succeeds again");
        assert_eq!(first, second, "the same request against the same state gives the same answer, namespace {name}");
    }
}

async fn weak_answers_are_treated_strictly(classifier: &impl Classifier) {
    for name in NAMES {
        let env = classifier.classify(ctx(), request(name)).await.expect("classify succeeds").environment;
        assert!((0.0..=1.0).contains(&env.confidence), "confidence is within 0 and 1, namespace {name}: {}", env.confidence);
        assert!(env.treated_as >= env.value, "never treated laxer than it is believed to be, namespace {name}: {env:?}");
        assert_ne!(env.treated_as, Environment::Unknown, "policy always gets a known environment, namespace {name}");
        if env.confidence < 0.8 {
            let stricter = env.treated_as > env.value || env.value == Environment::Production;
            assert!(stricter, "below 0.8 something stricter is plausible and policy must use it, namespace {name}: {env:?}");
        }
    }
}

async fn batches_keep_count_and_order(classifier: &impl Classifier) {
    let requests: Vec<_> = NAMES.iter().map(|n| request(n)).collect();
    let batch = classifier.classify_batch(ctx(), requests.clone()).await.expect("a batch succeeds where each alone does");
    let mut alone = Vec::new();
    for one in requests {
        alone.push(classifier.classify(ctx(), one).await.expect("classify succeeds"));
    }
    assert_eq!(batch, alone, "a batch gives as many answers as requests, in their order");
}

async fn a_target_needs_a_name(classifier: &impl Classifier) {
    let mut nameless = request("labelled");
    nameless.target.name.clear();
    let error = classifier.classify(ctx(), nameless).await.expect_err("a target without a name is refused");
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "a target without a name is invalid_input");
}

async fn an_unreadable_namespace_is_unknown(classifier: &impl Classifier) {
    let env = classifier.classify(ctx(), request("plain")).await.expect("a namespace that cannot be read is no error").environment;
    assert_eq!(
        (env.value, env.treated_as),
        (Environment::Unknown, Environment::Production),
        "an unreadable namespace is unknown, treated as production"
    );
}
