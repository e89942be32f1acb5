//! The targets of a run, held while its steps are carried out.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use kubernaut_core::{Result, model::Run, port::Ledger, service::CallContext};

use crate::plan::lock_key;

/// All or nothing: a run that gets only some of its targets gives them back, so that two runs never wait for each other.
#[derive(Debug)]
pub(crate) struct Locks {
    ledger: Arc<dyn Ledger>,
    ctx: CallContext,
    /// Sorted, so that of two runs with common targets one gets them all.
    keys: BTreeSet<String>,
    holder: String,
    ttl: Duration,
    held: bool,
}

impl Locks {
    pub(crate) fn of(run: &Run, ledger: Arc<dyn Ledger>, ctx: CallContext, ttl: Duration) -> Self {
        let keys = run.plan.steps.iter().map(|s| lock_key(&s.target)).collect();
        Self { ledger, ctx, keys, holder: run.id.to_string(), ttl, held: false }
    }

    /// Takes all targets; names one that another run holds.
    pub(crate) async fn acquire(&mut self) -> Result<Option<String>> {
        if self.held {
            return Ok(None);
        }
        // From here on some may be ours, whatever happens.
        self.held = true;
        let busy = self.take().await;
        if !matches!(busy, Ok(None)) {
            self.release().await;
        }
        busy
    }

    /// Extends what is held. What was lost meanwhile is taken anew before the next step.
    pub(crate) async fn renew(&mut self) {
        if !self.held {
            return;
        }
        match self.take().await {
            Ok(None) => {}
            Ok(Some(key)) => {
                tracing::warn!(run = %self.holder, target = %key, "the lock on a target was lost; no further step begins until it is ours again");
                self.release().await;
            }
            Err(error) => tracing::warn!(run = %self.holder, %error, "the locks of a run could not be renewed"),
        }
    }

    async fn take(&self) -> Result<Option<String>> {
        for key in &self.keys {
            if !self.ledger.lock_target(self.ctx.clone(), key.clone(), self.holder.clone(), self.ttl).await? {
                return Ok(Some(key.clone()));
            }
        }
        Ok(None)
    }

    /// Gives all back. What cannot be given back now is free when its time is over.
    pub(crate) async fn release(&mut self) {
        if !std::mem::take(&mut self.held) {
            return;
        }
        for key in &self.keys {
            if let Err(error) = self.ledger.unlock_target(self.ctx.clone(), key.clone(), self.holder.clone()).await {
                tracing::warn!(run = %self.holder, target = %key, %error, "the lock on a target could not be given back; it ends by itself");
            }
        }
    }
}
