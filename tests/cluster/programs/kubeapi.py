"""The little of the Kubernetes API that this folder's programs need: a list-and-watch cache over plain HTTPS."""
import base64
import json
import ssl
import sys
import threading
import time
import urllib.request


class Client:
    """Reads the server, its certificate and the token from a kubeconfig written as JSON by configure.py."""

    def __init__(self, kubeconfig):
        with open(kubeconfig) as f:
            config = json.load(f)
        cluster = config["clusters"][0]["cluster"]
        ca = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self.server, self.tls = cluster["server"], ssl.create_default_context(cadata=ca)
        self.headers = {"Authorization": "Bearer " + config["users"][0]["user"]["token"], "Accept": "application/json"}

    def open(self, path, timeout=10):
        return urllib.request.urlopen(urllib.request.Request(self.server + path, headers=self.headers), timeout=timeout, context=self.tls)


class Cache:
    """All objects under one path, kept current by a watch; `changed` is called after each change."""

    def __init__(self, client, path, changed=lambda: None):
        self.client, self.path, self.changed = client, path, changed
        self.lock, self.objects, self.synced = threading.Lock(), {}, threading.Event()

    def start(self):
        threading.Thread(target=self.run, daemon=True).start()
        return self

    def items(self):
        with self.lock:
            return list(self.objects.values())

    def run(self):
        while True:
            try:
                self.watch(self.list())
            except Exception as error:  # the server may be away for a while; what is known stays
                print(f"{self.path}: {error!r}, listing again", file=sys.stderr, flush=True)
                time.sleep(0.5)

    def list(self):
        with self.client.open(self.path) as response:
            answer = json.load(response)
        with self.lock:
            self.objects = {key(o): o for o in answer["items"]}
        self.synced.set()
        self.changed()
        return answer["metadata"]["resourceVersion"]

    def watch(self, version):
        """Returns when the server ends the watch, which it does every few minutes."""
        query = f"?watch=1&allowWatchBookmarks=true&timeoutSeconds=240&resourceVersion={version}"
        with self.client.open(self.path + query, timeout=300) as lines:
            for line in lines:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                if event["type"] != "BOOKMARK":
                    self.apply(event["type"], event["object"])

    def apply(self, kind, item):
        with self.lock:
            if kind == "DELETED":
                self.objects.pop(key(item), None)
            else:
                self.objects[key(item)] = item
        self.changed()


def key(item):
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]
