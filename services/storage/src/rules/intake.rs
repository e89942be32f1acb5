//! What the alerts of one commit change, given the incidents that are open.

use std::collections::{BTreeMap, HashMap, HashSet};

use kubernaut_core::{
    model::{Alert, AlertId, AlertStatus, INCIDENT_SCHEMA, Incident, IncidentId, IntakeOutcome, IntakeResult, Phase, Severity, Timestamp},
    port::NewEvent,
};
use serde_json::json;
use sha2::{Digest, Sha256};

/// What tells incidents apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct IncidentKey {
    pub(crate) tenant: String,
    pub(crate) cluster: String,
    pub(crate) fingerprint: String,
}

/// The part of an incident that belongs to intake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) occurrences: u64,
    pub(crate) firing: u64,
    pub(crate) alert_resolved_at: Option<Timestamp>,
    pub(crate) severity: Severity,
}

/// An incident that alerts can be counted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) id: IncidentId,
    pub(crate) counts: Counts,
}

/// An incident that has ended and may still count alerts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) known: Known,
    pub(crate) closed_at: Timestamp,
    /// In a person's hands; else restraint was right.
    pub(crate) handed_over: bool,
}

/// The alerts of one request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) tenant: String,
    /// Cluster of alerts whose target names none.
    pub(crate) cluster: String,
    pub(crate) actor: String,
    pub(crate) alerts: Vec<Alert>,
    /// Incidents that ended `no_action` at or after this time still count alerts that they know; `None` for none.
    pub(crate) quiet_since: Option<Timestamp>,
    /// Incidents that ended in a person's hands at or after this time still count alerts while one of them fires; `None` for none.
    pub(crate) handed_over_since: Option<Timestamp>,
}

impl Request {
    pub(crate) fn key_of(&self, alert: &Alert) -> IncidentKey {
        let cluster = alert.target.cluster.as_ref().filter(|c| !c.is_empty()).unwrap_or(&self.cluster);
        IncidentKey { tenant: self.tenant.clone(), cluster: cluster.clone(), fingerprint: alert.fingerprint.clone() }
    }
}

/// What is stored, as far as the alerts touch it.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    /// Open incidents.
    pub(crate) open: HashMap<IncidentKey, Known>,
    /// The last incident of a key, where it ended so that alerts can be counted on it.
    pub(crate) ended: HashMap<IncidentKey, Ended>,
    /// Whether the last word of a distinct alert is firing.
    pub(crate) words: HashMap<(IncidentId, String), bool>,
    /// Alerts that are kept already.
    pub(crate) alerts: HashSet<AlertId>,
}

/// An alert to be kept.
#[derive(Debug)]
pub(crate) struct KeptAlert<'a> {
    pub(crate) alert: &'a Alert,
    pub(crate) incident_id: Option<IncidentId>,
}

/// What is to be written.
#[derive(Debug, Default)]
pub(crate) struct Plan<'a> {
    /// New incidents with their first event, in order.
    pub(crate) created: Vec<(Incident, NewEvent)>,
    /// Counts of incidents that existed.
    pub(crate) counted: BTreeMap<IncidentId, Counts>,
    /// Those of them for which more changed than how often an alert was repeated: the others give a worker nothing to do.
    pub(crate) woken: HashSet<IncidentId>,
    /// Alerts, in order.
    pub(crate) alerts: Vec<KeptAlert<'a>>,
    /// New last words.
    pub(crate) words: BTreeMap<(IncidentId, String), bool>,
    /// Results per request, in order.
    pub(crate) results: Vec<Vec<IntakeResult>>,
}

/// Plans one commit. Requests and alerts are taken in order, so that a later one sees what an earlier one did.
pub(crate) fn plan<'a>(requests: &[&'a Request], stored: Stored, now: Timestamp) -> Plan<'a> {
    let mut planner = Planner { stored, now, plan: Plan::default(), new: HashMap::new() };
    for request in requests {
        let results = planner.request(request);
        planner.plan.results.push(results);
    }
    planner.plan
}

