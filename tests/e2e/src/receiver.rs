//! A real HTTP receiver of notifications.

use std::sync::{Arc, Mutex};

use axum::{Json, Router, extract::State, routing::post};
use serde_json::Value;

/// Keeps what the webhook channel delivered.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// Where it listens.
    pub url: String,
    received: Arc<Mutex<Vec<Value>>>,
}

impl Receiver {
    /// Starts on a free port of this machine.
    pub async fn start() -> Self {
        let received = Arc::new(Mutex::new(Vec::new()));
        let app = Router::new().route("/notify", post(keep)).with_state(received.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/notify", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, received }
    }

    /// Notifications of an incident.
    #[must_use]
    pub fn of(&self, incident: &str) -> Vec<Value> {
        self.received.lock().unwrap().iter().filter(|n| n.to_string().contains(incident)).cloned().collect()
    }
}

async fn keep(State(received): State<Arc<Mutex<Vec<Value>>>>, Json(body): Json<Value>) {
    received.lock().unwrap().push(body);
}
