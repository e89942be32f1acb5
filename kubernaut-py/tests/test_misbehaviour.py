"""Parts that do what they should not: a clear error, never a crash, a hang or a lost incident."""

from __future__ import annotations

import asyncio
import threading

import pytest

import kubernaut
from parts_of_mine import attributed

TARGET = kubernaut.ObjectRef.parse("Deployment/ferry-terminal/departures")


class Part(kubernaut.Classifier):
    """Answers with what a function gives."""

    timeout_ms = 700
    max_answer_bytes = 100_000

    def __init__(self, answer):
        self.answer = answer

    def classify(self, ctx, request):
        return self.answer(ctx, request)


def good():
    return kubernaut.Classification(environment=attributed("production", "production", 1.0), priority="P1")


def raises(exception):
    def answer(ctx, request):
        raise exception

    return answer


async def never(ctx, request):
    await asyncio.Event().wait()


CASES = {
    "an exception": (raises(ValueError("boom")), kubernaut.PluginFailedError, "ValueError: boom"),
    "one of ours": (raises(kubernaut.UnavailableError("cmdb is away")), kubernaut.UnavailableError, "cmdb is away"),
    "nothing": (lambda c, r: None, kubernaut.PluginFailedError, "wrong shape"),
    "a number": (lambda c, r: 42, kubernaut.PluginFailedError, "wrong shape"),
    "no JSON": (lambda c, r: object(), kubernaut.PluginFailedError, "no model and no JSON value"),
    "a wrong field": (lambda c, r: {**good().to_dict(), "priority": "P9"}, kubernaut.PluginFailedError, "field=priority"),
    "a missing field": (lambda c, r: {"priority": "P1"}, kubernaut.PluginFailedError, "environment"),
    "a huge answer": (lambda c, r: {**good().to_dict(), "business": {"x": "y" * 200_000}}, kubernaut.PluginFailedError, "too large"),
    "a coroutine that never ends": (never, kubernaut.DeadlineError, "did not answer in time"),
    "exit": (raises(SystemExit(3)), kubernaut.PluginFailedError, "SystemExit"),
}


@pytest.mark.parametrize("case", CASES)
def test_misbehaviour_is_a_clear_error(case, kubernaut_engine, bundle):
    answer, kind, text = CASES[case]
    engine = kubernaut_engine(bundle, workers=False, classifier=Part(answer))
    with pytest.raises(kind, match=text):
        engine.analyze(TARGET)
    assert engine.stats().open_incidents == 0, "the engine goes on"


def test_what_a_part_raised_is_the_cause(kubernaut_engine, bundle):
    engine = kubernaut_engine(bundle, workers=False, classifier=Part(raises(ZeroDivisionError("by zero"))))
    with pytest.raises(kubernaut.PluginFailedError) as caught:
        engine.analyze(TARGET)
    assert isinstance(caught.value.__cause__, ZeroDivisionError) and caught.value.__cause__.__traceback__ is not None


def test_a_blocking_part_that_never_answers_does_not_hold_the_caller(kubernaut_engine, bundle):
    release = threading.Event()
    engine = kubernaut_engine(bundle, workers=False, classifier=Part(lambda c, r: release.wait() and good()))
    try:
        with pytest.raises(kubernaut.DeadlineError, match="did not answer in time"):
            engine.analyze(TARGET)
    finally:
        release.set()


def test_calls_beyond_the_limit_wait_for_a_place(kubernaut_engine, bundle):
    release = threading.Event()
    part = Part(lambda c, r: release.wait() and good())
    part.max_concurrency = 1
    engine = kubernaut_engine(bundle, workers=False, classifier=part)
    try:
        for _ in range(2):
            with pytest.raises(kubernaut.DeadlineError):
                engine.analyze(TARGET)
    finally:
        release.set()


def test_a_part_may_call_back_into_the_engine(kubernaut_engine, bundle):
    made = []

    def answer(ctx, request):
        [engine] = made
        assert engine.cluster_get(request.target)["metadata"]["name"] == "departures"
        return engine.classify(request)

    made.append(kubernaut_engine(bundle, workers=False, classifier=Part(answer)))
    assert made[0].analyze(TARGET).environment.value


def test_a_blocking_call_from_an_asynchronous_part_fails_instead_of_hanging(kubernaut_engine, bundle):
    made = []

    async def answer(ctx, request):
        return made[0].classify(request)

    made.append(kubernaut_engine(bundle, workers=False, classifier=Part(answer)))
    with pytest.raises(kubernaut.BlockingInAsyncError, match="AsyncKubernaut"):
        made[0].analyze(TARGET)


def test_no_incident_is_lost_to_a_part_that_fails(kubernaut_engine, bundle, acting):
    engine = kubernaut_engine(bundle, acting, classifier=Part(raises(RuntimeError("broken part"))))
    engine.ingest(kubernaut.bundle(str(bundle)).alert)
    for event in engine.subscribe():
        incident = engine.incident(event.incident_id)
        if incident.closed_at is not None or "broken part" in incident.message:
            break
    assert engine.incidents()[0].id == incident.id
    assert any("broken part" in str(e.to_dict()) for e in engine.timeline(incident.id)) or "broken part" in incident.message


def test_a_part_without_a_required_method_is_refused_at_once():
    class Half:
        def recall(self, ctx, request):
            return []

    with pytest.raises(kubernaut.InvalidInputError, match="method=remember"):
        kubernaut.Kubernaut(context_store=Half())


def test_a_mistake_in_the_configuration_is_named():
    with pytest.raises(kubernaut.InvalidInputError, match="field=gate"):
        kubernaut.Kubernaut({"gate": {"no_such": 1}})
