//! The rows: one action each.

use serde_json::{Value, json};

use crate::lab::Place;

pub struct Row {
    pub name: &'static str,
    /// What the docs say is read.
    pub reads: &'static str,
    pub setup: fn(&Place<'_>) -> Vec<Value>,
    /// Waits until the set-up has settled.
    pub ready: fn(&Place<'_>) -> Result<(), String>,
    /// Target (`NS` stands for the namespace) and parameters.
    pub request: fn(&Place<'_>) -> (String, Value),
    pub effect: fn(&Place<'_>) -> bool,
    pub undone: Option<fn(&Place<'_>) -> bool>,
    /// What must not grow when the same key comes again.
    pub count: fn(&Place<'_>) -> String,
    pub repeats: bool,
    /// Whether it only reads, so that its effect is in the archive.
    pub collects: bool,
    pub conflict: bool,
    pub clean: fn(&Place<'_>),
}

const BASE: Row = Row {
    name: "",
    reads: "",
    setup: |_| Vec::new(),
    ready: |_| Ok(()),
    request: |_| (String::new(), Value::Null),
    effect: |_| false,
    undone: None,
    count: |_| String::new(),
    repeats: true,
    collects: false,
    conflict: false,
    clean: |_| {},
};

pub fn is_cluster_scoped(object: &Value) -> bool {
    ["PersistentVolume", "ValidatingWebhookConfiguration", "Namespace", "StorageClass"].iter().any(|k| object["kind"] == *k)
}

fn template(place: &Place<'_>) -> Value {
    json!({"metadata": {"labels": {"app": "web"}}, "spec": {"terminationGracePeriodSeconds": 0, "containers": [{
        "name": "app", "image": place.lab.image, "command": ["sh", "-c", "while :; do sleep 1; done"],
        "resources": {"limits": {"memory": "24Mi"}, "requests": {"memory": "8Mi", "cpu": "5m"}}}]}})
}

fn workload(place: &Place<'_>, kind: &str, template: Value) -> Value {
    let mut object = json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "web"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": template}});
    if kind == "StatefulSet" {
        object["spec"]["serviceName"] = json!("web");
    }
    if kind == "DaemonSet" {
        object["spec"].as_object_mut().unwrap().remove("replicas");
        object["spec"]["template"]["spec"]["nodeSelector"] = json!({"test/node": "real"});
    }
    object["metadata"]["namespace"] = json!(place.namespace);
    object
}

fn web(place: &Place<'_>) -> Vec<Value> {
    vec![workload(place, "Deployment", template(place))]
}

fn web_ready(place: &Place<'_>) -> Result<(), String> {
    place.ready("deployment/web")
}

const WEB: Row = Row { setup: web, ready: web_ready, ..BASE };

fn claim(name: &str, class: Option<&str>) -> Value {
    let mut spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "8Mi"}}});
    if let Some(class) = class {
        spec["storageClassName"] = json!(class);
    }
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec})
}

/// A claim that is bound, because the deployment's pod uses it.
fn with_claim(place: &Place<'_>) -> Vec<Value> {
    let mut template = template(place);
    let script = "mkdir -p /data/logs /data/keep; echo x > /data/logs/old; echo y > /data/keep/file; while :; do sleep 1; done";
    template["spec"]["containers"][0]["command"][2] = json!(script);
    template["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "data", "mountPath": "/data"}]);
    template["spec"]["volumes"] = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]);
    vec![claim("data", None), workload(place, "Deployment", template)]
}

fn job(place: &Place<'_>) -> Value {
    let spec = json!({"restartPolicy": "Never", "containers": [{"name": "work", "image": place.lab.image, "command": ["sh", "-c", "echo ran as $HOSTNAME; test -e /never && exit 0; exit ${CODE:-0}"]}]});
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "settle"}, "spec": {"backoffLimit": 0, "template": {"spec": spec}}})
}

fn jobs(place: &Place<'_>) -> String {
    place.run(&["get", "jobs", "-o", "name"]).unwrap_or_default()
}

/// Whether a Job beside the target has completed, and its log, in the archive too, says so.
fn job_said(place: &Place<'_>, words: &str) -> bool {
    let done = place.run(&["get", "jobs", "-l", "kubernaut.ai/key", "-o", "jsonpath={.items[*].status.succeeded}"]).unwrap_or_default();
    let name = place.run(&["get", "jobs", "-l", "kubernaut.ai/key", "-o", "name"]).unwrap_or_default();
    let logs = place.run(&["logs", name.trim()]).unwrap_or_default();
    done == "1" && logs.contains(words) && in_archive(place, "job.log", words)
}

