"""Workloads with all they own: ReplicaSets per revision, pods, claims, Services and their endpoints."""

from dataclasses import dataclass, field

from pods import build, digest
from states import ok, succeeded


@dataclass
class Built:
    """What was added."""
    ref: str
    name: str
    pods: list = field(default_factory=list)
    sets: list = field(default_factory=list)
    old_pods: list = field(default_factory=list)


def _hash(w, text, n=10):
    return "".join("bcdfghjklmnpqrstvwxz2456789"[int(c, 16)] for c in digest(w.case + text)[:n])


def _with_labels(template, labels, extra=None):
    meta = {"labels": {**labels, **(extra or {})}}
    if template["annotations"]:
        meta = {"annotations": template["annotations"], **meta}
    return {"metadata": meta, "spec": template["spec"]}


def deployment(w, name, template, replicas=2, ns=None, labels=None, age=60 * 24 * 90, history=(), rev=None, rev_age=None, states=None, old_ready=0, service=None,
               annotations=None, managed=None, strategy="RollingUpdate", created=None, extra_labels=None, conditions=None, replica_failure=None, deadline=600,
               stuck=None, desired=None, old_states=None):
    """A Deployment.

    `history`: templates of earlier revisions, oldest first; the current one became so `rev_age` minutes ago. `states`: one per pod of the current revision
    (none at all: []), healthy ones of the old revision are `old_ready`. `service`: (name, port, target port).
    """
    ns = w.ns if ns is None else ns
    labels = labels or {"app": name}
    rev = rev or len(history) + 1
    rev_age = age if rev_age is None else rev_age
    states = [ok() for _ in range(replicas)] if states is None else states
    active = sum(s.kind not in ("evicted", "failed") for s in states)
    built = Built(f"Deployment/{ns}/{name}", name)
    ready = sum(s.kind == "ok" for s in states)
    first = rev - len(history)
    for i, old in enumerate([*history, template]):
        current = i == len(history)
        number, set_age = first + i, rev_age if current else age - (age - rev_age) * i / max(1, len(history))
        rs = f"{name}-{_hash(w, f'{ns}{name}{number}')}"
        count = len(states) if current else (old_ready if i == len(history) - 1 else 0)
        n_ready = ready if current else count
        want = active if created is None or not current else created
        live = active if current else count
        status = {"observedGeneration": 1, "replicas": live}
        if live:
            status = {"availableReplicas": n_ready, "fullyLabeledReplicas": live, "observedGeneration": 1, "readyReplicas": n_ready, "replicas": live}
            if not n_ready:
                del status["availableReplicas"], status["readyReplicas"]
        if current and replica_failure:
            status["conditions"] = [{"lastTransitionTime": w.ago(rev_age - 0.02), "message": replica_failure, "reason": "FailedCreate", "status": "True", "type": "ReplicaFailure"}]
        pod_hash = rs[len(name) + 1:]
        w.add("ReplicaSet", rs, ns=ns, age=set_age, labels={**labels, **(extra_labels or {}), "pod-template-hash": pod_hash}, owner=("Deployment", name),
              annotations={"deployment.kubernetes.io/desired-replicas": str(desired or replicas), "deployment.kubernetes.io/max-replicas": str((desired or replicas) + 1),
                           "deployment.kubernetes.io/revision": str(number)},
              spec={"replicas": want if current else count, "selector": {"matchLabels": {**labels, "pod-template-hash": pod_hash}},
                    "template": _with_labels(old, {**labels, **(extra_labels or {})}, {"pod-template-hash": pod_hash})}, status=status)
        built.sets.append(rs)
        pod_labels = {**labels, **(extra_labels or {}), "pod-template-hash": pod_hash}
        for n in range(count):
            state = states[n] if current else (old_states[n] if old_states else ok())
            pod = f"{rs}-{w.suffix()}"
            pod_age = set_age if current else min(set_age, 60 * 24 * 3)
            (built.pods if current else built.old_pods).append(pod)
            pod_age = state.since if state.kind in ("pull", "waiting", "creating", "pending") and state.since else pod_age
            build(w, pod, old, pod_labels, ("ReplicaSet", rs), state, pod_age, ns=ns, generate=f"{rs}-")
            if pod_age <= 60 and current:
                w.event("ReplicaSet", rs, "Normal", "SuccessfulCreate", f"Created pod: {pod}", pod_age, component="replicaset-controller", ns=ns)
        if current and set_age <= 60 and states:
            w.event("Deployment", name, "Normal", "ScalingReplicaSet", f"Scaled up replica set {rs} from 0 to {len(states)}", set_age, component="deployment-controller", ns=ns)
        if current and replica_failure:
            w.event("ReplicaSet", rs, "Warning", "FailedCreate", f"Error creating: {replica_failure}", min(rev_age, 58), 1.1, 16, "replicaset-controller", ns=ns)
    total_ready = ready + old_ready
    total = active + old_ready
    wanted = replicas if desired is None else desired
    ok_enough = total_ready >= wanted - (wanted // 4) and wanted >= 0
    stuck = stuck if stuck is not None else (ready < wanted and rev_age * 60 > deadline and len(history) > 0 and not wanted == 0)
    conds = conditions or _deployment_conditions(w, built, ok_enough, stuck, age, rev_age, replica_failure)
    status = {"conditions": conds, "observedGeneration": rev + 1, "replicas": total, "updatedReplicas": active, "readyReplicas": total_ready, "availableReplicas": total_ready,
              "unavailableReplicas": max(wanted, total) - total_ready}
    status = {k: v for k, v in status.items() if v != 0}
    spec = {"progressDeadlineSeconds": deadline, "replicas": wanted, "revisionHistoryLimit": 10, "selector": {"matchLabels": labels},
            "strategy": {"type": strategy} if strategy == "Recreate" else {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}, "type": strategy},
            "template": _with_labels(template, {**labels, **(extra_labels or {})})}
    w.add("Deployment", name, ns=ns, age=age, labels={**labels, **(extra_labels or {})}, annotations={"deployment.kubernetes.io/revision": str(rev), **(annotations or {})},
          managed=managed, generation=rev + 1, spec=spec, status=status)
    if service:
        add_service(w, service[0], labels, [(service[1], service[2])], ns=ns, age=age)
    return built


