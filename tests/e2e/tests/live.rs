//! From a fault made for real to a verified fix: alerts fired by Prometheus, delivered by Alertmanager, containers real.
//! Each effect is read with kubectl.

#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests report by panicking")]

use std::{sync::LazyLock, time::Duration};

use kubernaut_tests::{Lab, Receiver, ServerProcess, Story, wait_for};
use serde_json::{Value, json};
use tokio::sync::Mutex;

/// Alertmanager sends to one address, so one server at a time.
static ONE_AT_A_TIME: LazyLock<Mutex<()>> = LazyLock::new(|| Mutex::new(()));

fn deployment(name: &str, image: &str, replicas: u32, script: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name },
        "spec": {
            // A container without a probe counts as ready as soon as it runs; so one that crashes at once is never taken for available.
            "minReadySeconds": 2,
            "replicas": replicas, "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "containers": [{
                        "name": "main", "image": image, "command": ["sh", "-c", script],
                        "resources": { "requests": { "cpu": "5m", "memory": "8Mi" }, "limits": { "memory": "64Mi" } }
                    }]
                }
            }
        }
    })
}

const SERVES: &str = "echo serving; exec tail -f /dev/null";

async fn setup() -> Option<(Lab, Receiver, ServerProcess)> {
    let lab = Lab::from_env()?;
    let receiver = Receiver::start().await;
    let settings = json!({ "processor": { "verification": { "window_s": 90 } } });
    let server = ServerProcess::start(&lab, &receiver.url, settings).await;
    Some((lab, receiver, server))
}

fn id(incident: &Value) -> String {
    incident["id"].as_str().expect("an id").to_owned()
}

