//! Connections, the way to the writer, and reading.

use std::{fmt, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use kubernaut_core::{Error, Result, model::IntakeResult, port::Clock, service::CallContext};
use sqlx::{
    ConnectOptions, Connection, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    checkpoint::Checkpoints,
    config::SqliteConfig,
    error::Fault,
    file_lock::{FileLock, create_private},
    job::{Call, IntakeJob, Message, Ticket, answer, closed},
    schema,
    tx::Tx,
    waiting::Waiting,
    writer::{self, WriterParts},
};
use crate::rules::intake;

const OPEN: &str = "ledger.open";
/// Calls that wait for the writer; further callers wait to put theirs there.
const CALLS: usize = 1024;

/// An open database: one writer, several readers.
pub(crate) struct Backend {
    queue: mpsc::Sender<Message>,
    waiting: Arc<Waiting>,
    /// `None` in memory: there the one connection also reads.
    readers: Option<SqlitePool>,
    clock: Arc<dyn Clock>,
    changes: watch::Receiver<u64>,
    place: String,
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Backend {
    pub(crate) async fn open(config: SqliteConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        if config.memory { Self::open_memory(config, clock).await } else { Self::open_file(config, clock).await }
    }

    async fn open_memory(config: SqliteConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        let options = SqliteConnectOptions::new().in_memory(true).foreign_keys(true).statement_cache_capacity(512).disable_statement_logging();
        let mut connection = SqliteConnection::connect_with(&options).await.map_err(|e| Fault::from(e).public(OPEN))?;
        schema::migrate(&mut connection, clock.now()).await?;
        Ok(Self::start(&config, connection, None, None, clock, "memory".to_owned()))
    }

    async fn open_file(config: SqliteConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        let place = config.path.display().to_string();
        let named = |error: Error| error.with("path", &place);
        create_private(&config.path)?;
        let lock = FileLock::take(&config.path)?;
        let options = file_options(&config);
        let options = options.pragma("cache_size", format!("-{}", u64::from(config.cache_mib) * 1024));
        let mut connection = SqliteConnection::connect_with(&options).await.map_err(|e| named(Fault::from(e).public(OPEN)))?;
        schema::migrate(&mut connection, clock.now()).await.map_err(named)?;
        let readers = SqlitePoolOptions::new()
            .max_connections(config.readers.max(1))
            .acquire_timeout(Duration::from_secs(10))
            .connect_lazy_with(file_options(&config).create_if_missing(false).pragma("query_only", "ON"));
        Ok(Self::start(&config, connection, Some((readers, options)), Some(lock), clock, place))
    }

    fn start(
        config: &SqliteConfig,
        connection: SqliteConnection,
        file: Option<(SqlitePool, SqliteConnectOptions)>,
        lock: Option<FileLock>,
        clock: Arc<dyn Clock>,
        place: String,
    ) -> Self {
        let (queue, calls) = mpsc::channel(CALLS);
        let waiting = Arc::new(Waiting::new(config.queue));
        let (changed, changes) = watch::channel(0);
        let (readers, reconnect) = file.unzip();
        let checkpoints = reconnect.clone().map(|options| Checkpoints::start(config.path.clone(), options, changes.clone()));
        let parts = WriterParts { connection, reconnect, lock, checkpoints, clock: clock.clone(), changes: changed, batch: config.commit_batch };
        tokio::spawn(writer::run(parts, calls, waiting.clone()));
        Self { queue, waiting, readers, clock, changes, place }
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }

    /// Runs `work` in a transaction of the writer; answers after its commit.
    pub(crate) async fn write<T, F>(&self, ctx: &CallContext, operation: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, Fault>> + Send + 'static,
    {
        let (reply, answered) = oneshot::channel();
        let ticket = Ticket::default();
        let call = Message::Call(Box::new(Call::new(operation, ticket.clone(), work, reply)));
        ctx.run(operation, async { self.queue.send(call).await.map_err(|_| closed(operation)) }).await?;
        answer(ctx, operation, &ticket, answered).await
    }

    /// Runs `work` on a connection that reads.
    pub(crate) async fn read<T, F>(&self, ctx: &CallContext, operation: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, Fault>> + Send + 'static,
    {
        let Some(readers) = &self.readers else {
            return self.write(ctx, operation, work).await;
        };
        let read = async {
            let connection = readers.acquire().await.map_err(|e| Fault::from(e).public(operation))?;
            let mut tx = Tx::reader(connection, self.clock.now());
            work(&mut tx).await.map_err(|fault| fault.public(operation))
        };
        ctx.run(operation, read).await
    }

    /// Hands alerts to the writer, unless too much waits already.
    pub(crate) async fn intake(&self, ctx: &CallContext, request: intake::Request) -> Result<Vec<IntakeResult>> {
        const OPERATION: &str = "ledger.intake";
        let (reply, answered) = oneshot::channel();
        let ticket = Ticket::default();
        self.waiting.push(Box::new(IntakeJob { ticket: ticket.clone(), request, outcome: None, reply }));
        answer(ctx, OPERATION, &ticket, answered).await
    }

    /// Finishes what waits, closes all connections and gives the file free.
    pub(crate) async fn close(&self) -> Result<()> {
        if let Some(readers) = &self.readers {
            readers.close().await;
        }
        let (reply, closed) = oneshot::channel();
        if self.queue.send(Message::Close(reply)).await.is_ok() {
            // An error means that the writer has ended meanwhile, which is what is wanted.
            closed.await.ok();
        }
        Ok(())
    }
}

fn file_options(config: &SqliteConfig) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(&config.path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // An answered write survives a crash of the machine, not only of the process.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_millis(config.busy_timeout_ms))
        .pragma("journal_size_limit", "67108864")
        .pragma("temp_store", "MEMORY")
        // The checkpoints beside the writer come first; see `checkpoint`.
        .pragma("wal_autocheckpoint", "16384")
        // Every statement in several sizes.
        .statement_cache_capacity(512)
        .disable_statement_logging()
}
