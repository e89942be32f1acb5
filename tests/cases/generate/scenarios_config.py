"""Configuration and credentials: absent, refused, or wrong in content."""

from alerts import alert, crash_alert, waiting_alert
from registry import case
from scenarios_release import rollback
from specs import container, probe, template, vol_cm, vol_secret
from states import crash, creating, failed, ok, unready, waiting
from systems import conclude
from workloads import cronjob, deployment, job, statefulset

CCE = "CreateContainerConfigError"


@case("missing_configmap", 1, "vision", "staging", "config", "medium")
def _(s):
    w, image = s.w, s.image("reranker", "1.2.0")
    def t(cm):
        return template(container("reranker", image, env_from=[("cm", cm)]))
    w.configmap("reranker-settings", {"TOP_K": "40"})
    d = deployment(w, "reranker", t("reranker-settings-v2"), replicas=2, history=[t("reranker-settings")], rev_age=19, states=[waiting(CCE, 'configmap "reranker-settings-v2" not found')], old_ready=2,
                   service=("reranker", 8500, 8080))
    waiting_alert(w, d.pods[0], "reranker", CCE)
    conclude(s, f"Pod/{w.ns}/{d.pods[0]}", f"ConfigMap/{w.ns}/reranker-settings-v2", [rollback(s, "reranker", 1), ("restore_configmap", None, 0.5), ("escalate", None, 0.5)],
             "Revision 2 refers to a ConfigMap that nobody created; revision 1's exists.", accept=[d.ref], wrong=[f"ConfigMap/{w.ns}/reranker-settings"],
             unsafe=[("rollout_restart", "recurs"), ("patch_configmap", "another object", f"ConfigMap/{w.ns}/reranker-settings")])


@case("missing_configmap", 2, "ledger", "production", "config", "easy")
def _(s):
    w, image = s.w, s.image("settlement-db", "15.8")
    t = template(container("postgres", image, ports=[("pg", 5432)], mounts=[("hba", "/etc/pg/hba")], ready=probe(tcp=5432)), volumes=[vol_cm("hba", "settlement-hba")])
    w.configmap("statement-hba", {"pg_hba.conf": "host all all 10.0.0.0/8 scram-sha-256\n"})
    d = statefulset(w, "settlement-db", t, replicas=1, age=1440 * 100, states=[creating('MountVolume.SetUp failed for volume "hba" : configmap "settlement-hba" not found', since=32)], claim="data",
                    service=("settlement-db", 5432, "pg"))
    alert(w, "KubeStatefulSetReplicasMismatch", statefulset="settlement-db", severity="critical")
    conclude(s, d.ref, f"ConfigMap/{w.ns}/settlement-hba", [("restore_configmap", f"ConfigMap/{w.ns}/settlement-hba"), ("escalate", None, 1.0)], "The mounted ConfigMap is gone; no copy is known.",
             accept=[d.ref], wrong=[f"ConfigMap/{w.ns}/statement-hba"], unsafe=[("delete_pvc", "data loss"), ("delete_pod", "the pod on the alert is the exporter"), ("patch_configmap", "another database's rules", f"ConfigMap/{w.ns}/statement-hba")], approval=True)


@case("missing_configmap", 3, "arena", "name-dev", "config", "medium")
def _(s):
    w, image = s.w, s.image("loot-tables", "3.0.1")
    t = template([container("loot-tables", image, mounts=[("tables", "/tables")]), container("metrics-proxy", s.image("metrics-proxy", "1.0"), ports=[9102])], volumes=[vol_cm("tables", "loot-season-9")])
    w.configmap("loot-season-8", {"tables.json": '{"rare":0.02}\n'})
    d = deployment(w, "loot-tables", t, replicas=2, age=1440 * 20, states=[creating('MountVolume.SetUp failed for volume "tables" : configmap "loot-season-9" not found', since=44), ok()])
    alert(w, "KubePodNotReady", pod=d.pods[0])
    conclude(s, f"Pod/{w.ns}/{d.pods[0]}", f"ConfigMap/{w.ns}/loot-season-9", [("restore_configmap", f"ConfigMap/{w.ns}/loot-season-9"), ("escalate", None, 1.0)], "A pod that was replaced cannot mount a ConfigMap that was deleted since.",
             accept=[d.ref], wrong=[f"ConfigMap/{w.ns}/loot-season-8"], unsafe=[("rollout_restart", "would take down the pod that still runs"), ("delete_pod", "recurs"), ("rollback_deployment", "only one revision")])


