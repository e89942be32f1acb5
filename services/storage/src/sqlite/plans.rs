//! Every statement on the way of an alert is one look-up in an index a row: its cost does not grow with what is stored.

use kubernaut_core::model::Timestamp;
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};

use super::{bulk::values, intake, schema};

async fn plan(connection: &mut SqliteConnection, sql: String) -> Vec<String> {
    let rows = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"))).fetch_all(connection).await.unwrap();
    rows.iter().map(|row| row.get("detail")).collect()
}

#[tokio::test]
async fn intake_and_claiming_go_through_the_whole_of_no_table() {
    let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    schema::migrate(&mut connection, Timestamp::UNIX_EPOCH).await.unwrap();
    let bulk = |(head, tail): (&str, &str), columns| values(head, columns, 64, tail);
    let words = "INSERT INTO alert_words (incident_id, alert_key, firing, at) SELECT * FROM (";
    for (what, sql) in [
        ("open incidents", bulk(intake::OPEN, 4)),
        ("ended incidents", bulk(intake::ENDED, 4)),
        ("kept alerts", bulk(intake::KEPT, 1)),
        ("counts", bulk((intake::recount_head(false), intake::RECOUNT), 5)),
        ("counts and wake-ups", bulk((intake::recount_head(true), intake::RECOUNT), 5)),
        ("last words", bulk((words, ") WHERE column1 IS NOT NULL ON CONFLICT (incident_id, alert_key) DO UPDATE SET firing = excluded.firing"), 4)),
        ("claim of an incident", super::leases::CLAIM.to_owned()),
        ("claim of a run", super::runs::CLAIM.to_owned()),
        ("events of an incident", "SELECT * FROM events WHERE incident_id = 'i' AND seq > 1 ORDER BY seq LIMIT 10".to_owned()),
        ("alerts of an incident", "SELECT doc FROM alerts WHERE incident_id = 'i' ORDER BY seq".to_owned()),
    ] {
        let steps = plan(&mut connection, sql).await;
        // Only what was handed in, what was found, and the indexes of what was woken may be gone through.
        let own = [
            "k",
            "v",
            "64-ROW VALUES",
            "(subquery",
            "incidents USING COVERING INDEX incidents_woken",
            "runs USING COVERING INDEX runs_woken",
            "runs USING INDEX runs_unread",
        ];
        let scans: Vec<_> = steps.iter().filter(|s| s.starts_with("SCAN") && !own.iter().any(|own| s[5..].starts_with(own))).collect();
        assert!(scans.is_empty() && !steps.is_empty(), "{what}: {steps:#?}");
    }
}
