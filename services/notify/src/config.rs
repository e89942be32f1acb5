//! What can be configured.

use std::collections::BTreeMap;

use kubernaut_core::{
    Error, Result,
    model::{ExposeSecret, NotificationKind, SecretString, Severity},
};
use serde::{Deserialize, Serialize, Serializer};
use url::Url;

/// Channels and routes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NotifyConfig {
    /// Channels by name. Default: one, `console`.
    pub channels: BTreeMap<String, ChannelConfig>,
    /// Routes, tried from the top. Default: everything to every channel.
    pub routes: Vec<RouteConfig>,
}

/// One channel.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ChannelConfig {
    /// Lines of text for a person at a terminal.
    Console(ConsoleConfig),
    /// JSON by HTTP POST.
    Webhook(WebhookConfig),
}

/// The console.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConsoleConfig {
    /// Where the lines go. Default `stderr`, so that the output of commands stays theirs.
    pub stream: ConsoleStream,
}

/// A stream of the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsoleStream {
    /// Standard error.
    #[default]
    Stderr,
    /// Standard output.
    Stdout,
}

/// A receiver of JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// Where to send, `http` or `https`. It may hold a credential and is shown as scheme and host only.
    #[serde(serialize_with = "origin_only")]
    pub url: SecretString,
    /// Sent as `Authorization: Bearer <token>`. Default none.
    #[serde(default, serialize_with = "hidden")]
    pub bearer_token: Option<SecretString>,
    /// Signs the body: `X-Kubernaut-Signature: sha256=<hex of HMAC-SHA256>`. Default none.
    #[serde(default, serialize_with = "hidden")]
    pub hmac_secret: Option<SecretString>,
    /// Longest time for one request, in seconds, 1 to 300. Default 10.
    #[serde(default = "ten")]
    pub timeout_s: u64,
}

fn ten() -> u64 {
    10
}

impl WebhookConfig {
    /// A receiver at `url` with the defaults.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into().into(), bearer_token: None, hmac_secret: None, timeout_s: ten() }
    }
}

fn hidden<S: Serializer>(secret: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(|_| "***").serialize(serializer)
}

fn origin_only<S: Serializer>(url: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    let shown = Url::parse(url.expose_secret()).map_or_else(|_| "***".to_owned(), |url| format!("{}/***", origin(&url)));
    serializer.serialize_str(&shown)
}

/// Scheme, host and port: all of a URL that may be shown.
pub(crate) fn origin(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

/// One route. Conditions that are given must all hold; none given matches everything.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RouteConfig {
    /// Only these kinds; empty for all.
    pub kinds: Vec<NotificationKind>,
    /// Only this severity or worse.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_severity: Option<Severity>,
    /// Only these namespaces, where `*` matches anything; empty for all.
    pub namespaces: Vec<String>,
    /// Only these environments, such as `production`; empty for all.
    pub environments: Vec<String>,
    /// Names of the channels; an empty list drops the notification.
    pub channels: Vec<String>,
    /// Whether later routes are tried too. Default false.
    #[serde(rename = "continue")]
    pub goes_on: bool,
}

/// Delivery from the outbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutboxConfig {
    /// Notifications delivered at the same time, 1 to 1000. Default 16.
    pub concurrency: u32,
    /// Longest time for one try over all channels, in seconds. Default 30.
    pub send_timeout_s: u64,
    /// Tries before a notification is given up, at least 1. Default 10.
    pub max_attempts: u32,
    /// Wait before the second try in milliseconds; doubled for each further one. Default 5000.
    pub backoff_ms: u64,
    /// Longest wait in milliseconds; a receiver's `Retry-After` counts up to here too. Default 600 000.
    pub max_backoff_ms: u64,
    /// Longest time between looks in milliseconds; a change of the ledger wakes at once. Default 1000.
    pub poll_ms: u64,
    /// Longest time for what is due when the process ends, in seconds. Default 10.
    pub drain_s: u64,
}

impl Default for OutboxConfig {
    fn default() -> Self {
        Self { concurrency: 16, send_timeout_s: 30, max_attempts: 10, backoff_ms: 5_000, max_backoff_ms: 600_000, poll_ms: 1_000, drain_s: 10 }
    }
}

impl OutboxConfig {
    /// Checks the bounds.
    ///
    /// # Errors
    /// `InvalidInput` that names the first setting out of bounds.
    pub fn validate(&self) -> Result<()> {
        let day_ms = 86_400_000;
        let checks = [
            ("concurrency", (1..=1000).contains(&self.concurrency), "must be within 1 and 1000"),
            ("send_timeout_s", (1..=3600).contains(&self.send_timeout_s), "must be within 1 and 3600"),
            ("max_attempts", self.max_attempts >= 1, "must be at least 1"),
            ("backoff_ms", self.backoff_ms <= self.max_backoff_ms, "must not be above max_backoff_ms"),
            ("max_backoff_ms", self.max_backoff_ms <= day_ms, "must be at most a day"),
            ("poll_ms", (1..=day_ms).contains(&self.poll_ms), "must be within 1 and a day"),
        ];
        match checks.iter().find(|(_, holds, _)| !holds) {
            Some((setting, _, hint)) => Err(Error::invalid("outbox.config", *hint).with("setting", setting)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn credentials_show_neither_in_debug_nor_in_the_effective_configuration() {
        let hook = json!({"type": "webhook", "url": "https://user:pa55@hooks.example:8443/T0/B0/x1y2?key=k3y", "bearer_token": "t0ken", "hmac_secret": "s3cret"});
        let config: NotifyConfig = serde_json::from_value(json!({"channels": {"hook": hook}})).unwrap();
        let shown = format!("{config:?} {}", serde_json::to_string(&config).unwrap());
        for secret in ["pa55", "x1y2", "k3y", "t0ken", "s3cret"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
        assert!(shown.contains("https://hooks.example:8443/***"), "{shown}");
    }

    #[test]
    fn unknown_settings_and_values_out_of_bounds_are_refused_by_name() {
        let channel = json!({"type": "webhook", "url": "http://x", "timeout": 3});
        assert!(serde_json::from_value::<ChannelConfig>(channel).unwrap_err().to_string().contains("timeout"));
        let outbox = OutboxConfig { max_attempts: 0, ..OutboxConfig::default() };
        assert!(outbox.validate().unwrap_err().to_string().contains("max_attempts"));
        assert!(OutboxConfig::default().validate().is_ok());
    }
}
