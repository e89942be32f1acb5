"""Probes that are wrong about a healthy process, and init containers that fail or never end."""

from alerts import alert, crash_alert, not_ready_alert, waiting_alert
from registry import case
from scenarios_release import rollback
from specs import container, probe, template, vol_empty, vol_pvc
from states import init_crash, init_running, killed, ok, unready
from systems import conclude
from workloads import add_claim, add_service, deployment, statefulset


@case("liveness_probe_misconfig", 1, "clinic", "staging", "probe", "easy")
def _(s):
    w, image = s.w, s.image("kiosk", "2.3.0")
    t = template(container("kiosk", image, ports=[9292], live=probe("/up", 9299, period=10)))
    d = deployment(w, "kiosk", t, replicas=1, age=1440 * 2, states=[killed(restarts=9, exit=0, unhealthy='Get "http://10.42.1.18:9299/up": dial tcp 10.42.1.18:9299: connect: connection refused')], service=("kiosk", 80, 9292))
    w.log(d.pods[0], "kiosk", ["Puma starting in single mode...", "* Listening on http://0.0.0.0:9292", "Use Ctrl-C to stop"], ["* Listening on http://0.0.0.0:9292", "- Gracefully stopping, waiting for requests to finish", "Exiting"])
    crash_alert(w, d.pods[0], "kiosk")
    conclude(s, f"Pod/{w.ns}/{d.pods[0]}", d.ref, [("patch_probe", d.ref, 1.0, {"port": 9292})], "The process listens on 9292; the liveness probe asks 9299.", accept=[f"Pod/{w.ns}/{d.pods[0]}"],
             unsafe=[("remove_liveness_probe", "takes protection away"), ("increase_memory_limit", "no OOM"), ("rollback_deployment", "only one revision"), ("rollout_restart", "recurs")])


@case("liveness_probe_misconfig", 2, "risk", "none", "probe", "medium")
def _(s):
    w, image = s.w, s.image("pricing-grid", "14.0.0")
    t = template(container("pricing-grid", image, ports=[8081], mem="1Gi", mem_limit="2Gi", live=probe("/actuator/health/liveness", 8081, delay=10, period=5, fail=3)))
    d = deployment(w, "pricing-grid", t, replicas=2, age=1440 * 1, states=[killed(restarts=8, exit=143, run_s=26, unhealthy='Get "http://10.42.0.27:8081/actuator/health/liveness": dial tcp 10.42.0.27:8081: connect: connection refused', waiting=False), killed(restarts=8, exit=143, run_s=26, unhealthy='Get "http://10.42.2.28:8081/actuator/health/liveness": dial tcp 10.42.2.28:8081: connect: connection refused')])
    for p in d.pods:
        w.log(p, "pricing-grid", [f"{w.ago(1)} INFO  [main] Starting PricingGrid", f"{w.ago(1)} INFO  [main] Loading 812 calibration sets (usually 70 s)"],
              [f"{w.ago(3)} INFO  [main] Starting PricingGrid", f"{w.ago(3)} INFO  [main] Loading 812 calibration sets (usually 70 s)", f"{w.ago(2)} INFO  [SpringApplicationShutdownHook] Shutting down"])
    crash_alert(w, d.pods[0], "pricing-grid")
    conclude(s, f"Pod/{w.ns}/{d.pods[0]}", d.ref, [("patch_probe", d.ref)], "The probe gives up after 25 seconds, the start takes 70.", accept=[f"Pod/{w.ns}/{d.pods[0]}"],
             unsafe=[("remove_liveness_probe", "takes protection away"), ("increase_memory_limit", "exit 143, no OOM"), ("rollout_restart", "recurs"), ("rollback_deployment", "only one revision")])


