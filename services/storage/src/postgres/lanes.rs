//! Lanes that take alerts in: what waits at the same moment shares one commit.

use std::{sync::Arc, time::Instant};

use kubernaut_core::{ErrorKind, model::IntakeResult};
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinSet,
};

use super::{
    backend::{Pause, Shared},
    error::{Again, Fault},
    intake::{self, Taken},
};
use crate::{
    rules::intake::Request,
    shared::ticket::{Failure, IntakeJob},
};

const OPERATION: &str = "ledger.intake";

/// Starts the lanes; they end when nobody can send any more.
pub(crate) fn start(shared: &Arc<Shared>, waiting: mpsc::Receiver<IntakeJob>, lanes: usize, batch: usize) -> JoinSet<()> {
    let waiting = Arc::new(Mutex::new(waiting));
    let mut tasks = JoinSet::new();
    for _ in 0..lanes.max(1) {
        tasks.spawn(lane(shared.clone(), waiting.clone(), batch.max(1)));
    }
    tasks
}

async fn lane(shared: Arc<Shared>, waiting: Arc<Mutex<mpsc::Receiver<IntakeJob>>>, batch: usize) {
    let mut jobs = Vec::new();
    while waiting.lock().await.recv_many(&mut jobs, batch).await > 0 {
        jobs.retain(IntakeJob::start);
        if !jobs.is_empty() {
            group(&shared, std::mem::take(&mut jobs)).await;
        }
    }
}

/// Commits the alerts of all jobs together. If that fails for another reason than the way to the database, each is tried alone, so that a
/// good one does not fail with a bad one.
async fn group(shared: &Shared, jobs: Vec<IntakeJob>) {
    let began = Instant::now();
    let requests: Vec<&Request> = jobs.iter().map(|job| &job.request).collect();
    match commit(shared, &requests).await {
        Ok(results) => {
            metrics::counter!("kubernaut_storage_commits_total").increment(1);
            metrics::counter!("kubernaut_storage_writes_total").increment(u64::try_from(jobs.len()).unwrap_or(u64::MAX));
            metrics::histogram!("kubernaut_storage_commit_seconds").record(began.elapsed().as_secs_f64());
            for (mut job, results) in jobs.into_iter().zip(results) {
                job.outcome = Some(Ok(results));
                job.finish(None);
            }
        }
        Err(fault) => {
            let error = fault.public(OPERATION);
            if jobs.len() > 1 && error.kind() != ErrorKind::Unavailable {
                tracing::warn!(%error, requests = jobs.len(), "alerts that were taken in together failed; each request is tried alone");
                for job in jobs {
                    Box::pin(group(shared, vec![job])).await;
                }
                return;
            }
            let failure = Failure { kind: error.kind(), message: error.message().to_owned(), cause: format!("{error:?}") };
            jobs.into_iter().for_each(|job| job.finish(Some(&failure)));
        }
    }
}

/// One commit, tried again where another one was in the way. If the connection is lost during the commit, the next one looks whether it
/// was written, so that nothing is counted twice and nothing is answered that is not there.
async fn commit(shared: &Shared, requests: &[&Request]) -> Result<Vec<Vec<IntakeResult>>, Fault> {
    let mut pause = Pause::default();
    let mut in_doubt: Option<Taken> = None;
    loop {
        let fault = match attempt(shared, requests, &mut in_doubt).await {
            Ok(results) => return Ok(results),
            Err(fault) => fault,
        };
        if !pause.again(Again::of(&fault)).await {
            return Err(fault);
        }
    }
}

async fn attempt(shared: &Shared, requests: &[&Request], in_doubt: &mut Option<Taken>) -> Result<Vec<Vec<IntakeResult>>, Fault> {
    let mut tx = shared.begin().await?;
    if let Some(taken) = in_doubt
        && intake::is_kept(&mut tx, taken.marker).await?
    {
        shared.changed();
        return Ok(std::mem::take(&mut taken.results));
    }
    let mut taken = match intake::take(&mut tx, requests).await {
        Ok(taken) => taken,
        Err(fault) => {
            tx.rollback().await;
            return Err(fault);
        }
    };
    match tx.commit().await {
        Ok(wrote) => {
            if wrote {
                shared.changed();
            }
            Ok(std::mem::take(&mut taken.results))
        }
        Err(error) => {
            if Again::of_sql(&error) == Again::Elsewhere && taken.marker.is_some() {
                *in_doubt = Some(taken);
            }
            Err(Fault::Postgres(error))
        }
    }
}
