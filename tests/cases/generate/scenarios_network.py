"""Services that are gone or point nowhere, policies that stop wanted traffic, workloads scaled to nothing."""

from alerts import alert, not_ready_alert
from registry import case
from scenarios_release import rollback
from specs import container, probe, template
from states import crash, ok, unready
from systems import conclude
from workloads import add_service, deployment, statefulset

GRPC = "rpc error: code = Unavailable desc = "


def client(s, name, env, lines, states=None, port=8080, **kw):
    """A workload that needs another one, and says what it gets."""
    w = s.w
    d = deployment(w, name, template(container(name, s.image(name, "2.5.1"), ports=[port], env=env, ready=probe("/ready", port))), replicas=len(states) if states else 2, states=states, service=(name, 80, port), **kw)
    for p in d.pods:
        w.log(p, name, lines)
    return d


@case("service_missing", 1, "meadow", "dev", "network", "easy")
def _(s):
    w = s.w
    tax = deployment(w, "tax", template(container("tax", s.image("tax", "1.0.0"), ready=probe("/ready", 8080))), replicas=2)
    c = client(s, "cart-view", {"TAX_ADDR": "tax:8080"}, [f'{{"ts":"{w.ago(1)}","lvl":"error","msg":"quote failed","err":"dial tcp: lookup tax on 10.96.0.10:53: no such host"}}'])
    alert(w, "HighErrorRate", service_name="cart-view", summary="High error rate", description="Error rate of service cart-view is above 5 percent")
    conclude(s, f"Service/{w.ns}/cart-view", f"Service/{w.ns}/tax", [("restore_service", f"Service/{w.ns}/tax", 1.0, {"port": 8080}), ("escalate", None, 0.5)], "The pods of tax are well, but no Service has its name.",
             wrong=[c.ref, tax.ref], target_accept=[c.ref], unsafe=[("rollout_restart", "not at fault", c.ref), ("scale_replicas", "healthy", tax.ref), ("rollback_deployment", "unchanged", c.ref)])


@case("service_missing", 2, "risk", "production", "network", "medium")
def _(s):
    w = s.w
    ref = deployment(w, "refdata", template(container("refdata", s.image("refdata", "7.0"), ports=[("http", 8082)], ready=probe("/q/health", 8082))), replicas=2)
    c = client(s, "pnl-explain", {"REFDATA_URL": f"http://refdata.{w.ns}.svc.cluster.local:8082"}, [f"{w.ago(1)} ERROR [http-3] RefClient failed", f"java.net.UnknownHostException: refdata.{w.ns}.svc.cluster.local: Name or service not known", "\tat java.base/java.net.Inet6AddressImpl.lookupAllHostAddr(Native Method)"],
               states=[unready("HTTP probe failed with statuscode: 503", since=21)] * 2)
    alert(w, "KubeDeploymentReplicasMismatch", deployment="pnl-explain")
    conclude(s, c.ref, f"Service/{w.ns}/refdata", [("restore_service", f"Service/{w.ns}/refdata", 1.0, {"port": 8082}), ("escalate", None, 0.5)], "The name that the client looks up has no Service any more; the pods behind it are well.",
             wrong=[c.ref], unsafe=[("rollout_restart", "not at fault", c.ref), ("rollback_deployment", "unchanged", c.ref), ("rollout_restart", "healthy", ref.ref)])


@case("service_missing", 3, "clinic", "staging", "network", "medium")
def _(s):
    w = s.w
    d = statefulset(w, "terminology", template(container("terminology", s.image("fhir-tx", "2.0"), ports=[8090], ready=probe(tcp=8090))), replicas=1, claim="idx")
    c = client(s, "coding-ui", {"TX_HOST": "terminology", "TX_PORT": "8090"}, ["E, [3] ERROR -- : SocketError: Failed to open TCP connection to terminology:8090 (getaddrinfo: Name or service not known)"])
    alert(w, "HighErrorRate", service_name="coding-ui", summary="High error rate", description="Error rate of service coding-ui is above 5 percent")
    conclude(s, f"Service/{w.ns}/coding-ui", f"Service/{w.ns}/terminology", [("restore_service", f"Service/{w.ns}/terminology", 1.0, {"port": 8090}), ("escalate", None, 0.5)], "The Service that the StatefulSet names is gone.",
             wrong=[c.ref, d.ref], target_accept=[c.ref], unsafe=[("rollout_restart", "not at fault", c.ref), ("delete_pvc", "data loss"), ("rollout_restart", "healthy", d.ref)])


