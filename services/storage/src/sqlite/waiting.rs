//! Alerts that wait for the writer.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use kubernaut_core::{Error, ErrorKind};
use tokio::sync::Notify;

use super::{
    fair::{Fair, Pushed},
    job::{IntakeJob, closed},
};

const OPERATION: &str = "ledger.intake";

/// The queue between those who take alerts in and the writer.
#[derive(Debug)]
pub(crate) struct Waiting {
    queue: Mutex<Option<Fair<Box<IntakeJob>>>>,
    arrived: Notify,
    most: usize,
}

impl Waiting {
    /// Room for this many alerts.
    pub(crate) fn new(most: usize) -> Self {
        Self { queue: Mutex::new(Some(Fair::new(most))), arrived: Notify::new(), most }
    }

    /// Lets a job wait, or answers it with a refusal.
    pub(crate) fn push(&self, job: Box<IntakeJob>) {
        let refused = match &mut *self.queue() {
            None => return job.refuse(closed(OPERATION)),
            Some(queue) => {
                let source = job.request.alerts.first().map_or("", |alert| alert.source.as_str());
                let sender = format!("{} {source}", job.request.actor);
                match queue.push(&sender, job.request.alerts.len(), job) {
                    Pushed::Waits(left) => left,
                    Pushed::Refused(job) => vec![job],
                }
            }
        };
        for job in refused {
            metrics::counter!("kubernaut_storage_refused_total").increment(1);
            job.refuse(self.overloaded());
        }
        self.arrived.notify_one();
    }

    fn overloaded(&self) -> Error {
        Error::new(ErrorKind::Overloaded, OPERATION, "too many alerts wait; send them again a little later")
            .with("waiting", self.most)
            .retry_after(Duration::from_secs(1))
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue().as_ref().is_none_or(Fair::is_empty)
    }

    /// Jobs with together about so many alerts; none if nothing waits.
    #[expect(clippy::vec_box, reason = "jobs are large and move from queue to queue")]
    pub(crate) fn take(&self, enough: usize) -> Vec<Box<IntakeJob>> {
        self.queue().as_mut().map(|queue| queue.take(enough)).unwrap_or_default()
    }

    /// Until something waits.
    pub(crate) async fn arrived(&self) {
        while self.is_empty() {
            self.arrived.notified().await;
        }
    }

    /// Answers all that wait, and all that come later, that the ledger is closed.
    pub(crate) fn close(&self) {
        let waiting = self.queue().take();
        for job in waiting.map(|mut queue| queue.take(usize::MAX)).unwrap_or_default() {
            job.refuse(closed(OPERATION));
        }
    }

    fn queue(&self) -> MutexGuard<'_, Option<Fair<Box<IntakeJob>>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
