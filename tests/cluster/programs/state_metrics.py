#!/usr/bin/env python3
"""Serves the cluster's state as metrics under kube-state-metrics' names and labels: state_metrics.py KUBECONFIG ADDRESS PORT

That program itself is not used; rules written for it work on these metrics, as far as they are here. Everything is answered
from watch caches, so a scrape stays quick while a namespace with many pods comes or goes."""
import http.server
import sys

import kubeapi

PATHS = {
    "pods": "/api/v1/pods",
    "nodes": "/api/v1/nodes",
    "claims": "/api/v1/persistentvolumeclaims",
    "deployments": "/apis/apps/v1/deployments",
    "statefulsets": "/apis/apps/v1/statefulsets",
    "daemonsets": "/apis/apps/v1/daemonsets",
    "jobs": "/apis/batch/v1/jobs",
    "autoscalers": "/apis/autoscaling/v2/horizontalpodautoscalers",
}
POD_PHASES = ("Pending", "Running", "Succeeded", "Failed", "Unknown")
STATUSES = ("true", "false", "unknown")


def named(item, label):
    meta = item["metadata"]
    return {"namespace": meta["namespace"], label: meta["name"]}


def conditions(item):
    return (item.get("status") or {}).get("conditions") or []


def one_hot(metric, values, actual, label, **labels):
    """One series for each possible value, 1 for the actual one: how kube-state-metrics shows an enumeration."""
    for value in values:
        yield metric, dict(labels, **{label: value}), int(value == actual)


def container(status, prefix, labels):
    labels = dict(labels, container=status["name"])
    state, last = status.get("state") or {}, status.get("lastState") or {}
    yield f"{prefix}_restarts_total", labels, status.get("restartCount", 0)
    yield f"{prefix}_ready", labels, int(status.get("ready", False))
    for name in ("waiting", "running", "terminated"):
        yield f"{prefix}_{name}", labels, int(name in state)
    for suffix, detail in (("waiting", state.get("waiting")), ("terminated", state.get("terminated")), ("last_terminated", last.get("terminated"))):
        if detail and detail.get("reason"):
            yield f"{prefix}_{suffix}_reason", dict(labels, reason=detail["reason"]), 1
    if last.get("terminated"):
        yield f"{prefix}_last_terminated_exitcode", labels, last["terminated"].get("exitCode", 0)


def pod(item):
    meta, status, spec = item["metadata"], item.get("status") or {}, item["spec"]
    labels = dict(named(item, "pod"), uid=meta["uid"])
    owners = meta.get("ownerReferences") or [{}]
    yield "kube_pod_info", dict(labels, node=spec.get("nodeName", ""), pod_ip=status.get("podIP", "")), 1
    for owner in owners:
        kind, name = owner.get("kind", ""), owner.get("name", "")
        yield "kube_pod_owner", dict(labels, owner_kind=kind, owner_name=name, owner_is_controller=str(bool(owner.get("controller"))).lower()), 1
    yield from one_hot("kube_pod_status_phase", POD_PHASES, status.get("phase"), "phase", **labels)
    for c in conditions(item):
        if c["type"] == "Ready":
            yield from one_hot("kube_pod_status_ready", STATUSES, c["status"].lower(), "condition", **labels)
        if c["type"] == "PodScheduled":
            yield from one_hot("kube_pod_status_scheduled", STATUSES, c["status"].lower(), "condition", **labels)
            if c["status"] == "False":
                yield "kube_pod_status_unschedulable", labels, 1
    if status.get("reason"):
        yield "kube_pod_status_reason", dict(labels, reason=status["reason"]), 1
    for s in status.get("containerStatuses") or []:
        yield from container(s, "kube_pod_container_status", labels)
    for s in status.get("initContainerStatuses") or []:
        yield from container(s, "kube_pod_init_container_status", labels)


def deployment(item):
    labels, status = named(item, "deployment"), item.get("status") or {}
    yield "kube_deployment_spec_replicas", labels, item["spec"].get("replicas", 1)
    yield "kube_deployment_spec_paused", labels, int(item["spec"].get("paused", False))
    yield "kube_deployment_metadata_generation", labels, item["metadata"].get("generation", 0)
    yield "kube_deployment_status_observed_generation", labels, status.get("observedGeneration", 0)
    for suffix, field in (("", "replicas"), ("_ready", "readyReplicas"), ("_available", "availableReplicas"), ("_unavailable", "unavailableReplicas"), ("_updated", "updatedReplicas")):
        yield f"kube_deployment_status_replicas{suffix}", labels, status.get(field, 0)
    for c in conditions(item):
        yield from one_hot("kube_deployment_status_condition", STATUSES, c["status"].lower(), "status", condition=c["type"], **labels)


