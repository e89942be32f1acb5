//! Taking a commit back in the repository that a namespace is deployed from, with Git itself.

use std::{path::Path, time::Duration};

use kubernaut_core::{
    Error, ErrorKind, Result, async_trait, glob,
    model::{ActionRequest, ActionSpec, ExposeSecret, FieldChange, Object, Observation, Precondition, Reversibility, Risk, diff_digest},
    service::UndoRequest,
};
use reqwest::Client;
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;

use super::{
    GitConfig, Outside, RepositoryConfig, Row, Seen, Shown,
    process::Call,
    pull_request::{self, PullRequest},
};
use crate::action::{condition, typed};

pub(super) const NAME: &str = "git_revert";
const OPERATION: &str = "outside.git";
/// Commits of the branch that are fetched; an older one is not taken back.
const DEPTH: &str = "200";
/// Lines of the difference that are shown.
const SHOWN: usize = 60;

/// Parameters of `git_revert`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// The commit to take back, by its full or abbreviated name. Default: the last one of the repository's folder.
    #[schemars(regex(pattern = "^[0-9a-f]{7,40}$"))]
    commit: Option<String>,
    /// Why; stands in the message.
    #[schemars(length(max = 1000))]
    reason: Option<String>,
}

/// The registry's row.
pub(super) fn spec() -> ActionSpec {
    Row {
        name: NAME,
        family: "source",
        summary: "Takes a commit back in the Git repository of a namespace: a branch with the reverting commit, and a pull request where configured",
        target_kinds: &[],
        risk: Risk::Medium,
        reversibility: Reversibility::Compensate,
        preconditions: &[
            "a repository is configured for the namespace",
            "the commit is on the branch and has one parent",
            "it touches nothing outside of the namespace's folder",
            "it can be taken back without a conflict",
        ],
        parameters: schema_for!(Params),
    }
    .spec()
}

/// A clone with the commit taken back in its index.
#[derive(Debug)]
struct Prepared {
    clone: TempDir,
    commit: String,
    subject: String,
}

#[derive(Debug)]
pub(super) struct Git {
    config: GitConfig,
    client: Client,
}

/// A condition that does not hold.
fn broken(text: String) -> Error {
    Error::new(ErrorKind::Refused, OPERATION, text)
}

/// The branch that a request makes; its name tells the key.
fn branch(request: &ActionRequest) -> String {
    let key = FieldChange { path: request.key.clone(), before: None, after: None };
    let digest = diff_digest(NAME, &request.target, &[key]);
    let short: String = digest.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    format!("kubernaut/revert-{short}")
}

fn trailer(key: &str) -> String {
    format!("Kubernaut-Key: {key}")
}

impl Git {
    pub(super) fn new(config: GitConfig, client: Client) -> Self {
        Self { config, client }
    }

    fn repository(&self, target: &Object) -> Result<&RepositoryConfig> {
        let namespace = target.namespace().unwrap_or_default();
        let found = self.config.repositories.iter().find(|r| r.namespaces.iter().any(|p| glob::matches(p, namespace)));
        found.ok_or_else(|| broken(format!("no repository is configured for namespace {namespace} (outside.git.repositories)")))
    }

    async fn git(&self, repository: &RepositoryConfig, folder: Option<&Path>, args: &[&str]) -> Result<String> {
        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut environment = vec![
            set("GIT_TERMINAL_PROMPT", "0"),
            set("GIT_CONFIG_NOSYSTEM", "1"),
            set("GIT_AUTHOR_NAME", &self.config.author_name),
            set("GIT_AUTHOR_EMAIL", &self.config.author_email),
            set("GIT_COMMITTER_NAME", &self.config.author_name),
            set("GIT_COMMITTER_EMAIL", &self.config.author_email),
        ];
        if let Some(token) = &repository.token {
            // By the environment, so that it stands neither in an argument nor in a file.
            let helper = "!f() { echo username=kubernaut; echo \"password=$KUBERNAUT_GIT_TOKEN\"; }; f";
            environment.extend([set("GIT_CONFIG_COUNT", "1"), set("GIT_CONFIG_KEY_0", "credential.helper"), set("GIT_CONFIG_VALUE_0", helper)]);
            environment.push(set("KUBERNAUT_GIT_TOKEN", token.read()?.expose_secret()));
        }
        let limit = Duration::from_secs(self.config.timeout_s.max(1));
        Call { operation: OPERATION, program: &self.config.program, folder, environment, limit }.run(args).await
    }

