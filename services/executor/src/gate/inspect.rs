//! The checks up to the dry-run, with the reads they need.

use kubernaut_core::{
    ErrorKind, Result,
    model::{ActionRequest, DryRun, FieldChange, Object, ObjectRef, diff_digest, veil},
    port::ListQuery,
    service::{CallContext, Capability},
};

use super::{
    GatedExecutor,
    checks::{self, Blast, Load},
    pass::{Owner, Pass, Purpose, Scene, Verdict},
};
use crate::{
    action::{Effect, placeholder},
    patient::again,
    registry::creates,
};

/// Checks that a record-only action does not need.
const SKIPPED_FOR_RECORD: &[&str] =
    &["rights", "identity", "protected", "ownership", "preconditions", "blast_radius", "window", "environment", "policy", "rego"];

/// Records a check and returns the pass as it stands if it refused.
macro_rules! step {
    ($pass:ident, $name:literal, $verdict:expr) => {
        let verdict = $verdict;
        if !$pass.add($name, verdict) {
            return Ok(($pass, None));
        }
    };
}

impl GatedExecutor {
    /// All checks before the dry-run. The scene is there unless a check refused before it was read.
    pub(super) async fn inspect(&self, ctx: &CallContext, request: &ActionRequest, purpose: Purpose) -> Result<(Pass, Option<Scene>)> {
        let specs = self.inner.actions(ctx.clone()).await?;
        let mut pass = checks::begin(&specs, &self.inner.capabilities(), request, purpose);
        let Some(spec) = pass.spec.clone().filter(|_| !pass.refused()) else { return Ok((pass, None)) };
        if pass.effect == Effect::Record {
            for name in SKIPPED_FOR_RECORD {
                pass.add(name, Verdict::skip("nothing in the cluster changes"));
            }
            return Ok((pass, None));
        }
        step!(pass, "rights", self.rights(ctx, &pass).await?);
        let scene = match self.identify(ctx, &pass.request.target, creates(&spec) && purpose != Purpose::Undo).await? {
            Ok((scene, verdict)) => {
                pass.add("identity", verdict);
                scene
            }
            Err(verdict) => {
                pass.add("identity", verdict);
                return Ok((pass, None));
            }
        };
        pass.request.target.uid = scene.target.uid().map(str::to_owned);
        step!(pass, "protected", checks::protected(&self.config, &scene));
        step!(pass, "ownership", checks::ownership(&self.config, &scene, pass.effect));
        step!(pass, "preconditions", self.demand(ctx, &pass).await?);
        let load = self.load(ctx, &pass, &scene).await?;
        let params = pass.request.params.clone();
        let blast = Blast { config: &self.config, scene: &scene, spec: &spec, effect: pass.effect, params: &params };
        step!(pass, "blast_radius", checks::blast_radius(&blast, &load, purpose));
        pass.reserve.extend(checks::reservation(&blast));
        let environment = checks::environment(&scene);
        step!(pass, "window", checks::window(&self.config, environment, self.parts.clock.now(), purpose));
        let (verdict, terms) = checks::rules(&self.config, &spec, environment, purpose);
        pass.terms = terms;
        step!(pass, "environment", verdict);
        let stopped = self.parts.ledger.stopped(ctx.clone()).await?;
        step!(pass, "policy", checks::policy(&self.config, &scene, &spec, stopped, ctx.mode.min(self.mode), purpose));
        #[cfg(feature = "policy")]
        if let Some(policies) = &self.policies {
            let input = input(ctx, &pass, &spec, &scene, environment, self.parts.clock.now());
            let (verdict, terms) = policies.judge(input).await;
            pass.terms = terms.map_or_else(|| pass.terms.clone(), |terms| pass.terms.and(&terms));
            step!(pass, "rego", verdict);
        }
        pass.tell_terms();
        Ok((pass, Some(scene)))
    }

