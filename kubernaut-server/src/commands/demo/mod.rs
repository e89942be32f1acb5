//! `kubernaut demo`: the whole way of one alert, through the server's own HTTP interface.

mod client;
mod live;
mod recorded;
mod scene;
mod timeline;
mod wrong_action;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc};

use kubernaut::{
    Config, Error, Kubernaut, Result,
    model::{Mode, SecretString},
    services::{
        cluster::{BundleCluster, KubeCluster, KubeConfig},
        diagnosis::Diagnosis,
        notify::RouteConfig,
    },
};

use self::{client::Client, scene::Scene, timeline::Ending, wrong_action::WrongAction};
use tokio::net::TcpListener;

use crate::output::say;
use crate::{
    cli::DemoArgs,
    http::{Scope, TokenConfig},
    serve::{self, Server},
    settings::{HttpSettings, LogSettings, Settings},
    telemetry,
};

/// Status 0: the server was left running and stopped, or with `--exit` the incident was resolved; 1: it was not.
pub(super) async fn run(args: DemoArgs) -> Result<ExitCode> {
    telemetry::install(&LogSettings { filter: "warn".into(), json: false })?;
    let mut scene = open_scene(&args).await?;
    let played = play(&args, &mut scene).await;
    let cleaned = scene.close().await;
    let code = played?;
    cleaned.map(|()| code)
}

async fn open_scene(args: &DemoArgs) -> Result<Scene> {
    match &args.kubeconfig {
        Some(kubeconfig) => Ok(Scene::Live(live::LiveScene::open(kubeconfig, &args.image, args.webhook_token.is_none()).await?)),
        None => Ok(Scene::Recorded(recorded::RecordedScene::open(args.bundle.clone())?)),
    }
}

async fn play(args: &DemoArgs, scene: &mut Scene) -> Result<ExitCode> {
    let home = HomeDir::new()?;
    let (listener, listen) = listener(args).await?;
    let (settings, operator) = settings(args, scene, &home, listen)?;
    let server = start(args, scene, &settings, listener).await?;
    let client = Client::new(server.address, operator);
    say!("Kubernaut listens on http://{}  (API documentation: http://{}/docs)", server.address, server.address);
    scene.announce();
    let events = client.events().await?;
    let sent = scene.raise_alert(&client).await?;
    say!("{sent}\n");
    let ending = timeline::follow(&client, events, &scene.namespace(), scene.is_recorded()).await?;
    say!("\n{ending}");
    let chain = client.audit(&ending.incident_id).await?;
    say!("audit chain: {} rows, {}", chain.rows, if chain.verified { "verified" } else { "BROKEN" });
    finish(args, server, &ending).await
}

async fn finish(args: &DemoArgs, server: Server, ending: &Ending) -> Result<ExitCode> {
    if args.exit {
        server.stop().await?;
        return Ok(if ending.resolved() { ExitCode::SUCCESS } else { ExitCode::from(1) });
    }
    say!(
        "\nThe server is still running on http://{} ; Ctrl-C ends it. The incident: curl http://{}/api/v1/incidents/{}",
        server.address,
        server.address,
        ending.incident_id
    );
    serve::stop_signal().await?;
    server.stop().await?;
    Ok(ExitCode::SUCCESS)
}

/// A folder of this run alone, removed at its end.
struct HomeDir(PathBuf);

impl HomeDir {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("kubernaut-demo-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir_all(&path)
            .map_err(|e| Error::invalid("demo", "cannot make a folder for the ledger").with("path", path.display()).source(e))?;
        Ok(Self(path))
    }
}

impl Drop for HomeDir {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "cannot remove the demo's folder");
        }
    }
}

fn settings(args: &DemoArgs, scene: &Scene, home: &HomeDir, listen: SocketAddr) -> Result<(Settings, Option<String>)> {
    let mut engine = Config::default();
    engine.mode = Mode::Auto;
    // The timeline tells the same, so nothing goes to the console beside it.
    engine.notifications.routes = vec![RouteConfig::default()];
    engine.ledger.path = home.0.join("ledger.db");
    scene.configure(&mut engine);
    let mut http = HttpSettings { listen, ..HttpSettings::default() };
    let mut operator = None;
    if let Some(token) = &args.webhook_token {
        let secret = uuid::Uuid::new_v4().to_string();
        http.tokens = vec![
            TokenConfig { name: "alertmanager".into(), token: SecretString::from(token.clone()), scope: Scope::Alerts, groups: Vec::new() },
            TokenConfig { name: "demo".into(), token: SecretString::from(secret.clone()), scope: Scope::Operate, groups: Vec::new() },
        ];
        operator = Some(secret);
    }
    let settings = Settings { http, engine, ..Settings::default() };
    settings.check()?;
    Ok((settings, operator))
}

/// The address asked for, else the usual one, else any that is free.
async fn listener(args: &DemoArgs) -> Result<(TcpListener, SocketAddr)> {
    let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let listener = match args.listen {
        Some(address) => serve::listen(address).await?,
        None => match serve::listen(local(8080)).await {
            Ok(listener) => listener,
            Err(_) => serve::listen(local(0)).await?,
        },
    };
    let address = listener.local_addr().map_err(|e| Error::internal("demo.listen", "no local address").source(e))?;
    Ok((listener, address))
}

async fn start(args: &DemoArgs, scene: &Scene, settings: &Settings, listener: TcpListener) -> Result<Server> {
    let mut builder = Kubernaut::builder(settings.engine.clone());
    if args.wrong_action {
        let analyzer = match &settings.engine.cluster.bundle {
            Some(_) => {
                let cluster = Arc::new(BundleCluster::open(scene.bundle())?);
                builder = builder.cluster(cluster.clone(), cluster.clone());
                Diagnosis::new(cluster, settings.engine.diagnosis.clone())
            }
            None => {
                let config = KubeConfig { kubeconfig: args.kubeconfig.clone(), ..KubeConfig::default() };
                Diagnosis::new(Arc::new(KubeCluster::connect(config).await?), settings.engine.diagnosis.clone())
            }
        };
        builder = builder.analyzer(Arc::new(WrongAction::new(Arc::new(analyzer))));
    }
    serve::start_on(listener, settings, builder).await
}
