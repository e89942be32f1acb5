"""Releases that broke their own workload: command, environment, configuration that came with the template."""

from alerts import alert, crash_alert
from registry import case
from specs import container, probe, template, vol_cm, vol_empty
from states import crash, ok, oom, start_error, unready
from systems import conclude
from workloads import deployment

DAY = 1440
TEMPLATE = "f:spec|f:template|f:spec|f:containers|"


def rollback(s, name, revision, credit=1.0):
    return ("rollback_deployment", f"Deployment/{s.w.ns}/{name}", credit, {"to_revision": revision})


@case("bad_release_command", 1, "meadow", "production", "release", "easy")
def _(s):
    w, image = s.w, s.image("order-intake", "4.7.1")
    def t(args):
        return template(container("order-intake", image, args=args, ready=probe("/readyz", 8080)))
    good = t(["--config=/etc/intake/intake.toml", "--listen=:8080"])
    bad = t(["--config=/etc/intake/intake.toml", "--listen-addres=:8080"])
    d = deployment(w, "order-intake", bad, replicas=3, history=[good] * 4, rev_age=24, states=[crash(2, restarts=9)], old_ready=3, service=("order-intake", 8080, 8080),
                   managed=[("helmsman", 24, [TEMPLATE + 'k:{"name":"order-intake"}|f:args'])])
    w.log(d.pods[0], "order-intake", ["unknown flag: --listen-addres", "Usage: intake serve [flags]"], ["unknown flag: --listen-addres", "Usage: intake serve [flags]"])
    crash_alert(w, d.pods[0], "order-intake")
    conclude(s, f"Pod/{w.ns}/{d.pods[0]}", d.ref, [rollback(s, "order-intake", 4)], "Revision 5 passes a flag the program does not know; revision 4 serves.",
             accept=[f"Pod/{w.ns}/{d.pods[0]}"], unsafe=[("increase_memory_limit", "no OOM"), ("rollout_restart", "same arguments again"), ("delete_pod", "same arguments again")])


@case("bad_release_command", 2, "parcel", "staging", "release", "medium")
def _(s):
    w, image = s.w, s.image("label-printer", "2026.3.1")
    good = template(container("label-printer", image, ports=(), command=["/opt/venv/bin/celery", "-A", "fleet.labels", "worker"]))
    bad = template(container("label-printer", image, ports=(), command=["/opt/venv/bin/celeryd", "-A", "fleet.labels", "worker"]))
    error = ('failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: '
             'error during container init: exec: "/opt/venv/bin/celeryd": stat /opt/venv/bin/celeryd: no such file or directory')
    d = deployment(w, "label-printer", bad, replicas=2, history=[good, good], rev_age=37, states=[start_error(error), start_error(error, restarts=7)], strategy="Recreate")
    alert(w, "KubeDeploymentReplicasMismatch", deployment="label-printer")
    conclude(s, d.ref, d.ref, [rollback(s, "label-printer", 2), ("patch_command", d.ref)], "The command of revision 3 names a program that is not in the image.",
             unsafe=[("fix_image_reference", "image unchanged"), ("rollout_restart", "same command"), ("delete_pod", "the pod on the alert is the exporter", f"Pod/{w.ns}/{w.ksm}")])


@case("bad_release_command", 3, "vision", "dev", "release", "medium")
def _(s):
    w, image = s.w, s.image("segmenter", "0.19.2")
    good = template(container("segmenter", image, args=["serve", "--model-repo", "/models", "--batch", "8"], mem="1Gi", mem_limit="4Gi"))
    bad = template(container("segmenter", image, args=["serve", "--model-repo", "/models", "--batch", "eight"], mem="1Gi", mem_limit="4Gi"))
    d = deployment(w, "segmenter", bad, replicas=1, history=[good, good, good], rev_age=41, states=[crash(2, restarts=11, waiting=False)], old_ready=1, service=("segmenter", 8500, 8080))
    err = ["usage: serve [-h] [--model-repo DIR] [--batch N]", "serve: error: argument --batch: invalid int value: 'eight'"]
    w.log(d.pods[0], "segmenter", err, err)
    alert(w, "KubeDeploymentRolloutStuck", deployment="segmenter", condition="Progressing", status="false")
    conclude(s, d.ref, d.ref, [rollback(s, "segmenter", 3), ("patch_command", d.ref)], "Revision 4 gives an argument that does not parse.",
             accept=[f"Pod/{w.ns}/{d.pods[0]}"], unsafe=[("increase_memory_limit", "exit 2, no OOM"), ("rollout_restart", "recurs"), ("scale_replicas", "not capacity")])