    async fn rights(&self, ctx: &CallContext, pass: &Pass) -> Result<Verdict> {
        let Some(spec) = &pass.spec else { return Ok(Verdict::skip("no action")) };
        let reviews = checks::reviews(spec, &pass.request);
        let mut granted = Vec::new();
        for review in reviews {
            let text = format!("{} {}", review.verb, review.resource);
            let scope = review.namespace.clone().unwrap_or_else(|| "the cluster".into());
            if !again(ctx, || self.parts.write.can_i(ctx.clone(), review.clone())).await? {
                return Ok(Verdict::fail(format!("may not {text} in {scope}; grant it to the executor's service account")));
            }
            granted.push(text);
        }
        Ok(if granted.is_empty() { Verdict::skip("the action declares no rights") } else { Verdict::pass(format!("may {}", granted.join(", "))) })
    }

    /// Reads the target as it is named, so that a successor of the same name is told apart rather than reported as gone.
    async fn identify(&self, ctx: &CallContext, reference: &ObjectRef, creates: bool) -> Result<Result<(Scene, Verdict), Verdict>> {
        let by_name = ObjectRef { uid: None, ..reference.clone() };
        let Some(target) = self.parts.read.get(ctx.clone(), by_name.clone()).await? else {
            if creates {
                let scene = Scene { target: placeholder(&by_name), namespace: self.namespace_of(ctx, &by_name).await?, owners: Vec::new() };
                return Ok(Ok((scene, Verdict::pass(format!("{reference} does not exist and comes into being")))));
            }
            return Ok(Err(Verdict::fail(format!("{reference} does not exist"))));
        };
        let now = target.uid().unwrap_or_default().to_owned();
        let verdict = match &reference.uid {
            Some(uid) if *uid != now => return Ok(Err(Verdict::fail(format!("{reference} is another object now: uid {now}, not {uid}")))),
            Some(uid) => Verdict::pass(format!("uid {uid} is unchanged")),
            None => Verdict::pass(format!("uid {now} is pinned from here on")),
        };
        let namespace = self.namespace_of(ctx, &by_name).await?;
        let mut owners = Vec::new();
        for reference in self.parts.read.owners(ctx.clone(), by_name).await? {
            let object = match self.parts.read.get(ctx.clone(), reference.clone()).await {
                Ok(object) => object,
                // A kind that is not served, or may not be read, still counts as an owner.
                Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::Forbidden) => None,
                Err(error) => return Err(error),
            };
            owners.push(Owner { reference, object });
        }
        Ok(Ok((Scene { target, namespace, owners }, verdict)))
    }

    async fn namespace_of(&self, ctx: &CallContext, reference: &ObjectRef) -> Result<Option<Object>> {
        match &reference.namespace {
            Some(name) => self.parts.read.get(ctx.clone(), ObjectRef::new("Namespace", None, name)).await,
            None => Ok(None),
        }
    }

    async fn demand(&self, ctx: &CallContext, pass: &Pass) -> Result<Verdict> {
        if pass.purpose == Purpose::Undo {
            return Ok(Verdict::skip("an undo needs what it restores, not what the action needed"));
        }
        let declared = pass.spec.as_ref().map_or(0, |s| s.preconditions.len());
        if !self.inner.capabilities().contains(&Capability::Preconditions) {
            return Ok(if declared == 0 {
                Verdict::skip("the action has no preconditions")
            } else {
                Verdict::ask(format!("{declared} preconditions that this executor cannot evaluate"))
            });
        }
        let all = match again(ctx, || self.inner.preconditions(ctx.clone(), pass.request.clone())).await {
            Ok(all) => all,
            Err(error) if error.kind() == ErrorKind::Unsupported && declared == 0 => return Ok(Verdict::skip("the action has no preconditions")),
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                return Ok(Verdict::ask(format!("{declared} preconditions that this executor cannot evaluate")));
            }
            Err(error) => return Verdict::of_error(error),
        };
        let broken: Vec<&str> = all.iter().filter(|p| !p.holds).map(|p| p.text.as_str()).collect();
        if !broken.is_empty() {
            return Ok(Verdict::fail(format!("does not hold: {}", broken.join("; "))));
        }
        let texts: Vec<&str> = all.iter().map(|p| p.text.as_str()).collect();
        Ok(if texts.is_empty() { Verdict::skip("the action has no preconditions") } else { Verdict::pass(texts.join("; ")) })
    }

    async fn load(&self, ctx: &CallContext, pass: &Pass, scene: &Scene) -> Result<Load> {
        let list = |kind, namespace| self.parts.read.list(ctx.clone(), ListQuery::of(kind, namespace));
        Ok(match pass.effect {
            Effect::Evict | Effect::Isolate => Load { budgets: list("PodDisruptionBudget", scene.target.namespace()).await?, ..Load::default() },
            Effect::NodeDrain => Load { nodes: list("Node", None).await?, pods: list("Pod", None).await?, ..Load::default() },
            Effect::NodeClose => Load { nodes: list("Node", None).await?, ..Load::default() },
            Effect::Reroute => Load { pods: list("Pod", scene.target.namespace()).await?, ..Load::default() },
            Effect::Config => {
                let mut workloads = Vec::new();
                for kind in ["Deployment", "StatefulSet", "DaemonSet", "CronJob"] {
                    workloads.extend(list(kind, scene.target.namespace()).await?);
                }
                Load { workloads, ..Load::default() }
            }
            _ => Load::default(),
        })
    }

    /// The dry-run as a check; `None` if it refused.
    pub(super) async fn show(&self, ctx: &CallContext, pass: &mut Pass) -> Result<Option<DryRun>> {
        if !self.inner.capabilities().contains(&Capability::DryRun) {
            pass.add("dry_run", Verdict::skip("this executor has no dry-run; the request itself is what a person agrees to"));
            return Ok(Some(of_request(&pass.request)));
        }
        let dry = match again(ctx, || self.inner.dry_run(ctx.clone(), pass.request.clone())).await {
            Ok(dry) => dry,
            // One of several executors may lack it.
            Err(error) if error.kind() == ErrorKind::Unsupported && pass.effect == Effect::Other => {
                pass.add("dry_run", Verdict::ask("the effect cannot be shown; the request itself is what a person agrees to"));
                return Ok(Some(of_request(&pass.request)));
            }
            Err(error) => {
                let verdict = Verdict::of_error(error)?;
                pass.add("dry_run", verdict);
                return Ok(None);
            }
        };
        let by = if dry.server_side { "the API server" } else { "computation only" };
        pass.add("dry_run", Verdict::pass(format!("{} fields would change, by {by}", dry.changes.len())));
        Ok(Some(dry))
    }
}

