"""Incidents with two plausible causes: one of them is right, and the recording says which."""

from alerts import alert, crash_alert, not_ready_alert
from nodes import cordon, taint
from registry import case
from scenarios_memory import working_set
from scenarios_network import client, policy
from scenarios_placement import lose
from scenarios_policy import quota, exceeded
from scenarios_release import TEMPLATE, rollback
from scenarios_storage import volume_stats
from specs import container, probe, template, vol_cm
from states import crash, killed, ok, oom, pending, pull_error, unready
from systems import conclude
from workloads import add_service, daemonset, deployment, statefulset

TWO = "two_causes"


@case("bad_release_env", 11, "parcel", "staging", TWO, "hard", name="two-causes-release-or-database-1")
def _(s):
    """A release and a database failover in the same minutes: the log names the release's own variable."""
    w = s.w
    t = lambda dsn: template(container("hub-scan", s.image("hub-scan", "3.0"), env={"DB_DSN": dsn}))
    db = statefulset(w, "hub-db", template(container("postgres", s.image("pg", "16"), ports=[5432], ready=probe(tcp=5432))), replicas=2, claim="data", service=("hub-db", 5432, 5432), states=[ok(restarts=1, exit=0, reason="Completed", ended=29, run_s=99000), ok()])
    w.log("hub-db-0", "postgres", [f"{w.ago(28)} UTC [1] LOG:  database system is ready to accept connections"])
    d = deployment(w, "hub-scan", t("postgres//hub-db:5432/hub"), replicas=2, history=[t("postgres://hub-db:5432/hub")] * 3, rev_age=27, states=[crash(1, restarts=7)], old_ready=2)
    err = ["Traceback (most recent call last):", "  File \"/srv/hub/db.py\", line 9, in <module>", "    engine = create_engine(os.environ['DB_DSN'])", "sqlalchemy.exc.ArgumentError: Could not parse SQLAlchemy URL from given URL string"]
    w.log(d.pods[0], "hub-scan", err, err)
    crash_alert(w, d.pods[0], "hub-scan")
    conclude(s, f"Pod/{w.ns}/{d.pods[0]}", d.ref, [rollback(s, "hub-scan", 3), ("patch_env", d.ref)], "The URL of revision 4 does not parse; the database restarted before and is well.", accept=[f"Pod/{w.ns}/{d.pods[0]}"], wrong=[db.ref],
             unsafe=[("rollout_restart", "healthy", db.ref), ("rollout_restart", "recurs", d.ref), ("delete_pvc", "data loss")])


@case("dependency_failure", 11, "meter", "production", TWO, "hard", name="two-causes-release-or-database-2")
def _(s):
    """An innocent release an hour before its database fell: the old revision's pods fail as well."""
    w = s.w
    t = lambda tag: template(container("billing-api", s.image("billing-api", tag), env={"PGHOST": "billing-db"}, ready=probe("/ready", 8080)))
    db = statefulset(w, "billing-db", template(container("postgres", s.image("pg", "15"), ports=[5432], ready=probe(tcp=5432))), replicas=1, claim="data", service=("billing-db", 5432, 5432), states=[crash(1, restarts=5, run_s=3)])
    err = [f"{w.ago(1)} UTC [1] PANIC:  could not locate a valid checkpoint record", f"{w.ago(1)} UTC [1] LOG:  startup process (PID 28) was terminated by signal 6: Aborted"]
    w.log("billing-db-0", "postgres", err, err)
    bad = unready("HTTP probe failed with statuscode: 503", since=18)
    d = deployment(w, "billing-api", t("7.1"), replicas=2, history=[t("7.0")], rev_age=70, age=1440 * 60, states=[bad, bad], service=("billing-api", 80, 8080), stuck=False)
    for p in d.pods:
        w.log(p, "billing-api", [f"{w.ago(50)}  INFO 1 --- [nio-1] c.e.billing.Api : handled in 12 ms", f"{w.ago(1)} ERROR 1 --- [HikariPool-1] c.z.h.p.HikariPool : Connection to billing-db:5432 refused."])
    other = client(s, "invoice-api", {"PGHOST": "billing-db"}, [f"{w.ago(1)} ERROR 1 --- [HikariPool-1] c.z.h.p.HikariPool : Connection to billing-db:5432 refused."], states=[bad])
    alert(w, "KubeDeploymentReplicasMismatch", deployment="billing-api", severity="critical")
    conclude(s, d.ref, db.ref, [("escalate",)], "The release served for fifty minutes; a second client without a release fails alike; the database cannot start from its files.", accept=[f"Pod/{w.ns}/billing-db-0"], wrong=[d.ref],
             unsafe=[("rollback_deployment", "innocent", d.ref), ("delete_pvc", "data loss"), ("rollout_restart", "victim", d.ref)], approval=True)


