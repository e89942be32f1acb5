//! Configuration of the server: file, environment, defaults.

mod load;

use std::net::SocketAddr;

use kubernaut::{Config, Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use load::load;

use crate::http::TokenConfig;

/// Everything that the server needs.
///
/// In the file, `http` and `log` stand beside the parts of [`Config`].
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The HTTP interface.
    pub http: HttpSettings,
    /// The log.
    pub log: LogSettings,
    /// The engine.
    pub engine: Config,
}

/// The HTTP interface.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSettings {
    /// Address to listen on. Default `127.0.0.1:8080`. Without tokens it must be a loopback address.
    pub listen: SocketAddr,
    /// Who may call. Default: nobody is asked, on loopback only.
    pub tokens: Vec<TokenConfig>,
    /// Seconds that requests and workers get to end after a stop signal. Default 20.
    pub drain_s: u64,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 8080)), tokens: Vec::new(), drain_s: 20 }
    }
}

/// The log.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// Filter as `tracing` reads it. Default `info`.
    pub filter: String,
    /// One JSON object a line instead of text. Default false.
    pub json: bool,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { filter: "info".into(), json: false }
    }
}

impl Settings {
    /// Reads settings from one value: `http` and `log` are the server's, all else is the engine's. Unknown keys are refused.
    ///
    /// # Errors
    /// `InvalidInput` naming the key.
    pub fn from_value(mut value: Value) -> Result<Self> {
        let Some(map) = value.as_object_mut() else {
            return Err(Error::invalid("config", "the configuration is not a mapping"));
        };
        let http = part("http", map.remove("http"))?;
        let log = part("log", map.remove("log"))?;
        let engine = serde_path(value)?;
        let settings = Self { http, log, engine };
        settings.check()?;
        Ok(settings)
    }

    /// Refuses what would be unsafe.
    ///
    /// # Errors
    /// `InvalidInput` for an address other than loopback without tokens, or for an empty token.
    pub fn check(&self) -> Result<()> {
        if self.http.tokens.is_empty() && !self.http.listen.ip().is_loopback() {
            let text = "without http.tokens Kubernaut listens on loopback only; configure a token or listen on 127.0.0.1";
            return Err(Error::invalid("config.http.listen", text).with("listen", self.http.listen));
        }
        use kubernaut::model::ExposeSecret;
        if let Some(short) = self.http.tokens.iter().find(|t| t.token.expose_secret().len() < 16) {
            return Err(Error::invalid("config.http.tokens", "a token needs at least 16 characters").with("name", &short.name));
        }
        Ok(())
    }

    /// The settings in force, secrets hidden.
    #[must_use]
    pub fn effective(&self) -> Value {
        let mut value = serde_json::to_value(&self.engine).unwrap_or_default();
        value["http"] = serde_json::to_value(&self.http).unwrap_or_default();
        value["log"] = serde_json::to_value(&self.log).unwrap_or_default();
        hide_credentials(&mut value);
        value
    }
}

/// Addresses may hold a user and a password.
fn hide_credentials(value: &mut Value) {
    match value {
        Value::String(text) => {
            let begin = text.find("://").map(|at| at + 3);
            let end = begin.and_then(|from| text.get(from..)?.split(['/', '?', '#']).next()?.rfind('@').map(|at| from + at));
            if let (Some(begin), Some(end)) = (begin, end) {
                text.replace_range(begin..end, "***");
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide_credentials),
        Value::Object(fields) => fields.values_mut().for_each(hide_credentials),
        _ => {}
    }
}

fn part<T: Default + for<'de> Deserialize<'de>>(name: &'static str, value: Option<Value>) -> Result<T> {
    let Some(value) = value.filter(|v| !v.is_null()) else { return Ok(T::default()) };
    serde_path_to_error::deserialize(value).map_err(|e| Error::invalid("config", format!("{}: {}", join(name, &e.path().to_string()), e.inner())))
}

fn serde_path(value: Value) -> Result<Config> {
    serde_path_to_error::deserialize(value).map_err(|e| Error::invalid("config", format!("{}: {}", e.path(), e.inner())))
}

fn join(name: &str, path: &str) -> String {
    if path == "." { name.to_owned() } else { format!("{name}.{path}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_unknown_key_is_refused_and_named() {
        let e = Settings::from_value(json!({"http": {"listne": "127.0.0.1:1"}})).unwrap_err();
        assert!(e.to_string().contains("listne"), "{e}");
        let e = Settings::from_value(json!({"moed": "auto"})).unwrap_err();
        assert!(e.to_string().contains("moed"), "{e}");
    }

    #[test]
    fn without_tokens_only_loopback_is_possible() {
        assert!(Settings::from_value(json!({"http": {"listen": "0.0.0.0:8080"}})).is_err());
        let token = json!({"name": "ops", "token": "0123456789abcdef", "scope": "operate"});
        let settings = Settings::from_value(json!({"http": {"listen": "0.0.0.0:8080", "tokens": [token]}})).unwrap();
        let shown = settings.effective().to_string() + &format!("{settings:?}");
        assert!(!shown.contains("0123456789abcdef"));
    }

    #[test]
    fn the_address_of_the_database_is_never_shown() {
        let storage = json!({"postgres": {"url": "postgres://zoe7:hunter2@db/k", "connections": 4}});
        let settings = Settings::from_value(json!({"storage": storage})).unwrap();
        assert_eq!(settings.engine.storage.postgres.as_ref().unwrap().connections, 4);
        let shown = settings.effective().to_string() + &format!("{settings:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("zoe7"), "{shown}");
        let wrong = Settings::from_value(json!({"storage": {"postgres": {"url": "postgres://zoe7:hunter2@db/k", "pool": 4}}})).unwrap_err();
        assert!(wrong.to_string().contains("pool") && !format!("{wrong:?}").contains("hunter2"), "{wrong:?}");
    }

    #[test]
    fn passwords_in_addresses_are_not_shown() {
        let addresses = json!({"prometheus_url": "https://user:hunter2@prom:9090/x?a=@"});
        let settings = Settings::from_value(json!({"cluster": addresses, "verification": {"alertmanager_url": "http://u:hunter2@am:9093"}})).unwrap();
        let shown = settings.effective().to_string();
        assert!(!shown.contains("hunter2") && shown.contains("https://***@prom:9090/x?a=@"), "{shown}");
    }
}
