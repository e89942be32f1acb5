//! `kubernaut eval`.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use kubernaut::{
    Config, Error, Result, analyze_bundle,
    eval::{Prediction, grade_case, load_truths, score},
    service::CallContext,
};

use super::print_json;
use crate::cli::{EvalArgs, Output};
use crate::output::say;

/// Status 0, or with `--exit-code` 1 if the truth is given and an answer is harmful.
pub(super) async fn run(args: EvalArgs) -> Result<ExitCode> {
    let predictions = predict(&args.cases).await?;
    if let Some(path) = &args.predictions {
        write_lines(path, &predictions)?;
    }
    let Some(expected) = &args.expected else {
        match args.output {
            Output::Json => print_json(&predictions)?,
            Output::Text => predictions.iter().for_each(|p| say!("{}", summary(p))),
        }
        return Ok(ExitCode::SUCCESS);
    };
    let truths = load_truths(expected)?;
    let grades = truths.iter().map(|t| grade_case(t, predictions.iter().find(|p| p.id == t.id))).collect();
    let scores = score(grades);
    match args.output {
        Output::Json => print_json(&scores)?,
        Output::Text => say!("{scores}"),
    }
    Ok(if scores.violations == 0 || !args.exit_code { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

async fn predict(cases: &Path) -> Result<Vec<Prediction>> {
    let mut predictions = Vec::new();
    for dir in bundles(cases)? {
        match analyze_bundle(CallContext::system("eval"), &dir, &Config::default()).await {
            Ok(report) => predictions.push(Prediction::from(&report)),
            // A case that cannot be read counts as unanswered; the others still tell something.
            Err(error) => eprintln!("warning: {} is left out: {error}", dir.display()),
        }
    }
    Ok(predictions)
}

fn bundles(cases: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        std::fs::read_dir(cases).map_err(|e| Error::not_found("eval", "cannot read the folder of cases").with("path", cases.display()).source(e))?;
    let mut dirs: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.join("alert.json").is_file()).collect();
    dirs.sort();
    if dirs.is_empty() {
        return Err(Error::not_found("eval", "no bundle in the folder; each case is a folder with alert.json").with("path", cases.display()));
    }
    Ok(dirs)
}

fn write_lines(path: &Path, predictions: &[Prediction]) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
        for prediction in predictions {
            serde_json::to_writer(&mut file, prediction)?;
            file.write_all(b"\n")?;
        }
        file.flush()
    };
    write().map_err(|e| Error::invalid("eval.predictions", "cannot write the predictions").with("path", path.display()).source(e))
}

fn summary(p: &Prediction) -> String {
    let cause = p.candidates.first().map_or_else(|| "no cause".to_owned(), |c| format!("{} {} ({:.2})", c.category, c.object, c.confidence));
    let action = p.actions.first().map_or_else(|| "-".to_owned(), |a| format!("{} {}", a.action, a.target));
    format!("{:<24} {:<12} {cause}; {} {action}; {:.1} ms", p.id, p.environment, p.decision, p.latency_ms)
}
