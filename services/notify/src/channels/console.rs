//! Lines of text for a person at a terminal.

use std::{
    fmt,
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use kubernaut_core::{
    Error, ErrorKind, Result,
    model::Notification,
    service::{CallContext, Delivery, Notifier},
};

use crate::{ConsoleConfig, ConsoleStream, render};

/// Writes title, body and incident id.
#[derive(Clone)]
pub struct ConsoleChannel {
    name: String,
    out: Arc<Mutex<dyn Write + Send>>,
}

impl fmt::Debug for ConsoleChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsoleChannel").field("name", &self.name).finish_non_exhaustive()
    }
}

impl ConsoleChannel {
    /// A channel to a stream of the process.
    #[must_use]
    pub fn new(name: &str, config: &ConsoleConfig) -> Self {
        match config.stream {
            ConsoleStream::Stderr => Self::to(name, io::stderr()),
            ConsoleStream::Stdout => Self::to(name, io::stdout()),
        }
    }

    /// A channel to any writer.
    pub fn to(name: &str, out: impl Write + Send + 'static) -> Self {
        Self { name: name.to_owned(), out: Arc::new(Mutex::new(out)) }
    }
}

#[async_trait]
impl Notifier for ConsoleChannel {
    async fn notify(&self, _ctx: CallContext, notification: Notification) -> Result<Delivery> {
        let text = lines(&notification);
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        // One write, so that lines of others do not come in between.
        out.write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .map_err(|e| Error::new(ErrorKind::Unavailable, "notify.console", "the stream does not take text").source(e))?;
        Ok(Delivery { channels: vec![self.name.clone()] })
    }
}

fn lines(notification: &Notification) -> String {
    let rendered = render(notification);
    let mut text = format!("{}\n", rendered.title);
    for line in rendered.body.lines() {
        text.push_str(&format!("  {line}\n"));
    }
    text.push_str(&format!("  incident {}\n", notification.incident_id));
    text
}

#[cfg(test)]
mod tests {
    use kubernaut_core::{
        model::{IncidentId, NotificationId, NotificationKind, Severity, Timestamp},
        testkit::notifier::notifier_suite,
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn title_body_and_incident_are_written() {
        let (kept, at) = (Kept::default(), Timestamp::UNIX_EPOCH);
        let incident_id = IncidentId::new(at);
        let notification = Notification {
            id: NotificationId::new(at),
            incident_id,
            kind: NotificationKind::Closed,
            severity: Severity::Warning,
            title: "web is well again".into(),
            body: "cause: bad release\ndone: rollback".into(),
            data: serde_json::Value::Null,
            at,
        };
        ConsoleChannel::to("console", kept.clone()).notify(CallContext::system("test"), notification).await.unwrap();
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text, format!("[warning] closed: web is well again\n  cause: bad release\n  done: rollback\n  incident {incident_id}\n"));
    }

    #[tokio::test]
    async fn it_keeps_the_rules_of_a_notifier() {
        notifier_suite(Arc::new(ConsoleChannel::to("console", Kept::default()))).await;
    }
}
