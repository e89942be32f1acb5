//! Work that a Job does: once more what failed, or what the user's image knows how to do.

use std::collections::BTreeMap;

use kubernaut_core::{
    Result,
    model::{Precondition, Reversibility, Risk},
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    action::{Action, Current, Effect, Read, Step, Then, Write, bad_params, condition, name_for, stamp, typed},
    kube::JOB_KEY,
};

/// Where the claim of a storage action is mounted.
const DATA: &str = "/data";

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RerunParams {
    /// Seconds to wait for one try; a further try under the same key goes on waiting. Default 300.
    #[schemars(range(min = 1, max = 3600))]
    timeout_seconds: Option<u32>,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

const fn by_job(name: &'static str, family: &'static str, kinds: &'static [&'static str], summary: &'static str) -> Action {
    Action {
        name,
        aliases: &[],
        family,
        summary,
        target_kinds: kinds,
        effect: Effect::Consult,
        risk: Risk::High,
        reversibility: Reversibility::Irreversible,
        preconditions: &["the image is named by its digest"],
        parameters: || schema_for!(RunParams),
        reads: &[],
        check: check_image,
        plan: plan_run,
    }
}

pub(super) static RERUN_JOB: Action = Action {
    risk: Risk::Medium,
    preconditions: &["the Job has failed, or was finished", "no CronJob runs it again by itself"],
    parameters: || schema_for!(RerunParams),
    check: check_rerun,
    plan: plan_rerun,
    ..by_job("rerun_job", "batch", &["Job"], "runs a Job that failed once more, as a new Job with the same template, and waits for its end")
};

fn check_rerun(current: &Current, _: &Value) -> Result<Vec<Precondition>> {
    let ended = ["Failed", "Complete"].iter().find(|kind| current.target.condition(kind).is_some_and(|c| c["status"] == "True"));
    let soon = current.target.controller().filter(|c| c.kind == "CronJob");
    let mut all = vec![condition(ended.is_some(), ended.map_or("the Job is still running".to_owned(), |e| format!("the Job is {e}")))];
    all.push(condition(
        true,
        soon.map_or("no CronJob runs it again by itself".to_owned(), |c| format!("{c} runs it again at its time; this is one more run")),
    ));
    Ok(all)
}

fn plan_rerun(current: &Current, params: &Value, key: &str) -> Result<Write> {
    let params: RerunParams = typed(params)?;
    let old = &current.target;
    let mut spec = old.at("/spec").cloned().unwrap_or_default();
    if let Some(spec) = spec.as_object_mut() {
        // The server chooses these for each Job anew.
        spec.retain(|field, _| !["selector", "manualSelector", "suspend"].contains(&field.as_str()));
    }
    if let Some(labels) = spec.pointer_mut("/template/metadata/labels").and_then(Value::as_object_mut) {
        labels.retain(|label, _| !label.ends_with("job-name") && !label.ends_with("controller-uid"));
    }
    if let Some(metadata) = spec.pointer_mut("/template/metadata").and_then(Value::as_object_mut) {
        metadata.retain(|_, v| !v.is_null());
    }
    let name = name_for(old.name(), key);
    let labels = json!({JOB_KEY: stamp(key), "kubernaut.ai/rerun-of": label_value(old.name())});
    let job =
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": old.namespace(), "labels": labels}, "spec": spec});
    let limit_s = params.timeout_seconds.unwrap_or(300);
    Ok(Write::Steps { steps: vec![Step::Create(job)], then: Then::AwaitJob { name, limit_s } })
}