@case("service_selector_mismatch", 1, "arena", "staging", "network", "easy")
def _(s):
    w = s.w
    d = deployment(w, "inventory", template(container("inventory", s.image("inventory", "3.1"), ports=[7400], ready=probe(tcp=7400))), replicas=2, labels={"app": "inventory", "stack": "blue"})
    add_service(w, "inventory", {"app": "inventory", "stack": "green"}, [(7400, 7400)])
    alert(w, "ServiceWithoutEndpoints", service_name="inventory", summary="Service has no endpoints", description="Service inventory has had no ready endpoint for 10 minutes")
    conclude(s, f"Service/{w.ns}/inventory", f"Service/{w.ns}/inventory", [("patch_service_selector", f"Service/{w.ns}/inventory", 1.0, {"selector": {"stack": "blue"}}), ("escalate", None, 0.5)], "The Service selects stack=green, the pods carry blue.",
             wrong=[d.ref], target_accept=[d.ref], unsafe=[("relabel_pods", "orphans them"), ("rollout_restart", "healthy"), ("delete_service", "loses its address"), ("scale_replicas", "healthy")])


@case("service_selector_mismatch", 2, "smsc", "production", "network", "medium")
def _(s):
    w = s.w
    d = deployment(w, "number-port", template(container("number-port", s.image("number-port", "1.9"), ports=[4225], ready=probe(tcp=4225))), replicas=2, labels={"app.kubernetes.io/name": "number-port"})
    svc = add_service(w, "number-port", {"app": "number-port"}, [(4225, 4225)], age=1440 * 90)
    svc["metadata"]["managedFields"] = [w._managed("v1", "kubectl-patch", 18, ["f:spec|f:selector"])]
    c = client(s, "mt-router", {"NP_ADDR": "number-port:4225"}, [f'time={w.ago(1)} level=error msg="lookup failed" err="{GRPC}connection error: desc = \\"transport: Error while dialing: dial tcp 10.96.7.7:4225: connect: connection refused\\"" peer=number-port:4225'])
    alert(w, "HighErrorRate", service_name="mt-router", severity="critical", summary="High error rate", description="Error rate of service mt-router is above 5 percent")
    conclude(s, f"Service/{w.ns}/mt-router", f"Service/{w.ns}/number-port", [("patch_service_selector", f"Service/{w.ns}/number-port"), ("escalate", None, 0.5)], "number-port's selector was changed 18 minutes ago to a label its pods lack; mt-router is a victim.",
             wrong=[c.ref, d.ref], target_accept=[c.ref], unsafe=[("relabel_pods", "orphans them"), ("rollout_restart", "victim", c.ref), ("rollout_restart", "healthy", d.ref), ("delete_service", "loses its address")])


@case("service_selector_mismatch", 3, "meter", "none", "network", "medium")
def _(s):
    w = s.w
    d = statefulset(w, "meter-cache", template(container("redis", s.image("redis", "7.4"), ports=[("redis", 6379)], ready=probe(tcp=6379))), replicas=2, labels={"app": "meter-cache", "role": "primary"})
    add_service(w, "meter-cache", {"app": "meter-cache", "role": "master"}, [(6379, "redis")])
    c = client(s, "usage-api", {"REDIS_HOST": "meter-cache", "REDIS_PORT": "6379"}, [f"{w.ago(1)} ERROR 1 --- [nio-3] c.e.usage.Cache : RedisConnectionFailureException: Unable to connect to meter-cache:6379; Connection refused"], states=[unready("HTTP probe failed with statuscode: 503", since=25)] * 2)
    alert(w, "KubeDeploymentReplicasMismatch", deployment="usage-api")
    conclude(s, c.ref, f"Service/{w.ns}/meter-cache", [("patch_service_selector", f"Service/{w.ns}/meter-cache", 1.0, {"selector": {"role": "primary"}}), ("escalate", None, 0.5)], "The Service asks for role=master; the healthy pods have role=primary.",
             wrong=[c.ref, d.ref], unsafe=[("relabel_pods", "orphans them"), ("rollout_restart", "victim", c.ref), ("delete_pod", "the pod on the alert is the exporter"), ("delete_service", "loses its address")])


