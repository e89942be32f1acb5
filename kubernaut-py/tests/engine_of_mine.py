"""A workflow engine in Python: one thread a run, everything in memory."""

from __future__ import annotations

import threading
import time
import uuid
from datetime import datetime, timedelta
from typing import Any

import kubernaut
from kubernaut.testing import EngineWorld

ENDED = {"succeeded", "failed", "rolled_back", "rejected", "cancelled", "unknown"}


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


class EngineOfMine(kubernaut.WorkflowEngine):
    def __init__(self, world: EngineWorld) -> None:
        self.world = world
        self.runs: dict[str, dict[str, Any]] = {}
        self.asked: dict[str, dict[str, Any]] = {}
        self.held: dict[str, str] = {}
        self.lock = threading.RLock()

    def start(self, ctx, request):
        with self.lock:
            if request.run_id in self.runs:
                return self.runs[request.run_id]
            _check(request.plan.steps)
            now = self.world.now()
            steps = [{"id": s.id, "state": "pending", "attempts": 0, "key": f"{request.run_id}/{s.id}"} for s in request.plan.steps]
            run = {"schema": 1, "id": request.run_id, "incident_id": request.incident_id, "attempt": request.attempt, "state": "running",
                   "plan": request.plan.to_dict(), "mode": request.mode, "steps": steps, "created_at": now, "updated_at": now}
            self.runs[request.run_id] = run
        threading.Thread(target=self._drive, args=(run,), daemon=True).start()
        return run

    def get(self, ctx, request):
        with self.lock:
            if request.run_id not in self.runs:
                raise kubernaut.NotFoundError(f"no such run: {request.run_id}")
            return self.runs[request.run_id]

    def list(self, ctx, request):
        with self.lock:
            found = [r for r in self.runs.values() if request.incident_id in (None, r["incident_id"]) and request.state in (None, r["state"])]
            return found[::-1][: request.limit or 100]

    def cancel(self, ctx, request):
        run = self.get(ctx, request)
        with self.lock:
            if run["state"] not in ENDED:
                run["cancel_requested"] = True
            return run

    def signal(self, ctx, request):
        run = self.get(ctx, request)
        signal = request.signal
        with self.lock:
            if signal.signal == "rollback":
                run["rollback_requested"] = True
                if run["state"] in ENDED:
                    threading.Thread(target=self._take_back, args=(run,), daemon=True).start()
                return run
            if signal.signal == "decide":
                self._decide(run, signal)
                return run
            if run["state"] in ENDED:
                raise kubernaut.ConflictError(f"the run has ended {run['state']}")
            if signal.signal == "cancel":
                run["cancel_requested"] = True
            return run

    def _decide(self, run, signal):
        ask = self.asked.get(signal.approval_id)
        if ask is None:
            raise kubernaut.NotFoundError("no such request for approval")
        if run["state"] in ENDED or ask["answer"] is not None or _time(self.world.now()) >= ask["expires"]:
            raise kubernaut.ConflictError("it was answered before, or is too late")
        if signal.decision.digest not in (None, ask["digest"]):
            raise kubernaut.DigestChangedError("the answer is about another effect")
        ask["answer"] = signal.decision.approve

    def _drive(self, run):
        try:
            while run["state"] not in ENDED:
                if not self._step(run):
                    time.sleep(0.002)
        finally:
            self._free(run)

    def _free(self, run):
        with self.lock:
            for target in [t for t, by in self.held.items() if by == run["id"]]:
                del self.held[target]

    def _end(self, run, state):
        with self.lock:
            for step in run["steps"]:
                if step["state"] in ("pending", "awaiting_approval"):
                    step["state"] = "skipped"
            self._free(run)
            run["state"] = state

    def _step(self, run) -> bool:
        with self.lock:
            if run.get("cancel_requested"):
                self._end(run, "cancelled")
                return True
            done = {s["id"] for s in run["steps"] if s["state"] == "completed"}
            if len(done) == len(run["steps"]):
                self._end(run, "succeeded")
                return True
            pairs = list(zip(run["plan"]["steps"], run["steps"]))
            plan, step = next((p, s) for p, s in pairs if s["state"] in ("pending", "awaiting_approval") and set(p.get("depends_on", [])) <= done)
            if step["state"] == "awaiting_approval" and not self._answered(run, step):
                return False
            target = str(kubernaut.ObjectRef.from_dict(plan["target"]))
            if self.held.setdefault(target, run["id"]) != run["id"]:
                return False
        self._carry_out(run, plan, step)
        return True

    def _answered(self, run, step) -> bool:
        ask = self.asked[step["approval_id"]]
        if ask["answer"] is False or (ask["answer"] is None and _time(self.world.now()) >= ask["expires"]):
            self._end(run, "rejected")
            return False
        if ask["answer"]:
            step.update(state="pending", approved_digest=ask["digest"])
            run["state"] = "running"
        return bool(ask["answer"])

    def _ask(self, run, step, digest):
        with self.lock:
            number = str(uuid.uuid4())
            expires = _time(self.world.now()) + timedelta(seconds=run["plan"]["approval_timeout_s"])
            self.asked[number] = {"digest": digest, "expires": expires, "answer": None}
            step.update(state="awaiting_approval", approval_id=number)
            self._free(run)
            run["state"] = "awaiting_approval"

    def _carry_out(self, run, plan, step):
        request = kubernaut.ActionRequest(action=plan["action"], target=kubernaut.ObjectRef.from_dict(plan["target"]), params=plan["params"], key=step["key"])
        agreed = step.get("approved_digest")
        try:
            if agreed is None:
                dry = self.world.dry_run(request)
                outcomes = {check.outcome for check in dry.report.checks}
                if "fail" in outcomes:
                    raise kubernaut.RefusedError("a check refused")
                if "ask" in outcomes or plan["requires_approval"]:
                    return self._ask(run, step, dry.digest)
            ask = kubernaut.ExecuteRequest(request=request, incident_id=run["incident_id"], approved_digest=agreed, approved_by_person=agreed is not None)
            done = self.world.execute(ask)
            if done.outcome == "needs_approval":
                return self._ask(run, step, done.digest)
            if done.outcome == "refused":
                raise kubernaut.RefusedError(done.message)
        except kubernaut.KubernautError as error:
            with self.lock:
                step["attempts"] += 1
                if not (error.transient and step["attempts"] < plan["retry"]["max_attempts"]):
                    step.update(state="failed", error=str(error))
                    self._end(run, "failed")
            return None
        with self.lock:
            step.update(state="completed", execution=done.to_dict())
            self._free(run)
        return None

    def _take_back(self, run):
        for plan, step in reversed(list(zip(run["plan"]["steps"], run["steps"]))):
            if step["state"] == "completed":
                request = kubernaut.ActionRequest(action=plan["action"], target=kubernaut.ObjectRef.from_dict(plan["target"]), params=plan["params"], key=step["key"])
                undo = {"request": request, "incident_id": run["incident_id"], "execution": step["execution"], "key": step["key"] + "/undo"}
                self.world.undo(undo)
                step["state"] = "compensated"
        run["state"] = "rolled_back"


def _check(steps):
    names = [s.id for s in steps]
    if not names or len(set(names)) != len(names) or any(set(s.depends_on) - set(names) for s in steps):
        raise kubernaut.InvalidInputError("a plan has steps, each with a name of its own, that rest on each other")
    done: set[str] = set()
    while len(done) < len(steps):
        ready = {s.id for s in steps if s.id not in done and set(s.depends_on) <= done}
        if not ready:
            raise kubernaut.InvalidInputError("the steps rest on each other in a circle")
        done |= ready