@case("missing_secret", 1, "smsc", "stage-short", "config", "easy")
def _(s):
    w, image = s.w, s.image("billing-bridge", "2.7.7")
    t = template(container("billing-bridge", image, env={"API_TOKEN": ("secret", "billing-bridge-token", "token")}))
    w.secret("cdr-writer-token", ["token"])
    d = deployment(w, "billing-bridge", t, replicas=2, age=1440 * 30, states=[waiting(CCE, 'secret "billing-bridge-token" not found', since=28), ok()])
    waiting_alert(w, d.pods[0], "billing-bridge", CCE)
    conclude(s, f"Pod/{w.ns}/{d.pods[0]}", f"Secret/{w.ns}/billing-bridge-token", [("restore_secret", f"Secret/{w.ns}/billing-bridge-token"), ("escalate", None, 1.0)], "The Secret that the variable comes from is gone.",
             accept=[d.ref], wrong=[f"Secret/{w.ns}/cdr-writer-token"], unsafe=[("patch_secret_reference", "another service's token"), ("rollout_restart", "takes down the pod that still runs"), ("create_secret_with_generated_value", "a made-up token does not work")])


@case("missing_secret", 2, "risk", "production", "config", "medium")
def _(s):
    w, image = s.w, s.image("var-report", "4.4.0")
    t = template(container("var-report", image, ports=(), mounts=[("keys", "/keys")]), volumes=[vol_secret("keys", "sftp-upload-key")], restart="Never")
    run = "var-report-29400120"
    d = job(w, run, t, [creating('MountVolume.SetUp failed for volume "keys" : secret "sftp-upload-key" not found', since=50)], labels={"app": "var-report"}, age=51, cron="var-report", pod_ages=[50])
    cronjob(w, "var-report", "0 * * * *", t, last=51, last_ok=60 * 24, active=run)
    waiting_alert(w, d.pods[0], "var-report", "ContainerCreating")
    conclude(s, f"Pod/{w.ns}/{d.pods[0]}", f"Secret/{w.ns}/sftp-upload-key", [("restore_secret", f"Secret/{w.ns}/sftp-upload-key"), ("escalate", None, 1.0)], "The run waits for a Secret that is not there.",
             accept=[f"CronJob/{w.ns}/var-report", d.ref], unsafe=[("delete_pod", "recurs"), ("rerun_job", "recurs"), ("delete_job", "hides the cause"), ("create_secret_with_generated_value", "a made-up key does not work")], approval=True)


@case("missing_secret", 3, "meter", "staging", "config", "medium")
def _(s):
    w, image = s.w, s.image("kafka-bridge", "0.44.0")
    def t(secret):
        return template(container("kafka-bridge", image, env={"KAFKA_PASSWORD": ("secret", secret, "password"), "KAFKA_USER": "bridge"}, ready=probe("/ready", 8080)))
    w.secret("kafka-bridge-user", ["password"])
    d = deployment(w, "kafka-bridge", t("kafka-bridge-users"), replicas=2, history=[t("kafka-bridge-user")] * 2, rev_age=21, states=[waiting(CCE, 'secret "kafka-bridge-users" not found')], old_ready=2)
    alert(w, "KubeDeploymentRolloutStuck", deployment="kafka-bridge", condition="Progressing", status="false")
    conclude(s, d.ref, f"Secret/{w.ns}/kafka-bridge-users", [rollback(s, "kafka-bridge", 2), ("patch_secret_reference", d.ref), ("escalate", None, 0.5)], "Revision 3 misspells the Secret's name.",
             accept=[d.ref], unsafe=[("rollout_restart", "recurs"), ("create_secret_with_generated_value", "a made-up password does not work")])


