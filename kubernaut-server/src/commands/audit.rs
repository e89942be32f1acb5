//! `kubernaut audit`.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use kubernaut::{
    Error, ErrorKind, Result,
    model::{AuditRow, IncidentId, first_broken_row},
    port::{IncidentFilter, Ledger, SystemClock},
    service::CallContext,
    services::storage::{SqliteConfig, SqliteLedger},
};
use serde::{Deserialize, Serialize};

use super::print_json;
use crate::cli::{AuditArgs, AuditCommand, Output};
use crate::output::say;

pub(super) async fn run(args: AuditArgs) -> Result<ExitCode> {
    let AuditCommand::Verify { ledger, url, token, output } = args.command;
    let result = match (ledger, url) {
        (Some(path), _) => verify_file(path).await?,
        (None, Some(url)) => verify_server(&url, token.as_deref()).await?,
        (None, None) => return Err(Error::invalid("audit.verify", "give --ledger FILE or --url URL")),
    };
    match output {
        Output::Json => print_json(&result)?,
        Output::Text => {
            result.broken.iter().for_each(|b| say!("BROKEN  incident {} at row {}", b.incident, b.row));
            say!("{} incidents, {} rows, {} broken", result.incidents, result.rows, result.broken.len());
        }
    }
    Ok(if result.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// What was checked.
#[derive(Debug, Default, Serialize)]
struct Verified {
    incidents: usize,
    rows: usize,
    broken: Vec<Broken>,
}

#[derive(Debug, Serialize)]
struct Broken {
    incident: IncidentId,
    row: u64,
}

impl Verified {
    fn add(&mut self, incident: IncidentId, rows: &[AuditRow]) {
        self.incidents += 1;
        self.rows += rows.len();
        if rows.is_empty() {
            self.broken.push(Broken { incident, row: 1 });
        } else if let Some(row) = first_broken_row(rows) {
            self.broken.push(Broken { incident, row });
        }
    }
}

const PAGE: u32 = 500;

async fn verify_file(path: PathBuf) -> Result<Verified> {
    if !path.is_file() {
        return Err(Error::not_found("audit.verify", "no ledger file there").with("path", path.display()));
    }
    let ledger = SqliteLedger::open(SqliteConfig::file(path), Arc::new(SystemClock)).await?;
    let ctx = CallContext::system("audit");
    let mut result = Verified::default();
    let mut before = None;
    loop {
        let page = ledger.incidents(ctx.clone(), IncidentFilter { before, limit: Some(PAGE), ..IncidentFilter::default() }).await?;
        let Some(last) = page.last() else { return Ok(result) };
        before = Some(last.id);
        for incident in &page {
            result.add(incident.id, &ledger.audit(ctx.clone(), incident.id).await?);
        }
    }
}

#[derive(Deserialize)]
struct Listed {
    incidents: Vec<ListedIncident>,
}

#[derive(Deserialize)]
struct ListedIncident {
    id: IncidentId,
}

#[derive(Deserialize)]
struct Chain {
    rows: Vec<AuditRow>,
}

async fn verify_server(url: &reqwest::Url, token: Option<&str>) -> Result<Verified> {
    let client = reqwest::Client::new();
    let base = url.as_str().trim_end_matches('/').to_owned();
    let mut result = Verified::default();
    let mut before = String::new();
    loop {
        let page: Listed = fetch(&client, &format!("{base}/api/v1/incidents?limit={PAGE}{before}"), token).await?;
        let Some(last) = page.incidents.last() else { return Ok(result) };
        before = format!("&before={}", last.id);
        for incident in &page.incidents {
            let chain: Chain = fetch(&client, &format!("{base}/api/v1/incidents/{}/audit", incident.id), token).await?;
            result.add(incident.id, &chain.rows);
        }
    }
}

async fn fetch<T: for<'de> Deserialize<'de>>(client: &reqwest::Client, url: &str, token: Option<&str>) -> Result<T> {
    let mut request = client.get(url);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let failed =
        |e: reqwest::Error| Error::new(ErrorKind::Unavailable, "audit.verify", "the server did not answer as expected").with("url", url).source(e);
    request.send().await.and_then(reqwest::Response::error_for_status).map_err(failed)?.json().await.map_err(failed)
}
