//! Connections, transactions that are tried again, and reading.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use kubernaut_core::{Error, ErrorKind, Result, model::IntakeResult, port::Clock, service::CallContext};
use sqlx::{ConnectOptions, Connection, PgPool};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};

use super::{
    config::PostgresConfig,
    error::{Again, Fault},
    events, lanes, listen, schema,
    sql::PostgresSql,
    tx::Tx,
};
use crate::{
    rules::intake,
    shared::ticket::{IntakeJob, Ticket, answer, closed},
};

const OPEN: &str = "ledger.open";
/// How often a transaction is tried while others are in its way.
const TRIES: u32 = 12;

/// What all parts of an open ledger share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) pool: PgPool,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) changes: watch::Sender<u64>,
    /// Commits of this process that others have not been told of.
    pub(crate) told: tokio::sync::Notify,
}

impl Shared {
    /// Begins a transaction.
    pub(crate) async fn begin(&self) -> Result<Tx, Fault> {
        Ok(Tx::writer(self.pool.begin().await.map_err(Fault::Postgres)?, self.clock.now()))
    }

    /// Lets waiters know of a commit, here at once and in other processes soon.
    pub(crate) fn changed(&self) {
        self.changes.send_modify(|n| *n += 1);
        self.told.notify_one();
    }

