//! Embeds the whole engine with a classifier of one's own, takes one alert to its end, and approves the change on the way.
//!
//! `cargo run -p kubernaut-examples --bin embedded -- examples/bundles/crashing-release`

use std::{path::PathBuf, sync::Arc};

use kubernaut::{
    Config, Error, Kubernaut, Result, async_trait,
    model::{ApprovalDecision, Attributed, Basis, Classification, Environment, Mode, Phase, Priority},
    port::IncidentFilter,
    service::{CallContext, Classifier, ClassifyRequest},
    services::{cluster::BundleCluster, storage::SqliteConfig},
};

/// Asks an inventory rather than labels. Anything that implements the trait can stand here.
#[derive(Debug)]
struct Inventory;

#[async_trait]
impl Classifier for Inventory {
    async fn classify(&self, _ctx: CallContext, request: ClassifyRequest) -> Result<Classification> {
        let detail = format!("inventory entry for {}", request.target.namespace.as_deref().unwrap_or("the cluster"));
        let production = Environment::Production;
        let environment = Attributed { value: production, treated_as: production, basis: Basis::Policy, detail, confidence: 1.0 };
        Ok(Classification { environment, priority: Priority::P1, business: [("team".to_owned(), "shop".to_owned())].into() })
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let dir = std::env::args().nth(1).map_or_else(|| PathBuf::from("examples/bundles/crashing-release"), PathBuf::from);
    let alert = BundleCluster::open(&dir)?.alert_json().ok_or_else(|| Error::invalid("example", "the bundle has no alert.json"))?.to_vec();

    let mut config = Config::default();
    config.mode = Mode::Auto;
    config.cluster.bundle = Some(dir);
    config.ledger = SqliteConfig::memory();
    config.processor.verification.window_s = 3;
    let kubernaut = Kubernaut::builder(config).classifier(Arc::new(Inventory)).build().await?;
    kubernaut.start();

    let ctx = || CallContext::system("example");
    let received = kubernaut.ingest(ctx(), "alertmanager", alert.into()).await?;
    println!("taken in: {:?}", received.results.iter().map(|r| r.outcome).collect::<Vec<_>>());

    let mut changes = kubernaut.ledger().changes();
    let ended = loop {
        changes.mark_unchanged();
        for approval in kubernaut.approvals(ctx(), true).await? {
            println!("asked: {} {} would change {} field(s)", approval.request.action, approval.request.target, approval.changes.len());
            let decision = ApprovalDecision { approve: true, by: "example".into(), digest: Some(approval.digest), comment: None, groups: Vec::new() };
            kubernaut.decide(ctx(), approval.id, decision).await?;
        }
        let incidents = kubernaut.incidents(ctx(), IncidentFilter::default()).await?;
        if let Some(incident) = incidents.into_iter().find(|i| i.phase.is_terminal()) {
            break incident;
        }
        // Woken by the next commit.
        changes.changed().await.map_err(|_| Error::internal("example", "the ledger is gone"))?;
    };
    for event in kubernaut.timeline(ctx(), ended.id).await? {
        println!("{}  {}", event.at, event.kind);
    }
    println!("ended {}: {}", ended.phase, ended.message);
    kubernaut.shutdown(std::time::Duration::from_secs(10)).await?;
    if ended.phase == Phase::Resolved { Ok(()) } else { Err(Error::internal("example", "the incident was not resolved")) }
}
