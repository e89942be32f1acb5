"""A pod with the status that its state implies, its events and its place in the graph."""

import hashlib

RETRY = 'desc = failed to pull and unpack image'


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def build(w, name, template, labels, owner, state, age, ns=None, node=None, generate=None, volumes_extra=None):
    """Adds the pod `name`; returns its IP, or None while it has none."""
    ns = ns or w.ns
    spec = {**template["spec"]}
    if volumes_extra:
        spec["volumes"] = [*volumes_extra, *spec.get("volumes", [])]
    node = state.node or node or w.rng.choice([n for n in w.schedulable] or [None])
    scheduled = state.kind != "pending"
    if scheduled:
        spec["nodeName"] = node
    spec["enableServiceLinks"] = True
    spec["preemptionPolicy"] = "PreemptLowerPriority"
    spec["priority"] = 0
    spec["tolerations"] = [*spec.get("tolerations", []), *({"effect": "NoExecute", "key": f"node.kubernetes.io/{k}", "operator": "Exists", "tolerationSeconds": 300}
                                                          for k in ("not-ready", "unreachable"))]
    ip = w.ip(node) if scheduled and state.kind not in ("creating", "evicted") else None
    status = Status(w, name, ns, spec, state, age, node, ip)
    body = status.build()
    obj = w.add("Pod", name, ns=ns, age=age, labels=labels, annotations=template.get("annotations") or None, owner=owner, generation=1, spec=spec, status=body)
    if generate:
        obj["metadata"]["generateName"] = generate
    if state.deleted is not None:
        obj["metadata"]["deletionTimestamp"] = w.ago(state.deleted)
        obj["metadata"]["deletionGracePeriodSeconds"] = 30
    return ip if state.kind not in ("succeeded", "failed", "evicted") else None


