"""Nodes and what every cluster has: DNS, metrics, their services."""

from specs import container, probe, template
from workloads import deployment


def add_nodes(w, count=3, names=None, cpu="8", mem_gi=32, zones=("a", "b", "c"), arch=None, labels=None, region="eu-north-1"):
    """Adds healthy worker nodes; `labels` and `arch` may be given per name."""
    for i in range(count):
        name = names[i] if names else f"ip-10-20-{30 + i}-{w.rng.randrange(10, 250)}"
        node(w, name, cpu, mem_gi, f"{region}{zones[i % len(zones)]}", (arch or {}).get(name, "amd64"), (labels or {}).get(name, {}))


def node(w, name, cpu="8", mem_gi=32, zone="eu-north-1a", arch="amd64", labels=None, extra=None):
    beat = w.rng.uniform(0.3, 4.5)
    age = 60 * 24 * w.rng.randrange(60, 300)
    def cond(type, status, reason, message):
        return {"lastHeartbeatTime": w.ago(beat), "lastTransitionTime": w.ago(age - 1), "message": message, "reason": reason, "status": status, "type": type}
    cpu_m = int(float(cpu) * 1000) - 90
    w.nodes.append(name)
    w.schedulable.append(name)
    w.add("Node", name, ns="", age=age, generation=0, annotations={"node.alpha.kubernetes.io/ttl": "0", "volumes.kubernetes.io/controller-managed-attach-detach": "true"},
          labels={"beta.kubernetes.io/arch": arch, "beta.kubernetes.io/os": "linux", "kubernetes.io/arch": arch, "kubernetes.io/hostname": name, "kubernetes.io/os": "linux",
                  "topology.kubernetes.io/region": zone[:-1], "topology.kubernetes.io/zone": zone, **(labels or {})},
          spec={"podCIDR": f"10.42.{len(w.nodes)}.0/24", "providerID": f"cloud:///{zone}/{w.uid('node', name)[:13]}"},
          status={"addresses": [{"address": w.host_ip(name), "type": "InternalIP"}, {"address": name, "type": "Hostname"}],
                  "allocatable": {"cpu": f"{cpu_m}m", "ephemeral-storage": "95551679124", "memory": f"{mem_gi * 1048576 - 786432}Ki", "pods": "110", **(extra or {})},
                  "capacity": {"cpu": cpu, "ephemeral-storage": "103880232Ki", "memory": f"{mem_gi * 1048576}Ki", "pods": "110", **(extra or {})},
                  "conditions": [cond("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
                                 cond("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
                                 cond("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
                                 cond("Ready", "True", "KubeletReady", "kubelet is posting ready status")],
                  "nodeInfo": {"architecture": arch, "containerRuntimeVersion": "containerd://2.1.4", "kernelVersion": "6.8.0-71-generic", "kubeletVersion": "v1.33.4",
                               "operatingSystem": "linux", "osImage": "Ubuntu 24.04.3 LTS"}})
    lease(w, name, beat / 30)


def lease(w, name, renewed):
    w.namespaces_once("kube-node-lease")
    w.add("Lease", name, ns="kube-node-lease", generation=0,
          spec={"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": w.ago(renewed).replace("Z", ".418233Z")})


def set_condition(w, name, type, status, reason, message, since, beat=None):
    for c in w.get("Node", name, "")["status"]["conditions"]:
        if c["type"] == type:
            c.update({"status": status, "reason": reason, "message": message, "lastTransitionTime": w.ago(since)})
            if beat is not None:
                c["lastHeartbeatTime"] = w.ago(beat)


def taint(w, name, key, value=None, effect="NoSchedule", since=None):
    t = {"effect": effect, "key": key, **({"value": value} if value else {}), **({"timeAdded": w.ago(since)} if since else {})}
    w.get("Node", name, "")["spec"].setdefault("taints", []).append(t)


def cordon(w, name, since, manager="kubectl-cordon"):
    n = w.get("Node", name, "")
    n["spec"]["unschedulable"] = True
    taint(w, name, "node.kubernetes.io/unschedulable", since=since)
    n["metadata"]["managedFields"] = [w._managed("v1", manager, since, ["f:spec|f:unschedulable"])]
    w.event("Node", name, "Normal", "NodeNotSchedulable", f"Node {name} status is now: NodeNotSchedulable", since, component="kubelet", ns="", host=name) if since <= 60 else None


def basics(w):
    """DNS and the exporter whose pod many alerts name."""
    w.namespaces_once("kube-system")
    w.namespaces_once("observability")
    dns = container("coredns", "registry.k8s.io/coredns/coredns:v1.12.1", ports=[("dns", 53), ("metrics", 9153)], cpu="100m", mem="70Mi", mem_limit="170Mi",
                    args=["-conf", "/etc/coredns/Corefile"], ready=probe("/ready", 8181))
    deployment(w, "coredns", template(dns, sa="coredns"), replicas=1, ns="kube-system", labels={"k8s-app": "kube-dns"}, service=("kube-dns", 53, 53), age=60 * 24 * 150)
    ksm = container("kube-state-metrics", "registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.17.0", ports=[("http", 8080)], cpu="50m", mem="128Mi", mem_limit="128Mi",
                    ready=probe("/readyz", 8081))
    d = deployment(w, "kps-kube-state-metrics", template(ksm, sa="kps-kube-state-metrics"), replicas=1, ns="observability", labels={"app.kubernetes.io/name": "kube-state-metrics"},
                   service=("kps-kube-state-metrics", 8080, "http"), age=60 * 24 * 90)
    w.ksm = d.pods[0]