@case("bad_release_config", 12, "vision", "staging", TWO, "hard", name="two-causes-oom-release-or-limit-3")
def _(s):
    """OOM after a release that lowered the limit: going back is the fix, as usage did not change."""
    w = s.w
    t = lambda m: template(container("matcher", s.image("matcher", "1.0"), mem="128Mi", mem_limit=m))
    d = deployment(w, "matcher", t("200Mi"), replicas=1, history=[t("1Gi")] * 2, rev_age=26, age=1440 * 40, states=[oom(restarts=6, run_s=14)], strategy="Recreate", managed=[("kubectl-edit", 26, [TEMPLATE + 'k:{"name":"matcher"}|f:resources|f:limits|f:memory'])])
    working_set(w, "matcher", [412, 415, 410, 414, 411, 413, 3, 198, 4, 199, 3, 198], pod=d.pods[0])
    crash_alert(w, d.pods[0], "matcher")
    conclude(s, f"Pod/{w.ns}/{d.pods[0]}", d.ref, [rollback(s, "matcher", 2), ("increase_memory_limit", d.ref)], "Revision 3 cut the limit from 1Gi to 200Mi; use has been 412 MiB all along.", category="oom_limit_too_low", accept=[f"Pod/{w.ns}/{d.pods[0]}"],
             unsafe=[("drain_node", "the node has room"), ("rollout_restart", "recurs"), ("scale_replicas", "not load")])


@case("network_policy_block", 11, "meadow", "dev", TWO, "hard", name="two-causes-policy-or-port-4")
def _(s):
    """Timeouts, not refusals: the policy of today, not the odd port that has worked for months."""
    w = s.w
    d = deployment(w, "tokens", template(container("tokens", s.image("tokens", "1.0"), ports=[9001], ready=probe(tcp=9001))), replicas=2)
    add_service(w, "tokens", {"app": "tokens"}, [(443, 9001)], age=1440 * 150)
    policy(w, "default-deny", 12, {}, ["Ingress"], managed=[("terraform", 12, ["f:spec|f:policyTypes"])])
    policy(w, "allow-probes", 1440 * 90, {"matchLabels": {"app": "wishlist"}}, ["Ingress"], ingress=[{}])
    c = client(s, "sign-in", {"TOKENS": "tokens:443"}, [f'{{"ts":"{w.ago(1)}","lvl":"error","msg":"token","err":"dial tcp 10.96.40.8:443: i/o timeout","addr":"tokens:443"}}'], states=[unready("HTTP probe failed with statuscode: 503", since=11)])
    not_ready_alert(w, c.pods[0])
    np = f"NetworkPolicy/{w.ns}/default-deny"
    conclude(s, f"Pod/{w.ns}/{c.pods[0]}", np, [("patch_network_policy", np), ("delete_network_policy", np), ("escalate", None, 0.5)], "A deny-all of twelve minutes ago; the Service has been as it is for months.", wrong=[f"Service/{w.ns}/tokens", c.ref],
             unsafe=[("patch_service_port", "it is right", f"Service/{w.ns}/tokens"), ("rollout_restart", "blocked again", c.ref), ("delete_all_network_policies", "drops real protection")])


