//! Hearing of the commits of other processes, and telling them of those of this one.
//!
//! Others are told after the commit and not within it: a notification within makes PostgreSQL write all commits one after the other. One that
//! is lost with a process costs time only, for workers also look on their own.

use std::{sync::Arc, time::Duration};

use kubernaut_core::{Result, model::EventId, service::CallContext};
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tokio::task::JoinSet;

use super::{backend::Shared, error::Fault};

/// At least so long between two notifications.
const BETWEEN: Duration = Duration::from_millis(10);
/// At most so long until an event has its number though nobody reads.
const UNTIL_NUMBERED: Duration = Duration::from_millis(500);
/// Before another try to connect.
const BACKOFF: Duration = Duration::from_secs(1);

/// Starts the tasks that listen and tell; returns when it is listening.
pub(crate) async fn start(tasks: &mut JoinSet<()>, shared: &Arc<Shared>, options: PgConnectOptions, schema: &str) -> Result<()> {
    let channel = format!("kubernaut_{schema}");
    // Tells the notifications of this process from those of others.
    let me = EventId::new(shared.clock.now()).to_string();
    let own = PgPoolOptions::new().max_connections(2).min_connections(0).acquire_timeout(Duration::from_secs(5)).connect_lazy_with(options);
    let listener = listener(&own, &channel).await.map_err(|e| Fault::Postgres(e).public("ledger.open"))?;
    tasks.spawn(listen(shared.clone(), own.clone(), listener, channel.clone(), me.clone()));
    tasks.spawn(tell(shared.clone(), own, channel, me));
    tasks.spawn(number(shared.clone()));
    Ok(())
}

async fn listener(pool: &PgPool, channel: &str) -> Result<PgListener, sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(channel).await?;
    Ok(listener)
}

async fn listen(shared: Arc<Shared>, pool: PgPool, mut listening: PgListener, channel: String, me: String) {
    loop {
        match listening.try_recv().await {
            Ok(Some(told)) if told.payload() == me => {}
            Ok(Some(_)) => shared.changes.send_modify(|n| *n += 1),
            // The connection was lost; something may have been missed.
            Ok(None) => {
                tracing::warn!("the connection that hears of other processes' work was lost; connecting anew");
                shared.changes.send_modify(|n| *n += 1);
            }
            Err(error) => {
                tracing::warn!(%error, "other processes' work cannot be heard of; workers look by themselves until postgresql answers again");
                tokio::time::sleep(BACKOFF).await;
                if let Ok(anew) = listener(&pool, &channel).await {
                    listening = anew;
                    shared.changes.send_modify(|n| *n += 1);
                }
            }
        }
    }
}

async fn tell(shared: Arc<Shared>, pool: PgPool, channel: String, me: String) {
    loop {
        shared.told.notified().await;
        let told = sqlx::query("SELECT pg_notify($1, $2)").bind(&channel).bind(&me).execute(&pool).await;
        if let Err(error) = told {
            tracing::debug!(%error, "other processes could not be told of a commit");
        }
        tokio::time::sleep(BETWEEN).await;
    }
}

async fn number(shared: Arc<Shared>) {
    let mut changes = shared.changes.subscribe();
    while changes.changed().await.is_ok() {
        tokio::time::sleep(UNTIL_NUMBERED).await;
        changes.mark_unchanged();
        if let Err(error) = shared.number_events(&CallContext::system("storage")).await {
            tracing::debug!(%error, "events get their numbers later");
        }
    }
}
