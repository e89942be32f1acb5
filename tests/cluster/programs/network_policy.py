#!/usr/bin/env python3
"""Enforces NetworkPolicy on the real node with iptables: network_policy.py KUBECONFIG POD_NET

Ingress and egress, pod and namespace selectors, address blocks with exceptions, numeric and named ports, port ranges; IPv4, TCP
and UDP. The rules are computed from the watched objects by `ruleset`, a pure function, and replaced in one transaction."""
import ipaddress
import subprocess
import sys
import threading
import time

import kubeapi

ROOT = "TEST-NETPOL"
PATHS = {"pods": "/api/v1/pods", "namespaces": "/api/v1/namespaces", "policies": "/apis/networking.k8s.io/v1/networkpolicies"}


def labels(item):
    return item["metadata"].get("labels") or {}


def holds(expression, have):
    value, values = have.get(expression["key"]), expression.get("values") or []
    return {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }[expression["operator"]]


def selects(selector, have):
    """An empty selector selects everything."""
    return all(have.get(k) == v for k, v in (selector.get("matchLabels") or {}).items()) and all(
        holds(e, have) for e in selector.get("matchExpressions") or [])


def address(pod):
    return (pod.get("status") or {}).get("podIP")


def live(pod, net):
    """Pods with an address of their own that is still theirs: that of an ended pod may be given to another."""
    mine = address(pod) and ipaddress.ip_address(address(pod)) in net
    return bool(mine) and not pod["spec"].get("hostNetwork") and pod["status"].get("phase") in ("Pending", "Running")


def block(peer):
    """The networks of an ipBlock, its exceptions cut out."""
    nets = [ipaddress.ip_network(peer["cidr"], strict=False)]
    for hole in map(lambda e: ipaddress.ip_network(e, strict=False), peer.get("except") or []):
        nets = [part for net in nets for part in (net.address_exclude(hole) if hole.subnet_of(net) else [net])]
    return [str(n) for n in nets if n.version == 4]


def peers(entries, namespace, pods, namespaces):
    """Addresses a rule's `from` or `to` stands for; a rule without one stands for all."""
    if not entries:
        return ["0.0.0.0/0"]
    found = []
    for entry in entries:
        if "ipBlock" in entry:
            found += block(entry["ipBlock"])
            continue
        for pod in pods:
            home = pod["metadata"]["namespace"]
            there = selects(entry["namespaceSelector"], namespaces.get(home, {})) if "namespaceSelector" in entry else home == namespace
            if there and selects(entry.get("podSelector") or {}, labels(pod)):
                found.append(address(pod) + "/32")
    return found


def port_numbers(pod, name):
    return {p["containerPort"] for c in pod["spec"]["containers"] for p in c.get("ports") or [] if p.get("name") == name}


def port_matches(entries, targets):
    """iptables matches for a rule's ports; a named port is whatever the pods that are called give that name."""
    if not entries:
        return [""]
    found = []
    for entry in entries:
        match = f"-p {entry.get('protocol', 'TCP').lower()}"
        port = entry.get("port")
        if port is None:
            found.append(match)
        elif isinstance(port, str):
            found += [f"{match} --dport {n}" for n in sorted(set().union(*(port_numbers(t, port) for t in targets)))]
        else:
            found.append(f"{match} --dport {port}" + (f":{entry['endPort']}" if "endPort" in entry else ""))
    return found


def applies(policy, pod, direction):
    spec = policy["spec"]
    kinds = spec.get("policyTypes") or ["Ingress"] + (["Egress"] if spec.get("egress") else [])
    same = policy["metadata"]["namespace"] == pod["metadata"]["namespace"]
    return same and direction in kinds and selects(spec.get("podSelector") or {}, labels(pod))


def allowances(policy, direction, pod, pods, namespaces):
    field, other, far = ("from", "-s", "ingress") if direction == "Ingress" else ("to", "-d", "egress")
    for rule in policy["spec"].get(far) or []:
        for net in peers(rule.get(field), policy["metadata"]["namespace"], pods, namespaces):
            targets = [pod] if direction == "Ingress" else [p for p in pods if address(p) + "/32" == net] or pods
            for match in port_matches(rule.get("ports"), targets):
                yield " ".join(f"{other} {net} {match}".split())


def ruleset(policies, pods, namespaces, net):
    """{chain: rules}; every isolated pod has a chain for each direction, which returns what is allowed and drops the rest."""
    pods = sorted((p for p in pods if live(p, net)), key=kubeapi.key)
    spaces = {n["metadata"]["name"]: labels(n) for n in namespaces}
    root = [f"-A {ROOT} -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN"]
    chains = {}
    for direction, own in (("Egress", "-s"), ("Ingress", "-d")):
        for pod in pods:
            mine = sorted((p for p in policies if applies(p, pod, direction)), key=kubeapi.key)
            if not mine:
                continue
            chain = f"TEST-{direction[0]}-{pod['metadata']['uid'][:18]}"
            root.append(f"-A {ROOT} {own} {address(pod)}/32 -j {chain}")
            allowed = dict.fromkeys(a for p in mine for a in allowances(p, direction, pod, pods, spaces))
            chains[chain] = [f"-A {chain} {a} -j RETURN" for a in allowed] + [f"-A {chain} -j DROP"]
    return {ROOT: root, **chains}


def transaction(chains, gone):
    """Input for iptables-restore: naming a chain empties it, so the new rules replace the old ones at once."""
    lines = ["*filter", *(f":{c} - [0:0]" for c in [*chains, *gone])]
    lines += [rule for rules in chains.values() for rule in rules]
    return "\n".join([*lines, *(f"-X {c}" for c in gone), "COMMIT", ""])


def iptables(*arguments):
    return subprocess.run(["iptables", "-w", "5", *arguments], capture_output=True, text=True)


def hook():
    """FORWARD sees traffic between pods; what a pod sends to the node itself (DNS, the API server) passes INPUT only."""
    for chain in ("FORWARD", "INPUT"):
        if iptables("-C", chain, "-j", ROOT).returncode:
            iptables("-I", chain, "1", "-j", ROOT)


def enforce(chains, before):
    gone = [c for c in before if c not in chains]
    done = subprocess.run(["iptables-restore", "--noflush", "-w", "5"], input=transaction(chains, gone), capture_output=True, text=True)
    if done.returncode:
        print(f"iptables-restore refused: {done.stderr.strip()}", file=sys.stderr, flush=True)
        return None
    hook()
    print(time.strftime("%T"), f"{len(chains) - 1} chains", file=sys.stderr, flush=True)
    return chains


def main():
    client, net = kubeapi.Client(sys.argv[1]), ipaddress.ip_network(sys.argv[2])
    changed = threading.Event()
    caches = {name: kubeapi.Cache(client, path, changed.set).start() for name, path in PATHS.items()}
    for cache in caches.values():
        cache.synced.wait()
    current = {}
    while True:
        wanted = ruleset(caches["policies"].items(), caches["pods"].items(), caches["namespaces"].items(), net)
        if wanted != current:
            current = enforce(wanted, current) or {}
        changed.wait(timeout=5 if current else 0.5)
        time.sleep(0.1)  # changes come in bursts
        changed.clear()


if __name__ == "__main__":
    main()
