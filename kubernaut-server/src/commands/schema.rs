//! `kubernaut schema`.

use std::process::ExitCode;

use kubernaut::{Error, Result};

use super::print_json;
use crate::{cli::SchemaArgs, http::openapi_document};

pub(super) fn run(args: &SchemaArgs) -> Result<ExitCode> {
    let document = openapi_document();
    match &args.out {
        None => print_json(&document)?,
        Some(path) => {
            let text = serde_json::to_string_pretty(&document).map_err(|e| Error::internal("schema", "cannot write JSON").source(e))? + "\n";
            std::fs::write(path, text).map_err(|e| Error::invalid("schema", "cannot write the file").with("path", path.display()).source(e))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