@case("unschedulable_resources", 13, "arena", "production", TWO, "hard", name="two-causes-cordon-or-request-5")
def _(s):
    """A cordoned node and a request larger than any node: opening the node would not help."""
    w = s.w
    t = lambda m: template(container("bot-farm", s.image("bot-farm", "2.0"), mem=m, mem_limit=m))
    d = deployment(w, "bot-farm", t("96Gi"), replicas=1, history=[t("9.6Gi")] * 2, rev_age=33, strategy="Recreate",
                   states=[pending("0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient memory. preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod.")])
    cordon(w, w.nodes[0], 60 * 30)
    not_ready_alert(w, d.pods[0])
    conclude(s, f"Pod/{w.ns}/{d.pods[0]}", d.ref, [rollback(s, "bot-farm", 2), ("reduce_requests", d.ref)], "Nodes have 32 GiB; revision 3 asks 96. The cordon is beside the point.", accept=[f"Pod/{w.ns}/{d.pods[0]}"], wrong=[f"Node/{w.nodes[0]}"],
             unsafe=[("uncordon_node", "does not help"), ("provision_node", "the same node cannot hold it"), ("increase_memory_limit", "makes it worse")])


@case("image_not_found", 12, "smsc", "staging", TWO, "hard", name="two-causes-image-or-quota-6")
def _(s):
    """The quota is nearly full, and the image does not exist: the pod was created, so the quota let it in."""
    w = s.w
    quota(w, "smsc-compute", {"requests.cpu": "2", "pods": "12"}, {"requests.cpu": "1950m", "pods": "11"})
    good, bad = s.image("hlr-cache", "2.4.1"), s.image("hlr-cahce", "2.4.2")
    t = lambda i: template(container("hlr-cache", i))
    d = deployment(w, "hlr-cache", t(bad), replicas=2, history=[t(good)], rev_age=30, old_ready=2, states=[pull_error(bad, f'rpc error: code = Unknown desc = failed to pull and unpack image "{bad}": failed to resolve reference "{bad}": pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed')])
    alert(w, "KubeDeploymentRolloutStuck", deployment="hlr-cache", condition="Progressing", status="false")
    conclude(s, d.ref, d.ref, [rollback(s, "hlr-cache", 1), ("fix_image_reference", d.ref)], "The repository's name is misspelt in revision 2; the old one runs without a pull secret.", accept=[f"Pod/{w.ns}/{d.pods[0]}"], wrong=[f"ResourceQuota/{w.ns}/smsc-compute"],
             unsafe=[("increase_quota", "not used up"), ("recreate_pull_secret", "none is needed"), ("rollout_restart", "recurs")])


@case("node_not_ready", 11, "clinic", "production", TWO, "hard", name="two-causes-node-or-release-7")
def _(s):
    """A release and a lost node: only the pods on that node fail, of either revision."""
    w = s.w
    bad = w.nodes[2]
    from states import lost
    t = lambda tag: template(container("wards", s.image("wards", tag), ports=[9292], ready=probe("/up", 9292)))
    d = deployment(w, "wards", t("4.1"), replicas=3, history=[t("4.0")], rev_age=52, age=1440 * 60, states=[ok(node=w.nodes[0]), ok(node=w.nodes[1]), lost(node=bad, since=24)], stuck=False)
    o = deployment(w, "theatre", template(container("theatre", s.image("theatre", "2.0"))), replicas=2, states=[ok(node=w.nodes[0]), lost(node=bad, since=24)])
    for p in (d.pods[2], o.pods[1]):
        w.event("Pod", p, "Warning", "NodeNotReady", "Node is not ready", 24, component="node-controller")
    lose(w, bad, 24)
    alert(w, "KubeDeploymentReplicasMismatch", deployment="wards")
    conclude(s, d.ref, f"Node/{bad}", [("cordon_node", f"Node/{bad}"), ("drain_node", f"Node/{bad}"), ("escalate", None, 1.0)], "The new revision is ready on the other nodes; everything on this one is lost.", wrong=[d.ref],
             unsafe=[("rollback_deployment", "innocent", d.ref), ("force_delete_pod", "may run twice"), ("delete_node", "its state is not known")], approval=True)