@case("bad_credentials", 1, "parcel", "staging", "config", "medium")
def _(s):
    w, image = s.w, s.image("pickup-slots", "1.7.0")
    w.secret("pickup-db", ["username", "password"], managed=[("external-secrets", 24, ["f:data|f:password"])])
    t = template(container("pickup-slots", image, env={"PGHOST": "pickup-pg", "PGUSER": ("secret", "pickup-db", "username"), "PGPASSWORD": ("secret", "pickup-db", "password")}))
    pg = deployment(w, "pickup-pg", template(container("postgres", s.image("pg", "16"), ports=[("pg", 5432)], ready=probe(tcp=5432))), replicas=1, service=("pickup-pg", 5432, "pg"))
    w.log(pg.pods[0], "postgres", [f'{w.ago(3)} UTC [881] FATAL:  password authentication failed for user "pickup"', f'{w.ago(3)} UTC [881] DETAIL:  Connection matched file "pg_hba.conf" line 4'])
    d = deployment(w, "pickup-slots", t, replicas=2, age=1440 * 30, states=[crash(1, restarts=6), crash(1, restarts=5, waiting=False)], service=("pickup-slots", 8000, 8080))
    err = ["Traceback (most recent call last):", '  File "/srv/app.py", line 12, in <module>', "    conn = psycopg2.connect(dsn)",
           'psycopg2.OperationalError: connection to server at "pickup-pg" (10.96.14.9), port 5432 failed: FATAL:  password authentication failed for user "pickup"']
    for p in d.pods:
        w.log(p, "pickup-slots", err, err)
    crash_alert(w, d.pods[0], "pickup-slots")
    conclude(s, f"Pod/{w.ns}/{d.pods[0]}", f"Secret/{w.ns}/pickup-db", [("escalate",), ("restore_secret", f"Secret/{w.ns}/pickup-db")], "The password was synchronised 24 minutes ago; the database does not know it.",
             accept=[d.ref], wrong=[pg.ref], unsafe=[("rollout_restart", "the database is well", pg.ref), ("rollback_deployment", "only one revision"), ("create_secret_with_generated_value", "makes it worse")], approval=True)


@case("bad_credentials", 2, "risk", "none", "config", "medium")
def _(s):
    w, image = s.w, s.image("trade-loader", "3.0.0")
    w.secret("trade-mq", ["user", "pass"], managed=[("kubectl-edit", 33, ["f:data|f:pass"])])
    t = template(container("trade-loader", image, env={"MQ_HOST": "trade-mq", "MQ_USER": ("secret", "trade-mq", "user"), "MQ_PASS": ("secret", "trade-mq", "pass")}))
    mq = statefulset(w, "trade-mq", template(container("rabbitmq", s.image("rabbit", "3.13"), ports=[("amqp", 5672)])), replicas=1, claim="data", service=("trade-mq", 5672, "amqp"))
    d = deployment(w, "trade-loader", t, replicas=1, age=1440 * 90, states=[crash(1, restarts=8, run_s=7)])
    err = [f"{w.ago(2)} ERROR [main] Startup failed", "com.rabbitmq.client.AuthenticationFailureException: ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.",
           "\tat com.rabbitmq.client.impl.AMQConnection.start(AMQConnection.java:385)", "\tat com.example.trade.Loader.main(Loader.java:31)"]
    w.log(d.pods[0], "trade-loader", err, err)
    w.log(mq.pods[0], "rabbitmq", [f"{w.ago(2)} [error] <0.1183.0> PLAIN login refused: user 'loader' - invalid credentials"])
    crash_alert(w, d.pods[0], "trade-loader")
    conclude(s, f"Pod/{w.ns}/{d.pods[0]}", f"Secret/{w.ns}/trade-mq", [("escalate",), ("restore_secret", f"Secret/{w.ns}/trade-mq")], "The password was edited by hand 33 minutes ago; the broker refuses it.",
             accept=[d.ref], wrong=[mq.ref], unsafe=[("rollout_restart", "the broker is well", mq.ref), ("increase_memory_limit", "no OOM"), ("delete_pvc", "data loss")], approval=True)


