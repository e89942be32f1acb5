//! `kubernaut doctor`.

use std::{process::ExitCode, time::Duration};

use kubernaut::{
    Kubernaut, Result,
    model::ActionSpec,
    port::{AccessReview, ClusterWrite},
    service::CallContext,
    services::cluster::{KubeCluster, KubeConfig},
};

use crate::output::say;
use crate::{cli::ConfigArgs, settings};

/// Status 0: all well; 1: something needs attention.
pub(super) async fn run(args: ConfigArgs) -> Result<ExitCode> {
    let mut checks = Checks::default();
    let settings = settings::load(args.config.as_deref())?;
    checks.add("configuration", Ok(format!("mode {:?}, listens on {}", settings.engine.mode, settings.http.listen)));
    let engine = &settings.engine;
    checks.add("storage", engine.storage.validate().map(|()| engine.storage.place(&engine.ledger).to_string()).map_err(|e| e.to_string()));
    let ctx = || CallContext::system("doctor").with_timeout(Duration::from_secs(10));
    match Kubernaut::builder(settings.engine.clone()).build().await {
        Err(error) => checks.add("engine", Err(error.to_string())),
        Ok(kubernaut) => {
            checks.add("ledger", kubernaut.stats(ctx()).await.map(|s| format!("{} open incidents", s.open_incidents)).map_err(|e| e.to_string()));
            let info = kubernaut.cluster().info(ctx()).await;
            checks.add(
                "cluster",
                info.map(|i| format!("{} at {}{}", i.id, i.now, if i.recorded { ", recorded" } else { "" })).map_err(|e| e.to_string()),
            );
            if settings.engine.cluster.bundle.is_none() {
                let specs = kubernaut.actions(ctx()).await?;
                rights(&mut checks, ctx(), &settings.engine.cluster, &specs).await;
            }
        }
    }
    Ok(if checks.failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

#[derive(Debug, Default)]
struct Checks {
    failed: usize,
}

impl Checks {
    fn add(&mut self, name: &str, outcome: Result<String, String>) {
        match outcome {
            Ok(text) => say!("ok      {name:<24} {text}"),
            Err(text) => {
                self.failed += 1;
                say!("FAILED  {name:<24} {text}");
            }
        }
    }
}

/// Asks the API server for every right that the actions need.
async fn rights(checks: &mut Checks, ctx: CallContext, cluster: &kubernaut::ClusterConfig, specs: &[ActionSpec]) {
    let config = KubeConfig { kubeconfig: cluster.kubeconfig.clone(), context: cluster.context.clone(), ..KubeConfig::default() };
    let live = match KubeCluster::connect(config).await {
        Ok(live) => live,
        Err(error) => return checks.add("rights", Err(error.to_string())),
    };
    for spec in specs {
        let mut missing = Vec::new();
        for rule in &spec.rbac {
            for verb in &rule.verbs {
                let review =
                    AccessReview { verb: verb.clone(), group: rule.group.clone(), resource: rule.resource.clone(), namespace: None, name: None };
                if !live.can_i(ctx.clone(), review).await.unwrap_or(false) {
                    missing.push(format!("{verb} {}", rule.resource));
                }
            }
        }
        let name = format!("rights {}", spec.name);
        checks.add(
            &name,
            if missing.is_empty() {
                Ok("granted in all namespaces".into())
            } else {
                Err(format!("not granted in all namespaces: {}", missing.join(", ")))
            },
        );
    }
}
