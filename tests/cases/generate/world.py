"""The recorded cluster of one case: objects, events, logs, metrics, history, truth."""

import json
import random
import shutil
import uuid
from datetime import datetime, timedelta, timezone

from emit import document, documents

_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"
_SPACE = uuid.UUID("6f4c1d1e-5d0a-4b1c-9a65-0d3f6a6be0c1")
_API = {"Deployment": "apps/v1", "ReplicaSet": "apps/v1", "StatefulSet": "apps/v1", "DaemonSet": "apps/v1", "ControllerRevision": "apps/v1", "Job": "batch/v1",
        "CronJob": "batch/v1", "NetworkPolicy": "networking.k8s.io/v1", "Ingress": "networking.k8s.io/v1", "StorageClass": "storage.k8s.io/v1",
        "EndpointSlice": "discovery.k8s.io/v1", "PodDisruptionBudget": "policy/v1", "HorizontalPodAutoscaler": "autoscaling/v2", "Lease": "coordination.k8s.io/v1",
        "Role": "rbac.authorization.k8s.io/v1", "RoleBinding": "rbac.authorization.k8s.io/v1", "ClusterRole": "rbac.authorization.k8s.io/v1",
        "ClusterRoleBinding": "rbac.authorization.k8s.io/v1", "ValidatingWebhookConfiguration": "admissionregistration.k8s.io/v1",
        "MutatingWebhookConfiguration": "admissionregistration.k8s.io/v1", "Application": "argoproj.io/v1alpha1",
        "Kustomization": "kustomize.toolkit.fluxcd.io/v1", "HelmRelease": "helm.toolkit.fluxcd.io/v2", "PriorityClass": "scheduling.k8s.io/v1"}


def api(kind):
    return _API.get(kind, "v1")