    /// Runs `work` in a transaction, again where another one was in the way.
    pub(crate) async fn write<T, F>(&self, ctx: &CallContext, operation: &'static str, work: F) -> Result<T>
    where
        T: Send,
        F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T, Fault>> + Send + Sync,
    {
        let mut pause = Pause::default();
        loop {
            let tried = ctx
                .run(operation, async {
                    Ok(async {
                        let mut tx = self.begin().await?;
                        match work(&mut tx).await {
                            Ok(value) => Ok((tx, value)),
                            Err(fault) => {
                                tx.rollback().await;
                                Err(fault)
                            }
                        }
                    }
                    .await)
                })
                .await?;
            // From here on the deadline does not count: a commit that is under way cannot be taken back.
            let fault = match tried {
                Ok((tx, value)) => match tx.commit().await {
                    Ok(wrote) => {
                        if wrote {
                            self.changed();
                        }
                        return Ok(value);
                    }
                    Err(error) if Again::of_sql(&error) == Again::Elsewhere => return Err(in_doubt(operation, error)),
                    Err(error) => Fault::Postgres(error),
                },
                Err(fault) => fault,
            };
            if !pause.again(Again::of(&fault)).await {
                return Err(fault.public(operation));
            }
        }
    }

    /// Runs `work` on a connection that reads.
    pub(crate) async fn read<T, F>(&self, ctx: &CallContext, operation: &'static str, work: F) -> Result<T>
    where
        T: Send,
        F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T, Fault>> + Send + Sync,
    {
        let read = async {
            let mut pause = Pause::default();
            loop {
                let tried = async {
                    let connection = self.pool.acquire().await.map_err(Fault::Postgres)?;
                    work(&mut Tx::reader(connection, self.clock.now())).await
                };
                match tried.await {
                    Ok(value) => return Ok(value),
                    Err(fault) if pause.again(Again::of(&fault)).await => {}
                    Err(fault) => return Err(fault.public(operation)),
                }
            }
        };
        ctx.run(operation, read).await
    }

    /// Gives numbers to the events that have none yet.
    pub(crate) async fn number_events(&self, ctx: &CallContext) -> Result<()> {
        const OPERATION: &str = "ledger.events";
        while self.read(ctx, OPERATION, |tx| Box::pin(events::any_without_number(tx))).await? {
            let numbering = async {
                let mut tx = self.begin().await?;
                events::number(&mut PostgresSql(tx.sql())).await?;
                tx.commit().await.map_err(Fault::Postgres)
            };
            // A commit in doubt is of no matter: whoever is next sees which numbers were given.
            ctx.run(OPERATION, async { numbering.await.map_err(|fault: Fault| fault.public(OPERATION)) }).await?;
        }
        Ok(())
    }
}

fn in_doubt(operation: &'static str, error: sqlx::Error) -> Error {
    let text = "the connection to postgresql was lost during the commit; read again to see whether it was written";
    Error::new(ErrorKind::Unavailable, operation, text).retry_after(Duration::from_secs(1)).source(error)
}

/// Waits a little longer each time a transaction is tried again, and ends that after a while.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    tries: u32,
}

impl Pause {
    pub(crate) async fn again(&mut self, again: Again) -> bool {
        self.tries += 1;
        if again == Again::No || self.tries >= TRIES {
            return false;
        }
        // Connections that were open when a server ended fail one after the other, at once; then a new one waits for the server to come back.
        let wait = match again {
            Again::Elsewhere => 20 * u64::from(self.tries),
            _ => u64::from(self.tries.saturating_sub(1)),
        };
        tokio::time::sleep(Duration::from_millis(wait)).await;
        true
    }
}

/// An open database.
pub(crate) struct Backend {
    pub(crate) shared: Arc<Shared>,
    queue: Mutex<Option<mpsc::Sender<IntakeJob>>>,
    lanes: tokio::sync::Mutex<JoinSet<()>>,
    /// Ended when this is dropped.
    helpers: Mutex<JoinSet<()>>,
    place: String,
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Backend {
    pub(crate) async fn open(config: PostgresConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        let (options, place) = config.options()?;
        let named = |error: Error| error.with("database", &place);
        // A connection of its own, so that a wrong address is told at once and not after the time that a pool waits.
        let mut first = options.connect().await.map_err(|e| named(Fault::Postgres(e).public(OPEN)))?;
        schema::migrate(&mut first, &config.schema, clock.now()).await.map_err(named)?;
        first.close().await.ok();
        let pool = config.pool().connect_lazy_with(options.clone());
        let (changes, _) = watch::channel(0);
        let shared = Arc::new(Shared { pool, clock, changes, told: tokio::sync::Notify::new() });
        let mut helpers = JoinSet::new();
        listen::start(&mut helpers, &shared, options, &config.schema).await.map_err(named)?;
        let (queue, waiting) = mpsc::channel(config.queue.max(1));
        let lanes = lanes::start(&shared, waiting, config.intake_lanes, config.commit_batch);
        Ok(Self {
            shared,
            queue: Mutex::new(Some(queue)),
            lanes: tokio::sync::Mutex::new(lanes),
            helpers: Mutex::new(helpers),
            place: place.to_string(),
        })
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    /// Hands alerts to a lane, unless too much waits already.
    pub(crate) async fn intake(&self, ctx: &CallContext, request: intake::Request) -> Result<Vec<IntakeResult>> {
        const OPERATION: &str = "ledger.intake";
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(|| closed(OPERATION))?;
        let (reply, answered) = oneshot::channel();
        let ticket = Ticket::default();
        let job = IntakeJob { ticket: ticket.clone(), request, outcome: None, reply };
        queue.try_send(job).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => {
                metrics::counter!("kubernaut_storage_refused_total").increment(1);
                Error::new(ErrorKind::Overloaded, OPERATION, "too many writes wait; send the alerts again a little later")
                    .with("waiting", queue.max_capacity())
                    .retry_after(Duration::from_secs(1))
            }
            mpsc::error::TrySendError::Closed(_) => closed(OPERATION),
        })?;
        drop(queue);
        answer(ctx, OPERATION, &ticket, answered).await
    }

    /// Finishes the alerts that wait and closes all connections.
    pub(crate) async fn close(&self) -> Result<()> {
        // Without a sender the lanes end when the queue is empty.
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let mut lanes = self.lanes.lock().await;
        while lanes.join_next().await.is_some() {}
        self.helpers.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
        self.shared.pool.close().await;
        Ok(())
    }
}
