//! Where a ledger is.

use std::{fmt, path::PathBuf, str::FromStr};

use kubernaut_core::{Error, Result};

#[cfg(feature = "postgres")]
use crate::PostgresConfig;

/// A ledger's place: a SQLite file or a schema of a PostgreSQL database.
#[derive(Debug, Clone)]
pub enum LedgerPlace {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL database.
    #[cfg(feature = "postgres")]
    Postgres(Box<PostgresConfig>),
}

impl fmt::Display for LedgerPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            #[cfg(feature = "postgres")]
            Self::Postgres(config) => match config.options() {
                Ok((_, place)) => write!(f, "postgresql at {place}"),
                Err(_) => f.write_str("postgresql"),
            },
        }
    }
}

impl FromStr for LedgerPlace {
    type Err = Error;

    /// Reads `sqlite:FILE` or `postgres://…`; `?schema=NAME` at the end of the latter names the schema.
    fn from_str(text: &str) -> Result<Self> {
        if let Some(path) = text.strip_prefix("sqlite:").filter(|path| !path.is_empty()) {
            return Ok(Self::Sqlite(PathBuf::from(path)));
        }
        #[cfg(feature = "postgres")]
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            let (url, schema) = split_schema(text);
            let defaults = PostgresConfig::url(url);
            let config = PostgresConfig { schema: schema.unwrap_or_else(|| defaults.schema.clone()), ..defaults };
            config.validate()?;
            return Ok(Self::Postgres(Box::new(config)));
        }
        // Not shown: it may be an address with a password and a typing error.
        Err(Error::invalid("ledger.place", "not the place of a ledger; give sqlite:FILE or postgres://user@host/database"))
    }
}

/// Takes the parameter `schema`, which the driver does not know, out of an address.
#[cfg(feature = "postgres")]
fn split_schema(text: &str) -> (String, Option<String>) {
    let Some((base, query)) = text.split_once('?') else { return (text.to_owned(), None) };
    let (ours, theirs): (Vec<&str>, Vec<&str>) = query.split('&').partition(|part| part.starts_with("schema="));
    let schema = ours.first().map(|part| part.trim_start_matches("schema=").to_owned());
    let url = if theirs.is_empty() { base.to_owned() } else { format!("{base}?{}", theirs.join("&")) };
    (url, schema)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_shown_without_secrets() {
        assert_eq!("sqlite:/var/lib/k.db".parse::<LedgerPlace>().unwrap().to_string(), "sqlite:/var/lib/k.db");
        let wrong = "postgre://ana:hunter2@db/k".parse::<LedgerPlace>().unwrap_err();
        assert!(!format!("{wrong:?}").contains("hunter2"));
        assert!("sqlite:".parse::<LedgerPlace>().is_err());
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn the_schema_may_be_part_of_the_address() {
        let place: LedgerPlace = "postgres://ana:hunter2@db/k?sslmode=require&schema=other".parse().unwrap();
        assert_eq!(place.to_string(), "postgresql at db:5432/k schema other");
    }
}