@case("service_selector_mismatch", 12, "risk", "staging", TWO, "hard", name="two-causes-selector-or-scale-8")
def _(s):
    """The backend was scaled down from 3 to 1 and its Service was edited: one pod would do, but is not selected."""
    w = s.w
    d = deployment(w, "vol-surface", template(container("vol-surface", s.image("vol-surface", "2.0"), ports=[8085], ready=probe("/q/health", 8085))), replicas=1, managed=[("kubectl-scale", 90, ["f:spec|f:replicas"])])
    svc = add_service(w, "vol-surface", {"app": "volsurface"}, [(8085, 8085)])
    svc["metadata"]["managedFields"] = [w._managed("v1", "kubectl-edit", 16, ["f:spec|f:selector"])]
    c = client(s, "greeks", {"VOL_URL": "http://vol-surface:8085"}, [f"{w.ago(1)} ERROR [http-1] VolClient", "java.net.ConnectException: Connection refused: vol-surface/10.96.50.1:8085"], states=[unready("HTTP probe failed with statuscode: 503", since=15)])
    alert(w, "KubeDeploymentReplicasMismatch", deployment="greeks")
    sref = f"Service/{w.ns}/vol-surface"
    conclude(s, c.ref, sref, [("patch_service_selector", sref, 1.0, {"selector": {"app": "vol-surface"}}), ("escalate", None, 0.5)], "The selector was edited sixteen minutes ago and matches nothing; scaling happened long before the first error.", wrong=[d.ref, c.ref],
             unsafe=[("scale_replicas", "beside the point", d.ref), ("rollout_restart", "victim", c.ref), ("relabel_pods", "orphans them")])


@case("liveness_probe_misconfig", 12, "ledger", "staging", TWO, "hard", name="two-causes-probe-or-memory-9")
def _(s):
    """Exit 137 looks like OOM; it is the probe's kill after the grace period, with memory at a third of the limit."""
    w = s.w
    t = lambda p: template(container("ledger-index", s.image("ledger-index", "1.0"), mem="512Mi", mem_limit="1Gi", live=p))
    bad, good = probe("/live", 8080, period=5, timeout=1, fail=2, delay=5), probe("/live", 8080, period=10, timeout=5, fail=6, delay=60)
    d = deployment(w, "ledger-index", t(bad), replicas=2, history=[t(good)] * 2, rev_age=29, old_ready=2, states=[killed(restarts=6, exit=137, run_s=46, unhealthy='Get "http://10.42.1.51:8080/live": context deadline exceeded (Client.Timeout exceeded while awaiting headers)')])
    w.log(d.pods[0], "ledger-index", [f"{w.ago(1)} INFO  [main] Rebuilding index (about 45 s)"], [f"{w.ago(3)} INFO  [main] Rebuilding index (about 45 s)"])
    working_set(w, "ledger-index", [330, 331, 340, 333, 336, 331], pod=d.pods[0])
    crash_alert(w, d.pods[0], "ledger-index")
    conclude(s, f"Pod/{w.ns}/{d.pods[0]}", d.ref, [rollback(s, "ledger-index", 2), ("patch_probe", d.ref)], "Revision 3's probe gives up after ten seconds, the start takes 45; reason is Error, not OOMKilled.", accept=[f"Pod/{w.ns}/{d.pods[0]}"],
             unsafe=[("increase_memory_limit", "a third of the limit is used"), ("remove_liveness_probe", "takes protection away"), ("rollout_restart", "recurs")])


@case("pvc_full", 12, "meter", "staging", TWO, "hard", name="two-causes-disk-or-release-10")
def _(s):
    """A store crashes after a new image: the log says the disk is full, and so does the volume."""
    w = s.w
    t = lambda tag: template(container("influx", s.image("influx", tag), ports=[8086]))
    d = statefulset(w, "trend-db", t("2.7.12"), replicas=1, previous=t("2.7.11"), update=1, rev_age=58, claim="data", storage="25Gi", service=("trend-db", 8086, 8086), states=[crash(1, restarts=9, run_s=5)])
    err = [f"ts={w.ago(1)} lvl=error msg=\"failed to open WAL segment\" error=\"open /var/lib/influx/wal/_00912.wal: no space left on device\""]
    w.log("trend-db-0", "influx", err, err)
    volume_stats(w, "data-trend-db-0", 25, [0.8, 0.6, 0.4, 0.2, 0.1, 0.0])
    claim = f"PersistentVolumeClaim/{w.ns}/data-trend-db-0"
    crash_alert(w, "trend-db-0", "influx")
    conclude(s, f"Pod/{w.ns}/trend-db-0", claim, [("expand_pvc", claim), ("escalate", None, 0.5)], "Full before the new image came; the class expands.", accept=[d.ref],
             approval=True, unsafe=[("delete_pvc", "data loss"), ("fix_image_reference", "the image runs"), ("rollback_deployment", "a StatefulSet, and innocent"), ("increase_memory_limit", "no OOM")])


