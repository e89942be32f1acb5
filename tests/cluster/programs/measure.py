#!/usr/bin/env python3
"""Measures a cluster from the outside: measure.py CLUSTER_PROGRAM NAME

Starts it, waits for a first pod, puts real faults in and takes them out again, with a webhook receiver of its own that checks the
bearer token, and ends the cluster. Prints seconds."""
import http.server
import json
import queue
import subprocess
import sys
import threading
import time

PROGRAM, NAME = sys.argv[1:3]
GOOD = ["sh", "-c", "mkdir -p /tmp/w; echo ok >/tmp/w/index.html; exec httpd -f -p 8080 -h /tmp/w"]
FAULTS = {
    "crash at once": (["sh", "-c", "echo 'fatal: no database' >&2; exit 1"], {}, "KubePodCrashLooping"),
    "crash after 5 s": (["sh", "-c", "sleep 5; exit 3"], {}, "KubePodCrashLooping"),
    "memory limit": (["sh", "-c", "x=$(head -c 24000000 /dev/zero | tr '\\0' a); sleep 1000"], {"limits": {"memory": "20Mi"}}, "KubeContainerOOMKilled"),
    "image missing": (GOOD, {}, "KubeContainerWaiting"),
}


def cluster(*arguments, **options):
    return subprocess.run([PROGRAM, *arguments, "--name", NAME], text=True, check=True, **options)


class Hooks:
    """Receives webhooks; only those with the right token count."""

    def __init__(self, address, token):
        self.alerts, hooks = queue.Queue(), self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                right = self.headers.get("Authorization") == f"Bearer {token}"
                self.send_response(200 if right else 401)
                self.end_headers()
                for alert in json.loads(body)["alerts"] if right else []:
                    hooks.alerts.put((time.time(), alert))

            def log_message(self, *_):
                pass

        host, _, port = address.rpartition(":")
        server = http.server.ThreadingHTTPServer((host, int(port)), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def wait(self, status, name, namespace, limit=90):
        """Seconds until such an alert, and how many resolved ones of its kind came before it was awaited."""
        start = time.time()
        while (left := start + limit - time.time()) > 0:
            try:
                _, alert = self.alerts.get(timeout=left)
            except queue.Empty:
                break
            labels = alert["labels"]
            if (alert["status"], labels["alertname"], labels.get("namespace")) == (status, name, namespace):
                return time.time() - start
        return None

    def flaps(self, name, namespace, seconds):
        """How often the alert resolved although the fault is still there."""
        end, count = time.time() + seconds, 0
        while (left := end - time.time()) > 0:
            try:
                _, alert = self.alerts.get(timeout=left)
            except queue.Empty:
                break
            labels = alert["labels"]
            count += (alert["status"], labels["alertname"], labels.get("namespace")) == ("resolved", name, namespace)
        return count


def deployment(namespace, image, command, resources):
    container = {"name": "web", "image": image, "command": command, "resources": resources}
    return json.dumps({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": namespace},
        "spec": {
            "replicas": 1,
            "strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]}},
        },
    })


def say(what, seconds):
    print(f"{what:44} {'none' if seconds is None else f'{seconds:.1f} s'}", flush=True)


def main():
    start = time.time()
    cluster("up", "--fresh", stderr=subprocess.DEVNULL)
    say("up", time.time() - start)
    lines = cluster("env", "--plain", stdout=subprocess.PIPE).stdout.splitlines()
    env = dict(line.split("=", 1) for line in lines)
    hooks = Hooks(env["KUBERNAUT_TEST_WEBHOOK_ADDR"], env["KUBERNAUT_TEST_WEBHOOK_TOKEN"])

    def kubectl(*arguments, text=None):
        return subprocess.run([env["KUBERNAUT_TEST_KUBECTL"], *arguments], input=text, text=True, check=True, stdout=subprocess.PIPE).stdout

    image = env["KUBERNAUT_TEST_IMAGE"]
    for number, (fault, (command, resources, alert)) in enumerate(FAULTS.items()):
        namespace = f"measure-{number}"
        kubectl("create", "namespace", namespace)
        since = time.time()
        kubectl("apply", "-f", "-", text=deployment(namespace, image, GOOD, {}))
        kubectl("-n", namespace, "rollout", "status", "deployment/web", "--timeout=60s")
        if number == 0:
            say("deployment created to first pod Ready", time.time() - since)
        kubectl("apply", "-f", "-", text=deployment(namespace, image.rsplit(":", 1)[0] + ":none" if fault == "image missing" else image, command, resources))
        say(f"{fault}: applied to alert delivered", hooks.wait("firing", alert, namespace))
        print(f"{fault}: resolved too early in 40 s: {hooks.flaps(alert, namespace, 40)}", flush=True)
        kubectl("-n", namespace, "rollout", "undo", "deployment/web")
        say(f"{fault}: undone to resolved delivered", hooks.wait("resolved", alert, namespace))
    print(cluster("status", stdout=subprocess.PIPE).stdout, end="")
    start = time.time()
    cluster("down", stderr=subprocess.DEVNULL)
    say("down", time.time() - start)


main()
