//! What goes with every call: who, for whom, until when.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{Error, ErrorKind, Result, model::Mode};

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Actor {
    /// `user`, `system` or `service`.
    pub kind: &'static str,
    /// Name, such as an e-mail address or the part of Kubernaut.
    pub name: Arc<str>,
}

impl Actor {
    /// A part of Kubernaut.
    #[must_use]
    pub fn system(name: &str) -> Self {
        Self { kind: "system", name: name.into() }
    }

    /// A person.
    #[must_use]
    pub fn user(name: &str) -> Self {
        Self { kind: "user", name: name.into() }
    }
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.kind, self.name)
    }
}

/// Owned and cheap to clone, so that it can cross threads and languages.
#[derive(Debug, Clone)]
pub struct CallContext {
    /// When the answer is no longer wanted; `None` for no limit.
    pub deadline: Option<Instant>,
    /// Fires when the caller gives up.
    pub cancellation: CancellationToken,
    /// Tracking id that goes into logs and spans; the incident's id where there is one.
    pub trace: Arc<str>,
    /// Who calls.
    pub actor: Actor,
    /// Tenant; empty for the only one.
    pub tenant: Arc<str>,
    /// Cluster id; empty for the default one.
    pub cluster: Arc<str>,
    /// How far actions may go.
    pub mode: Mode,
}

impl CallContext {
    /// A context without deadline for `actor`, in the default mode.
    #[must_use]
    pub fn new(actor: Actor) -> Self {
        Self {
            deadline: None,
            cancellation: CancellationToken::new(),
            trace: "".into(),
            actor,
            tenant: "".into(),
            cluster: "".into(),
            mode: Mode::default(),
        }
    }

    /// A context of a part of Kubernaut.
    #[must_use]
    pub fn system(name: &str) -> Self {
        Self::new(Actor::system(name))
    }

    /// The same context with at most `limit` from now; an earlier deadline stays.
    #[must_use]
    pub fn with_timeout(mut self, limit: Duration) -> Self {
        let at = Instant::now() + limit;
        self.deadline = Some(self.deadline.map_or(at, |d| d.min(at)));
        self
    }

    /// The same context with a tracking id.
    #[must_use]
    pub fn with_trace(mut self, trace: impl std::fmt::Display) -> Self {
        self.trace = trace.to_string().into();
        self
    }

    /// The same context with a mode.
    #[must_use]
    pub fn with_mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// The same context that also ends when `token` fires.
    #[must_use]
    pub fn with_cancellation(mut self, token: CancellationToken) -> Self {
        self.cancellation = token;
        self
    }

    /// Time left; `None` for no limit.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|d| d.saturating_duration_since(Instant::now()))
    }

    /// Runs `work` until it ends, the deadline passes or the caller cancels.
    ///
    /// # Errors
    /// The work's own error, [`ErrorKind::Timeout`] or [`ErrorKind::Cancelled`].
    pub async fn run<T>(&self, operation: &'static str, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let expired = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.cancellation.cancelled() => Err(Error::new(ErrorKind::Cancelled, operation, "the caller cancelled")),
            done = work => done,
            () = expired => Err(Error::new(ErrorKind::Timeout, operation, "the deadline passed; raise the timeout or check the dependency")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_ends_at_the_deadline_or_on_cancellation() {
        let never = || std::future::pending::<Result<()>>();
        let ctx = CallContext::system("test").with_timeout(Duration::from_secs(5));
        assert_eq!(ctx.run("op", never()).await.unwrap_err().kind(), ErrorKind::Timeout);
        let ctx = CallContext::system("test");
        ctx.cancellation.cancel();
        assert_eq!(ctx.run("op", never()).await.unwrap_err().kind(), ErrorKind::Cancelled);
    }

    #[test]
    fn a_longer_timeout_does_not_move_an_earlier_deadline() {
        let ctx = CallContext::system("t").with_timeout(Duration::from_secs(1)).with_timeout(Duration::from_secs(60));
        assert!(ctx.remaining().unwrap() <= Duration::from_secs(1));
    }
}
