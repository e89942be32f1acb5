#!/usr/bin/env python3
"""Writes one cluster's keys, tokens, kubeconfigs and component configuration under its folder.

Everything comes from the environment, which lib/up.sh sets: RUN (the folder), SRC (this program's parent folder), the addresses
and ports. Tokens and keys are new with every start, and readable by the owner only."""
import base64
import json
import os
import pathlib
import secrets
import shutil
import string
import subprocess

import stages

E = os.environ
RUN, SRC = pathlib.Path(E["RUN"]), pathlib.Path(E["SRC"])
FULL = E["MODE"] == "full"
PKI = RUN / "pki"

# name in the files: (user, groups). Addons and the administrator may do everything, as the tests' own clients.
USERS = {
    "admin": ("test-admin", "system:masters"),
    "addons": ("test-addons", "system:masters"),
    "kube-controller-manager": ("system:kube-controller-manager", ""),
    "kube-scheduler": ("system:kube-scheduler", ""),
    "kube-proxy": ("system:kube-proxy", ""),
    "kubelet": (f"system:node:{E['REAL_NODE']}", "system:nodes"),
}
OPENSSL = """
[req]
distinguished_name = dn
prompt = no
[dn]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = ${ENV::SAN}
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
"""


def openssl(*arguments, san="DNS:unused"):
    environment = dict(E, SAN=san, OPENSSL_CONF=str(PKI / "openssl.cnf"))
    done = subprocess.run(["openssl", *arguments], cwd=PKI, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"openssl {arguments[0]} failed: {done.stderr.strip()}")


def certificate(name, subject, kind, san="DNS:unused", ca=True):
    signer = ["-CA", "ca.crt", "-CAkey", "ca.key"] if ca else []
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "365", "-subj", subject,
            "-keyout", f"{name}.key", "-out", f"{name}.crt", "-extensions", kind, *signer, san=san)


def keys():
    PKI.mkdir()
    (PKI / "openssl.cnf").write_text(OPENSSL)
    certificate("ca", "/CN=kubernaut-test-ca", "ca", ca=False)
    names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
    addresses = [E["NODE_IP"], "127.0.0.1", "10.96.0.1"]
    certificate("apiserver", "/CN=kube-apiserver", "server", ",".join([f"DNS:{n}" for n in names] + [f"IP:{a}" for a in addresses]))
    certificate("kubelet-client", "/O=system:masters/CN=kube-apiserver-kubelet-client", "client")
    certificate("front-proxy", "/CN=front-proxy", "client")
    certificate("kwok", "/CN=kwok", "server", f"IP:{E['NODE_IP']}")
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-out", "service-accounts.key")
    openssl("pkey", "-in", "service-accounts.key", "-pubout", "-out", "service-accounts.pub")


def kubeconfig(path, token):
    ca = base64.b64encode((PKI / "ca.crt").read_bytes()).decode()
    name = "kubernaut-" + E["NAME"]
    write(path, json.dumps({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": f"https://{E['NODE_IP']}:{E['API_PORT']}", "certificate-authority-data": ca}}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }, indent=1))


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def tokens():
    given = {name: secrets.token_hex(16) for name in USERS}
    write(RUN / "tokens.csv", "".join(f'{given[n]},{user},{n},"{groups}"\n' for n, (user, groups) in USERS.items()))
    for name, token in given.items():
        kubeconfig(RUN / ("kubeconfig" if name == "admin" else f"{name}.kubeconfig"), token)
    write(RUN / "addons.token", given["addons"])
    write(RUN / "webhook.token", E.get("KUBERNAUT_TEST_WEBHOOK_TOKEN") or secrets.token_hex(16))


def filled(path, **more):
    return string.Template(path.read_text()).substitute(E, **more)


def configs():
    more = {"SNAPSHOTTER": snapshotter()}
    for template in (SRC / "config").rglob("*"):
        if template.is_file():
            write(RUN / "config" / template.relative_to(SRC / "config"), filled(template, **more))
    shutil.copytree(SRC / "alerting", RUN / "rules")
    if FULL:
        with open(RUN / "config/prometheus.yml", "a") as f:
            f.write((RUN / "config/prometheus-node.yml").read_text())
        registries()


def snapshotter():
    """An overlay cannot lie on another overlay, which is what the root of many containers is."""
    kind = subprocess.run(["stat", "-f", "-c", "%T", str(RUN)], capture_output=True, text=True).stdout.strip()
    return "native" if kind in ("overlayfs", "tmpfs") else "overlayfs"


def registries():
    for host in (E["REGISTRY"], E["REGISTRY_WITH_LOGIN"]):
        write(RUN / "config/registries" / host / "hosts.toml", f'server = "http://{host}"\n')
    # The registry takes bcrypt only; Perl's crypt has it on every Debian, Python's is gone from newer ones.
    salt = "$2b$05$" + secrets.token_hex(11)
    done = subprocess.run(["perl", "-e", "print crypt($ARGV[0], $ARGV[1])", "test", salt], capture_output=True, text=True, check=True)
    write(RUN / "config/htpasswd", f"test:{done.stdout}\n")


def fake_node(number):
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": f"fake-{number}",
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {"test/node": "fake", "kubernetes.io/hostname": f"fake-{number}", "kubernetes.io/os": "linux"},
        },
        "status": {"allocatable": {"cpu": "32", "memory": "256Gi", "pods": "250"}, "capacity": {"cpu": "32", "memory": "256Gi", "pods": "250"}},
    }
    if FULL:  # beside a real node, only workloads that tolerate it go to one without containers
        node["spec"] = {"taints": [{"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}]}
    return node


def manifests():
    target = RUN / "manifests"
    target.mkdir()
    if FULL:
        for template in sorted((SRC / "manifests").iterdir()):
            write(target / template.name, filled(template))
    else:
        shutil.copy(SRC / "manifests/namespaces.yaml", target)
    nodes = [fake_node(n) for n in range(1, int(E["FAKE_NODES"]) + 1)]
    if nodes:
        write(target / "fake-nodes.json", json.dumps({"apiVersion": "v1", "kind": "List", "items": nodes}))
    write(RUN / "kwok.yaml", stages.documents(SRC / "kwok/now.log", SRC / "kwok/previous.log"))


os.umask(0o077)
keys()
tokens()
configs()
manifests()
