"""Forks, threads, the end of the process, log lines."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time

import pytest

import kubernaut

TARGET = "Deployment/ferry-terminal/departures"


def in_child(work) -> int:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = work()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def config(bundle):
    return {"ledger": {"memory": True}, "cluster": {"bundle": str(bundle)}}


@pytest.mark.filterwarnings("ignore:.*fork.*")
def test_an_engine_made_before_a_fork_works_after_it(bundle):
    kubernaut.analyze_bundle(str(bundle))  # the runtime of the parent is at work
    engine = kubernaut.Kubernaut(config(bundle), workers=False)
    assert in_child(lambda: 0 if engine.analyze(TARGET).candidates else 1) == 0
    assert engine.analyze(TARGET).candidates, "and the parent's is its own"
    engine.close()


@pytest.mark.filterwarnings("ignore:.*fork.*")
def test_an_engine_opened_before_a_fork_says_so_in_the_child(bundle):
    engine = kubernaut.Kubernaut(config(bundle), workers=False)
    engine.stats()

    def work() -> int:
        try:
            engine.stats()
        except kubernaut.ConflictError as error:
            return 0 if "forked" in str(error) else 1
        return 1

    assert in_child(work) == 0
    engine.close()


def test_calls_do_not_hold_the_interpreter(kubernaut_engine, bundle):
    engine = kubernaut_engine(bundle, workers=False)
    engine.stats()
    waits = threading.Thread(target=lambda: engine._events(wait_ms=1500))
    waits.start()
    ticks = 0
    while waits.is_alive():
        time.sleep(0.01)
        ticks += 1
    assert ticks > 50


PROGRAM = """
import kubernaut, sys
class Mine(kubernaut.Classifier):
    async def classify(self, ctx, request):
        import asyncio
        await asyncio.sleep(3600)
engine = kubernaut.Kubernaut({"ledger": {"memory": True}, "cluster": {"bundle": sys.argv[1]}, "mode": "auto"}, classifier=Mine())
engine.ingest(kubernaut.bundle(sys.argv[1]).alert)
print("done")
"""


def test_a_program_that_forgets_to_close_still_ends(bundle):
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(bundle)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "done", "")


def test_ctrl_c_ends_a_blocking_call(bundle):
    program = PROGRAM + "\nprint('waits', flush=True)\nfor event in engine.subscribe(after=10**6): pass\n"
    import signal

    running = subprocess.Popen([sys.executable, "-c", program, str(bundle)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout is not None
    while "waits" not in running.stdout.readline():
        pass
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors


LOGS = """
import kubernaut, logging, sys
lines = []
class Keep(logging.Handler):
    def emit(self, record): lines.append((record.name, record.levelname))
logging.getLogger("kubernaut").addHandler(Keep()); logging.getLogger("kubernaut").setLevel(5)
engine = kubernaut.Kubernaut({"ledger": {"memory": True}, "cluster": {"bundle": sys.argv[1]}})
engine.ingest({"version": "4", "status": "firing", "alerts": [{"status": "nonsense", "labels": {}}]})
silent = len(lines)
kubernaut.forward_logs("debug")
engine.ingest({"version": "4", "status": "firing", "alerts": [{"status": "nonsense", "labels": {}}]})
import time
for _ in range(200):
    if len(lines) > silent: break
    time.sleep(0.02)
print(silent, len(lines) > 0, lines[:1])
"""


def test_log_lines_come_on_request_only(bundle):
    assert not logging.getLogger("kubernaut").handlers
    done = subprocess.run([sys.executable, "-c", LOGS, str(bundle)], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("0 True [('kubernaut"), done.stdout + done.stderr

