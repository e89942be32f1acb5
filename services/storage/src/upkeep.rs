//! Looking after a ledger: checkpoints, retention, legal holds.

use std::{sync::Arc, time::Duration};

use kubernaut_core::{
    Error, Result,
    model::{IncidentId, Timestamp},
    port::{Clock, NewEvent},
    service::CallContext,
};
use serde::Serialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{AuditConfig, AuditKey, RetentionClass, RetentionConfig, Storage, StorageConfig, audit, retention};

/// What a look at retention found or did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Purged {
    /// The class.
    pub class: RetentionClass,
    /// What is older may go; `None` if it is kept for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Timestamp>,
    /// Rows; incidents or chains for the classes of these names.
    pub count: u64,
}

/// An incident that no retention removes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LegalHold {
    /// The incident.
    pub incident_id: IncidentId,
    /// Since when.
    pub at: Timestamp,
    /// Who asked for it.
    pub actor: String,
    /// Why.
    pub reason: String,
}

/// Looks after a ledger. Several processes may do so at once.
#[derive(Debug, Clone)]
pub struct Upkeep {
    storage: Storage,
    clock: Arc<dyn Clock>,
    retention: RetentionConfig,
    audit: AuditConfig,
    key: Option<Arc<AuditKey>>,
}

impl Upkeep {
    /// Reads the key, if one is configured. Nothing runs before [`Upkeep::run`].
    ///
    /// # Errors
    /// `InvalidInput` for settings that contradict each other or a key that is none; `NotFound` for a key that cannot be read.
    pub fn new(storage: Storage, config: &StorageConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        config.validate()?;
        let key = config.audit.key_file.as_deref().map(AuditKey::read).transpose()?.map(Arc::new);
        Ok(Self { storage, clock, retention: config.retention.clone(), audit: config.audit.clone(), key })
    }

    /// Takes checkpoints and purges, each at its interval, until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let every = |seconds: u64| {
            let period = Duration::from_secs(seconds.max(1));
            let mut interval = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
            interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            interval
        };
        let (mut checkpoints, mut purges) = (every(self.audit.checkpoint_interval_s), every(self.retention.interval_s));
        let ctx = CallContext::system("retention");
        loop {
            let done = tokio::select! {
                () = shutdown.cancelled() => return,
                _ = checkpoints.tick(), if self.audit.checkpoint_interval_s > 0 => self.checkpoint(&ctx).await.map(drop),
                _ = purges.tick(), if self.retention.enabled => self.purge_until(&ctx, &shutdown).await,
            };
            if let Err(error) = done {
                tracing::warn!(%error, "looking after the ledger failed; it is tried again at the next interval");
            }
        }
    }

    async fn purge_until(&self, ctx: &CallContext, shutdown: &CancellationToken) -> Result<()> {
        tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            purged = self.purge(ctx, true) => {
                for Purged { class, count, .. } in purged?.into_iter().filter(|p| p.count > 0) {
                    tracing::info!(class = class.as_str(), count, "purged what was kept long enough");
                }
                Ok(())
            }
        }
    }

    /// Takes checkpoints until all events are covered; answers with how many.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn checkpoint(&self, ctx: &CallContext) -> Result<u64> {
        const OPERATION: &str = "audit.checkpoint";
        self.storage.number_events(ctx).await?;
        let mut taken = 0;
        loop {
            let (now, key) = (self.clock.now(), self.key.clone());
            let covered = self
                .storage
                .transaction(ctx, OPERATION, move |sql| {
                    let key = key.clone();
                    Box::pin(async move { audit::take_checkpoint(sql, now, key.as_deref()).await })
                })
                .await?;
            if covered.is_none() {
                return Ok(taken);
            }
            taken += 1;
            metrics::counter!("kubernaut_storage_checkpoints_total").increment(1);
        }
    }

    /// Purges what was kept long enough, or only counts it.
    ///
    /// # Errors
    /// Those of the database; what was purged before stays purged.
    pub async fn purge(&self, ctx: &CallContext, apply: bool) -> Result<Vec<Purged>> {
        if apply {
            // So that what goes is covered by a checkpoint.
            self.checkpoint(ctx).await?;
        }
        let now = self.clock.now();
        let mut all = Vec::new();
        for class in RetentionClass::ALL {
            let before = self.retention.before(class, now);
            let count = match before {
                Some(before) => self.purge_class(ctx, class, before, apply).await?,
                None => 0,
            };
            if apply {
                metrics::counter!("kubernaut_storage_purged_total", "class" => class.as_str()).increment(count);
            }
            all.push(Purged { class, before, count });
        }
        Ok(all)
    }

    async fn purge_class(&self, ctx: &CallContext, class: RetentionClass, before: Timestamp, apply: bool) -> Result<u64> {
        let batch = apply.then_some(self.retention.batch);
        let mut total = 0;
        loop {
            let (now, actor) = (self.clock.now(), ctx.actor.to_string());
            let gone = self
                .storage
                .transaction(ctx, "ledger.purge", move |sql| {
                    let actor = actor.clone();
                    Box::pin(async move { retention::purge(sql, class, before, batch, now, &actor).await })
                })
                .await?;
            total += gone;
            if gone == 0 || !apply {
                return Ok(total);
            }
        }
    }

    /// Puts an incident under a legal hold and records that in its audit.
    ///
    /// # Errors
    /// `NotFound` for an unknown incident, `InvalidInput` without a reason.
    pub async fn hold(&self, ctx: &CallContext, id: IncidentId, reason: &str) -> Result<()> {
        if reason.trim().is_empty() {
            return Err(Error::invalid("ledger.hold", "a legal hold needs a reason").with("id", id));
        }
        self.storage.ledger().incident(ctx.clone(), id).await?;
        let (now, actor, text) = (self.clock.now(), ctx.actor.to_string(), reason.to_owned());
        let new = self
            .storage
            .transaction(ctx, "ledger.hold", move |sql| {
                let (actor, text) = (actor.clone(), text.clone());
                Box::pin(async move { retention::hold(sql, id, &actor, &text, now).await })
            })
            .await?;
        if new {
            self.record(ctx, id, "incident.hold_set", json!({ "reason": reason })).await?;
        }
        Ok(())
    }

    /// Ends a legal hold and records that in the incident's audit.
    ///
    /// # Errors
    /// `NotFound` if the incident is under none.
    pub async fn release(&self, ctx: &CallContext, id: IncidentId) -> Result<()> {
        if !self.storage.transaction(ctx, "ledger.release", move |sql| Box::pin(retention::release(sql, id))).await? {
            return Err(Error::not_found("ledger.release", "the incident is under no legal hold").with("id", id));
        }
        self.record(ctx, id, "incident.hold_released", json!({})).await
    }

    /// All legal holds, oldest first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn holds(&self, ctx: &CallContext) -> Result<Vec<LegalHold>> {
        let rows = self.storage.transaction(ctx, "ledger.holds", |sql| Box::pin(retention::holds(sql))).await?;
        Ok(rows.into_iter().map(|(incident_id, at, actor, reason)| LegalHold { incident_id, at, actor, reason }).collect())
    }

    async fn record(&self, ctx: &CallContext, id: IncidentId, kind: &'static str, data: serde_json::Value) -> Result<()> {
        let event = NewEvent { kind, actor: ctx.actor.to_string(), data };
        self.storage.ledger().append_events(ctx.clone(), id, vec![event]).await
    }
}