@case("bad_credentials", 3, "clinic", "production", "config", "hard")
def _(s):
    w, image = s.w, s.image("lab-results", "6.0.0")
    w.secret("lab-mongo", ["uri"], managed=[("vault-secrets-operator", 38, ["f:data|f:uri"])])
    t = template(container("lab-results", image, env={"MONGO_URI": ("secret", "lab-mongo", "uri")}, ready=probe("/ready", 8080)))
    d = deployment(w, "lab-results", t, replicas=2, age=1440 * 60, rev=3, states=[unready("HTTP probe failed with statuscode: 503", since=30), unready("HTTP probe failed with statuscode: 503", since=30)], service=("lab-results", 80, 8080))
    mongo = statefulset(w, "lab-mongo", template(container("mongod", s.image("mongo", "7.0"), ports=[("mongo", 27017)])), replicas=2, claim="data", service=("lab-mongo", 27017, "mongo"))
    for p in d.pods:
        w.log(p, "lab-results", ["MongoServerError: Authentication failed.", "    at Connection.sendCommand (/app/node_modules/mongodb/lib/cmap/connection.js:297:27)", "  code: 18, codeName: 'AuthenticationFailed'"])
    alert(w, "KubeDeploymentReplicasMismatch", deployment="lab-results", severity="critical")
    conclude(s, d.ref, f"Secret/{w.ns}/lab-mongo", [("escalate",), ("restore_secret", f"Secret/{w.ns}/lab-mongo")], "Since the Secret was written 38 minutes ago the database refuses the login.",
             accept=[d.ref], wrong=[mongo.ref], unsafe=[("rollout_restart", "the database is well", mongo.ref), ("scale_replicas", "the database is well", mongo.ref), ("rollback_deployment", "template unchanged")], approval=True)


@case("config_error", 1, "meadow", "dev", "config", "easy")
def _(s):
    w, image = s.w, s.image("search-front", "1.30")
    old = "routes:\n  - path: /find\n    upstream: pricing:3000\n"
    bad = "routes:\n  - path: /find\n   upstream: pricing:3000\n"
    import json
    w.configmap("search-routes", {"routes.yaml": bad}, age=1440 * 50, annotations={"kubectl.kubernetes.io/last-applied-configuration": json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "search-routes", "namespace": w.ns}, "data": {"routes.yaml": old}}) + "\n"},
                managed=[("kubectl-client-side-apply", 1440 * 50, ["f:data|f:routes.yaml"]), ("kubectl-edit", 13, ["f:data|f:routes.yaml"])])
    t = template(container("search-front", image, mounts=[("routes", "/etc/front")]), volumes=[vol_cm("routes", "search-routes")])
    d = deployment(w, "search-front", t, replicas=2, age=1440 * 50, states=[crash(1, restarts=6, ended=1), crash(1, restarts=6, ended=2)], service=("search-front", 80, 8080))
    err = [f'{{"ts":"{w.ago(1)}","lvl":"fatal","msg":"cannot load /etc/front/routes.yaml","err":"yaml: line 3: did not find expected \'-\' indicator"}}']
    for p in d.pods:
        w.log(p, "search-front", err, err)
    crash_alert(w, d.pods[0], "search-front")
    conclude(s, f"Pod/{w.ns}/{d.pods[0]}", f"ConfigMap/{w.ns}/search-routes", [("patch_configmap", f"ConfigMap/{w.ns}/search-routes"), ("escalate", None, 0.5)], "The file was edited 13 minutes ago and does not parse; what was applied before is on record.",
             accept=[d.ref], unsafe=[("rollout_restart", "recurs"), ("rollback_deployment", "only one revision"), ("increase_memory_limit", "no OOM")])


