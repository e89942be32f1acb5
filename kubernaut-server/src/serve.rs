//! Starting and stopping the server.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use kubernaut::{
    Builder, Error, ErrorKind, Kubernaut, Result,
    service::CallContext,
    services::monitor::{Health, health::Probe, metrics},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    http::{AppState, Tokens, app},
    settings::Settings,
};

/// A running server.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// The engine.
    pub kubernaut: Kubernaut,
    shutdown: CancellationToken,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
    drain: Duration,
}

/// Starts engine and HTTP interface; returns when it listens.
///
/// # Errors
/// Those of [`Builder::build`], and `Unavailable` if the address cannot be used.
pub async fn start(settings: &Settings, builder: Builder) -> Result<Server> {
    settings.check()?;
    start_on(listen(settings.http.listen).await?, settings, builder).await
}

/// Opens an address.
///
/// # Errors
/// `Unavailable` if it cannot be used.
pub async fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|e| {
        Error::new(ErrorKind::Unavailable, "http.listen", "cannot listen; is another server running there?").with("listen", address).source(e)
    })
}

/// The same as [`start`] on an address that is open already; `settings.http.listen` must be that address.
///
/// # Errors
/// Those of [`Builder::build`].
pub async fn start_on(listener: TcpListener, settings: &Settings, builder: Builder) -> Result<Server> {
    settings.check()?;
    let address = listener.local_addr().map_err(|e| Error::internal("http.listen", "no local address").source(e))?;
    let metrics = metrics::install()?;
    let kubernaut = builder.build().await?;
    let shutdown = CancellationToken::new();
    let state = AppState {
        tokens: Arc::new(Tokens(settings.http.tokens.clone())),
        health: Arc::new(health(&kubernaut)),
        metrics,
        shutdown: shutdown.clone(),
        kubernaut: kubernaut.clone(),
    };
    kubernaut.start();
    let serving = tokio::spawn(serve(listener, app(state), shutdown.clone()));
    tracing::info!(%address, mode = ?settings.engine.mode, authenticated = !settings.http.tokens.is_empty(), "listening");
    if settings.http.tokens.is_empty() {
        tracing::info!("no tokens are configured, so only this machine can connect");
    }
    Ok(Server { address, kubernaut, shutdown, serving, drain: Duration::from_secs(settings.http.drain_s) })
}

async fn serve(listener: TcpListener, app: Router, shutdown: CancellationToken) -> std::io::Result<()> {
    axum::serve(listener, app).with_graceful_shutdown(shutdown.cancelled_owned()).await
}

fn health(kubernaut: &Kubernaut) -> Health {
    let health = Health::new();
    let ledger = kubernaut.clone();
    health.register(Probe::Readiness, "ledger", move || {
        let kubernaut = ledger.clone();
        async move { kubernaut.stats(CallContext::system("health")).await.map(|s| format!("{} open incidents", s.open_incidents)) }
    });
    let cluster = kubernaut.clone();
    health.register(Probe::Readiness, "cluster", move || {
        let kubernaut = cluster.clone();
        async move { kubernaut.cluster().info(CallContext::system("health")).await.map(|i| i.id) }
    });
    health
}

impl Server {
    /// Ends requests and workers: no new connections, open ones drain, and meanwhile workers reach a safe point, so that all is done in the time
    /// that a supervisor gives. Alerts that still arrive are committed.
    ///
    /// # Errors
    /// `Timeout` if they did not end in time.
    pub async fn stop(self) -> Result<()> {
        self.shutdown.cancel();
        let (served, stopped) = tokio::join!(tokio::time::timeout(self.drain, self.serving), self.kubernaut.shutdown(self.drain));
        stopped?;
        served.map_err(|_| Error::new(ErrorKind::Timeout, "http.drain", "open requests did not end in time; they are ended now")).map(|_| ())
    }
}

/// Waits for SIGINT or SIGTERM.
///
/// # Errors
/// `Internal` if signals cannot be received.
pub async fn stop_signal() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).map_err(|e| Error::internal("signal", "cannot receive SIGTERM").source(e))?;
    tokio::select! {
        done = tokio::signal::ctrl_c() => done.map_err(|e| Error::internal("signal", "cannot receive SIGINT").source(e)),
        _ = terminate.recv() => Ok(()),
    }
}
