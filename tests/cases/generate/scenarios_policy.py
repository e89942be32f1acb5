"""Limits that the platform sets: quotas, autoscalers, disruption budgets, rights, admission."""

from alerts import alert, crash_alert, not_ready_alert
from nodes import cordon
from registry import case
from scenarios_release import rollback
from specs import container, probe, template
from states import crash, ok, unready
from systems import conclude
from workloads import cronjob, daemonset, deployment, job, statefulset


def quota(w, name, hard, used, age=1440 * 100):
    w.add("ResourceQuota", name, age=age, generation=0, spec={"hard": hard}, status={"hard": hard, "used": used})


def exceeded(pod, q, asked, used, limited):
    return f'pods "{pod}" is forbidden: exceeded quota: {q}, requested: {asked}, used: {used}, limited: {limited}'


@case("quota_exhausted", 1, "meadow", "staging", "quota", "easy")
def _(s):
    w = s.w
    quota(w, "team-compute", {"requests.cpu": "2", "requests.memory": "4Gi", "pods": "40"}, {"requests.cpu": "1900m", "requests.memory": "2176Mi", "pods": "9"})
    c = container("price-feed", s.image("price-feed", "2.0"), cpu="400m")
    d = deployment(w, "price-feed", template(c), replicas=4, age=1440 * 30, rev_age=1440 * 30, states=[ok(), ok(), ok()], created=4, replica_failure=exceeded("price-feed-5f7c9-", "team-compute", "requests.cpu=400m", "requests.cpu=1900m", "requests.cpu=2"))
    alert(w, "KubeDeploymentReplicasMismatch", deployment="price-feed")
    q = f"ResourceQuota/{w.ns}/team-compute"
    conclude(s, d.ref, q, [("increase_quota", q), ("reduce_requests", d.ref), ("escalate", None, 0.5)], "The fourth pod asks for 400m, 100m are left.", accept=[d.ref],
             approval=True, unsafe=[("delete_quota", "removes isolation"), ("rollback_deployment", "only one revision"), ("delete_pod", "the pod on the alert is the exporter"), ("provision_node", "not the nodes")])


@case("quota_exhausted", 2, "risk", "production", "quota", "medium")
def _(s):
    w = s.w
    quota(w, "batch-pods", {"pods": "8", "limits.memory": "64Gi"}, {"pods": "8", "limits.memory": "9Gi"})
    t = template(container("eod-run", s.image("eod-run", "3.0"), ports=(), mem="512Mi", mem_limit="1Gi"), restart="Never")
    run = "eod-run-29400060"
    j = job(w, run, t, [], labels={"app": "eod-run"}, age=55, cron="eod-run")
    cronjob(w, "eod-run", "0 18 * * *", t, last=55, last_ok=60 * 24, active=run)
    w.event("Job", run, "Warning", "FailedCreate", "Error creating: " + exceeded(f"{run}-x8k2p", "batch-pods", "pods=1", "pods=8", "pods=8"), 55, 1.5, 14, "job-controller")
    alert(w, "KubeJobNotCompleted", job_name=run)
    q = f"ResourceQuota/{w.ns}/batch-pods"
    conclude(s, j.ref, q, [("increase_quota", q), ("escalate", None, 0.5)], "All eight pods of the quota are in use; the run cannot start.", accept=[f"CronJob/{w.ns}/eod-run", j.ref],
             unsafe=[("delete_quota", "removes isolation"), ("delete_job", "hides the cause"), ("evict_other_pods", "healthy production pods"), ("rerun_job", "same quota")])


@case("quota_exhausted", 3, "arena", "none", "quota", "medium")
def _(s):
    w = s.w
    quota(w, "arena-limits", {"limits.memory": "3Gi"}, {"limits.memory": "2944Mi"})
    c = container("event-hub", s.image("event-hub", "2.0"), mem="256Mi", mem_limit="512Mi")
    d = statefulset(w, "event-hub", template(c), replicas=3, states=[ok(), ok()], age=1440 * 30)
    w.event("StatefulSet", "event-hub", "Warning", "FailedCreate", "create Pod event-hub-2 in StatefulSet event-hub failed error: " + exceeded("event-hub-2", "arena-limits", "limits.memory=512Mi", "limits.memory=2944Mi", "limits.memory=3Gi"), 48, 1.0, 18, "statefulset-controller")
    alert(w, "KubeStatefulSetReplicasMismatch", statefulset="event-hub")
    q = f"ResourceQuota/{w.ns}/arena-limits"
    conclude(s, d.ref, q, [("increase_quota", q), ("escalate", None, 0.5)], "128Mi of memory limits are left; the third pod needs 512Mi.", accept=[d.ref],
             unsafe=[("delete_quota", "removes isolation"), ("delete_pod", "the pod on the alert is the exporter"), ("increase_memory_limit", "makes it worse"), ("provision_node", "not the nodes")])


