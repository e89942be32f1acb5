//! What can be reached outside of the cluster.

use std::{path::PathBuf, time::Duration};

use kubernaut_core::{Error, Result, model::SecretString};
use reqwest::{Client, redirect};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest time for one request.
const REQUEST: Duration = Duration::from_secs(30);

/// What the actions outside of the cluster may use. Default: nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OutsideConfig {
    /// Helm, for `helm_rollback`.
    pub helm: HelmConfig,
    /// Git repositories, for `git_revert`.
    pub git: GitConfig,
    /// Alertmanager, for `create_silence`.
    pub alertmanager: AlertmanagerConfig,
}

/// Helm. It uses its own credentials, not those of the executor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HelmConfig {
    /// The program. Default `helm`, looked up in `PATH`.
    pub program: PathBuf,
    /// Kubeconfig that Helm uses. Default: its own choice.
    pub kubeconfig: Option<PathBuf>,
    /// Seconds for one call. Default: 120.
    pub timeout_s: u64,
}

impl Default for HelmConfig {
    fn default() -> Self {
        Self { program: "helm".into(), kubeconfig: None, timeout_s: 120 }
    }
}

/// Git.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GitConfig {
    /// The program. Default `git`, looked up in `PATH`.
    pub program: PathBuf,
    /// Author of the commits. Default `Kubernaut <kubernaut@localhost>`.
    pub author_name: String,
    /// Its address.
    pub author_email: String,
    /// Seconds for one call. Default: 60.
    pub timeout_s: u64,
    /// Repositories; the first one that matches a target is its source. Default: none.
    pub repositories: Vec<RepositoryConfig>,
}

impl Default for GitConfig {
    fn default() -> Self {
        let (author_name, author_email) = ("Kubernaut".into(), "kubernaut@localhost".into());
        Self { program: "git".into(), author_name, author_email, timeout_s: 60, repositories: Vec::new() }
    }
}

/// The source of some namespaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RepositoryConfig {
    /// Namespaces that it is the source of; `*` stands for any text.
    pub namespaces: Vec<String>,
    /// Address to clone from and push to, without credentials.
    pub url: String,
    /// The branch that is deployed.
    pub branch: String,
    /// Folder within it that belongs to these namespaces; a commit that touches anything else is not taken back. Default: all of it.
    #[serde(default)]
    pub path: Option<String>,
    /// Token for pushing over HTTPS and for pull requests. Default: none, as for SSH.
    #[serde(default)]
    pub token: Option<SecretSource>,
    /// Where a pull request is made; without it the branch is pushed and left to a person.
    #[serde(default)]
    pub pull_request: Option<Provider>,
}

/// Where pull requests are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "provider", rename_all = "snake_case", deny_unknown_fields)]
pub enum Provider {
    /// GitHub.
    Github {
        /// Its API, such as `https://api.github.com`.
        api: String,
        /// `owner/name`.
        repository: String,
    },
    /// GitLab.
    Gitlab {
        /// Its API, such as `https://gitlab.com/api/v4`.
        api: String,
        /// `group/name`.
        repository: String,
    },
    /// Gitea or Forgejo.
    Gitea {
        /// Its API, such as `https://git.example.com/api/v1`.
        api: String,
        /// `owner/name`.
        repository: String,
    },
}

/// Where a secret is read from, each time it is used. It is never logged and never stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SecretSource {
    /// A file.
    File(PathBuf),
    /// A variable of the environment.
    Env(String),
}

impl SecretSource {
    /// The secret, without surrounding white space.
    pub(super) fn read(&self) -> Result<SecretString> {
        const OPERATION: &str = "outside.secret";
        let text = match self {
            Self::File(path) => std::fs::read_to_string(path)
                .map_err(|e| Error::invalid(OPERATION, format!("the file cannot be read: {}", e.kind())).with("path", path.display()))?,
            Self::Env(name) => std::env::var(name).map_err(|_| Error::invalid(OPERATION, "the variable is not set").with("name", name))?,
        };
        let text = text.trim();
        if text.is_empty() {
            return Err(Error::invalid(OPERATION, "the secret is empty"));
        }
        Ok(text.into())
    }
}

/// Alertmanager.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AlertmanagerConfig {
    /// Its address, such as `http://alertmanager:9093`. Default: none, so nothing can be silenced.
    pub url: Option<String>,
    /// Bearer token. Default: none.
    pub token: Option<SecretSource>,
}

pub(super) fn client() -> Result<Client> {
    // A redirect would carry the token elsewhere.
    let built = Client::builder().timeout(REQUEST).redirect(redirect::Policy::none()).user_agent("kubernaut").build();
    built.map_err(|e| Error::internal("outside.client", "no HTTP client").source(e))
}

/// What went wrong with a request, without its address, which may hold a credential.
pub(super) fn failed(operation: &'static str, error: reqwest::Error) -> Error {
    use kubernaut_core::ErrorKind::{Timeout, Unavailable};
    let kind = if error.is_timeout() { Timeout } else { Unavailable };
    Error::new(kind, operation, format!("the request failed: {}", error.without_url()))
}

/// An answer that is not a success, with the beginning of what it says.
pub(super) async fn refused(operation: &'static str, answer: reqwest::Response) -> Error {
    use kubernaut_core::ErrorKind::{Conflict, Forbidden, InvalidInput, NotFound, Overloaded, Unauthorized, Unavailable};
    let status = answer.status();
    let kind = match status.as_u16() {
        401 => Unauthorized,
        403 => Forbidden,
        404 => NotFound,
        409 => Conflict,
        429 => Overloaded,
        s if s >= 500 => Unavailable,
        _ => InvalidInput,
    };
    let text: String = answer.text().await.unwrap_or_default().chars().take(200).collect();
    Error::new(kind, operation, format!("the answer is {status}: {}", kubernaut_core::redact::redact(&text)))
}
