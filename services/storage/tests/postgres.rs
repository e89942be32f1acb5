//! What holds for PostgreSQL in particular: several processes on one ledger. Two open ledgers of one schema are two processes to the database;
//! where one has to be killed, it is a real one.

#![cfg(feature = "postgres")]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{
    collections::{BTreeMap, HashSet},
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use kubernaut_core::{
    ErrorKind,
    model::{Alert, IncidentId, IntakeOutcome, IntakeResult, ObjectRef, Phase, first_broken_row},
    port::{Advance, IncidentFilter, Intake, IntakePolicy, Lease, Ledger, NewEvent, SystemClock},
    service::CallContext,
};
use kubernaut_storage::{PostgresConfig, PostgresLedger};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

mod common;
use common::{alert, database};

fn ctx() -> CallContext {
    CallContext::system("test")
}

async fn open(config: &PostgresConfig) -> PostgresLedger {
    PostgresLedger::open(config.clone(), Arc::new(SystemClock)).await.unwrap()
}

async fn take(ledger: &PostgresLedger, alerts: Vec<Alert>) -> Vec<IntakeResult> {
    ledger.intake(ctx(), Intake { alerts, policy: IntakePolicy::default() }).await.unwrap()
}

fn ended(lease: Lease) -> Advance {
    let mut incident = lease.incident;
    incident.phase = Phase::Resolved;
    let events = vec![NewEvent::system("incident.phase_changed", "test", json!({ "to": "resolved" }))];
    Advance { incident, epoch: lease.epoch, events, notifications: Vec::new(), wake_at: None, release: true }
}

