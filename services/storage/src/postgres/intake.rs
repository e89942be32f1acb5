//! Alerts of all requests of a lane, written as one.

use std::collections::{HashMap, HashSet};

use kubernaut_core::{
    model::{Alert, AlertId, Incident, IncidentId, IntakeResult},
    port::NewEvent,
};
use sqlx::{Row, postgres::PgRow};

use super::{
    error::Fault,
    events,
    row::{counts, encode, int, micros, optional_micros, severity_name, time},
    tx::Tx,
};
use crate::rules::{
    audit::{self, ChainEnd, Subject},
    intake::{self, Counts, Ended, IncidentKey, KeptAlert, Known, Plan, Request, Stored, alert_key},
};

/// What was written, to be answered when it is committed.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) results: Vec<Vec<IntakeResult>>,
    /// An alert that is kept if and only if all of it was committed; `None` if nothing was written.
    pub(crate) marker: Option<AlertId>,
}

/// Takes the alerts of all requests in.
pub(crate) async fn take(tx: &mut Tx, requests: &[&Request]) -> Result<Taken, Fault> {
    let stored = load(tx, requests).await?;
    let plan = intake::plan(requests, stored, tx.now);
    let marker = plan.alerts.first().map(|kept| kept.alert.id);
    Ok(Taken { results: write(tx, plan).await?, marker })
}

pub(crate) async fn is_kept(tx: &mut Tx, alert: Option<AlertId>) -> Result<bool, Fault> {
    let Some(id) = alert else { return Ok(false) };
    Ok(tx.optional(sqlx::query("SELECT 1 FROM alerts WHERE id = $1").bind(id.to_string())).await?.is_some())
}

async fn load(tx: &mut Tx, requests: &[&Request]) -> Result<Stored, Fault> {
    let alerts: Vec<(&Request, &Alert)> = requests.iter().flat_map(|r| r.alerts.iter().map(move |a| (*r, a))).collect();
    let keys: HashSet<IncidentKey> = alerts.iter().map(|(request, alert)| request.key_of(alert)).collect();
    let keys: Vec<IncidentKey> = keys.into_iter().collect();
    let open = open_incidents(tx, &keys).await?;
    let mut ended = HashMap::new();
    if requests.iter().any(|r| r.quiet_since.is_some() || r.handed_over_since.is_some()) {
        let rest: Vec<IncidentKey> = keys.into_iter().filter(|k| !open.contains_key(k)).collect();
        if !rest.is_empty() {
            ended = ended_incidents(tx, &rest).await?;
        }
    }
    let known = |key: &IncidentKey| open.get(key).or_else(|| ended.get(key).map(|e| &e.known)).map(|known| known.id);
    let words: HashSet<(IncidentId, String)> =
        alerts.iter().filter_map(|(request, alert)| known(&request.key_of(alert)).map(|id| (id, alert_key(alert)))).collect();
    let words = if words.is_empty() { HashMap::new() } else { last_words(tx, words.into_iter().unzip()).await? };
    let ids: Vec<String> = alerts.iter().map(|(_, alert)| alert.id.to_string()).collect();
    Ok(Stored { open, ended, words, alerts: kept_alerts(tx, ids).await? })
}

type Columns = (Vec<String>, Vec<String>, Vec<String>);

fn columns(keys: &[IncidentKey]) -> Columns {
    let (mut tenants, mut clusters, mut fingerprints) = (Vec::new(), Vec::new(), Vec::new());
    for key in keys {
        tenants.push(key.tenant.clone());
        clusters.push(key.cluster.clone());
        fingerprints.push(key.fingerprint.clone());
    }
    (tenants, clusters, fingerprints)
}

// Both lock what they find, in the order of ids, so that two commits never wait for each other; what ended while they waited drops out.

async fn open_incidents(tx: &mut Tx, keys: &[IncidentKey]) -> Result<HashMap<IncidentKey, Known>, Fault> {
    let (tenants, clusters, fingerprints) = columns(keys);
    let query = sqlx::query(
        "SELECT i.tenant, i.cluster, i.fingerprint, i.id, i.occurrences, i.firing, i.alert_resolved_at, i.severity \
         FROM unnest($1::text[], $2::text[], $3::text[]) AS k (tenant, cluster, fingerprint) \
         JOIN incidents i ON i.tenant = k.tenant AND i.cluster = k.cluster AND i.fingerprint = k.fingerprint AND i.open ORDER BY i.id FOR UPDATE OF i",
    );
    let rows = tx.all(query.bind(tenants).bind(clusters).bind(fingerprints)).await?;
    rows.iter().map(|row| Ok((key(row)?, known(row)?))).collect()
}

