//! Those who send, and remember what they were promised.

use std::{
    io::{Error, Result},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use tokio::task::JoinSet;

use super::OWNERS;
use crate::{
    alerts::{Planned, webhook},
    http::{Connection, post},
};

/// What senders were answered.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// Ids of alerts that were answered 2xx.
    pub(crate) acknowledged: Vec<String>,
    /// Requests without an answer.
    pub(crate) cut_off: usize,
}

#[derive(Debug)]
pub(crate) struct Senders {
    tasks: JoinSet<Sent>,
    stop: Arc<AtomicBool>,
}

impl Senders {
    pub(crate) fn start(address: SocketAddr, senders: usize) -> Self {
        let (stop, next) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut tasks = JoinSet::new();
        for _ in 0..senders {
            tasks.spawn(send(address, stop.clone(), next.clone()));
        }
        Self { tasks, stop }
    }

    pub(crate) async fn stop(mut self) -> Sent {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Sent::default();
        while let Some(done) = self.tasks.join_next().await {
            let sent = done.unwrap_or_default();
            all.acknowledged.extend(sent.acknowledged);
            all.cut_off += sent.cut_off;
        }
        all
    }
}

async fn send(address: SocketAddr, stop: Arc<AtomicBool>, next: Arc<AtomicUsize>) -> Sent {
    let mut sent = Sent::default();
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut connection) = Connection::open(address).await else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        while !stop.load(Ordering::Relaxed) {
            let number = next.fetch_add(3, Ordering::Relaxed);
            // New, repeated and other alerts of one owner; only firing ones, for the end of an alert without an incident belongs to none.
            let alerts: Vec<Planned> = (number..number + 3).map(|n| Planned { owner: n / 2 % OWNERS, resolved: false }).collect();
            match deliver(&mut connection, &alerts).await {
                Ok(ids) => sent.acknowledged.extend(ids),
                Err(_) => {
                    sent.cut_off += 1;
                    break;
                }
            }
            // The server must also have time to work on what came.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    sent
}

/// Ids of the alerts that the server answered for; none if it refused them.
async fn deliver(connection: &mut Connection, alerts: &[Planned]) -> Result<Vec<String>> {
    let answer = connection.send(&post("/api/v1/alerts/alertmanager", &webhook(alerts))).await?;
    if !(200..300).contains(&answer.status) {
        return Ok(Vec::new());
    }
    let body: Value = serde_json::from_slice(answer.body)?;
    let ids: Vec<String> = body["alerts"].as_array().into_iter().flatten().filter_map(|a| a["alert_id"].as_str()).map(str::to_owned).collect();
    if ids.len() == alerts.len() { Ok(ids) } else { Err(Error::other(format!("{} ids for {} alerts", ids.len(), alerts.len()))) }
}
