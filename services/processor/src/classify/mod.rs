//! Environment, priority and business context from what the cluster says about a namespace.
//!
//! Precedence: labels, annotations, configured rules, words in the namespace's name, the alert's labels, the default. The namespace is read anew for
//! every answer, so that a changed label takes effect at once.

mod business;
mod config;
mod environment;
mod name;
mod priority;
mod scope;

use std::sync::Arc;

use kubernaut_core::{
    Error, Result, async_trait,
    model::{Attributed, Classification, Environment, Object, ObjectRef},
    port::ClusterRead,
    service::{CallContext, Classifier, ClassifyRequest},
};

pub use config::{ClassifyConfig, EnvironmentRule};
pub use priority::priority;

use environment::Facts;

/// The default [`Classifier`]: reads labels, annotations and names; asks no model and no service.
#[derive(Debug, Clone)]
pub struct LabelClassifier {
    cluster: Arc<dyn ClusterRead>,
    config: ClassifyConfig,
}

impl LabelClassifier {
    /// A classifier over a cluster.
    #[must_use]
    pub fn new(cluster: Arc<dyn ClusterRead>, config: ClassifyConfig) -> Self {
        Self { cluster, config }
    }

    async fn namespaced(&self, ctx: &CallContext, namespace: &str, request: &ClassifyRequest) -> (Attributed<Environment>, Option<Object>) {
        match self.cluster.get(ctx.clone(), ObjectRef::new("Namespace", None, namespace)).await {
            Ok(object) => {
                let facts = Facts { namespace, object: object.as_ref(), alert_labels: &request.labels };
                (environment::environment(&facts, &self.config), object)
            }
            Err(error) => {
                tracing::warn!(%error, namespace, "namespace cannot be read; it is treated as production");
                (environment::unreadable(namespace), None)
            }
        }
    }

    /// A cluster-scoped object has no namespace to ask: it says so itself, or what lives on it does.
    async fn cluster_scoped(&self, ctx: &CallContext, request: &ClassifyRequest) -> (Attributed<Environment>, Option<Object>) {
        let Ok(object) = self.cluster.get(ctx.clone(), request.target.clone()).await else {
            return (environment::unreadable(&request.target.to_string()), None);
        };
        if let Some(own) = object.as_ref().and_then(|o| environment::stated(o, &self.config)) {
            return (own, object);
        }
        let Ok(namespaces) = scope::namespaces_of(&*self.cluster, ctx, &request.target, object.as_ref()).await else {
            return (environment::unreadable(&request.target.to_string()), object);
        };
        let mut answers = Vec::with_capacity(namespaces.len());
        for namespace in &namespaces {
            answers.push((namespace.as_str(), self.namespaced(ctx, namespace, request).await.0));
        }
        (environment::strictest(&answers, &self.config), object)
    }
}

#[async_trait]
impl Classifier for LabelClassifier {
    async fn classify(&self, ctx: CallContext, request: ClassifyRequest) -> Result<Classification> {
        if request.target.name.is_empty() {
            return Err(
                Error::invalid("classifier.classify", "the target has no name; resolve the alerted object first").with("target", &request.target)
            );
        }
        let namespace = match request.target.kind.as_str() {
            "Namespace" => Some(request.target.name.clone()),
            _ => request.target.namespace.clone(),
        };
        let (environment, object) = match namespace {
            Some(namespace) => self.namespaced(&ctx, &namespace, &request).await,
            None => self.cluster_scoped(&ctx, &request).await,
        };
        metrics::counter!("kubernaut_processor_classifications_total", "environment" => environment.value.as_str()).increment(1);
        let priority = priority(request.severity, environment.treated_as);
        let business = object.as_ref().map(|o| business::business(o, &self.config)).unwrap_or_default();
        Ok(Classification { environment, priority, business })
    }
}

#[cfg(test)]
mod tests;
