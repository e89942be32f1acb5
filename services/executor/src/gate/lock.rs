//! Locks that are given back on every path, a dropped future included.

use std::{sync::Arc, time::Duration};

use kubernaut_core::{Result, port::Ledger, service::CallContext};

/// A lock held in the ledger.
#[derive(Debug)]
pub(super) struct Lock {
    ledger: Arc<dyn Ledger>,
    name: String,
    holder: String,
    held: bool,
}

impl Lock {
    /// Takes a lock; `None` if another holder has it.
    pub(super) async fn take(ledger: &Arc<dyn Ledger>, ctx: &CallContext, name: String, holder: String, ttl: Duration) -> Result<Option<Self>> {
        // Armed before asking: if the answer is lost the lock may be ours.
        let mut lock = Self { ledger: Arc::clone(ledger), name, holder, held: true };
        let taken = ledger.lock_target(ctx.clone(), lock.name.clone(), lock.holder.clone(), ttl).await?;
        lock.held = taken;
        Ok(taken.then_some(lock))
    }

    /// Gives it back. If the ledger does not answer, the lock ends by its time.
    pub(super) async fn release(mut self) {
        self.held = false;
        unlock(Arc::clone(&self.ledger), self.name.clone(), self.holder.clone()).await;
    }

    /// Leaves it to its time.
    pub(super) fn leave(mut self) {
        self.held = false;
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.held
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(unlock(Arc::clone(&self.ledger), self.name.clone(), self.holder.clone()));
        }
    }
}

async fn unlock(ledger: Arc<dyn Ledger>, name: String, holder: String) {
    // A context of its own: the caller's may be cancelled or over, and that must not keep the lock.
    if let Err(error) = ledger.unlock_target(CallContext::system("gate"), name.clone(), holder).await {
        tracing::warn!(lock = %name, %error, "the lock could not be given back; it ends by its time");
    }
}
