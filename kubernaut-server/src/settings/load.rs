//! Reading a file and the environment.

use std::path::Path;

use config::{Config as Sources, Environment, File, FileFormat};
use kubernaut::{Error, Result};
use serde_json::Value;

use super::Settings;

/// Reads the file (YAML), then the environment on top: `KUBERNAUT__HTTP__LISTEN` is `http.listen`.
///
/// # Errors
/// `NotFound` for a missing file, `InvalidInput` naming the key that is wrong or unknown.
pub fn load(file: Option<&Path>) -> Result<Settings> {
    let mut sources = Sources::builder();
    if let Some(path) = file {
        let text = std::fs::read_to_string(path)
            .map_err(|e| Error::not_found("config.load", "cannot read the configuration file").with("path", path.display()).source(e))?;
        sources = sources.add_source(File::from_str(&text, FileFormat::Yaml));
    }
    let environment = Environment::with_prefix("KUBERNAUT").prefix_separator("__").separator("__").try_parsing(true);
    let merged = sources.add_source(environment).build().map_err(|e| Error::invalid("config.load", format!("{e}")))?;
    let value: Value = merged.try_deserialize().map_err(|e| Error::invalid("config.load", format!("{e}")))?;
    Settings::from_value(if value.is_null() { Value::Object(serde_json::Map::new()) } else { value })
}
