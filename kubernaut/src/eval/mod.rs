//! Evaluation: run the analysis on recorded incidents, and grade it against their truth where that is given.
//!
//! The truth is read by the grading alone, never by the analysis.

mod grade;
mod names;
mod predict;
mod score;
mod truth;

pub use grade::{CaseGrade, grade_case};
pub use predict::Prediction;
pub use score::{Scores, Tally, score};
pub use truth::{ExpectedAction, Truth, load_truths};
