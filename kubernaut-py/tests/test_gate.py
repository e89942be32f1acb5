"""The gate, approvals and the journal stay around an executor in Python."""

from __future__ import annotations

import pytest

import kubernaut
from parts_of_mine import Shelf

TARGET = "Deployment/ferry-terminal/departures"


def made(kubernaut_engine, bundle, mode):
    shelf = Shelf()
    engine = kubernaut_engine(bundle, {"mode": mode}, workers=False, executor=shelf)
    shelf.things[TARGET] = {"label": "old", "uid": engine.cluster_get(TARGET)["metadata"]["uid"], "key": None}
    return engine, shelf


def test_without_leave_to_act_nothing_is_carried_out(kubernaut_engine, bundle):
    engine, shelf = made(kubernaut_engine, bundle, "dry_run")
    assert [spec.name for spec in engine.actions()] == ["put_label"]
    done = engine.execute("put_label", TARGET, params={"label": "new"}, key="k")
    assert done.outcome == "refused" and shelf.things[TARGET]["label"] == "old"
    assert [check.name for check in done.report.checks][0] == "schema"


def test_an_agreement_is_bound_to_what_was_seen(kubernaut_engine, bundle):
    engine, shelf = made(kubernaut_engine, bundle, "auto")
    dry = engine.dry_run("put_label", TARGET, params={"label": "new"})
    assert dry.digest and shelf.things[TARGET]["label"] == "old"
    other = engine.execute("put_label", TARGET, params={"label": "new"}, key="k", approved_digest="of something else", by="ann")
    assert other.outcome == "needs_approval" and shelf.things[TARGET]["label"] == "old"
    done = engine.execute("put_label", TARGET, params={"label": "new"}, key="k", approved_digest=dry.digest, by="ann")
    assert (done.outcome, shelf.things[TARGET]["label"]) == ("applied", "new")
    back = engine.undo("k", by="ann")
    assert (back.outcome, shelf.things[TARGET]["label"]) == ("applied", "old")


def test_wrong_parameters_never_reach_the_executor(kubernaut_engine, bundle):
    engine, shelf = made(kubernaut_engine, bundle, "auto")
    with pytest.raises(kubernaut.InvalidInputError, match="/params/label"):
        engine.execute("put_label", TARGET, params={"label": 7}, key="k")
    assert shelf.done == {}
