//! Which logs to record.

use futures::{StreamExt, TryStreamExt, stream};
use kubernaut_core::{
    ErrorKind, Result,
    model::Object,
    port::{ClusterRead, LogQuery},
    service::CallContext,
};
use serde_json::Value;

use super::RecordOptions;

/// How many logs are read at once.
const AT_ONCE: usize = 8;

/// A recorded log.
pub(super) struct Log {
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) container: String,
    pub(super) previous: bool,
    pub(super) text: String,
}

pub(super) async fn collect(ctx: &CallContext, read: &dyn ClusterRead, objects: &[Object], options: &RecordOptions) -> Result<Vec<Log>> {
    let mut wanted: Vec<LogQuery> = objects.iter().filter(|o| o.kind() == "Pod").flat_map(|pod| of_pod(pod, options)).collect();
    if wanted.len() > options.log_count {
        tracing::warn!(logs = wanted.len(), kept = options.log_count, "more logs than the limit; the others are not recorded");
        wanted.truncate(options.log_count);
    }
    let reads: Vec<_> = wanted.into_iter().map(|query| one(ctx, read, query)).collect();
    let logs: Vec<Option<Log>> = stream::iter(reads).buffered(AT_ONCE).try_collect().await?;
    Ok(logs.into_iter().flatten().collect())
}

/// A log that cannot be read, as when its node is lost, is one that there is not: the recording goes on.
async fn one(ctx: &CallContext, read: &dyn ClusterRead, query: LogQuery) -> Result<Option<Log>> {
    let text = match read.logs(ctx.clone(), query.clone()).await {
        Ok(Some(log)) => log.text,
        Ok(None) => return Ok(None),
        Err(e) if matches!(e.kind(), ErrorKind::Cancelled | ErrorKind::Timeout) => return Err(e),
        Err(e) => {
            tracing::warn!(pod = %query.pod, container = %query.container, error = %e, "a log cannot be recorded");
            return Ok(None);
        }
    };
    let LogQuery { namespace, pod, container, previous, .. } = query;
    Ok(Some(Log { namespace, pod, container, previous, text }))
}

fn of_pod(pod: &Object, options: &RecordOptions) -> Vec<LogQuery> {
    let statuses = [("/status/initContainerStatuses", true), ("/status/containerStatuses", false), ("/status/ephemeralContainerStatuses", false)];
    let mut wanted = Vec::new();
    for (pointer, init) in statuses {
        for status in pod.list_at(pointer) {
            let Some(name) = status["name"].as_str() else { continue };
            let restarted = status["restartCount"].as_u64().unwrap_or(0) > 0;
            if !options.all_logs && !restarted && is_well(status, init) {
                continue;
            }
            let current = LogQuery {
                tail_lines: options.log_lines,
                limit_bytes: options.log_bytes,
                ..LogQuery::of(pod.namespace().unwrap_or_default(), pod.name(), name, false)
            };
            if restarted {
                wanted.push(LogQuery { previous: true, ..current.clone() });
            }
            wanted.push(current);
        }
    }
    wanted
}

/// An init container is well once it ended without error, any other while it is ready.
fn is_well(status: &Value, init: bool) -> bool {
    if init { status["state"]["terminated"]["exitCode"] == 0 || status["ready"] == true } else { status["ready"] == true }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn logs_of_containers_in_trouble_are_recorded_and_those_of_healthy_ones_not() {
        let pod = Object::new(json!({"kind": "Pod", "metadata": {"namespace": "s", "name": "p"}, "status": {
            "initContainerStatuses": [{"name": "done", "ready": true, "restartCount": 0, "state": {"terminated": {"exitCode": 0}}}, {"name": "stuck", "ready": false, "restartCount": 0, "state": {"running": {}}}],
            "containerStatuses": [{"name": "ok", "ready": true, "restartCount": 0}, {"name": "unready", "ready": false, "restartCount": 0}, {"name": "restarted", "ready": true, "restartCount": 2}]}}));
        let named = |options: &RecordOptions| {
            of_pod(&pod, options).iter().map(|q| format!("{}{}", q.container, if q.previous { "*" } else { "" })).collect::<Vec<_>>()
        };
        assert_eq!(named(&RecordOptions::default()), ["stuck", "unready", "restarted*", "restarted"]);
        assert_eq!(named(&RecordOptions { all_logs: true, ..RecordOptions::default() }).len(), 6);
    }
}