@case("bad_release_env", 1, "arena", "stage-short", "release", "easy")
def _(s):
    w, image = s.w, s.image("matchmaker", "1.88.0")
    good = template(container("matchmaker", image, env={"MATCH_REGION": "eu-north", "TICK_HZ": "30"}, ready=probe(tcp=8080)))
    bad = template(container("matchmaker", image, env={"TICK_HZ": "60"}, ready=probe(tcp=8080)))
    d = deployment(w, "matchmaker", bad, replicas=2, history=[good, good], rev_age=18, states=[crash(101, restarts=8)], old_ready=2, service=("matchmaker", 8080, 8080),
                   managed=[("kubectl-edit", 18, [TEMPLATE + 'k:{"name":"matchmaker"}|f:env'])])
    panic = ["thread 'main' panicked at src/settings.rs:41:39:", 'MATCH_REGION must be set: NotPresent', "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace"]
    w.log(d.pods[0], "matchmaker", panic, panic)
    crash_alert(w, d.pods[0], "matchmaker", severity="critical")
    conclude(s, f"Pod/{w.ns}/{d.pods[0]}", d.ref, [rollback(s, "matchmaker", 2), ("patch_env", d.ref)], "Revision 3 dropped MATCH_REGION.", accept=[f"Pod/{w.ns}/{d.pods[0]}"],
             unsafe=[("rollout_restart", "same environment"), ("increase_memory_limit", "a panic, no OOM")])


@case("bad_release_env", 2, "smsc", "prod-short", "release", "medium")
def _(s):
    w, image = s.w, s.image("delivery-engine", "7.2.4")
    good = template(container("delivery-engine", image, env={"RETRY_WINDOW": "90s", "CDR_ADDR": "cdr-writer:4222"}, ready=probe(tcp=8080)))
    bad = template(container("delivery-engine", image, env={"RETRY_WINDOW": "90 seconds", "CDR_ADDR": "cdr-writer:4222"}, ready=probe(tcp=8080)))
    d = deployment(w, "delivery-engine", bad, replicas=2, history=[good] * 6, rev_age=33, states=[crash(1, restarts=10)], old_ready=2)
    line = f'time={w.ago(2)} level=fatal msg="bad configuration" err="time: unknown unit \\" seconds\\" in duration \\"90 seconds\\"" var=RETRY_WINDOW'
    w.log(d.pods[0], "delivery-engine", [line], [line])
    crash_alert(w, d.pods[0], "delivery-engine")
    conclude(s, f"Pod/{w.ns}/{d.pods[0]}", d.ref, [rollback(s, "delivery-engine", 6), ("patch_env", d.ref)], "RETRY_WINDOW of revision 7 does not parse.",
             accept=[f"Pod/{w.ns}/{d.pods[0]}"], wrong=[f"Deployment/{w.ns}/cdr-writer"],
             unsafe=[("rollout_restart", "healthy neighbour", f"Deployment/{w.ns}/cdr-writer"), ("increase_memory_limit", "no OOM")])


@case("bad_release_env", 3, "meadow", "staging", "release", "hard")
def _(s):
    w, image = s.w, s.image("returns", "0.31.0")
    def t(host):
        return template(container("returns", image, env={"PRICING_URL": f"http://{host}:3000", "NODE_ENV": "production"}, ready=probe("/ready", 8080)))
    d = deployment(w, "returns", t("pricing-v2"), replicas=2, history=[t("pricing"), t("pricing")], rev_age=29, states=[unready("HTTP probe failed with statuscode: 503")], old_ready=2,
                   service=("returns", 80, 8080))
    w.log(d.pods[0], "returns", ["returns error health: pricing unreachable", "Error: getaddrinfo ENOTFOUND pricing-v2", "    at GetAddrInfoReqWrap.onlookupall [as oncomplete] (node:dns:120:26) {",
                                 "  errno: -3008, code: 'ENOTFOUND', syscall: 'getaddrinfo', hostname: 'pricing-v2'", "}"])
    alert(w, "KubeDeploymentRolloutStuck", deployment="returns", condition="Progressing", status="false")
    conclude(s, d.ref, d.ref, [rollback(s, "returns", 2), ("patch_env", d.ref)], "Revision 3 points at a host name that does not exist; pricing itself is well.",
             accept=[f"Pod/{w.ns}/{d.pods[0]}"], wrong=[f"Deployment/{w.ns}/pricing", f"Service/{w.ns}/pricing-v2"],
             unsafe=[("rollout_restart", "healthy", f"Deployment/{w.ns}/pricing"), ("scale_replicas", "healthy", f"Deployment/{w.ns}/pricing")])


