//! `kubernaut actions`.

use std::process::ExitCode;

use kubernaut::{
    Error, Result,
    model::ActionSpec,
    services::executor::{
        find_spec, outside,
        rbac::{RoleRequest, roles},
        registry,
    },
};

use super::print_json;
use crate::cli::{ActionsArgs, ActionsCommand, Output, RbacArgs};
use crate::output::say;

pub(super) fn run(args: &ActionsArgs) -> Result<ExitCode> {
    let specs: Vec<ActionSpec> = registry().iter().cloned().chain(outside::specs()).collect();
    match (&args.command, args.output) {
        (Some(ActionsCommand::Rbac(args)), _) => rbac(args, &specs)?,
        (None, Output::Json) => print_json(&specs)?,
        (None, Output::Text) => list(&specs),
    }
    Ok(ExitCode::SUCCESS)
}

fn list(specs: &[ActionSpec]) {
    let word = |v: serde_json::Value| v.as_str().unwrap_or_default().to_owned();
    for spec in specs {
        let risk = word(serde_json::to_value(spec.risk).unwrap_or_default());
        let undo = word(serde_json::to_value(spec.reversibility).unwrap_or_default());
        say!("{:<28} {:<12} risk {risk:<9} {undo:<13} {}", spec.name, spec.family, spec.summary);
        if !spec.aliases.is_empty() {
            say!("{:<28} also {}", "", spec.aliases.join(", "));
        }
    }
}

/// The objects as one JSON List, which `kubectl apply -f -` takes.
fn rbac(args: &RbacArgs, specs: &[ActionSpec]) -> Result<()> {
    let find = |name: &String| {
        find_spec(specs, name).ok_or_else(|| Error::invalid("cli.actions", "no such action; `kubernaut actions` lists them").with("action", name))
    };
    let chosen: Vec<&ActionSpec> = args.actions.iter().map(find).collect::<Result<_>>()?;
    let (namespace, name) = args.service_account.split_once('/').ok_or_else(|| {
        Error::invalid("cli.actions", "expected the service account as NAMESPACE/NAME").with("service_account", &args.service_account)
    })?;
    let request =
        RoleRequest { name: args.name.clone(), namespaces: args.namespace.clone(), service_account: (namespace.to_owned(), name.to_owned()) };
    print_json(&serde_json::json!({"apiVersion": "v1", "kind": "List", "items": roles(&chosen, &request)?}))
}
