"""Cancellation in both directions, and loops that go on."""

from __future__ import annotations

import asyncio
import contextvars

import pytest

import kubernaut
from parts_of_mine import attributed

TARGET = "Deployment/ferry-terminal/departures"
REQUEST_ID = contextvars.ContextVar("REQUEST_ID", default="none")


class Slow(kubernaut.Classifier):
    def __init__(self):
        self.began = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def classify(self, ctx, request):
        self.began.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


def config(bundle):
    return {"ledger": {"memory": True}, "cluster": {"bundle": str(bundle)}}


def test_cancelling_a_task_cancels_its_call_and_the_part_in_it(bundle):
    async def main():
        slow = Slow()
        async with kubernaut.AsyncKubernaut(config(bundle), workers=False, classifier=slow) as engine:
            task = asyncio.create_task(engine.analyze(TARGET))
            await slow.began.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.wait_for(slow.cancelled.wait(), 5)

    asyncio.run(main())


def test_a_deadline_cancels_the_part(bundle):
    async def main():
        slow = Slow()
        async with kubernaut.AsyncKubernaut(config(bundle), workers=False, classifier=slow) as engine:
            with pytest.raises(TimeoutError) as caught:
                await engine.with_options(timeout=0.3).analyze(TARGET)
            assert isinstance(caught.value, kubernaut.DeadlineError)
            await asyncio.wait_for(slow.cancelled.wait(), 5)

    asyncio.run(main())


def test_parts_see_the_context_variables_of_the_program(bundle):
    seen = []

    class Sees(kubernaut.Classifier):
        async def classify(self, ctx, request):
            seen.append(REQUEST_ID.get())
            return kubernaut.Classification(environment=attributed("production", "production", 1.0), priority="P1")

    async def main():
        REQUEST_ID.set("r-1")
        async with kubernaut.AsyncKubernaut(config(bundle), workers=False, classifier=Sees()) as engine:
            await engine.analyze(TARGET)

    asyncio.run(main())
    assert seen == ["r-1"]


def test_the_loop_goes_on_while_calls_wait(bundle):
    async def main():
        async with kubernaut.AsyncKubernaut(config(bundle), workers=False) as engine:
            waiting = asyncio.create_task(engine._events(wait_ms=60_000))
            reports = await asyncio.gather(*(engine.analyze(TARGET) for _ in range(8)))
            assert {r.decision for r in reports} == {reports[0].decision} and not waiting.done()
            await engine.close()
            assert (await asyncio.wait_for(waiting, 10)).ended

    asyncio.run(main())