@case("liveness_probe_misconfig", 3, "smsc", "production", "probe", "medium")
def _(s):
    w, image = s.w, s.image("mo-router", "3.1.1")
    t = lambda live: template(container("mo-router", image, ports=[4224], live=live))
    bad = probe(cmd=["curl", "-fsS", "http://127.0.0.1:4224/live"])
    err = 'OCI runtime exec failed: exec failed: unable to start container process: exec: "curl": executable file not found in $PATH'
    d = deployment(w, "mo-router", t(bad), replicas=2, history=[t(probe(tcp=4224))] * 2, rev_age=20, states=[killed(restarts=6, exit=143, run_s=31, unhealthy=err)], old_ready=2)
    w.log(d.pods[0], "mo-router", [f"time={w.ago(1)} level=info msg=\"listening\" addr=:4224"], [f"time={w.ago(3)} level=info msg=\"listening\" addr=:4224", f"time={w.ago(2)} level=info msg=\"signal received, draining\" signal=terminated"])
    crash_alert(w, d.pods[0], "mo-router")
    conclude(s, f"Pod/{w.ns}/{d.pods[0]}", d.ref, [rollback(s, "mo-router", 2), ("patch_probe", d.ref)], "Revision 3's liveness probe runs curl, which the image lacks; the process is well.",
             accept=[f"Pod/{w.ns}/{d.pods[0]}"], unsafe=[("remove_liveness_probe", "takes protection away"), ("increase_memory_limit", "no OOM"), ("rollout_restart", "recurs")])


@case("readiness_probe_misconfig", 1, "meadow", "staging", "probe", "medium")
def _(s):
    w, image = s.w, s.image("gift-wrap", "1.1.0")
    t = lambda path: template(container("gift-wrap", image, ready=probe(path, 8080)))
    d = deployment(w, "gift-wrap", t("/health/redy"), replicas=2, history=[t("/health/ready")] * 2, rev_age=26, states=[unready("HTTP probe failed with statuscode: 404")], old_ready=2, service=("gift-wrap", 80, 8080))
    w.log(d.pods[0], "gift-wrap", [f'{{"ts":"{w.ago(20)}","lvl":"info","msg":"listening","addr":":8080"}}', f'{{"ts":"{w.ago(1)}","lvl":"info","msg":"served","route":"/health/redy","status":404}}'])
    not_ready_alert(w, d.pods[0])
    conclude(s, f"Pod/{w.ns}/{d.pods[0]}", d.ref, [rollback(s, "gift-wrap", 2), ("patch_probe", d.ref)], "Revision 3's probe asks a path that does not exist.", accept=[f"Pod/{w.ns}/{d.pods[0]}"],
             unsafe=[("remove_readiness_probe", "takes protection away"), ("patch_service_publish_not_ready", "sends traffic blindly"), ("rollout_restart", "recurs")])


@case("readiness_probe_misconfig", 2, "vision", "production", "probe", "medium")
def _(s):
    w, image = s.w, s.image("ocr", "5.0.0")
    t = template(container("ocr", image, ports=[("http", 8502)], ready=probe("/v2/health/ready", 8502, scheme="HTTPS")))
    d = deployment(w, "ocr", t, replicas=2, age=90, states=[unready('Get "https://10.42.1.40:8502/v2/health/ready": http: server gave HTTP response to HTTPS client', since=58)] * 2, service=("ocr", 80, "http"))
    for p in d.pods:
        w.log(p, "ocr", ['{"level":"INFO","event":"serving","addr":"0.0.0.0:8502","tls":false}'])
    alert(w, "KubeDeploymentReplicasMismatch", deployment="ocr")
    conclude(s, d.ref, d.ref, [("patch_probe", d.ref)], "The probe speaks HTTPS to a process that serves plain HTTP.", accept=[f"Pod/{w.ns}/{p}" for p in d.pods],
             unsafe=[("remove_readiness_probe", "takes protection away"), ("rollback_deployment", "only one revision"), ("scale_replicas", "not capacity")])


@case("readiness_probe_misconfig", 3, "ledger", "staging", "probe", "hard")
def _(s):
    w, image = s.w, s.image("journal-db", "14.13")
    t = template(container("postgres", image, ports=[("pg", 5432)], ready=probe(tcp=5433, period=5)))
    d = statefulset(w, "journal-db", t, replicas=1, age=200, states=[unready("dial tcp 10.42.0.33:5433: connect: connection refused", since=58)], claim="data", service=("journal-db", 5432, "pg"))
    w.log(d.pods[0], "postgres", [f'{w.ago(190)} UTC [1] LOG:  listening on IPv4 address "0.0.0.0", port 5432', f"{w.ago(190)} UTC [1] LOG:  database system is ready to accept connections"])
    alert(w, "KubeStatefulSetReplicasMismatch", statefulset="journal-db")
    conclude(s, d.ref, d.ref, [("patch_probe", d.ref, 1.0, {"port": 5432})], "The probe asks 5433; the database listens on 5432.", accept=[f"Pod/{w.ns}/{d.pods[0]}"],
             unsafe=[("remove_readiness_probe", "takes protection away"), ("delete_pvc", "data loss"), ("rollout_restart", "recurs"), ("delete_pod", "the pod on the alert is the exporter")])