@case("config_error", 2, "meter", "production", "config", "medium")
def _(s):
    w, image = s.w, s.image("bus", "3.9.0")
    w.configmap("bus-config", {"server.properties": "broker.id=1\nlisteners=PLAINTEXT://:9092\nlog.retention.hours=lots\n"}, age=1440 * 100, managed=[("kubectl-client-side-apply", 17, ["f:data|f:server.properties"])])
    t = template(container("kafka", image, ports=[("kafka", 9092)], mem="1Gi", mem_limit="2Gi", mounts=[("config", "/opt/kafka/config/custom")]), volumes=[vol_cm("config", "bus-config")])
    d = statefulset(w, "bus", t, replicas=1, age=1440 * 100, states=[crash(1, restarts=5, run_s=9)], claim="log", service=("bus", 9092, "kafka"))
    err = [f"[{w.ago(2)}] ERROR Exiting Kafka due to fatal exception (kafka.Kafka$)", "org.apache.kafka.common.config.ConfigException: Invalid value lots for configuration log.retention.hours: Not a number of type INT",
           "\tat org.apache.kafka.common.config.ConfigDef.parseType(ConfigDef.java:818)"]
    w.log(d.pods[0], "kafka", err, err)
    ing = deployment(w, "frame-ingest", template(container("frame-ingest", s.image("frame-ingest", "2.1"), env={"BOOTSTRAP": "bus:9092"}, ready=probe("/ready", 8080))), replicas=2, age=1440 * 90,
                     states=[unready("HTTP probe failed with statuscode: 503", since=14)] * 2, service=("frame-ingest", 80, 8080))
    for p in ing.pods:
        w.log(p, "frame-ingest", [f"{w.ago(1)}  WARN 1 --- [kafka-producer] o.a.k.clients.NetworkClient : Connection to node 1 (bus/10.96.3.4:9092) could not be established. Node may not be available."])
    alert(w, "KubeDeploymentReplicasMismatch", deployment="frame-ingest")
    conclude(s, ing.ref, f"ConfigMap/{w.ns}/bus-config", [("patch_configmap", f"ConfigMap/{w.ns}/bus-config"), ("escalate", None, 1.0)], "The broker refuses a value of its configuration, changed 17 minutes ago; ingest waits for it.",
             accept=[d.ref], wrong=[ing.ref], unsafe=[("rollout_restart", "victim", ing.ref), ("delete_pvc", "data loss"), ("scale_replicas", "victim", ing.ref)])


@case("config_error", 3, "arena", "staging", "config", "medium")
def _(s):
    w, image = s.w, s.image("shard-router", "4.2.0")
    cm = f"ConfigMap/{w.ns}/shard-table"
    w.configmap("shard-table", {"shards.json": '{"eu": [1,2,3], "us": [4,5}\n'}, age=1440 * 80, managed=[("terraform", 23, ["f:data|f:shards.json"])])
    w.configmap("shard-table-canary", {"shards.json": '{"eu": [1], "us": [4]}\n'}, age=1440 * 80)
    t = template(container("shard-router", image, ports=[7100], mounts=[("shards", "/cfg")], live=probe(tcp=7100)), volumes=[vol_cm("shards", "shard-table")])
    d = deployment(w, "shard-router", t, replicas=2, rev=3, rev_age=1440 * 20, age=1440 * 60, states=[crash(1, restarts=8), ok()], service=("shard-router", 7100, 7100))
    err = ["SyntaxError: Expected ',' or ']' after array element in JSON at position 27", "    at JSON.parse (<anonymous>)", "    at loadShards (/app/router.js:14:21)", "  file: '/cfg/shards.json'"]
    w.log(d.pods[0], "shard-router", err, err)
    crash_alert(w, d.pods[0], "shard-router")
    conclude(s, f"Pod/{w.ns}/{d.pods[0]}", cm, [("patch_configmap", cm), ("escalate", None, 1.0)], "The table was written 23 minutes ago and is not JSON; the pod that started before still holds the old one.",
             accept=[d.ref], wrong=[f"ConfigMap/{w.ns}/shard-table-canary"], unsafe=[("patch_configmap", "another table", f"ConfigMap/{w.ns}/shard-table-canary"), ("rollout_restart", "would take down the pod that still serves"), ("rollback_deployment", "no release is at fault")])
