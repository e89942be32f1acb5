//! Evaluation: run the analysis on recorded incidents, and grade it against their truth where that is given.
//!
//! The truth is read by the grading alone, never by the analysis.

mod compare;
mod grade;
mod names;
mod predict;
mod run;
mod sanity;
mod score;
mod truth;

pub use compare::{Change, Comparison, compare};
pub use grade::{CaseGrade, grade_case};
pub use predict::Prediction;
pub use run::{Answers, Unanswered, grade_all, predict_all};
pub use sanity::{limits_in_force, sane};
pub use score::{Bin, GroupScores, Latency, Scores, Tally, score};
pub use truth::{ExpectedAction, Truth, load_truths};