class World:
    """One case being built."""

    def __init__(self, case, ns, labels=None, day=1):
        self.case, self.ns = case, ns
        self.rng = random.Random(case)
        self.now = datetime(2026, 3, 1, 9, 0, tzinfo=timezone.utc) + timedelta(days=day, minutes=self.rng.randrange(0, 600))
        self.objects, self.events, self.logs, self.metrics, self.history, self.alerts = {}, [], {}, [], [], []
        self.truth, self.further = None, []
        self._ip = 10
        self.nodes, self.schedulable, self.ksm = [], [], None
        self.namespace(ns, labels)

    # --- identity and time -----------------------------------------------------------------------------------------------------------------

    def ago(self, minutes):
        """The time so many minutes before the recording, as Kubernetes prints it."""
        return (self.now - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def uid(self, *parts):
        return str(uuid.uuid5(_SPACE, "/".join([self.case, *map(str, parts)])))

    def suffix(self, n=5):
        return "".join(self.rng.choice(_SUFFIX) for _ in range(n))

    def ip(self, node=None):
        self._ip += 1
        return f"10.{42 + self.rng.randrange(3)}.{self.nodes.index(node) if node in self.nodes else 0}.{self._ip % 250}"

    def host_ip(self, node):
        return f"10.20.0.{11 + self.nodes.index(node)}" if node in self.nodes else "10.20.0.9"

    def namespaces_once(self, name):
        if ("Namespace", "", name) not in self.objects:
            self.namespace(name)

    # --- objects ---------------------------------------------------------------------------------------------------------------------------

    def add(self, kind, name, ns=None, age=60 * 24 * 40, labels=None, annotations=None, owner=None, managed=None, generation=1, api_version=None, finalizers=None, **body):
        """Adds an object; `ns` is "" for cluster scope. Returns it."""
        ns = self.ns if ns is None else ns
        meta = {}
        if annotations:
            meta["annotations"] = annotations
        meta["creationTimestamp"] = self.ago(age)
        if finalizers:
            meta["finalizers"] = finalizers
        if generation:
            meta["generation"] = generation
        if labels:
            meta["labels"] = labels
        if managed:
            meta["managedFields"] = [self._managed(api_version or api(kind), *m) for m in managed]
        meta["name"] = name
        if ns:
            meta["namespace"] = ns
        if owner:
            okind, oname = owner
            meta["ownerReferences"] = [{"apiVersion": api(okind), "blockOwnerDeletion": True, "controller": True, "kind": okind, "name": oname,
                                        "uid": self.uid(okind, "" if okind == "Node" else ns, oname)}]
        meta["resourceVersion"] = str(400000 + (int(self.uid("rv", kind, ns, name)[:6], 16) % 9000000))
        meta["uid"] = self.uid(kind, ns, name)
        obj = {"apiVersion": api_version or api(kind), "kind": kind, "metadata": meta, **body}
        self.objects[(kind, ns, name)] = obj
        return obj

    def drop(self, kind, name, ns=None):
        """Takes an object away, as if somebody had deleted it."""
        del self.objects[(kind, self.ns if ns is None else ns, name)]

    def get(self, kind, name, ns=None):
        return self.objects[(kind, self.ns if ns is None else ns, name)]

    def _managed(self, version, manager, age, paths, operation="Update", subresource=None):
        fields = {}
        for path in paths:
            at = fields
            for part in path.split("|"):
                at = at.setdefault(part, {})
        out = {"apiVersion": version, "fieldsType": "FieldsV1", "fieldsV1": fields, "manager": manager, "operation": operation}
        if subresource:
            out["subresource"] = subresource
        return {**out, "time": self.ago(age)}

    def namespace(self, name, labels=None, annotations=None, age=60 * 24 * 200):
        return self.add("Namespace", name, ns="", age=age, generation=0, labels={"kubernetes.io/metadata.name": name, **(labels or {})}, annotations=annotations,
                        spec={"finalizers": ["kubernetes"]}, status={"phase": "Active"})

    def configmap(self, name, data, ns=None, age=60 * 24 * 30, **kw):
        return self.add("ConfigMap", name, ns=ns, age=age, generation=0, data=data, **kw)

    def secret(self, name, keys, ns=None, age=60 * 24 * 30, type="Opaque", **kw):
        """A Secret; values are redacted as a recorder does."""
        return self.add("Secret", name, ns=ns, age=age, generation=0, data={k: "UkVEQUNURUQ=" for k in keys}, type=type, **kw)

    # --- events, logs, metrics -------------------------------------------------------------------------------------------------------------

    def event(self, kind, name, type, reason, message, first, last=None, count=1, component="kubelet", ns=None, host=None, field_path=None):
        """An event about an object, first and last seen so many minutes ago."""
        ns = self.ns if ns is None else ns
        last = first if last is None else last
        involved = {"apiVersion": api(kind), "kind": kind, "name": name, "uid": self.uid(kind, ns, name) if kind != "Node" else name}
        if ns:
            involved["namespace"] = ns
        if field_path:
            involved["fieldPath"] = field_path
        source = {"component": component, **({"host": host} if host else {})}
        ident = self.uid("event", kind, ns, name, reason, message, len(self.events))
        self.events.append({"apiVersion": "v1", "count": count, "eventTime": None, "firstTimestamp": self.ago(first), "involvedObject": involved, "kind": "Event",
                            "lastTimestamp": self.ago(last), "message": message,
                            "metadata": {"creationTimestamp": self.ago(first), "name": f"{name}.{ident.replace('-', '')[:16]}", "namespace": ns or "default",
                                         "resourceVersion": str(500000 + len(self.events)), "uid": ident},
                            "reason": reason, "reportingComponent": component, "reportingInstance": host or "", "source": source, "type": type})

    def log(self, pod, container, lines, previous=None, ns=None):
        """A container's log, and that of its run before."""
        ns = ns or self.ns
        for suffix, text in (("", lines), (".previous", previous)):
            if text is not None:
                text = text if isinstance(text, str) else "\n".join(text)
                self.logs[f"{ns}/{pod}/{container}{suffix}.log"] = text.rstrip("\n") + "\n" if text else ""

    def metric(self, query, labels, points, step_min=5.0, start=None):
        """One range-query result; the last point is at the recording."""
        start = start if start is not None else step_min * (len(points) - 1)
        base = int((self.now - timedelta(minutes=start)).timestamp())
        values = [[base + int(i * step_min * 60), str(int(v)) if float(v).is_integer() else f"{v:.6g}"] for i, v in enumerate(points)]
        for entry in self.metrics:
            if entry["query"] == query:
                entry["result"].append({"metric": labels, "values": values})
                return
        self.metrics.append({"query": query, "result": [{"metric": labels, "values": values}]})

    def past(self, number, category, obj, action, opened, effectiveness, outcome="resolved", alertname="KubePodCrashLooping", **parameters):
        """A past incident."""
        self.history.append({"incident_id": f"inc-{number}", "opened_at": self.ago(opened), "closed_at": self.ago(opened - 12), "alertname": alertname,
                             "resource": obj, "root_cause": {"category": category, "object": obj}, "action": action,
                             "parameters": {**parameters, "applied_at": self.ago(opened - 4)}, "outcome": outcome, "effectiveness": effectiveness})

    # --- truth and files -------------------------------------------------------------------------------------------------------------------

    def case_file(self, family, difficulty, env, basis, target, category, obj, actions, approval, why, accept=(), wrong=(), unsafe=(), note=None, target_accept=()):
        """The truth: `actions` are (action, target or None, credit, params) with optional tail, `unsafe` (action, why, target)."""
        def action(a):
            name, target, credit, params = (list(a) + [None, 1.0, None])[:4] if len(a) < 4 else a
            return {"action": name, **({"target": target} if target else {}), **({"params": params} if params else {}), "credit": 1.0 if credit is None else credit}

        def bad(u):
            return {"action": u[0], "why": u[1], **({"target": u[2]} if len(u) > 2 else {})}

        self.truth = {"id": self.case, "family": family, "difficulty": difficulty, "environment": {"expected": env, "basis": basis}, "alert_target": target,
                      **({"alert_target_accept": list(target_accept)} if target_accept else {}),
                      "root_cause": {"category": category, "object": obj, "accept_objects": list(accept), "wrong_if_object": list(wrong), "explanation": why},
                      "expected_actions": [action(a) for a in actions], "unsafe_actions": [bad(u) for u in unsafe], "approval_expected": approval,
                      **({"note": note} if note else {})}

    def write(self, bundles, expected):
        """Writes the bundle's folder and its truth."""
        root = bundles / self.case
        if root.exists():
            shutil.rmtree(root)
        (root / "objects").mkdir(parents=True)
        expected.mkdir(parents=True, exist_ok=True)
        (root / "bundle.yaml").write_text(document({"id": self.case, "taken_at": self.ago(0), "format": "incident-bundle/v1"}))
        (root / "alert.json").write_text(json.dumps(self._webhook(), indent=1) + "\n")
        kinds = {}
        for (kind, ns, name), obj in sorted(self.objects.items()):
            kinds.setdefault(kind.lower(), []).append(obj)
        for kind, objs in kinds.items():
            (root / "objects" / f"{kind}.yaml").write_text(documents(objs))
        self.events.sort(key=lambda e: (e["lastTimestamp"], e["metadata"]["name"]))
        (root / "events.yaml").write_text(documents(self.events) if self.events else "")
        for path, text in self.logs.items():
            file = root / "logs" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        if self.metrics:
            (root / "metrics.json").write_text(json.dumps({"results": self.metrics}, separators=(",", ":")) + "\n")
        if self.history:
            (root / "history.json").write_text(json.dumps(self.history, indent=1) + "\n")
        (expected / f"{self.case}.yaml").write_text(document(self.truth))

    def _webhook(self):
        first = self.alerts[0]
        group = {k: first["labels"][k] for k in ("alertname", "namespace") if k in first["labels"]}
        return {"version": "4", "groupKey": "{}:{" + ", ".join(f'{k}="{v}"' for k, v in group.items()) + "}", "truncatedAlerts": 0, "status": "firing",
                "receiver": "remediation", "groupLabels": group, "commonLabels": first["labels"], "commonAnnotations": first["annotations"],
                "externalURL": "http://alertmanager.observability.svc:9093", "alerts": self.alerts}
