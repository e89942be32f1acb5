//! A cluster that writes down what is asked of it, and can be told to misbehave.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use kubernaut_cluster::BundleCluster;
use kubernaut_core::{
    Error, ErrorKind, Result, async_trait,
    model::{IntentState, ObjectRef},
    port::{AccessReview, ClusterWrite, EvictRequest, Ledger, PatchKind, PatchRequest, ScaleRequest, WriteOutcome},
    service::CallContext,
};
use kubernaut_executor::LAST_ACTION;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// One call.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub target: ObjectRef,
    pub dry_run: bool,
    /// Whether an open intent stood in the ledger when the call came.
    pub promised: bool,
}

/// What the next real writes do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is written.
    Lost(ErrorKind),
    /// It is written, but the answer is lost.
    AnswerLost,
}

/// What happens after some dry-runs.
type Hook = Box<dyn Fn() -> futures_like::Boxed + Send + Sync>;

mod futures_like {
    use std::{future::Future, pin::Pin};

    pub type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// After how many dry-runs, and what.
#[derive(Default)]
struct Later(Option<(usize, Hook)>);

impl std::fmt::Debug for Later {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Later").field(&self.0.as_ref().map(|(n, _)| n)).finish()
    }
}

#[derive(Debug)]
pub struct Recorder {
    pub inner: BundleCluster,
    ledger: Arc<dyn Ledger>,
    calls: Mutex<Vec<Call>>,
    key: Mutex<String>,
    fault: Mutex<Option<Fault>>,
    meddle: Mutex<Option<PatchRequest>>,
    later: Mutex<Later>,
    denied: AtomicBool,
    /// Real writes need a permit each; closed by `hold`.
    pub permits: Semaphore,
    held: AtomicBool,
    /// Gets a permit for each real write that waits.
    pub arrived: Semaphore,
}

impl Recorder {
    pub fn new(inner: BundleCluster, ledger: Arc<dyn Ledger>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            ledger,
            calls: Mutex::default(),
            key: Mutex::default(),
            fault: Mutex::default(),
            meddle: Mutex::default(),
            later: Mutex::default(),
            denied: AtomicBool::new(false),
            permits: Semaphore::new(0),
            held: AtomicBool::new(false),
            arrived: Semaphore::new(0),
        })
    }

    /// Real writes are expected under this key.
    pub fn expect(&self, key: &str) {
        key.clone_into(&mut self.key.lock().unwrap());
    }

    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    pub fn writes(&self) -> usize {
        self.calls().iter().filter(|c| !c.dry_run).count()
    }

    pub fn fault(&self, fault: Option<Fault>) {
        *self.fault.lock().unwrap() = fault;
    }

    pub fn deny(&self) {
        self.denied.store(true, Ordering::SeqCst);
    }

    pub fn hold(&self) {
        self.held.store(true, Ordering::SeqCst);
    }

    /// Right after the next dry-run somebody else makes this patch.
    pub fn meddle_after_dry_run(&self, target: ObjectRef, body: Value) {
        let request = PatchRequest { target, kind: PatchKind::Merge, body, resource_version: None, field_manager: "somebody".into(), dry_run: false };
        *self.meddle.lock().unwrap() = Some(request);
    }

    /// Right after that many dry-runs this happens.
    pub fn after_dry_runs(&self, count: usize, what: impl Fn() -> futures_like::Boxed + Send + Sync + 'static) {
        *self.later.lock().unwrap() = Later(Some((count, Box::new(what))));
    }

    fn due(&self) -> Option<futures_like::Boxed> {
        let mut later = self.later.lock().unwrap();
        let (left, what) = later.0.as_mut()?;
        *left -= 1;
        let now = (*left == 0).then(what);
        if now.is_some() {
            later.0 = None;
        }
        now
    }

    async fn note(&self, ctx: &CallContext, target: &ObjectRef, dry_run: bool, key: Option<&str>) -> Result<()> {
        let key = key.map_or_else(|| self.key.lock().unwrap().clone(), str::to_owned);
        let intent = self.ledger.intent(ctx.clone(), key).await?;
        let promised = intent.is_some_and(|i| i.state == IntentState::Open);
        self.calls.lock().unwrap().push(Call { target: target.clone(), dry_run, promised });
        if !dry_run && self.held.load(Ordering::SeqCst) {
            self.arrived.add_permits(1);
            self.permits.acquire().await.unwrap().forget();
        }
        match *self.fault.lock().unwrap() {
            Some(Fault::Lost(kind)) if !dry_run => Err(Error::new(kind, "recorder", "told to fail")),
            _ => Ok(()),
        }
    }

    async fn after(&self, ctx: &CallContext, dry_run: bool, outcome: WriteOutcome) -> Result<WriteOutcome> {
        if dry_run {
            if let Some(what) = self.due() {
                what.await;
            }
            let meddle = self.meddle.lock().unwrap().take();
            if let Some(request) = meddle {
                self.inner.patch(ctx.clone(), request).await?;
            }
            return Ok(outcome);
        }
        match *self.fault.lock().unwrap() {
            Some(Fault::AnswerLost) => Err(Error::new(ErrorKind::Timeout, "recorder", "the answer is lost")),
            _ => Ok(outcome),
        }
    }
}

/// The key that a patch marks.
fn marked(body: &Value) -> Option<&str> {
    let pointer = format!("/metadata/annotations/{}", LAST_ACTION.replace('/', "~1"));
    let by_operation = || body.as_array()?.iter().find(|o| o["path"] == pointer.as_str())?["value"].as_str();
    let whole = || body.as_array()?.iter().find(|o| o["path"] == "/metadata/annotations")?["value"][LAST_ACTION].as_str();
    body.pointer(&pointer).and_then(Value::as_str).or_else(by_operation).or_else(whole)
}

#[async_trait]
impl ClusterWrite for Recorder {
    async fn patch(&self, ctx: CallContext, request: PatchRequest) -> Result<WriteOutcome> {
        self.note(&ctx, &request.target, request.dry_run, marked(&request.body)).await?;
        let dry_run = request.dry_run;
        let outcome = self.inner.patch(ctx.clone(), request).await?;
        self.after(&ctx, dry_run, outcome).await
    }

    async fn evict(&self, ctx: CallContext, request: EvictRequest) -> Result<WriteOutcome> {
        self.note(&ctx, &request.pod, request.dry_run, None).await?;
        let dry_run = request.dry_run;
        let outcome = self.inner.evict(ctx.clone(), request).await?;
        self.after(&ctx, dry_run, outcome).await
    }

    async fn scale(&self, ctx: CallContext, request: ScaleRequest) -> Result<WriteOutcome> {
        self.note(&ctx, &request.target, request.dry_run, None).await?;
        self.inner.scale(ctx, request).await
    }

    async fn can_i(&self, ctx: CallContext, review: AccessReview) -> Result<bool> {
        Ok(!self.denied.load(Ordering::SeqCst) && self.inner.can_i(ctx, review).await?)
    }
}

/// A merge patch that somebody else makes.
pub async fn by_somebody(cluster: &dyn ClusterWrite, target: &str, body: Value) {
    let request = PatchRequest {
        target: target.parse().unwrap(),
        kind: PatchKind::Merge,
        body,
        resource_version: None,
        field_manager: "somebody".into(),
        dry_run: false,
    };
    cluster.patch(CallContext::system("somebody"), request).await.unwrap();
}

pub fn replicas(n: u32) -> Value {
    json!({"spec": {"replicas": n}})
}