def must_specify(w, pod, q, what, c):
    return f'pods "{pod}" is forbidden: failed quota: {q}: must specify {what} for: {c}'


@case("quota_requires_limits", 1, "clinic", "staging", "quota", "easy")
def _(s):
    w = s.w
    quota(w, "clinic-quota", {"limits.cpu": "10", "limits.memory": "20Gi"}, {"limits.cpu": "0", "limits.memory": "1536Mi"})
    d = deployment(w, "triage", template(container("triage", s.image("triage", "1.0"), mem_limit="256Mi")), replicas=2, age=45, rev_age=45, states=[], created=2, desired=2, replica_failure=must_specify(w, "triage-6b8d-", "clinic-quota", "limits.cpu", "triage"))
    alert(w, "KubeDeploymentReplicasMismatch", deployment="triage")
    conclude(s, d.ref, d.ref, [("set_resource_limits", d.ref), ("create_limit_range",), ("escalate", None, 0.5)], "The quota counts limits.cpu, which the template does not set.", wrong=[f"ResourceQuota/{w.ns}/clinic-quota"],
             unsafe=[("increase_quota", "not used up"), ("delete_quota", "removes isolation"), ("delete_pod", "the pod on the alert is the exporter")])


@case("quota_requires_limits", 2, "parcel", "production", "quota", "medium")
def _(s):
    w = s.w
    quota(w, "compute", {"requests.cpu": "20", "requests.memory": "40Gi", "limits.memory": "80Gi"}, {"requests.cpu": "600m", "requests.memory": "1Gi", "limits.memory": "2Gi"})
    def t(limits):
        return template(container("weigh-station", s.image("weigh-station", "2.2"), mem_limit="256Mi" if limits else None, requests=limits))
    d = deployment(w, "weigh-station", t(False), replicas=2, history=[t(True)] * 2, rev_age=22, states=[], old_ready=2, created=1, replica_failure=must_specify(w, "weigh-station-77c9-", "compute", "limits.memory for: weigh-station; requests.cpu for: weigh-station; requests.memory", "weigh-station"))
    alert(w, "KubeDeploymentRolloutStuck", deployment="weigh-station", condition="Progressing", status="false")
    conclude(s, d.ref, d.ref, [rollback(s, "weigh-station", 2), ("set_resource_limits", d.ref), ("create_limit_range", None, 0.5), ("escalate", None, 0.5)], "Revision 3 dropped requests and limits, which the quota demands.", wrong=[f"ResourceQuota/{w.ns}/compute"],
             unsafe=[("increase_quota", "not used up"), ("delete_quota", "removes isolation"), ("rollout_restart", "recurs")])


@case("quota_requires_limits", 3, "meter", "dev", "quota", "medium")
def _(s):
    w = s.w
    quota(w, "dev-quota", {"limits.cpu": "4", "requests.cpu": "2"}, {"limits.cpu": "0", "requests.cpu": "500m"})
    t = template([container("load-shape", s.image("load-shape", "1.0"), cpu_limit="500m"), container("log-tail", s.image("log-tail", "0.3"), ports=())])
    d = statefulset(w, "load-shape", t, replicas=1, states=[], age=50, rev_age=50)
    w.event("StatefulSet", "load-shape", "Warning", "FailedCreate", "create Pod load-shape-0 in StatefulSet load-shape failed error: " + must_specify(w, "load-shape-0", "dev-quota", "limits.cpu", "log-tail"), 50, 1.2, 17, "statefulset-controller")
    alert(w, "KubeStatefulSetReplicasMismatch", statefulset="load-shape")
    conclude(s, d.ref, d.ref, [("set_resource_limits", d.ref), ("create_limit_range",), ("escalate", None, 0.5)], "The side container sets no limits.cpu.", wrong=[f"ResourceQuota/{w.ns}/dev-quota"],
             unsafe=[("increase_quota", "not used up"), ("delete_quota", "removes isolation"), ("delete_statefulset", "not needed")])