def _deployment_conditions(w, built, available, stuck, age, rev_age, replica_failure):
    def cond(type, status, reason, message, at):
        return {"lastTransitionTime": w.ago(at), "lastUpdateTime": w.ago(at), "message": message, "reason": reason, "status": status, "type": type}
    out = [cond("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.", age - 1) if available else
           cond("Available", "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.", min(rev_age, 55))]
    if replica_failure:
        out.append(cond("ReplicaFailure", "True", "FailedCreate", replica_failure, rev_age - 0.02))
    if stuck:
        out.append(cond("Progressing", "False", "ProgressDeadlineExceeded", f'ReplicaSet "{built.sets[-1]}" has timed out progressing.', max(0.5, rev_age - 10)))
    else:
        out.append(cond("Progressing", "True", "NewReplicaSetAvailable", f'ReplicaSet "{built.sets[-1]}" has successfully progressed.', max(0.5, rev_age - 0.5)))
    return out


def add_service(w, name, selector, ports, ns=None, age=60 * 24 * 90, headless=False, endpoints=None, labels=None, external=None):
    """A Service; its endpoints are worked out at the end from the pods that match."""
    ns = w.ns if ns is None else ns
    ip = f"10.96.{int(w.uid('svc', name)[:2], 16)}.{1 + int(w.uid('svc', name)[2:4], 16) % 250}"
    spec_ports = [{"name": p[2] if len(p) > 2 else "main", "port": p[0], "protocol": "TCP", "targetPort": p[1]} for p in ports]
    if external:
        spec = {"externalName": external, "sessionAffinity": "None", "type": "ExternalName"}
    else:
        spec = {"clusterIP": "None" if headless else ip, "clusterIPs": ["None" if headless else ip], "internalTrafficPolicy": "Cluster", "ipFamilies": ["IPv4"],
                "ipFamilyPolicy": "SingleStack", "ports": spec_ports, "selector": selector, "sessionAffinity": "None", "type": "ClusterIP"}
    return w.add("Service", name, ns=ns, age=age, generation=0, labels=labels or dict(list(selector.items())[:1] if selector else {}), spec=spec, status={"loadBalancer": {}})