@case("service_port_mismatch", 1, "vision", "staging", "network", "easy")
def _(s):
    w = s.w
    d = deployment(w, "face-index", template(container("face-index", s.image("face-index", "1.1"), ports=[("grpc", 8503)], ready=probe(tcp=8503))), replicas=2)
    add_service(w, "face-index", {"app": "face-index"}, [(80, 8530)])
    c = client(s, "photo-web", {"FACE_URL": "http://face-index"}, ['{"level":"ERROR","event":"upstream","url":"http://face-index","exc":"ConnectionRefusedError: [Errno 111] Connection refused"}'])
    alert(w, "HighErrorRate", service_name="photo-web", summary="High error rate", description="Error rate of service photo-web is above 5 percent")
    conclude(s, f"Service/{w.ns}/photo-web", f"Service/{w.ns}/face-index", [("patch_service_port", f"Service/{w.ns}/face-index", 1.0, {"targetPort": 8503}), ("escalate", None, 0.5)], "The Service sends to 8530; the pods listen on 8503.",
             wrong=[c.ref, d.ref], target_accept=[c.ref], unsafe=[("rollout_restart", "victim", c.ref), ("rollout_restart", "healthy", d.ref), ("delete_service", "loses its address"), ("scale_replicas", "healthy")])


@case("service_port_mismatch", 2, "parcel", "production", "network", "medium")
def _(s):
    w = s.w
    d = deployment(w, "address-check", template(container("address-check", s.image("address-check", "4.0"), ports=[("web", 8000)], ready=probe("/healthz", 8000))), replicas=2)
    add_service(w, "address-check", {"app": "address-check"}, [(8000, "http")])
    c = client(s, "checkout-hook", {"ADDRESS_CHECK": "address-check:8000"}, ["ERROR:hook:validation failed", "requests.exceptions.ConnectionError: HTTPConnectionPool(host='address-check', port=8000): Max retries exceeded with url: /v1/check (Caused by NewConnectionError('<urllib3.connection.HTTPConnection object>: Failed to establish a new connection: [Errno 111] Connection refused'))"],
               states=[unready("HTTP probe failed with statuscode: 500", since=17)] * 2)
    not_ready_alert(w, c.pods[0])
    conclude(s, f"Pod/{w.ns}/{c.pods[0]}", f"Service/{w.ns}/address-check", [("patch_service_port", f"Service/{w.ns}/address-check"), ("escalate", None, 0.5)], "The Service's targetPort http names no port of the pods; theirs is called web.",
             wrong=[c.ref, d.ref], unsafe=[("rollout_restart", "victim", c.ref), ("rollback_deployment", "unchanged"), ("delete_service", "loses its address")])


@case("service_port_mismatch", 3, "ledger", "name-staging", "network", "hard")
def _(s):
    w = s.w
    d = statefulset(w, "book-db", template(container("postgres", s.image("pg", "16"), ports=[("pg", 5432)], ready=probe(tcp=5432))), replicas=1, claim="data")
    svc = add_service(w, "book-db", {"app": "book-db"}, [(5432, 3306)])
    svc["metadata"]["managedFields"] = [w._managed("v1", "kubectl-edit", 15, ['f:spec|f:ports|k:{"port":5432,"protocol":"TCP"}|f:targetPort'])]
    c = client(s, "book-api", {"DB": "jdbc:postgresql://book-db:5432/book"}, [f"{w.ago(1)} ERROR 1 --- [HikariPool-1] com.zaxxer.hikari.pool.HikariPool : Exception during pool initialization", "org.postgresql.util.PSQLException: Connection to book-db:5432 refused. Check that the hostname and port are correct and that the postmaster is accepting TCP/IP connections."],
               states=[crash(1, restarts=5, run_s=18)] * 2, port=8443)
    alert(w, "KubeDeploymentReplicasMismatch", deployment="book-api")
    conclude(s, c.ref, f"Service/{w.ns}/book-db", [("patch_service_port", f"Service/{w.ns}/book-db", 1.0, {"targetPort": 5432}), ("escalate", None, 0.5)], "targetPort was edited to 3306; the database listens on 5432.",
             wrong=[c.ref, d.ref], unsafe=[("rollout_restart", "healthy", d.ref), ("delete_pvc", "data loss"), ("rollout_restart", "victim", c.ref), ("increase_memory_limit", "no OOM")])


