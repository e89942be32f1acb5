//! A language model beside diagnosis, from the configuration on.

#![allow(clippy::unwrap_used, reason = "tests report by panicking")]

use std::path::Path;

use kubernaut::{Config, Report, analyze_bundle, service::CallContext};
use serde_json::json;

async fn analyse(config: &Config) -> Report {
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/bundles/crashing-release");
    analyze_bundle(CallContext::system("test"), &bundle, config).await.unwrap()
}

fn unreachable(ask_below: f64) -> Config {
    let provider = json!({ "type": "openai", "base_url": "http://127.0.0.1:1/v1", "model": "m", "api_key": "canary-key" });
    serde_json::from_value(json!({ "model": { "name": "remote", "provider": provider, "agent": { "ask_below": ask_below } } })).unwrap()
}

#[tokio::test]
async fn a_model_that_cannot_be_reached_leaves_the_diagnosis_and_says_so() {
    let (alone, beside) = (analyse(&Config::default()).await, analyse(&unreachable(1.1)).await);
    let (alone, beside) = (serde_json::to_value(alone).unwrap(), serde_json::to_value(beside).unwrap());
    assert_eq!(alone["candidates"], beside["candidates"]);
    assert_eq!(alone["decision"], beside["decision"]);
    let gaps = beside["gaps"].to_string();
    assert!(gaps.contains("remote") && gaps.contains("cannot be reached") && !gaps.contains("canary"), "{beside}");
}

#[tokio::test]
async fn a_sure_diagnosis_asks_no_model() {
    let (alone, beside) = (analyse(&Config::default()).await, analyse(&unreachable(0.8)).await);
    assert_eq!(serde_json::to_value(alone).unwrap()["gaps"], serde_json::to_value(beside).unwrap()["gaps"]);
}

#[test]
fn a_credential_is_not_written_out_again() {
    let config = unreachable(0.8);
    let shown = serde_json::to_string(&config).unwrap() + &format!("{config:?}");
    assert!(!shown.contains("canary"), "{shown}");
}
