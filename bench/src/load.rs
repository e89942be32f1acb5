//! Load: on a fixed schedule, or as much as a number of senders can.

use std::{
    io::Result,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::Semaphore, task::JoinSet};

use crate::{http::Connection, report::Times};

/// Requests, written beforehand.
pub type Requests = Arc<Vec<Vec<u8>>>;

/// Sends `rate` requests a second, whether or not earlier ones were answered. A time counts from when the request was due, so that requests which
/// had to wait for a slow answer are not counted as quick ones.
///
/// # Errors
/// If a connection breaks.
pub async fn on_schedule(address: SocketAddr, requests: Requests, rate: f64, connections: usize) -> Result<Times> {
    let due = Arc::new(Semaphore::new(0));
    let senders = open(address, connections).await?;
    let began = Instant::now() + Duration::from_millis(20);
    let (permits, count) = (due.clone(), requests.len());
    // A thread of its own wakes more exactly than the runtime's timer, which counts whole milliseconds.
    let clock = std::thread::spawn(move || {
        for number in 0..count {
            let wait = due_at(began, number, rate).saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                std::thread::sleep(wait);
            }
            permits.add_permits(1);
        }
        permits.add_permits(connections);
    });
    let next = Arc::new(AtomicUsize::new(0));
    let times = run(senders, move |mut connection| {
        let (due, next, requests) = (due.clone(), next.clone(), requests.clone());
        async move {
            let mut sent = Sent::default();
            loop {
                if let Ok(permit) = due.acquire().await {
                    permit.forget();
                }
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(request) = requests.get(number) else { return Ok(sent) };
                let status = connection.send(request).await?.status;
                sent.note(status, due_at(began, number, rate).elapsed());
            }
        }
    })
    .await?;
    // It has ended: the senders had all its permits.
    clock.join().ok();
    Ok(Times::of(times.times, times.refused, began.elapsed().as_secs_f64()))
}

fn due_at(began: Instant, number: usize, rate: f64) -> Instant {
    began + Duration::from_secs_f64(number as f64 / rate)
}

/// Sends all requests, each sender the next one as soon as its last was answered.
///
/// # Errors
/// If a connection breaks.
pub async fn flat_out(address: SocketAddr, requests: Requests, connections: usize) -> Result<Times> {
    let senders = open(address, connections).await?;
    let next = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let times = run(senders, move |mut connection| {
        let (next, requests) = (next.clone(), requests.clone());
        async move {
            let mut sent = Sent::default();
            while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                let began = Instant::now();
                let status = connection.send(request).await?.status;
                sent.note(status, began.elapsed());
            }
            Ok(sent)
        }
    })
    .await?;
    Ok(Times::of(times.times, times.refused, began.elapsed().as_secs_f64()))
}

#[derive(Debug, Default)]
struct Sent {
    times: Vec<Duration>,
    refused: u64,
}

impl Sent {
    fn note(&mut self, status: u16, took: Duration) {
        if (200..300).contains(&status) { self.times.push(took) } else { self.refused += 1 }
    }
}

async fn open(address: SocketAddr, connections: usize) -> Result<Vec<Connection>> {
    let mut all = Vec::with_capacity(connections);
    for _ in 0..connections {
        all.push(Connection::open(address).await?);
    }
    Ok(all)
}

async fn run<F, W>(senders: Vec<Connection>, work: F) -> Result<Sent>
where
    F: Fn(Connection) -> W,
    W: Future<Output = Result<Sent>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for sender in senders {
        tasks.spawn(work(sender));
    }
    let mut all = Sent::default();
    while let Some(done) = tasks.join_next().await {
        let sent = done.map_err(std::io::Error::other)??;
        all.times.extend(sent.times);
        all.refused += sent.refused;
    }
    Ok(all)
}
