//! The log of the server. The library never installs one.

use kubernaut::{Error, Result};
use tracing_subscriber::{EnvFilter, fmt};

use crate::settings::LogSettings;

/// Installs the log on standard error.
///
/// # Errors
/// `InvalidInput` for a filter that does not parse, `Conflict` if a log is installed already.
pub fn install(settings: &LogSettings) -> Result<()> {
    let filter = EnvFilter::try_new(&settings.filter).map_err(|e| Error::invalid("log.filter", format!("{e}")).with("filter", &settings.filter))?;
    let log = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let done = if settings.json { log.json().try_init() } else { log.with_target(false).try_init() };
    done.map_err(|e| Error::conflict("log.install", e.to_string()))
}
