//! What is brought back from inside of the cluster: a file made in a container, or what is known of an object.

use kubernaut_core::{
    Error, ErrorKind, Result,
    model::{ActionRequest, FieldChange, Object, ObjectRef, diff_digest},
    port::{EventQuery, ExecRequest, ListQuery, LogQuery},
    redact::redact,
    service::CallContext,
};
use serde_json::{Value, json};

use super::{KubeExecutor, apply::Tried, steps::Written};
use crate::{
    action::{Action, Current, Dump},
    effect::Effects,
};

pub(super) const DUMP: &str = "heap-dump.bin";
/// A heap beyond this is not brought back.
const DUMP_LIMIT: usize = 512 * 1024 * 1024;
const SAID_LIMIT: usize = 64 * 1024;

impl KubeExecutor {
    /// Runs the command, brings its file back, and takes it away in the container.
    pub(super) async fn dump(
        &self,
        ctx: &CallContext,
        action: &Action,
        current: &Current,
        request: &ActionRequest,
        dump: &Dump,
        dry_run: bool,
    ) -> Result<Tried> {
        let what = format!("container {} runs {}; {} is brought back", dump.container, dump.command.join(" "), dump.path);
        let changes = vec![FieldChange { path: "archive".into(), before: None, after: Some(json!(what)) }];
        let effects = Effects { digest: diff_digest(action.name, &request.target, &changes), changes, pre_state: json!({}) };
        if dry_run {
            let warnings = vec!["a command in a container cannot be tried out; shown is what would run".to_owned()];
            return Ok(Tried::Answered(Written { effects, warnings, simulated: true, made_before: false }, None));
        }
        let pod = current.target.reference();
        self.run(ctx, &pod, dump, dump.command.clone(), SAID_LIMIT).await?;
        let content = self.run(ctx, &pod, dump, vec!["cat".into(), dump.path.clone()], DUMP_LIMIT).await?;
        if content.is_empty() {
            return Err(Error::new(ErrorKind::Refused, "executor.dump", "the command left no file, or an empty one").with("file", &dump.path));
        }
        let kept = self.archive.write(&request.key, DUMP, &content)?;
        if !dump.keep
            && let Err(error) = self.run(ctx, &pod, dump, vec!["rm".into(), "-f".into(), dump.path.clone()], SAID_LIMIT).await
        {
            tracing::warn!(%pod, %error, file = dump.path, "the dump was brought back, but its file stays in the container");
        }
        let said = format!("{} bytes from {pod}, container {}, in {}", content.len(), dump.container, kept.display());
        Ok(Tried::Answered(Written { effects, warnings: Vec::new(), simulated: false, made_before: false }, Some(said)))
    }

    async fn run(&self, ctx: &CallContext, pod: &ObjectRef, dump: &Dump, command: Vec<String>, limit_bytes: usize) -> Result<Vec<u8>> {
        let program = command.first().cloned().unwrap_or_default();
        let request = ExecRequest { pod: pod.clone(), container: dump.container.clone(), command, limit_bytes };
        let said = self.write.exec(ctx.clone(), request).await?;
        if said.exit_code == 0 {
            return Ok(said.stdout);
        }
        let why = redact(said.stderr.lines().next().unwrap_or_default()).into_owned();
        let text = format!("{program} ended with code {}: {why}", said.exit_code);
        Err(Error::new(ErrorKind::Refused, "executor.dump", text).with("container", &dump.container))
    }

    /// Writes object, pods, events and logs into the archive. It only reads.
    pub(super) async fn collect(
        &self,
        ctx: &CallContext,
        action: &Action,
        current: &Current,
        request: &ActionRequest,
        (logs, events, tail_lines): (bool, bool, usize),
        dry_run: bool,
    ) -> Result<Tried> {
        let effects = Effects::none(action.name, &request.target);
        if dry_run {
            let warnings = vec!["it only reads; what is found goes to the archive".to_owned()];
            return Ok(Tried::Answered(Written { effects, warnings, simulated: true, made_before: false }, None));
        }
        let target = &current.target;
        let mut files = 1;
        self.archive.write(&request.key, "object.json", pretty(target.value()).as_bytes())?;
        let pods = self.pods_of(ctx, target).await?;
        if !pods.is_empty() {
            let all: Vec<&Value> = pods.iter().map(Object::value).collect();
            self.archive.write(&request.key, "pods.json", pretty(&json!(all)).as_bytes())?;
            files += 1;
        }
        if events {
            let mut found = Vec::new();
            for object in std::iter::once(target).chain(&pods) {
                let query = EventQuery { namespace: object.namespace().map(str::to_owned), object: Some(object.reference()) };
                found.extend(self.read.events(ctx.clone(), query).await?);
            }
            let text = serde_json::to_string_pretty(&found).map_err(|e| Error::internal("executor.collect", "events cannot be written").source(e))?;
            self.archive.write(&request.key, "events.json", redact(&text).as_bytes())?;
            files += 1;
        }
        if logs {
            files += self.keep_logs(ctx, request, &pods, tail_lines).await?;
        }
        let place = self.archive.write(&request.key, "complete", b"")?;
        let folder = place.parent().map(|p| p.display().to_string()).unwrap_or_default();
        let said = format!("{files} files on {} and {} pods in {folder}", target.reference(), pods.len());
        Ok(Tried::Answered(Written { effects, warnings: Vec::new(), simulated: false, made_before: false }, Some(said)))
    }

    async fn pods_of(&self, ctx: &CallContext, target: &Object) -> Result<Vec<Object>> {
        if target.kind() == "Pod" {
            return Ok(vec![target.clone()]);
        }
        let Some(selector) = target.at("/spec/selector").filter(|s| s.is_object()) else { return Ok(Vec::new()) };
        // A Service selects by a plain map.
        let selector = if selector.get("matchLabels").is_some() || selector.get("matchExpressions").is_some() {
            selector.clone()
        } else {
            json!({"matchLabels": selector})
        };
        self.read.list(ctx.clone(), ListQuery::of("Pod", target.namespace()).with_selector(selector)).await
    }

    async fn keep_logs(&self, ctx: &CallContext, request: &ActionRequest, pods: &[Object], tail_lines: usize) -> Result<usize> {
        let mut files = 0;
        for pod in pods {
            for container in pod.list_at("/spec/containers").iter().filter_map(|c| c["name"].as_str()) {
                for previous in [false, true] {
                    let wanted = LogQuery {
                        tail_lines,
                        limit_bytes: 4 * 1024 * 1024,
                        ..LogQuery::of(pod.namespace().unwrap_or_default(), pod.name(), container, previous)
                    };
                    if let Some(log) = self.read.logs(ctx.clone(), wanted).await? {
                        let name = format!("{}_{container}{}.log", pod.name(), if previous { "_previous" } else { "" });
                        self.archive.write(&request.key, &name, redact(&log.text).as_bytes())?;
                        files += 1;
                    }
                }
            }
        }
        Ok(files)
    }
}

fn pretty(value: &Value) -> String {
    format!("{:#}", kubernaut_core::redact::redact_json(value.clone()))
}
