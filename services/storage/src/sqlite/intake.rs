//! Alerts of all requests that wait, committed as one.

use std::collections::HashSet;

use kubernaut_core::{
    model::{Alert, AlertId, Incident, IncidentId, IntakeResult},
    port::NewEvent,
};
use sqlx::{Row, sqlite::SqliteRow};

use super::{
    bulk::{self, Binds},
    error::Fault,
    events,
    job::IntakeJob,
    row::{counts, encode, int, micros, optional_micros, severity_name, time},
    tx::Tx,
};
use crate::rules::{
    audit::{self, ChainEnd, Subject},
    intake::{self, Counts, Ended, IncidentKey, KeptAlert, Known, Plan, Request, Stored, alert_key},
};

/// Takes the alerts of all jobs in and keeps each job's results; `false` if that failed, so that what was written is taken back.
pub(crate) async fn run(tx: &mut Tx, jobs: &mut [IntakeJob]) -> bool {
    let requests: Vec<&Request> = jobs.iter().map(|job| &job.request).collect();
    match commit(tx, &requests).await {
        Ok(results) => {
            jobs.iter_mut().zip(results).for_each(|(job, results)| job.outcome = Some(Ok(results)));
            true
        }
        Err(fault) => {
            let error = fault.public("ledger.intake");
            if let [job] = jobs {
                job.outcome = Some(Err(error));
            } else {
                tracing::warn!(%error, requests = jobs.len(), "alerts that were taken in together failed; each request is tried alone");
            }
            false
        }
    }
}

async fn commit(tx: &mut Tx, requests: &[&Request]) -> Result<Vec<Vec<IntakeResult>>, Fault> {
    let stored = load(tx, requests).await?;
    let plan = intake::plan(requests, stored, tx.now);
    write(tx, plan).await
}

async fn load(tx: &mut Tx, requests: &[&Request]) -> Result<Stored, Fault> {
    let alerts: Vec<(&Request, &Alert)> = requests.iter().flat_map(|r| r.alerts.iter().map(move |a| (*r, a))).collect();
    let wanted: HashSet<Wanted> = alerts.iter().map(|(request, alert)| Wanted { key: request.key_of(alert), word: alert_key(alert) }).collect();
    let mut wanted: Vec<Wanted> = wanted.into_iter().collect();
    let mut stored = Stored::default();
    open_incidents(tx, &wanted, &mut stored).await?;
    if requests.iter().any(|r| r.quiet_since.is_some() || r.handed_over_since.is_some()) {
        wanted.retain(|wanted| !stored.open.contains_key(&wanted.key));
        ended_incidents(tx, &wanted, &mut stored).await?;
    }
    let ids: Vec<AlertId> = alerts.iter().map(|(_, alert)| alert.id).collect();
    stored.alerts = kept_alerts(tx, &ids).await?;
    Ok(stored)
}

/// A distinct alert, and what tells its incident apart.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Wanted {
    key: IncidentKey,
    word: String,
}

// What is wanted comes first in these joins (`CROSS JOIN` keeps the order), so that each is one look-up in an index.

pub(super) const OPEN: (&str, &str) = (
    "SELECT i.tenant, i.cluster, i.fingerprint, i.id, i.occurrences, i.firing, i.alert_resolved_at, i.severity, w.alert_key, \
     w.firing AS word FROM (",
    ") k CROSS JOIN incidents i ON i.tenant = k.column1 AND i.cluster = k.column2 AND i.fingerprint = k.column3 AND i.open = 1 \
     LEFT JOIN alert_words w ON w.incident_id = i.id AND w.alert_key = k.column4",
);

async fn open_incidents(tx: &mut Tx, wanted: &[Wanted], stored: &mut Stored) -> Result<(), Fault> {
    for row in bulk::read(tx, OPEN.0, 4, OPEN.1, wanted, bind_wanted).await? {
        let known = known(&row)?;
        stored.words.extend(word(&row, known.id)?);
        stored.open.insert(key(&row)?, known);
    }
    Ok(())
}

