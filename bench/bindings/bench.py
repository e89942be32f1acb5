"""The part of the bench in Python: bench.py BUNDLE LEDGER."""

import asyncio
import json
import resource
import statistics
import subprocess
import sys
import time

import kubernaut

BUNDLE, LEDGER = sys.argv[1:]
PART = kubernaut.ContextStore


def alerts(first, count):
    made = [{"status": "firing", "labels": {"alertname": "Down", "namespace": "shop", "deployment": f"web-{n}", "severity": "warning"},
             "annotations": {}, "startsAt": "2026-01-01T00:00:00Z"} for n in range(first, first + count)]
    return json.dumps({"version": "4", "status": "firing", "alerts": made})


class Sync(PART):
    def remember(self, ctx, request): ...
    def history(self, ctx, request): return []
    def recall(self, ctx, request): return []


class Async(PART):
    async def remember(self, ctx, request): ...
    async def history(self, ctx, request): return []
    async def recall(self, ctx, request): return []


def quantile(times):
    times = sorted(times)
    return f"p50 {times[len(times) // 2] * 1e6:.0f} µs, p99 {times[len(times) * 99 // 100] * 1e6:.0f} µs"


def config(**more):
    return {"ledger": {"memory": True}, "cluster": {"bundle": BUNDLE}, **more}


def timed(call, count=3000):
    for _ in range(200):
        call()
    times = []
    for _ in range(count):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return times


def round_trips():
    plain = kubernaut.Kubernaut(config(), workers=False)
    bare = timed(plain.stopped)
    print(f"python: call without a part            {quantile(bare)}")
    for name, part in (("def", Sync()), ("async def", Async())):
        engine = kubernaut.Kubernaut(config(), workers=False, context_store=part)
        whole = timed(engine.recall)
        print(f"python: call with a part ({name:9})    {quantile(whole)}; the part's share {(statistics.median(whole) - statistics.median(bare)) * 1e6:.0f} µs")


def ingest():
    engine = kubernaut.Kubernaut(config(ledger={"path": LEDGER}), workers=False)
    engine.stats()
    bodies = [alerts(n, 100) for n in range(0, 10_000, 100)]
    began = time.perf_counter()
    for body in bodies:
        engine.ingest(body)
    print(f"python: ingest of 10,000 alerts        {time.perf_counter() - began:.2f} s")
    return engine


def memory(engine):
    first = None
    for page in range(1000):
        assert len(engine._events(after=page, limit=1000).events) == 1000
        if page == 100:
            first = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    last = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"python: 1,000,000 events               peak memory {first / 1024:.0f} MiB after 100,000, {last / 1024:.0f} MiB at the end")


def start():
    program = "import time; t = time.perf_counter(); import kubernaut; print((time.perf_counter() - t) * 1000)"
    times = [float(subprocess.check_output([sys.executable, "-c", program])) for _ in range(10)]
    print(f"python: import                         best {min(times):.0f} ms, median {statistics.median(times):.0f} ms")


start()
round_trips()
memory(ingest())
