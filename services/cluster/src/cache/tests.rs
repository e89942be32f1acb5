//! Lists and watches against a scripted server. The clock is paused: waiting costs nothing.

use std::sync::Mutex as StdMutex;

use ::kube::{Client, client::Body};
use http::{Request, Response, StatusCode};
use kubernaut_core::{
    model::{Object, ObjectRef},
    port::{ClusterRead, ListQuery},
    service::CallContext,
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::*;
use crate::KubeConfig;

/// What the server holds, and how it behaves.
#[derive(Default)]
struct Script {
    pods: Vec<Value>,
    /// Lines that the next watch tells, before the mark.
    changes: Vec<Value>,
    version: u64,
    /// Instead of any answer.
    refusal: Option<(u16, Value)>,
    /// No answer at all.
    dead: bool,
    asked: Vec<String>,
}

type Server = Arc<StdMutex<Script>>;

fn pod(name: &str, version: u64) -> Value {
    json!({"metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"), "resourceVersion": version.to_string(),
        "managedFields": [{"manager": "kubectl"}]}})
}

fn answer(script: &mut Script, asked: &str) -> (u16, String) {
    if let Some((code, status)) = &script.refusal {
        return (*code, status.to_string());
    }
    if asked.contains("watch=true") {
        let mark = json!({"type": "BOOKMARK", "object": {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"resourceVersion": script.version.to_string()}}});
        let lines = std::mem::take(&mut script.changes).into_iter().chain([mark]).map(|line| format!("{line}\n"));
        return (200, lines.collect());
    }
    let path = asked.split('?').next().unwrap();
    let Some(name) = path.strip_prefix("/api/v1/namespaces/shop/pods/") else {
        return (200, json!({"items": script.pods, "metadata": {"resourceVersion": script.version.to_string()}}).to_string());
    };
    match script.pods.iter().find(|p| p["metadata"]["name"] == name) {
        Some(found) => (200, found.to_string()),
        None => (404, json!({"kind": "Status", "details": {"name": name}}).to_string()),
    }
}

struct Lab {
    server: Server,
    cache: CachedCluster,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Lab {
    fn start(script: Script, config: CacheConfig) -> Self {
        let server = Arc::new(StdMutex::new(script));
        let behind = server.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = behind.clone();
            async move {
                let answered = {
                    let mut script = server.lock().unwrap();
                    let asked = request.uri().to_string();
                    script.asked.push(asked.clone());
                    (!script.dead).then(|| answer(&mut script, &asked))
                };
                let Some((code, body)) = answered else { return std::future::pending().await };
                Response::builder().status(StatusCode::from_u16(code).unwrap()).body(Body::from(body.into_bytes()))
            }
        });
        let live = KubeCluster::over(Client::new(service, "default"), "test".into(), &KubeConfig::default()).unwrap();
        let cache = CachedCluster::new(live, &CacheConfig { kinds: vec!["Pod".into()], ..config }).unwrap();
        let (stop, followed) = (CancellationToken::new(), cache.clone());
        let token = stop.clone();
        let running = tokio::spawn(async move { followed.run(token).await });
        Self { server, cache, stop, running }
    }

    async fn names(&self) -> Vec<String> {
        let pods = self.cache.list(ctx(), ListQuery::of("Pod", Some("shop"))).await.unwrap();
        pods.iter().map(|p| p.name().to_owned()).collect()
    }

    /// Reads of one namespace, which only fall-through makes.
    fn fallen_through(&self) -> usize {
        self.server.lock().unwrap().asked.iter().filter(|a| a.contains("/namespaces/")).count()
    }

    fn lists(&self) -> usize {
        self.server.lock().unwrap().asked.iter().filter(|a| !a.contains("/namespaces/") && !a.contains("watch=true")).count()
    }

    fn state(&self) -> &'static str {
        self.cache.states()[0].1
    }
}

fn ctx() -> CallContext {
    CallContext::system("test")
}