pub(super) const ENDED: (&str, &str) = (
    "SELECT i.tenant, i.cluster, i.fingerprint, i.id, i.occurrences, i.firing, i.alert_resolved_at, i.severity, i.closed_at, i.phase, \
     w.alert_key, w.firing AS word FROM (",
    ") k CROSS JOIN incidents i ON i.id = (SELECT x.id FROM incidents x WHERE x.fingerprint = k.column3 AND x.tenant = k.column1 \
     AND x.cluster = k.column2 ORDER BY x.id DESC LIMIT 1) LEFT JOIN alert_words w ON w.incident_id = i.id AND w.alert_key = k.column4 \
     WHERE i.phase IN ('no_action', 'manual_review', 'ineffective', 'rolled_back', 'failed', 'timed_out') AND i.closed_at IS NOT NULL",
);

async fn ended_incidents(tx: &mut Tx, wanted: &[Wanted], stored: &mut Stored) -> Result<(), Fault> {
    for row in bulk::read(tx, ENDED.0, 4, ENDED.1, wanted, bind_wanted).await? {
        let known = known(&row)?;
        stored.words.extend(word(&row, known.id)?);
        let handed_over = row.try_get::<&str, _>("phase")? != "no_action";
        stored.ended.insert(key(&row)?, Ended { known, closed_at: time(row.try_get("closed_at")?)?, handed_over });
    }
    Ok(())
}

/// The last word on an alert: of which incident, its key, and whether it fired.
type Word = ((IncidentId, String), bool);

fn word(row: &SqliteRow, id: IncidentId) -> Result<Option<Word>, Fault> {
    let known: Option<String> = row.try_get("alert_key")?;
    known.map(|key| Ok(((id, key), row.try_get("word")?))).transpose()
}

pub(super) const KEPT: (&str, &str) = ("SELECT a.id FROM (", ") k CROSS JOIN alerts a ON a.id = k.column1");

async fn kept_alerts(tx: &mut Tx, ids: &[AlertId]) -> Result<HashSet<AlertId>, Fault> {
    let rows = bulk::read(tx, KEPT.0, 1, KEPT.1, ids, |to, id| {
        to.push_bind(id.to_string());
    })
    .await?;
    rows.iter().map(|row| Ok(row.try_get::<&str, _>("id")?.parse()?)).collect()
}

fn bind_wanted(to: &mut Binds, wanted: &Wanted) {
    to.push_bind(wanted.key.tenant.clone());
    to.push_bind(wanted.key.cluster.clone());
    to.push_bind(wanted.key.fingerprint.clone());
    to.push_bind(wanted.word.clone());
}

fn key(row: &SqliteRow) -> Result<IncidentKey, Fault> {
    Ok(IncidentKey { tenant: row.try_get("tenant")?, cluster: row.try_get("cluster")?, fingerprint: row.try_get("fingerprint")? })
}

fn known(row: &SqliteRow) -> Result<Known, Fault> {
    Ok(Known { id: row.try_get::<&str, _>("id")?.parse()?, counts: counts(row)? })
}

async fn write(tx: &mut Tx, plan: Plan<'_>) -> Result<Vec<Vec<IntakeResult>>, Fault> {
    create(tx, plan.created).await?;
    let (woken, quiet): (Vec<_>, Vec<_>) = plan.counted.into_iter().partition(|(id, _)| plan.woken.contains(id));
    recount(tx, true, &woken).await?;
    recount(tx, false, &quiet).await?;
    keep(tx, &plan.alerts).await?;
    let now = micros(tx.now);
    let words: Vec<((IncidentId, String), bool)> = plan.words.into_iter().collect();
    let columns = &["incident_id", "alert_key", "firing", "at"];
    let tail = "ON CONFLICT (incident_id, alert_key) DO UPDATE SET firing = excluded.firing, at = excluded.at";
    bulk::write(tx, "alert_words", columns, tail, &words, |to, ((id, key), firing)| {
        to.push_bind(id.to_string());
        to.push_bind(key.clone());
        to.push_bind(*firing);
        to.push_bind(now);
    })
    .await?;
    Ok(plan.results)
}

