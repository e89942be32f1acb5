//! Puts the services together. Anything can be replaced.

use std::sync::Arc;

use kubernaut_cluster::{BundleCluster, CachedCluster, KubeCluster, KubeConfig};
use kubernaut_core::{
    Error, Result,
    model::{HistoryEntry, Mode},
    port::{Clock, ClusterRead, ClusterWrite, Ledger, SystemClock, Verifier},
    service::{Analyzer, CallContext, Classifier, ContextStore, Executor, Notifier, WorkflowEngine},
};
use kubernaut_diagnosis::Diagnosis;
use kubernaut_executor::{ExecutorRouter, GateParts, GatedExecutor, KubeExecutor, OutsideExecutor, StopFence, StoppableWrite};
use kubernaut_gateway::Gateway;
use kubernaut_monitor::EffectivenessVerifier;
use kubernaut_notify::{NotifyRouter, OutboxWorker};
use kubernaut_processor::{LabelClassifier, Processor, ProcessorParts};
use kubernaut_storage::{Storage, Upkeep};
use kubernaut_workflow::DurableEngine;

use crate::{Config, Kubernaut, handle::Parts, language_model};

/// Builds a [`Kubernaut`]. What is not set is made from the configuration.
#[derive(Debug, Default)]
#[must_use]
pub struct Builder {
    config: Config,
    clock: Option<Arc<dyn Clock>>,
    cluster: Option<(Arc<dyn ClusterRead>, Arc<dyn ClusterWrite>)>,
    ledger: Option<Arc<dyn Ledger>>,
    context: Option<Arc<dyn ContextStore>>,
    classifier: Option<Arc<dyn Classifier>>,
    analyzer: Option<Arc<dyn Analyzer>>,
    executor: Option<Arc<dyn Executor>>,
    engine: Option<Arc<dyn WorkflowEngine>>,
    notifier: Option<Arc<dyn Notifier>>,
    verifier: Option<Arc<dyn Verifier>>,
}

impl Builder {
    /// A builder with a configuration.
    pub fn new(config: Config) -> Self {
        Self { config, ..Self::default() }
    }

    /// Replaces the clock.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Replaces the cluster's two ports.
    pub fn cluster(mut self, read: Arc<dyn ClusterRead>, write: Arc<dyn ClusterWrite>) -> Self {
        self.cluster = Some((read, write));
        self
    }

    /// Replaces the ledger. A context store must be given with it.
    pub fn ledger(mut self, ledger: Arc<dyn Ledger>) -> Self {
        self.ledger = Some(ledger);
        self
    }

    /// Replaces the memory; what [`Config::memory`] says is not used then.
    pub fn context_store(mut self, context: Arc<dyn ContextStore>) -> Self {
        self.context = Some(context);
        self
    }

    /// Replaces the classifier.
    pub fn classifier(mut self, classifier: Arc<dyn Classifier>) -> Self {
        self.classifier = Some(classifier);
        self
    }

    /// Replaces the analyzer.
    pub fn analyzer(mut self, analyzer: Arc<dyn Analyzer>) -> Self {
        self.analyzer = Some(analyzer);
        self
    }

    /// Replaces the executor. The gate still stands around it.
    pub fn executor(mut self, executor: Arc<dyn Executor>) -> Self {
        self.executor = Some(executor);
        self
    }

    /// Replaces the workflow engine. It gets no executor from here: one that acts must bring its own gated one.
    pub fn engine(mut self, engine: Arc<dyn WorkflowEngine>) -> Self {
        self.engine = Some(engine);
        self
    }

    /// Replaces the notifier.
    pub fn notifier(mut self, notifier: Arc<dyn Notifier>) -> Self {
        self.notifier = Some(notifier);
        self
    }

    /// Replaces the verification.
    pub fn verifier(mut self, verifier: Arc<dyn Verifier>) -> Self {
        self.verifier = Some(verifier);
        self
    }

