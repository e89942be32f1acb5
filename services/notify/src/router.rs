//! One notifier over many channels.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use futures::future::join_all;
use kubernaut_core::{
    Error, ErrorKind, Result,
    model::{Notification, NotificationId},
    service::{CallContext, Delivery, Notifier},
};
use tokio::time::Instant;

use crate::{ChannelConfig, ConsoleChannel, ConsoleConfig, NotifyConfig, RouteConfig, WebhookChannel, measure, route::channels_for};

/// Sends a notification to the channels that its routes name, to all at the same time. A channel that fails holds up no other one.
///
/// When a notification is tried again, channels of this process that have taken it are passed over.
#[derive(Debug)]
pub struct NotifyRouter {
    channels: BTreeMap<String, Arc<dyn Notifier>>,
    routes: Vec<RouteConfig>,
    taken: Taken,
}

impl NotifyRouter {
    /// A router over channels by name. Without routes everything goes to every channel.
    ///
    /// # Errors
    /// `InvalidInput` for a route to a channel that does not exist.
    pub fn new(channels: BTreeMap<String, Arc<dyn Notifier>>, routes: Vec<RouteConfig>) -> Result<Self> {
        if let Some(unknown) = routes.iter().flat_map(|route| &route.channels).find(|name| !channels.contains_key(*name)) {
            let available = channels.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            return Err(Error::invalid("notify.config", "a route names a channel that does not exist; add it or correct the route")
                .with("channel", unknown)
                .with("available", available));
        }
        let routes =
            if routes.is_empty() { vec![RouteConfig { channels: channels.keys().cloned().collect(), ..RouteConfig::default() }] } else { routes };
        Ok(Self { channels, routes, taken: Taken::default() })
    }

    /// The router of a configuration; without channels there is the console.
    ///
    /// # Errors
    /// `InvalidInput` for a channel or route that cannot work.
    pub fn from_config(config: &NotifyConfig) -> Result<Self> {
        let mut channels: BTreeMap<String, Arc<dyn Notifier>> = BTreeMap::new();
        for (name, channel) in &config.channels {
            let channel: Arc<dyn Notifier> = match channel {
                ChannelConfig::Console(config) => Arc::new(ConsoleChannel::new(name, config)),
                ChannelConfig::Webhook(config) => Arc::new(WebhookChannel::new(name, config)?),
            };
            channels.insert(name.clone(), channel);
        }
        if channels.is_empty() {
            channels.insert("console".to_owned(), Arc::new(ConsoleChannel::new("console", &ConsoleConfig::default())));
        }
        Self::new(channels, config.routes.clone())
    }

    async fn send(&self, ctx: CallContext, name: &str, notification: Notification) -> Result<()> {
        let Some(channel) = self.channels.get(name) else {
            return Err(Error::internal("notify.route", "the channel does not exist").with("channel", name));
        };
        let started = Instant::now();
        let result = ctx.clone().run("notify.channel", channel.notify(ctx, notification)).await;
        let outcome = match &result {
            Ok(_) => "delivered",
            Err(error) if error.is_transient() => "transient",
            Err(_) => "refused",
        };
        measure::delivery(name, outcome, started.elapsed());
        result.map(|_| ())
    }
}

#[async_trait]
impl Notifier for NotifyRouter {
    async fn notify(&self, ctx: CallContext, notification: Notification) -> Result<Delivery> {
        let id = notification.id;
        let names = channels_for(&self.routes, &notification);
        let open: Vec<&str> = names.iter().copied().filter(|name| !self.taken.has(id, name)).collect();
        let results = join_all(open.iter().map(|name| self.send(ctx.clone(), name, notification.clone()))).await;
        let mut failures = Vec::new();
        for (name, result) in open.iter().zip(results) {
            match result {
                Ok(()) => self.taken.add(id, name),
                Err(error) => failures.push((*name, error)),
            }
        }
        if failures.is_empty() {
            self.taken.forget(id);
            return Ok(Delivery { channels: names.into_iter().map(str::to_owned).collect() });
        }
        Err(combined(failures))
    }
}

/// One error for all channels that failed: transient as long as any of them may still take it.
fn combined(mut failures: Vec<(&str, Error)>) -> Error {
    if failures.len() == 1
        && let Some((name, error)) = failures.pop()
    {
        return error.with("channel", name);
    }
    let worst = failures.iter().find(|(_, error)| error.is_transient()).or(failures.first());
    let kind = worst.map_or(ErrorKind::Unavailable, |(_, error)| error.kind());
    let wait = failures.iter().filter(|(_, error)| error.is_transient()).filter_map(|(_, error)| error.retry_delay()).max();
    let mut all = Error::new(kind, "notify.route", "channels did not take the notification");
    for (name, error) in failures {
        all = all.with("channel", format!("{name}: {error}"));
    }
    match wait {
        Some(wait) => all.retry_after(wait),
        None => all,
    }
}

