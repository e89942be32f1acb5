//! The one task that writes. What waits at the same moment shares one commit; each call can still fail alone.

use std::{collections::VecDeque, panic::AssertUnwindSafe, sync::Arc, time::Instant};

use futures::FutureExt;
use kubernaut_core::{ErrorKind, port::Clock};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    checkpoint::Checkpoints,
    error::Fault,
    file_lock::FileLock,
    intake,
    job::{Failure, IntakeJob, Job, Message},
    tx::Tx,
    waiting::Waiting,
};

/// What the writer needs around it.
#[derive(Debug)]
pub(crate) struct WriterParts {
    pub(crate) connection: SqliteConnection,
    /// How to connect anew after the connection broke; `None` in memory, where the data would be gone.
    pub(crate) reconnect: Option<SqliteConnectOptions>,
    pub(crate) lock: Option<FileLock>,
    pub(crate) checkpoints: Option<Checkpoints>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) changes: watch::Sender<u64>,
    pub(crate) batch: usize,
}

/// Runs until it is told to close or nobody can call any more.
pub(crate) async fn run(parts: WriterParts, mut queue: mpsc::Receiver<Message>, waiting: Arc<Waiting>) {
    let WriterParts { connection, reconnect, lock, checkpoints, clock, changes, batch } = parts;
    // Whatever ends this task, nobody waits for it in vain.
    let waiting = CloseAtEnd(waiting);
    let mut writer = Writer { tx: Tx::writer(connection), reconnect, clock, changes };
    let mut messages = Vec::new();
    let mut closing = None;
    while closing.is_none() {
        let most = if waiting.0.is_empty() { CALLS } else { CALLS_BESIDE_ALERTS };
        tokio::select! {
            calls = queue.recv_many(&mut messages, most) => if calls == 0 { break },
            () = waiting.0.arrived() => while messages.len() < CALLS_BESIDE_ALERTS && let Ok(call) = queue.try_recv() { messages.push(call) },
        }
        let (units, close) = sort(messages.drain(..), waiting.0.take(batch));
        closing = close;
        if !units.is_empty() {
            writer.commit(units).await;
        }
    }
    let (rest, _) = sort(std::iter::empty(), waiting.0.take(usize::MAX));
    if !rest.is_empty() {
        writer.commit(rest).await;
    }
    if let Some(checkpoints) = checkpoints {
        checkpoints.end().await;
    }
    writer.close().await;
    drop(lock);
    if let Some(reply) = closing {
        reply.send(()).ok();
    }
}

/// Calls that share one commit at most.
const CALLS: usize = 64;
/// The same where alerts wait: whoever sends them waits for the whole commit.
const CALLS_BESIDE_ALERTS: usize = 8;

struct CloseAtEnd(Arc<Waiting>);

impl Drop for CloseAtEnd {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What is taken back as one if it fails.
enum Unit {
    Call(Box<dyn Job>),
    Intake(Vec<IntakeJob>),
}

impl Unit {
    fn finish(self, failure: Option<&Failure>) {
        match self {
            Self::Call(job) => job.finish(failure),
            Self::Intake(jobs) => jobs.into_iter().for_each(|job| job.finish(failure)),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Call(_) => 1,
            Self::Intake(jobs) => jobs.len(),
        }
    }
}

/// Alerts become one unit. Calls that wait at once may be committed in any order: none of them was answered yet.
#[expect(clippy::vec_box, reason = "jobs are large and move from queue to queue")]
fn sort(messages: impl Iterator<Item = Message>, alerts: Vec<Box<IntakeJob>>) -> (VecDeque<Unit>, Option<oneshot::Sender<()>>) {
    let (mut units, mut close) = (VecDeque::new(), None);
    let alerts: Vec<IntakeJob> = alerts.into_iter().filter(|job| job.start()).map(|job| *job).collect();
    if !alerts.is_empty() {
        units.push_back(Unit::Intake(alerts));
    }
    for message in messages {
        match message {
            Message::Call(job) if job.start() => units.push_back(Unit::Call(job)),
            Message::Call(_) => {}
            Message::Close(reply) => close = Some(reply),
        }
    }
    (units, close)
}

struct Writer {
    tx: Tx,
    reconnect: Option<SqliteConnectOptions>,
    clock: Arc<dyn Clock>,
    changes: watch::Sender<u64>,
}

impl Writer {
    async fn commit(&mut self, units: VecDeque<Unit>) {
        let began = Instant::now();
        let calls: usize = units.iter().map(Unit::len).sum();
        let mut done = Vec::with_capacity(units.len());
        let ended = self.transaction(units, &mut done).await;
        let wrote = self.tx.take_wrote();
        let failure = match ended {
            Ok(()) => None,
            Err(error) => Some(self.recover(error).await),
        };
        if wrote && failure.is_none() {
            self.changes.send_modify(|n| *n += 1);
            metrics::counter!("kubernaut_storage_commits_total").increment(1);
            metrics::counter!("kubernaut_storage_writes_total").increment(u64::try_from(calls).unwrap_or(u64::MAX));
            metrics::histogram!("kubernaut_storage_commit_seconds").record(began.elapsed().as_secs_f64());
        }
        done.into_iter().for_each(|unit| unit.finish(failure.as_ref()));
    }

