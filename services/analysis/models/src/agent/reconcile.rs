//! What diagnosis and a model say together. Pure.

use kubernaut_core::model::{Analysis, Candidate, Category, Question};

/// Share of the model's own confidence that counts as independent of what diagnosis already said.
const INDEPENDENT: f64 = 0.5;
/// Factor on both confidences where they contradict each other.
const CONTRADICTED: f64 = 0.8;

/// Whether a candidate says something that could be right or wrong.
fn says_something(candidate: &Candidate) -> bool {
    !matches!(candidate.category, Category::Unknown | Category::ApplicationError)
}

/// Puts the model's candidate among those of diagnosis: agreement raises the confidence, contradiction lowers both and asks a person.
///
/// Agreement: `1 - (1 - d)(1 - m/2)`, as two observers that see the same facts are only half independent. Returns whether they agree.
pub(crate) fn join(analysis: &mut Analysis, model: Candidate) -> bool {
    let same = |c: &Candidate| c.category == model.category && c.object.same_object(&model.object);
    if let Some(known) = analysis.candidates.iter_mut().find(|c| same(c)) {
        known.confidence = 1.0 - (1.0 - known.confidence) * (1.0 - model.confidence * INDEPENDENT);
        known.evidence.extend(model.evidence);
        sort(analysis);
        return true;
    }
    let contradicts = analysis.candidates.first().is_some_and(|first| says_something(first) && says_something(&model));
    let mut model = model;
    if contradicts {
        for candidate in analysis.candidates.iter_mut().take(1) {
            candidate.confidence *= CONTRADICTED;
        }
        model.confidence *= CONTRADICTED;
        let text = format!("diagnosis and the model disagree: is it {} on {}?", model.category, model.object);
        analysis.questions.push(Question { text, object: Some(model.object.clone()) });
    }
    analysis.candidates.push(model);
    sort(analysis);
    false
}

fn sort(analysis: &mut Analysis) {
    analysis.candidates.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
}
