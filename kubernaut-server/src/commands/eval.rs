//! `kubernaut eval`.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use kubernaut::{
    Config, Error, Result,
    eval::{Prediction, Scores, compare, grade_all, predict_all},
};
use serde::Serialize;

use super::print_json;
use crate::cli::{EvalArgs, Output};
use crate::output::say;

/// Status 0, or with `--exit-code` 1 if an answer is harmful or the later of two results is worse.
pub(super) async fn run(args: EvalArgs) -> Result<ExitCode> {
    if let Some([before, after]) = args.compare.as_deref() {
        let comparison = compare(&read_scores(before)?, &read_scores(after)?);
        print(args.output, &comparison)?;
        return Ok(status(args.exit_code && comparison.is_worse()));
    }
    let (cases, expected) = folders(&args)?;
    let answers = predict_all(&cases, &Config::default()).await?;
    for left_out in &answers.missing {
        // A case that cannot be read counts as unanswered; the others still tell something.
        eprintln!("warning: {} is left out: {}", left_out.dir.display(), left_out.error);
    }
    let predictions: Vec<&Prediction> = answers.given.iter().map(|(_, p)| p).collect();
    if let Some(path) = &args.predictions {
        write_lines(path, &predictions)?;
    }
    let Some(expected) = expected else {
        match args.output {
            Output::Json => print_json(&predictions)?,
            Output::Text => predictions.iter().for_each(|p| say!("{}", summary(p))),
        }
        return Ok(ExitCode::SUCCESS);
    };
    let scores = grade_all(&answers, &expected).await?;
    print(args.output, &scores)?;
    Ok(status(args.exit_code && scores.violations > 0))
}

fn status(bad: bool) -> ExitCode {
    if bad { ExitCode::from(1) } else { ExitCode::SUCCESS }
}

fn print<T: Serialize + std::fmt::Display>(output: Output, value: &T) -> Result<()> {
    match output {
        Output::Json => print_json(value)?,
        Output::Text => say!("{value}"),
    }
    Ok(())
}

/// Where the bundles are, and their truth.
fn folders(args: &EvalArgs) -> Result<(PathBuf, Option<PathBuf>)> {
    let cases = args.cases.clone().ok_or_else(|| Error::invalid("eval", "give the folder of cases with --cases"))?;
    let inside = cases.join("bundles");
    if !inside.is_dir() {
        return Ok((cases, args.expected.clone()));
    }
    let truth = Some(cases.join("expected")).filter(|p| p.is_dir());
    Ok((inside, args.expected.clone().or(truth)))
}

fn read_scores(path: &Path) -> Result<Scores> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Error::not_found("eval.compare", "cannot read the result").with("path", path.display()).source(e))?;
    serde_json::from_str(&text).map_err(|e| {
        let message = format!("not a result as eval prints it with --output json: {e}");
        Error::invalid("eval.compare", message).with("path", path.display())
    })
}

fn write_lines(path: &Path, predictions: &[&Prediction]) -> Result<()> {
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
