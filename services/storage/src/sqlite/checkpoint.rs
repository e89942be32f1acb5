//! Bringing the log's pages into the file, beside the writer.
//!
//! SQLite would do it within the commit that finds the log long, and that commit's callers would wait for it. Here a connection of its own does it
//! while the writer goes on; only if that cannot keep up, the writer does it (`wal_autocheckpoint`).

use std::{path::PathBuf, time::Duration};

use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
};

/// From this many bytes of log on. A log that is used again from its beginning keeps its length, so commits count too.
const LONG: u64 = 8 * 1024 * 1024;
const COMMITS: u64 = 32;
/// Looks at the log no more often.
const PAUSE: Duration = Duration::from_millis(250);

/// The task that does it.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Checkpoints {
    /// Starts it; `changes` counts commits.
    pub(crate) fn start(file: PathBuf, options: SqliteConnectOptions, changes: watch::Receiver<u64>) -> Self {
        let (stop, stopped) = oneshot::channel();
        Self { stop, task: tokio::spawn(run(file, options, changes, stopped)) }
    }

    /// Ends it. Whoever closes the database last brings the whole log into the file, so the writer closes after this.
    pub(crate) async fn end(self) {
        self.stop.send(()).ok();
        self.task.await.ok();
    }
}

async fn run(file: PathBuf, options: SqliteConnectOptions, changes: watch::Receiver<u64>, mut stopped: oneshot::Receiver<()>) {
    let mut log = file.into_os_string();
    log.push("-wal");
    let log = PathBuf::from(log);
    let (mut connection, mut done_at) = (None, 0);
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            () = tokio::time::sleep(PAUSE) => {}
        }
        let commits = *changes.borrow();
        if commits < done_at + COMMITS || tokio::fs::metadata(&log).await.map_or(0, |file| file.len()) < LONG {
            continue;
        }
        done_at = commits;
        let open = match connection.take() {
            Some(open) => Ok(open),
            None => options.clone().connect().await,
        };
        connection = match open {
            Ok(open) => checkpoint(open).await,
            Err(error) => {
                tracing::warn!(%error, "the ledger's log cannot be brought into its file beside the writer; the writer does it");
                None
            }
        };
    }
    if let Some(connection) = connection {
        connection.close().await.ok();
    }
}

/// The connection again, unless it failed.
async fn checkpoint(mut connection: SqliteConnection) -> Option<SqliteConnection> {
    match sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(&mut connection).await {
        Ok(_) => Some(connection),
        Err(error) => {
            tracing::debug!(%error, "a checkpoint of the ledger failed; it is tried again");
            None
        }
    }
}
