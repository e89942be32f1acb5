//! Taking a Helm release back to an earlier revision, with Helm itself.

use std::time::Duration;

use kubernaut_core::{
    Error, Result, async_trait,
    model::{ActionRequest, ActionSpec, FieldChange, Object, Observation, Precondition, Reversibility, Risk},
    service::UndoRequest,
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::json;

use super::{HelmConfig, Outside, Row, Seen, Shown, manifest, process::Call};
use crate::action::{condition, typed};

pub(super) const NAME: &str = "helm_rollback";
const OPERATION: &str = "outside.helm";
/// Revisions that are looked at.
const HISTORY: &str = "50";

/// Parameters of `helm_rollback`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Revision to go back to. Default: the last one before that was deployed.
    #[schemars(range(min = 1, max = 1_000_000))]
    to_revision: Option<u64>,
    /// Revision that it is taken back from; another one refuses. Default: the one at hand.
    #[schemars(range(min = 1, max = 1_000_000))]
    from_revision: Option<u64>,
}

/// The registry's row.
pub(super) fn spec() -> ActionSpec {
    Row {
        name: NAME,
        family: "source",
        summary: "Takes the Helm release of an object back to an earlier revision, with Helm itself",
        target_kinds: &["Deployment", "StatefulSet", "DaemonSet", "Service", "ConfigMap", "CronJob", "Job", "Ingress", "HorizontalPodAutoscaler"],
        risk: Risk::High,
        reversibility: Reversibility::Undo,
        preconditions: &[
            "the object belongs to a Helm release",
            "no operation of the release is pending",
            "the revision to go back to was deployed once",
            "the release stands at the revision that it is taken back from",
        ],
        parameters: schema_for!(Params),
    }
    .spec()
}

/// One revision of a release.
#[derive(Debug, Clone, Deserialize)]
struct Revision {
    revision: u64,
    status: String,
    #[serde(default)]
    description: String,
}

/// A release, with its revisions from the oldest.
#[derive(Debug)]
struct Release {
    name: String,
    namespace: String,
    revisions: Vec<Revision>,
}

impl Release {
    fn current(&self) -> Option<&Revision> {
        self.revisions.last()
    }

    /// The revision to go back to.
    fn goal(&self, params: &Params) -> Option<&Revision> {
        let current = self.current()?.revision;
        match params.to_revision {
            Some(to) => self.revisions.iter().find(|r| r.revision == to),
            None => self.revisions.iter().rev().find(|r| r.revision < current && was_deployed(r)),
        }
    }
}

fn was_deployed(revision: &Revision) -> bool {
    matches!(revision.status.as_str(), "superseded" | "deployed")
}

/// Helm's own words for a rollback.
fn is_rollback_to(revision: &Revision, to: u64) -> bool {
    revision.description == format!("Rollback to {to}")
}

/// Release and namespace that an object names.
fn release_of(target: &Object) -> Option<(String, String)> {
    let name = target.annotation("meta.helm.sh/release-name")?;
    let namespace = target.annotation("meta.helm.sh/release-namespace").or(target.namespace())?;
    Some((name.to_owned(), namespace.to_owned()))
}

#[derive(Debug)]
pub(super) struct Helm {
    config: HelmConfig,
}

impl Helm {
    pub(super) fn new(config: HelmConfig) -> Self {
        Self { config }
    }

    async fn call(&self, args: &[&str]) -> Result<String> {
        let environment = self.config.kubeconfig.iter().map(|path| ("KUBECONFIG".to_owned(), path.display().to_string())).collect();
        let limit = Duration::from_secs(self.config.timeout_s.max(1));
        Call { operation: OPERATION, program: &self.config.program, folder: None, environment, limit }.run(args).await
    }

    async fn release(&self, target: &Object) -> Result<Release> {
        let (name, namespace) = release_of(target).ok_or_else(|| {
            Error::new(kubernaut_core::ErrorKind::Refused, OPERATION, "the object belongs to no Helm release").with("target", target.reference())
        })?;
        // Releases of a target are in its own namespace: what is opted in is that one.
        if Some(namespace.as_str()) != target.namespace() {
            return Err(Error::new(kubernaut_core::ErrorKind::Refused, OPERATION, "the release is in another namespace than the object")
                .with("release_namespace", namespace));
        }
        let text = self.call(&["history", &name, "--namespace", &namespace, "--max", HISTORY, "--output", "json"]).await?;
        let mut revisions: Vec<Revision> =
            serde_json::from_str(&text).map_err(|e| Error::internal(OPERATION, "the history of the release cannot be read").source(e))?;
        revisions.sort_by_key(|r| r.revision);
        Ok(Release { name, namespace, revisions })
    }

    async fn manifest(&self, release: &Release, revision: u64) -> Result<String> {
        let revision = revision.to_string();
        self.call(&["get", "manifest", &release.name, "--namespace", &release.namespace, "--revision", &revision]).await
    }

    async fn roll_back(&self, release: &Release, to: u64) -> Result<()> {
        let revision = to.to_string();
        self.call(&["rollback", &release.name, &revision, "--namespace", &release.namespace]).await.map(drop)
    }
}

fn conditions(release: &Release, params: &Params) -> Vec<Precondition> {
    let current = release.current();
    let status = current.map_or("unknown", |r| r.status.as_str());
    let goal = release.goal(params);
    let named = goal.map_or_else(|| "there is none".to_owned(), |r| format!("{} is {}", r.revision, r.status));
    let from = params.from_revision.is_none_or(|from| current.is_some_and(|r| r.revision == from));
    let stands = current.map_or(0, |r| r.revision);
    vec![
        condition(!status.starts_with("pending") && status != "uninstalling", format!("no operation of the release is pending: it is {status}")),
        condition(goal.is_some_and(was_deployed), format!("the revision to go back to was deployed once: {named}")),
        condition(goal.is_none_or(|g| g.revision < stands), format!("it lies before the one at hand, {stands}")),
        condition(from, format!("the release stands at the revision that it is taken back from: it stands at {stands}")),
    ]
}