def endpoint_slices(w):
    """EndpointSlices of all Services, as the controller would have them."""
    for (kind, ns, name), svc in list(w.objects.items()):
        if kind != "Service" or not svc["spec"].get("selector"):
            continue
        groups = {}
        for (k, pns, pname), pod in w.objects.items():
            labels = pod["metadata"].get("labels", {})
            if k != "Pod" or pns != ns or any(labels.get(a) != b for a, b in svc["spec"]["selector"].items()) or not pod["status"].get("podIP") \
                    or pod["status"]["phase"] in ("Succeeded", "Failed"):
                continue
            ready = any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"]["conditions"])
            ports = tuple(sorted((p["name"], number) for p in svc["spec"]["ports"] for number in [_resolve(pod, p["targetPort"])] if number))
            groups.setdefault(ports, []).append({"addresses": [pod["status"]["podIP"]],
                                                 "conditions": {"ready": ready, "serving": ready, "terminating": "deletionTimestamp" in pod["metadata"]},
                                                 "nodeName": pod["spec"]["nodeName"], "targetRef": {"kind": "Pod", "name": pname, "namespace": ns, "uid": pod["metadata"]["uid"]}})
        for i, (ports, eps) in enumerate(groups.items() or [((), [])]):
            w.add("EndpointSlice", f"{name}-{_hash(w, f'{ns}{name}slice{i}', 5)}", ns=ns, age=60 * 24 * 60, labels={"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                  "kubernetes.io/service-name": name}, owner=("Service", name), addressType="IPv4", endpoints=eps,
                  ports=[{"name": n, "port": p, "protocol": "TCP"} for n, p in ports])


def _resolve(pod, target):
    if isinstance(target, int):
        return target
    return next((p["containerPort"] for c in pod["spec"]["containers"] for p in c.get("ports", []) if p.get("name") == target), None)


def statefulset(w, name, template, replicas=3, ns=None, labels=None, age=60 * 24 * 120, states=None, claim=None, storage="20Gi", storage_class="fast-retain", service=None,
                rev_age=None, update=None, claim_states=None, annotations=None, managed=None, nodes=None, desired=None, previous=None):
    """A StatefulSet with its claims; `claim` is the volume's name, `claim_states` "Bound" or "Pending" per claim.

    `previous`: template of the revision before, which pods beyond `update` still run.
    """
    ns = w.ns if ns is None else ns
    labels = labels or {"app": name}
    states = [ok() for _ in range(replicas)] if states is None else states
    built = Built(f"StatefulSet/{ns}/{name}", name)
    hash_now, hash_old = f"{name}-{_hash(w, name + 'now')}", f"{name}-{_hash(w, name + 'old')}"
    vct = [{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": claim}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": storage}},
            "storageClassName": storage_class, "volumeMode": "Filesystem"}, "status": {"phase": "Pending"}}] if claim else None
    for i, state in enumerate(states):
        pod = f"{name}-{i}"
        old = previous is not None and i < replicas - (update if update is not None else 1)
        tpl = previous if old else template
        vols = []
        where = nodes[i] if nodes else w.schedulable[i % len(w.schedulable)]
        if claim:
            vols = [{"name": claim, "persistentVolumeClaim": {"claimName": f"{claim}-{pod}"}}]
            add_claim(w, f"{claim}-{pod}", storage, storage_class, ns=ns, age=age, labels=labels, state=(claim_states or {}).get(i, "Bound"), node=where)
        pod_age = rev_age if rev_age is not None and not old else min(age, 60 * 24 * 20)
        if state.kind in ("pull", "waiting", "creating", "pending") and state.since:
            pod_age = state.since
        build(w, pod, tpl, {**labels, "apps.kubernetes.io/pod-index": str(i), "controller-revision-hash": hash_old if old else hash_now, "statefulset.kubernetes.io/pod-name": pod},
              ("StatefulSet", name), state, pod_age, ns=ns, node=where, generate=f"{name}-", volumes_extra=vols)
        built.pods.append(pod)
        if pod_age <= 60:
            w.event("StatefulSet", name, "Normal", "SuccessfulCreate", f"create Pod {pod} in StatefulSet {name} successful", pod_age, component="statefulset-controller", ns=ns)
    for n, (h, tpl) in enumerate([(hash_old, previous)] * (previous is not None) + [(hash_now, template)]):
        w.add("ControllerRevision", h, ns=ns, age=age if tpl is previous or rev_age is None else rev_age, generation=0, labels={**labels, "controller.kubernetes.io/hash": h[len(name) + 1:]},
              owner=("StatefulSet", name), revision=n + 1, data={"spec": {"template": {**_with_labels(tpl, labels), "$patch": "replace"}}})
    ready = sum(s.kind == "ok" for s in states)
    status = {"availableReplicas": ready, "collisionCount": 0, "currentReplicas": len(states) if previous is None else sum(1 for i in range(len(states)) if i < replicas - (update or 1)),
              "currentRevision": hash_old if previous else hash_now, "observedGeneration": 1, "readyReplicas": ready, "replicas": len(states), "updateRevision": hash_now,
              "updatedReplicas": len(states) if previous is None else (update or 1)}
    if not ready:
        del status["readyReplicas"]
    w.add("StatefulSet", name, ns=ns, age=age, labels=labels, annotations=annotations, managed=managed,
          spec={"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"}, "podManagementPolicy": "OrderedReady", "replicas": replicas if desired is None else desired,
                "revisionHistoryLimit": 10, "selector": {"matchLabels": labels}, "serviceName": service[0] if service else name, "template": _with_labels(template, labels),
                "updateStrategy": {"rollingUpdate": {"partition": 0}, "type": "RollingUpdate"}, **({"volumeClaimTemplates": vct} if vct else {})}, status=status)
    if service:
        add_service(w, service[0], labels, [(service[1], service[2])], ns=ns, age=age, headless=True)
    return built


