//! Alerts of all requests that wait, committed as one.

use std::collections::{HashMap, HashSet};

use kubernaut_core::{
    model::{Alert, AlertId, Incident, IncidentId, IntakeResult},
    port::NewEvent,
};
use sqlx::{Row, Sqlite, query_builder::Separated, sqlite::SqliteRow};

use super::{
    bulk,
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
    let keys: HashSet<IncidentKey> = alerts.iter().map(|(request, alert)| request.key_of(alert)).collect();
    let keys: Vec<IncidentKey> = keys.into_iter().collect();
    let open = open_incidents(tx, &keys).await?;
    let mut ended = HashMap::new();
    if requests.iter().any(|r| r.quiet_since.is_some() || r.handed_over_since.is_some()) {
        let rest: Vec<IncidentKey> = keys.into_iter().filter(|k| !open.contains_key(k)).collect();
        ended = ended_incidents(tx, &rest).await?;
    }
    let known = |key: &IncidentKey| open.get(key).or_else(|| ended.get(key).map(|e| &e.known)).map(|known| known.id);
    let words: HashSet<(IncidentId, String)> =
        alerts.iter().filter_map(|(request, alert)| known(&request.key_of(alert)).map(|id| (id, alert_key(alert)))).collect();
    let words = last_words(tx, &words.into_iter().collect::<Vec<_>>()).await?;
    let ids: Vec<AlertId> = alerts.iter().map(|(_, alert)| alert.id).collect();
    Ok(Stored { open, ended, words, alerts: kept_alerts(tx, &ids).await? })
}

// The list of keys comes first in these joins (`CROSS JOIN` keeps the order), so that each key is one look-up in an index.

async fn open_incidents(tx: &mut Tx, keys: &[IncidentKey]) -> Result<HashMap<IncidentKey, Known>, Fault> {
    let head = "SELECT i.tenant, i.cluster, i.fingerprint, i.id, i.occurrences, i.firing, i.alert_resolved_at, i.severity FROM (";
    let tail = ") k CROSS JOIN incidents i ON i.tenant = k.column1 AND i.cluster = k.column2 AND i.fingerprint = k.column3 AND i.open = 1";
    let rows = bulk::read(tx, head, tail, keys, bind_key).await?;
    rows.iter().map(|row| Ok((key(row)?, known(row)?))).collect()
}

async fn ended_incidents(tx: &mut Tx, keys: &[IncidentKey]) -> Result<HashMap<IncidentKey, Ended>, Fault> {
    let head =
        "SELECT i.tenant, i.cluster, i.fingerprint, i.id, i.occurrences, i.firing, i.alert_resolved_at, i.severity, i.closed_at, i.phase FROM (";
    let tail = ") k CROSS JOIN incidents i ON i.id = (SELECT x.id FROM incidents x WHERE x.fingerprint = k.column3 AND x.tenant = k.column1 \
                AND x.cluster = k.column2 ORDER BY x.id DESC LIMIT 1) WHERE i.phase IN ('no_action', 'manual_review', 'ineffective', \
                'rolled_back', 'failed', 'timed_out') AND i.closed_at IS NOT NULL";
    let rows = bulk::read(tx, head, tail, keys, bind_key).await?;
    let ended = |row: &SqliteRow| -> Result<_, Fault> {
        let handed_over = row.try_get::<&str, _>("phase")? != "no_action";
        Ok((key(row)?, Ended { known: known(row)?, closed_at: time(row.try_get("closed_at")?)?, handed_over }))
    };
    rows.iter().map(ended).collect()
}

async fn last_words(tx: &mut Tx, wanted: &[(IncidentId, String)]) -> Result<HashMap<(IncidentId, String), bool>, Fault> {
    let head = "SELECT w.incident_id, w.alert_key, w.firing FROM (";
    let tail = ") k CROSS JOIN alert_words w ON w.incident_id = k.column1 AND w.alert_key = k.column2";
    let rows = bulk::read(tx, head, tail, wanted, |to, (id, key)| {
        to.push_bind(id.to_string());
        to.push_bind(key.clone());
    })
    .await?;
    let word = |row: &SqliteRow| -> Result<_, Fault> {
        Ok(((row.try_get::<&str, _>("incident_id")?.parse()?, row.try_get("alert_key")?), row.try_get("firing")?))
    };
    rows.iter().map(word).collect()
}