async fn ended_incidents(tx: &mut Tx, keys: &[IncidentKey]) -> Result<HashMap<IncidentKey, Ended>, Fault> {
    let (tenants, clusters, fingerprints) = columns(keys);
    let query = sqlx::query(
        "SELECT i.tenant, i.cluster, i.fingerprint, i.id, i.occurrences, i.firing, i.alert_resolved_at, i.severity, i.closed_at, i.phase \
         FROM unnest($1::text[], $2::text[], $3::text[]) AS k (tenant, cluster, fingerprint) \
         JOIN incidents i ON i.id = (SELECT x.id FROM incidents x WHERE x.fingerprint = k.fingerprint AND x.tenant = k.tenant \
         AND x.cluster = k.cluster ORDER BY x.id DESC LIMIT 1) WHERE i.phase IN ('no_action', 'manual_review', 'ineffective', 'rolled_back', \
         'failed', 'timed_out') AND i.closed_at IS NOT NULL ORDER BY i.id FOR UPDATE OF i",
    );
    let rows = tx.all(query.bind(tenants).bind(clusters).bind(fingerprints)).await?;
    let ended = |row: &PgRow| -> Result<_, Fault> {
        let handed_over = row.try_get::<&str, _>("phase")? != "no_action";
        Ok((key(row)?, Ended { known: known(row)?, closed_at: time(row.try_get("closed_at")?)?, handed_over }))
    };
    rows.iter().map(ended).collect()
}

async fn last_words(tx: &mut Tx, (ids, keys): (Vec<IncidentId>, Vec<String>)) -> Result<HashMap<(IncidentId, String), bool>, Fault> {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let query = sqlx::query(
        "SELECT w.incident_id, w.alert_key, w.firing FROM unnest($1::text[], $2::text[]) AS k (id, key) \
         JOIN alert_words w ON w.incident_id = k.id AND w.alert_key = k.key",
    );
    let rows = tx.all(query.bind(ids).bind(keys)).await?;
    let word = |row: &PgRow| -> Result<_, Fault> {
        Ok(((row.try_get::<&str, _>("incident_id")?.parse()?, row.try_get("alert_key")?), row.try_get("firing")?))
    };
    rows.iter().map(word).collect()
}

async fn kept_alerts(tx: &mut Tx, ids: Vec<String>) -> Result<HashSet<AlertId>, Fault> {
    let rows = tx.all(sqlx::query("SELECT id FROM alerts WHERE id = ANY($1)").bind(ids)).await?;
    rows.iter().map(|row| Ok(row.try_get::<&str, _>("id")?.parse()?)).collect()
}

fn key(row: &PgRow) -> Result<IncidentKey, Fault> {
    Ok(IncidentKey { tenant: row.try_get("tenant")?, cluster: row.try_get("cluster")?, fingerprint: row.try_get("fingerprint")? })
}

fn known(row: &PgRow) -> Result<Known, Fault> {
    Ok(Known { id: row.try_get::<&str, _>("id")?.parse()?, counts: counts(row)? })
}

async fn write(tx: &mut Tx, plan: Plan<'_>) -> Result<Vec<Vec<IntakeResult>>, Fault> {
    create(tx, plan.created).await?;
    let (woken, quiet): (Vec<_>, Vec<_>) = plan.counted.into_iter().partition(|(id, _)| plan.woken.contains(id));
    recount(tx, true, &woken).await?;
    recount(tx, false, &quiet).await?;
    keep(tx, &plan.alerts).await?;
    let (mut ids, mut keys, mut firing) = (Vec::new(), Vec::new(), Vec::new());
    for ((id, key), fires) in plan.words {
        ids.push(id.to_string());
        keys.push(key);
        firing.push(fires);
    }
    if !ids.is_empty() {
        let query = sqlx::query(
            "INSERT INTO alert_words (incident_id, alert_key, firing, at) SELECT id, key, firing, $4 FROM unnest($1::text[], $2::text[], $3::bool[]) \
             AS k (id, key, firing) ON CONFLICT (incident_id, alert_key) DO UPDATE SET firing = excluded.firing, at = excluded.at",
        );
        let now = micros(tx.now);
        tx.execute(query.bind(ids).bind(keys).bind(firing).bind(now)).await?;
    }
    Ok(plan.results)
}

