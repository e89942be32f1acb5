"""The systems that the cases happen on. They share no names, and log in their own ways."""

from nodes import add_nodes, basics
from specs import container, probe, template
from states import failed, ok, succeeded
from workloads import deployment, endpoint_slices, job, statefulset, storage_class, well_cronjob
from world import World

ENVIRONMENTS = {
    "production": ({"kubernaut.ai/environment": "production"}, "", "production", "namespace label"),
    "prod-short": ({"env": "prod"}, "", "production", "namespace label, short form"),
    "name-prod": ({}, "-prod", "production", "namespace name token"),
    "staging": ({"kubernaut.ai/environment": "staging"}, "", "staging", "namespace label"),
    "stage-short": ({"environment": "staging"}, "", "staging", "namespace label, short form"),
    "name-staging": ({}, "-staging", "staging", "namespace name token"),
    "dev": ({"environment": "dev"}, "", "development", "namespace label, short form"),
    "name-dev": ({}, "-dev", "development", "namespace name token"),
    "none": ({}, "", "unknown", "no signal"),
}

# name: (namespace, team label, registry, [(workload, port, replicas, log style)], extra)
SYSTEMS = {
    "meadow": ("meadow-store", "registry.meadow.example/store", [("basket-api", 8080, 2, "go-json"), ("pricing", 3000, 1, "node"), ("wishlist", 8080, 1, "go-json")]),
    "parcel": ("parcel-dispatch", "harbor.parcelworks.example/fleet", [("route-planner", 8000, 1, "python"), ("tracker-api", 8000, 2, "python"), ("sorter-worker", 0, 1, "celery")]),
    "ledger": ("ledger-data", "cr.ledger.example/core", [("ledger-proxy", 6432, 2, "pgbouncer"), ("statement-api", 8443, 1, "spring"), ("fx-rates", 8443, 1, "spring")]),
    "risk": ("risk-grid", "nexus.risklab.example/batch", [("grid-coordinator", 7077, 1, "java"), ("scenario-store", 9042, 1, "java"), ("result-sink", 8081, 1, "java")]),
    "vision": ("vision-serving", "ghcr.example.org/vision", [("infer-gateway", 8500, 2, "py-json"), ("embedder", 8501, 1, "py-json"), ("feature-cache", 6379, 1, "redis")]),
    "smsc": ("smsc-core", "docker.telco.example/smsc", [("smpp-gateway", 2775, 2, "logfmt"), ("cdr-writer", 4222, 1, "logfmt"), ("hlr-lookup", 4223, 1, "logfmt")]),
    "arena": ("arena-live", "images.arena.example/backend", [("lobby", 7000, 1, "node"), ("leaderboard", 7350, 1, "rust"), ("session-cache", 6380, 1, "redis")]),
    "meter": ("metering", "artifactory.gridco.example/ami", [("tariff-engine", 8090, 1, "spring"), ("reading-api", 8090, 2, "spring"), ("outage-map", 3001, 1, "node")]),
    "clinic": ("clinic-core", "quay.example.com/clinic", [("appointments", 9292, 1, "ruby"), ("imaging", 5000, 1, "dotnet"), ("referrals", 9292, 1, "ruby")]),
}


def steady_log(w, style, name):
    """Lines of a healthy process, with the odd warning that means nothing."""
    t = lambda m: w.ago(m)
    n = w.rng.randrange(100, 900)
    return {
        "go-json": [f'{{"ts":"{t(38)}","lvl":"info","msg":"served","route":"/v2/items","ms":{n % 40}}}', f'{{"ts":"{t(21)}","lvl":"warn","msg":"slow upstream","ms":{n}}}',
                    f'{{"ts":"{t(3)}","lvl":"info","msg":"served","route":"/v2/items","ms":11}}'],
        "node": [f"{name} info  GET /health 200 1ms", f"{name} warn  deprecated option keepAlive is ignored", f"{name} info  GET /list 200 {n % 90}ms"],
        "python": [f"INFO:     10.42.1.{n % 200}:51240 - \"GET /healthz HTTP/1.1\" 200 OK", "WARNING:planner:graph cache is cold, rebuilt in 2.1s", "INFO:     request finished"],
        "celery": [f"[{t(30)}: INFO/MainProcess] celery@{name} ready.", f"[{t(4)}: INFO/ForkPoolWorker-2] Task fleet.sort[{n}] succeeded in 0.31s: None"],
        "pgbouncer": [f"{t(18)} UTC [1] LOG stats: {n} xacts/s, {n * 2} queries/s, in 40231 B/s, out 90112 B/s", f"{t(2)} UTC [1] LOG stats: {n} xacts/s"],
        "spring": [f"{t(22)}  INFO 1 --- [nio-8443-exec-4] c.e.{name.replace('-', '')}.Api : handled in {n} ms", f"{t(9)}  WARN 1 --- [scheduling-1] o.s.b.a.Health : response took 1201 ms"],
        "java": [f"{t(25)} INFO  [pool-2-thread-7] Partition {n} done", f"{t(5)} INFO  [pool-2-thread-1] Heartbeat ok"],
        "py-json": [f'{{"level":"INFO","time":"{t(12)}","event":"predict","model":"r50","latency_ms":{n % 60}}}', f'{{"level":"INFO","time":"{t(1)}","event":"predict","latency_ms":19}}'],
        "redis": [f"1:M {t(60)} * Background saving terminated with success", f"1:M {t(14)} * 100 changes in 300 seconds. Saving..."],
        "logfmt": [f"time={t(17)} level=info msg=\"bind accepted\" peer=esme-{n}", f"time={t(6)} level=warn msg=\"window nearly full\" peer=esme-{n} used=9/10", f"time={t(1)} level=info msg=submit_sm ok=1"],
        "rust": [f"{t(15)} INFO  arena::board: flushed {n} scores", f"{t(2)} INFO  arena::board: flushed 88 scores"],
        "ruby": [f"I, [{t(9)} #1]  INFO -- : Completed 200 OK in {n}ms (Views: 2.1ms)", "Puma starting in single mode..."],
        "dotnet": ["info: Microsoft.Hosting.Lifetime[14]", "      Now listening on: http://[::]:5000", f"info: Imaging.Jobs[0] rendered {n} tiles"],
    }[style]