def statefulset(item):
    labels, status = named(item, "statefulset"), item.get("status") or {}
    yield "kube_statefulset_replicas", labels, item["spec"].get("replicas", 1)
    for suffix, field in (("", "replicas"), ("_ready", "readyReplicas"), ("_available", "availableReplicas"), ("_updated", "updatedReplicas")):
        yield f"kube_statefulset_status_replicas{suffix}", labels, status.get(field, 0)


def daemonset(item):
    labels, status = named(item, "daemonset"), item.get("status") or {}
    for suffix, field in (("desired_number_scheduled", "desiredNumberScheduled"), ("current_number_scheduled", "currentNumberScheduled"),
                          ("number_misscheduled", "numberMisscheduled"), ("number_ready", "numberReady"), ("number_available", "numberAvailable")):
        yield f"kube_daemonset_status_{suffix}", labels, status.get(field, 0)


def job(item):
    labels, status = named(item, "job_name"), item.get("status") or {}
    for suffix in ("active", "succeeded", "failed"):
        yield f"kube_job_status_{suffix}", labels, status.get(suffix, 0)
    for c in conditions(item):
        if c["type"] in ("Failed", "Complete"):
            yield from one_hot(f"kube_job_{c['type'].lower()}", STATUSES, c["status"].lower(), "condition", **labels)


def autoscaler(item):
    labels, status, spec = named(item, "horizontalpodautoscaler"), item.get("status") or {}, item["spec"]
    yield "kube_horizontalpodautoscaler_spec_min_replicas", labels, spec.get("minReplicas", 1)
    yield "kube_horizontalpodautoscaler_spec_max_replicas", labels, spec["maxReplicas"]
    yield "kube_horizontalpodautoscaler_status_current_replicas", labels, status.get("currentReplicas", 0)
    yield "kube_horizontalpodautoscaler_status_desired_replicas", labels, status.get("desiredReplicas", 0)
    for c in conditions(item):
        yield from one_hot("kube_horizontalpodautoscaler_status_condition", STATUSES, c["status"].lower(), "status", condition=c["type"], **labels)


def claim(item):
    phase = (item.get("status") or {}).get("phase")
    yield from one_hot("kube_persistentvolumeclaim_status_phase", ("Pending", "Bound", "Lost"), phase, "phase", **named(item, "persistentvolumeclaim"))


def node(item):
    labels = {"node": item["metadata"]["name"]}
    yield "kube_node_info", labels, 1
    yield "kube_node_spec_unschedulable", labels, int(item["spec"].get("unschedulable", False))
    for t in item["spec"].get("taints") or []:
        yield "kube_node_spec_taint", dict(labels, key=t["key"], value=t.get("value", ""), effect=t["effect"]), 1
    for c in conditions(item):
        yield from one_hot("kube_node_status_condition", STATUSES, c["status"].lower(), "status", condition=c["type"], **labels)


SERIES = {
    "pods": pod,
    "nodes": node,
    "claims": claim,
    "deployments": deployment,
    "statefulsets": statefulset,
    "daemonsets": daemonset,
    "jobs": job,
    "autoscalers": autoscaler,
}


def escaped(value):
    return str(value).replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def text(objects):
    """The exposition format; `objects` maps a name in SERIES to that kind's objects."""
    families = {}
    for kind, items in objects.items():
        for item in items:
            for metric, labels, value in SERIES[kind](item):
                pairs = ",".join(f'{k}="{escaped(v)}"' for k, v in labels.items())
                families.setdefault(metric, []).append(f"{metric}{{{pairs}}} {value}\n")
    kinds = {m: "counter" if m.endswith("_total") else "gauge" for m in families}
    return "".join(f"# TYPE {m} {kinds[m]}\n{''.join(lines)}" for m, lines in families.items())


def main():
    client = kubeapi.Client(sys.argv[1])
    caches = {name: kubeapi.Cache(client, path).start() for name, path in PATHS.items()}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            # Before the first list, nothing is known; an empty answer would say that everything is well.
            ready = all(c.synced.is_set() for c in caches.values())
            body = text({name: c.items() for name, c in caches.items()}).encode() if ready else b"listing\n"
            self.send_response(200 if ready else 503)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    http.server.ThreadingHTTPServer((sys.argv[2], int(sys.argv[3])), Handler).serve_forever()


if __name__ == "__main__":
    main()