async fn create(tx: &mut Tx, mut created: Vec<(Incident, NewEvent)>) -> Result<(), Fault> {
    if created.is_empty() {
        return Ok(());
    }
    // In one order everywhere, so that two commits which open the same incidents wait for each other one way round.
    created.sort_by(|(a, _), (b, _)| (&a.tenant, &a.cluster, &a.fingerprint).cmp(&(&b.tenant, &b.cluster, &b.fingerprint)));
    let (mut incidents, mut ends, mut docs, mut rows) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (incident, event) in created {
        let subject = Subject { id: incident.id, tenant: incident.tenant.clone(), cluster: incident.cluster.clone(), attempt: incident.attempt };
        let mut end = ChainEnd::default();
        rows.extend(audit::rows(&subject, &mut end, vec![event], tx.now));
        docs.push(encode("incident", &incident)?);
        ends.push(end);
        incidents.push(incident);
    }
    let texts = |of: fn(&Incident) -> String| -> Vec<String> { incidents.iter().map(of).collect() };
    let numbers = |of: fn(&Incident) -> i64| -> Vec<i64> { incidents.iter().map(of).collect() };
    let query = sqlx::query(
        "WITH new AS (SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], \
         $9::text[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::text[], $15::text[]) WITH ORDINALITY AS t (id, tenant, \
         cluster, fingerprint, namespace, phase, attempt, opened_at, severity, occurrences, firing, alert_resolved_at, audit_seq, audit_hash, doc, \
         n)), documents AS (INSERT INTO incident_docs (incident_id, doc) SELECT id, doc FROM new) \
         INSERT INTO incidents (id, tenant, cluster, fingerprint, namespace, phase, open, attempt, opened_at, severity, occurrences, firing, \
         alert_resolved_at, wake_at, audit_seq, audit_hash) SELECT id, tenant, cluster, fingerprint, namespace, phase, TRUE, attempt, opened_at, \
         severity, occurrences, firing, alert_resolved_at, opened_at, audit_seq, audit_hash FROM new ORDER BY n",
    )
    .bind(texts(|i| i.id.to_string()))
    .bind(texts(|i| i.tenant.clone()))
    .bind(texts(|i| i.cluster.clone()))
    .bind(texts(|i| i.fingerprint.clone()))
    .bind(incidents.iter().map(|i| i.target.namespace.clone()).collect::<Vec<Option<String>>>())
    .bind(texts(|i| i.phase.as_str().to_owned()))
    .bind(numbers(|i| i64::from(i.attempt)))
    .bind(numbers(|i| micros(i.opened_at)))
    .bind(texts(|i| severity_name(i.severity).to_owned()))
    .bind(numbers(|i| int(i.occurrences)))
    .bind(numbers(|i| int(i.firing)))
    .bind(incidents.iter().map(|i| optional_micros(i.alert_resolved_at)).collect::<Vec<Option<i64>>>())
    .bind(ends.iter().map(|end| int(end.seq)).collect::<Vec<i64>>())
    .bind(ends.iter().map(|end| end.hash.clone()).collect::<Vec<String>>())
    .bind(docs);
    tx.execute(query).await?;
    events::insert(tx, &rows).await
}

/// Writes the counts of incidents, and wakes them if `wake`.
pub(crate) async fn recount(tx: &mut Tx, wake: bool, counted: &[(IncidentId, Counts)]) -> Result<(), Fault> {
    if counted.is_empty() {
        return Ok(());
    }
    let numbers = |of: fn(&Counts) -> i64| -> Vec<i64> { counted.iter().map(|(_, counts)| of(counts)).collect() };
    let query = sqlx::query(
        "UPDATE incidents SET occurrences = v.occurrences, firing = v.firing, alert_resolved_at = v.resolved, severity = v.severity, \
         woken = woken OR $6 \
         FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[]) AS v (id, occurrences, firing, resolved, severity) \
         WHERE incidents.id = v.id",
    )
    .bind(counted.iter().map(|(id, _)| id.to_string()).collect::<Vec<String>>())
    .bind(numbers(|c| int(c.occurrences)))
    .bind(numbers(|c| int(c.firing)))
    .bind(counted.iter().map(|(_, c)| optional_micros(c.alert_resolved_at)).collect::<Vec<Option<i64>>>())
    .bind(counted.iter().map(|(_, c)| severity_name(c.severity).to_owned()).collect::<Vec<String>>())
    .bind(wake);
    tx.execute(query).await?;
    Ok(())
}

async fn keep(tx: &mut Tx, alerts: &[KeptAlert<'_>]) -> Result<(), Fault> {
    if alerts.is_empty() {
        return Ok(());
    }
    let docs: Vec<String> = alerts.iter().map(|kept| encode("alert", kept.alert)).collect::<Result<_, Fault>>()?;
    let query = sqlx::query(
        "INSERT INTO alerts (id, incident_id, fingerprint, received_at, doc) SELECT id, incident, fingerprint, received, doc \
         FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[]) WITH ORDINALITY \
         AS k (id, incident, fingerprint, received, doc, n) ORDER BY n",
    )
    .bind(alerts.iter().map(|kept| kept.alert.id.to_string()).collect::<Vec<String>>())
    .bind(alerts.iter().map(|kept| kept.incident_id.map(|id| id.to_string())).collect::<Vec<Option<String>>>())
    .bind(alerts.iter().map(|kept| kept.alert.fingerprint.clone()).collect::<Vec<String>>())
    .bind(alerts.iter().map(|kept| micros(kept.alert.received_at)).collect::<Vec<i64>>())
    .bind(docs);
    tx.execute(query).await?;
    Ok(())
}