async fn kept_alerts(tx: &mut Tx, ids: &[AlertId]) -> Result<HashSet<AlertId>, Fault> {
    let rows = bulk::read(tx, "SELECT a.id FROM (", ") k CROSS JOIN alerts a ON a.id = k.column1", ids, |to, id| {
        to.push_bind(id.to_string());
    })
    .await?;
    rows.iter().map(|row| Ok(row.try_get::<&str, _>("id")?.parse()?)).collect()
}

fn bind_key(to: &mut Separated<'_, Sqlite, &'static str>, key: &IncidentKey) {
    to.push_bind(key.tenant.clone());
    to.push_bind(key.cluster.clone());
    to.push_bind(key.fingerprint.clone());
}

fn key(row: &SqliteRow) -> Result<IncidentKey, Fault> {
    Ok(IncidentKey { tenant: row.try_get("tenant")?, cluster: row.try_get("cluster")?, fingerprint: row.try_get("fingerprint")? })
}

fn known(row: &SqliteRow) -> Result<Known, Fault> {
    Ok(Known { id: row.try_get::<&str, _>("id")?.parse()?, counts: counts(row)? })
}

async fn write(tx: &mut Tx, plan: Plan<'_>) -> Result<Vec<Vec<IntakeResult>>, Fault> {
    create(tx, plan.created).await?;
    recount(tx, &plan.counted.into_iter().collect::<Vec<_>>()).await?;
    keep(tx, &plan.alerts).await?;
    let now = micros(tx.now);
    let words: Vec<((IncidentId, String), bool)> = plan.words.into_iter().collect();
    let head = "INSERT INTO alert_words (incident_id, alert_key, firing, at)";
    let tail = " ON CONFLICT (incident_id, alert_key) DO UPDATE SET firing = excluded.firing, at = excluded.at";
    bulk::write(tx, head, tail, &words, |to, ((id, key), firing)| {
        to.push_bind(id.to_string());
        to.push_bind(key.clone());
        to.push_bind(*firing);
        to.push_bind(now);
    })
    .await?;
    Ok(plan.results)
}

async fn create(tx: &mut Tx, created: Vec<(Incident, NewEvent)>) -> Result<(), Fault> {
    let (mut incidents, mut rows) = (Vec::with_capacity(created.len()), Vec::with_capacity(created.len()));
    for (incident, event) in created {
        let subject = Subject { id: incident.id, tenant: incident.tenant.clone(), cluster: incident.cluster.clone(), attempt: incident.attempt };
        let mut end = ChainEnd::default();
        rows.extend(audit::rows(&subject, &mut end, vec![event], tx.now));
        let doc = encode("incident", &incident)?;
        incidents.push((incident, end, doc));
    }
    let head = "INSERT INTO incidents (id, tenant, cluster, fingerprint, namespace, phase, open, attempt, opened_at, severity, occurrences, firing, \
                alert_resolved_at, wake_at, audit_seq, audit_hash)";
    bulk::write(tx, head, "", &incidents, |to, (incident, end, _)| {
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
    bulk::write(tx, "INSERT INTO incident_docs (incident_id, doc)", "", &incidents, |to, (incident, _, doc)| {
        to.push_bind(incident.id.to_string());
        to.push_bind(doc.clone());
    })
    .await?;
    events::insert(tx, &rows).await
}

/// Writes the counts of incidents and wakes them.
pub(crate) async fn recount(tx: &mut Tx, counted: &[(IncidentId, Counts)]) -> Result<(), Fault> {
    let head =
        "UPDATE incidents SET occurrences = v.column2, firing = v.column3, alert_resolved_at = v.column4, severity = v.column5, woken = 1 FROM (";
    bulk::write(tx, head, ") v WHERE incidents.id = v.column1", counted, |to, (id, counts)| {
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
    let head = "INSERT INTO alerts (id, incident_id, fingerprint, received_at, doc)";
    bulk::write(tx, head, "", &docs, |to, (kept, doc)| {
        to.push_bind(kept.alert.id.to_string());
        to.push_bind(kept.incident_id.map(|id| id.to_string()));
        to.push_bind(kept.alert.fingerprint.clone());
        to.push_bind(micros(kept.alert.received_at));
        to.push_bind(doc.clone());
    })
    .await
}