def add_claim(w, name, storage, storage_class, ns=None, age=60 * 24 * 120, labels=None, state="Bound", node=None, provisioner="csi.blockstore.example.org", mode="ReadWriteOnce",
              capacity=None, conditions=None):
    """A claim and, when bound, its volume."""
    ns = w.ns if ns is None else ns
    volume = f"pvc-{w.uid('PersistentVolumeClaim', ns, name)}"
    spec = {"accessModes": [mode], "resources": {"requests": {"storage": storage}}, "storageClassName": storage_class, "volumeMode": "Filesystem"}
    notes = {"volume.kubernetes.io/storage-provisioner": provisioner}
    if state == "Bound":
        notes = {"pv.kubernetes.io/bind-completed": "yes", "pv.kubernetes.io/bound-by-controller": "yes", **notes, **({"volume.kubernetes.io/selected-node": node} if node else {})}
        spec["volumeName"] = volume
        body = {"status": {"accessModes": [mode], "capacity": {"storage": capacity or storage}, "phase": "Bound", **({"conditions": conditions} if conditions else {})}}
        w.add("PersistentVolume", volume, ns="", age=age, generation=0, finalizers=["kubernetes.io/pv-protection"], annotations={"pv.kubernetes.io/provisioned-by": provisioner},
              spec={"accessModes": [mode], "capacity": {"storage": capacity or storage}, "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": name, "namespace": ns,
                    "uid": w.uid("PersistentVolumeClaim", ns, name)}, "csi": {"driver": provisioner, "fsType": "ext4", "volumeHandle": f"vol-{w.uid('vol', name)[:12]}"},
                    "persistentVolumeReclaimPolicy": "Retain", "storageClassName": storage_class, "volumeMode": "Filesystem"}, status={"phase": "Bound"})
    else:
        body = {"status": {"phase": "Pending"}}
        notes = None
    w.add("PersistentVolumeClaim", name, ns=ns, age=age, generation=0, labels=labels, annotations=notes, finalizers=["kubernetes.io/pvc-protection"], spec=spec, **body)


