//! `kubernaut analyze`.

use std::process::ExitCode;

use kubernaut::{
    Config, Error, Kubernaut, Report, Result, Scan, ScanOptions, analyze_bundle,
    model::{Decision, ObjectRef},
    service::CallContext,
    services::storage::SqliteConfig,
    yaml,
};

use super::print_json;
use crate::cli::{AnalyzeArgs, Form};
use crate::output::say;

/// What was asked for: one object, or whatever is unhealthy.
enum Answer {
    One(Box<Report>),
    Many(Scan),
}

/// Status 0, or with `--exit-code` 1 if anything was found that needs an action or a person.
pub(super) async fn run(args: AnalyzeArgs) -> Result<ExitCode> {
    let ctx = CallContext::system("analyze");
    let answer = match (&args.bundle, &args.namespace) {
        (Some(dir), _) => Answer::One(Box::new(analyze_bundle(ctx, dir, &Config::default()).await?)),
        (None, None) if !args.all_namespaces => {
            return Err(Error::invalid("analyze", "nothing to analyse; give --bundle DIR, --namespace NS [KIND/NAME], or --all-namespaces"));
        }
        _ => live(ctx, &args).await?,
    };
    match &answer {
        Answer::One(report) => match args.output {
            Form::Text => say!("{report}\n"),
            Form::Json => print_json(report)?,
            Form::Yaml => say!("{}", yaml(report)?.trim_end()),
            Form::Markdown => say!("{}", report.markdown().trim_end()),
        },
        Answer::Many(scan) => match args.output {
            Form::Text => say!("{scan}"),
            Form::Json => print_json(scan)?,
            Form::Yaml => say!("{}", yaml(scan)?.trim_end()),
            Form::Markdown => say!("{}", scan.markdown().trim_end()),
        },
    }
    let fine = match &answer {
        Answer::One(report) => report.decision == Decision::NoAction,
        Answer::Many(scan) => scan.causes.is_empty(),
    };
    Ok(if fine || !args.exit_code { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

async fn live(ctx: CallContext, args: &AnalyzeArgs) -> Result<Answer> {
    let mut config = Config::default();
    // Nothing is kept, so no file is left behind.
    config.ledger = SqliteConfig::memory();
    config.cluster.kubeconfig = args.cluster.kubeconfig.clone();
    config.cluster.context = args.cluster.context.clone();
    let kubernaut = Kubernaut::builder(config).build().await?;
    if let (Some(object), Some(namespace)) = (&args.object, &args.namespace) {
        return Ok(Answer::One(Box::new(kubernaut.analyze(ctx, parse_object(object, namespace)?).await?)));
    }
    let options = ScanOptions { namespaces: args.namespace.iter().cloned().collect(), limit: args.limit };
    Ok(Answer::Many(kubernaut.scan(ctx, options).await?))
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
