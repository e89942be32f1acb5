"""Parts in Python that pass the behaviour suites."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import datetime
from typing import Any

import kubernaut
from kubernaut.testing import ClusterWorld, ExecutorFixture


def attributed(value: str, treated_as: str, confidence: float) -> kubernaut.Attributed:
    return kubernaut.Attributed(value=value, treated_as=treated_as, basis="policy", detail="inventory", confidence=confidence)


class Inventory(kubernaut.Classifier):
    """Knows one namespace; all others may be production."""

    def __init__(self, cluster: ClusterWorld | None = None) -> None:
        self.cluster = cluster

    async def classify(self, ctx: kubernaut.CallContext, request: kubernaut.ClassifyRequest) -> kubernaut.Classification:
        if not request.target.name:
            raise kubernaut.InvalidInputError("the target has no name")
        if request.target.namespace == "labelled":
            environment = attributed("staging", "staging", 1.0)
        else:
            environment = attributed("unknown", "production", 0.1)
        return kubernaut.Classification(environment=environment, priority="P1", business={"team": "shop"})


class Looker(kubernaut.Analyzer):
    """Looks at whether replicas are missing; proposes nothing."""

    def __init__(self, cluster: Any) -> None:
        self.cluster = cluster

    def analyze(self, ctx: kubernaut.CallContext, request: kubernaut.AnalysisRequest) -> kubernaut.Analysis:
        gaps: list[str] = []
        candidates: list[kubernaut.Candidate] = []
        found = self._read(gaps, lambda: self.cluster.cluster_get(request.target))
        sets = self._read(gaps, lambda: self.cluster.cluster_list("ReplicaSet", namespace=request.target.namespace)) or []
        missing = (found or {}).get("status", {}).get("unavailableReplicas", 0)
        if missing:
            fact = kubernaut.Evidence(object=request.target, source="status", text=f"{missing} unavailable, {len(sets)} replica sets")
            candidates.append(kubernaut.Candidate(category="unknown", object=request.target, confidence=0.3, summary="replicas are missing", evidence=[fact]))
        return kubernaut.Analysis(
            target=request.target, candidates=candidates, actions=[], no_action=not candidates, gaps=gaps,
            engine="looker", latency_ms=1.0, tokens=kubernaut.TokenUsage(input=0, output=0),
        )

    def _read(self, gaps: list[str], read: Any) -> Any:
        try:
            return read()
        except kubernaut.ForbiddenError as error:
            gaps.append(str(error))
            return None


class Memory(kubernaut.ContextStore):
    """Everything in a list."""

    def __init__(self) -> None:
        self.entries: list[kubernaut.HistoryEntry] = []

    def _own(self, ctx: kubernaut.CallContext) -> list[kubernaut.HistoryEntry]:
        return [e for e in self.entries if e.tenant == ctx.tenant]

    def remember(self, ctx: kubernaut.CallContext, request: kubernaut.HistoryEntry) -> None:
        if request.incident_id is not None:
            self.forget(ctx, kubernaut.ForgetRequest(incident_id=request.incident_id))
        self.entries.append(replace(request, tenant=ctx.tenant))

    def forget(self, ctx: kubernaut.CallContext, request: kubernaut.ForgetRequest) -> None:
        self.entries = [e for e in self.entries if (e.tenant, e.incident_id) != (ctx.tenant, request.incident_id)]

    def outcome(self, ctx: kubernaut.CallContext, request: kubernaut.OutcomeUpdate) -> None:
        for number, entry in enumerate(self.entries):
            if (entry.tenant, entry.incident_id) == (ctx.tenant, request.incident_id):
                self.entries[number] = replace(entry, outcome=request.outcome, closed_at=request.closed_at, effectiveness=request.effectiveness)
                return
        raise kubernaut.NotFoundError("it was never remembered")

    def recall(self, ctx: kubernaut.CallContext, request: kubernaut.RecallQuery) -> list[kubernaut.Recalled]:
        words = {w.casefold() for w in (request.text or "").split() if any(c.isalnum() for c in w)}
        filtered = request.fingerprint is not None or request.category is not None
        found = []
        for entry in self._own(ctx):
            if not _admits(request, entry):
                continue
            text = entry.text.casefold()
            matched = sorted(w for w in words if w in text)
            if words and not matched and not filtered:
                continue
            if request.fingerprint:
                score, why = 1.0, "same fingerprint"
            else:
                score, why = 0.9 * len(matched) / max(1, len(words)), "words: " + " ".join(matched)
            found.append(kubernaut.Recalled(entry=entry, score=score, why=why))
        found.sort(key=lambda r: (r.score, _time(r.entry.opened_at)), reverse=True)
        return found[: min(request.limit or 10, 100)]

    def history(self, ctx: kubernaut.CallContext, request: kubernaut.HistoryRequest) -> list[kubernaut.HistoryEntry]:
        since = _time(request.since)
        same = [e for e in self._own(ctx) if str(e.resource) == str(request.resource) and max(_time(e.opened_at), _time(e.closed_at)) >= since]
        return sorted(same, key=lambda e: _time(e.opened_at), reverse=True)


def _admits(query: kubernaut.RecallQuery, entry: kubernaut.HistoryEntry) -> bool:
    """Whether all filters that are given hold."""
    pairs = [
        (query.category, entry.category),
        (query.cluster, entry.resource.cluster),
        (query.namespace, entry.resource.namespace),
        (query.environment, entry.environment),
    ]
    opened = _time(entry.opened_at)
    return (
        (query.fingerprint is None or bool(query.fingerprint) and query.fingerprint == entry.fingerprint)
        and all(wanted is None or wanted == given for wanted, given in pairs)
        and (query.since is None or opened >= _time(query.since))
        and (query.until is None or opened < _time(query.until))
    )


def _time(text: str | None) -> datetime:
    return datetime.fromisoformat((text or "1970-01-01T00:00:00Z").replace("Z", "+00:00"))


class Lines(kubernaut.Notifier):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[kubernaut.Notification] = []

    async def notify(self, ctx: kubernaut.CallContext, request: kubernaut.Notification) -> kubernaut.Delivery:
        self.told.append(request)
        return kubernaut.Delivery(channels=["lines"])


class Busy(kubernaut.Notifier):
    def notify(self, ctx: kubernaut.CallContext, request: kubernaut.Notification) -> kubernaut.Delivery:
        raise kubernaut.UnavailableError("the receiver is away")


class Shelf(kubernaut.Executor):
    """Puts labels on things in a dictionary, and takes them off again."""

    def __init__(self) -> None:
        self.things: dict[str, dict[str, Any]] = {"Deployment/shop/web": {"label": "old", "uid": "u1", "key": None}}
        self.done: dict[str, kubernaut.Execution] = {}

    def actions(self, ctx: kubernaut.CallContext) -> list[kubernaut.ActionSpec]:
        parameters = {"type": "object", "properties": {"label": {"type": "string"}}, "additionalProperties": False}
        return [kubernaut.ActionSpec(name="put_label", aliases=["label"], family="shelf", summary="puts a label on", version=1, parameters=parameters,
                                     target_kinds=["Deployment"], risk="low", reversibility="undo", preconditions=[], rbac=[])]

    def _look(self, request: kubernaut.ActionRequest) -> tuple[dict[str, Any], kubernaut.DryRun]:
        if request.action not in ("put_label", "label") or request.target.kind != "Deployment" or set(request.params or {}) - {"label"}:
            raise kubernaut.InvalidInputError(f"no such action here: {request.action} on {request.target}")
        thing = self.things.get(str(request.target))
        if thing is None or request.target.uid not in (None, thing["uid"]):
            raise kubernaut.NotFoundError(f"no such thing: {request.target}")
        change = kubernaut.FieldChange(path="/label", before=thing["label"], after=request.params["label"])
        digest = hashlib.sha256(json.dumps([request.action, str(request.target), change.to_dict()]).encode()).hexdigest()
        return thing, kubernaut.DryRun(changes=[change], digest=digest, pre_state={"/label": thing["label"]}, server_side=False)

    def dry_run(self, ctx: kubernaut.CallContext, request: kubernaut.ActionRequest) -> kubernaut.DryRun:
        return self._look(request)[1]

    def _answer(self, outcome: str, dry: kubernaut.DryRun, message: str) -> kubernaut.Execution:
        changes = dry.changes if outcome == "applied" else []
        return kubernaut.Execution.from_dict({"outcome": outcome, "changes": [c.to_dict() for c in changes], "digest": dry.digest, "pre_state": dry.pre_state, "message": message})

    def execute(self, ctx: kubernaut.CallContext, request: kubernaut.ExecuteRequest) -> kubernaut.Execution:
        asked = request.request
        thing, dry = self._look(asked)
        if asked.key in self.done:
            return self._answer("already_applied", dry, "done before")
        thing.update(label=asked.params["label"], key=asked.key)
        self.done[asked.key] = self._answer("applied", dry, f"put {asked.params['label']} on {asked.target}")
        return self.done[asked.key]

    def observe(self, ctx: kubernaut.CallContext, request: kubernaut.ActionRequest) -> kubernaut.Observation:
        return "applied" if request.key in self.done else "not_applied"

    def undo(self, ctx: kubernaut.CallContext, request: kubernaut.UndoRequest) -> kubernaut.Execution:
        thing, _ = self._look(request.request)
        change = request.execution.changes[0]
        dry = kubernaut.DryRun(changes=[kubernaut.FieldChange(path="/label", before=change.after, after=change.before)], digest="undo", pre_state={}, server_side=False)
        if request.key in self.done:
            return self._answer("already_applied", dry, "taken back before")
        if thing["label"] != change.after:
            raise kubernaut.ConflictError("somebody changed the label since")
        thing["label"] = change.before
        self.done[request.key] = self._answer("applied", dry, "taken back")
        return self.done[request.key]


class ShelfFixture(ExecutorFixture):
    def __init__(self) -> None:
        self.executor = self.shelf = Shelf()

    def request(self, key: str) -> kubernaut.ActionRequest:
        target = kubernaut.ObjectRef.parse("Deployment/shop/web")
        return kubernaut.ActionRequest(action="put_label", target=target, params={"label": "new"}, key=key)

    def state(self) -> Any:
        return {name: {"label": thing["label"], "uid": thing["uid"]} for name, thing in self.shelf.things.items()}

    def disturb(self) -> None:
        self.shelf.things["Deployment/shop/web"]["label"] = "theirs"