    /// One transaction over all units. Every unit ends in `done`, whatever happens.
    async fn transaction(&mut self, mut units: VecDeque<Unit>, done: &mut Vec<Unit>) -> Result<(), Fault> {
        // A unit alone needs no savepoint: what it wrote goes with the transaction.
        let mut nested = units.len() > 1;
        let mut result = self.statement("BEGIN IMMEDIATE").await;
        let mut good = false;
        while let Some(mut unit) = units.pop_front() {
            if result.is_ok() {
                match self.unit(&mut unit, nested).await {
                    Ok(true) => good = true,
                    Ok(false) => {
                        if let Some(alone) = split(&mut unit) {
                            alone.into_iter().rev().for_each(|one| units.push_front(one));
                            if !std::mem::replace(&mut nested, true) {
                                result = self.begin_anew().await;
                            }
                            continue;
                        }
                    }
                    Err(fault) => result = Err(fault),
                }
            }
            done.push(unit);
        }
        result?;
        if nested || good { self.statement("COMMIT").await } else { self.statement("ROLLBACK").await }
    }

    async fn begin_anew(&mut self) -> Result<(), Fault> {
        self.statement("ROLLBACK").await?;
        self.statement("BEGIN IMMEDIATE").await
    }

    /// Whether the unit succeeded; an error means that the whole transaction is lost.
    async fn unit(&mut self, unit: &mut Unit, nested: bool) -> Result<bool, Fault> {
        if nested {
            self.statement("SAVEPOINT unit").await?;
        }
        self.tx.now = self.clock.now();
        let work = async {
            match unit {
                Unit::Call(job) => job.run(&mut self.tx).await,
                Unit::Intake(jobs) => intake::run(&mut self.tx, jobs).await,
            }
        };
        // A defect in one call must not end the writer.
        let good = AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| {
            tracing::error!("a call on the ledger panicked; what it wrote is taken back");
            false
        });
        if nested {
            if !good {
                self.statement("ROLLBACK TO unit").await?;
            }
            self.statement("RELEASE unit").await?;
        }
        Ok(good)
    }

    async fn statement(&mut self, sql: &'static str) -> Result<(), Fault> {
        sqlx::query(sql).execute(self.tx.sql()).await?;
        Ok(())
    }

    /// Makes the connection usable again after a transaction was lost.
    async fn recover(&mut self, fault: Fault) -> Failure {
        let error = fault.public("ledger.commit");
        tracing::error!(%error, cause = ?error, "a commit of the ledger failed; its calls are answered with an error");
        // SQLite may have rolled back by itself already, which makes this fail.
        let rolled_back = self.statement("ROLLBACK").await.is_ok();
        if !rolled_back && let Some(options) = &self.reconnect {
            match SqliteConnection::connect_with(options).await {
                Ok(connection) => self.tx = Tx::writer(connection),
                Err(error) => tracing::error!(%error, "the ledger cannot be opened again"),
            }
        }
        let kind = if error.kind() == ErrorKind::Internal { ErrorKind::Unavailable } else { error.kind() };
        Failure { kind, message: error.message().to_owned(), cause: format!("{error:?}") }
    }

    async fn close(self) {
        if let Some(connection) = self.tx.into_connection()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the ledger was not closed cleanly; it is recovered when it is opened again");
        }
    }
}

/// The jobs of a failed unit one by one, where there are several, so that a good one does not fail with a bad one.
fn split(unit: &mut Unit) -> Option<Vec<Unit>> {
    match unit {
        Unit::Intake(jobs) if jobs.len() > 1 => Some(
            jobs.drain(..)
                .map(|mut job| {
                    job.outcome = None;
                    Unit::Intake(vec![job])
                })
                .collect(),
        ),
        _ => None,
    }
}
