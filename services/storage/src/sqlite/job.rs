//! What callers hand to the writer, and how they wait for it.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use futures::future::BoxFuture;
use kubernaut_core::{Error, ErrorKind, Result, model::IntakeResult, service::CallContext};
use tokio::sync::oneshot;

use super::{error::Fault, tx::Tx};
use crate::rules::intake;

/// What the writer takes from its queue.
pub(crate) enum Message {
    /// A call.
    Call(Box<dyn Job>),
    /// Alerts; all that wait are committed as one.
    Intake(Box<IntakeJob>),
    /// Finish what was taken, close the database and answer.
    Close(oneshot::Sender<()>),
}

/// Why a whole commit failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
    pub(crate) cause: String,
}

impl Failure {
    pub(crate) fn error(&self, operation: &'static str) -> Error {
        Error::new(self.kind, operation, self.message.clone()).source(std::io::Error::other(self.cause.clone()))
    }
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

const WAITING: u8 = 0;
const STARTED: u8 = 1;
const ABANDONED: u8 = 2;

/// Decides between the writer that begins and the caller that gives up, so that a call which answers `Timeout` has written nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ticket(Arc<AtomicU8>);

impl Ticket {
    pub(crate) fn start(&self) -> bool {
        self.0.compare_exchange(WAITING, STARTED, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn abandon(&self) -> bool {
        self.0.compare_exchange(WAITING, ABANDONED, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// Waits for the answer, until the caller's deadline while the work has not begun.
pub(crate) async fn answer<T>(ctx: &CallContext, operation: &'static str, ticket: &Ticket, mut reply: oneshot::Receiver<Result<T>>) -> Result<T> {
    let gone = tokio::select! {
        biased;
        answer = &mut reply => return answer.unwrap_or_else(|_| Err(closed(operation))),
        ended = ctx.run(operation, std::future::pending::<Result<T>>()) => ended,
    };
    if ticket.abandon() {
        return gone;
    }
    reply.await.unwrap_or_else(|_| Err(closed(operation)))
}

pub(crate) fn closed(operation: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, operation, "the ledger is closed")
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

/// The alerts of one request.
pub(crate) struct IntakeJob {
    pub(crate) ticket: Ticket,
    pub(crate) request: intake::Request,
    pub(crate) outcome: Option<Result<Vec<IntakeResult>>>,
    pub(crate) reply: oneshot::Sender<Result<Vec<IntakeResult>>>,
}

impl IntakeJob {
    pub(crate) fn start(&self) -> bool {
        !self.reply.is_closed() && self.ticket.start()
    }

    pub(crate) fn finish(self, failure: Option<&Failure>) {
        const OPERATION: &str = "ledger.intake";
        let answer = match (self.outcome, failure) {
            (Some(Err(own)), _) => Err(own),
            (_, Some(failure)) => Err(failure.error(OPERATION)),
            (Some(Ok(results)), None) => Ok(results),
            (None, None) => Err(Error::internal(OPERATION, "the alerts were not looked at; send them again")),
        };
        self.reply.send(answer).ok();
    }
}