    async fn clone(&self, repository: &RepositoryConfig) -> Result<TempDir> {
        let clone = TempDir::new().map_err(|e| Error::internal(OPERATION, "no folder for a clone").source(e))?;
        let into = clone.path().to_string_lossy().into_owned();
        let args = ["clone", "--quiet", "--no-tags", "--single-branch", "--depth", DEPTH, "--branch", &repository.branch, &repository.url, &into];
        self.git(repository, None, &args).await?;
        Ok(clone)
    }

    /// A clone in which the commit is taken back but not committed.
    ///
    /// # Errors
    /// `Refused` with the condition that does not hold.
    async fn prepare(&self, repository: &RepositoryConfig, params: &Params) -> Result<Prepared> {
        let clone = self.clone(repository).await?;
        let folder = Some(clone.path());
        let within = repository.path.as_deref().unwrap_or(".");
        let wanted = match &params.commit {
            Some(commit) => commit.clone(),
            None => self.git(repository, folder, &["log", "-1", "--format=%H", "--", within]).await?.trim().to_owned(),
        };
        let known = self.git(repository, folder, &["merge-base", "--is-ancestor", &wanted, "HEAD"]).await;
        known.map_err(|_| broken(format!("commit {wanted} is not among the last {DEPTH} of branch {}", repository.branch)))?;
        let line = self.git(repository, folder, &["log", "-1", "--format=%H%n%P%n%s", &wanted]).await?;
        let mut lines = line.lines();
        let (commit, parents, subject) =
            (lines.next().unwrap_or_default(), lines.next().unwrap_or_default(), lines.next().unwrap_or_default().to_owned());
        if parents.split_whitespace().count() != 1 {
            return Err(broken(format!("commit {wanted} has {} parents, so it cannot be told which way back", parents.split_whitespace().count())));
        }
        let touched = self.git(repository, folder, &["diff-tree", "--no-commit-id", "--name-only", "-r", "-z", commit]).await?;
        if let Some(other) = touched.split('\0').filter(|f| !f.is_empty()).find(|file| !is_within(file, repository.path.as_deref())) {
            return Err(broken(format!("commit {wanted} also touches {other}, outside of {within}")));
        }
        let reverted = self.git(repository, folder, &["revert", "--no-commit", commit]).await;
        reverted.map_err(|_| broken(format!("commit {wanted} cannot be taken back without a conflict")))?;
        let commit = commit.to_owned();
        Ok(Prepared { clone, commit, subject })
    }

    async fn push(&self, repository: &RepositoryConfig, prepared: &Prepared, request: &ActionRequest, reason: &str) -> Result<String> {
        let branch = branch(request);
        let folder = Some(prepared.clone.path());
        let title = format!("Revert \"{}\"", prepared.subject);
        let body = format!("This reverts commit {}.\n\n{reason}", prepared.commit);
        let message = format!("{title}\n\n{body}\n\n{}", trailer(&request.key));
        self.git(repository, folder, &["checkout", "--quiet", "-b", &branch]).await?;
        self.git(repository, folder, &["commit", "--quiet", "--no-verify", "-m", &message]).await?;
        self.git(repository, folder, &["push", "--quiet", "origin", &branch]).await?;
        let Some(provider) = &repository.pull_request else { return Ok(format!("pushed branch {branch}, which a person has to merge")) };
        let token = repository.token.as_ref().map(|t| t.read()).transpose()?;
        let wanted = PullRequest { branch: &branch, into: &repository.branch, title: &title, body: &body };
        let address = pull_request::open(&self.client, provider, token.as_ref(), &wanted).await?;
        Ok(format!("pushed branch {branch} and asked for it to be merged: {address}"))
    }

    async fn is_there(&self, repository: &RepositoryConfig, branch: &str) -> Result<bool> {
        let name = format!("refs/heads/{branch}");
        Ok(!self.git(repository, None, &["ls-remote", "--heads", &repository.url, &name]).await?.trim().is_empty())
    }
}

fn is_within(file: &str, folder: Option<&str>) -> bool {
    folder.is_none_or(|folder| Path::new(file).starts_with(folder.trim_matches('/')))
}

/// One change a file, from `git diff --raw`: `:100644 100644 OLD NEW M<tab>PATH`.
fn changes(raw: &str) -> Vec<FieldChange> {
    let blob = |id: &str| (!id.bytes().all(|b| b == b'0')).then(|| json!(id));
    let change = |line: &str| {
        let (meta, path) = line.split_once('\t')?;
        let fields: Vec<&str> = meta.split_whitespace().collect();
        let (old, new) = (fields.get(2)?, fields.get(3)?);
        Some(FieldChange { path: format!("/files/{}", path.replace('~', "~0").replace('/', "~1")), before: blob(old), after: blob(new) })
    };
    raw.lines().filter_map(change).collect()
}