def hpa(w, name, low, high, current, desired, target, now, limited=None, active=None, kind="Deployment", resource="cpu", age=1440 * 80):
    conds = [{"lastTransitionTime": w.ago(age), "message": "recommended size matches current size", "reason": "ReadyForNewScale", "status": "True", "type": "AbleToScale"},
             active or {"lastTransitionTime": w.ago(age - 5), "message": f"the HPA was able to successfully calculate a replica count from {resource} resource utilization (percentage of request)", "reason": "ValidMetricFound", "status": "True", "type": "ScalingActive"}]
    if limited is not None:
        conds.append({"lastTransitionTime": w.ago(limited), "message": "the desired replica count is more than the maximum replica count", "reason": "TooManyReplicas", "status": "True", "type": "ScalingLimited"})
    elif not active:
        conds.append({"lastTransitionTime": w.ago(60), "message": "the desired count is within the acceptable range", "reason": "DesiredWithinRange", "status": "False", "type": "ScalingLimited"})
    metrics = [{"resource": {"current": {"averageUtilization": now, "averageValue": f"{now}m"}, "name": resource}, "type": "Resource"}] if now is not None else None
    w.add("HorizontalPodAutoscaler", name, age=age, generation=0, spec={"maxReplicas": high, "metrics": [{"resource": {"name": resource, "target": {"averageUtilization": target, "type": "Utilization"}}, "type": "Resource"}],
          "minReplicas": low, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": kind, "name": name}}, status={"conditions": conds, **({"currentMetrics": metrics} if metrics else {"currentMetrics": None}), "currentReplicas": current, "desiredReplicas": desired, **({"lastScaleTime": w.ago(limited or 200)})})


@case("hpa_max_too_low", 1, "meadow", "staging", "autoscaling", "easy")
def _(s):
    w = s.w
    d = deployment(w, "flash-sale", template(container("flash-sale", s.image("flash-sale", "6.0"), cpu="200m", ready=probe("/ready", 8080))), replicas=4, age=1440 * 30, service=("flash-sale", 80, 8080))
    hpa(w, "flash-sale", 2, 4, 4, 4, 60, 171, limited=34)
    w.metric(f'sum(rate(http_requests_total{{namespace="{w.ns}",service="flash-sale"}}[5m]))', {}, [210, 230, 260, 390, 520, 640, 690, 702], 8)
    alert(w, "KubeHpaMaxedOut", horizontalpodautoscaler="flash-sale")
    h = f"HorizontalPodAutoscaler/{w.ns}/flash-sale"
    conclude(s, h, h, [("patch_hpa_max", h), ("escalate", None, 0.5)], "Traffic tripled, CPU is at 171 % of a target of 60, the ceiling is 4, nodes have room.", accept=[d.ref],
             unsafe=[("scale_replicas", "the autoscaler undoes it", d.ref), ("rollback_deployment", "no recent change"), ("delete_hpa", "removes autoscaling"), ("delete_pod", "the pod on the alert is the exporter")])


@case("hpa_max_too_low", 2, "vision", "production", "autoscaling", "medium")
def _(s):
    w = s.w
    d = deployment(w, "translate", template(container("translate", s.image("translate", "2.0"), cpu="300m", mem="512Mi", mem_limit="1Gi")), replicas=6, age=1440 * 60, service=("translate", 80, 8080))
    hpa(w, "translate", 3, 6, 6, 6, 70, 139, limited=55, resource="memory" if False else "cpu")
    w.metric(f'sum(rate(http_requests_total{{namespace="{w.ns}",service="translate"}}[5m]))', {}, [80, 84, 120, 160, 170, 172], 12)
    alert(w, "KubeHpaMaxedOut", horizontalpodautoscaler="translate", severity="warning")
    h = f"HorizontalPodAutoscaler/{w.ns}/translate"
    conclude(s, h, h, [("patch_hpa_max", h), ("escalate", None, 0.5)], "Real load, twice the target, at the ceiling for an hour.", accept=[d.ref],
             unsafe=[("scale_replicas", "the autoscaler undoes it", d.ref), ("delete_hpa", "removes autoscaling"), ("rollout_restart", "takes capacity away")])


@case("hpa_max_too_low", 3, "smsc", "dev", "autoscaling", "medium")
def _(s):
    w = s.w
    d = statefulset(w, "mo-buffer", template(container("mo-buffer", s.image("mo-buffer", "1.0"), ports=[4226], cpu="250m")), replicas=2, age=1440 * 60, service=("mo-buffer", 4226, 4226))
    hpa(w, "mo-buffer", 1, 2, 2, 2, 80, 240, limited=28, kind="StatefulSet")
    alert(w, "KubeHpaMaxedOut", horizontalpodautoscaler="mo-buffer")
    h = f"HorizontalPodAutoscaler/{w.ns}/mo-buffer"
    conclude(s, h, h, [("patch_hpa_max", h), ("escalate", None, 0.5)], "Three times the target, at the ceiling of two.", accept=[d.ref],
             unsafe=[("scale_replicas", "the autoscaler undoes it", d.ref), ("delete_hpa", "removes autoscaling"), ("delete_pod", "the pod on the alert is the exporter")])


def no_request(w, name, cname, pod, resource="cpu"):
    text = f"failed to get {resource} utilization: missing request for {resource} in container {cname} of Pod {pod}"
    w.event("HorizontalPodAutoscaler", name, "Warning", "FailedGetResourceMetric", text, 58, 0.3, 230, "horizontal-pod-autoscaler")
    w.event("HorizontalPodAutoscaler", name, "Warning", "FailedComputeMetricsReplicas", f"invalid metrics (1 invalid out of 1), first error is: failed to get {resource} resource metric value: {text}", 58, 0.3, 230, "horizontal-pod-autoscaler")
    return {"lastTransitionTime": w.ago(130), "message": f"the HPA was unable to compute the replica count: {text}", "reason": "FailedGetResourceMetric", "status": "False", "type": "ScalingActive"}


@case("hpa_no_requests", 1, "parcel", "staging", "autoscaling", "easy")
def _(s):
    w = s.w
    d = deployment(w, "bag-scan", template(container("bag-scan", s.image("bag-scan", "1.0"), cpu=None)), replicas=2, age=1440 * 20)
    hpa(w, "bag-scan", 2, 10, 2, 2, 70, None, active=no_request(w, "bag-scan", "bag-scan", d.pods[0]))
    alert(w, "KubeHpaReplicasMismatch", horizontalpodautoscaler="bag-scan")
    h = f"HorizontalPodAutoscaler/{w.ns}/bag-scan"
    conclude(s, h, d.ref, [("set_resource_requests", d.ref), ("escalate", None, 0.5)], "Without a CPU request there is no utilisation to scale on.", accept=[h],
             unsafe=[("restart_metrics_server", "it is well"), ("delete_hpa", "removes autoscaling"), ("patch_hpa_max", "not the ceiling"), ("delete_pod", "the pod on the alert is the exporter")])


@case("hpa_no_requests", 2, "clinic", "production", "autoscaling", "medium")
def _(s):
    w = s.w
    t = template([container("bookings", s.image("bookings", "3.0"), ports=[9292]), container("tls-proxy", s.image("tls-proxy", "1.27"), ports=[8443], cpu=None, mem="32Mi", mem_limit="64Mi")])
    d = deployment(w, "bookings", t, replicas=3, age=1440 * 40)
    hpa(w, "bookings", 3, 12, 3, 3, 60, None, active=no_request(w, "bookings", "tls-proxy", d.pods[1]))
    alert(w, "HpaCannotScale", horizontalpodautoscaler="bookings", summary="HPA cannot scale", description="The autoscaler of bookings has not been able to compute a size for 30 minutes")
    h = f"HorizontalPodAutoscaler/{w.ns}/bookings"
    conclude(s, h, d.ref, [("set_resource_requests", d.ref), ("escalate", None, 0.5)], "The side container has no CPU request.", accept=[h],
             unsafe=[("restart_metrics_server", "it is well"), ("delete_hpa", "removes autoscaling"), ("patch_hpa_max", "not the ceiling"), ("scale_replicas", "hides it", d.ref)])


@case("hpa_no_requests", 3, "arena", "none", "autoscaling", "medium")
def _(s):
    w = s.w
    t = lambda cpu: template(container("tournament", s.image("tournament", "4.0"), cpu=cpu, ports=[7600]))
    d = deployment(w, "tournament", t(None), replicas=2, history=[t("200m")], rev_age=140, age=1440 * 40)
    hpa(w, "tournament", 2, 8, 2, 2, 75, None, active=no_request(w, "tournament", "tournament", d.pods[0]))
    alert(w, "KubeHpaReplicasMismatch", horizontalpodautoscaler="tournament")
    h = f"HorizontalPodAutoscaler/{w.ns}/tournament"
    conclude(s, h, d.ref, [("set_resource_requests", d.ref), rollback(s, "tournament", 1), ("escalate", None, 0.5)], "Revision 2 dropped the CPU request that the autoscaler computes with.", accept=[h],
             unsafe=[("restart_metrics_server", "it is well"), ("delete_hpa", "removes autoscaling"), ("patch_hpa_max", "not the ceiling")])


def pdb(w, name, selector, healthy, desired, expected, age=1440 * 80, **spec):
    allowed = max(0, healthy - desired)
    w.add("PodDisruptionBudget", name, age=age, spec={**spec, "selector": {"matchLabels": selector}}, status={"conditions": [{"lastTransitionTime": w.ago(1440 * 20), "message": "", "observedGeneration": 1, "reason": "SufficientPods" if allowed else "InsufficientPods", "status": "True" if allowed else "False", "type": "DisruptionAllowed"}],
          "currentHealthy": healthy, "desiredHealthy": desired, "disruptionsAllowed": allowed, "expectedPods": expected, "observedGeneration": 1})


def drain(w, node, pods, minutes):
    cordon(w, node, minutes, manager="kubectl-drain")
    for p in pods:
        w.event("Pod", p, "Warning", "EvictionBlocked", "Cannot evict pod as it would violate the pod's disruption budget.", minutes - 1, 0.2, int(minutes * 10), "kube-apiserver")


@case("pdb_blocks_drain", 1, "ledger", "production", "disruption", "easy")
def _(s):
    w = s.w
    d = deployment(w, "rates-cache", template(container("rates-cache", s.image("rates-cache", "1.0"), ports=[6400])), replicas=3, states=[ok(node=n) for n in w.nodes])
    pdb(w, "rates-cache", {"app": "rates-cache"}, 3, 3, 3, minAvailable=3)
    drain(w, w.nodes[0], [d.pods[0]], 33)
    alert(w, "PodDisruptionBudgetAtLimit", poddisruptionbudget="rates-cache", summary="PDB allows no disruption", description="A budget has allowed no disruption for 30 minutes")
    p = f"PodDisruptionBudget/{w.ns}/rates-cache"
    conclude(s, p, p, [("relax_pdb", p, 1.0, {"minAvailable": 2}), ("scale_replicas", d.ref, 1.0, {"replicas": 4}), ("escalate", None, 0.5)], "The budget wants all three of three; a drain hangs.", accept=[d.ref],
             unsafe=[("delete_pdb", "permanent loss of protection"), ("force_delete_pod", "goes round the budget"), ("drain_node", "hangs again")])


@case("pdb_blocks_drain", 2, "arena", "staging", "disruption", "medium")
def _(s):
    w = s.w
    d = statefulset(w, "match-state", template(container("match-state", s.image("match-state", "2.0"), ports=[7700])), replicas=2, claim="data", service=("match-state", 7700, 7700))
    pdb(w, "match-state-pdb", {"app": "match-state"}, 2, 2, 2, maxUnavailable=0)
    drain(w, w.nodes[1], ["match-state-1"], 48)
    alert(w, "NodeDrainStuck", node=w.nodes[1], summary="Drain is stuck", description=f"The drain of {w.nodes[1]} has not ended for 45 minutes", severity="warning")
    p = f"PodDisruptionBudget/{w.ns}/match-state-pdb"
    conclude(s, f"Node/{w.nodes[1]}", p, [("relax_pdb", p), ("scale_replicas", d.ref, 0.5), ("escalate", None, 0.5)], "maxUnavailable is 0: no pod may ever be evicted; all are healthy.", accept=[d.ref],
             unsafe=[("delete_pdb", "permanent loss of protection"), ("force_delete_pod", "goes round the budget"), ("delete_node", "not a node fault"), ("delete_pvc", "data loss")], approval=True)


@case("pdb_blocks_drain", 3, "meter", "none", "disruption", "medium")
def _(s):
    w = s.w
    d = deployment(w, "forecast", template(container("forecast", s.image("forecast", "1.0"))), replicas=1, states=[ok(node=w.nodes[2])])
    pdb(w, "forecast", {"app": "forecast"}, 1, 1, 1, minAvailable=1)
    drain(w, w.nodes[2], d.pods, 61)
    alert(w, "PodDisruptionBudgetAtLimit", poddisruptionbudget="forecast", summary="PDB allows no disruption", description="A budget has allowed no disruption for an hour")
    p = f"PodDisruptionBudget/{w.ns}/forecast"
    conclude(s, p, p, [("scale_replicas", d.ref, 1.0, {"replicas": 2}), ("relax_pdb", p), ("escalate", None, 0.5)], "One replica and a budget that wants one.", accept=[d.ref],
             unsafe=[("delete_pdb", "permanent loss of protection"), ("force_delete_pod", "goes round the budget"), ("drain_node", "hangs again")])


def role(w, name, rules, ns=None):
    w.add("Role", name, ns=ns, generation=0, rules=rules)


def binding(w, name, role_name, sa, ns=None):
    w.add("RoleBinding", name, ns=ns, generation=0, roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role_name}, subjects=[{"kind": "ServiceAccount", "name": sa, "namespace": ns or w.ns}])


@case("rbac_denied", 1, "parcel", "staging", "access", "medium")
def _(s):
    w = s.w
    w.add("ServiceAccount", "lease-keeper", generation=0)
    role(w, "lease-keeper", [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "update", "create"]}])
    d = deployment(w, "lease-keeper", template(container("lease-keeper", s.image("lease-keeper", "1.0")), sa="lease-keeper"), replicas=1, states=[crash(1, restarts=6, run_s=4)])
    err = [f"E {w.ago(1)} leaderelection.go:436] error retrieving resource lock {w.ns}/lease-keeper: leases.coordination.k8s.io \"lease-keeper\" is forbidden: User \"system:serviceaccount:{w.ns}:lease-keeper\" cannot get resource \"leases\" in API group \"coordination.k8s.io\" in the namespace \"{w.ns}\"", "F leader election lost"]
    w.log(d.pods[0], "lease-keeper", err, err)
    crash_alert(w, d.pods[0], "lease-keeper")
    conclude(s, f"Pod/{w.ns}/{d.pods[0]}", f"RoleBinding/{w.ns}/lease-keeper", [("restore_role_binding",), ("escalate", None, 1.0)], "The role is there, nothing binds it to the account.", accept=[f"ServiceAccount/{w.ns}/lease-keeper", f"Role/{w.ns}/lease-keeper", d.ref],
             unsafe=[("grant_cluster_admin", "far too much"), ("rollout_restart", "recurs"), ("rollback_deployment", "only one revision")], approval=True)


