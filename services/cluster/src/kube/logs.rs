//! The end of a container's log.

use http::StatusCode;
use kubernaut_core::{
    Result,
    port::{LogQuery, LogText},
};

use super::{Inner, error::Failure, resource::segment, rest::Ask};
use crate::log_tail;

/// How much more than the limit one request may bring: lines vary in length, and the API counts bytes from the first line it sends.
const SLACK: usize = 8;

/// What the kubelet sends as the log's text when the file is gone.
const GONE: &[&str] = &["unable to retrieve container logs for ", "failed to try resolving symlinks in path "];

impl Inner {
    pub(super) async fn logs(&self, query: &LogQuery) -> Result<Option<LogText>> {
        let (Some(namespace), Some(pod)) = (segment(&query.namespace), segment(&query.pod)) else { return Ok(None) };
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/log");
        let cap = query.limit_bytes.saturating_mul(SLACK).max(64 * 1024);
        let limit = cap.to_string();
        // One line more than wanted tells whether there are older ones.
        let mut lines = query.tail_lines.saturating_add(1);
        loop {
            let wanted = lines.to_string();
            let mut ask = vec![("container", query.container.as_str()), ("tailLines", &wanted), ("limitBytes", &limit)];
            if query.previous {
                ask.push(("previous", "true"));
            }
            let body = match self.rest.send(Ask::get("cluster.logs", &path, &ask)).await? {
                Ok(answer) => answer.body,
                Err(failure) if is_absent(&failure) => return Ok(None),
                Err(failure) => return Err(failure.into_error("cluster.logs")),
            };
            if GONE.iter().any(|text| body.starts_with(text.as_bytes())) {
                return Ok(None);
            }
            // A full answer was cut at its end, so the last lines are missing: ask for fewer.
            if body.len() >= cap && lines > 1 {
                lines = lines.div_ceil(4);
                continue;
            }
            let mut text = log_tail::tail(&body, false, query.tail_lines, query.limit_bytes);
            text.truncated |= lines <= query.tail_lines;
            return Ok(Some(text));
        }
    }
}

/// Whether there is no such log: no such pod or container, not started, or no previous run.
fn is_absent(failure: &Failure) -> bool {
    let message = failure.message();
    let reasons = [
        "previous terminated container",
        "is waiting to start",
        "is not valid for pod",
        "not found",
        "does not have a host assigned",
        "is not available",
    ];
    failure.code == StatusCode::NOT_FOUND || (failure.code == StatusCode::BAD_REQUEST && reasons.iter().any(|r| message.contains(r)))
}