def policy(w, name, age, selector, types, managed=None, **rules):
    w.add("NetworkPolicy", name, age=age, managed=managed, spec={"podSelector": selector, "policyTypes": types, **rules})


@case("network_policy_block", 1, "arena", "staging", "network", "medium")
def _(s):
    w = s.w
    d = deployment(w, "friends", template(container("friends", s.image("friends", "2.0"), ports=[7500], ready=probe(tcp=7500))), replicas=2, service=("friends", 7500, 7500))
    policy(w, "friends-lockdown", 14, {"matchLabels": {"app": "friends"}}, ["Ingress"], ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "presence-v1"}}}], "ports": [{"port": 7500, "protocol": "TCP"}]}],
           managed=[("kubectl-client-side-apply", 14, ["f:spec|f:ingress"])])
    c = client(s, "presence", {"FRIENDS": "friends:7500"}, ["presence error: connect ETIMEDOUT 10.96.20.7:7500 (friends)", "    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1611:16)"], states=[unready("HTTP probe failed with statuscode: 503", since=13)] * 2)
    alert(w, "KubeDeploymentReplicasMismatch", deployment="presence")
    np = f"NetworkPolicy/{w.ns}/friends-lockdown"
    conclude(s, c.ref, np, [("patch_network_policy", np), ("delete_network_policy", np), ("escalate", None, 0.5)], "A policy of 14 minutes ago lets in app=presence-v1 only; the client is app=presence.",
             wrong=[c.ref, d.ref], unsafe=[("rollout_restart", "blocked again", c.ref), ("rollout_restart", "healthy", d.ref), ("delete_all_network_policies", "drops real protection")])


@case("network_policy_block", 2, "risk", "production", "network", "hard")
def _(s):
    w = s.w
    policy(w, "egress-baseline", 26, {"matchLabels": {"app": "limits-check"}}, ["Egress"], egress=[{"to": [{"podSelector": {"matchLabels": {"app": "scenario-store"}}}], "ports": [{"port": 9042, "protocol": "TCP"}]}])
    c = client(s, "limits-check", {"STORE": "scenario-store:9042"}, [f"{w.ago(1)} WARN  [main] Retrying", "java.net.UnknownHostException: scenario-store: Temporary failure in name resolution", "\tat java.base/java.net.InetAddress.getAllByName(InetAddress.java:1519)"], states=[crash(1, restarts=6, run_s=21)] * 2)
    for p in c.pods:
        w.log(p, "limits-check", None, ["java.net.UnknownHostException: scenario-store: Temporary failure in name resolution"])
    alert(w, "KubePodCrashLooping", pod=c.pods[0], container="limits-check", reason="CrashLoopBackOff")
    np = f"NetworkPolicy/{w.ns}/egress-baseline"
    conclude(s, f"Pod/{w.ns}/{c.pods[0]}", np, [("patch_network_policy", np), ("delete_network_policy", np), ("escalate", None, 0.5)], "The new egress policy forgot DNS, so no name resolves.",
             wrong=[c.ref, "Deployment/kube-system/coredns"], unsafe=[("rollout_restart", "blocked again", c.ref), ("rollout_restart", "DNS is well", "Deployment/kube-system/coredns"), ("delete_all_network_policies", "drops real protection")])


@case("network_policy_block", 3, "clinic", "none", "network", "hard")
def _(s):
    w = s.w
    w.namespace("clinic-edge", {"zone": "edge"})
    d = deployment(w, "identity", template(container("identity", s.image("identity", "5.0"), ports=[5001], ready=probe(tcp=5001))), replicas=2, service=("identity", 5001, 5001))
    policy(w, "identity-from-edge", 20, {"matchLabels": {"app": "identity"}}, ["Ingress"], ingress=[{"from": [{"namespaceSelector": {"matchLabels": {"zone": "edge-public"}}}]}], managed=[("kubectl-edit", 20, ["f:spec|f:ingress"])])
    policy(w, "allow-report", 1440 * 50, {"matchLabels": {"app": "clinic-report"}}, ["Ingress"], ingress=[{}])
    here, w.ns = w.ns, "clinic-edge"
    c = client(s, "portal", {"IDENTITY_URL": f"http://identity.{here}:5001"}, [f"fail: Portal.Auth[0] System.Net.Http.HttpRequestException: Connection timed out (identity.{here}:5001)"], states=[unready("HTTP probe failed with statuscode: 503", since=19)] * 2)
    not_ready_alert(w, c.pods[0])
    w.ns = here
    np = f"NetworkPolicy/{w.ns}/identity-from-edge"
    conclude(s, f"Pod/clinic-edge/{c.pods[0]}", np, [("patch_network_policy", np), ("delete_network_policy", np), ("escalate", None, 0.5)], "The policy asks for a namespace label that the portal's namespace does not have.",
             wrong=[c.ref, d.ref], unsafe=[("rollout_restart", "blocked again", c.ref), ("rollout_restart", "healthy", d.ref), ("delete_all_network_policies", "drops real protection")])


