//! Every language reads and writes the same JSON: the samples under `tests/vectors` at the root of the workspace.
//!
//! A file holds `[{name, value, reads?}]`: `value` is read and written again unchanged; each of `reads` leaves out what has a default and reads as the
//! same. The last four files are tables.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::{collections::BTreeSet, fs, path::PathBuf};

use kubernaut_core::{Error, ErrorKind, model::*, schema, service::Signal};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors")
}

fn file<T: DeserializeOwned>(name: &str) -> Vec<T> {
    let text = fs::read_to_string(folder().join(format!("{name}.json"))).unwrap_or_else(|e| panic!("{name}: {e}"));
    let rows: Vec<T> = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert!(!rows.is_empty(), "{name} has samples");
    rows
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sample {
    name: String,
    value: Value,
    #[serde(default)]
    reads: Vec<Value>,
}

fn read<T: DeserializeOwned>(file: &str, sample: &str, value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap_or_else(|e| panic!("{file}, {sample}: {e}"))
}

fn check<T: DeserializeOwned + Serialize>(name: &str) {
    let schema = schema::all().remove(name).unwrap_or_else(|| panic!("{name} has a schema"));
    let valid = jsonschema::validator_for(&schema).expect("a valid schema");
    for sample in file::<Sample>(name) {
        let written = serde_json::to_value(read::<T>(name, &sample.name, &sample.value)).unwrap();
        assert_eq!(written, sample.value, "{name}, {}: written as it was read", sample.name);
        for value in sample.reads.iter().chain([&sample.value]) {
            let read = serde_json::to_value(read::<T>(name, &sample.name, value)).unwrap();
            assert_eq!(read, sample.value, "{name}, {}: what is left out has its default", sample.name);
            if let Err(error) = valid.validate(value) {
                panic!("{name}, {}: the schema refuses it: {error}", sample.name);
            }
        }
    }
}

macro_rules! samples {
    ($($name:literal: $type:ty,)*) => {
        const SAMPLES: &[&str] = &[$($name,)*];

        #[test]
        fn samples_are_read_and_written_unchanged_and_fit_their_schemas() {
            $(check::<$type>($name);)*
        }
    };
}

samples! {
    "action_request": ActionRequest,
    "action_spec": ActionSpec,
    "alert": Alert,
    "analysis": Analysis,
    "approval": Approval,
    "approval_decision": ApprovalDecision,
    "audit_row": AuditRow,
    "classification": Classification,
    "dry_run": DryRun,
    "event": Event,
    "execution": Execution,
    "history_entry": HistoryEntry,
    "incident": Incident,
    "intake_result": IntakeResult,
    "intent": Intent,
    "journal_entry": JournalEntry,
    "notification": Notification,
    "object_ref": ObjectRef,
    "plan": Plan,
    "run": Run,
    "signal": Signal,
    "verification": Verification,
}

#[test]
fn every_file_is_read_by_a_test() {
    let tables = ["digests", "error_kinds", "errors", "fingerprints"];
    let read: BTreeSet<String> = SAMPLES.iter().chain(&tables).map(|name| format!("{name}.json")).collect();
    let there: BTreeSet<String> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(there, read);
}

#[test]
fn error_kinds_are_all_listed_with_whether_to_try_again() {
    #[derive(Deserialize)]
    struct Row {
        kind: ErrorKind,
        transient: bool,
    }
    let rows = file::<Row>("error_kinds");
    for row in &rows {
        assert_eq!(Error::new(row.kind, "test", "test").is_transient(), row.transient, "{}", row.kind.as_str());
        assert_eq!(json!(row.kind), json!(row.kind.as_str()), "one name on the wire and in every language");
    }
    let listed: BTreeSet<&str> = rows.iter().map(|row| row.kind.as_str()).collect();
    let schema = &schema::all()["error_kind"];
    let known: BTreeSet<&str> = schema["oneOf"].as_array().unwrap().iter().filter_map(|one| one["const"].as_str()).collect();
    assert_eq!(listed, known, "the table lists every kind");
}

#[test]
fn fingerprints_are_the_same_in_every_language() {
    #[derive(Deserialize)]
    struct Row {
        cluster: String,
        owner: ObjectRef,
        alert_name: String,
        strategy: FingerprintStrategy,
        fingerprint: String,
    }
    for row in file::<Row>("fingerprints") {
        assert_eq!(row.strategy.fingerprint(&row.cluster, &row.owner, &row.alert_name), row.fingerprint, "{} {:?}", row.owner, row.strategy);
    }
}

#[test]
fn digests_are_the_same_in_every_language() {
    #[derive(Deserialize)]
    struct Row {
        action: String,
        target: ObjectRef,
        changes: Vec<FieldChange>,
        digest: String,
    }
    for row in file::<Row>("digests") {
        assert_eq!(diff_digest(&row.action, &row.target, &row.changes), row.digest, "{} on {}", row.action, row.target);
    }
}

#[test]
fn the_sample_audit_rows_are_one_unbroken_chain() {
    let rows: Vec<AuditRow> = file::<Sample>("audit_row").iter().map(|s| read("audit_row", &s.name, &s.value)).collect();
    assert_eq!(first_broken_row(&rows), None);
    assert_eq!(rows[0].prev_hash, GENESIS_HASH);
}