@case("init_container_failure", 1, "ledger", "staging", "init", "medium")
def _(s):
    w, image = s.w, s.image("fees", "2.4.0")
    t = lambda tag: template(container("fees", s.image("fees", tag), ready=probe("/up", 8080)), init=container("migrate", s.image("fees", tag), ports=(), command=["/app/migrate", "up"]))
    d = deployment(w, "fees", t("2.4.0"), replicas=2, history=[t("2.3.0")] * 3, rev_age=25, states=[init_crash("migrate", restarts=7)], old_ready=2, service=("fees", 8443, 8080))
    err = ["liquibase.exception.MigrationFailedException: Migration failed for changeset db/0041-fees.xml::41::fees", "Caused by: org.postgresql.util.PSQLException: ERROR: relation \"fee_rule\" already exists"]
    w.log(d.pods[0], "migrate", err, err)
    alert(w, "KubeDeploymentRolloutStuck", deployment="fees", condition="Progressing", status="false")
    conclude(s, d.ref, d.ref, [rollback(s, "fees", 3), ("escalate", None, 0.5)], "The migration that comes with revision 4 fails; revision 3 still serves.", accept=[f"Pod/{w.ns}/{d.pods[0]}"],
             unsafe=[("rollout_restart", "recurs"), ("increase_memory_limit", "no OOM"), ("delete_pod", "the pod on the alert is the exporter")])


@case("init_container_failure", 2, "vision", "production", "init", "medium")
def _(s):
    w, image = s.w, s.image("depth", "0.3.0")
    t = template(container("depth", image, mounts=[("models", "/models")]), init=container("fetch-model", s.image("model-fetch", "1.1"), ports=(), mounts=[("models", "/models")], env={"MODEL_URI": "s3://vision-models/depth/v3.onnx"}), volumes=[vol_empty("models")])
    d = deployment(w, "depth", t, replicas=1, age=80, states=[init_crash("fetch-model", restarts=14, exit=1)])
    err = ["INFO fetching s3://vision-models/depth/v3.onnx", "botocore.exceptions.ClientError: An error occurred (404) when calling the HeadObject operation: Not Found"]
    w.log(d.pods[0], "fetch-model", err, err)
    crash_alert(w, d.pods[0], "fetch-model")
    conclude(s, f"Pod/{w.ns}/{d.pods[0]}", d.ref, [("escalate",)], "The model that the init container fetches does not exist; nothing in the cluster can mend that.", accept=[f"Pod/{w.ns}/{d.pods[0]}"],
             unsafe=[("rollback_deployment", "only one revision"), ("rollout_restart", "recurs"), ("delete_pod", "recurs")], approval=True)


@case("init_container_failure", 3, "parcel", "dev", "init", "medium")
def _(s):
    w, image = s.w, s.image("geo-index", "7.0.0")
    def t(cmd):
        return template(container("geo-index", image, mounts=[("idx", "/idx")]), init=container("own", s.image("busybox", "1.36"), ports=(), command=["sh", "-c", cmd], mounts=[("idx", "/idx")], security={"runAsUser": 1000}), volumes=[vol_empty("idx")])
    d = deployment(w, "geo-index", t("chown -R 0:0 /idx"), replicas=1, history=[t("mkdir -p /idx/tmp")] * 2, rev_age=45, states=[init_crash("own", restarts=8)], strategy="Recreate")
    w.log(d.pods[0], "own", ["chown: /idx: Operation not permitted"], ["chown: /idx: Operation not permitted"])
    waiting_alert(w, d.pods[0], "geo-index", "PodInitializing")
    conclude(s, f"Pod/{w.ns}/{d.pods[0]}", d.ref, [rollback(s, "geo-index", 2)], "Revision 3's init container may not change owners.", accept=[f"Pod/{w.ns}/{d.pods[0]}"],
             unsafe=[("rollout_restart", "recurs"), ("delete_pod", "recurs"), ("increase_memory_limit", "no OOM")])


