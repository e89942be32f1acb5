//! The behaviour of every [`Notifier`].

use std::{sync::Arc, time::Duration};

use serde_json::json;

use crate::{
    model::{IncidentId, Notification, NotificationId, NotificationKind, Severity, Timestamp},
    service::{CallContext, Notifier},
};

/// Checks the rules of [`Notifier`] on one whose receivers accept everything.
///
/// # Panics
/// With the rule that does not hold.
pub async fn notifier_suite(notifier: Arc<dyn Notifier>) {
    takes_every_kind_and_names_its_channels(&notifier).await;
    takes_a_repetition(&notifier).await;
    takes_any_text(&notifier).await;
    takes_many_at_once(&notifier).await;
    behaves_the_same_behind_box_and_arc(&notifier).await;
}

/// Checks the rules for failures on one whose receivers refuse for now; `secrets` are the credentials it was given.
///
/// # Panics
/// With the rule that does not hold.
pub async fn failing_notifier_suite(notifier: Arc<dyn Notifier>, secrets: &[&str]) {
    let error = notifier.notify(ctx(), notification(NotificationKind::Closed)).await.expect_err("success means that every channel accepted");
    assert!(error.is_transient(), "a receiver that refuses for now is a transient error: {error:?}");
    let shown = format!("{error} {error:?} {notifier:?}");
    for secret in secrets {
        assert!(!shown.contains(secret), "no secret appears in an error: {shown}");
    }
}

fn ctx() -> CallContext {
    CallContext::system("suite").with_timeout(Duration::from_secs(30))
}

fn notification(kind: NotificationKind) -> Notification {
    let at = Timestamp::UNIX_EPOCH;
    Notification {
        id: NotificationId::new(at),
        incident_id: IncidentId::new(at),
        kind,
        severity: Severity::Warning,
        title: "web is well again".into(),
        body: "cause: a bad release\ndone: rolled back to revision 1".into(),
        data: json!({"target": "Deployment/shop/web", "environment": "production"}),
        at,
    }
}

async fn takes_every_kind_and_names_its_channels(notifier: &dyn Notifier) {
    for kind in [NotificationKind::ApprovalRequested, NotificationKind::Escalated, NotificationKind::Closed, NotificationKind::Information] {
        let delivery =
            notifier.notify(ctx(), notification(kind)).await.unwrap_or_else(|e| panic!("a notification of kind {kind:?} is delivered: {e:?}"));
        assert!(!delivery.channels.is_empty() && delivery.channels.iter().all(|c| !c.is_empty()), "a delivery names the channels that took it");
    }
}

async fn takes_a_repetition(notifier: &dyn Notifier) {
    let notification = notification(NotificationKind::Closed);
    for _ in 0..2 {
        notifier.notify(ctx(), notification.clone()).await.expect("the same notification may come again, as after a crash");
    }
}

async fn takes_any_text(notifier: &dyn Notifier) {
    for text in ["", "\u{1b}[2J\r\n\0", "Ünïcödé 🚒 \u{202e}", &"x".repeat(100_000)] {
        let odd =
            Notification { title: text.into(), body: text.into(), data: json!({ "text": text }), ..notification(NotificationKind::Information) };
        notifier.notify(ctx(), odd).await.expect("any text is delivered, shortened or cleaned where the channel needs it");
    }
}

async fn takes_many_at_once(notifier: &dyn Notifier) {
    let all = (0..20).map(|_| notifier.notify(ctx(), notification(NotificationKind::Closed)));
    for result in futures::future::join_all(all).await {
        result.expect("notifications are delivered at the same time");
    }
}

async fn behaves_the_same_behind_box_and_arc(notifier: &Arc<dyn Notifier>) {
    let boxed: Box<dyn Notifier> = Box::new(notifier.clone());
    let (direct, through) =
        (notifier.notify(ctx(), notification(NotificationKind::Closed)).await, boxed.notify(ctx(), notification(NotificationKind::Closed)).await);
    assert_eq!(direct.expect("delivered").channels, through.expect("delivered through a box").channels);
    assert_eq!(notifier.capabilities(), boxed.capabilities());
}