fn in_archive(place: &Place<'_>, name: &str, words: &str) -> bool {
    let folders = std::fs::read_dir(place.lab.archive.path()).into_iter().flatten().flatten();
    folders.into_iter().any(|f| std::fs::read(f.path().join(name)).is_ok_and(|b| String::from_utf8_lossy(&b).contains(words)))
}

fn config_map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

fn pull_secret(name: &str) -> Value {
    let login = json!({ "auths": { "registry.example": { "username": "ci", "password": "open-sesame" } } });
    json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "type": "kubernetes.io/dockerconfigjson",
        "stringData": { ".dockerconfigjson": login.to_string() } })
}

fn secret(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"password": "before", "user": "me"}})
}

/// A node of this row's own, that runs nothing real.
fn fake_node(place: &Place<'_>) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node(place), "labels": {"act": "yes"}}, "spec": {"taints": [{"key": "act", "value": "yes", "effect": "NoSchedule"}]}})
}

fn node(place: &Place<'_>) -> String {
    place.namespace.clone()
}

fn drop_node(place: &Place<'_>) {
    let _ = place.lab.kubectl(&["delete", "node", &node(place), "--ignore-not-found", "--wait=false"], None);
}

const NODE: Row = Row { setup: |p| vec![fake_node(p)], clean: drop_node, ..BASE };

fn node_read(place: &Place<'_>, path: &str) -> String {
    place.read(&format!("node/{}", node(place)), path)
}

/// A row whose effect is one field of the Deployment.
macro_rules! field {
    ($name:literal, $params:tt, $path:literal, $after:literal, $before:literal) => {
        Row {
            name: $name,
            reads: concat!("`", $path, "` of the workload"),
            request: |_| ("Deployment/NS/web".into(), json!($params)),
            effect: |p| p.read("deployment/web", $path) == $after,
            undone: Some(|p| p.read("deployment/web", $path) == $before),
            ..WEB
        }
    };
}

pub fn all() -> Vec<Row> {
    let mut all = workloads();
    all.extend(pods());
    all.extend(templates());
    all.extend(nodes());
    all.extend(storage());
    all.extend(by_jobs());
    all.extend(objects());
    all
}

