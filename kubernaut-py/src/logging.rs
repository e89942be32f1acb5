//! Log lines of the engine for Python's `logging`, on request only.

use std::{
    fmt::Write,
    sync::{Mutex, PoisonError, mpsc},
};

use kubernaut::{Error, ErrorKind};
use pyo3::prelude::*;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, filter::LevelFilter, layer::Context, layer::SubscriberExt, util::SubscriberInitExt};

use crate::errors::raise;

struct Line {
    level: u8,
    target: String,
    text: String,
}

/// Where lines go, and the process whose thread takes them.
static SINK: Mutex<Option<(u32, mpsc::SyncSender<Line>)>> = Mutex::new(None);

struct Forward;

impl<S: Subscriber> Layer<S> for Forward {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        let line = Line {
            level: number(*event.metadata().level()),
            target: event.metadata().target().replace("::", ".").replacen("kubernaut_", "kubernaut.", 1),
            text: text.0,
        };
        let sink = SINK.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((process, lines)) = sink.as_ref()
            && *process == std::process::id()
        {
            // The engine never waits for a log: lines beyond the queue are left out.
            let _ = lines.try_send(line);
        }
    }
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

/// The number of Python's `logging`.
fn number(level: Level) -> u8 {
    match level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        Level::DEBUG => 10,
        Level::TRACE => 5,
    }
}

fn deliver(py: Python<'_>, line: &Line) -> PyResult<()> {
    let logger = py.import("logging")?.call_method1("getLogger", (&line.target,))?;
    logger.call_method1("log", (line.level, "%s", &line.text)).map(drop)
}

/// Sends log lines to Python's `logging`, under logger names that begin with `kubernaut`. Levels are taken from `level`.
#[pyfunction]
pub(crate) fn forward_logs(py: Python<'_>, level: &str) -> PyResult<()> {
    let wanted: LevelFilter = level
        .to_lowercase()
        .parse()
        .map_err(|_| raise(py, &Error::invalid("logging", "no such level; use error, warn, info, debug or trace").with("level", level)))?;
    let (sender, lines) = mpsc::sync_channel::<Line>(10_000);
    let first = SINK.lock().unwrap_or_else(PoisonError::into_inner).replace((std::process::id(), sender)).is_none();
    let thread = std::thread::Builder::new().name("kubernaut-log".into()).spawn(move || {
        while let Ok(line) = lines.recv() {
            // A log line that cannot be delivered has nowhere to be reported.
            let _ = Python::try_attach(|py| deliver(py, &line));
        }
    });
    let failed = |e| raise(py, &Error::new(ErrorKind::Unavailable, "logging", "no thread for log lines").source(e));
    thread.map_err(failed)?;
    if first {
        let own = tracing_subscriber::filter::filter_fn(|meta| meta.target().starts_with("kubernaut"));
        let taken = tracing_subscriber::registry().with(Forward.with_filter(wanted).with_filter(own)).try_init();
        taken.map_err(|e| raise(py, &Error::conflict("logging", "another part of this process takes the log lines").source(e)))?;
    }
    Ok(())
}
