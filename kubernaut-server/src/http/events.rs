//! Events as a stream (SSE), resumable after any sequence number.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::State,
    http::HeaderMap,
    response::sse::{Event as SseEvent, KeepAlive, Sse},
};
use futures::{Stream, stream};
use kubernaut::{
    Error, Kubernaut,
    model::{Event, IncidentId},
    service::CallContext,
};
use serde::Deserialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{AppState, auth::Caller, extract::Params, problem::Answer};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(stream_events))
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct StreamParams {
    /// Begin after this sequence number; `Last-Event-ID` does the same. Default 0: from the beginning.
    after: Option<u64>,
    /// Only of this incident.
    incident: Option<uuid::Uuid>,
}

/// Streams events as they happen. Each has its sequence number as id, so that a client that reconnects misses none.
#[utoipa::path(get, path = "/events", params(StreamParams), tag = "events", responses((status = 200, description = "server-sent events; data is an Event", content_type = "text/event-stream")))]
async fn stream_events(
    State(state): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    Params(params): Params<StreamParams>,
) -> Answer<Sse<impl Stream<Item = Result<SseEvent, Infallible>>>> {
    let after = last_event_id(&headers)?.or(params.after).unwrap_or(0);
    let cursor = Cursor {
        changes: state.kubernaut.ledger().changes(),
        kubernaut: state.kubernaut.clone(),
        ctx: state.context(&caller),
        incident: params.incident.map(IncidentId),
        after,
        shutdown: state.shutdown.clone(),
        ready: Vec::new(),
    };
    let events = stream::unfold(cursor, |mut cursor| async move { cursor.next().await.map(|event| (Ok(sse(&event)), cursor)) });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Error> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let number = value.to_str().ok().and_then(|v| v.parse().ok());
    number.map(Some).ok_or_else(|| Error::invalid("http.events", "Last-Event-ID is not a sequence number"))
}

fn sse(event: &Event) -> SseEvent {
    let data = serde_json::to_string(event).unwrap_or_default();
    SseEvent::default().id(event.seq.to_string()).event(event.kind.clone()).data(data)
}

struct Cursor {
    kubernaut: Kubernaut,
    ctx: CallContext,
    changes: watch::Receiver<u64>,
    incident: Option<IncidentId>,
    after: u64,
    shutdown: CancellationToken,
    ready: Vec<Event>,
}

impl Cursor {
    /// The next event; `None` when the server shuts down or the ledger is gone.
    async fn next(&mut self) -> Option<Event> {
        loop {
            // However much is left to send: a client that reads slowly must not hold the shutdown up.
            if self.shutdown.is_cancelled() {
                return None;
            }
            if let Some(event) = self.ready.pop() {
                self.after = event.seq;
                return Some(event);
            }
            // Marked as seen before reading, so that a commit in between wakes the wait below.
            self.changes.mark_unchanged();
            match self.kubernaut.events(self.ctx.clone(), self.after, self.incident, None).await {
                Ok(events) => self.ready = events.into_iter().rev().collect(),
                Err(error) => {
                    tracing::warn!(error = %error, "event stream cannot read the ledger; ending it");
                    return None;
                }
            }
            if self.ready.is_empty() {
                tokio::select! {
                    () = self.shutdown.cancelled() => return None,
                    changed = self.changes.changed() => changed.ok()?,
                    () = tokio::time::sleep(Duration::from_secs(2)) => {}
                }
            }
        }
    }
}