#[tokio::test]
async fn audit_rows_are_append_only() {
    let Some(url) = database::url() else { return };
    let config = database::config(&url);
    let ledger = open(&config).await;
    let id = take(&ledger, vec![alert("a", "p1")]).await[0].incident_id.unwrap();
    let mut db = PgConnection::connect(&url).await.unwrap();
    let schema = &config.schema;
    for forbidden in [
        format!("UPDATE {schema}.audit SET actor = 'nobody'"),
        format!("DELETE FROM {schema}.audit"),
        format!("TRUNCATE {schema}.audit"),
        format!("INSERT INTO {schema}.audit SELECT * FROM {schema}.audit ON CONFLICT (incident_id, seq) DO UPDATE SET actor = 'nobody'"),
        format!("INSERT INTO {schema}.audit_purges VALUES (1, '{id}', 1, 1, 'another', 0, 0, 'nobody', '', '')"),
        format!("INSERT INTO {schema}.audit_purges VALUES (1, '{id}', 1, 0, 'another', 0, 0, 'nobody', '', '')"),
    ] {
        let refused = sqlx::query(AssertSqlSafe(forbidden.clone())).execute(&mut db).await.unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{forbidden}: {refused}");
    }
    assert_eq!(first_broken_row(&ledger.audit(ctx(), id).await.unwrap()), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_meet_open_one_incident() {
    let Some(url) = database::url() else { return };
    let config = database::config(&url);
    let processes = [open(&config).await, open(&config).await, open(&config).await];
    let mut tasks = Vec::new();
    for n in 0..120 {
        let ledger = processes[n % 3].clone();
        // In different orders, so that commits would wait for each other if they did not sort.
        let mut fingerprints: Vec<String> = (0..8).map(|f| format!("f{f}")).collect();
        fingerprints.rotate_left(n % 8);
        tasks.push(tokio::spawn(async move { take(&ledger, fingerprints.iter().map(|f| alert(f, &format!("p{}", n % 5))).collect()).await }));
    }
    let mut outcomes: BTreeMap<IncidentId, (u32, u32)> = BTreeMap::new();
    for task in tasks {
        for result in task.await.unwrap() {
            let counts = outcomes.entry(result.incident_id.unwrap()).or_default();
            match result.outcome {
                IntakeOutcome::Created => counts.0 += 1,
                IntakeOutcome::Duplicate => counts.1 += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(outcomes.len(), 8, "one incident a fingerprint: {outcomes:?}");
    for (id, counts) in outcomes {
        assert_eq!(counts, (1, 119), "each alert was counted, one of them opened the incident");
        let incident = processes[0].incident(ctx(), id).await.unwrap();
        assert_eq!((incident.occurrences, incident.firing), (120, 5));
        assert_eq!(first_broken_row(&processes[1].audit(ctx(), id).await.unwrap()), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_resumes_misses_nothing_while_processes_write() {
    let Some(url) = database::url() else { return };
    let config = database::config(&url);
    let processes = [open(&config).await, open(&config).await];
    let ids: Vec<IncidentId> =
        take(&processes[0], (0..4).map(|f| alert(&format!("f{f}"), "p")).collect()).await.iter().map(|r| r.incident_id.unwrap()).collect();
    const EACH: u32 = 40;
    let writers: Vec<_> = (0..16)
        .map(|writer: usize| {
            let (ledger, id) = (processes[writer % 2].clone(), ids[writer % 4]);
            tokio::spawn(async move {
                for n in 0..EACH {
                    ledger.append_events(ctx(), id, vec![NewEvent::system("x", "test", json!({ "writer": writer, "n": n }))]).await.unwrap();
                }
            })
        })
        .collect();
    let (mut after, mut seen) = (0, Vec::new());
    let expected = 4 + 16 * EACH as usize;
    let began = Instant::now();
    while seen.len() < expected {
        assert!(began.elapsed() < Duration::from_secs(60), "{} of {expected} events seen", seen.len());
        let reader = &processes[seen.len() % 2];
        for event in reader.events(ctx(), after, None, Some(50)).await.unwrap() {
            assert_eq!(event.seq, after + 1, "no number is left out, so none can come later");
            after = event.seq;
            seen.push(event);
        }
    }
    futures::future::join_all(writers).await;
    assert!(processes[0].events(ctx(), after, None, None).await.unwrap().is_empty());
    for id in ids {
        let rows = processes[0].audit(ctx(), id).await.unwrap();
        let told: Vec<_> = seen.iter().filter(|e| e.incident_id == id).map(|e| &e.data).collect();
        assert_eq!(told, rows.iter().map(|r| &r.data).collect::<Vec<_>>(), "events of an incident come in the order of its audit");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_wakes_the_waiters_of_other_processes() {
    let Some(url) = database::url() else { return };
    let config = database::config(&url);
    let (here, there) = (open(&config).await, open(&config).await);
    let mut changes = there.changes();
    changes.borrow_and_update();
    take(&here, vec![alert("a", "p")]).await;
    tokio::time::timeout(Duration::from_secs(5), changes.changed()).await.expect("it was told").unwrap();
    assert!(there.claim(ctx(), "w".into(), Duration::from_secs(30)).await.unwrap().is_some(), "and what it was told of is there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_share_the_work_and_no_incident_is_driven_twice() {
    let Some(url) = database::url() else { return };
    let config = database::config(&url);
    let processes = [open(&config).await, open(&config).await];
    take(&processes[0], (0..80).map(|f| alert(&format!("f{f}"), "p")).collect()).await;
    let workers: Vec<_> = (0..8)
        .map(|worker: usize| {
            let ledger = processes[worker % 2].clone();
            tokio::spawn(async move {
                let mut driven = Vec::new();
                while let Some(lease) = ledger.claim(ctx(), format!("w{worker}"), Duration::from_secs(60)).await.unwrap() {
                    driven.push(lease.incident.id);
                    ledger.advance(ctx(), ended(lease)).await.unwrap();
                }
                driven
            })
        })
        .collect();
    let mut shares = [0, 0];
    let mut all = Vec::new();
    for (worker, task) in workers.into_iter().enumerate() {
        let driven = task.await.unwrap();
        shares[worker % 2] += driven.len();
        all.extend(driven);
    }
    let once: HashSet<_> = all.iter().copied().collect();
    assert_eq!((all.len(), once.len()), (80, 80), "each incident once");
    assert!(shares.iter().all(|n| *n > 0), "both processes had work: {shares:?}");
}

const WORKER: &str = "KUBERNAUT_POSTGRES_WORKER";
const TTL: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_work_of_a_killed_process_is_taken_over_within_its_lease() {
    let Some(url) = database::url() else { return };
    if let Ok(schema) = std::env::var(WORKER) {
        return work_for_ever(PostgresConfig { schema, ..PostgresConfig::url(url) }).await;
    }
    let config = database::config(&url);
    let ledger = open(&config).await;
    let id = take(&ledger, vec![alert("a", "p")]).await[0].incident_id.unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["the_work_of_a_killed_process_is_taken_over_within_its_lease", "--exact", "--nocapture", "--test-threads=1"])
        .env(WORKER, &config.schema)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let claimed = lines.find_map(|line| line.unwrap().strip_prefix("holds ").map(str::to_owned)).expect("the worker ended by itself");
    assert_eq!(claimed, id.to_string());
    // It lives and renews, so nobody else gets the incident, though its first lease would be over by now.
    lines.by_ref().filter(|line| line.as_ref().is_ok_and(|l| l == "renewed")).nth(3).expect("the worker ended by itself").unwrap();
    assert_eq!(ledger.claim(ctx(), "next".into(), TTL).await.unwrap(), None);
    child.kill().unwrap();
    child.wait().unwrap();
    let killed = Instant::now();
    let lease = loop {
        if let Some(lease) = ledger.claim(ctx(), "next".into(), TTL).await.unwrap() {
            break lease;
        }
        assert!(killed.elapsed() < TTL + Duration::from_secs(2), "nobody got it");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(killed.elapsed() <= TTL + Duration::from_secs(1), "taken over after {:?}", killed.elapsed());
    println!("taken over {:?} after the kill, the lease was {TTL:?}", killed.elapsed());
    let mut late = ended(lease.clone());
    late.epoch = lease.epoch - 1;
    assert_eq!(ledger.advance(ctx(), late).await.unwrap_err().kind(), ErrorKind::StaleEpoch, "what the killed one would still write is refused");
    ledger.advance(ctx(), ended(lease)).await.unwrap();
}

async fn work_for_ever(config: PostgresConfig) {
    let ledger = open(&config).await;
    let lease = ledger.claim(ctx(), "child".into(), TTL).await.unwrap().unwrap();
    let say = |text: String| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{text}").and_then(|()| out.flush()).unwrap();
    };
    // The name of the test stands on the line that has been begun.
    say(String::new());
    say(format!("holds {}", lease.incident.id));
    loop {
        tokio::time::sleep(TTL / 3).await;
        ledger.renew(ctx(), lease.incident.id, lease.epoch, TTL).await.unwrap();
        say("renewed".to_owned());
    }
}

#[tokio::test]
async fn schemas_of_others_and_of_newer_versions_are_refused() {
    let Some(url) = database::url() else { return };
    let config = database::config(&url);
    open(&config).await.close().await.unwrap();
    let mut db = PgConnection::connect(&url).await.unwrap();
    let run = async |db: &mut PgConnection, sql: String| sqlx::query(AssertSqlSafe(sql)).execute(db).await.unwrap();
    run(&mut db, format!("INSERT INTO {}.schema_versions VALUES (99, 'future', 'x', 0)", config.schema)).await;
    let refused = PostgresLedger::open(config, Arc::new(SystemClock)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported, "{refused}");

    let foreign = database::config(&url);
    run(&mut db, format!("CREATE SCHEMA {}", foreign.schema)).await;
    run(&mut db, format!("CREATE TABLE {}.notes (text TEXT)", foreign.schema)).await;
    assert_eq!(PostgresLedger::open(foreign, Arc::new(SystemClock)).await.unwrap_err().kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn a_database_that_is_not_there_is_unavailable_and_no_secret_is_told() {
    let config = PostgresConfig { acquire_timeout_s: 1, ..PostgresConfig::url("postgres://ana:hunter2@127.0.0.1:1/k") };
    let error = PostgresLedger::open(config, Arc::new(SystemClock)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.retry_delay().is_some(), "it says when to try again");
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("127.0.0.1:1/k") && !shown.contains("hunter2"), "{shown}");
}

#[tokio::test]
async fn what_a_text_column_cannot_hold_is_taken_in_all_the_same() {
    let Some(url) = database::url() else { return };
    let ledger = open(&database::config(&url)).await;
    let mut odd = alert("f\0", "p");
    odd.source_fingerprint = Some("\0".into());
    odd.target = ObjectRef::new("Pod", Some("shop\0"), "p\0");
    odd.labels.insert("k\0".into(), "v\0".into());
    let first = take(&ledger, vec![odd.clone()]).await;
    odd.id = alert("x", "p").id;
    let second = take(&ledger, vec![odd]).await;
    assert_eq!((first[0].outcome, second[0].outcome), (IntakeOutcome::Created, IntakeOutcome::Duplicate));
    let listed = ledger.incidents(ctx(), IncidentFilter::default()).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(ledger.alerts(ctx(), listed[0].id).await.unwrap()[0].labels["k\0"], "v\0", "documents are kept as they came");
}
