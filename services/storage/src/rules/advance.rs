//! What a worker may change of an incident.

use kubernaut_core::{
    Error, Result,
    model::{Incident, Timestamp},
};

/// The incident as it is to be stored: the worker's document with the fields that belong to intake and rekeying as they are stored.
pub(crate) fn merged(stored: &Incident, wanted: Incident, now: Timestamp) -> Result<Incident> {
    if stored.phase.is_terminal() && !wanted.phase.is_terminal() {
        return Err(Error::conflict("ledger.advance", "the incident has ended; open a new one")
            .with("id", stored.id)
            .with("phase", stored.phase)
            .with("wanted", wanted.phase));
    }
    let moved = wanted.phase != stored.phase;
    let phase_since = if moved && wanted.phase_since == stored.phase_since { now } else { wanted.phase_since };
    let closed_at = if wanted.phase.is_terminal() { wanted.closed_at.or(Some(now)) } else { None };
    Ok(Incident {
        tenant: stored.tenant.clone(),
        cluster: stored.cluster.clone(),
        fingerprint: stored.fingerprint.clone(),
        owner: stored.owner.clone(),
        owner_resolved: stored.owner_resolved,
        opened_at: stored.opened_at,
        severity: stored.severity,
        occurrences: stored.occurrences,
        firing: stored.firing,
        alert_resolved_at: stored.alert_resolved_at,
        updated_at: now,
        phase_since,
        closed_at,
        ..wanted
    })
}
