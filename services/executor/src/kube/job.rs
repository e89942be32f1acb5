//! Waiting for a Job and keeping what it said.

use std::time::Duration;

use kubernaut_core::{
    Error, ErrorKind, Result,
    model::{ActionRequest, Object, ObjectRef, Observation},
    port::{ListQuery, LogQuery},
    redact::redact,
    service::CallContext,
};
use serde_json::json;

use super::KubeExecutor;
use crate::action::stamp;

/// Label by which the Job of a request is found.
pub(crate) const JOB_KEY: &str = "kubernaut.ai/key";
const POLL: Duration = Duration::from_millis(500);
/// Lines of the log that go into the answer; the archive has all that was read.
const SHOWN: usize = 20;

/// How a Job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Complete,
    Failed,
}

fn state(job: &Object) -> State {
    let is = |kind: &str| job.condition(kind).is_some_and(|c| c["status"] == "True");
    if is("Complete") {
        State::Complete
    } else if is("Failed") {
        State::Failed
    } else {
        State::Running
    }
}

impl KubeExecutor {
    /// Waits for the end of a Job and says how it went. What it said goes to the archive, and its last lines into the answer.
    pub(super) async fn await_job(&self, ctx: &CallContext, request: &ActionRequest, name: &str, limit_s: u32) -> Result<String> {
        let reference = ObjectRef::new("Job", request.target.namespace.as_deref(), name);
        let turns = u64::from(limit_s) * 1000 / u64::try_from(POLL.as_millis()).unwrap_or(1) + 1;
        for _ in 0..turns {
            let missing = || Error::not_found("executor.job", "the Job is gone before it ended").with("job", &reference);
            let job = self.read.get(ctx.clone(), reference.clone()).await?.ok_or_else(missing)?;
            match state(&job) {
                State::Running => tokio::time::sleep(POLL).await,
                ended => return self.ended(ctx, request, &job, ended).await,
            }
        }
        let text = "the Job is still running; a further try under the same key goes on waiting for it";
        Err(Error::new(ErrorKind::Timeout, "executor.job", text).with("job", reference).with("limit_s", limit_s))
    }

    async fn ended(&self, ctx: &CallContext, request: &ActionRequest, job: &Object, state: State) -> Result<String> {
        let log = self.job_log(ctx, job).await?;
        let kept = self.archive.write(&request.key, "job.log", log.as_bytes())?;
        let lines: Vec<&str> = log.lines().rev().take(SHOWN).collect();
        let tail = lines.into_iter().rev().collect::<Vec<_>>().join("\n");
        if state == State::Complete {
            return Ok(format!("{} completed; log in {}\n{tail}", job.reference(), kept.display()));
        }
        let why = job.condition("Failed").and_then(|c| c["message"].as_str()).unwrap_or("no reason given");
        Err(Error::new(ErrorKind::Refused, "executor.job", format!("the Job failed: {why}; its last lines: {tail}"))
            .with("job", job.reference())
            .with("log", kept.display()))
    }

    async fn job_log(&self, ctx: &CallContext, job: &Object) -> Result<String> {
        let query = ListQuery::of("Pod", job.namespace()).with_selector(json!({"matchLabels": {"batch.kubernetes.io/job-name": job.name()}}));
        let mut all = String::new();
        for pod in self.read.list(ctx.clone(), query).await? {
            for container in pod.list_at("/spec/containers").iter().filter_map(|c| c["name"].as_str()) {
                let wanted = LogQuery {
                    tail_lines: 5000,
                    limit_bytes: 1024 * 1024,
                    ..LogQuery::of(pod.namespace().unwrap_or_default(), pod.name(), container, false)
                };
                if let Some(log) = self.read.logs(ctx.clone(), wanted).await? {
                    all.push_str(&redact(&log.text));
                }
            }
        }
        Ok(all)
    }

    /// What the Job of a request tells about it.
    pub(super) async fn observe_job(&self, ctx: &CallContext, request: &ActionRequest) -> Result<Observation> {
        let query = ListQuery::of("Job", request.target.namespace.as_deref()).with_selector(json!({"matchLabels": {JOB_KEY: stamp(&request.key)}}));
        let jobs = self.read.list(ctx.clone(), query).await?;
        Ok(match jobs.first().map(state) {
            None => self.observe_snapshot(ctx, request).await?,
            Some(State::Complete) => Observation::Applied,
            // The same key goes on waiting for it.
            Some(State::Running) => Observation::NotApplied,
            // It may have done a part of its work.
            Some(State::Failed) => Observation::Unknown,
        })
    }

    /// A backup by a snapshot has no Job.
    async fn observe_snapshot(&self, ctx: &CallContext, request: &ActionRequest) -> Result<Observation> {
        if request.params["snapshot_class"].is_null() {
            return Ok(Observation::NotApplied);
        }
        let name = crate::action::name_for(&request.target.name, &request.key);
        let reference = ObjectRef::new("VolumeSnapshot", request.target.namespace.as_deref(), name).with_group("snapshot.storage.k8s.io");
        let found = self.read.get(ctx.clone(), reference).await?;
        Ok(if found.is_some() { Observation::Applied } else { Observation::NotApplied })
    }
}
