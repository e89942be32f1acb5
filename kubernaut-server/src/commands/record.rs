//! `kubernaut record`.

use std::process::ExitCode;

use kubernaut::{
    Error, Result,
    service::CallContext,
    services::cluster::{KubeCluster, RecordOptions, record},
};

use super::kube_config;
use crate::cli::RecordArgs;
use crate::output::say;

pub(super) async fn run(args: RecordArgs) -> Result<ExitCode> {
    let alert = args.alert.as_ref().map(std::fs::read).transpose();
    let alert = alert.map_err(|e| {
        Error::invalid("record.alert", "cannot read the alert")
            .with("path", args.alert.iter().map(|p| p.display().to_string()).collect::<String>())
            .source(e)
    })?;
    let cluster = KubeCluster::connect(kube_config(&args.cluster)).await?;
    let options = RecordOptions { alert, ..RecordOptions::default() };
    let summary = record(CallContext::system("record"), &cluster, &args.namespace, &args.out, options).await?;
    say!("{summary}");
    Ok(ExitCode::SUCCESS)
}
