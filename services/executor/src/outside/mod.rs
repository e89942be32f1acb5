//! Actions whose effect is outside of the cluster's API: a Helm release, a Git repository, Alertmanager.
//!
//! Each is aimed at an object of the cluster all the same, so that the gate's checks have something to check: the object's namespace has to be
//! opted in, and what is protected stays so. What an action leaves behind tells by which key it was done.

mod config;
mod git;
mod helm;
mod manifest;
mod process;
mod pull_request;
mod silence;

use std::sync::Arc;

use kubernaut_core::{
    Error, ErrorKind, Result, async_trait,
    model::{
        ActionRequest, ActionSpec, DryRun, Execution, ExecutionOutcome, FieldChange, Object, Observation, Precondition, Reversibility, Risk,
        diff_digest,
    },
    port::ClusterRead,
    service::{CallContext, Capability, ExecuteRequest, Executor, UndoRequest},
};
use serde_json::Value;

use crate::{
    action::Effect,
    alias,
    registry::{find_spec, validate},
};

pub use config::{AlertmanagerConfig, GitConfig, HelmConfig, OutsideConfig, Provider, RepositoryConfig, SecretSource};

/// What one of these actions would do, or did.
#[derive(Debug, Clone)]
struct Shown {
    changes: Vec<FieldChange>,
    pre_state: Value,
    warnings: Vec<String>,
}

/// How far the effect of a key is there.
type Seen = Result<Observation>;

/// One of the actions.
#[async_trait]
trait Outside: std::fmt::Debug + Send + Sync {
    /// What must hold, with the values read.
    async fn check(&self, target: &Object, request: &ActionRequest) -> Result<Vec<Precondition>>;
    /// What would be done.
    async fn show(&self, target: &Object, request: &ActionRequest) -> Result<Shown>;
    /// Does it; returns one line that says what was done.
    async fn act(&self, target: &Object, request: &ActionRequest, shown: &Shown) -> Result<String>;
    /// Whether it was done under the key of the request.
    async fn look(&self, target: &Object, request: &ActionRequest) -> Seen;
    /// Takes it back under `key`; `None` if it is back already.
    async fn undo(&self, target: &Object, undo: &UndoRequest) -> Result<Option<String>>;
}

/// Carries out `helm_rollback`, `git_revert` and `create_silence`. What is not configured does not hold as a precondition.
#[derive(Debug, Clone)]
pub struct OutsideExecutor {
    read: Arc<dyn ClusterRead>,
    helm: Arc<helm::Helm>,
    git: Arc<git::Git>,
    silence: Arc<silence::Silence>,
}

impl OutsideExecutor {
    /// An executor after a configuration.
    ///
    /// # Errors
    /// `InvalidInput` for addresses that cannot be read, `Internal` if there is no HTTP client.
    pub fn new(read: Arc<dyn ClusterRead>, config: &OutsideConfig) -> Result<Self> {
        let client = config::client()?;
        Ok(Self {
            read,
            helm: Arc::new(helm::Helm::new(config.helm.clone())),
            git: Arc::new(git::Git::new(config.git.clone(), client.clone())),
            silence: Arc::new(silence::Silence::new(config.alertmanager.clone(), client)),
        })
    }

    fn action(&self, request: &ActionRequest) -> Result<(ActionSpec, &dyn Outside)> {
        let specs = specs();
        let spec = find_spec(&specs, &request.action).ok_or_else(|| unknown(&request.action))?.clone();
        validate(&spec, request)?;
        let action: &dyn Outside = match spec.name.as_str() {
            helm::NAME => self.helm.as_ref(),
            git::NAME => self.git.as_ref(),
            _ => self.silence.as_ref(),
        };
        Ok((spec, action))
    }

    async fn target(&self, ctx: &CallContext, request: &ActionRequest) -> Result<Object> {
        let found = self.read.get(ctx.clone(), request.target.clone()).await?;
        found.ok_or_else(|| Error::not_found("outside.target", "the target does not exist, or is another object now").with("target", &request.target))
    }

    async fn done(&self, ctx: &CallContext, request: &ActionRequest) -> Result<Execution> {
        let (spec, action) = self.action(request)?;
        let target = self.target(ctx, request).await?;
        match action.look(&target, request).await? {
            Observation::Applied => return Ok(idle(&spec, request, ExecutionOutcome::AlreadyApplied, "it was done under this key before")),
            Observation::NotApplied => {}
            Observation::Unknown => {
                return Err(Error::new(ErrorKind::Refused, "outside.execute", "it cannot be told whether it was done before; a person must look")
                    .with("key", &request.key));
            }
        }
        demand(&action.check(&target, request).await?)?;
        let shown = action.show(&target, request).await?;
        if shown.changes.is_empty() {
            return Ok(idle(&spec, request, ExecutionOutcome::NoChange, shown.warnings.first().map_or("nothing to change", String::as_str)));
        }
        let message = action.act(&target, request, &shown).await?;
        tracing::info!(action = %spec.name, target = %request.target, key = %request.key, "done outside of the cluster");
        let digest = diff_digest(&spec.name, &request.target, &shown.changes);
        let (changes, pre_state) = (shown.changes, shown.pre_state);
        Ok(Execution { outcome: ExecutionOutcome::Applied, report: Default::default(), changes, digest, pre_state, message, simulated: false })
    }
}