class Status:
    """Builds one pod's status."""

    def __init__(self, w, name, ns, spec, state, age, node, ip):
        self.w, self.name, self.ns, self.spec, self.s, self.age, self.node, self.ip = w, name, ns, spec, state, age, node, ip
        self.uid = w.uid("Pod", ns, name)
        self.affected = state.container or spec["containers"][0]["name"]

    def event(self, type, reason, message, first, last=None, count=1, component="kubelet", container=None):
        path = f"spec.containers{{{container}}}" if container else None
        if container and any(c["name"] == container for c in self.spec.get("initContainers", [])):
            path = f"spec.initContainers{{{container}}}"
        host = self.node if component == "kubelet" else None
        self.w.event("Pod", self.name, type, reason, message, first, last, count, component, self.ns, host, path)

    def cid(self, container, n=0):
        return "containerd://" + digest(f"{self.uid}/{container}/{n}")

    def build(self):
        s = self.s
        ready = s.kind in ("ok", "lost")
        done = s.kind == "succeeded"
        phase = {"pending": "Pending", "creating": "Pending", "pull": "Pending", "waiting": "Pending", "init_crash": "Pending", "init_running": "Pending",
                 "evicted": "Failed", "failed": "Failed", "succeeded": "Succeeded"}.get(s.kind, "Running")
        if s.kind in ("pull", "waiting", "start") and len(self.spec["containers"]) > 1:
            phase = "Pending"
        if s.kind == "evicted":
            return {"conditions": self.conditions(False, False), "message": s.message, "phase": "Failed", "qosClass": self.qos(), "reason": "Evicted", "startTime": self.w.ago(self.age)}
        out = {"conditions": self.conditions(ready, done)}
        if s.kind == "pending":
            self.event("Warning", "FailedScheduling", s.message, self.age, 1.2, max(1, int(self.age // 5)), "default-scheduler")
            return {**out, "phase": "Pending", "qosClass": self.qos()}
        recent = self.age <= 60
        if recent:
            self.event("Normal", "Scheduled", f"Successfully assigned {self.ns}/{self.name} to {self.node}", self.age, component="default-scheduler")
        out["containerStatuses"] = [self.container(c, recent) for c in self.spec["containers"]]
        out.update({"hostIP": self.w.host_ip(self.node), "hostIPs": [{"ip": self.w.host_ip(self.node)}]})
        if self.spec.get("initContainers"):
            out["initContainerStatuses"] = self.inits()
        out["phase"] = phase
        if self.ip:
            out.update({"podIP": self.ip, "podIPs": [{"ip": self.ip}]})
        out["qosClass"] = self.qos()
        out["startTime"] = self.w.ago(self.age)
        for event in s.events:
            self.event(*event)
        return out

    def qos(self):
        resources = [c.get("resources", {}) for c in self.spec["containers"]]
        if not any(resources):
            return "BestEffort"
        return "Guaranteed" if all(r.get("limits") and r.get("limits") == r.get("requests") and len(r["limits"]) == 2 for r in resources) else "Burstable"

    def conditions(self, ready, done):
        w, s = self.w, self.s
        def cond(type, ok, age, reason=None, message=None):
            return {"lastProbeTime": None, "lastTransitionTime": w.ago(age), **({"message": message} if message else {}), **({"reason": reason} if reason else {}),
                    "status": "True" if ok else "False", "type": type}
        if s.kind == "pending":
            return [cond("PodScheduled", False, self.age, "Unschedulable", s.message)]
        changed = min(self.age, s.since if s.since is not None else (s.ended if s.kind == "crash" else self.age))
        why = {"reason": "ContainersNotReady", "message": f"containers with unready status: [{self.affected}]"}
        if s.kind == "ok":
            changed = min(self.age, s.since if s.since is not None else self.age)
            why = {}
        if done:
            why = {"reason": "PodCompleted"}
        if s.kind in ("failed", "evicted"):
            why = {"reason": "PodFailed"}
        if s.kind == "lost":
            return [cond("PodReadyToStartContainers", True, self.age), cond("Initialized", True, self.age), cond("Ready", False, s.since or 10),
                    cond("ContainersReady", True, self.age), cond("PodScheduled", True, self.age)]
        initialized = s.kind not in ("init_crash", "init_running")
        names = ", ".join(c["name"] for c in self.spec.get("initContainers", []))
        return [cond("PodReadyToStartContainers", s.kind not in ("creating", "failed", "succeeded", "evicted"), self.age),
                cond("Initialized", initialized, self.age, **({} if initialized else {"reason": "ContainersNotInitialized", "message": f"containers with incomplete status: [{names}]"}),
                     ) if not done else cond("Initialized", True, self.age, "PodCompleted"),
                cond("Ready", ready, changed, **why), cond("ContainersReady", ready, changed, **why), cond("PodScheduled", True, self.age)]

    def base(self, c, ready, started, restarts, state, last=None, pulled=True):
        image = c["image"]
        out = {}
        if pulled:
            out["containerID"] = self.cid(c["name"], restarts)
        out.update({"image": image, "imageID": f"{image.split('@')[0].rsplit(':', 1)[0]}@sha256:{digest(image)}" if pulled else "", "lastState": last or {}, "name": c["name"],
                    "ready": ready, "restartCount": restarts, "started": started, "state": state})
        return out

    def terminated(self, exit, reason, ended, run_s, message=None, container=""):
        t = {"containerID": self.cid(container, 99), "exitCode": exit, "finishedAt": self.w.ago(ended), "reason": reason, "startedAt": self.w.ago(ended + run_s / 60)}
        return {"terminated": {**t, **({"message": message} if message else {})}}

    def lifecycle(self, c, count, first, last):
        name = c["name"]
        self.event("Normal", "Pulled", f'Container image "{c["image"]}" already present on machine', first, last, count, container=name)
        self.event("Normal", "Created", f"Created container: {name}", first, last, count, container=name)
        self.event("Normal", "Started", f"Started container {name}", first, last, count, container=name)

    def container(self, c, recent):
        s, w = self.s, self.w
        if c["name"] != self.affected and s.kind not in ("init_crash", "init_running", "succeeded", "failed", "creating"):
            if recent:
                self.lifecycle(c, 1, self.age, self.age)
            return self.base(c, True, True, 0, {"running": {"startedAt": w.ago(self.age - 0.05)}})
        handler = getattr(self, "_" + s.kind)
        return handler(c, recent)

    def _ok(self, c, recent):
        s, w = self.s, self.w
        last = self.terminated(s.exit, s.reason, s.ended, s.run_s, s.text, c["name"]) if s.restarts else None
        if recent:
            self.lifecycle(c, 1 + s.restarts, self.age, s.ended if s.restarts else self.age)
        return self.base(c, True, True, s.restarts, {"running": {"startedAt": w.ago((s.ended - 0.1) if s.restarts else self.age - 0.05)}}, last)

    _lost = _ok

    def _unready(self, c, recent):
        s, w = self.s, self.w
        if recent:
            self.lifecycle(c, 1, self.age, self.age)
        if s.unhealthy:
            since = s.since if s.since is not None else self.age
            self.event("Warning", "Unhealthy", f"{s.probe} probe failed: {s.unhealthy}", since, 0.3, max(2, int(since * 6)), container=c["name"])
        return self.base(c, False, True, s.restarts, {"running": {"startedAt": w.ago(self.age - 0.05)}})

    def _crash(self, c, recent):
        s, w, name = self.s, self.w, c["name"]
        term = self.terminated(s.exit, s.reason, s.ended, s.run_s, s.text, name)
        first = min(self.age, 58)
        self.lifecycle(c, s.restarts + 1, first, s.ended + s.run_s / 60)
        if s.unhealthy:
            self.event("Warning", "Unhealthy", f"{s.probe} probe failed: {s.unhealthy}", first - 0.5, s.ended + 0.1, s.restarts * 3, container=name)
            self.event("Normal", "Killing", f"Container {name} failed liveness probe, will be restarted", first - 1, s.ended + 0.05, s.restarts, container=name)
        self.event("Warning", "BackOff", f"Back-off restarting failed container {name} in pod {self.name}_{self.ns}({self.uid})", first - 0.2, min(0.5, s.ended), s.restarts * 9, container=name)
        if s.waiting:
            message = f"back-off 5m0s restarting failed container={name} pod={self.name}_{self.ns}({self.uid})"
            return self.base(c, False, False, s.restarts, {"waiting": {"message": message, "reason": "CrashLoopBackOff"}}, term)
        return self.base(c, False, False, s.restarts, term, self.terminated(s.exit, s.reason, s.ended + 5.2, s.run_s, s.text, name))

    def _start(self, c, recent):
        s, w, name = self.s, self.w, c["name"]
        term = self.terminated(s.exit, s.reason, s.ended, 0, s.message, name)
        term["terminated"]["startedAt"] = "1970-01-01T00:00:00Z"
        first = min(self.age, 58)
        self.event("Normal", "Pulled", f'Container image "{c["image"]}" already present on machine', first, s.ended, s.restarts + 1, container=name)
        self.event("Normal", "Created", f"Created container: {name}", first, s.ended, s.restarts + 1, container=name)
        self.event("Warning", "Failed", f"Error: {s.message}", first, s.ended, s.restarts + 1, container=name)
        self.event("Warning", "BackOff", f"Back-off restarting failed container {name} in pod {self.name}_{self.ns}({self.uid})", first, 0.6, s.restarts * 8, container=name)
        message = f"back-off 5m0s restarting failed container={name} pod={self.name}_{self.ns}({self.uid})"
        return self.base(c, False, False, s.restarts, {"waiting": {"message": message, "reason": "CrashLoopBackOff"}}, term)

    def _waiting(self, c, recent):
        s, name = self.s, c["name"]
        first = min(self.age, 58)
        self.event("Normal", "Pulled", f'Container image "{c["image"]}" already present on machine', first, 0.4, int(first * 4) + 1, container=name)
        self.event("Warning", "Failed", f"Error: {s.message}", first, 0.4, int(first * 4) + 1, container=name)
        return self.base(c, False, False, 0, {"waiting": {"message": s.message, "reason": s.reason}}, pulled=False)

    def _pull(self, c, recent):
        s, name = self.s, c["name"]
        first = min(self.age, 58)
        tries = max(2, int(first / 6))
        self.event("Normal", "Pulling", f'Pulling image "{s.text}"', first, 1.5, tries, container=name)
        self.event("Warning", "Failed", f'Failed to pull image "{s.text}": {s.message}', first, 1.4, tries, container=name)
        self.event("Warning", "Failed", "Error: ErrImagePull", first, 1.4, tries, container=name)
        self.event("Normal", "BackOff", f'Back-off pulling image "{s.text}"', first, 0.2, tries * 8, container=name)
        self.event("Warning", "Failed", "Error: ImagePullBackOff", first, 0.2, tries * 8, container=name)
        return self.base(c, False, False, 0, {"waiting": {"message": f'Back-off pulling image "{s.text}": ErrImagePull: {s.message}', "reason": "ImagePullBackOff"}}, pulled=False)

    def _creating(self, c, recent):
        s = self.s
        if c["name"] == self.affected:
            first = min(self.age, 58)
            self.event("Warning", "FailedMount", s.message, first, 0.8, max(2, int(first / 2)))
        return self.base(c, False, False, 0, {"waiting": {"reason": "ContainerCreating"}}, pulled=False)

    def _init_crash(self, c, recent):
        return self.base(c, False, False, 0, {"waiting": {"reason": "PodInitializing"}}, pulled=False)

    _init_running = _init_crash

    def _succeeded(self, c, recent):
        s = self.s
        if recent:
            self.lifecycle(c, 1, self.age, self.age)
        return self.base(c, False, False, 0, self.terminated(0, "Completed", max(0.1, self.age - 0.5), 24, None, c["name"]))

    def _failed(self, c, recent):
        s = self.s
        if recent:
            self.lifecycle(c, 1, self.age, self.age)
        return self.base(c, False, False, 0, self.terminated(s.exit, s.reason, max(0.1, self.age - s.run_s / 60), s.run_s, s.text, c["name"]))

    def inits(self):
        s, w, out, reached = self.s, self.w, [], False
        for c in self.spec["initContainers"]:
            name = c["name"]
            if s.kind in ("init_crash", "init_running") and name == s.container:
                reached = True
                if s.kind == "init_running":
                    if self.age <= 60:
                        self.lifecycle(c, 1, self.age, self.age)
                    out.append(self.base(c, False, True, 0, {"running": {"startedAt": w.ago(s.since)}}))
                    continue
                first = min(self.age, 58)
                self.lifecycle(c, s.restarts + 1, first, s.ended)
                self.event("Warning", "BackOff", f"Back-off restarting failed container {name} in pod {self.name}_{self.ns}({self.uid})", first, 0.5, s.restarts * 8, container=name)
                message = f"back-off 5m0s restarting failed container={name} pod={self.name}_{self.ns}({self.uid})"
                out.append(self.base(c, False, False, s.restarts, {"waiting": {"message": message, "reason": "CrashLoopBackOff"}}, self.terminated(s.exit, s.reason, s.ended, s.run_s, s.text, name)))
            elif reached or s.kind == "creating":
                out.append(self.base(c, False, False, 0, {"waiting": {"reason": "PodInitializing"}}, pulled=False))
            else:
                done = self.base(c, True, False, 0, self.terminated(0, "Completed", max(0.1, self.age - 0.1), 3, None, name))
                out.append(done)
        return out
