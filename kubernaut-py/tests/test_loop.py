"""From an alert to a verified fix, from Python."""

from __future__ import annotations

import asyncio

import kubernaut
from parts_of_mine import Lines, attributed


class Production(kubernaut.Classifier):
    """Says production, so that a person is asked."""

    async def classify(self, ctx, request):
        return kubernaut.Classification(environment=attributed("production", "production", 1.0), priority="P1")


def test_an_alert_becomes_a_verified_fix_with_the_agreement_of_a_person(kubernaut_engine, bundle, acting):
    lines = Lines()
    engine = kubernaut_engine(bundle, acting, classifier=Production(), notifier=lines)
    received = engine.ingest(kubernaut.bundle(str(bundle)).alert)
    assert received.status == 201 and received.results[0].outcome == "created"
    seen = []
    for event in engine.subscribe():
        seen.append(event)
        if event.type == "approval.requested":
            [waiting] = engine.approvals(pending_only=True)
            answered = engine.approve(waiting.id, "ann@example.org", digest=waiting.digest)
            assert (answered.state, answered.decided_by) == ("approved", "ann@example.org")
        if engine.incident(event.incident_id).phase == "resolved":
            break
    [incident] = engine.incidents()
    assert incident.phase == "resolved" and incident.classification.environment.detail == "inventory"
    timeline = engine.timeline(incident.id)
    assert [e.seq for e in seen] == [e.seq for e in timeline][: len(seen)], "in order, none missing"
    rest = engine._events(after=seen[-1].seq).events
    assert [e.seq for e in seen + rest] == [e.seq for e in timeline]
    [run] = engine.runs(incident_id=incident.id)
    assert run.state == "succeeded" and engine.journal(run.id)
    assert {row.actor for row in engine.audit(incident.id)} >= {"system:processor"}


def test_the_same_with_asyncio(bundle, acting):
    async def main() -> str:
        async with kubernaut.AsyncKubernaut(acting, classifier=Production(), notifier=Lines()) as engine:
            alert = (await kubernaut.async_library.bundle(str(bundle))).alert
            await engine.ingest(alert)
            async for event in engine.subscribe():
                if event.type == "approval.requested":
                    [waiting] = await engine.approvals(pending_only=True)
                    await engine.approve(waiting.id, "ann@example.org")
                phase = (await engine.incident(event.incident_id)).phase
                if phase == "resolved":
                    return phase
        return "no end"

    assert asyncio.run(asyncio.wait_for(main(), 60)) == "resolved"


def test_a_no_ends_in_the_hands_of_a_person(kubernaut_engine, bundle, acting):
    engine = kubernaut_engine(bundle, acting, classifier=Production())
    engine.ingest(kubernaut.bundle(str(bundle)).alert)
    for event in engine.subscribe():
        if event.type == "approval.requested":
            [waiting] = engine.approvals(pending_only=True)
            engine.reject(waiting.id, "bob", comment="not today")
        incident = engine.incident(event.incident_id)
        if incident.closed_at is not None:
            break
    assert incident.phase == "manual_review"


def test_actions_go_through_the_gate(kubernaut_engine, bundle, acting):
    engine = kubernaut_engine(bundle, acting, workers=False)
    [target] = {str(c.object) for c in engine.diagnose(_question(engine)).candidates[:1]}
    dry = engine.dry_run("rollback_deployment", target)
    assert dry.digest and dry.report.checks[0].name == "schema"
    asked = engine.execute("rollback_deployment", target, key="by-hand")
    if asked.outcome == "needs_approval":
        asked = engine.execute("rollback_deployment", target, key="by-hand", approved_digest=dry.digest, by="ann")
    assert asked.outcome == "applied"
    assert engine.execute("rollback_deployment", target, key="by-hand", approved_digest=dry.digest, by="ann").outcome in ("already_applied", "no_change")
    assert engine.undo("by-hand", by="ann").outcome in ("applied", "needs_approval")


def _question(engine):
    [workload] = engine.unhealthy("ferry-terminal")[:1]
    return kubernaut.AnalysisRequest(target=workload)