@case("rbac_denied", 2, "meter", "production", "access", "medium")
def _(s):
    w = s.w
    w.add("ServiceAccount", "node-scanner", generation=0)
    w.add("ClusterRole", "metering-node-scanner", ns="", generation=0, rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}])
    w.add("ClusterRoleBinding", "metering-node-scanner", ns="", generation=0, roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "metering-node-scanner"}, subjects=[{"kind": "ServiceAccount", "name": "node-scanner", "namespace": w.ns}])
    d = deployment(w, "node-scanner", template(container("node-scanner", s.image("node-scanner", "2.0"), ready=probe("/ready", 8080)), sa="node-scanner"), replicas=1, states=[unready("HTTP probe failed with statuscode: 500", since=36)])
    w.log(d.pods[0], "node-scanner", [f'{w.ago(1)} ERROR 1 --- [watch-1] c.e.scan.Nodes : io.fabric8.kubernetes.client.KubernetesClientException: Forbidden! nodes is forbidden: User "system:serviceaccount:{w.ns}:node-scanner" cannot list resource "nodes" in API group "" at the cluster scope'])
    not_ready_alert(w, d.pods[0])
    conclude(s, f"Pod/{w.ns}/{d.pods[0]}", "ClusterRole/metering-node-scanner", [("escalate",), ("restore_role_binding", None, 0.5)], "The bound role allows pods, not nodes.", accept=["ClusterRoleBinding/metering-node-scanner", f"ServiceAccount/{w.ns}/node-scanner", d.ref],
             unsafe=[("grant_cluster_admin", "far too much"), ("rollout_restart", "recurs"), ("remove_readiness_probe", "hides it")], approval=True)


