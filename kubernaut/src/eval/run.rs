//! Running the analysis over a folder of recorded incidents.

use std::path::{Path, PathBuf};

use kubernaut_core::{Error, Result, service::CallContext};

use super::{CaseGrade, Prediction, Scores, grade_case, limits_in_force, load_truths, sane, score};
use crate::{Config, analyze_bundle};

/// A case that could not be answered.
#[derive(Debug)]
pub struct Unanswered {
    /// The case's folder.
    pub dir: PathBuf,
    /// Why.
    pub error: Error,
}

/// Answers with what could not be answered.
#[derive(Debug, Default)]
pub struct Answers {
    /// Folder and answer of each case, by folder name.
    pub given: Vec<(PathBuf, Prediction)>,
    /// Cases that count as wrong.
    pub missing: Vec<Unanswered>,
}

/// Analyses every bundle of a folder, one after the other, so that the times are those of one analysis.
///
/// # Errors
/// `NotFound` for a folder without bundles. A bundle that cannot be read is no error; it is among the missing.
pub async fn predict_all(cases: &Path, config: &Config) -> Result<Answers> {
    let mut answers = Answers::default();
    for dir in bundles(cases)? {
        match analyze_bundle(CallContext::system("eval"), &dir, config).await {
            Ok(report) => answers.given.push((dir, Prediction::from(&report))),
            Err(error) => answers.missing.push(Unanswered { dir, error }),
        }
    }
    Ok(answers)
}

/// Grades answers against the truth of a folder.
///
/// # Errors
/// Those of [`load_truths`], and `InvalidInput` for a bundle that can no longer be read.
pub async fn grade_all(answers: &Answers, expected: &Path) -> Result<Scores> {
    let mut grades: Vec<CaseGrade> = Vec::new();
    for truth in load_truths(expected)? {
        let answer = answers.given.iter().find(|(_, p)| p.id == truth.id);
        let mut grade = grade_case(&truth, answer.map(|(_, p)| p));
        if let Some((dir, prediction)) = answer.filter(|_| grade.action > 0.0) {
            grade.sane = sane(prediction, &limits_in_force(dir, prediction).await?);
        }
        grades.push(grade);
    }
    Ok(score(grades))
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