fn workloads() -> Vec<Row> {
    vec![
        Row { conflict: true, ..field!("scale_replicas", {"replicas": 2}, ".spec.replicas", "2", "1") },
        Row {
            name: "rollout_restart",
            reads: "another pod is ready",
            request: |_| ("Deployment/NS/web".into(), json!({})),
            effect: |p| {
                !p.read("deployment/web", ".spec.template.metadata.annotations.kubernaut\\.ai/restarted-by").is_empty()
                    && p.ready("deployment/web").is_ok()
            },
            ..WEB
        },
        field!("pause_rollout", {}, ".spec.paused", "true", ""),
        Row { ready: |p| p.run(&["rollout", "pause", "deployment/web"]).map(drop), ..field!("resume_rollout", {}, ".spec.paused", "", "true") },
        Row {
            name: "rollback_deployment",
            reads: "the image and command of the earlier revision",
            ready: |p| {
                p.ready("deployment/web")?;
                p.run(&["set", "env", "deployment/web", "BAD=1"])?;
                p.ready("deployment/web")
            },
            request: |_| ("Deployment/NS/web".into(), json!({})),
            effect: |p| p.read("deployment/web", ".spec.template.spec.containers[0].env").is_empty() && p.ready("deployment/web").is_ok(),
            undone: Some(|p| p.read("deployment/web", ".spec.template.spec.containers[0].env[0].name") == "BAD"),
            ..WEB
        },
        Row {
            name: "rollback_statefulset",
            reads: "the template of the earlier ControllerRevision",
            setup: |p| vec![workload(p, "StatefulSet", template(p))],
            ready: |p| {
                p.ready("statefulset/web")?;
                p.run(&["set", "env", "statefulset/web", "BAD=1"])?;
                p.ready("statefulset/web")
            },
            request: |_| ("StatefulSet/NS/web".into(), json!({})),
            effect: |p| p.read("statefulset/web", ".spec.template.spec.containers[0].env").is_empty(),
            undone: Some(|p| p.read("statefulset/web", ".spec.template.spec.containers[0].env[0].name") == "BAD"),
            ..BASE
        },
        Row {
            name: "rollback_daemonset",
            reads: "the template of the earlier ControllerRevision",
            setup: |p| vec![workload(p, "DaemonSet", template(p))],
            ready: |p| {
                p.ready("daemonset/web")?;
                p.run(&["set", "env", "daemonset/web", "BAD=1"])?;
                p.ready("daemonset/web")
            },
            request: |_| ("DaemonSet/NS/web".into(), json!({})),
            effect: |p| p.read("daemonset/web", ".spec.template.spec.containers[0].env").is_empty(),
            undone: Some(|p| p.read("daemonset/web", ".spec.template.spec.containers[0].env[0].name") == "BAD"),
            ..BASE
        },
        Row {
            name: "migrate_workload",
            reads: "the pod runs on the node that was named",
            request: |_| ("Deployment/NS/web".into(), json!({"target_node": "real-1"})),
            effect: |p| {
                p.read("deployment/web", ".spec.template.spec.nodeSelector.kubernetes\\.io/hostname") == "real-1" && p.ready("deployment/web").is_ok()
            },
            undone: Some(|p| p.read("deployment/web", ".spec.template.spec.nodeSelector").is_empty()),
            ..WEB
        },
        Row {
            name: "patch_hpa_max",
            reads: "`.spec.maxReplicas`",
            setup: |p| {
                let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
                let mut all = web(p);
                all.push(json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"}, "spec": {"minReplicas": 1, "maxReplicas": 2, "scaleTargetRef": target}}));
                all
            },
            request: |_| ("HorizontalPodAutoscaler/NS/web".into(), json!({"max_replicas": 3})),
            effect: |p| p.read("horizontalpodautoscaler/web", ".spec.maxReplicas") == "3",
            undone: Some(|p| p.read("horizontalpodautoscaler/web", ".spec.maxReplicas") == "2"),
            ..BASE
        },
        Row {
            name: "relax_pdb",
            reads: "`.spec.minAvailable`",
            setup: |p| {
                let mut deployment = workload(p, "Deployment", template(p));
                deployment["spec"]["replicas"] = json!(2);
                vec![
                    deployment,
                    json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"}, "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}}}),
                ]
            },
            ready: |p| {
                web_ready(p)?;
                p.wait("poddisruptionbudget/web", "jsonpath={.status.expectedPods}=2")
            },
            request: |_| ("PodDisruptionBudget/NS/web".into(), json!({"min_available": 1, "duration_seconds": 3600})),
            effect: |p| {
                p.read("poddisruptionbudget/web", ".spec.minAvailable") == "1"
                    && p.read("poddisruptionbudget/web", ".status.disruptionsAllowed") == "1"
            },
            undone: Some(|p| {
                p.read("poddisruptionbudget/web", ".spec.minAvailable") == "2" && p.read("poddisruptionbudget/web", ".metadata.labels").is_empty()
            }),
            ..BASE
        },
        Row {
            name: "suspend_cronjob",
            reads: "`.spec.suspend`",
            setup: |p| {
                vec![
                    json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly"}, "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": job(p)["spec"]}}}),
                ]
            },
            request: |_| ("CronJob/NS/nightly".into(), json!({})),
            effect: |p| p.read("cronjob/nightly", ".spec.suspend") == "true",
            undone: Some(|p| p.read("cronjob/nightly", ".spec.suspend") != "true"),
            ..BASE
        },
        Row {
            name: "resume_cronjob",
            reads: "`.spec.suspend`",
            setup: |p| {
                vec![
                    json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly"}, "spec": {"suspend": true, "schedule": "0 0 1 1 *", "jobTemplate": {"spec": job(p)["spec"]}}}),
                ]
            },
            request: |_| ("CronJob/NS/nightly".into(), json!({})),
            effect: |p| p.read("cronjob/nightly", ".spec.suspend") == "false",
            undone: Some(|p| p.read("cronjob/nightly", ".spec.suspend") == "true"),
            ..BASE
        },
    ]
}

