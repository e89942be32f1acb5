//! Which logs are read: those of failing containers first.

use futures::{StreamExt, stream};
use kubernaut_core::model::{Object, ObjectRef};

use super::{super::Facts, reader::Reader};
use crate::{
    config::DiagnosisConfig,
    facts::{pod, workload::Workload},
};

struct Wanted {
    namespace: String,
    pod: String,
    container: String,
    previous: bool,
}

/// Reads the logs of workloads that were not read yet.
pub(super) async fn read(reader: &Reader<'_>, facts: &mut Facts, workloads: &[ObjectRef], is_target: bool, config: &DiagnosisConfig) {
    let mut wanted: Vec<Wanted> = workloads.iter().flat_map(|r| wanted_of(facts, r, is_target)).collect();
    wanted.truncate(config.max_logs);
    let reads: Vec<_> = wanted
        .into_iter()
        .map(|w| async move {
            let current = reader.log(&w.namespace, &w.pod, &w.container, false).await;
            let previous = if w.previous { reader.log(&w.namespace, &w.pod, &w.container, true).await } else { None };
            (w, current, previous)
        })
        .collect();
    let found: Vec<_> = stream::iter(reads).buffered(config.concurrency.max(1)).collect().await;
    for (w, current, previous) in found {
        if current.is_some() || previous.is_some() {
            facts.logs.add(&w.namespace, &w.pod, &w.container, current.map(|l| l.text), previous.map(|l| l.text));
        }
    }
}

fn wanted_of(facts: &Facts, reference: &ObjectRef, is_target: bool) -> Vec<Wanted> {
    let Some(workload) = Workload::find(facts, reference) else { return Vec::new() };
    let mut pods = workload.failing_pods(facts.now);
    // The newest failing pod tells most; of a healthy workload one pod speaks for all.
    pods.sort_by_key(|p| std::cmp::Reverse(p.created_at()));
    pods.truncate(3);
    let healthy = if is_target { 3 } else { 1 };
    let others: Vec<&Object> = workload.live_pods().filter(|p| !pods.iter().any(|q| q.name() == p.name())).collect();
    if pods.is_empty() || is_target {
        pods.extend(others.into_iter().take(healthy));
    }
    pods.into_iter().filter(|p| !facts.logs.has(p.namespace().unwrap_or_default(), p.name())).flat_map(wanted_of_pod).collect()
}

fn wanted_of_pod(object: &Object) -> Vec<Wanted> {
    let started = |c: &pod::Container<'_>| c.is_running() || c.last_end().is_some();
    let useful = |c: &pod::Container<'_>| !c.init || c.is_running() || c.last_end().is_some_and(|t| t.failed());
    pod::containers(object)
        .iter()
        .filter(|c| started(c) && useful(c))
        .map(|c| Wanted {
            namespace: object.namespace().unwrap_or_default().to_owned(),
            pod: object.name().to_owned(),
            container: c.name.to_owned(),
            previous: c.restarts() > 0,
        })
        .collect()
}