/// Tells distinct alerts of an incident apart: the sender's fingerprint, else the labels.
pub(crate) fn alert_key(alert: &Alert) -> String {
    match alert.source_fingerprint.as_deref() {
        Some(fingerprint) if !fingerprint.is_empty() => format!("f:{fingerprint}"),
        _ => {
            let labels = json!(alert.labels).to_string();
            format!("l:{}", hex::encode(Sha256::digest(labels.as_bytes())))
        }
    }
}

/// Counts one alert. `last_word` says whether the same alert was firing before.
pub(crate) fn count(counts: Counts, last_word: Option<bool>, alert: &Alert, now: Timestamp) -> Counts {
    let was_firing = last_word == Some(true);
    match alert.status {
        AlertStatus::Firing => Counts {
            occurrences: counts.occurrences + 1,
            firing: counts.firing + u64::from(!was_firing),
            alert_resolved_at: None,
            severity: counts.severity.max(alert.severity),
        },
        AlertStatus::Resolved => {
            let firing = counts.firing.saturating_sub(u64::from(was_firing));
            let ended = was_firing && firing == 0;
            Counts { firing, alert_resolved_at: if ended { Some(now) } else { counts.alert_resolved_at }, ..counts }
        }
    }
}

/// Whether an incident that has ended counts an alert. `last_word` says whether that same alert was firing when it was last heard of.
fn still_counts(ended: &Ended, last_word: Option<bool>, request: &Request, alert: &Alert) -> bool {
    let since = if ended.handed_over { request.handed_over_since } else { request.quiet_since };
    if since.is_none_or(|since| ended.closed_at < since) {
        return false;
    }
    match (alert.status, ended.handed_over) {
        // One that ended and begins again may have another cause than the one that was judged.
        (AlertStatus::Resolved, _) | (AlertStatus::Firing, false) => last_word == Some(true),
        (AlertStatus::Firing, true) => ended.known.counts.firing > 0 && alert.severity <= ended.known.counts.severity,
    }
}

fn matter_to_a_worker(before: Counts, after: Counts) -> bool {
    Counts { occurrences: before.occurrences, ..after } != before
}

struct Planner<'a> {
    stored: Stored,
    now: Timestamp,
    plan: Plan<'a>,
    /// Where a new incident stands in `plan.created`.
    new: HashMap<IncidentId, usize>,
}

impl<'a> Planner<'a> {
    fn request(&mut self, request: &'a Request) -> Vec<IntakeResult> {
        request.alerts.iter().map(|alert| self.alert(request, alert)).collect()
    }

    fn alert(&mut self, request: &Request, alert: &'a Alert) -> IntakeResult {
        if !self.stored.alerts.insert(alert.id) {
            let error = format!("an alert with id {} is stored already; send it with a new id", alert.id);
            return IntakeResult { alert_id: None, incident_id: None, outcome: IntakeOutcome::Rejected, error: Some(error) };
        }
        let key = request.key_of(alert);
        let (incident_id, outcome) = match (self.known(&key, request, alert), alert.status) {
            (Some(known), AlertStatus::Firing) => (Some(self.count_on(&key, known, alert)), IntakeOutcome::Duplicate),
            (Some(known), AlertStatus::Resolved) => (Some(self.count_on(&key, known, alert)), IntakeOutcome::Resolved),
            (None, AlertStatus::Firing) => (Some(self.open(key, request, alert)), IntakeOutcome::Created),
            (None, AlertStatus::Resolved) => (None, IntakeOutcome::Ignored),
        };
        let alert_id = Some(alert.id);
        self.plan.alerts.push(KeptAlert { alert, incident_id });
        IntakeResult { alert_id, incident_id, outcome, error: None }
    }

