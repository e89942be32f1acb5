//! `kubernaut audit`.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::ExitCode,
};

use kubernaut::{
    Error, ErrorKind, Result,
    model::{AuditRow, IncidentId, first_broken_row},
    port::SystemClock,
    services::storage::{self, AuditKey, AuditReport, AuditVerifier, BrokenProof, ProofLine},
};
use serde::Deserialize;

use super::{ledger, print_json};
use crate::{
    cli::{AuditArgs, AuditCommand, LedgerArgs, Output, VerifyArgs},
    output::say,
};

pub(super) async fn run(args: AuditArgs) -> Result<ExitCode> {
    match args.command {
        AuditCommand::Verify(args) => verify(args).await,
        AuditCommand::Export { out, ledger } => export(&out, &ledger).await,
        AuditCommand::Keygen { file } => {
            let key = AuditKey::generate(&file)?;
            say!("public key {}", key.public());
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn verify(args: VerifyArgs) -> Result<ExitCode> {
    let pinned = args.public_key.as_deref().map(storage::public_key).transpose()?;
    let report = match (&args.file, &args.url) {
        (Some(path), _) => verify_file(path, pinned)?,
        (None, Some(url)) => verify_server(url, args.token.as_deref()).await?,
        (None, None) => storage::verify_audit(&ledger::place(&args.ledger)?, &SystemClock, pinned).await?,
    };
    match args.output {
        Output::Json => print_json(&report)?,
        Output::Text => show(&report),
    }
    Ok(if report.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn show(report: &AuditReport) {
    for BrokenProof { what, incident, row } in &report.broken {
        let incident = incident.map_or(String::new(), |id| format!("  incident {id}"));
        let row = row.map_or(String::new(), |row| format!(" at row {row}"));
        say!("BROKEN{incident}{row}: {what}");
    }
    say!("{} incidents, {} rows, {} broken", report.chains, report.rows, report.broken.len());
    say!("{} checkpoints, {} of them signed; {} chains purged with a record of their end", report.checkpoints, report.signed, report.purged);
    report.public_keys.iter().for_each(|key| say!("signed by {key}"));
}

fn verify_file(path: &Path, pinned: Option<String>) -> Result<AuditReport> {
    const OPERATION: &str = "audit.verify";
    let file = File::open(path).map_err(|e| Error::not_found(OPERATION, "cannot read the export").with("path", path.display()).source(e))?;
    let mut verifier = AuditVerifier::new(pinned);
    for (number, line) in (1_u64..).zip(BufReader::new(file).lines()) {
        let damaged =
            || Error::new(ErrorKind::Corrupt, OPERATION, "a line of the export is damaged").with("path", path.display()).with("line", number);
        let line = line.map_err(|e| damaged().source(e))?;
        verifier.add(serde_json::from_str::<ProofLine>(&line).map_err(|e| damaged().source(e))?);
    }
    Ok(verifier.finish())
}

async fn export(out: &Path, args: &LedgerArgs) -> Result<ExitCode> {
    let place = ledger::place(args)?;
    let lines = ledger::write_new(out, async |file| {
        let mut lines = 0_u64;
        storage::export_audit(&place, &SystemClock, |line| {
            let text = serde_json::to_string(&line).map_err(|e| Error::internal("audit.export", "a line cannot be written as JSON").source(e))?;
            lines += 1;
            writeln!(file, "{text}").map_err(|e| Error::new(ErrorKind::Unavailable, "audit.export", "cannot write the export").source(e))
        })
        .await?;
        Ok(lines)
    })
    .await?;
    say!("{lines} lines of {place} are in {}; `kubernaut audit verify --file` checks them without the ledger", out.display());
    Ok(ExitCode::SUCCESS)
}

const PAGE: u32 = 500;

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

/// The chains as a running server shows them; checkpoints are not part of its interface.
async fn verify_server(url: &reqwest::Url, token: Option<&str>) -> Result<AuditReport> {
    let client = reqwest::Client::new();
    let base = url.as_str().trim_end_matches('/').to_owned();
    let mut report = AuditReport::default();
    let mut before = String::new();
    loop {
        let page: Listed = fetch(&client, &format!("{base}/api/v1/incidents?limit={PAGE}{before}"), token).await?;
        let Some(last) = page.incidents.last() else { return Ok(report) };
        before = format!("&before={}", last.id);
        for incident in &page.incidents {
            let Chain { rows } = fetch(&client, &format!("{base}/api/v1/incidents/{}/audit", incident.id), token).await?;
            report.chains += 1;
            report.rows += u64::try_from(rows.len()).unwrap_or(u64::MAX);
            let broken = if rows.is_empty() { Some(1) } else { first_broken_row(&rows) };
            let what = "the row does not fit the one before".to_owned();
            report.broken.extend(broken.map(|row| BrokenProof { what, incident: Some(incident.id), row: Some(row) }));
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