fn pods() -> Vec<Row> {
    vec![
        Row {
            name: "delete_pod",
            reads: "the pod of that uid is gone and a successor is ready",
            setup: |p| {
                let mut deployment = workload(p, "Deployment", template(p));
                deployment["spec"]["template"]["metadata"]["labels"]["row"] = json!("evict");
                vec![deployment, config_map("first", json!({}))]
            },
            ready: |p| {
                web_ready(p)?;
                let name = p.pod("row=evict");
                p.run(&["patch", "configmap", "first", "-p", &json!({"data": {"pod": name}}).to_string()]).map(drop)
            },
            request: |p| (format!("Pod/NS/{}", p.pod("row=evict")), json!({})),
            effect: |p| !p.is_there(&format!("pod/{}", p.read("configmap/first", ".data.pod"))) && web_ready(p).is_ok(),
            ..BASE
        },
        Row {
            name: "force_delete_pod",
            reads: "a pod that was held ending is off the server",
            setup: |p| {
                let mut slow = template(p);
                slow["spec"]["terminationGracePeriodSeconds"] = json!(600);
                slow["spec"]["containers"][0]["command"][2] = json!("trap '' TERM; while :; do sleep 1; done");
                vec![workload(p, "StatefulSet", slow)]
            },
            ready: |p| {
                p.ready("statefulset/web")?;
                p.run(&["delete", "pod", "web-0", "--wait=false"])?;
                p.run(&["label", "statefulset", "web", &format!("was={}", p.read("pod/web-0", ".metadata.uid"))]).map(drop)
            },
            request: |_| ("Pod/NS/web-0".into(), json!({})),
            effect: |p| {
                let now = p.read("pod/web-0", ".metadata.uid");
                now != p.read("statefulset/web", ".metadata.labels.was")
            },
            clean: |p| {
                let _ = p.run(&["delete", "statefulset", "web", "--wait=false"]);
                let _ = p.run(&["delete", "pod", "web-0", "--force", "--grace-period=0", "--ignore-not-found"]);
            },
            ..BASE
        },
        Row {
            name: "quarantine_pod",
            reads: "labels of the pod, the NetworkPolicy that holds it, and the pod that took its place",
            setup: |p| {
                let mut all = web(p);
                all.push(config_map("first", json!({})));
                all
            },
            ready: |p| {
                web_ready(p)?;
                p.run(&["patch", "configmap", "first", "-p", &json!({"data": {"pod": p.pod("app=web")}}).to_string()]).map(drop)
            },
            request: |p| (format!("Pod/NS/{}", p.pod("app=web")), json!({})),
            effect: |p| {
                let pod = p.read("configmap/first", ".data.pod");
                let held = p.read(&format!("networkpolicy/quarantine-{pod}"), ".spec.podSelector.matchLabels.kubernaut\\.ai/quarantined");
                let other = p.pod("app=web");
                p.read(&format!("pod/{pod}"), ".metadata.labels.app").is_empty() && held == pod && !other.is_empty() && other != pod
            },
            undone: Some(|p| {
                let pod = p.read("configmap/first", ".data.pod");
                let labels = p.read(&format!("pod/{pod}"), ".metadata.labels.app");
                // Back in its set it may be the one that is too many.
                (labels == "web" || labels.is_empty() && !p.is_there(&format!("pod/{pod}")))
                    && !p.is_there(&format!("networkpolicy/quarantine-{pod}"))
            }),
            count: |p| p.run(&["get", "networkpolicies", "-o", "name"]).unwrap_or_default(),
            ..BASE
        },
        Row {
            name: "create_heap_dump",
            reads: "a file that a command made inside of a real container is in the archive, and gone from the container",
            request: |p| {
                let script = "cat /proc/1/maps > /tmp/heap-dump.hprof && touch /tmp/dumped";
                (format!("Pod/NS/{}", p.pod("app=web")), json!({"runtime": "custom", "command": ["sh", "-c", script]}))
            },
            effect: |p| {
                let left = p.run(&["exec", &p.pod("app=web"), "--", "sh", "-c", "ls /tmp"]).unwrap_or_default();
                left.contains("dumped") && !left.contains("heap-dump") && in_archive(p, "heap-dump.bin", "[stack]")
            },
            repeats: false,
            ..WEB
        },
        Row {
            name: "collect_diagnostics",
            reads: "object, pods, events and logs in the archive",
            collects: true,
            request: |_| ("Deployment/NS/web".into(), json!({})),
            effect: |p| {
                in_archive(p, "object.json", &p.namespace) && in_archive(p, "pods.json", &p.pod("app=web")) && in_archive(p, "events.json", "Started")
            },
            ..WEB
        },
    ]
}

