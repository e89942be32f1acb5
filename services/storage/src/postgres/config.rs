//! Settings of the PostgreSQL ledger.

use std::{fmt, time::Duration};

use kubernaut_core::{
    Error, Result,
    model::{ExposeSecret, SecretString},
};
use serde::{Deserialize, Serialize, Serializer};
use sqlx::{
    ConnectOptions,
    postgres::{PgConnectOptions, PgPoolOptions},
};

/// Where the ledger is and how it works.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PostgresConfig {
    /// Address such as `postgres://user:password@host:5432/database?sslmode=verify-full`. A secret; never shown. Default: none, which is refused.
    #[serde(serialize_with = "hidden")]
    pub url: SecretString,
    /// Schema within the database, made where missing. Ledgers of different schemas know nothing of each other. Default `kubernaut`.
    pub schema: String,
    /// Connections at most; two more listen and tell. Default 16.
    pub connections: u32,
    /// Seconds to wait for a free connection, or for a database that is starting. Default 5.
    pub acquire_timeout_s: u64,
    /// Requests with alerts that may wait; beyond it they are refused as `Overloaded`. Default 1024.
    pub queue: usize,
    /// Most requests with alerts that share one commit. Default 256.
    pub commit_batch: usize,
    /// Commits of alerts at the same time: while one waits for the disk, another is prepared. Default 2.
    pub intake_lanes: usize,
}

impl Default for PostgresConfig {
    fn default() -> Self {
        Self {
            url: SecretString::from(String::new()),
            schema: "kubernaut".to_owned(),
            connections: 16,
            acquire_timeout_s: 5,
            queue: 1024,
            commit_batch: 256,
            intake_lanes: 2,
        }
    }
}

fn hidden<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(if secret.expose_secret().is_empty() { "" } else { "***" })
}

/// Where a ledger is, without what is secret about it.
#[derive(Debug, Clone)]
pub(crate) struct Place(String);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PostgresConfig {
    /// A ledger at an address.
    #[must_use]
    pub fn url(url: impl Into<String>) -> Self {
        Self { url: SecretString::from(url.into()), ..Self::default() }
    }

    /// Refuses what cannot work.
    ///
    /// # Errors
    /// `InvalidInput` naming the setting; never the address.
    pub fn validate(&self) -> Result<()> {
        self.options().map(drop)
    }

    pub(crate) fn options(&self) -> Result<(PgConnectOptions, Place)> {
        const OPERATION: &str = "config.storage.postgres";
        let url = self.url.expose_secret();
        if url.is_empty() {
            return Err(Error::invalid(OPERATION, "`url` is missing; give postgres://user@host/database"));
        }
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(Error::invalid(OPERATION, "`url` does not begin with postgres://"));
        }
        // The parser's own message may hold parts of the address.
        let options: PgConnectOptions = url.parse().map_err(|_| Error::invalid(OPERATION, "`url` is no valid address of a postgresql database"))?;
        if !is_name(&self.schema) {
            let text = "`schema` must be 1 to 40 of a-z, 0-9 and _, not beginning with a digit";
            return Err(Error::invalid(OPERATION, text).with("schema", &self.schema));
        }
        let place = Place(format!("{}:{}/{} schema {}", options.get_host(), options.get_port(), options.get_database().unwrap_or("-"), self.schema));
        let options = options
            .application_name("kubernaut")
            .options([
                ("search_path", self.schema.as_str()),
                // An answered write survives a crash of the machine.
                ("synchronous_commit", "on"),
                // A process that hangs in the middle of a transaction must not hold its locks for ever.
                ("idle_in_transaction_session_timeout", "30000"),
                ("jit", "off"),
            ])
            .disable_statement_logging();
        Ok((options, place))
    }

    pub(crate) fn pool(&self) -> PgPoolOptions {
        PgPoolOptions::new()
            .max_connections(self.connections.max(2))
            .acquire_timeout(Duration::from_secs(self.acquire_timeout_s.max(1)))
            .test_before_acquire(false)
            // One that was in use a moment ago is not asked whether it still lives; if it does not, the call is tried again on another.
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > Duration::from_secs(2) {
                        sqlx::Connection::ping(connection).await?;
                    }
                    Ok(true)
                })
            })
    }
}

fn is_name(schema: &str) -> bool {
    let plain = schema.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    plain && (1..=40).contains(&schema.len()) && !schema.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_never_shown() {
        let config = PostgresConfig::url("postgres://ana:hunter2@db:5432/kubernaut");
        let (_, place) = config.options().unwrap();
        let shown = format!("{config:?} {place} {}", serde_json::to_string(&config).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
        assert_eq!(place.to_string(), "db:5432/kubernaut schema kubernaut");
        for wrong in ["", "mysql://ana:hunter2@db/x", "postgres://ana:hunter2@db:port/x"] {
            let refused = PostgresConfig::url(wrong).validate().unwrap_err();
            assert!(!format!("{refused} {refused:?}").contains("hunter2"), "{refused:?}");
        }
    }

    #[test]
    fn a_schema_is_a_plain_name() {
        for wrong in ["", "1a", "a-b", "A", "a; drop"] {
            let config = PostgresConfig { schema: wrong.to_owned(), ..PostgresConfig::url("postgres://db/x") };
            assert!(config.validate().is_err(), "{wrong}");
        }
    }
}