def storage_class(w, name, expand=True, default=False, binding="WaitForFirstConsumer", provisioner="csi.blockstore.example.org"):
    w.add("StorageClass", name, ns="", generation=0, age=60 * 24 * 300, annotations={"storageclass.kubernetes.io/is-default-class": "true"} if default else None,
          provisioner=provisioner, reclaimPolicy="Retain", volumeBindingMode=binding, **({"allowVolumeExpansion": True} if expand else {}))


def daemonset(w, name, template, ns=None, labels=None, age=60 * 24 * 150, states=None, updated=None, previous=None, rev_age=None, annotations=None):
    """A DaemonSet: a pod a node; nodes in `updated` run the new template, the others `previous`."""
    ns = w.ns if ns is None else ns
    labels = labels or {"app": name}
    states = states or {}
    built = Built(f"DaemonSet/{ns}/{name}", name)
    new_hash, old_hash = _hash(w, name + "ds-new"), _hash(w, name + "ds-old")
    ready = 0
    for n in w.nodes:
        is_new = previous is None or n in (updated or [])
        pod = f"{name}-{w.suffix()}"
        state = states.get(n, ok())
        pod_age = rev_age if is_new and rev_age is not None else 60 * 24 * 9
        build(w, pod, template if is_new else previous, {**labels, "controller-revision-hash": new_hash if is_new else old_hash, "pod-template-generation": "2" if is_new else "1"},
              ("DaemonSet", name), state, pod_age, ns=ns, node=n, generate=f"{name}-")
        built.pods.append(pod)
        ready += state.kind == "ok"
    for i, (h, tpl) in enumerate([(old_hash, previous)] * (previous is not None) + [(new_hash, template)]):
        w.add("ControllerRevision", f"{name}-{h}", ns=ns, age=age if tpl is previous or rev_age is None else rev_age, generation=0, labels={**labels, "controller-revision-hash": h},
              owner=("DaemonSet", name), revision=i + 1, data={"spec": {"template": {**_with_labels(tpl, labels), "$patch": "replace"}}})
    total = len(w.nodes)
    w.add("DaemonSet", name, ns=ns, age=age, labels=labels, annotations={"deprecated.daemonset.template.generation": "2" if previous else "1", **(annotations or {})}, generation=2,
          spec={"revisionHistoryLimit": 10, "selector": {"matchLabels": labels}, "template": _with_labels(template, labels),
                "updateStrategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}, "type": "RollingUpdate"}},
          status={"currentNumberScheduled": total, "desiredNumberScheduled": total, "numberAvailable": ready, "numberMisscheduled": 0, "numberReady": ready,
                  **({"numberUnavailable": total - ready} if total > ready else {}), "observedGeneration": 2, "updatedNumberScheduled": len(updated) if previous else total})
    return built


def job(w, name, template, states, ns=None, labels=None, age=30, cron=None, backoff=3, failed_reason=None, failed_message=None, done=False, pod_ages=None):
    """A Job with one pod a state."""
    ns = w.ns if ns is None else ns
    built = Built(f"Job/{ns}/{name}", name)
    uid = w.uid("Job", ns, name)
    pod_labels = {**(labels or {"app": name}), "batch.kubernetes.io/controller-uid": uid, "batch.kubernetes.io/job-name": name, "controller-uid": uid, "job-name": name}
    for i, state in enumerate(states):
        pod = f"{name}-{w.suffix()}"
        pod_age = pod_ages[i] if pod_ages else max(0.5, age - 0.1 - i * max(0.3, min(6, age / (len(states) + 1))))
        build(w, pod, template, pod_labels, ("Job", name), state, pod_age, ns=ns, generate=f"{name}-")
        built.pods.append(pod)
        if age <= 60:
            w.event("Job", name, "Normal", "SuccessfulCreate", f"Created pod: {pod}", pod_age, component="job-controller", ns=ns)
    conds, status = [], {"ready": 0, "startTime": w.ago(age), "terminating": 0, "uncountedTerminatedPods": {}}
    def cond(type, reason, message, at):
        return {"lastProbeTime": w.ago(at), "lastTransitionTime": w.ago(at), "message": message, "reason": reason, "status": "True", "type": type}
    fails = sum(s.kind == "failed" for s in states)
    if failed_reason:
        at = max(0.5, age * 0.2)
        conds = [cond("FailureTarget", failed_reason, failed_message, at), cond("Failed", failed_reason, failed_message, at)]
        if age <= 60:
            w.event("Job", name, "Warning", failed_reason, failed_message, at, component="job-controller", ns=ns)
    elif done:
        conds = [cond("SuccessCriteriaMet", "CompletionsReached", "Reached expected number of succeeded pods", age - 1), cond("Complete", "CompletionsReached", "Reached expected number of succeeded pods", age - 1)]
        status.update({"completionTime": w.ago(age - 1), "succeeded": 1})
        if age <= 60:
            w.event("Job", name, "Normal", "Completed", "Job completed", age - 1, component="job-controller", ns=ns)
    else:
        status["active"] = sum(s.kind not in ("failed", "succeeded", "evicted") for s in states)
    if fails:
        status["failed"] = fails
    if conds:
        status["conditions"] = conds
    tpl = _with_labels(template, pod_labels)
    w.add("Job", name, ns=ns, age=age, labels=labels or {"app": name}, owner=("CronJob", cron) if cron else None,
          spec={"backoffLimit": backoff, "completionMode": "NonIndexed", "completions": 1, "manualSelector": False, "parallelism": 1, "podReplacementPolicy": "TerminatingOrFailed",
                "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}, "suspend": False, "template": tpl}, status=status)
    return built


def cronjob(w, name, schedule, template, ns=None, age=60 * 24 * 100, labels=None, last=30, last_ok=None, suspend=False, active=None, backoff=3):
    ns = w.ns if ns is None else ns
    status = {"lastScheduleTime": w.ago(last), **({"lastSuccessfulTime": w.ago(last_ok)} if last_ok else {})}
    if active:
        status["active"] = [{"apiVersion": "batch/v1", "kind": "Job", "name": active, "namespace": ns, "uid": w.uid("Job", ns, active)}]
    return w.add("CronJob", name, ns=ns, age=age, labels=labels or {"app": name},
                 spec={"concurrencyPolicy": "Forbid", "failedJobsHistoryLimit": 1, "jobTemplate": {"spec": {"backoffLimit": backoff, "template": _with_labels(template, labels or {"app": name})}},
                       "schedule": schedule, "successfulJobsHistoryLimit": 3, "suspend": suspend}, status=status)


def well_cronjob(w, name, image, schedule="*/30 * * * *", ns=None, log=("done",)):
    """A CronJob whose last run went well."""
    from specs import container, template
    tpl = template(container(name, image, ports=(), mem_limit="128Mi"), restart="Never")
    run = f"{name}-{29400000 + int(w.uid(name)[:4], 16)}"
    built = job(w, run, tpl, [succeeded()], ns=ns, labels={"app": name}, age=24, cron=name, done=True)
    cronjob(w, name, schedule, tpl, ns=ns, last=24, last_ok=23)
    w.log(built.pods[0], name, list(log), ns=ns)