fn demand(conditions: &[Precondition]) -> Result<()> {
    let broken: Vec<&str> = conditions.iter().filter(|p| !p.holds).map(|p| p.text.as_str()).collect();
    if broken.is_empty() {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::Refused, "outside.preconditions", format!("does not hold: {}", broken.join("; "))))
    }
}

fn unknown(name: &str) -> Error {
    Error::invalid("outside.request", "no such action outside of the cluster").with("action", name)
}

fn idle(spec: &ActionSpec, request: &ActionRequest, outcome: ExecutionOutcome, message: &str) -> Execution {
    Execution {
        outcome,
        report: Default::default(),
        changes: Vec::new(),
        digest: diff_digest(&spec.name, &request.target, &[]),
        pre_state: serde_json::json!({}),
        message: message.to_owned(),
        simulated: false,
    }
}

/// What [`OutsideExecutor`] offers.
#[must_use]
pub fn specs() -> Vec<ActionSpec> {
    vec![helm::spec(), git::spec(), silence::spec()]
}

/// The effect of one of these actions.
pub(crate) fn effect_of(spec: &ActionSpec) -> Option<Effect> {
    match (spec.name.as_str(), spec.family.as_str()) {
        (helm::NAME | git::NAME, "source") => Some(Effect::Source),
        (silence::NAME, "alerting") => Some(Effect::Consult),
        _ => None,
    }
}

/// A row of the registry.
struct Row {
    name: &'static str,
    family: &'static str,
    summary: &'static str,
    target_kinds: &'static [&'static str],
    risk: Risk,
    reversibility: Reversibility,
    preconditions: &'static [&'static str],
    parameters: schemars::Schema,
}

impl Row {
    fn spec(self) -> ActionSpec {
        let owned = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect();
        ActionSpec {
            name: self.name.into(),
            aliases: alias::all(self.name, &[], |_| false),
            family: self.family.into(),
            summary: self.summary.into(),
            version: 1,
            parameters: self.parameters.to_value(),
            target_kinds: owned(self.target_kinds),
            risk: self.risk,
            reversibility: self.reversibility,
            preconditions: owned(self.preconditions),
            // None of the cluster's: each uses credentials of its own.
            rbac: Vec::new(),
        }
    }
}

#[async_trait]
impl Executor for OutsideExecutor {
    async fn actions(&self, _ctx: CallContext) -> Result<Vec<ActionSpec>> {
        Ok(specs())
    }

    async fn execute(&self, ctx: CallContext, request: ExecuteRequest) -> Result<Execution> {
        ctx.run("outside.execute", self.done(&ctx, &request.request)).await
    }

    async fn observe(&self, ctx: CallContext, request: ActionRequest) -> Result<Observation> {
        let (_, action) = self.action(&request)?;
        let Ok(target) = self.target(&ctx, &request).await else { return Ok(Observation::Unknown) };
        let seen = ctx.run("outside.observe", action.look(&target, &request)).await;
        Ok(seen.unwrap_or_else(|error| {
            tracing::warn!(action = %request.action, %error, "the effect cannot be observed");
            Observation::Unknown
        }))
    }

    async fn dry_run(&self, ctx: CallContext, request: ActionRequest) -> Result<DryRun> {
        let (spec, action) = self.action(&request)?;
        let target = self.target(&ctx, &request).await?;
        let shown = ctx
            .run("outside.dry_run", async {
                demand(&action.check(&target, &request).await?)?;
                action.show(&target, &request).await
            })
            .await?;
        let digest = diff_digest(&spec.name, &request.target, &shown.changes);
        let (changes, pre_state, warnings) = (shown.changes, shown.pre_state, shown.warnings);
        Ok(DryRun { report: Default::default(), changes, digest, pre_state, server_side: false, warnings })
    }

    async fn preconditions(&self, ctx: CallContext, request: ActionRequest) -> Result<Vec<Precondition>> {
        let (_, action) = self.action(&request)?;
        let target = self.target(&ctx, &request).await?;
        ctx.run("outside.preconditions", action.check(&target, &request)).await
    }

    async fn undo(&self, ctx: CallContext, request: UndoRequest) -> Result<Execution> {
        let (spec, action) = self.action(&request.request)?;
        let target = self.target(&ctx, &request.request).await?;
        let done = ctx.run("outside.undo", action.undo(&target, &request)).await?;
        let Some(message) = done else { return Ok(idle(&spec, &request.request, ExecutionOutcome::NoChange, "it is back as it was")) };
        let back = |c: &FieldChange| FieldChange { path: c.path.clone(), before: c.after.clone(), after: c.before.clone() };
        let changes: Vec<FieldChange> = request.execution.changes.iter().map(back).collect();
        let digest = diff_digest(&spec.name, &request.request.target, &changes);
        let execution = idle(&spec, &request.request, ExecutionOutcome::Applied, &message);
        Ok(Execution { changes, digest, ..execution })
    }

    fn capabilities(&self) -> Vec<Capability> {
        vec![Capability::DryRun, Capability::Preconditions, Capability::Undo]
    }
}
