//! The part of the bindings' bench in Rust: the same calls over the same JSON, without another language. `bindings BUNDLE LEDGER`.

use std::time::{Duration, Instant};

use kubernaut::{
    Error, Result,
    host::{CallOptions, Host, Plugins},
};
use serde_json::{Value, json};

fn body(first: usize) -> Value {
    let alert = |n: usize| {
        json!({"status": "firing", "labels": {"alertname": "Down", "namespace": "shop", "deployment": format!("web-{n}"), "severity": "warning"},
            "annotations": {}, "startsAt": "2026-01-01T00:00:00Z"})
    };
    let alerts: Vec<Value> = (first..first + 100).map(alert).collect();
    json!({"version": "4", "status": "firing", "alerts": alerts})
}

fn call(host: &Host, operation: &str, params: &str) -> Result<String> {
    host.call_blocking(operation.to_owned(), params.to_owned(), CallOptions::default(), || Ok(()))
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let missing = || Error::invalid("bench", "give a bundle and a ledger file");
    let (bundle, ledger) = (args.next().ok_or_else(missing)?, args.next().ok_or_else(missing)?);
    let quiet = Host::new(&json!({"ledger": {"memory": true}, "cluster": {"bundle": bundle}}), false, Plugins::new(), None)?;
    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..3200 {
        let began = Instant::now();
        call(&quiet, "stopped", "{}")?;
        times.push(began.elapsed());
    }
    let times = &mut times[200..];
    times.sort_unstable();
    println!("rust:   call without a part            p50 {} µs, p99 {} µs", times[1500].as_micros(), times[2970].as_micros());
    let host = Host::new(&json!({"ledger": {"path": ledger}, "cluster": {"bundle": bundle}}), false, Plugins::new(), None)?;
    call(&host, "stats", "{}")?;
    let bodies: Vec<String> = (0..100).map(|n| json!({"body": body(n * 100).to_string()}).to_string()).collect();
    let began = Instant::now();
    for body in &bodies {
        call(&host, "ingest", body)?;
    }
    println!("rust:   ingest of 10,000 alerts        {:.2} s", began.elapsed().as_secs_f64());
    Ok(())
}
