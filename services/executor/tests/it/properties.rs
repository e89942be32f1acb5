//! Whatever is asked for: nothing protected is written, and nothing without dry-run and promise.

use kubernaut_core::{
    model::{ActionRequest, ExecutionOutcome, Mode},
    service::Executor,
};
use kubernaut_executor::GateConfig;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    bundle,
    world::{World, approved, ask, ctx, request},
};

#[derive(Debug, Clone)]
struct Case {
    request: ActionRequest,
    mode: Mode,
    agreed: bool,
    config: GateConfig,
    /// Marks on namespace, workload and nodes.
    marks: [Option<(&'static str, &'static str)>; 3],
    stopped: bool,
}

fn action() -> impl Strategy<Value = (&'static str, &'static str, Value)> {
    prop::sample::select(vec![
        ("restart_pod", "Pod/NS/web-2-a", Value::Null),
        ("restart_pod", "Pod/NS/web-1-a", Value::Null),
        ("restart_pod", "Pod/NS/bare", Value::Null),
        ("rollout_restart", "Deployment/NS/web", Value::Null),
        ("rollback_deployment", "Deployment/NS/web", Value::Null),
        ("rollback_deployment", "Deployment/NS/web", json!({"to_revision": 2})),
        ("scale_deployment", "Deployment/NS/web", json!({"replicas": 0})),
        ("scale_deployment", "Deployment/NS/web", json!({"replicas": 4})),
        ("set_resources", "Deployment/NS/web", json!({"container": "app", "memory_limit": "128Mi"})),
        ("set_resources", "Deployment/NS/web", json!({"container": "app", "memory_limit": "16Mi"})),
        ("patch_hpa", "HorizontalPodAutoscaler/NS/front", json!({"max_replicas": 5})),
        ("patch_env", "Deployment/NS/web", json!({"container": "app", "set": {"A": "b"}})),
        ("fix_image_reference", "Deployment/NS/web", json!({"container": "app", "image": "web:1"})),
        ("fix_image_reference", "Deployment/NS/web", json!({"container": "app", "image": "evil.example/web:1"})),
        ("label_node", "Node/n1", json!({"labels": {"disk": "ssd"}})),
        ("label_node", "Node/n1", json!({"labels": {"kubernaut.ai/protected": "false"}})),
        ("cordon_node", "Node/n1", Value::Null),
        ("uncordon_node", "Node/n2", Value::Null),
        ("uncordon_node", "Node/cp", Value::Null),
        ("remove_taint", "Node/n1", json!({"key": "team"})),
        ("delete_namespace", "Namespace/shop", Value::Null),
        ("notify_only", "Deployment/NS/web", json!({"message": "m"})),
    ])
}

fn mark() -> impl Strategy<Value = Option<(&'static str, &'static str)>> {
    prop::option::weighted(
        0.3,
        prop::sample::select(vec![
            ("kubernaut.ai/protected", "true"),
            ("kubernaut.ai/protected", "false"),
            ("kubernaut.ai/managed", "false"),
            ("argocd.argoproj.io/instance", "x"),
        ]),
    )
}

fn config() -> impl Strategy<Value = GateConfig> {
    (any::<bool>(), any::<bool>()).prop_map(|(all, nodes)| GateConfig {
        managed_namespaces: if all { vec!["*".into()] } else { Vec::new() },
        allow_node_actions: nodes,
        max_cordoned_nodes: 9,
        ..GateConfig::default()
    })
}

fn case() -> impl Strategy<Value = Case> {
    let place = prop::sample::select(vec!["shop", "shop", "other", "kube-system"]);
    let mode = prop::sample::select(vec![Mode::Observe, Mode::DryRun, Mode::Approve, Mode::Auto, Mode::Auto]);
    let marks = [mark(), mark(), mark()];
    (action(), place, mode, any::<bool>(), config(), marks, prop::bool::weighted(0.1)).prop_map(
        |((name, target, params), place, mode, agreed, config, marks, stopped)| {
            let request = request(name, &target.replace("NS", place), params, "k");
            Case { request, mode, agreed, config, marks, stopped }
        },
    )
}

fn objects(case: &Case) -> Vec<Value> {
    let mut objects = bundle::objects();
    for object in &mut objects {
        let mark = match object["kind"].as_str() {
            Some("Namespace") => case.marks[0],
            Some("Deployment") => case.marks[1],
            Some("Node") => case.marks[2],
            _ => None,
        };
        if let Some((key, value)) = mark {
            object["metadata"]["labels"][key] = json!(value);
        }
    }
    objects
}

/// Whether any mark, namespace or role forbids every write to the target. Written apart from the gate's own checks.
fn forbidden(case: &Case) -> bool {
    let target = &case.request.target;
    let marked = |mark: Option<(&str, &str)>| matches!(mark, Some(("kubernaut.ai/protected", "true") | ("kubernaut.ai/managed", "false")));
    let by_mark = match target.kind.as_str() {
        "Node" => marked(case.marks[2]),
        "HorizontalPodAutoscaler" => marked(case.marks[0]),
        _ => marked(case.marks[0]) || (marked(case.marks[1]) && target.name != "bare"),
    };
    let opted_in = match target.namespace.as_deref() {
        None => case.config.allow_node_actions,
        Some("shop") => true,
        Some(_) => !case.config.managed_namespaces.is_empty(),
    };
    let system = target.namespace.as_deref() == Some("kube-system") || target.name == "cp" || target.name == "bare";
    by_mark || system || !opted_in || case.stopped || matches!(case.mode, Mode::Observe | Mode::DryRun)
}

async fn check(case: Case) {
    let world = World::with(case.config.clone(), &objects(&case)).await;
    if case.stopped {
        world.ledger.set_stopped(ctx(case.mode), Some("stop".into())).await.unwrap();
    }
    let state = world.state().await;
    let shown = world.gate.dry_run(ctx(case.mode), case.request.clone()).await.unwrap();
    assert_eq!(world.cluster.writes(), 0, "a dry-run writes nothing");
    let asked = if case.agreed { approved(case.request.clone(), &shown.digest) } else { ask(case.request.clone()) };
    let done = world.run_in(case.mode, asked).await;
    let calls = world.cluster.calls();
    let writes: Vec<usize> = (0..calls.len()).filter(|i| !calls[*i].dry_run).collect();
    let applied = done.as_ref().is_ok_and(|d| d.outcome == ExecutionOutcome::Applied);
    assert_eq!(writes.len(), usize::from(applied), "exactly what is reported as applied is written, once: {done:?}");
    for at in writes {
        assert!(!forbidden(&case), "written although forbidden: {:?}", done);
        assert!(calls[..at].iter().any(|c| c.dry_run && c.target == calls[at].target), "no write without a dry-run of the same object before");
        assert!(calls[at].promised, "no write without a committed intent");
        assert!(case.mode == Mode::Auto || case.agreed, "in mode approve nothing is written without a person");
        let report = done.as_ref().unwrap().report.clone();
        assert!(report.refusal().is_none() && (report.asks().count() == 0 || case.agreed), "every ask was agreed to");
    }
    if !applied {
        assert_eq!(world.state().await, state, "what is not applied changes nothing");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_written_that_is_forbidden_unseen_or_unpromised(case in case()) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(check(case));
    }
}