fn templates() -> Vec<Row> {
    vec![
        field!("increase_memory_limit", {"limits": {"memory": "32Mi"}}, ".spec.template.spec.containers[0].resources.limits.memory", "32Mi", "24Mi"),
        field!("set_resource_limits", {"memory_limit": "48Mi"}, ".spec.template.spec.containers[0].resources.limits.memory", "48Mi", "24Mi"),
        field!("set_resource_requests", {"requests": {"memory": "12Mi"}}, ".spec.template.spec.containers[0].resources.requests.memory", "12Mi", "8Mi"),
        field!("reduce_requests", {"requests": {"memory": "4Mi"}}, ".spec.template.spec.containers[0].resources.requests.memory", "4Mi", "8Mi"),
        field!("patch_env", {"set": {"MODE": "x"}}, ".spec.template.spec.containers[0].env[0].value", "x", ""),
        field!("patch_command", {"command": ["sleep", "3600"]}, ".spec.template.spec.containers[0].command[0]", "sleep", "sh"),
        field!("fix_image_reference", {"image": "127.0.0.1:5001/lab/pause:1"}, ".spec.template.spec.containers[0].image", "127.0.0.1:5001/lab/pause:1", "127.0.0.1:5001/lab/app:1"),
        field!("patch_security_context", {"run_as_user": 1000, "run_as_non_root": true}, ".spec.template.spec.securityContext.runAsUser", "1000", ""),
        field!("patch_node_selector", {"node_selector": {"test/node": "real"}}, ".spec.template.spec.nodeSelector.test/node", "real", ""),
        Row {
            name: "optimize_resources",
            reads: "the memory request follows what Prometheus knows of the pod",
            ready: |p| {
                web_ready(p)?;
                // Prometheus has to see the pod twice.
                std::thread::sleep(std::time::Duration::from_secs(90));
                Ok(())
            },
            request: |_| ("Deployment/NS/web".into(), json!({"min_history_seconds": 60, "strategy": "cost"})),
            effect: |p| !["8Mi", ""].contains(&p.read("deployment/web", ".spec.template.spec.containers[0].resources.requests.memory").as_str()),
            undone: Some(|p| p.read("deployment/web", ".spec.template.spec.containers[0].resources.requests.memory") == "8Mi"),
            ..WEB
        },
        Row {
            name: "enable_debug_mode",
            reads: "`LOG_LEVEL` of the container, and the note on when it ends",
            request: |_| ("Deployment/NS/web".into(), json!({"duration_seconds": 3600})),
            effect: |p| {
                let at = p.read("deployment/web", ".metadata.annotations.kubernaut\\.ai/return");
                p.read("deployment/web", ".spec.template.spec.containers[0].env[0].value") == "debug" && at.contains("\"at\"")
            },
            undone: Some(|p| {
                p.read("deployment/web", ".spec.template.spec.containers[0].env").is_empty()
                    && p.read("deployment/web", ".metadata.labels.kubernaut\\.ai/temporary").is_empty()
            }),
            ..WEB
        },
        Row {
            name: "migrate_empty_dir",
            reads: "the pod runs with a bound claim of its own",
            setup: |p| {
                let mut template = template(p);
                template["spec"]["volumes"] = json!([{"name": "scratch", "emptyDir": {}}]);
                template["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "scratch", "mountPath": "/scratch"}]);
                vec![workload(p, "Deployment", template)]
            },
            request: |_| ("Deployment/NS/web".into(), json!({"volume": "scratch", "size": "8Mi"})),
            effect: |p| p.run(&["get", "pvc", "-o", "jsonpath={.items[*].status.phase}"]).is_ok_and(|s| s == "Bound") && web_ready(p).is_ok(),
            undone: Some(|p| p.read("deployment/web", ".spec.template.spec.volumes[0].emptyDir") == "{}"),
            ..WEB
        },
    ]
}

fn nodes() -> Vec<Row> {
    vec![
        Row {
            name: "cordon_node",
            reads: "`.spec.unschedulable`",
            request: |p| (format!("Node/{}", node(p)), json!({})),
            effect: |p| node_read(p, ".spec.unschedulable") == "true",
            undone: Some(|p| node_read(p, ".spec.unschedulable").is_empty()),
            ..NODE
        },
        Row {
            name: "uncordon_node",
            reads: "`.spec.unschedulable`",
            setup: |_| Vec::new(),
            ready: |p| p.lab.kubectl(&["cordon", "fake-2"], None).map(drop),
            request: |_| ("Node/fake-2".into(), json!({})),
            effect: |p| p.read("node/fake-2", ".spec.unschedulable").is_empty(),
            undone: Some(|p| p.read("node/fake-2", ".spec.unschedulable") == "true"),
            clean: |p| drop(p.lab.kubectl(&["uncordon", "fake-2"], None)),
            ..BASE
        },
        Row {
            name: "taint_node",
            reads: "`.spec.taints`",
            request: |p| (format!("Node/{}", node(p)), json!({"key": "team", "value": "x", "effect": "NoSchedule"})),
            effect: |p| node_read(p, ".spec.taints[*].key").contains("team"),
            undone: Some(|p| !node_read(p, ".spec.taints[*].key").contains("team")),
            ..NODE
        },
        Row {
            name: "label_node",
            reads: "the label",
            request: |p| (format!("Node/{}", node(p)), json!({"labels": {"disk": "ssd"}})),
            effect: |p| node_read(p, ".metadata.labels.disk") == "ssd",
            undone: Some(|p| node_read(p, ".metadata.labels.disk").is_empty()),
            ..NODE
        },
        Row {
            name: "drain_node",
            reads: "the pods run on another node; a budget was kept",
            setup: |p| {
                let mut template = template(p);
                template["spec"]["nodeSelector"] = json!({"test/node": "fake"});
                template["spec"]["tolerations"] = json!([{"operator": "Exists", "key": "kwok.x-k8s.io/node"}]);
                // First all on the node that is to be drained.
                template["spec"]["affinity"] = json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 100, "preference": {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["fake-1"]}]}}]}});
                let mut deployment = workload(p, "Deployment", template);
                deployment["spec"]["replicas"] = json!(3);
                vec![
                    deployment,
                    json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"}, "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}}}),
                ]
            },
            ready: |p| {
                web_ready(p)?;
                p.wait("poddisruptionbudget/web", "jsonpath={.status.disruptionsAllowed}=1")
            },
            request: |_| ("Node/fake-1".into(), json!({"timeout_seconds": 100})),
            effect: |p| {
                let on = p.run(&["get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].spec.nodeName}"]).unwrap_or_default();
                on.split(' ').all(|n| n == "fake-2") && p.read("node/fake-1", ".spec.unschedulable") == "true"
            },
            undone: Some(|p| p.read("node/fake-1", ".spec.unschedulable").is_empty()),
            clean: |p| drop(p.lab.kubectl(&["uncordon", "fake-1"], None)),
            repeats: false,
            ..BASE
        },
    ]
}