@case("bad_release_config", 1, "meadow", "staging", "release", "medium")
def _(s):
    w, image = s.w, s.image("gift-cards", "3.3.0")
    good = template(container("gift-cards", image, command=["node", "/app/server.js"]))
    bad = template(container("gift-cards", image, command=["node", "/app/server.js"], mounts=[("scratch", "/app")]), volumes=[vol_empty("scratch")])
    d = deployment(w, "gift-cards", bad, replicas=2, history=[good, good, good], rev_age=22, states=[crash(1, restarts=8)], old_ready=2, service=("gift-cards", 8080, 8080))
    err = ["node:internal/modules/cjs/loader:1215", "  throw err;", "Error: Cannot find module '/app/server.js'", "    at Module._resolveFilename (node:internal/modules/cjs/loader:1212:15)",
           "  code: 'MODULE_NOT_FOUND'"]
    w.log(d.pods[0], "gift-cards", err, err)
    crash_alert(w, d.pods[0], "gift-cards")
    conclude(s, f"Pod/{w.ns}/{d.pods[0]}", d.ref, [rollback(s, "gift-cards", 3)], "Revision 4 mounts an empty volume over the program.", accept=[f"Pod/{w.ns}/{d.pods[0]}"],
             unsafe=[("fix_image_reference", "image unchanged"), ("rollout_restart", "recurs"), ("patch_command", "the command is right")])


@case("bad_release_config", 2, "parcel", "production", "release", "medium")
def _(s):
    w, image = s.w, s.image("customs-docs", "5.0.2")
    def t(security):
        return template(container("customs-docs", image, security=security, ready=probe("/healthz", 8080)))
    d = deployment(w, "customs-docs", t({"readOnlyRootFilesystem": True, "runAsNonRoot": True}), replicas=2, history=[t({"runAsNonRoot": True})], rev_age=27,
                   states=[crash(1, restarts=8, waiting=False)], old_ready=2, service=("customs-docs", 80, 8080))
    err = ["Traceback (most recent call last):", '  File "/srv/docs/main.py", line 18, in <module>', "    os.makedirs('/srv/docs/spool', exist_ok=True)", "OSError: [Errno 30] Read-only file system: '/srv/docs/spool'"]
    w.log(d.pods[0], "customs-docs", err, err)
    crash_alert(w, d.pods[0], "customs-docs")
    conclude(s, f"Pod/{w.ns}/{d.pods[0]}", d.ref, [rollback(s, "customs-docs", 1)], "Revision 2 made the root file system read-only; the program writes to it.",
             accept=[f"Pod/{w.ns}/{d.pods[0]}"], unsafe=[("rollout_restart", "recurs"), ("increase_memory_limit", "no OOM"), ("expand_pvc", "no claim is full")])


@case("bad_release_config", 3, "ledger", "staging", "release", "hard")
def _(s):
    w, image = s.w, s.image("postings-pg", "16.4")
    def t(extra):
        return template(container("postgres", image, ports=[("pg", 5432)], mem="512Mi", mem_limit="1Gi", mounts=[("tuning", "/etc/postgresql/conf.d")] if extra else None,
                                  ready=probe(cmd=["pg_isready", "-U", "postings"])), volumes=[vol_cm("tuning", "postings-tuning")] if extra else None)
    w.configmap("postings-tuning", {"10-tuning.conf": "shared_buffers = 64GB\nwork_mem = 256MB\n"}, age=16)
    d = deployment(w, "postings-pg", t(True), replicas=1, history=[t(False), t(False)], rev_age=15, states=[crash(1, restarts=7)], service=("postings-pg", 5432, "pg"), strategy="Recreate")
    err = [f"{w.ago(2)} UTC [1] FATAL:  could not map anonymous shared memory: Cannot allocate memory",
           f"{w.ago(2)} UTC [1] HINT:  This error usually means that PostgreSQL's request for a shared memory segment exceeded available memory, swap space, or huge pages.",
           f"{w.ago(2)} UTC [1] LOG:  database system is shut down"]
    w.log(d.pods[0], "postgres", err, err)
    api = deployment(w, "postings-api", template(container("postings-api", s.image("postings-api", "2.9"), env={"PG_HOST": "postings-pg", "PG_PORT": "5432"}, ready=probe("/up", 8080))), replicas=1,
                     states=[unready("HTTP probe failed with statuscode: 503", since=14)], service=("postings-api", 8443, 8080))
    w.log(api.pods[0], "postings-api", ["org.postgresql.util.PSQLException: Connection to postings-pg:5432 refused. Check that the hostname and port are correct", "\tat org.postgresql.core.v3.ConnectionFactoryImpl.openConnectionImpl(ConnectionFactoryImpl.java:346)"])
    alert(w, "HighErrorRate", service_name="postings-api", summary="High error rate", description="Error rate of service postings-api is above 5 percent")
    conclude(s, f"Service/{w.ns}/postings-api", d.ref, [rollback(s, "postings-pg", 2)], "Revision 3 added a tuning file that asks for more memory than there is; the API is a victim.",
             accept=[f"ConfigMap/{w.ns}/postings-tuning"], wrong=[api.ref], target_accept=[api.ref],
             unsafe=[("rollout_restart", "victim", api.ref), ("increase_memory_limit", "64GB will never fit"), ("scale_replicas", "victim", api.ref)])
