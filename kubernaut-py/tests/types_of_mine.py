"""How type checkers see a program that uses the package; checked, never run."""

from __future__ import annotations

from typing import Literal

import kubernaut


class Inventory(kubernaut.Classifier):
    async def classify(self, ctx: kubernaut.CallContext, request: kubernaut.ClassifyRequest) -> kubernaut.Classification:
        namespace: str | None = request.target.namespace
        print(ctx.remaining_ms, namespace)
        environment = kubernaut.Attributed(value="staging", treated_as="staging", basis="policy", detail="cmdb", confidence=1.0)
        return kubernaut.Classification(environment=environment, priority="P2")


class Lines(kubernaut.Notifier):
    def notify(self, ctx: kubernaut.CallContext, request: kubernaut.Notification) -> kubernaut.Delivery:
        return kubernaut.Delivery(channels=[request.title])


def blocking() -> None:
    with kubernaut.Kubernaut({"mode": "approve"}, classifier=Inventory(), notifier=Lines()) as engine:
        for incident in engine.incidents(open=True, limit=5):
            phase: kubernaut.Phase = incident.phase
            print(phase, incident.id)
        for event in engine.subscribe():
            print(event.type, event.seq + 1)


async def asynchronous() -> kubernaut.Approval:
    async with kubernaut.AsyncKubernaut() as engine:
        report = await engine.analyze("Deployment/shop/web")
        decision: Literal["act", "approve", "escalate", "no_action"] = report.decision
        print(decision)
        async for event in engine.subscribe(after=3):
            print(event.data)
        return await engine.approve("id", "ann", digest=None)