fn storage() -> Vec<Row> {
    vec![
        Row {
            name: "recreate_pvc",
            reads: "the claim of that name has another uid and class",
            setup: |_| vec![claim("data", Some("no-such-class"))],
            request: |_| ("PersistentVolumeClaim/NS/data".into(), json!({"storage_class_name": "local-path"})),
            effect: |p| p.read("pvc/data", ".spec.storageClassName") == "local-path",
            count: |p| p.read("pvc/data", ".metadata.uid"),
            ..BASE
        },
        Row {
            name: "fix_statefulset_pvc",
            reads: "the StatefulSet made the claim anew",
            setup: |p| {
                let mut set = workload(p, "StatefulSet", template(p));
                set["spec"]["volumeClaimTemplates"] = json!([claim("data", Some("no-such-class"))]);
                set["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "data", "mountPath": "/data"}]);
                vec![set]
            },
            ready: |p| {
                p.wait("pod/web-0", "jsonpath={.status.phase}=Pending")?;
                p.run(&["label", "statefulset", "web", &format!("was={}", p.read("pvc/data-web-0", ".metadata.uid"))]).map(drop)
            },
            request: |_| ("PersistentVolumeClaim/NS/data-web-0".into(), json!({})),
            effect: |p| {
                let now = p.read("pvc/data-web-0", ".metadata.uid");
                !now.is_empty() && now != p.read("statefulset/web", ".metadata.labels.was")
            },
            ..BASE
        },
        Row {
            name: "cleanup_pvc",
            reads: "the claim is gone",
            setup: |_| vec![claim("left", Some("local-path"))],
            request: |_| ("PersistentVolumeClaim/NS/left".into(), json!({})),
            effect: |p| !p.is_there("pvc/left"),
            ..BASE
        },
    ]
}

fn by_jobs() -> Vec<Row> {
    let by_image = |name: &'static str| Row {
        name,
        reads: "a Job of the image has completed and its log is in the archive",
        request: |p| {
            (
                "Deployment/NS/web".into(),
                json!({"image": p.digest(), "command": ["sh", "-c", "echo did $WHAT on $TARGET_RESOURCE"], "env": {"WHAT": "work"}}),
            )
        },
        effect: |p| job_said(p, "did work on Deployment/"),
        count: jobs,
        ..WEB
    };
    let on_claim = |name: &'static str| Row {
        name,
        reads: "a Job of the image has read what is on the claim",
        setup: with_claim,
        request: |p| {
            ("PersistentVolumeClaim/NS/data".into(), json!({"image": p.digest(), "command": ["sh", "-c", "echo found $(cat /data/keep/file)"]}))
        },
        effect: |p| job_said(p, "found y"),
        count: jobs,
        ..WEB
    };
    vec![
        by_image("run_job"),
        by_image("failover_database"),
        by_image("repair_database"),
        on_claim("compact_storage"),
        on_claim("backup_data"),
        Row {
            name: "cleanup_storage",
            reads: "old files of the named folder are gone, others stay",
            setup: with_claim,
            request: |p| ("PersistentVolumeClaim/NS/data".into(), json!({"image": p.digest(), "paths": ["logs"], "age_days": 0})),
            effect: |p| {
                let files = p.run(&["exec", "deployment/web", "--", "sh", "-c", "ls /data/logs /data/keep"]).unwrap_or_default();
                files.contains("file") && !files.contains("old")
            },
            count: jobs,
            ..WEB
        },
        Row {
            name: "rerun_job",
            reads: "a second Job of the same template has completed",
            setup: |p| vec![job(p)],
            ready: |p| p.wait("job/settle", "condition=Complete"),
            request: |_| ("Job/NS/settle".into(), json!({})),
            effect: |p| job_said(p, "ran as settle-"),
            count: jobs,
            ..BASE
        },
    ]
}

