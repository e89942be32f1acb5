//! `kubernaut serve`.

use std::process::ExitCode;

use kubernaut::{Kubernaut, Result};

use super::print_json;
use crate::{cli::ServeArgs, serve, settings, telemetry};

pub(super) async fn run(args: ServeArgs) -> Result<ExitCode> {
    let settings = settings::load(args.config.config.as_deref())?;
    if args.print_config {
        print_json(&settings.effective())?;
        return Ok(ExitCode::SUCCESS);
    }
    telemetry::install(&settings.log)?;
    let server = serve::start(&settings, Kubernaut::builder(settings.engine.clone())).await?;
    serve::stop_signal().await?;
    tracing::info!("stopping: open requests and workers get {} s", settings.http.drain_s);
    server.stop().await?;
    Ok(ExitCode::SUCCESS)
}
