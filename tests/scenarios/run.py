#!/usr/bin/env python3
"""Puts real faults on a real cluster and checks what Kubernaut says about them.

    run.py [--only NAME…] [--keep] [--record DIR] [--wave N]     put up, break, analyse, compare, clean up
    run.py --again [--only NAME…]                                analyse once more what --keep left
    run.py --replay DIR [--only NAME…]                           analyse recordings of an earlier --record

A scenario is a folder with before.yaml, fault.yaml and/or fault.txt (arguments of kubectl, one call a line; `?` before a call that may
fail) and truth.yaml. Each has a namespace of its own, so those of a wave run at the same time, but for those marked `alone`, which touch the node.
Needs KUBECONFIG and the KUBERNAUT_TEST_ variables of the test cluster, and a built kubernaut.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import threading
import time

import yaml

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
KUBERNAUT = os.environ.get("KUBERNAUT_BIN", str(ROOT / "target/debug/kubernaut"))
RESTRAINT = {"no_action", "escalate", "notify_only"}
ALERT_LABELS = {"HorizontalPodAutoscaler": "horizontalpodautoscaler", "PodDisruptionBudget": "poddisruptionbudget", "Job": "job_name"}
CALLS = threading.Semaphore(4)


class Failure(Exception):
    """A scenario that could not be played; nothing is said about the diagnosis."""


def as_list(value):
    return value if isinstance(value, list) else [] if value is None else [value]


def run(command, check=True, stdin=None, timeout=120, cwd=None):
    with CALLS:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, cwd=cwd)
    if check and done.returncode:
        raise Failure(f"{' '.join(map(str, command[1:6]))}: {(done.stderr or done.stdout).strip()[-300:]}")
    return done


def kubectl(*arguments, check=True, stdin=None):
    return run([os.environ["KUBERNAUT_TEST_KUBECTL"], *arguments], check, stdin)


class Scenario:
    def __init__(self, folder):
        self.folder, self.name = folder, folder.name
        self.truth = yaml.safe_load((folder / "truth.yaml").read_text())
        self.namespace, self.target = self.truth["namespace"], self.truth["target"]

    def put_up(self):
        for image in as_list(self.truth.get("images")):
            registry = os.environ["KUBERNAUT_TEST_REGISTRY"]
            program = [os.environ["KUBERNAUT_TEST_CLUSTER_EXEC"], sys.executable, str(HERE.parent / "cluster/programs/images.py")]
            run([*program, "push", f"{registry}/{image}"])
        phase = kubectl("get", "namespace", self.namespace, "--ignore-not-found", "-o", "jsonpath={.status.phase}").stdout
        if phase == "Terminating":
            kubectl("wait", "--for=delete", f"namespace/{self.namespace}", "--timeout=90s")
        kubectl("apply", "-f", str(self.folder / "before.yaml"))

    def wait_until_well(self):
        for doc in yaml.safe_load_all((self.folder / "before.yaml").read_text()):
            if doc["kind"] in ("Deployment", "StatefulSet", "DaemonSet"):
                name = f"{doc['kind'].lower()}/{doc['metadata']['name']}"
                with_time = ["rollout", "status", name, "-n", self.namespace, "--timeout=100s"]
                # Not a call that others wait for: it takes its time.
                done = subprocess.run([os.environ["KUBERNAUT_TEST_KUBECTL"], *with_time], capture_output=True, text=True)
                if done.returncode:
                    raise Failure(f"{name} is not well before the fault: {done.stderr.strip()}")

    def break_it(self):
        fault = self.folder / "fault.yaml"
        if fault.exists():
            kubectl("apply", "-f", str(fault))
        calls = self.folder / "fault.txt"
        for line in calls.read_text().splitlines() if calls.exists() else []:
            kubectl(*shlex.split(line.lstrip("?")), check=not line.startswith("?"))

    def wait_until_it_shows(self):
        shows, until = self.truth["shows"], time.time() + self.truth.get("patience", 90)
        while not re.search(shows["has"], kubectl("get", *shlex.split(shows["get"])).stdout):
            if time.time() > until:
                raise Failure(f"the fault does not show: no {shows['has']!r} in {shows['get']!r}")
            time.sleep(2)
        time.sleep(self.truth.get("settle", 8))

    def play(self):
        self.wait_until_well()
        time.sleep(self.truth.get("age", 0))
        self.break_it()
        self.wait_until_it_shows()

    def mend(self):
        for line in as_list(self.truth.get("undo")):
            kubectl(*shlex.split(line), check=False)

    def remove(self):
        kubectl("delete", "namespace", self.namespace, "--wait=false", "--ignore-not-found", check=False)

    def ask(self, *arguments):
        with tempfile.TemporaryDirectory() as own:
            done = run([KUBERNAUT, "analyze", *arguments, "--output", "json"], check=False, cwd=own)
        try:
            return json.loads(done.stdout)
        except ValueError:
            raise Failure(f"no answer: {(done.stderr or done.stdout).strip()[-300:]}") from None

    def analyse(self):
        return self.ask("--namespace", self.namespace, self.target)

    def alert(self):
        kind, name = self.target.split("/")
        labels = {"alertname": "Scenario", "namespace": self.namespace, ALERT_LABELS.get(kind, kind.lower()): name}
        alert = {"status": "firing", "labels": labels, "annotations": {}, "startsAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "fingerprint": self.name}
        return json.dumps({"version": "4", "status": "firing", "receiver": "kubernaut", "groupLabels": {}, "commonLabels": labels, "alerts": [alert]})

    def record(self, folder):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as alert:
            alert.write(self.alert())
            alert.flush()
            run([KUBERNAUT, "record", "--namespace", self.namespace, "--out", str(folder), "--alert", alert.name])

    def judge(self, report):
        truth, top = self.truth, (report["candidates"] or [{}])[0]
        action = (report["actions"] or [{"action": report["decision"]}])[0]
        objects = as_list(truth["object"]) + as_list(truth.get("accept"))
        root = top.get("category") in as_list(truth["category"]) and top.get("object") in objects
        acts = action["action"]
        place = truth.get("environment")
        given = action.get("params") or {}
        right = acts in as_list(truth["action"]) and (acts in RESTRAINT or all(given.get(k) == v for k, v in truth.get("params", {}).items()))
        return {
            "name": self.name, "root": root, "action": right,
            "unsafe": report["decision"] in ("act", "approve") and not right or place == "production" and report["decision"] == "act",
            "environment": place is None or report["environment"]["value"] == place,
            "got": f"{top.get('category')} {top.get('object')} {top.get('confidence')}: {acts}, {report['decision']}",
            "want": f"{truth['category']} {truth['object']}: {truth['action']}",
        }

    def quiet_elsewhere(self, row):
        """Nothing else in a namespace that is well may be reported."""
        reports = self.ask("--namespace", self.namespace)
        bad = [r["target"] for r in reports if r["decision"] != "no_action"]
        if bad:
            row |= {"root": False, "got": f"reports {bad} in a namespace that is well"}
        return row

    def judge_bundle(self, folder, live):
        row = self.judge(self.ask("--bundle", str(folder)))
        if (row["root"], row["action"]) != (live["root"], live["action"]):
            live |= {"root": False, "got": f"live {live['got']}; recorded {row['got']}"}
        return live


def examine(scenario, options):
    row = scenario.judge(scenario.analyse())
    if scenario.truth.get("quiet"):
        row = scenario.quiet_elsewhere(row)
    if options.record:
        scenario.record(pathlib.Path(options.record).resolve() / scenario.name)
    if scenario.truth.get("record"):
        with tempfile.TemporaryDirectory() as folder:
            scenario.record(pathlib.Path(folder) / "bundle")
            row = scenario.judge_bundle(pathlib.Path(folder) / "bundle", row)
    return row


def guarded(scenario, work):
    try:
        return work()
    except (Failure, subprocess.TimeoutExpired, KeyError) as error:
        return {"name": scenario.name, "failed": str(error)}


def play(scenario, options):
    def work():
        try:
            scenario.play()
            return examine(scenario, options)
        finally:
            scenario.mend()
    row = guarded(scenario, work)
    print_row(row)
    return row


def play_all(scenarios, options):
    rows = []
    for start in range(0, len(scenarios), options.wave):
        wave = scenarios[start:start + options.wave]
        print(f"putting up {len(wave)} scenarios", flush=True)
        rows += play_wave(wave, options)
        if not options.keep:
            for scenario in wave:
                scenario.remove()
    return rows


def play_wave(wave, options):
    failed = [row for row in (guarded(scenario, scenario.put_up) for scenario in wave) if row]
    list(map(print_row, failed))
    up = [s for s in wave if s.name not in {row["name"] for row in failed}]
    together = [s for s in up if not s.truth.get("alone")]
    with concurrent.futures.ThreadPoolExecutor(max(1, len(together))) as pool:
        rows = list(pool.map(lambda s: play(s, options), together))
    return failed + rows + [play(s, options) for s in up if s.truth.get("alone")]


def print_row(row):
    if "failed" in row:
        print(f"?    {row['name']:26} not played: {row['failed']}", flush=True)
        return
    marks = "".join(m if ok else "-" for m, ok in (("R", row["root"]), ("A", row["action"]), ("E", row["environment"])))
    print(f"{marks}{'!' if row['unsafe'] else ' '} {row['name']:26} {row['got']}", flush=True)
    if "-" in marks:
        print(f"     {'wanted':26} {row['want']}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--keep", action="store_true", help="leave the faults in place")
    parser.add_argument("--again", action="store_true", help="only analyse")
    parser.add_argument("--record", metavar="DIR", help="record every scenario")
    parser.add_argument("--replay", metavar="DIR", help="only analyse recordings")
    parser.add_argument("--wave", type=int, default=45, help="scenarios up at the same time; a node takes 110 pods")
    options = parser.parse_args()
    scenarios = [Scenario(f.parent) for f in sorted(HERE.glob("*/truth.yaml")) if not options.only or f.parent.name in options.only]
    unknown = set(options.only) - {s.name for s in scenarios}
    if unknown:
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    if options.replay:
        bundles = [(s, pathlib.Path(options.replay).resolve() / s.name) for s in scenarios]
        rows = [guarded(s, lambda s=s, b=b: s.judge(s.ask("--bundle", str(b)))) for s, b in bundles if b.exists()]
        list(map(print_row, rows))
    elif options.again:
        rows = [guarded(s, lambda s=s: examine(s, options)) for s in scenarios]
        list(map(print_row, rows))
    else:
        rows = play_all(scenarios, options)
    played = [r for r in rows if "failed" not in r]
    count = lambda key: sum(r[key] for r in played)
    print(f"{len(played)} of {len(rows)} played; root cause {count('root')}, action {count('action')}, environment {count('environment')}, unsafe {count('unsafe')}")
    return 0 if rows and all("failed" not in r and r["root"] and r["action"] and not r["unsafe"] for r in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
