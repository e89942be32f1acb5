//! Every example runs, and ends well.

#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests report by panicking")]

use std::{path::Path, process::Command};

fn run(program: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let output = Command::new(program).arg("examples/bundles/crashing-release").current_dir(root).output().expect("the example starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn analyze_names_cause_and_proposal() {
    let text = run(env!("CARGO_BIN_EXE_analyze"));
    assert!(text.contains("cause        bad_release") && text.contains("proposal     rollback_deployment"), "{text}");
}

#[test]
fn embedded_takes_an_alert_to_its_end() {
    let text = run(env!("CARGO_BIN_EXE_embedded"));
    assert!(text.contains("asked: rollback_deployment") && text.contains("ended resolved"), "{text}");
}