fn objects() -> Vec<Row> {
    vec![
        Row {
            name: "restore_service",
            reads: "the Service has endpoints",
            request: |_| ("Service/NS/front".into(), json!({"port": 80, "target_port": 8080, "selector": {"app": "web"}})),
            effect: |p| {
                !p.run(&["get", "endpointslices", "-l", "kubernetes.io/service-name=front", "-o", "jsonpath={.items[0].endpoints[0].addresses[0]}"])
                    .unwrap_or_default()
                    .is_empty()
            },
            undone: Some(|p| !p.is_there("service/front")),
            ..WEB
        },
        Row {
            name: "restore_configmap",
            reads: "the ConfigMap has its content",
            request: |_| ("ConfigMap/NS/conf".into(), json!({"data": {"a": "1"}})),
            effect: |p| p.read("configmap/conf", ".data.a") == "1",
            undone: Some(|p| !p.is_there("configmap/conf")),
            ..BASE
        },
        Row {
            name: "recreate_pull_secret",
            reads: "the Secret has the values of the one that was named",
            setup: |_| vec![pull_secret("kept")],
            request: |p| ("Secret/NS/pull".into(), json!({"copy_from": format!("{}/kept", p.namespace)})),
            effect: |p| p.is_there("secret/pull") && p.read("secret/pull", ".data") == p.read("secret/kept", ".data"),
            undone: Some(|p| !p.is_there("secret/pull")),
            ..BASE
        },
        Row {
            name: "rotate_secrets",
            reads: "the key has another value, the other key has not, and a copy has the earlier ones",
            setup: |_| vec![secret("login"), secret("same")],
            request: |_| ("Secret/NS/login".into(), json!({"keys": ["password"]})),
            effect: |p| {
                let copies = p.run(&["get", "secrets", "-l", "kubernaut.ai/copy-of", "-o", "jsonpath={.items[*].data.password}"]).unwrap_or_default();
                let (was, now) = (p.read("secret/same", ".data.password"), p.read("secret/login", ".data.password"));
                now != was && now.len() == 44 && copies == was && p.read("secret/login", ".data.user") == p.read("secret/same", ".data.user")
            },
            undone: Some(|p| {
                let same = p.read("secret/same", ".data.password") == p.read("secret/login", ".data.password");
                same && p.run(&["get", "secrets", "-l", "kubernaut.ai/copy-of", "-o", "name"]).unwrap_or_default().is_empty()
            }),
            count: |p| p.read("secret/login", ".data.password"),
            ..BASE
        },
        Row {
            name: "restore_role_binding",
            reads: "the account may do what the role allows (`kubectl auth can-i`)",
            setup: |_| {
                let rules = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]);
                vec![
                    json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "watcher"}}),
                    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "reader"}, "rules": rules}),
                ]
            },
            request: |_| ("RoleBinding/NS/watcher-reader".into(), json!({"role_kind": "Role", "role": "reader", "service_account": "watcher"})),
            effect: |p| {
                p.run(&["auth", "can-i", "list", "pods", &format!("--as=system:serviceaccount:{}:watcher", p.namespace)])
                    .is_ok_and(|s| s.starts_with("yes"))
            },
            undone: Some(|p| !p.is_there("rolebinding/watcher-reader")),
            ..BASE
        },
        Row {
            name: "create_limit_range",
            reads: "a new pod gets the limit",
            request: |_| {
                ("LimitRange/NS/limits".into(), json!({"default": {"memory": "32Mi"}, "default_request": {"memory": "16Mi", "cpu": "0.01"}}))
            },
            effect: |p| {
                let image = p.lab.image.clone();
                let dry = p.run(&[
                    "run",
                    "probe",
                    &format!("--image={image}"),
                    "--dry-run=server",
                    "-o",
                    "jsonpath={.spec.containers[0].resources.limits.memory}",
                ]);
                dry.is_ok_and(|limit| limit == "32Mi")
            },
            undone: Some(|p| !p.is_there("limitrange/limits")),
            ..BASE
        },
        Row {
            name: "increase_quota",
            reads: "`.spec.hard`",
            setup: |_| vec![json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"pods": "4"}}})],
            request: |_| ("ResourceQuota/NS/q".into(), json!({"hard": {"pods": "6"}})),
            effect: |p| p.read("resourcequota/q", ".spec.hard.pods") == "6",
            undone: Some(|p| p.read("resourcequota/q", ".spec.hard.pods") == "4"),
            ..BASE
        },
        Row {
            name: "patch_configmap",
            reads: "`.data`",
            setup: |_| vec![config_map("conf", json!({"app.conf": "a: 1\nbad: 2\n"}))],
            request: |_| ("ConfigMap/NS/conf".into(), json!({"key": "app.conf", "remove_line": "bad: 2"})),
            effect: |p| p.read("configmap/conf", ".data.app\\.conf").trim() == "a: 1",
            undone: Some(|p| p.read("configmap/conf", ".data.app\\.conf").contains("bad")),
            ..BASE
        },
        Row {
            name: "patch_service_selector",
            reads: "`.spec.selector`",
            setup: |p| {
                let mut all = web(p);
                all.push(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "front"}, "spec": {"selector": {"app": "wbe"}, "ports": [{"port": 80}]}}));
                all
            },
            request: |_| ("Service/NS/front".into(), json!({"selector": {"app": "web"}})),
            effect: |p| p.read("service/front", ".spec.selector.app") == "web",
            undone: Some(|p| p.read("service/front", ".spec.selector.app") == "wbe"),
            ..WEB
        },
        Row {
            name: "patch_ingress",
            reads: "the backend of the rule",
            setup: |_| {
                let service = |name: &str| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}});
                let backend = json!({"service": {"name": "old", "port": {"number": 80}}});
                let rule = json!({"host": "a.example", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}});
                vec![
                    service("old"),
                    service("new"),
                    json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "front"}, "spec": {"rules": [rule]}}),
                ]
            },
            request: |_| ("Ingress/NS/front".into(), json!({"service": "new"})),
            effect: |p| p.read("ingress/front", ".spec.rules[0].http.paths[0].backend.service.name") == "new",
            undone: Some(|p| p.read("ingress/front", ".spec.rules[0].http.paths[0].backend.service.name") == "old"),
            ..BASE
        },
        Row {
            name: "restart_network",
            reads: "the stamp on the template",
            setup: |p| {
                let mut set = workload(p, "DaemonSet", template(p));
                set["metadata"]["name"] = json!("test-cni");
                vec![set]
            },
            ready: |p| p.ready("daemonset/test-cni"),
            request: |_| ("DaemonSet/NS/test-cni".into(), json!({})),
            effect: |p| !p.read("daemonset/test-cni", ".spec.template.metadata.annotations").is_empty() && p.ready("daemonset/test-cni").is_ok(),
            ..BASE
        },
        Row {
            name: "reset_service_mesh",
            reads: "the stamp on the template (a stand-in for the mesh's control plane; no mesh runs here)",
            setup: |p| {
                let mut deployment = workload(p, "Deployment", template(p));
                deployment["metadata"]["labels"] = json!({"app": "istiod"});
                vec![deployment]
            },
            request: |_| ("Deployment/NS/web".into(), json!({})),
            effect: |p| !p.read("deployment/web", ".spec.template.metadata.annotations").is_empty() && web_ready(p).is_ok(),
            ..WEB
        },
    ]
}
