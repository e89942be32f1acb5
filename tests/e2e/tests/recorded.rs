//! The whole way of one alert on the recorded incident that ships with the program, through the real binary.

#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests report by panicking")]

use std::process::Command;

use kubernaut_tests::binary;

fn demo(args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(binary()).arg("demo").arg("--exit").args(args).output().expect("the demo starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), text)
}

#[test]
fn the_demo_resolves_the_recorded_incident_and_tells_every_stage() {
    let (code, text) = demo(&[]);
    assert_eq!(code, Some(0), "{text}");
    let stages = [
        "received",
        "classified",
        "diagnosed",
        "evidence",
        "planned",
        "would change",
        "approval    asked",
        "approval    approved by demo",
        "executing",
        "executed",
        "simulated",
        "verified",
        "RESOLVED",
        "audit chain",
        "verified",
    ];
    let mut rest = text.as_str();
    for stage in stages {
        let at = rest.find(stage).unwrap_or_else(|| panic!("{stage:?} is missing, or out of order:\n{text}"));
        rest = &rest[at..];
    }
}

#[test]
fn a_wrong_action_is_never_called_resolved() {
    let (code, text) = demo(&["--wrong-action"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("INEFFECTIVE"), "{text}");
    assert!(!text.contains("RESOLVED"), "{text}");
}
