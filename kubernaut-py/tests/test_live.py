"""The whole loop on a real cluster: an alert, a classifier of one's own, an approval from the host, a fix that kubectl sees."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from typing import Any

import pytest

import kubernaut
from parts_of_mine import Lines, attributed

KUBECONFIG, KUBECTL, REGISTRY = (os.environ.get(f"KUBERNAUT_TEST_{name}") for name in ("KUBECONFIG", "KUBECTL", "REGISTRY"))
if KUBECONFIG is None and os.environ.get("KUBERNAUT_REQUIRE_CLUSTER") != "1":
    pytest.skip("no cluster; `cargo xtask bindings --cluster` brings one up", allow_module_level=True)

NAMESPACE, NAME = "python-loop", "storefront"
SERVES = "echo serving; exec tail -f /dev/null"


def kubectl(*args: str, given: Any = None) -> str:
    text = None if given is None else json.dumps(given)
    return subprocess.run([str(KUBECTL), *args], input=text, check=True, capture_output=True, text=True).stdout


def deployment(script: str) -> dict[str, Any]:
    main = {"name": "main", "image": f"{REGISTRY}/lab/app:1", "command": ["sh", "-c", script]}
    template = {"metadata": {"labels": {"app": NAME}}, "spec": {"terminationGracePeriodSeconds": 1, "containers": [main]}}
    spec = {"minReadySeconds": 2, "replicas": 1, "selector": {"matchLabels": {"app": NAME}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": NAME, "namespace": NAMESPACE}, "spec": spec}


@pytest.fixture
def fault():
    labels = {"kubernaut.ai/managed": "true"}
    kubectl("apply", "-f", "-", given={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}})
    kubectl("apply", "-f", "-", given=deployment(SERVES))
    kubectl("-n", NAMESPACE, "rollout", "status", f"deployment/{NAME}", "--timeout=90s")
    kubectl("apply", "-f", "-", given=deployment("echo 'fatal: unknown option --fast' >&2; exit 2"))
    broken = "jsonpath={.items[*].status.containerStatuses[0].lastState.terminated.exitCode}"
    for _ in range(200):
        if "2" in kubectl("-n", NAMESPACE, "get", "pods", "-o", broken):
            break
        subprocess.run(["sleep", "0.3"], check=True)
    yield
    kubectl("delete", "namespace", NAMESPACE, "--wait=false")


class Production(kubernaut.Classifier):
    async def classify(self, ctx, request):
        return kubernaut.Classification(environment=attributed("production", "production", 1.0), priority="P1")


def test_a_bad_release_is_rolled_back_with_an_approval_from_python(fault):
    async def main() -> tuple[kubernaut.Incident, list[int], list[int]]:
        config = {"mode": "auto", "cluster": {"kubeconfig": KUBECONFIG}, "ledger": {"memory": True}, "processor": {"verification": {"window_s": 60}}}
        async with kubernaut.AsyncKubernaut(config, classifier=Production(), notifier=Lines()) as engine:
            labels = {"alertname": "KubePodCrashLooping", "namespace": NAMESPACE, "deployment": NAME, "severity": "critical"}
            alert = {"status": "firing", "labels": labels, "annotations": {}, "startsAt": "2026-01-01T00:00:00Z"}
            body = {"version": "4", "status": "firing", "alerts": [alert]}
            assert (await engine.ingest(body)).status == 201
            seen = []
            async for event in engine.subscribe():
                seen.append(event.seq)
                if event.type == "approval.requested":
                    [waiting] = await engine.approvals(pending_only=True)
                    await engine.approve(waiting.id, "ann@example.org", digest=waiting.digest)
                if event.type == "step.ended":
                    ended = {**body, "status": "resolved", "alerts": [{**alert, "status": "resolved", "endsAt": "2026-01-01T01:00:00Z"}]}
                    await engine.ingest(ended)
                incident = await engine.incident(event.incident_id)
                if incident.closed_at is not None:
                    break
            timeline = [e.seq for e in await engine.timeline(incident.id)]
            return incident, seen, timeline

    incident, seen, timeline = asyncio.run(asyncio.wait_for(main(), 150))
    assert incident.phase == "resolved", incident.message
    assert seen == timeline[: len(seen)], "in order, none missing"
    running = json.loads(kubectl("-n", NAMESPACE, "get", f"deployment/{NAME}", "-o", "json"))
    assert running["spec"]["template"]["spec"]["containers"][0]["command"][2] == SERVES
    assert running["status"]["readyReplicas"] == 1
