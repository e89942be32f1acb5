//! `kubernaut stop` and `kubernaut resume`.

use std::process::ExitCode;

use kubernaut::{Error, ErrorKind, Result};
use serde_json::{Value, json};

use crate::{
    cli::{ResumeArgs, ServerArgs, StopArgs},
    output::say,
};

const OPERATION: &str = "cli.stop";

pub(super) async fn stop(args: &StopArgs) -> Result<ExitCode> {
    let body = json!({"stopped": true, "reason": args.reason});
    let state = put(&args.server, &body).await?;
    say!("all acting is stopped: {}", state["reason"].as_str().unwrap_or("stopped"));
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn resume(args: &ResumeArgs) -> Result<ExitCode> {
    put(&args.server, &json!({"stopped": false})).await?;
    say!("acting is allowed again");
    Ok(ExitCode::SUCCESS)
}

async fn put(server: &ServerArgs, body: &Value) -> Result<Value> {
    let url = format!("{}/api/v1/stop", server.url.as_str().trim_end_matches('/'));
    let mut request = reqwest::Client::new().put(&url).json(body);
    if let Some(token) = &server.token {
        request = request.bearer_auth(token);
    }
    let failed = |e: reqwest::Error| Error::new(ErrorKind::Unavailable, OPERATION, "the server did not answer").with("url", &url).source(e);
    let answer = request.send().await.map_err(failed)?;
    let status = answer.status();
    let text = answer.text().await.map_err(failed)?;
    if !status.is_success() {
        return Err(Error::new(ErrorKind::Unavailable, OPERATION, format!("the server answered {status}: {text}")).with("url", &url));
    }
    serde_json::from_str(&text).map_err(|e| Error::new(ErrorKind::Unavailable, OPERATION, "the answer cannot be read").source(e))
}
