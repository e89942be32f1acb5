"""Alerts as the usual rules of a Prometheus installation word them."""

_KSM = ("KubeDeploymentReplicasMismatch", "KubeDeploymentRolloutStuck", "KubeStatefulSetReplicasMismatch", "KubeDaemonSetRolloutStuck", "KubeJobFailed", "KubeJobNotCompleted",
        "KubeHpaMaxedOut", "KubeHpaReplicasMismatch", "KubeQuotaAlmostFull", "KubeQuotaFullyUsed", "KubePdbNotEnoughHealthyPods", "KubePersistentVolumeErrors", "KubeNodeNotReady",
        "KubeNodeUnreachable", "KubeNodePressure", "KubeCronJobRunning")
_TEXT = {
    "KubePodCrashLooping": ("Pod is crash looping.", 'Pod {namespace}/{pod} ({container}) is in waiting state (reason: "CrashLoopBackOff") on cluster {cluster}.'),
    "KubePodNotReady": ("Pod has been in a non-ready state for more than 15 minutes.", "Pod {namespace}/{pod} has been in a non-ready state for longer than 15 minutes on cluster {cluster}."),
    "KubeContainerWaiting": ("Pod container waiting longer than 1 hour", 'pod/{pod} in namespace {namespace} on container {container} has been in waiting state for longer than 1 hour. (reason: "{reason}") on cluster {cluster}.'),
    "KubeDeploymentReplicasMismatch": ("Deployment has not matched the expected number of replicas.", "Deployment {namespace}/{deployment} has not matched the expected number of replicas for longer than 15 minutes on cluster {cluster}."),
    "KubeDeploymentRolloutStuck": ("Deployment rollout is not progressing.", "Rollout of deployment {namespace}/{deployment} is not progressing for longer than 15 minutes on cluster {cluster}."),
    "KubeStatefulSetReplicasMismatch": ("StatefulSet has not matched the expected number of replicas.", "StatefulSet {namespace}/{statefulset} has not matched the expected number of replicas for longer than 15 minutes on cluster {cluster}."),
    "KubeDaemonSetRolloutStuck": ("DaemonSet rollout is stuck.", "DaemonSet {namespace}/{daemonset} has not finished or progressed for at least 15m on cluster {cluster}."),
    "KubeJobFailed": ("Job failed to complete.", "Job {namespace}/{job_name} failed to complete. Removing failed job after investigation should clear this alert on cluster {cluster}."),
    "KubeJobNotCompleted": ("Job did not complete in time", "Job {namespace}/{job_name} is taking more than 12h0m0s to complete on cluster {cluster}."),
    "KubeHpaMaxedOut": ("HPA is running at max replicas", "HPA {namespace}/{horizontalpodautoscaler} has been running at max replicas for longer than 15 minutes on cluster {cluster}."),
    "KubeHpaReplicasMismatch": ("HPA has not matched desired number of replicas.", "HPA {namespace}/{horizontalpodautoscaler} has not matched the desired number of replicas for longer than 15 minutes on cluster {cluster}."),
    "KubePersistentVolumeFillingUp": ("PersistentVolume is filling up.", "Based on recent sampling, the PersistentVolume claimed by {persistentvolumeclaim} in Namespace {namespace} on Cluster {cluster} is expected to fill up within four days."),
    "KubeNodeNotReady": ("Node is not ready.", "{node} has been unready for more than 15 minutes on cluster {cluster}."),
    "KubeNodeUnreachable": ("Node is unreachable.", "{node} is unreachable and some workloads may be rescheduled on cluster {cluster}."),
    "KubeNodePressure": ("Node has as active Condition.", "{node} on cluster {cluster} has active Condition {condition}. This is caused by resource usage exceeding eviction thresholds."),
    "KubeQuotaFullyUsed": ("Namespace quota is fully used.", "Namespace {namespace} is using 100% of its {resource} quota on cluster {cluster}."),
    "KubePdbNotEnoughHealthyPods": ("PDB does not have enough healthy pods.", "PDB {namespace}/{poddisruptionbudget} expects 1 more healthy pods. The desired number of healthy pods has not been met for at least 15m on cluster {cluster}."),
}


def alert(w, name, severity="warning", minutes=6, cluster="north-1", summary=None, description=None, annotations=None, **labels):
    """Adds a firing alert. Alerts on exporter metrics carry the exporter's own pod and container labels, as they do in practice."""
    base = {"alertname": name, "severity": severity, "cluster": cluster, "prometheus": "observability/kps-prometheus"}
    if name in _KSM or name in ("KubePodCrashLooping", "KubeContainerWaiting"):
        base.update({"job": "kube-state-metrics", "endpoint": "http", "instance": "10.42.0.12:8080", "service": "kps-kube-state-metrics"})
    if name in _KSM:
        base.update({"container": "kube-state-metrics", "pod": w.ksm})
    if not name.startswith("KubeNode"):
        base["namespace"] = w.ns
    base.update(labels)
    texts = _TEXT.get(name)
    notes = {"summary": summary or (texts[0] if texts else name), "description": description or (texts[1].format(**base) if texts else name)}
    if name.startswith("Kube"):
        notes["runbook_url"] = f"https://runbooks.prometheus-operator.dev/runbooks/kubernetes/{name.lower()}"
    notes.update(annotations or {})
    w.alerts.append({"status": "firing", "labels": base, "annotations": notes, "startsAt": w.ago(minutes), "endsAt": "0001-01-01T00:00:00Z",
                     "generatorURL": "http://prometheus.observability.svc:9090/graph?g0.expr=x", "fingerprint": w.uid("fp", name, *sorted(labels.items()))[:8] + w.uid(name)[:8]})


def crash_alert(w, pod, container, **kw):
    alert(w, "KubePodCrashLooping", pod=pod, container=container, reason="CrashLoopBackOff", uid=w.uid("Pod", w.ns, pod), **kw)


def waiting_alert(w, pod, container, reason, **kw):
    alert(w, "KubeContainerWaiting", pod=pod, container=container, reason=reason, **kw)


def not_ready_alert(w, pod, **kw):
    alert(w, "KubePodNotReady", pod=pod, job="kube-state-metrics", **kw)