const INCIDENT: &[&str] = &[
    "id",
    "tenant",
    "cluster",
    "fingerprint",
    "namespace",
    "phase",
    "open",
    "attempt",
    "opened_at",
    "severity",
    "occurrences",
    "firing",
    "alert_resolved_at",
    "wake_at",
    "audit_seq",
    "audit_hash",
];

async fn create(tx: &mut Tx, created: Vec<(Incident, NewEvent)>) -> Result<(), Fault> {
    let (mut incidents, mut rows) = (Vec::with_capacity(created.len()), Vec::with_capacity(created.len()));
    for (incident, event) in created {
        let subject = Subject { id: incident.id, tenant: incident.tenant.clone(), cluster: incident.cluster.clone(), attempt: incident.attempt };
        let mut end = ChainEnd::default();
        rows.extend(audit::rows(&subject, &mut end, vec![event], tx.now));
        let doc = encode("incident", &incident)?;
        incidents.push((incident, end, doc));
    }
    bulk::write(tx, "incidents", INCIDENT, "", &incidents, |to, (incident, end, _)| {
        to.push_bind(incident.id.to_string());
        to.push_bind(incident.tenant.clone());
        to.push_bind(incident.cluster.clone());
        to.push_bind(incident.fingerprint.clone());
        to.push_bind(incident.target.namespace.clone());
        to.push_bind(incident.phase.as_str());
        to.push_bind(true);
        to.push_bind(incident.attempt);
        to.push_bind(micros(incident.opened_at));
        to.push_bind(severity_name(incident.severity));
        to.push_bind(int(incident.occurrences));
        to.push_bind(int(incident.firing));
        to.push_bind(optional_micros(incident.alert_resolved_at));
        to.push_bind(micros(incident.opened_at));
        to.push_bind(int(end.seq));
        to.push_bind(end.hash.clone());
    })
    .await?;
    bulk::write(tx, "incident_docs", &["incident_id", "doc"], "", &incidents, |to, (incident, _, doc)| {
        to.push_bind(incident.id.to_string());
        to.push_bind(doc.clone());
    })
    .await?;
    events::insert(tx, &rows).await
}

pub(super) fn recount_head(wake: bool) -> &'static str {
    if wake {
        "UPDATE incidents SET occurrences = v.column2, firing = v.column3, alert_resolved_at = v.column4, severity = v.column5, woken = 1 FROM ("
    } else {
        "UPDATE incidents SET occurrences = v.column2, firing = v.column3, alert_resolved_at = v.column4, severity = v.column5 FROM ("
    }
}

pub(super) const RECOUNT: &str = ") v WHERE incidents.id = v.column1";

/// Writes the counts of incidents, and wakes them if `wake`. Apart, for a wake-up moves the incident in an index.
pub(crate) async fn recount(tx: &mut Tx, wake: bool, counted: &[(IncidentId, Counts)]) -> Result<(), Fault> {
    bulk::update(tx, recount_head(wake), 5, RECOUNT, counted, |to, (id, counts)| {
        to.push_bind(id.to_string());
        to.push_bind(int(counts.occurrences));
        to.push_bind(int(counts.firing));
        to.push_bind(optional_micros(counts.alert_resolved_at));
        to.push_bind(severity_name(counts.severity));
    })
    .await
}

async fn keep(tx: &mut Tx, alerts: &[KeptAlert<'_>]) -> Result<(), Fault> {
    let docs: Vec<(&KeptAlert<'_>, String)> = alerts.iter().map(|kept| Ok((kept, encode("alert", kept.alert)?))).collect::<Result<_, Fault>>()?;
    bulk::write(tx, "alerts", &["id", "incident_id", "fingerprint", "received_at", "doc"], "", &docs, |to, (kept, doc)| {
        to.push_bind(kept.alert.id.to_string());
        to.push_bind(kept.incident_id.map(|id| id.to_string()));
        to.push_bind(kept.alert.fingerprint.clone());
        to.push_bind(micros(kept.alert.received_at));
        to.push_bind(doc.clone());
    })
    .await
}
