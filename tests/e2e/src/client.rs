//! A client of the server's HTTP interface.

use serde_json::{Value, json};

/// Talks to a server.
#[derive(Debug, Clone)]
pub struct Api {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

impl Api {
    /// A client for `address`.
    #[must_use]
    pub fn new(address: &str, token: Option<&str>) -> Self {
        Self { http: reqwest::Client::new(), base: format!("http://{address}"), token: token.map(str::to_owned) }
    }

    /// A request to a path, with the token.
    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// GET as JSON; panics on any other status than 200.
    pub async fn get(&self, path: &str) -> Value {
        let response = self.request(reqwest::Method::GET, path).send().await.unwrap();
        let status = response.status();
        let body: Value = response.json().await.unwrap();
        assert_eq!(status, 200, "GET {path}: {body}");
        body
    }

    /// Whether the server is ready.
    pub async fn ready(&self) -> bool {
        let answer = self.http.get(format!("{}/readyz", self.base)).send().await;
        answer.is_ok_and(|r| r.status() == 200)
    }

    /// Incidents of a namespace, newest first.
    pub async fn incidents(&self, namespace: &str) -> Vec<Value> {
        self.get(&format!("/api/v1/incidents?namespace={namespace}")).await["incidents"].as_array().unwrap().clone()
    }

    /// One incident.
    pub async fn incident(&self, id: &str) -> Value {
        self.get(&format!("/api/v1/incidents/{id}")).await
    }

    /// Its timeline.
    pub async fn timeline(&self, id: &str) -> Vec<Value> {
        self.get(&format!("/api/v1/incidents/{id}/timeline")).await["events"].as_array().unwrap().clone()
    }

    /// Approves whatever is asked for an incident now; tells whether anything was.
    pub async fn approve(&self, incident: &str) -> bool {
        let pending = self.get("/api/v1/approvals?pending=true").await;
        let mine = pending["approvals"].as_array().unwrap().iter().find(|a| a["incident_id"] == incident).cloned();
        let Some(approval) = mine else { return false };
        let path = format!("/api/v1/approvals/{}", approval["id"].as_str().unwrap());
        let body = json!({ "approve": true, "digest": approval["digest"] });
        let response = self.request(reqwest::Method::POST, &path).json(&body).send().await.unwrap();
        assert_eq!(response.status(), 200, "{}", response.text().await.unwrap());
        true
    }
}
