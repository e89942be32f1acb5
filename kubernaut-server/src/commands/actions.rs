//! `kubernaut actions`.

use std::process::ExitCode;

use kubernaut::{Result, services::executor::registry};

use super::print_json;
use crate::cli::{ActionsArgs, Output};
use crate::output::say;

pub(super) fn run(args: &ActionsArgs) -> Result<ExitCode> {
    let specs = registry();
    match args.output {
        Output::Json => {
            print_json(&specs)?;
        }
        Output::Text => {
            for spec in specs {
                let word = |v: serde_json::Value| v.as_str().unwrap_or_default().to_owned();
                let risk = word(serde_json::to_value(spec.risk).unwrap_or_default());
                let undo = word(serde_json::to_value(spec.reversibility).unwrap_or_default());
                say!("{:<24} {:<12} risk {risk:<9} {undo:<13} {}", spec.name, spec.family, spec.summary);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