/// Which channels have taken which notifications that are still to be tried.
#[derive(Debug, Default)]
struct Taken(Mutex<BTreeMap<NotificationId, BTreeSet<String>>>);

/// More are forgotten, the oldest first: then a channel may get one twice.
const REMEMBERED: usize = 10_000;

impl Taken {
    fn has(&self, id: NotificationId, channel: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&id).is_some_and(|channels| channels.contains(channel))
    }

    fn add(&self, id: NotificationId, channel: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(id).or_default().insert(channel.to_owned());
        if all.len() > REMEMBERED {
            all.pop_first();
        }
    }

    fn forget(&self, id: NotificationId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU32, Ordering},
        time::Duration,
    };

    use kubernaut_core::{
        model::{IncidentId, NotificationKind, Severity, Timestamp},
        testkit::notifier::notifier_suite,
    };

    use super::*;

    /// Fails so many times, then takes everything.
    #[derive(Debug, Default)]
    struct Flaky {
        failures: AtomicU32,
        kind: Option<ErrorKind>,
        calls: AtomicU32,
    }

    impl Flaky {
        fn failing(times: u32, kind: ErrorKind) -> Arc<Self> {
            Arc::new(Self { failures: times.into(), kind: Some(kind), calls: AtomicU32::new(0) })
        }

        fn calls(&self) -> u32 {
            self.calls.load(Ordering::SeqCst)
        }
    }

    #[async_trait]
    impl Notifier for Flaky {
        async fn notify(&self, _ctx: CallContext, _notification: Notification) -> Result<Delivery> {
            self.calls.fetch_add(1, Ordering::SeqCst);
            let left = self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
            match self.kind.filter(|_| left) {
                Some(kind) => Err(Error::new(kind, "test.send", "not now").retry_after(Duration::from_secs(7))),
                None => Ok(Delivery { channels: vec!["flaky".into()] }),
            }
        }
    }

    fn router(channels: &[(&str, Arc<Flaky>)]) -> NotifyRouter {
        let channels = channels.iter().map(|(name, channel)| ((*name).to_owned(), channel.clone() as Arc<dyn Notifier>)).collect();
        NotifyRouter::new(channels, Vec::new()).unwrap()
    }

    fn notification() -> Notification {
        let at = Timestamp::UNIX_EPOCH;
        let (id, incident_id) = (NotificationId::new(at), IncidentId::new(at));
        let (kind, severity) = (NotificationKind::Closed, Severity::Info);
        Notification { id, incident_id, kind, severity, title: "t".into(), body: "b".into(), data: serde_json::Value::Null, at }
    }

    fn ctx() -> CallContext {
        CallContext::system("test")
    }

    #[tokio::test]
    async fn a_channel_that_took_it_does_not_get_it_again() {
        let (good, bad) = (Arc::new(Flaky::default()), Flaky::failing(2, ErrorKind::Unavailable));
        let router = router(&[("bad", bad.clone()), ("good", good.clone())]);
        let notification = notification();
        for _ in 0..2 {
            let error = router.notify(ctx(), notification.clone()).await.unwrap_err();
            assert!(error.is_transient() && error.to_string().contains("bad"), "{error}");
            assert_eq!(error.retry_delay(), Some(Duration::from_secs(7)));
        }
        assert_eq!(router.notify(ctx(), notification).await.unwrap().channels, ["bad", "good"]);
        assert_eq!((good.calls(), bad.calls()), (1, 3));
    }

    #[tokio::test]
    async fn the_error_is_transient_while_any_channel_may_still_take_it() {
        let router = router(&[("a", Flaky::failing(9, ErrorKind::InvalidInput)), ("b", Flaky::failing(1, ErrorKind::Unavailable))]);
        let notification = notification();
        assert!(router.notify(ctx(), notification.clone()).await.unwrap_err().is_transient());
        assert_eq!(router.notify(ctx(), notification).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn a_route_to_nowhere_is_refused_with_what_there_is() {
        let routes = vec![RouteConfig { channels: vec!["pager".into()], ..RouteConfig::default() }];
        let error = NotifyRouter::from_config(&NotifyConfig { routes, ..NotifyConfig::default() }).unwrap_err();
        assert!(error.to_string().contains("channel=pager, available=console"), "{error}");
    }

    #[tokio::test]
    async fn it_keeps_the_rules_of_a_notifier() {
        notifier_suite(Arc::new(router(&[("a", Arc::default()), ("b", Arc::default())]))).await;
    }
}
