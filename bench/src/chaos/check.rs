//! What is left, compared with what was promised.

use std::{
    collections::{HashMap, HashSet},
    io::{Error, Result},
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use kubernaut_core::{
    model::first_broken_row,
    port::{IncidentFilter, Ledger, SystemClock},
    service::CallContext,
};
use kubernaut_storage::{PostgresConfig, PostgresLedger, SqliteConfig, SqliteLedger};
use serde_json::Value;

use crate::{
    http::{Connection, get},
    subject::Store,
};

/// What was found at the end of a campaign.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Alerts that the ledger keeps.
    pub kept: usize,
    /// Incidents.
    pub incidents: usize,
    /// Answered alerts that are not there.
    pub lost: usize,
    /// Alerts that are there more than once.
    pub doubled: usize,
    /// Incidents whose count is not that of their alerts.
    pub miscounted: usize,
    /// Incidents that have not ended.
    pub open: usize,
    /// Fingerprints with more than one open incident.
    pub twins: usize,
    /// Incidents whose audit chain is broken.
    pub broken_chains: usize,
}

impl Verdict {
    /// Whether every promise was kept.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.kept > 0 && [self.lost, self.doubled, self.miscounted, self.open, self.twins, self.broken_chains] == [0; 6]
    }
}

/// Waits until the server says that nothing is open, or for `limit`.
pub(crate) async fn until_ended(address: SocketAddr, limit: Duration) -> Result<()> {
    let until = Instant::now() + limit;
    while Instant::now() < until {
        let mut connection = Connection::open(address).await?;
        let answer = connection.send(&get("/api/v1/incidents?open=true&limit=1")).await?;
        let body: Value = serde_json::from_slice(answer.body)?;
        if answer.status == 200 && body["incidents"].as_array().is_some_and(Vec::is_empty) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

/// Reads the whole ledger. No server may have it open, if it is a file.
pub(crate) async fn verdict(store: &Store, home: &Path, acknowledged: &[String]) -> Result<Verdict> {
    let clock = Arc::new(SystemClock);
    let ledger: Arc<dyn Ledger> = match store {
        Store::Sqlite => Arc::new(SqliteLedger::open(SqliteConfig::file(home.join("ledger.db")), clock).await.map_err(Error::other)?),
        Store::Postgres(url) => {
            let config: PostgresConfig = serde_json::from_value(serde_json::json!({ "url": url }))?;
            Arc::new(PostgresLedger::open(config, clock).await.map_err(Error::other)?)
        }
    };
    let (mut verdict, mut kept, mut open) = (Verdict::default(), HashMap::<String, usize>::new(), HashSet::new());
    let ctx = || CallContext::system("chaos");
    let mut before = None;
    loop {
        let filter = IncidentFilter { before, limit: Some(1000), ..IncidentFilter::default() };
        let page = ledger.incidents(ctx(), filter).await.map_err(Error::other)?;
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        for incident in &page {
            let alerts = ledger.alerts(ctx(), incident.id).await.map_err(Error::other)?;
            let chain = ledger.audit(ctx(), incident.id).await.map_err(Error::other)?;
            verdict.incidents += 1;
            verdict.miscounted += usize::from(alerts.len() as u64 != incident.occurrences);
            verdict.broken_chains += usize::from(first_broken_row(&chain).is_some());
            if !incident.phase.is_terminal() {
                verdict.open += 1;
                verdict.twins += usize::from(!open.insert(incident.fingerprint.clone()));
            }
            alerts.iter().for_each(|alert| *kept.entry(alert.id.to_string()).or_default() += 1);
        }
    }
    verdict.kept = kept.len();
    verdict.doubled = kept.values().filter(|times| **times > 1).count();
    verdict.lost = acknowledged.iter().filter(|id| !kept.contains_key(*id)).count();
    Ok(verdict)
}
