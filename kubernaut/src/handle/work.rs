//! Threads for the work on incidents, apart from those that take alerts in.
//!
//! An analysis takes the processor for milliseconds. On the threads that answer webhooks it would hold up the answers, and in a storm there is no end
//! of it. So it has threads of its own, which give way: work waits, and alerts do not.

use tokio::runtime::{Builder, Handle, Runtime};

/// How far the threads give way to others of this process and its neighbours, as `nice` counts it.
#[cfg(target_os = "linux")]
const GIVE_WAY: i32 = 10;

/// The threads; they end when this is dropped.
#[derive(Debug)]
pub(super) struct Work(Option<Runtime>);

impl Work {
    /// `threads` of its own, or those of the caller's runtime if it is 0.
    pub(super) fn start(threads: usize) -> Self {
        if threads == 0 {
            return Self(None);
        }
        let runtime =
            Builder::new_multi_thread().worker_threads(threads).thread_name("kubernaut-work").on_thread_start(give_way).enable_all().build();
        match runtime {
            Ok(runtime) => Self(Some(runtime)),
            Err(error) => {
                tracing::warn!(%error, "no threads of its own for the work on incidents; it shares those that take alerts in");
                Self(None)
            }
        }
    }

    /// Where the work runs.
    pub(super) fn handle(&self) -> Handle {
        self.0.as_ref().map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Waiting for the threads is not allowed where this may be dropped; what they did not finish comes again after the next start.
            runtime.shutdown_background();
        }
    }
}

fn give_way() {
    // On Linux this is a matter of the thread alone. Where it is not allowed, the threads compete as equals.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(GIVE_WAY) {
        tracing::debug!(%error, "the work on incidents cannot give way to intake");
    }
}