    fn known(&self, key: &IncidentKey, request: &Request, alert: &Alert) -> Option<Known> {
        if let Some(open) = self.stored.open.get(key) {
            return Some(open.clone());
        }
        let ended = self.stored.ended.get(key)?;
        let word = self.stored.words.get(&(ended.known.id, alert_key(alert)));
        still_counts(ended, word.copied(), request, alert).then(|| ended.known.clone())
    }

    fn count_on(&mut self, key: &IncidentKey, known: Known, alert: &Alert) -> IncidentId {
        let id = known.id;
        let word = self.stored.words.insert((id, alert_key(alert)), alert.status == AlertStatus::Firing);
        let counts = count(known.counts, word, alert, self.now);
        self.plan.words.insert((id, alert_key(alert)), alert.status == AlertStatus::Firing);
        if matter_to_a_worker(known.counts, counts) {
            self.plan.woken.insert(id);
        }
        self.store_counts(key, id, counts);
        id
    }

    fn store_counts(&mut self, key: &IncidentKey, id: IncidentId, counts: Counts) {
        if let Some(known) = self.stored.open.get_mut(key) {
            known.counts = counts;
        } else if let Some(ended) = self.stored.ended.get_mut(key) {
            ended.known.counts = counts;
        }
        match self.new.get(&id).and_then(|at| self.plan.created.get_mut(*at)) {
            Some((incident, _)) => apply(incident, counts),
            None => {
                self.plan.counted.insert(id, counts);
            }
        }
    }

    fn open(&mut self, key: IncidentKey, request: &Request, alert: &Alert) -> IncidentId {
        let incident = opened(&key, alert, self.now);
        let id = incident.id;
        let event = received(&incident, request, alert);
        self.new.insert(id, self.plan.created.len());
        self.stored.words.insert((id, alert_key(alert)), true);
        self.plan.words.insert((id, alert_key(alert)), true);
        self.stored.open.insert(key, Known { id, counts: counts_of(&incident) });
        self.plan.created.push((incident, event));
        id
    }
}

/// The counts in an incident.
pub(crate) fn counts_of(incident: &Incident) -> Counts {
    Counts { occurrences: incident.occurrences, firing: incident.firing, alert_resolved_at: incident.alert_resolved_at, severity: incident.severity }
}

/// Puts counts into an incident.
pub(crate) fn apply(incident: &mut Incident, counts: Counts) {
    incident.occurrences = counts.occurrences;
    incident.firing = counts.firing;
    incident.alert_resolved_at = counts.alert_resolved_at;
    incident.severity = counts.severity;
}

fn opened(key: &IncidentKey, alert: &Alert, now: Timestamp) -> Incident {
    Incident {
        schema: INCIDENT_SCHEMA,
        id: IncidentId::new(now),
        tenant: key.tenant.clone(),
        cluster: key.cluster.clone(),
        fingerprint: key.fingerprint.clone(),
        phase: Phase::Received,
        attempt: 1,
        alert_name: alert.name.clone(),
        severity: alert.severity,
        target: alert.target.clone(),
        owner: alert.owner.clone(),
        owner_resolved: alert.owner_resolved,
        opened_at: now,
        updated_at: now,
        phase_since: now,
        closed_at: None,
        occurrences: 1,
        firing: 1,
        alert_resolved_at: None,
        classification: None,
        analysis: None,
        decision: None,
        decision_reason: String::new(),
        plan: None,
        run_id: None,
        verification: None,
        block: None,
        outcome: None,
        message: String::new(),
    }
}

fn received(incident: &Incident, request: &Request, alert: &Alert) -> NewEvent {
    let data = json!({
        "alert_id": alert.id,
        "alert_name": alert.name,
        "source": alert.source,
        "severity": alert.severity,
        "target": alert.target.to_string(),
        "owner": alert.owner.to_string(),
        "fingerprint": incident.fingerprint,
    });
    NewEvent { kind: "incident.received", actor: request.actor.clone(), data }
}

#[cfg(test)]
mod tests;
