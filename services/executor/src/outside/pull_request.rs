//! Asking for a branch to be merged, at GitHub, GitLab or Gitea.

use kubernaut_core::{
    Error, Result,
    model::{ExposeSecret, SecretString},
};
use reqwest::{Client, RequestBuilder, Url};
use serde_json::{Value, json};

use super::{
    Provider,
    config::{failed, refused},
};

const OPERATION: &str = "outside.pull_request";

/// What is asked for.
#[derive(Debug)]
pub(super) struct PullRequest<'a> {
    pub(super) branch: &'a str,
    pub(super) into: &'a str,
    pub(super) title: &'a str,
    pub(super) body: &'a str,
}

/// Opens a request; returns its address.
pub(super) async fn open(client: &Client, provider: &Provider, token: Option<&SecretString>, wanted: &PullRequest<'_>) -> Result<String> {
    let answer = request(client, provider, token, wanted)?.send().await.map_err(|e| failed(OPERATION, e))?;
    if !answer.status().is_success() {
        return Err(refused(OPERATION, answer).await);
    }
    let told: Value = answer.json().await.map_err(|e| failed(OPERATION, e))?;
    let address = told["html_url"].as_str().or_else(|| told["web_url"].as_str()).unwrap_or("(no address)");
    Ok(address.to_owned())
}

fn request(client: &Client, provider: &Provider, token: Option<&SecretString>, wanted: &PullRequest<'_>) -> Result<RequestBuilder> {
    let PullRequest { branch, into, title, body } = wanted;
    let (api, path, content) = match provider {
        Provider::Github { api, repository } | Provider::Gitea { api, repository } => {
            (api, format!("repos/{repository}/pulls"), json!({"title": title, "head": branch, "base": into, "body": body}))
        }
        Provider::Gitlab { api, repository } => (
            api,
            format!("projects/{}/merge_requests", repository.replace('/', "%2F")),
            json!({"title": title, "source_branch": branch, "target_branch": into, "description": body, "remove_source_branch": true}),
        ),
    };
    let url = Url::parse(&format!("{}/{path}", api.trim_end_matches('/')))
        .map_err(|_| Error::invalid(OPERATION, "the address of the provider's API cannot be read"))?;
    let request = client.post(url).json(&content);
    let Some(token) = token.map(|t| t.expose_secret()) else { return Ok(request) };
    Ok(match provider {
        Provider::Github { .. } => request.bearer_auth(token).header("accept", "application/vnd.github+json"),
        Provider::Gitlab { .. } => request.header("private-token", token),
        Provider::Gitea { .. } => request.header("authorization", format!("token {token}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(provider: &Provider) -> (String, Vec<String>, Value) {
        let wanted = PullRequest { branch: "b", into: "main", title: "t", body: "x" };
        let request = request(&Client::new(), provider, Some(&"secret".into()), &wanted).unwrap().build().unwrap();
        let body = serde_json::from_slice(request.body().unwrap().as_bytes().unwrap()).unwrap();
        let headers =
            request.headers().iter().filter(|(_, v)| v.to_str().unwrap().contains("secret")).map(|(k, v)| format!("{k}: {}", v.to_str().unwrap()));
        (request.url().to_string(), headers.collect(), body)
    }

    #[test]
    fn each_provider_is_asked_in_its_own_way() {
        let (api, repository) = (|| "http://h/api".to_owned(), || "group/name".to_owned());
        let (url, headers, body) = made(&Provider::Github { api: api(), repository: repository() });
        assert_eq!(
            (url.as_str(), headers, &body["head"]),
            ("http://h/api/repos/group/name/pulls", vec!["authorization: Bearer secret".into()], &json!("b"))
        );
        let (url, headers, body) = made(&Provider::Gitlab { api: api(), repository: repository() });
        assert_eq!(
            (url.as_str(), headers, &body["source_branch"]),
            ("http://h/api/projects/group%2Fname/merge_requests", vec!["private-token: secret".into()], &json!("b"))
        );
        let (_, headers, body) = made(&Provider::Gitea { api: api(), repository: repository() });
        assert_eq!((headers, &body["base"]), (vec!["authorization: token secret".to_string()], &json!("main")));
    }
}
