//! `kubernaut analyze`.

use std::process::ExitCode;

use kubernaut::{
    Config, Error, Kubernaut, Report, Result, analyze_bundle,
    model::{Decision, ObjectRef},
    service::CallContext,
    services::storage::SqliteConfig,
};

use super::print_json;
use crate::cli::{AnalyzeArgs, Output};
use crate::output::say;

/// Status 0, or with `--exit-code` 1 if anything was found that needs an action or a person.
pub(super) async fn run(args: AnalyzeArgs) -> Result<ExitCode> {
    let ctx = CallContext::system("analyze");
    let reports = match (&args.bundle, &args.namespace) {
        (Some(dir), _) => vec![analyze_bundle(ctx, dir, &Config::default()).await?],
        (None, Some(namespace)) => live(ctx, &args, namespace).await?,
        (None, None) => return Err(Error::invalid("analyze", "nothing to analyse; give --bundle DIR, or --namespace NS [KIND/NAME]")),
    };
    let one = args.bundle.is_some() || args.object.is_some();
    match (args.output, one, reports.first()) {
        (Output::Json, true, Some(report)) => print_json(report)?,
        (Output::Json, ..) => print_json(&reports)?,
        (Output::Text, _, None) => say!("no unhealthy workload found"),
        (Output::Text, ..) => reports.iter().for_each(|report| say!("{report}\n")),
    }
    let fine = reports.iter().all(|r| r.decision == Decision::NoAction);
    Ok(if fine || !args.exit_code { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

async fn live(ctx: CallContext, args: &AnalyzeArgs, namespace: &str) -> Result<Vec<Report>> {
    let mut config = Config::default();
    // Nothing is kept, so no file is left behind.
    config.ledger = SqliteConfig::memory();
    config.cluster.kubeconfig = args.cluster.kubeconfig.clone();
    config.cluster.context = args.cluster.context.clone();
    let kubernaut = Kubernaut::builder(config).build().await?;
    if let Some(object) = &args.object {
        return Ok(vec![kubernaut.analyze(ctx, parse_object(object, namespace)?).await?]);
    }
    let mut reports = Vec::new();
    for target in kubernaut.unhealthy(ctx.clone(), namespace).await? {
        reports.push(kubernaut.analyze(ctx.clone(), target).await?);
    }
    Ok(reports)
}

fn parse_object(text: &str, namespace: &str) -> Result<ObjectRef> {
    let (kind, name) =
        text.split_once('/').ok_or_else(|| Error::invalid("analyze", "expected KIND/NAME, such as Deployment/web").with("value", text))?;
    let known = kubernaut::model::well_known_kinds().iter().find(|k| k.kind.eq_ignore_ascii_case(kind) || k.plural.eq_ignore_ascii_case(kind));
    Ok(ObjectRef::new(known.map_or(kind, |k| k.kind), Some(namespace), name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_read_in_any_spelling() {
        assert_eq!(parse_object("deployments/web", "shop").unwrap().to_string(), "Deployment/shop/web");
        assert_eq!(parse_object("node/n1", "shop").unwrap().to_string(), "Node/n1");
        assert!(parse_object("web", "shop").is_err());
    }
}