#[async_trait]
impl Outside for Git {
    async fn check(&self, target: &Object, request: &ActionRequest) -> Result<Vec<Precondition>> {
        let params: Params = typed(&request.params)?;
        let repository = match self.repository(target) {
            Ok(repository) => repository,
            Err(error) => return Ok(vec![condition(false, error.message().to_owned())]),
        };
        match self.prepare(repository, &params).await {
            Ok(prepared) => Ok(vec![condition(true, format!("commit {} \"{}\" can be taken back by itself", prepared.commit, prepared.subject))]),
            Err(error) if error.kind() == ErrorKind::Refused => Ok(vec![condition(false, error.message().to_owned())]),
            Err(error) => Err(error),
        }
    }

    async fn show(&self, target: &Object, request: &ActionRequest) -> Result<Shown> {
        let params: Params = typed(&request.params)?;
        let repository = self.repository(target)?;
        let prepared = self.prepare(repository, &params).await?;
        let folder = Some(prepared.clone.path());
        let raw = self.git(repository, folder, &["diff", "--cached", "--raw", "--no-renames", "--abbrev=40", "HEAD"]).await?;
        let text = self.git(repository, folder, &["diff", "--cached", "--no-color", "HEAD"]).await?;
        let lines: Vec<&str> = text.lines().take(SHOWN).collect();
        let patch = kubernaut_core::redact::redact(&lines.join("\n")).into_owned();
        let changes = changes(&raw);
        let warnings = if changes.is_empty() { vec![format!("commit {} is taken back already", prepared.commit)] } else { vec![patch] };
        let pre_state = json!({"commit": prepared.commit, "subject": prepared.subject, "branch": branch(request), "into": repository.branch});
        Ok(Shown { changes, pre_state, warnings })
    }

    async fn act(&self, target: &Object, request: &ActionRequest, shown: &Shown) -> Result<String> {
        let params: Params = typed(&request.params)?;
        let repository = self.repository(target)?;
        // The commit that was shown, not the last one by now.
        let commit = shown.pre_state["commit"].as_str().map(str::to_owned);
        let reason = params.reason.clone().unwrap_or_default();
        let prepared = self.prepare(repository, &Params { commit, ..params }).await?;
        self.push(repository, &prepared, request, &reason).await
    }

    async fn look(&self, target: &Object, request: &ActionRequest) -> Seen {
        let there = self.is_there(self.repository(target)?, &branch(request)).await?;
        Ok(if there { Observation::Applied } else { Observation::NotApplied })
    }

    async fn undo(&self, target: &Object, undo: &UndoRequest) -> Result<Option<String>> {
        let repository = self.repository(target)?;
        let branch = branch(&undo.request);
        let clone = self.clone(repository).await?;
        let mark = format!("--grep={}", trailer(&undo.request.key));
        let merged = self.git(repository, Some(clone.path()), &["log", "-1", "--format=%H", "--fixed-strings", &mark]).await?;
        if !merged.trim().is_empty() {
            return Err(
                Error::conflict(OPERATION, "it was merged since; take that commit back by a git_revert of its own").with("commit", merged.trim())
            );
        }
        if !self.is_there(repository, &branch).await? {
            return Ok(None);
        }
        self.git(repository, Some(clone.path()), &["push", "--quiet", "origin", "--delete", &branch]).await?;
        Ok(Some(format!("deleted branch {branch}, which was not merged")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_come_go_and_change_are_told_apart() {
        let raw = ":100644 100644 aaaa bbbb M\tapps/web.yaml\n:000000 100644 0000 cccc A\tnew.yaml\n:100644 000000 dddd 0000 D\told.yaml\n";
        let told: Vec<_> = changes(raw).into_iter().map(|c| (c.path, c.before.is_some(), c.after.is_some())).collect();
        assert_eq!(told[0], ("/files/apps~1web.yaml".into(), true, true));
        assert_eq!((told[1].1, told[1].2, told[2].1, told[2].2), (false, true, true, false));
    }

    #[test]
    fn a_folder_is_no_prefix_of_a_name() {
        assert!(is_within("apps/shop/a.yaml", Some("apps/shop/")) && is_within("x", None));
        assert!(!is_within("apps/shop-eu/a.yaml", Some("apps/shop")));
    }
}
