//! Two open incidents that turn out to be one.

use std::collections::BTreeMap;

use kubernaut_core::model::{Incident, IncidentId, Phase, Timestamp};

use super::intake::Counts;

/// The last word of a distinct alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) firing: bool,
    pub(crate) at: Timestamp,
}

/// The last words of both: the later one counts, a firing one where both came at once.
pub(crate) fn words(into: BTreeMap<String, Word>, from: BTreeMap<String, Word>) -> BTreeMap<String, Word> {
    let mut all = into;
    for (key, word) in from {
        let kept = all.entry(key).or_insert(word);
        if (word.at, word.firing) > (kept.at, kept.firing) {
            *kept = word;
        }
    }
    all
}

/// The counts of both.
pub(crate) fn counts(into: Counts, from: Counts, words: &BTreeMap<String, Word>, now: Timestamp) -> Counts {
    let firing = u64::try_from(words.values().filter(|w| w.firing).count()).unwrap_or(u64::MAX);
    let ended = into.alert_resolved_at.max(from.alert_resolved_at).or(Some(now));
    Counts {
        occurrences: into.occurrences + from.occurrences,
        firing,
        alert_resolved_at: if firing == 0 { ended } else { None },
        severity: into.severity.max(from.severity),
    }
}

/// Whether an incident can be counted on another one: nothing was begun for it that somebody would miss.
pub(crate) fn may_move(incident: &Incident, into: &Incident) -> bool {
    let begun = matches!(incident.phase, Phase::Executing | Phase::Verifying | Phase::AwaitingApproval) || incident.run_id.is_some();
    incident.id != into.id && incident.tenant == into.tenant && !incident.phase.is_terminal() && !begun
}

/// The incident that went into `other`.
pub(crate) fn ended(incident: Incident, other: IncidentId, now: Timestamp) -> Incident {
    Incident {
        phase: Phase::Cancelled,
        phase_since: now,
        updated_at: now,
        closed_at: Some(now),
        occurrences: 0,
        firing: 0,
        alert_resolved_at: None,
        block: None,
        message: format!("same owner as incident {other}; its alerts are counted there"),
        ..incident
    }
}