#[async_trait]
impl Outside for Helm {
    async fn check(&self, target: &Object, request: &ActionRequest) -> Result<Vec<Precondition>> {
        let params: Params = typed(&request.params)?;
        let Some((name, _)) = release_of(target) else {
            return Ok(vec![condition(false, "the object belongs to a Helm release: it has no annotation meta.helm.sh/release-name")]);
        };
        let mut all = vec![condition(true, format!("the object belongs to the Helm release {name}"))];
        all.extend(conditions(&self.release(target).await?, &params));
        Ok(all)
    }

    async fn show(&self, target: &Object, request: &ActionRequest) -> Result<Shown> {
        let params: Params = typed(&request.params)?;
        let release = self.release(target).await?;
        let (Some(current), Some(goal)) = (release.current(), release.goal(&params)) else {
            return Err(Error::internal(OPERATION, "a release without revisions").with("release", &release.name));
        };
        let (was, will) = (self.manifest(&release, current.revision).await?, self.manifest(&release, goal.revision).await?);
        let revision =
            FieldChange { path: format!("/release/{}", release.name), before: Some(json!(current.revision)), after: Some(json!(goal.revision)) };
        let mut changes = vec![revision];
        changes.extend(manifest::diff(&was, &will)?);
        let pre_state = json!({"release": release.name, "namespace": release.namespace, "from": current.revision, "to": goal.revision});
        Ok(Shown { changes, pre_state, warnings: Vec::new() })
    }

    async fn act(&self, target: &Object, _request: &ActionRequest, shown: &Shown) -> Result<String> {
        let release = self.release(target).await?;
        let read = |key: &str| shown.pre_state[key].as_u64().unwrap_or_default();
        let (from, to) = (read("from"), read("to"));
        if release.current().map(|r| r.revision) != Some(from) {
            return Err(Error::conflict(OPERATION, "the release moved on meanwhile; look at it again").with("release", &release.name));
        }
        self.roll_back(&release, to).await?;
        Ok(format!("rolled the Helm release {} back from revision {from} to {to}", release.name))
    }

    async fn look(&self, target: &Object, request: &ActionRequest) -> Seen {
        let params: Params = typed(&request.params)?;
        let release = self.release(target).await?;
        let Some(current) = release.current() else { return Ok(Observation::Unknown) };
        // Helm keeps no mark of ours; the numbers tell, where the request names both.
        Ok(match (params.from_revision, params.to_revision) {
            (Some(from), _) if current.revision == from => Observation::NotApplied,
            (Some(from), Some(to)) if release.revisions.iter().any(|r| r.revision == from + 1 && is_rollback_to(r, to)) => Observation::Applied,
            (Some(_), _) => Observation::Unknown,
            (None, _) if current.description.starts_with("Rollback to ") => Observation::Unknown,
            (None, _) => Observation::NotApplied,
        })
    }

    async fn undo(&self, target: &Object, undo: &UndoRequest) -> Result<Option<String>> {
        let release = self.release(target).await?;
        let read = |key: &str| undo.execution.pre_state[key].as_u64();
        let (Some(from), Some(to)) = (read("from"), read("to")) else {
            return Err(Error::conflict(OPERATION, "nothing is known of the revisions; a person must look"));
        };
        let current = release.current().ok_or_else(|| Error::conflict(OPERATION, "the release has no revision any more"))?;
        if is_rollback_to(current, from) {
            return Ok(None);
        }
        if current.revision != from + 1 || !is_rollback_to(current, to) {
            return Err(Error::conflict(OPERATION, "the release was changed since; it is left as it is").with("revision", current.revision));
        }
        self.roll_back(&release, from).await?;
        Ok(Some(format!("rolled the Helm release {} forward to revision {from} again", release.name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(revisions: &[(u64, &str)]) -> Release {
        let revision = |(revision, status): &(u64, &str)| Revision { revision: *revision, status: (*status).into(), description: String::new() };
        Release { name: "r".into(), namespace: "s".into(), revisions: revisions.iter().map(revision).collect() }
    }

    fn broken(revisions: &[(u64, &str)], to: Option<u64>, from: Option<u64>) -> usize {
        conditions(&release(revisions), &Params { to_revision: to, from_revision: from }).iter().filter(|c| !c.holds).count()
    }

    #[test]
    fn the_last_deployed_revision_before_is_the_goal_and_what_never_ran_is_none() {
        let known = [(1, "superseded"), (2, "failed"), (3, "deployed")];
        assert_eq!(release(&known).goal(&Params { to_revision: None, from_revision: None }).map(|r| r.revision), Some(1));
        assert_eq!(broken(&known, None, None), 0);
        assert_eq!(broken(&known, Some(2), None), 1, "it never ran");
        assert_eq!(broken(&known, Some(9), None), 1);
        assert_eq!(broken(&known, Some(3), None), 1, "it is the one at hand");
        assert_eq!(broken(&known, Some(1), Some(2)), 1, "the release moved on");
        assert_eq!(broken(&[(1, "superseded"), (2, "pending-upgrade")], None, None), 1);
        assert_eq!(broken(&[(1, "deployed")], None, None), 1, "there is nothing before it");
    }
}