/// What policies are asked about. Parameters that may hold secrets are hidden.
#[cfg(feature = "policy")]
fn input(
    ctx: &CallContext,
    pass: &Pass,
    spec: &kubernaut_core::model::ActionSpec,
    scene: &Scene,
    environment: kubernaut_core::model::Environment,
    now: kubernaut_core::model::Timestamp,
) -> serde_json::Value {
    let target = &scene.target;
    let owners: Vec<String> = scene.owners.iter().map(|o| o.reference.to_string()).collect();
    let purpose = match pass.purpose {
        Purpose::Show => "show",
        Purpose::Act => "act",
        Purpose::Undo => "undo",
    };
    serde_json::json!({
        "action": {"name": spec.name, "family": spec.family, "risk": spec.risk, "reversibility": spec.reversibility},
        "params": veil::params(&spec.name, &pass.request.params),
        "target": {
            "kind": target.kind(), "namespace": target.namespace(), "name": target.name(), "labels": target.labels(), "annotations": target.annotations(),
            "replicas": target.i64_at("/spec/replicas"), "owners": owners,
        },
        "namespace": {"labels": scene.namespace.as_ref().map(|n| n.labels())},
        "environment": environment,
        "purpose": purpose,
        "mode": ctx.mode,
        "actor": ctx.actor.to_string(),
        "now": now.to_string(),
        "checks": pass.report.checks,
    })
}

/// What stands for a dry-run where there is none: the request, so that an agreement is bound to it.
fn of_request(request: &ActionRequest) -> DryRun {
    let change = FieldChange { path: "/params".into(), before: None, after: Some(request.params.clone()) };
    let digest = diff_digest(&request.action, &request.target, std::slice::from_ref(&change));
    let shown = FieldChange { after: change.after.map(|params| veil::params(&request.action, &params)), ..change };
    DryRun { report: Default::default(), changes: vec![shown], digest, pre_state: serde_json::Value::Null, server_side: false, warnings: Vec::new() }
}
