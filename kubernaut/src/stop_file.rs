//! A file that stops all acting for as long as it is there: for whoever can reach the machine but not the server.

use std::{path::PathBuf, sync::Arc, time::Duration};

use kubernaut_core::{port::Ledger, service::CallContext};
use tokio_util::sync::CancellationToken;

/// Between looks; an action that begins in between looks at the ledger only.
const INTERVAL: Duration = Duration::from_secs(1);

/// Sets the stop when the file appears, and lifts it when it is gone, unless somebody else has set it meanwhile.
pub(crate) async fn watch(path: PathBuf, ledger: Arc<dyn Ledger>, shutdown: CancellationToken) {
    let reason = format!("the file {} is there", path.display());
    loop {
        if let Err(error) = look(&path, &reason, &ledger).await {
            tracing::error!(path = %path.display(), %error, "the stop file cannot be honoured now");
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

async fn look(path: &PathBuf, reason: &str, ledger: &Arc<dyn Ledger>) -> kubernaut_core::Result<()> {
    // What cannot be looked at counts as there: a stop that is not seen is worse than one too many.
    let there = tokio::fs::try_exists(path).await.unwrap_or(true);
    let ctx = CallContext::system("stop_file");
    let now = ledger.stopped(ctx.clone()).await?;
    let ours = now.as_deref().is_some_and(|r| r.contains(reason));
    match (there, now.is_some()) {
        (true, false) => {
            tracing::warn!(%reason, "all acting is stopped");
            ledger.set_stopped(ctx, Some(reason.to_owned())).await
        }
        (false, true) if ours => {
            tracing::warn!(path = %path.display(), "the stop file is gone; acting is allowed again");
            ledger.set_stopped(ctx, None).await
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use kubernaut_core::port::SystemClock;
    use kubernaut_storage::{SqliteConfig, SqliteLedger};

    use super::*;

    #[tokio::test]
    async fn a_file_stops_and_its_end_resumes_but_not_what_somebody_else_stopped() {
        let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::open(SqliteConfig::memory(), Arc::new(SystemClock)).await.unwrap());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stop");
        let stopped = async || ledger.stopped(CallContext::system("test")).await.unwrap();
        look(&path, "the file x is there", &ledger).await.unwrap();
        assert_eq!(stopped().await, None);
        std::fs::write(&path, "").unwrap();
        look(&path, "the file x is there", &ledger).await.unwrap();
        assert!(stopped().await.unwrap().contains("the file x is there"));
        std::fs::remove_file(&path).unwrap();
        look(&path, "the file x is there", &ledger).await.unwrap();
        assert_eq!(stopped().await, None);
        ledger.set_stopped(CallContext::system("ana"), Some("game day".into())).await.unwrap();
        look(&path, "the file x is there", &ledger).await.unwrap();
        assert!(stopped().await.is_some(), "somebody else's stop stays");
    }
}