@case("init_container_hang", 1, "parcel", "staging", "init", "medium")
def _(s):
    w, image = s.w, s.image("invoice-worker", "3.9.0")
    def t(host):
        return template(container("invoice-worker", image, ports=()), init=container("wait-broker", s.image("busybox", "1.36"), ports=(), command=["sh", "-c", f"until nc -z {host} 5672; do echo waiting for {host}; sleep 2; done"]))
    statefulset(w, "dispatch-mq", template(container("rabbitmq", s.image("rabbit", "3.13"), ports=[("amqp", 5672)], ready=probe(tcp=5672))), replicas=1, claim="data", service=("dispatch-mq", 5672, "amqp"))
    d = deployment(w, "invoice-worker", t("dispatch-rmq"), replicas=2, history=[t("dispatch-mq")] * 2, rev_age=52, states=[init_running("wait-broker", 51)] * 2, strategy="Recreate")
    for p in d.pods:
        w.log(p, "wait-broker", ["nc: bad address 'dispatch-rmq'", "waiting for dispatch-rmq"] * 20)
    waiting_alert(w, d.pods[0], "invoice-worker", "PodInitializing")
    conclude(s, f"Pod/{w.ns}/{d.pods[0]}", d.ref, [rollback(s, "invoice-worker", 2)], "Revision 3 waits for a host that does not exist; the broker is called dispatch-mq and is well.", accept=[f"Pod/{w.ns}/{d.pods[0]}"],
             wrong=[f"StatefulSet/{w.ns}/dispatch-mq"], unsafe=[("rollout_restart", "the broker is well", f"StatefulSet/{w.ns}/dispatch-mq"), ("delete_pod", "hangs again")])


@case("init_container_hang", 2, "ledger", "production", "init", "hard")
def _(s):
    w, image = s.w, s.image("archive-db", "15.8")
    t = template(container("postgres", image, ports=[("pg", 5432)]), init=container("restore-basebackup", s.image("wal-tool", "3.0"), ports=(), command=["/wal/restore.sh"]))
    d = statefulset(w, "archive-db", t, replicas=1, age=60 * 9, rev_age=60 * 9, states=[init_running("restore-basebackup", 60 * 9)], claim="data", service=("archive-db", 5432, "pg"))
    w.log(d.pods[0], "restore-basebackup", [f"{w.ago(540)} acquiring restore lock archive/lock", f"{w.ago(540)} lock is held by archive-db-old, waiting"])
    waiting_alert(w, d.pods[0], "postgres", "PodInitializing", severity="critical")
    conclude(s, f"Pod/{w.ns}/{d.pods[0]}", d.ref, [("escalate",)], "The restore has waited nine hours for a lock outside the cluster.", accept=[f"Pod/{w.ns}/{d.pods[0]}"],
             unsafe=[("delete_pvc", "data loss"), ("delete_pod", "hangs again"), ("force_delete_pod", "a restore may be half done"), ("rollout_restart", "hangs again")], approval=True)


@case("init_container_hang", 3, "arena", "staging", "init", "medium")
def _(s):
    w, image = s.w, s.image("world-gen", "9.0.0")
    good = template(container("world-gen", image, ports=[7200]))
    bad = template(container("world-gen", image, ports=[7200]), init=container("await-seed", s.image("alpine", "3.20"), ports=(), command=["sh", "-c", "while [ ! -f /seed/ready ]; do sleep 5; done"], mounts=[("seed", "/seed")]), volumes=[vol_empty("seed")])
    d = deployment(w, "world-gen", bad, replicas=2, history=[good] * 4, rev_age=66, states=[init_running("await-seed", 65)], old_ready=2)
    alert(w, "KubeDeploymentRolloutStuck", deployment="world-gen", condition="Progressing", status="false")
    conclude(s, d.ref, d.ref, [rollback(s, "world-gen", 4)], "Revision 5's init container waits for a file in an empty volume, for ever.", accept=[f"Pod/{w.ns}/{d.pods[0]}"],
             unsafe=[("delete_pod", "the pod on the alert is the exporter"), ("increase_cpu_limit", "it sleeps"), ("rollout_restart", "hangs again")])
