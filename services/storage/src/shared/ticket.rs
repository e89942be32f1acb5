//! How callers wait for those who work for them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use kubernaut_core::{Error, ErrorKind, Result, model::IntakeResult, service::CallContext};
use tokio::sync::oneshot;

use crate::rules::intake;

/// Why a whole commit failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
    pub(crate) cause: String,
}

impl Failure {
    pub(crate) fn error(&self, operation: &'static str) -> Error {
        let error = Error::new(self.kind, operation, self.message.clone()).source(std::io::Error::other(self.cause.clone()));
        if self.kind == ErrorKind::Unavailable { error.retry_after(Duration::from_secs(1)) } else { error }
    }
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

/// The alerts of one request.
#[derive(Debug)]
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

    /// Answers without having looked at the alerts.
    pub(crate) fn refuse(self, error: Error) {
        self.reply.send(Err(error)).ok();
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
