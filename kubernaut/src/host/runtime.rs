//! The runtime of the process. It starts on first use, so that a process which forks before has none that it would inherit in part.

use std::{
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::Duration,
};

use kubernaut_core::{Error, ErrorKind, Result};
use tokio::runtime::{Builder, Handle, Runtime};

/// The runtime and the process that started it.
static RUNTIME: Mutex<Option<(u32, Arc<Runtime>)>> = Mutex::new(None);

/// The runtime of this process, started if need be. After a fork the child gets a runtime of its own.
///
/// # Errors
/// `Unavailable` if the system gives no threads.
pub fn runtime() -> Result<Handle> {
    let mut slot = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    if let Some((owner, runtime)) = slot.as_ref()
        && *owner == process
    {
        return Ok(runtime.handle().clone());
    }
    let built = Builder::new_multi_thread().enable_all().thread_name("kubernaut").build();
    let runtime = built.map_err(|e| Error::new(ErrorKind::Unavailable, "host.runtime", "the runtime's threads cannot be started").source(e))?;
    let handle = runtime.handle().clone();
    if let Some(of_parent) = slot.replace((process, Arc::new(runtime))) {
        // Its threads exist in the parent only; ending it here would wait for them.
        std::mem::forget(of_parent);
    }
    Ok(handle)
}

/// Waits on this thread for what runs on the runtime. `interrupted` is asked every now and then and can end the wait.
///
/// # Errors
/// The work's own, what `interrupted` says, and `BlockingInAsync` on a thread of the runtime, which would wait for itself.
pub fn block_on<T: Send + 'static>(
    operation: &'static str,
    work: impl Future<Output = Result<T>> + Send + 'static,
    mut interrupted: impl FnMut() -> Result<()>,
) -> Result<T> {
    if on_worker_thread() {
        let text = "a blocking call on a thread of the runtime would wait for itself; use the asynchronous form";
        return Err(Error::new(ErrorKind::BlockingInAsync, operation, text));
    }
    let (done, answer) = mpsc::sync_channel(1);
    let task = runtime()?.spawn(async move {
        // Nobody waits any more after an interruption.
        let _ = done.send(work.await);
    });
    loop {
        match answer.recv_timeout(Duration::from_millis(50)) {
            Ok(answer) => return answer,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                if let Err(error) = interrupted() {
                    task.abort();
                    return Err(error);
                }
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => return Err(Error::internal(operation, "the call broke off; its log says why")),
        }
    }
}

/// Threads that run plug-ins may block; the others of the runtime may not.
fn on_worker_thread() -> bool {
    Handle::try_current().is_ok() && !super::call::in_plugin()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocking_call_on_a_thread_of_the_runtime_fails_instead_of_hanging() {
        let answer = block_on("outer", async { block_on("inner", async { Ok(1) }, || Ok(())) }, || Ok(()));
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::BlockingInAsync);
    }

    #[test]
    fn a_wait_can_be_interrupted() {
        let answer = block_on("op", std::future::pending::<Result<()>>(), || Err(Error::new(ErrorKind::Cancelled, "op", "interrupted")));
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Cancelled);
    }
}