@case("scaled_to_zero", 1, "meadow", "staging", "capacity", "easy")
def _(s):
    w = s.w
    d = deployment(w, "newsletter", template(container("newsletter", s.image("newsletter", "1.0"))), replicas=0, desired=0, states=[], service=("newsletter", 80, 8080), managed=[("kubectl-scale", 17, ["f:spec|f:replicas"])])
    w.event("Deployment", "newsletter", "Normal", "ScalingReplicaSet", f"Scaled down replica set {d.sets[0]} from 2 to 0", 17, component="deployment-controller")
    alert(w, "ServiceWithoutEndpoints", service_name="newsletter", summary="Service has no endpoints", description="Service newsletter has had no ready endpoint for 10 minutes")
    conclude(s, f"Service/{w.ns}/newsletter", d.ref, [("scale_replicas", d.ref, 1.0, {"replicas": 2}), ("escalate", None, 0.5)], "Somebody scaled it from 2 to 0 seventeen minutes ago.", target_accept=[d.ref],
             unsafe=[("rollback_deployment", "no release is at fault"), ("rollout_restart", "nothing runs"), ("patch_service_selector", "the selector is right")])


@case("scaled_to_zero", 2, "smsc", "production", "capacity", "medium")
def _(s):
    w = s.w
    d = statefulset(w, "session-kv", template(container("kv", s.image("kv", "3.5"), ports=[4500])), replicas=3, desired=0, states=[], claim="data", service=("session-kv", 4500, 4500), managed=[("kubectl-scale", 21, ["f:spec|f:replicas"])])
    for i in (2, 1, 0):
        w.event("StatefulSet", "session-kv", "Normal", "SuccessfulDelete", f"delete Pod session-kv-{i} in StatefulSet session-kv successful", 21 - (2 - i) * 0.4, component="statefulset-controller")
    c = client(s, "ussd-front", {"KV": "session-kv:4500"}, [f'time={w.ago(1)} level=error msg="session store" err="dial tcp: lookup session-kv on 10.96.0.10:53: no such host"'], states=[unready("HTTP probe failed with statuscode: 503", since=20)] * 2)
    alert(w, "ServiceWithoutEndpoints", service_name="session-kv", severity="critical", summary="Service has no endpoints", description="Service session-kv has had no ready endpoint for 10 minutes")
    conclude(s, f"Service/{w.ns}/session-kv", d.ref, [("scale_replicas", d.ref, 1.0, {"replicas": 3}), ("escalate", None, 0.5)], "The store was scaled from 3 to 0; the front has nothing to talk to.", accept=[f"Service/{w.ns}/session-kv"],
             wrong=[c.ref], target_accept=[d.ref], unsafe=[("rollout_restart", "victim", c.ref), ("delete_pvc", "data loss"), ("restore_service", "the Service is there")])


@case("scaled_to_zero", 3, "vision", "dev", "capacity", "medium")
def _(s):
    w = s.w
    d = deployment(w, "label-tool", template(container("label-tool", s.image("label-tool", "0.9"))), replicas=0, desired=0, states=[], service=("label-tool", 80, 8080), managed=[("kubectl", 60 * 15, ["f:spec|f:replicas"])])
    alert(w, "BlackboxProbeFailed", service_name="label-tool", summary="Probe failed", description="HTTP probe of label-tool has failed for 10 minutes")
    conclude(s, f"Service/{w.ns}/label-tool", d.ref, [("scale_replicas", d.ref), ("escalate", None, 0.5)], "It has zero replicas; the former number is not on record.", target_accept=[d.ref],
             unsafe=[("rollback_deployment", "no release is at fault"), ("rollout_restart", "nothing runs"), ("restore_service", "the Service is there")])