fn cause(incident: &Value) -> (&str, String) {
    let first = &incident["analysis"]["candidates"][0];
    let object = &first["object"];
    (
        first["category"].as_str().unwrap_or_default(),
        format!("{}/{}", object["kind"].as_str().unwrap_or_default(), object["name"].as_str().unwrap_or_default()),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_release_is_rolled_back_after_approval() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let Some((lab, receiver, server)) = setup().await else { return };
    let mut story = Story::new(&lab, "release", "production");
    let image = story.image("lab/app:1");
    story.deploy(deployment("storefront", &image, 2, SERVES));
    story.until_rolled_out("storefront").await;
    story.deploy(deployment("storefront", &image, 2, "echo 'fatal: unknown option --fast' >&2; exit 2"));
    story.fault_made();

    let incident = id(&story.incident(&server.api).await);
    let kubectl = lab.kubectl.clone();
    let healthy = async || kubectl.rolled_out(&story.namespace, "storefront");
    let ended = story.until_ended(&server.api, &incident, "resolved", true).await;
    assert!(healthy().await, "kubectl must see the rollout complete");
    story.seen_healthy();
    assert_eq!(cause(&ended), ("bad_release_command", "Deployment/storefront".to_owned()));
    let running = lab.kubectl.get(&story.namespace, "deployment/storefront").expect("the deployment");
    assert_eq!(running["spec"]["template"]["spec"]["containers"][0]["command"][2], SERVES);
    assert_eq!(active_alerts(&lab, &story.namespace).await, 0, "the alert must be gone at Alertmanager");

    let chain = server.api.get(&format!("/api/v1/incidents/{incident}/audit")).await;
    assert_eq!(chain["verified"], true);
    wait_for("the webhook notifications", Duration::from_secs(10), async || receiver.of(&incident).len() >= 2).await;
    let kinds: Vec<_> = receiver.of(&incident).iter().map(|n| n["kind"].as_str().unwrap_or_default().to_owned()).collect();
    assert!(kinds.contains(&"approval_requested".to_owned()) && kinds.contains(&"closed".to_owned()), "{kinds:?}");
    story.report(&server.api, &incident).await;
}

async fn active_alerts(lab: &Lab, namespace: &str) -> usize {
    let url = format!("{}/api/v2/alerts?filter=namespace=%22{namespace}%22&active=true", lab.alertmanager_url);
    let alerts: Value = reqwest::get(url).await.expect("Alertmanager answers").json().await.expect("JSON");
    alerts.as_array().map_or(0, Vec::len)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_killed_for_memory_gets_a_higher_limit() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let Some((lab, _receiver, server)) = setup().await else { return };
    let mut story = Story::new(&lab, "memory", "development");
    // Holding 24 MB in a shell variable takes about twice that for a moment; the kernel kills it under a limit of 32 MiB.
    let hungry = "x=$(head -c 24000000 /dev/zero | tr '\\0' a); echo holding ${#x}; exec tail -f /dev/null";
    let mut manifest = deployment("indexer", &story.image("lab/app:1"), 1, hungry);
    manifest["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"] = json!("32Mi");
    story.deploy(manifest);
    story.fault_made();

    let incident = id(&story.incident(&server.api).await);
    let ended = story.until_ended(&server.api, &incident, "resolved", true).await;
    assert!(lab.kubectl.rolled_out(&story.namespace, "indexer"), "kubectl must see the rollout complete");
    story.seen_healthy();
    assert_eq!(cause(&ended).0, "oom_limit_too_low");
    let running = lab.kubectl.get(&story.namespace, "deployment/indexer").expect("the deployment");
    assert_ne!(running["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"], "32Mi");
    story.report(&server.api, &incident).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_does_not_exist_is_rolled_back() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let Some((lab, _receiver, server)) = setup().await else { return };
    let mut story = Story::new(&lab, "image", "staging");
    story.deploy(deployment("gallery", &story.image("lab/app:1"), 2, SERVES));
    story.until_rolled_out("gallery").await;
    story.deploy(deployment("gallery", &story.image("lab/app:no-such-tag"), 2, SERVES));
    story.fault_made();

    let incident = id(&story.incident(&server.api).await);
    let ended = story.until_ended(&server.api, &incident, "resolved", true).await;
    assert!(lab.kubectl.rolled_out(&story.namespace, "gallery"), "kubectl must see the rollout complete");
    story.seen_healthy();
    assert_eq!(cause(&ended).0, "image_not_found");
    let running = lab.kubectl.get(&story.namespace, "deployment/gallery").expect("the deployment");
    assert_eq!(running["spec"]["template"]["spec"]["containers"][0]["image"], story.image("lab/app:1"));
    story.report(&server.api, &incident).await;
}

/// Uncordons the node even if the test fails.
struct Cordoned<'a>(&'a Lab, &'a str);

impl Drop for Cordoned<'_> {
    fn drop(&mut self) {
        let _ = self.0.kubectl.try_run(&["uncordon", self.1]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cordoned_node_is_uncordoned_after_approval() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let Some((lab, _receiver, server)) = setup().await else { return };
    let mut story = Story::new(&lab, "cordon", "development");
    let node = real_node(&lab);
    lab.kubectl.run(&["cordon", &node]);
    let _uncordon = Cordoned(&lab, &node);
    let mut manifest = deployment("ledgerd", &story.image("lab/app:1"), 1, SERVES);
    manifest["spec"]["template"]["spec"]["nodeSelector"] = json!({ "kubernetes.io/hostname": node });
    story.deploy(manifest);
    story.fault_made();

    let incident = id(&story.incident(&server.api).await);
    let ended = story.until_ended(&server.api, &incident, "resolved", true).await;
    assert!(lab.kubectl.rolled_out(&story.namespace, "ledgerd"), "kubectl must see the rollout complete");
    story.seen_healthy();
    assert_eq!(cause(&ended), ("unschedulable_cordoned", format!("Node/{node}")));
    let now = lab.kubectl.get("default", &format!("node/{node}")).expect("the node");
    assert!(now["spec"]["unschedulable"].as_bool() != Some(true));
    story.report(&server.api, &incident).await;
}

/// The node that runs real containers: the one without the annotation of simulated ones.
fn real_node(lab: &Lab) -> String {
    let nodes = lab.kubectl.get("default", "nodes").expect("nodes");
    let real = nodes["items"].as_array().into_iter().flatten().find(|n| n["metadata"]["annotations"]["kwok.x-k8s.io/node"].is_null());
    real.and_then(|n| n["metadata"]["name"].as_str()).expect("a real node").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_in_the_middle_loses_nothing_and_acts_once() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let Some((lab, _receiver, mut server)) = setup().await else { return };
    let story = Story::new(&lab, "crash", "production");
    let image = story.image("lab/app:1");
    story.deploy(deployment("courier", &image, 1, SERVES));
    story.until_rolled_out("courier").await;
    story.deploy(deployment("courier", &image, 1, "echo 'panic: no route table' >&2; exit 1"));

    let incident = id(&story.incident(&server.api).await);
    wait_for("the request for approval", Duration::from_secs(60), async || server.api.incident(&incident).await["phase"] == "awaiting_approval")
        .await;
    server.crash_and_restart().await;
    assert_eq!(server.api.incident(&incident).await["id"], incident.as_str());
    assert!(server.api.approve(&incident).await, "the request for approval must have survived");
    wait_for("the step to begin", Duration::from_secs(30), async || server.api.timeline(&incident).await.iter().any(|e| e["type"] == "step.started"))
        .await;
    server.crash_and_restart().await;
    story.until_ended(&server.api, &incident, "resolved", false).await;
    let revisions = lab.kubectl.get(&story.namespace, "replicasets").expect("replica sets");
    assert_eq!(revisions["items"].as_array().map(Vec::len), Some(2), "one rollback, no third template");
}

mod wrong_action {
    use std::sync::Arc;

    use kubernaut::{
        Config, Kubernaut, Result, async_trait,
        model::{Analysis, Mode, ProposedAction, Risk, SecretString},
        service::{AnalysisRequest, Analyzer, CallContext},
        services::{
            cluster::{KubeCluster, KubeConfig},
            diagnosis::Diagnosis,
        },
    };
    use kubernaut_server::{
        http::{Scope, TokenConfig},
        serve,
        settings::Settings,
    };
    use kubernaut_tests::Api;

    use super::{Lab, ONE_AT_A_TIME, SERVES, Story, deployment, id, json};

    /// Finds the cause, and proposes a mere restart.
    #[derive(Debug)]
    struct Restarts(Diagnosis);

    #[async_trait]
    impl Analyzer for Restarts {
        async fn analyze(&self, ctx: CallContext, request: AnalysisRequest) -> Result<Analysis> {
            let mut analysis = self.0.analyze(ctx, request).await?;
            let target = analysis.candidates[0].object.clone();
            analysis.actions = vec![ProposedAction {
                action: "rollout_restart".into(),
                target,
                params: json!({}),
                preconditions: Vec::new(),
                risk: Risk::Low,
                reversible: false,
                expected_effect: String::new(),
                manual_steps: Vec::new(),
            }];
            Ok(analysis)
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_restart_that_does_not_help_ends_ineffective() {
        let _turn = ONE_AT_A_TIME.lock().await;
        let Some(lab) = Lab::from_env() else { return };
        let mut engine = Config::default();
        engine.mode = Mode::Auto;
        engine.cluster.kubeconfig = Some(lab.kubeconfig.clone().into());
        engine.processor.verification.window_s = 30;
        let home = tempfile::tempdir().expect("a folder");
        engine.ledger.path = home.path().join("kubernaut.db");
        let mut settings = Settings { engine, ..Settings::default() };
        settings.http.listen = lab.webhook_addr.parse().expect("an address");
        let token = |name: &str, token: &str, scope| TokenConfig {
            name: name.into(),
            token: SecretString::from(token.to_owned()),
            scope,
            groups: Vec::new(),
        };
        settings.http.tokens =
            vec![token("alertmanager", &lab.webhook_token, Scope::Alerts), token("tester", "operator-token-of-the-tests", Scope::Operate)];
        let live =
            KubeCluster::connect(KubeConfig { kubeconfig: Some(lab.kubeconfig.clone().into()), ..KubeConfig::default() }).await.expect("the cluster");
        let analyzer = Restarts(Diagnosis::new(Arc::new(live), settings.engine.diagnosis.clone()));
        let server = serve::start(&settings, Kubernaut::builder(settings.engine.clone()).analyzer(Arc::new(analyzer))).await.expect("a server");
        let api = Api::new(&lab.webhook_addr, Some("operator-token-of-the-tests"));

        let story = Story::new(&lab, "restart", "development");
        let image = story.image("lab/app:1");
        story.deploy(deployment("mailer", &image, 1, SERVES));
        story.until_rolled_out("mailer").await;
        story.deploy(deployment("mailer", &image, 1, "echo 'fatal: bad template' >&2; exit 1"));
        let incident = id(&story.incident(&api).await);
        story.until_ended(&api, &incident, "ineffective", true).await;
        let restarted = lab.kubectl.get(&story.namespace, "deployment/mailer").expect("the deployment");
        assert!(restarted["spec"]["template"]["metadata"]["annotations"].is_object(), "the restart must have happened");
        story.report(&api, &incident).await;
        server.stop().await.expect("a clean stop");
    }
}
