//! Commands on a ledger as a whole: `migrate`, `backup`, `restore`, `retention`, `hold`.

use std::{
    fs::File,
    io::{BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use kubernaut::{
    Error, ErrorKind, Result,
    port::SystemClock,
    service::{Actor, CallContext},
    services::storage::{self, LedgerPlace, Moved, MovedTable, SqliteConfig, Storage, StorageConfig, Upkeep},
};

use super::print_json;
use crate::{
    cli::{BackupArgs, HoldArgs, HoldCommand, LedgerArgs, MigrateArgs, Output, RestoreArgs, RetentionArgs},
    output::say,
    settings::{self, Settings},
};

/// The ledger that is named, else the configured one.
pub(super) fn place(args: &LedgerArgs) -> Result<LedgerPlace> {
    match &args.ledger {
        Some(text) => named(text),
        None => {
            let engine = settings::load(args.config.as_deref())?.engine;
            Ok(engine.storage.place(&engine.ledger))
        }
    }
}

/// A place, or the path of a file.
fn named(text: &str) -> Result<LedgerPlace> {
    if text.starts_with("sqlite:") || text.contains("://") { text.parse() } else { Ok(LedgerPlace::Sqlite(PathBuf::from(text))) }
}

pub(super) async fn migrate(args: MigrateArgs) -> Result<ExitCode> {
    let (from, to) = (named(&args.from)?, named(&args.to)?);
    let moved = storage::migrate(&from, &to, &SystemClock).await?;
    show(&moved, args.output)?;
    if args.output == Output::Text {
        say!("moved from {from} to {to}; the source was left as it is");
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn backup(args: BackupArgs) -> Result<ExitCode> {
    let place = place(&args.ledger)?;
    let tables = write_new(&args.file, async |file| storage::backup(&place, file, &SystemClock).await).await?;
    let rows: u64 = tables.iter().map(|t| t.rows).sum();
    match args.output {
        Output::Json => print_json(&tables)?,
        Output::Text => say!("{rows} rows of {} tables of {place} are in {}", tables.len(), args.file.display()),
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes a file that only its owner can read; it has its name only when all of it is on disk.
pub(super) async fn write_new<T>(path: &Path, fill: impl AsyncFnOnce(&mut BufWriter<File>) -> Result<T>) -> Result<T> {
    const OPERATION: &str = "cli.write";
    let failed = |e: std::io::Error| Error::new(ErrorKind::Unavailable, OPERATION, "cannot write the file").with("path", path.display()).source(e);
    if path.exists() {
        return Err(Error::conflict(OPERATION, "the file exists already; name another one").with("path", path.display()));
    }
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = BufWriter::new(options.open(&unfinished).map_err(failed)?);
    let filled = fill(&mut file).await;
    let done = match filled {
        Ok(value) => {
            file.flush().and_then(|()| file.get_ref().sync_all()).and_then(|()| std::fs::rename(&unfinished, path)).map_err(failed).map(|()| value)
        }
        Err(error) => Err(error),
    };
    if done.is_err() {
        // What is left of it is of no use; that it cannot be removed is no reason to hide why.
        std::fs::remove_file(&unfinished).ok();
    }
    done
}

pub(super) async fn restore(args: RestoreArgs) -> Result<ExitCode> {
    let place = place(&args.ledger)?;
    let file = File::open(&args.file)
        .map_err(|e| Error::not_found("ledger.restore", "cannot read the archive").with("path", args.file.display()).source(e))?;
    let moved = storage::restore(&place, BufReader::new(file), &SystemClock).await?;
    show(&moved, args.output)?;
    if args.output == Output::Text {
        say!("restored to {place}");
    }
    Ok(ExitCode::SUCCESS)
}

fn show(moved: &Moved, output: Output) -> Result<()> {
    if output == Output::Json {
        return print_json(moved);
    }
    for MovedTable { table, rows, sha256 } in &moved.tables {
        say!("{rows:>10}  {table:<18} sha256 {sha256}");
    }
    let audit = &moved.audit;
    say!("every table holds the same rows on both sides; {} audit chains with {} rows verify", audit.chains, audit.rows);
    Ok(())
}

pub(super) async fn retention(args: RetentionArgs) -> Result<ExitCode> {
    let upkeep = upkeep(&args.ledger).await?;
    let purged = upkeep.purge(&context(), args.apply).await?;
    match args.output {
        Output::Json => print_json(&purged)?,
        Output::Text => {
            let done = if args.apply { "purged" } else { "would go" };
            for p in &purged {
                match p.before {
                    Some(before) => say!("{:>10} {done}  {:<10} older than {before}", p.count, p.class.as_str()),
                    None => say!("{:>10} {done}  {:<10} kept for ever", 0, p.class.as_str()),
                }
            }
            if !args.apply {
                say!("nothing was changed; --apply does it");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn hold(args: HoldArgs) -> Result<ExitCode> {
    let upkeep = upkeep(&args.ledger).await?;
    match args.command {
        HoldCommand::Set { incident, reason } => upkeep.hold(&context(), incident, &reason).await?,
        HoldCommand::Release { incident } => upkeep.release(&context(), incident).await?,
        HoldCommand::List => {}
    }
    for hold in upkeep.holds(&context()).await? {
        say!("{}  since {} by {}: {}", hold.incident_id, hold.at, hold.actor, hold.reason);
    }
    Ok(ExitCode::SUCCESS)
}

/// Whoever is logged in is the one who did it.
fn context() -> CallContext {
    CallContext::new(Actor::user(&std::env::var("USER").unwrap_or_else(|_| "command-line".to_owned())))
}

async fn upkeep(args: &LedgerArgs) -> Result<Upkeep> {
    let Settings { engine, .. } = settings::load(args.config.as_deref())?;
    let (mut config, mut file) = (engine.storage, engine.ledger);
    match args.ledger.as_deref().map(named).transpose()? {
        Some(LedgerPlace::Postgres(postgres)) => config.postgres = Some(*postgres),
        Some(LedgerPlace::Sqlite(path)) => {
            config = StorageConfig { postgres: None, ..config };
            file = SqliteConfig { path, ..file };
        }
        None => {}
    }
    if config.postgres.is_none() && !file.memory && !file.path.is_file() {
        return Err(Error::not_found("ledger.open", "no ledger file there").with("path", file.path.display()));
    }
    let clock = Arc::new(SystemClock);
    let storage = Storage::open(&config, &file, clock.clone()).await?;
    Upkeep::new(storage, &config, clock)
}