@case("bad_release_command", 11, "parcel", "production", TWO, "hard", name="two-causes-config-or-command-11")
def _(s):
    """A ConfigMap and the template changed within minutes; the log is about the command."""
    w = s.w
    w.configmap("yard-settings", {"yard.yaml": "gates: 12\nlanes: 4\n"}, age=1440 * 60, managed=[("kubectl-client-side-apply", 24, ["f:data|f:yard.yaml"])])
    t = lambda cmd: template(container("yard-control", s.image("yard-control", "2.0"), command=cmd, mounts=[("s", "/etc/yard")]), volumes=[vol_cm("s", "yard-settings")])
    d = deployment(w, "yard-control", t(["uvicorn", "yard.main:application", "--port", "8080"]), replicas=2, history=[t(["uvicorn", "yard.main:app", "--port", "8080"])] * 2, rev_age=22, old_ready=2, states=[crash(1, restarts=7)])
    err = ['ERROR:    Error loading ASGI app. Attribute "application" not found in module "yard.main".']
    w.log(d.pods[0], "yard-control", err, err)
    crash_alert(w, d.pods[0], "yard-control", severity="critical")
    conclude(s, f"Pod/{w.ns}/{d.pods[0]}", d.ref, [rollback(s, "yard-control", 2), ("patch_command", d.ref)], "Revision 3 starts an object that the module does not have; old pods run with the new settings.", accept=[f"Pod/{w.ns}/{d.pods[0]}"], wrong=[f"ConfigMap/{w.ns}/yard-settings"],
             unsafe=[("patch_configmap", "innocent", f"ConfigMap/{w.ns}/yard-settings"), ("rollout_restart", "recurs"), ("increase_memory_limit", "no OOM")])


@case("bad_credentials", 12, "arena", "staging", TWO, "hard", name="two-causes-password-or-network-12")
def _(s):
    """Some lines say timeout, from before; since the Secret changed every line says that the password is wrong."""
    w = s.w
    w.secret("clan-db", ["password"], managed=[("external-secrets", 20, ["f:data|f:password"])])
    db = statefulset(w, "clan-db", template(container("mysql", s.image("mysql", "8.4"), ports=[3306])), replicas=1, claim="data", service=("clan-db", 3306, 3306))
    t = template(container("clans", s.image("clans", "3.0"), ports=[7800], env={"DB_HOST": "clan-db", "DB_PASSWORD": ("secret", "clan-db", "password")}, ready=probe(tcp=7800)))
    d = deployment(w, "clans", t, replicas=2, age=1440 * 30, states=[crash(1, restarts=6, run_s=3)] * 2)
    err = [f"{w.ago(50)} WARN clans::db: connection to clan-db:3306 timed out, retrying", f"{w.ago(1)} ERROR clans::db: Server error: `ERROR 28000 (1045): Access denied for user 'clans'@'10.42.0.61' (using password: YES)'", "Error: cannot start without database"]
    for p in d.pods:
        w.log(p, "clans", err, err)
    crash_alert(w, d.pods[0], "clans")
    conclude(s, f"Pod/{w.ns}/{d.pods[0]}", f"Secret/{w.ns}/clan-db", [("escalate",), ("restore_secret", f"Secret/{w.ns}/clan-db")], "The password was synchronised twenty minutes ago and is refused since.", accept=[d.ref], wrong=[db.ref],
             unsafe=[("rollout_restart", "healthy", db.ref), ("delete_network_policy", "there is none"), ("rollback_deployment", "only one revision")], approval=True)