    /// Opens what has to be opened and puts the services together. Nothing runs before [`Kubernaut::start`].
    ///
    /// # Errors
    /// `LedgerInUse` if another process has the ledger, `Unavailable` if the cluster does not answer, `InvalidInput` for a configuration that
    /// contradicts itself.
    pub async fn build(self) -> Result<Kubernaut> {
        let config = self.config;
        if config.config_version != crate::config::CONFIG_VERSION {
            return Err(Error::invalid("config", "this release reads config_version 1 only").with("config_version", config.config_version));
        }
        config.gateway.validate()?;
        config.gate.validate()?;
        config.outbox.validate()?;
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock));
        let opened = open_cluster(&config, self.cluster).await?;
        let given = self.context.is_some();
        let Stores { ledger, context, upkeep } = open_ledger(&config, self.ledger, self.context, &clock).await?;
        let memory = if given { None } else { crate::memory::over(context.clone(), &config.memory)? };
        let context: Arc<dyn ContextStore> = memory.clone().map_or(context, |memory| Arc::new(memory));
        remember_all(&context, opened.history).await?;
        let (read, write, cache) = (opened.read, opened.write, opened.cache);
        // Evidence may be late by what a watch takes; what decides about acting, or whether it helped, reads anew.
        let evidence: Arc<dyn ClusterRead> = cache.clone().map_or_else(|| read.clone(), |cache| Arc::new(cache));
        let fence = StopFence::default();
        // Whatever writes is looked at once more, write by write, for a stop that came meanwhile.
        let write: Arc<dyn ClusterWrite> = Arc::new(StoppableWrite::new(write, ledger.clone(), fence.clone()));
        let mut returns = None;
        let inner = match self.executor {
            Some(executor) => executor,
            None => {
                let kube = Arc::new(KubeExecutor::new(read.clone(), write.clone(), clock.clone()));
                // Changes that end by themselves were agreed to as such, but a mode that changes nothing takes nothing back either.
                returns = matches!(config.mode, Mode::Approve | Mode::Auto).then(|| kube.clone());
                let outside = OutsideExecutor::new(read.clone(), &config.outside)?;
                Arc::new(ExecutorRouter::new(vec![kube, Arc::new(outside)]))
            }
        };
        let parts = GateParts { read: read.clone(), write, ledger: ledger.clone(), clock: clock.clone() };
        let executor: Arc<dyn Executor> = Arc::new(GatedExecutor::new(inner, parts, config.gate.clone()).at_most(config.mode));
        let (engine, driver) = match self.engine {
            Some(engine) => (engine, None),
            None => {
                let durable = Arc::new(DurableEngine::new(ledger.clone(), executor.clone(), clock.clone(), config.workflow.clone()));
                (durable.clone() as Arc<dyn WorkflowEngine>, Some(durable))
            }
        };
        let classifier = self.classifier.unwrap_or_else(|| Arc::new(LabelClassifier::new(read.clone(), config.classification.clone())));
        let analyzer = match self.analyzer {
            Some(analyzer) => analyzer,
            None => {
                let diagnosis: Arc<dyn Analyzer> = Arc::new(Diagnosis::new(evidence.clone(), config.diagnosis.clone()));
                match &config.model {
                    Some(model) => {
                        language_model::behind(diagnosis, model, evidence.clone(), executor.actions(CallContext::system("models")).await?)?
                    }
                    None => diagnosis,
                }
            }
        };
        let verifier = self.verifier.unwrap_or_else(|| Arc::new(EffectivenessVerifier::new(read.clone(), config.verification.clone())));
        let notifier = match self.notifier {
            Some(notifier) => notifier,
            None => Arc::new(NotifyRouter::from_config(&config.notifications)?),
        };
        let gateway = Arc::new(Gateway::new(ledger.clone(), evidence, clock.clone(), config.gateway.clone()));
        let processor = Arc::new(Processor::new(
            ProcessorParts {
                ledger: ledger.clone(),
                classifier: classifier.clone(),
                analyzer: analyzer.clone(),
                engine: engine.clone(),
                executor: executor.clone(),
                context: context.clone(),
                cluster: read.clone(),
                verifier,
                clock: clock.clone(),
            },
            kubernaut_processor::ProcessorConfig { mode: config.mode, ..config.processor.clone() },
        ));
        let outbox = Arc::new(OutboxWorker::new(ledger.clone(), notifier, clock.clone(), config.outbox.clone()));
        Ok(Kubernaut::new(Parts {
            config,
            clock,
            cluster: read,
            cache,
            ledger,
            upkeep,
            context,
            memory,
            classifier,
            analyzer,
            executor,
            engine,
            driver,
            returns,
            fence,
            gateway,
            processor,
            outbox,
        }))
    }
}

struct OpenedCluster {
    read: Arc<dyn ClusterRead>,
    write: Arc<dyn ClusterWrite>,
    cache: Option<CachedCluster>,
    history: Vec<HistoryEntry>,
}

async fn open_cluster(config: &Config, given: Option<(Arc<dyn ClusterRead>, Arc<dyn ClusterWrite>)>) -> Result<OpenedCluster> {
    if let Some((read, write)) = given {
        return Ok(OpenedCluster { read, write, cache: None, history: Vec::new() });
    }
    if let Some(dir) = &config.cluster.bundle {
        let bundle = Arc::new(BundleCluster::open(dir)?);
        let history = bundle.history();
        return Ok(OpenedCluster { read: bundle.clone(), write: bundle, cache: None, history });
    }
    let live = KubeCluster::connect(kube_config(config)).await?;
    let kept = &config.cluster.cache;
    let cache = if kept.enabled { Some(CachedCluster::new(live.clone(), kept)?) } else { None };
    let live = Arc::new(live);
    Ok(OpenedCluster { read: live.clone(), write: live, cache, history: Vec::new() })
}

fn kube_config(config: &Config) -> KubeConfig {
    KubeConfig {
        kubeconfig: config.cluster.kubeconfig.clone(),
        context: config.cluster.context.clone(),
        cluster_id: config.cluster.id.clone(),
        prometheus_url: config.cluster.prometheus_url.clone(),
        ..KubeConfig::default()
    }
}

struct Stores {
    ledger: Arc<dyn Ledger>,
    context: Arc<dyn ContextStore>,
    /// `None` for a ledger that was given; whoever gave it looks after it.
    upkeep: Option<Upkeep>,
}

async fn open_ledger(
    config: &Config,
    ledger: Option<Arc<dyn Ledger>>,
    context: Option<Arc<dyn ContextStore>>,
    clock: &Arc<dyn Clock>,
) -> Result<Stores> {
    match (ledger, context) {
        (Some(ledger), Some(context)) => Ok(Stores { ledger, context, upkeep: None }),
        (Some(_), None) => Err(Error::invalid("builder.build", "a replaced ledger needs a context store; call Builder::context_store too")),
        (None, context) => {
            let storage = Storage::open(&config.storage, &config.ledger, clock.clone()).await?;
            let context = context.unwrap_or_else(|| storage.context_store());
            let ledger = storage.ledger();
            let upkeep = Some(Upkeep::new(storage, &config.storage, clock.clone())?);
            Ok(Stores { ledger, context, upkeep })
        }
    }
}

async fn remember_all(context: &Arc<dyn ContextStore>, entries: Vec<HistoryEntry>) -> Result<()> {
    for entry in entries {
        context.remember(CallContext::system("bundle"), entry).await?;
    }
    Ok(())
}