fn holding(names: &[&str]) -> Script {
    Script { pods: names.iter().map(|n| pod(n, 1)).collect(), version: 1, ..Script::default() }
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_kind_is_asked_for_until_its_list_is_complete_and_then_followed() {
    let lab = Lab::start(holding(&["a", "b"]), CacheConfig::default());
    assert_eq!(lab.names().await, ["a", "b"]);
    assert_eq!(lab.fallen_through(), 1, "nothing was kept yet");
    pass(2).await;
    {
        let mut script = lab.server.lock().unwrap();
        script.version = 3;
        script.changes = vec![json!({"type": "DELETED", "object": pod("a", 2)}), json!({"type": "ADDED", "object": pod("c", 3)})];
        script.pods = vec![pod("b", 1), pod("c", 3)];
    }
    pass(2).await;
    assert_eq!((lab.names().await, lab.state()), (vec!["b".into(), "c".into()], "following"));
    let listed = lab.cache.list(ctx(), ListQuery::of("Pod", None)).await.unwrap();
    assert!(listed[0].at("/metadata/managedFields").is_none() && listed[0].kind() == "Pod" && listed[0].api_version() == "v1");
    let got = lab.cache.get(ctx(), ObjectRef::new("Pod", Some("shop"), "c").with_uid("uid-c")).await.unwrap();
    assert!(got.unwrap().at("/metadata/managedFields").is_some(), "a get gives the whole object");
    assert_eq!((lab.fallen_through(), lab.lists()), (1, 1), "all of it from memory");
}

#[tokio::test(start_paused = true)]
async fn absence_is_never_told_from_memory() {
    let lab = Lab::start(holding(&["a"]), CacheConfig::default());
    pass(2).await;
    lab.server.lock().unwrap().pods.push(pod("new", 2));
    let get = async |reference: ObjectRef| lab.cache.get(ctx(), reference).await.unwrap();
    let reference = |name: &str| ObjectRef::new("Pod", Some("shop"), name);
    assert_eq!(get(reference("new")).await.as_ref().map(Object::name), Some("new"), "not yet told, but asked for");
    lab.server.lock().unwrap().pods = vec![json!({"metadata": {"name": "a", "namespace": "shop", "uid": "successor"}})];
    assert!(get(reference("a").with_uid("successor")).await.is_some(), "another uid than the kept one is asked for");
    assert_eq!(lab.cache.owners(ctx(), reference("a")).await.unwrap(), []);
    assert!(lab.cache.owners(ctx(), reference("absent")).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_version_that_the_server_forgot_is_listed_anew() {
    let lab = Lab::start(holding(&["a"]), CacheConfig::default());
    pass(2).await;
    {
        let mut script = lab.server.lock().unwrap();
        script.pods = vec![pod("b", 9)];
        script.changes = vec![json!({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}})];
    }
    pass(3).await;
    assert_eq!((lab.names().await, lab.lists(), lab.fallen_through()), (vec!["b".into()], 2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_short_interruption_is_bridged_a_long_one_is_not_and_ends_with_a_new_list() {
    let lab = Lab::start(holding(&["a"]), CacheConfig::default());
    pass(5).await;
    lab.server.lock().unwrap().dead = true;
    pass(12).await;
    assert_eq!((lab.names().await, lab.fallen_through(), lab.state()), (vec!["a".into()], 0, "broken"));
    pass(30).await;
    {
        let mut script = lab.server.lock().unwrap();
        (script.dead, script.pods) = (false, vec![pod("b", 5)]);
    }
    assert_eq!((lab.names().await, lab.fallen_through()), (vec!["b".into()], 1), "the server is asked as soon as the watch may be too old");
    pass(40).await;
    assert_eq!((lab.names().await, lab.fallen_through(), lab.state()), (vec!["b".into()], 1, "following"));
    assert!(lab.lists() >= 2);
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_does_not_fit_is_dropped_at_once_and_tried_again_much_later() {
    let lab = Lab::start(holding(&["a", "b"]), CacheConfig { max_objects: 2, ..CacheConfig::default() });
    pass(2).await;
    assert_eq!((lab.state(), lab.cache.held().0), ("following", 2));
    {
        let mut script = lab.server.lock().unwrap();
        script.pods.push(pod("c", 2));
        script.changes = vec![json!({"type": "ADDED", "object": pod("c", 2)})];
    }
    pass(3).await;
    assert_eq!((lab.state(), lab.cache.held()), ("full", (0, 0)));
    assert_eq!((lab.names().await, lab.fallen_through()), (vec!["a".into(), "b".into(), "c".into()], 1), "still right");
    pass(300).await;
    assert_eq!(lab.lists(), 1);
    lab.server.lock().unwrap().pods.pop();
    pass(400).await;
    assert_eq!((lab.state(), lab.cache.held().0), ("following", 2));
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_may_not_be_listed_everywhere_is_not_kept() {
    let refusal = json!({"kind": "Status", "message": "pods is forbidden: User \"u\" cannot list resource \"pods\""});
    let lab = Lab::start(Script { refusal: Some((403, refusal)), ..Script::default() }, CacheConfig::default());
    pass(60).await;
    assert_eq!((lab.state(), lab.lists()), ("refused", 1));
    *lab.server.lock().unwrap() = holding(&["a"]);
    assert_eq!((lab.names().await, lab.fallen_through()), (vec!["a".into()], 1), "what may be read in one namespace is");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_after_the_end_be_it_asked_for_or_not() {
    let lab = Lab::start(holding(&["a"]), CacheConfig::default());
    pass(2).await;
    assert_eq!(lab.state(), "following");
    lab.stop.cancel();
    lab.running.await.unwrap();
    assert_eq!((lab.cache.states()[0].1, lab.cache.held()), ("off", (0, 0)));

    let lab = Lab::start(holding(&["a"]), CacheConfig::default());
    pass(2).await;
    lab.running.abort();
    pass(1).await;
    let asked = lab.server.lock().unwrap().asked.len();
    assert_eq!((lab.state(), lab.cache.held()), ("off", (0, 0)));
    pass(60).await;
    assert_eq!(lab.server.lock().unwrap().asked.len(), asked, "no request goes on");
}