fn label_value(text: &str) -> String {
    text.chars().take(63).collect::<String>().trim_end_matches(['-', '.', '_']).to_owned()
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RunParams {
    /// The image, by its digest.
    #[schemars(regex(pattern = r"^[a-zA-Z0-9][a-zA-Z0-9._:/-]{0,400}@sha256:[0-9a-f]{64}$"))]
    image: String,
    /// The command; that of the image where absent. No shell is put around it.
    #[serde(default)]
    command: Vec<String>,
    /// Arguments.
    #[serde(default)]
    args: Vec<String>,
    /// Parameters for the image, as variables. Not for secrets: name them in `secret_env`.
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// Secrets of the namespace whose keys become variables.
    #[serde(default)]
    secret_env: Vec<String>,
    /// The service account that it runs under, with its token; none where absent.
    #[schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"))]
    service_account: Option<String>,
    /// Seconds until it is ended. Default 300.
    #[schemars(range(min = 1, max = 3600))]
    timeout_seconds: Option<u32>,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

const SERVED: &[&str] = &["Deployment", "StatefulSet", "DaemonSet", "Service", "PersistentVolumeClaim", "ConfigMap", "CronJob"];

pub(super) static RUN_JOB: Action =
    by_job("run_job", "run_job", SERVED, "runs the user's image as a Job beside the target and waits for its end; its log is kept");
pub(super) static FAILOVER_DATABASE: Action =
    by_job("failover_database", "run_job", &["StatefulSet", "Deployment"], "lets the user's image move a database to another replica");
pub(super) static REPAIR_DATABASE: Action =
    by_job("repair_database", "run_job", &["StatefulSet", "Deployment"], "lets the user's image check or repair a database; back it up before");
pub(super) static COMPACT_STORAGE: Action =
    by_job("compact_storage", "run_job", &["PersistentVolumeClaim"], "lets the user's image compact what is on a claim, mounted at /data");

fn check_image(_: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let image = params["image"].as_str().unwrap_or_default();
    Ok(vec![condition(image.contains("@sha256:"), format!("image {image} is named by its digest"))])
}

/// What a Job is made of.
struct Work<'a> {
    base: &'a str,
    params: RunParams,
    /// The claim to mount, and whether only for reading.
    claim: Option<(String, bool)>,
}

fn plan_run(current: &Current, params: &Value, key: &str) -> Result<Write> {
    let params: RunParams = typed(params)?;
    let claim = (current.target.kind() == "PersistentVolumeClaim").then(|| (current.target.name().to_owned(), false));
    Ok(work(current, Work { base: current.target.name(), params, claim }, key))
}

fn work(current: &Current, work: Work<'_>, key: &str) -> Write {
    let Work { base, params, claim } = work;
    let name = name_for(&format!("kubernaut-{base}"), key);
    let limit = params.timeout_seconds.unwrap_or(300);
    let target = current.target.reference();
    let mut env: Vec<Value> = params.env.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    env.push(json!({"name": "TARGET_RESOURCE", "value": target.to_string()}));
    let mut container = json!({
        "name": "work", "image": params.image, "env": env, "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
    });
    for (field, list) in [("command", &params.command), ("args", &params.args)] {
        if !list.is_empty() {
            container[field] = json!(list);
        }
    }
    if !params.secret_env.is_empty() {
        container["envFrom"] = params.secret_env.iter().map(|s| json!({"secretRef": {"name": s}})).collect();
    }
    let mut pod = json!({"restartPolicy": "Never", "automountServiceAccountToken": params.service_account.is_some(), "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}});
    if let Some(account) = &params.service_account {
        pod["serviceAccountName"] = json!(account);
    }
    if let Some((claim, read_only)) = claim {
        container["volumeMounts"] = json!([{"name": "data", "mountPath": DATA, "readOnly": read_only}]);
        pod["volumes"] = json!([{"name": "data", "persistentVolumeClaim": {"claimName": claim, "readOnly": read_only}}]);
    }
    pod["containers"] = json!([container]);
    let labels = json!({JOB_KEY: stamp(key), "app.kubernetes.io/managed-by": "kubernaut"});
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": target.namespace, "labels": labels},
        "spec": {"backoffLimit": 0, "activeDeadlineSeconds": limit, "ttlSecondsAfterFinished": 86_400, "template": {"metadata": {"labels": labels}, "spec": pod}},
    });
    // The Job ends itself at its deadline; a little longer, so that its end is seen.
    Write::Steps { steps: vec![Step::Create(job)], then: Then::AwaitJob { name, limit_s: limit + 15 } }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CleanupParams {
    /// An image with `sh` and `find`, by its digest.
    #[schemars(regex(pattern = r"^[a-zA-Z0-9][a-zA-Z0-9._:/-]{0,400}@sha256:[0-9a-f]{64}$"))]
    image: String,
    /// Folders of the claim whose old files go, such as `logs`; nothing else is touched.
    #[schemars(length(min = 1, max = 20))]
    paths: Vec<String>,
    /// Only files older than this many days. Default 7.
    #[schemars(range(min = 0, max = 3650))]
    age_days: Option<u32>,
    /// Seconds until it is ended. Default 300.
    #[schemars(range(min = 1, max = 3600))]
    timeout_seconds: Option<u32>,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static CLEANUP_STORAGE: Action = Action {
    preconditions: &["the claim is bound", "each path stays within the claim"],
    parameters: || schema_for!(CleanupParams),
    check: check_cleanup,
    plan: plan_cleanup,
    ..by_job("cleanup_storage", "run_job", &["PersistentVolumeClaim"], "removes old files in the named folders of a claim")
};

fn stays_within(path: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    !path.is_empty()
        && !path.starts_with(['/', '-'])
        && path.chars().all(plain)
        && path.split('/').all(|part| !part.is_empty() && part != ".." && part != ".")
}

fn check_cleanup(current: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let params: CleanupParams = typed(params)?;
    let bad = params.paths.iter().find(|p| !stays_within(p));
    let phase = current.target.str_at("/status/phase").unwrap_or("unknown");
    Ok(vec![
        condition(phase == "Bound", format!("the claim is {phase}")),
        condition(
            bad.is_none(),
            bad.map_or("each path stays within the claim".to_owned(), |p| format!("{p:?} does not name a folder within the claim")),
        ),
    ])
}

fn plan_cleanup(current: &Current, params: &Value, key: &str) -> Result<Write> {
    let params: CleanupParams = typed(params)?;
    if let Some(bad) = params.paths.iter().find(|p| !stays_within(p)) {
        return Err(bad_params(format!("{bad:?} does not name a folder within the claim")));
    }
    // The paths are arguments, never part of the script.
    let script = "for p in \"$@\"; do find \"/data/$p\" -xdev -type f -mtime +\"$AGE_DAYS\" -print -exec rm -f {} +; done";
    let age = params.age_days.unwrap_or(7);
    // `-mtime +n` means older than n full days, so zero is every file.
    let script = if age == 0 { script.replace(" -mtime +\"$AGE_DAYS\"", "") } else { script.to_owned() };
    let mut args = vec!["cleanup".to_owned()];
    args.extend(params.paths);
    let run = RunParams {
        image: params.image,
        command: vec!["sh".into(), "-c".into(), script],
        args,
        env: BTreeMap::from([("AGE_DAYS".to_owned(), age.to_string())]),
        secret_env: Vec::new(),
        service_account: None,
        timeout_seconds: params.timeout_seconds,
        _reason: None,
    };
    let claim = Some((current.target.name().to_owned(), false));
    Ok(work(current, Work { base: current.target.name(), params: run, claim }, key))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BackupParams {
    /// Makes a VolumeSnapshot of this class; the cluster must serve the snapshot API.
    #[schemars(length(min = 1, max = 253))]
    snapshot_class: Option<String>,
    /// Or runs this image, by its digest, with the claim mounted at /data for reading.
    #[schemars(regex(pattern = r"^[a-zA-Z0-9][a-zA-Z0-9._:/-]{0,400}@sha256:[0-9a-f]{64}$"))]
    image: Option<String>,
    /// The command; that of the image where absent.
    #[serde(default)]
    command: Vec<String>,
    /// Where the image writes to; becomes `DESTINATION`.
    #[schemars(length(max = 1000))]
    destination: Option<String>,
    /// Days to keep it; becomes `RETENTION_DAYS`, or a label of the snapshot. Default 30.
    #[schemars(range(min = 1, max = 365))]
    retention_days: Option<u32>,
    /// Secrets of the namespace whose keys become variables.
    #[serde(default)]
    secret_env: Vec<String>,
    /// Seconds until the Job is ended. Default 300.
    #[schemars(range(min = 1, max = 3600))]
    timeout_seconds: Option<u32>,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static BACKUP_DATA: Action = Action {
    risk: Risk::Medium,
    preconditions: &["the claim is bound", "a snapshot class or an image is given"],
    parameters: || schema_for!(BackupParams),
    reads: &[Read::Claims],
    check: check_backup,
    plan: plan_backup,
    ..by_job("backup_data", "run_job", &["PersistentVolumeClaim"], "backs a claim up: by a VolumeSnapshot, or by the user's image in a Job")
};

fn check_backup(current: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let params: BackupParams = typed(params)?;
    let phase = current.target.str_at("/status/phase").unwrap_or("unknown");
    let one = params.snapshot_class.is_some() != params.image.is_some();
    Ok(vec![condition(phase == "Bound", format!("the claim is {phase}")), condition(one, "one of snapshot_class and image is given")])
}

fn plan_backup(current: &Current, params: &Value, key: &str) -> Result<Write> {
    let params: BackupParams = typed(params)?;
    let days = params.retention_days.unwrap_or(30).to_string();
    let claim = current.target.name();
    if let Some(class) = params.snapshot_class {
        return Ok(Step::only(vec![Step::Create(json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
            "metadata": {"name": name_for(claim, key), "namespace": current.target.namespace(), "labels": {"kubernaut.ai/retention-days": days}},
            "spec": {"volumeSnapshotClassName": class, "source": {"persistentVolumeClaimName": claim}},
        }))]));
    }
    let image = params.image.ok_or_else(|| bad_params("give snapshot_class or image"))?;
    let mut env = BTreeMap::from([("RETENTION_DAYS".to_owned(), days)]);
    env.extend(params.destination.map(|d| ("DESTINATION".to_owned(), d)));
    let run = RunParams {
        image,
        command: params.command,
        args: Vec::new(),
        env,
        secret_env: params.secret_env,
        service_account: None,
        timeout_seconds: params.timeout_seconds,
        _reason: None,
    };
    Ok(work(current, Work { base: claim, params: run, claim: Some((claim.to_owned(), true)) }, key))
}

#[cfg(test)]
mod tests {
    use kubernaut_core::model::Object;

    use super::*;

    #[test]
    fn only_folders_within_the_claim_are_cleaned() {
        assert!(["logs", "a/b", "x-1_2.d"].iter().all(|p| stays_within(p)));
        assert!(["", "/etc", "../x", "a/../b", "a//b", "-rf", "a;b", "a b", "."].iter().all(|p| !stays_within(p)));
    }

    #[test]
    fn a_second_run_has_the_template_of_the_first_and_none_of_its_identity() {
        let job = json!({"kind": "Job", "metadata": {"name": "settle", "namespace": "s"}, "spec": {"selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "1"}},
            "template": {"metadata": {"labels": {"app": "a", "batch.kubernetes.io/controller-uid": "1", "controller-uid": "1", "job-name": "settle"}, "creationTimestamp": null}, "spec": {"x": 1}}}});
        let current = Current { target: Object::new(job), related: Default::default() };
        let Write::Steps { steps, .. } = plan_rerun(&current, &json!({}), "k").unwrap() else { panic!("no steps") };
        let Step::Create(made) = &steps[0] else { panic!("no creation") };
        assert_eq!(made["spec"], json!({"template": {"metadata": {"labels": {"app": "a"}}, "spec": {"x": 1}}}));
        assert_ne!(made["metadata"]["name"], "settle");
    }
}
