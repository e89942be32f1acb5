"""A FastAPI service that embeds Kubernaut, with a classifier that reads a CMDB file and an analyzer that knows one thing more.

    BUNDLE=examples/bundles/crashing-release uvicorn --app-dir examples/python cmdb_service:app

Alertmanager sends to `/alerts`; people see what waits under `/approvals` and answer there; `/events` streams.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse

import kubernaut

CMDB = Path(__file__).with_name("cmdb.json")


class CmdbClassifier(kubernaut.Classifier):
    """Knows the environment of a namespace from the CMDB; what is not in it is treated as production."""

    async def classify(self, ctx: kubernaut.CallContext, request: kubernaut.ClassifyRequest) -> kubernaut.Classification:
        known = json.loads(CMDB.read_text()).get(request.target.namespace)
        value = known["environment"] if known else "unknown"
        environment = kubernaut.Attributed(
            value=value,
            treated_as=value if known else "production",
            basis="policy",
            detail=f"CMDB, {request.target.namespace}" if known else "not in the CMDB",
            confidence=1.0 if known else 0.1,
        )
        urgent = environment.treated_as == "production" and request.severity == "critical"
        business = {"team": known["team"], "tier": known["tier"]} if known else {}
        return kubernaut.Classification(environment=environment, priority="P0" if urgent else "P2", business=business)


class TeamAnalyzer(kubernaut.Analyzer):
    """Asks the engine's own diagnosis, and says whom to ask where it leaves questions."""

    engine: kubernaut.AsyncKubernaut

    async def analyze(self, ctx: kubernaut.CallContext, request: kubernaut.AnalysisRequest) -> kubernaut.Analysis:
        found = await self.engine.diagnose(request)
        team = request.classification.business.get("team") if request.classification else None
        if not team:
            return found
        ask = kubernaut.Question(text=f"ask team {team}: did you change something on purpose?", object=request.target)
        return replace(found, questions=[*found.questions, ask], engine="team")


def config() -> dict[str, Any]:
    cluster = {"bundle": os.environ["BUNDLE"]} if "BUNDLE" in os.environ else {}
    return {"mode": os.environ.get("MODE", "approve"), "cluster": cluster, "ledger": {"memory": True}, "processor": {"verification": {"window_s": 3}}}


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    analyzer = TeamAnalyzer()
    engine = kubernaut.AsyncKubernaut(config(), classifier=CmdbClassifier(), analyzer=analyzer)
    analyzer.engine = engine
    async with engine:
        app.state.engine = engine
        yield


app = FastAPI(title="Incidents", lifespan=lifespan)


@app.exception_handler(kubernaut.KubernautError)
async def problem(_: Request, error: kubernaut.KubernautError) -> JSONResponse:
    return JSONResponse({"kind": error.kind, "detail": str(error)}, status_code=error.http_status)


@app.post("/alerts")
async def alerts(request: Request) -> JSONResponse:
    received = await request.app.state.engine.ingest((await request.body()).decode())
    return JSONResponse(received.to_dict(), status_code=received.status)


@app.get("/incidents")
async def incidents(request: Request) -> list[dict[str, Any]]:
    return [incident.to_dict() for incident in await request.app.state.engine.incidents()]


@app.get("/approvals")
async def approvals(request: Request) -> list[dict[str, Any]]:
    return [approval.to_dict() for approval in await request.app.state.engine.approvals(pending_only=True)]


@app.post("/approvals/{approval_id}")
async def answer(request: Request, approval_id: str, approve: bool, by: str) -> dict[str, Any]:
    """A service of yours takes `by` from its own login."""
    engine = request.app.state.engine
    answered = await (engine.approve if approve else engine.reject)(approval_id, by)
    return dict(answered.to_dict())


@app.get("/events")
async def events(request: Request, after: int = 0) -> StreamingResponse:
    async def lines() -> AsyncIterator[str]:
        async for event in request.app.state.engine.subscribe(after=after):
            yield f"id: {event.seq}\nevent: {event.type}\ndata: {json.dumps(event.to_dict())}\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream")
