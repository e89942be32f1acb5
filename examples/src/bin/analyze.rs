//! Finds the root cause of a recorded incident: one call, no server, no cluster, no model.
//!
//! `cargo run -p kubernaut-examples --bin analyze -- examples/bundles/crashing-release`

use std::path::PathBuf;

use kubernaut::{Config, Result, analyze_bundle, service::CallContext};

#[tokio::main]
async fn main() -> Result<()> {
    let bundle = std::env::args().nth(1).map_or_else(|| PathBuf::from("examples/bundles/crashing-release"), PathBuf::from);
    let report = analyze_bundle(CallContext::system("example"), &bundle, &Config::default()).await?;
    println!("{report}");
    Ok(())
}
