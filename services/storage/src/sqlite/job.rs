//! What callers hand to the writer.

use futures::future::BoxFuture;
use kubernaut_core::{Error, Result};
use tokio::sync::oneshot;

use super::{error::Fault, tx::Tx};
pub(crate) use crate::shared::ticket::{Failure, IntakeJob, Ticket, answer, closed};

/// What the writer takes from its queue.
pub(crate) enum Message {
    /// A call.
    Call(Box<dyn Job>),
    /// Finish what was taken, close the database and answer.
    Close(oneshot::Sender<()>),
}

/// A call with its place to answer.
pub(crate) trait Job: Send {
    /// Begins, unless the caller has given up.
    fn start(&self) -> bool;
    /// Does the work and keeps its result; `false` if it failed, so that what it wrote is taken back.
    fn run<'t>(&'t mut self, tx: &'t mut Tx) -> BoxFuture<'t, bool>;
    /// Answers the caller once the commit has ended.
    fn finish(self: Box<Self>, failure: Option<&Failure>);
}

/// A call with any result.
pub(crate) struct Call<T, F> {
    operation: &'static str,
    ticket: Ticket,
    work: Option<F>,
    outcome: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
}

impl<T, F> Call<T, F> {
    pub(crate) fn new(operation: &'static str, ticket: Ticket, work: F, reply: oneshot::Sender<Result<T>>) -> Self {
        Self { operation, ticket, work: Some(work), outcome: None, reply }
    }
}

impl<T, F> Job for Call<T, F>
where
    T: Send + 'static,
    F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, Fault>> + Send + 'static,
{
    fn start(&self) -> bool {
        !self.reply.is_closed() && self.ticket.start()
    }

    fn run<'t>(&'t mut self, tx: &'t mut Tx) -> BoxFuture<'t, bool> {
        Box::pin(async move {
            let Some(work) = self.work.take() else { return false };
            let outcome = work(tx).await.map_err(|fault| fault.public(self.operation));
            let done = outcome.is_ok();
            self.outcome = Some(outcome);
            done
        })
    }

    fn finish(self: Box<Self>, failure: Option<&Failure>) {
        // An error of the call's own says more than the commit that failed around it.
        let answer = match (self.outcome, failure) {
            (Some(Err(own)), _) => Err(own),
            (_, Some(failure)) => Err(failure.error(self.operation)),
            (Some(Ok(value)), None) => Ok(value),
            (None, None) => Err(Error::internal(self.operation, "the call ended without a result; see the log")),
        };
        // A caller that has gone is no error.
        self.reply.send(answer).ok();
    }
}