class Setting:
    """A world with its system; scenarios build the faulty part in it."""

    def __init__(self, case, system, env, day, nodes=None):
        ns, registry, workloads = SYSTEMS[system]
        labels, suffix, self.env, self.basis = ENVIRONMENTS[env]
        self.w = World(case, ns + suffix, {**labels, "team": system}, day)
        self.registry, self.workloads, self.system = registry, workloads, system
        add_nodes(self.w, **(nodes or {}))
        storage_class(self.w, "fast-retain", expand=True, default=True)
        basics(self.w)
        self.w.add("ServiceAccount", "default", generation=0)
        self.w.configmap("kube-root-ca.crt", {"ca.crt": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"}, age=60 * 24 * 200)

    def image(self, name, tag):
        return f"{self.registry}/{name}:{tag}"

    def approval(self):
        return self.env in ("production", "unknown")

    def background(self):
        """Adds the system's other workloads, all well, and things that look worse than they are."""
        w = self.w
        present = {name for (_, ns, name) in w.objects if ns == w.ns}
        rest = [x for x in self.workloads if x[0] not in present]
        noisy = w.rng.randrange(max(1, len(rest)))
        for i, (name, port, replicas, style) in enumerate(rest):
            # One of them was restarted days ago: an old story.
            states = [ok(restarts=2, exit=w.rng.choice([1, 137]), reason="Error", ended=60 * 24 * 8.5, run_s=40000) if i == noisy and n == 0 else ok() for n in range(replicas)]
            c = container(name, self.image(name, f"{1 + w.rng.randrange(6)}.{w.rng.randrange(20)}.{w.rng.randrange(9)}"), ports=[port] if port else (), mem="256Mi", mem_limit="512Mi",
                          ready=probe(tcp=port, delay=3) if port else None, env={"LOG_LEVEL": "info"})
            d = deployment(w, name, template(c), replicas=replicas, states=states, age=60 * 24 * w.rng.randrange(20, 80), service=(name, port, port) if port else None)
            for pod in d.pods:
                w.log(pod, name, steady_log(w, style, name))
        first = rest[noisy][0] if rest else None
        kind = w.rng.randrange(3)
        if first and kind == 0:
            pod = next(n for (k, ns, n) in w.objects if k == "Pod" and ns == w.ns and n.startswith(first + "-"))
            w.event("Pod", pod, "Warning", "Unhealthy", "Readiness probe failed: dial tcp 10.42.0.31: i/o timeout", 51, 51, 1, host=w.get("Pod", pod)["spec"]["nodeName"])
        elif kind == 1:
            tpl = template(container("nightly", self.image("nightly", "0.9.1"), ports=()), restart="Never")
            job(w, "nightly-29391", tpl, [failed(1, run_s=30), succeeded()], age=60 * 9, done=True)
        else:
            w.configmap(f"{self.system}-leftover", {"old.properties": "retries=3\n"}, age=60 * 24 * 300)
        well_cronjob(w, f"{self.system}-report", self.image("report", "2.2.0"), log=[f"report written at {w.ago(23.5)}"])
        endpoint_slices(w)


def config_volume(name):
    return {"name": name, "configMap": {"name": name, "defaultMode": 420}}


def conclude(s, target, obj, actions, why, category=None, approval=None, **more):
    """States the truth of a case."""
    s.w.case_file(s.family, s.difficulty, s.env, s.basis, target, category or s.category, obj, actions, s.approval() if approval is None else approval, why, **more)