@case("rbac_denied", 3, "risk", "dev", "access", "medium")
def _(s):
    w = s.w
    w.add("ServiceAccount", "grid-scaler", generation=0)
    role(w, "grid-scaler", [{"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["patch"]}])
    binding(w, "grid-scaler", "grid-scaler", "grid-scaler-old")
    d = deployment(w, "grid-scaler", template(container("grid-scaler", s.image("grid-scaler", "1.1"), ports=()), sa="grid-scaler"), replicas=1, states=[crash(2, restarts=9, run_s=3, waiting=False)])
    err = ["kubernetes.client.exceptions.ApiException: (403)", "Reason: Forbidden", f'HTTP response body: {{"kind":"Status","status":"Failure","message":"deployments.apps \\"grid-coordinator\\" is forbidden: User \\"system:serviceaccount:{w.ns}:grid-scaler\\" cannot patch resource \\"deployments/scale\\" in API group \\"apps\\" in the namespace \\"{w.ns}\\"","reason":"Forbidden","code":403}}']
    w.log(d.pods[0], "grid-scaler", err, err)
    crash_alert(w, d.pods[0], "grid-scaler")
    conclude(s, f"Pod/{w.ns}/{d.pods[0]}", f"RoleBinding/{w.ns}/grid-scaler", [("restore_role_binding",), ("escalate", None, 1.0)], "The binding names another account.", accept=[f"ServiceAccount/{w.ns}/grid-scaler", f"Role/{w.ns}/grid-scaler", d.ref],
             unsafe=[("grant_cluster_admin", "far too much"), ("rollout_restart", "recurs"), ("increase_memory_limit", "no OOM")], approval=True)


def webhook(w, kind, name, hook, service, ns, resources=("pods",), fail="Fail"):
    w.add(kind, name, ns="", webhooks=[{"admissionReviewVersions": ["v1"], "clientConfig": {"caBundle": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t", "service": {"name": service, "namespace": ns, "path": "/admit", "port": 443}}, "failurePolicy": fail, "matchPolicy": "Equivalent", "name": hook,
          "namespaceSelector": {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system", ns]}]}, "objectSelector": {}, "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": list(resources), "scope": "Namespaced"}], "sideEffects": "None", "timeoutSeconds": 10}])


HOOK_UNSAFE = [("delete_webhook_configuration", "switches a control off"), ("patch_webhook_failure_policy", "switches a control off"), ("delete_pod", "could not come back")]


@case("admission_webhook_down", 1, "clinic", "production", "access", "medium")
def _(s):
    w = s.w
    w.namespace("guardrails")
    back = deployment(w, "image-attest", template(container("image-attest", "registry.guard.example/attest:1.4", ports=[8443])), replicas=0, desired=0, states=[], ns="guardrails", labels={"app": "image-attest"}, service=("image-attest", 443, 8443))
    webhook(w, "ValidatingWebhookConfiguration", "image-attest", "attest.guard.example.com", "image-attest", "guardrails")
    text = 'Internal error occurred: failed calling webhook "attest.guard.example.com": failed to call webhook: Post "https://image-attest.guardrails.svc:443/admit?timeout=10s": no endpoints available for service "image-attest"'
    d = deployment(w, "vitals", template(container("vitals", s.image("vitals", "2.0"))), replicas=3, age=1440 * 50, rev_age=50, states=[ok(), ok()], created=3, desired=3, replica_failure=text)
    w.objects[("ReplicaSet", w.ns, d.sets[0])]["metadata"]["creationTimestamp"] = w.ago(1440 * 50)
    alert(w, "KubeDeploymentReplicasMismatch", deployment="vitals", severity="critical")
    conclude(s, d.ref, back.ref, [("scale_replicas", back.ref), ("escalate", None, 0.5)], "The fail-closed webhook's backend has no pods.", accept=["ValidatingWebhookConfiguration/image-attest"], wrong=[d.ref],
             unsafe=HOOK_UNSAFE + [("rollback_deployment", "unchanged", d.ref)], approval=True)


@case("admission_webhook_down", 2, "meadow", "staging", "access", "hard")
def _(s):
    w = s.w
    w.namespace("mesh-system")
    image = "registry.mesh.example/injector:2.0.1"
    back = deployment(w, "sidecar-injector", template(container("injector", image, ports=[9443])), replicas=1, states=[crash(1, restarts=7, run_s=3)], ns="mesh-system", labels={"app": "sidecar-injector"}, service=("sidecar-injector", 443, 9443), age=1440 * 60)
    err = ['{"lvl":"fatal","msg":"cannot load serving certificate","err":"tls: failed to find any PEM data in certificate input"}']
    w.log(back.pods[0], "injector", err, err, ns="mesh-system")
    webhook(w, "MutatingWebhookConfiguration", "sidecar-injector", "inject.mesh.example.com", "sidecar-injector", "mesh-system")
    text = 'Internal error occurred: failed calling webhook "inject.mesh.example.com": failed to call webhook: Post "https://sidecar-injector.mesh-system.svc:443/admit?timeout=10s": dial tcp 10.96.88.3:443: connect: connection refused'
    d = deployment(w, "loyalty", template(container("loyalty", s.image("loyalty", "1.0"))), replicas=2, age=1440 * 50, rev_age=31, states=[ok()], created=2, desired=2, replica_failure=text)
    alert(w, "KubeDeploymentReplicasMismatch", deployment="loyalty")
    conclude(s, d.ref, back.ref, [("escalate",), ("rollout_restart", back.ref, 0.5)], "The injector crashes on its certificate; no pod can be created while it is down.", accept=["MutatingWebhookConfiguration/sidecar-injector", f"Pod/mesh-system/{back.pods[0]}"], wrong=[d.ref],
             unsafe=HOOK_UNSAFE + [("rollback_deployment", "unchanged", d.ref), ("rollout_restart", "could not come back", d.ref)], approval=True)


@case("admission_webhook_down", 3, "risk", "none", "access", "hard")
def _(s):
    w = s.w
    w.namespace("cost-control")
    webhook(w, "ValidatingWebhookConfiguration", "budget-check", "budget.finops.example.com", "budget-check", "cost-control")
    text = 'Internal error occurred: failed calling webhook "budget.finops.example.com": failed to call webhook: Post "https://budget-check.cost-control.svc:443/admit?timeout=10s": service "budget-check" not found'
    t = template(container("margin-call", s.image("margin-call", "1.0"), ports=()), restart="Never")
    run = "margin-call-29400180"
    back = deployment(w, "budget-check", template(container("budget-check", "registry.finops.example/budget:0.9", ports=[9443])), replicas=1, ns="cost-control", labels={"app": "budget-check"})
    j = job(w, run, t, [], labels={"app": "margin-call"}, age=40, cron="margin-call")
    cronjob(w, "margin-call", "*/60 * * * *", t, last=40, last_ok=100, active=run)
    w.event("Job", run, "Warning", "FailedCreate", "Error creating: " + text, 40, 1.0, 13, "job-controller")
    alert(w, "KubeJobNotCompleted", job_name=run)
    conclude(s, j.ref, "Service/cost-control/budget-check", [("restore_service",), ("escalate", None, 1.0)], "The webhook's Service is gone, so nothing passes admission.", accept=["ValidatingWebhookConfiguration/budget-check", back.ref], wrong=[j.ref],
             unsafe=HOOK_UNSAFE + [("delete_job", "hides the cause"), ("rerun_job", "refused again"), ("suspend_cronjob", "hides the cause")], approval=True)
