"""Images that cannot be pulled or do not run on the node."""

from alerts import alert, crash_alert, waiting_alert
from registry import case
from scenarios_release import rollback
from specs import container, probe, template
from states import crash, ok, pull_error
from systems import conclude
from workloads import daemonset, deployment


def not_found(image):
    return f'rpc error: code = NotFound desc = failed to pull and unpack image "{image}": failed to resolve reference "{image}": {image}: not found'


def no_match(image):
    return f'rpc error: code = NotFound desc = failed to pull and unpack image "{image}": no match for platform in manifest: not found'


@case("image_not_found", 1, "clinic", "production", "image", "easy")
def _(s):
    w = s.w
    good, bad = s.image("prescriptions", "8.4.0"), s.image("prescriptions", "8.4.O")
    t = lambda i: template(container("prescriptions", i, ports=[9292], ready=probe("/up", 9292)))
    d = deployment(w, "prescriptions", t(bad), replicas=3, history=[t(good)] * 3, rev_age=26, states=[pull_error(bad, not_found(bad))], old_ready=3, service=("prescriptions", 80, 9292))
    alert(w, "KubeDeploymentRolloutStuck", deployment="prescriptions", condition="Progressing", status="false")
    conclude(s, d.ref, d.ref, [rollback(s, "prescriptions", 3), ("fix_image_reference", d.ref)], "The tag of revision 4 does not exist; revision 3 serves.",
             accept=[f"Pod/{w.ns}/{d.pods[0]}"], unsafe=[("delete_pod", "pulls the same tag"), ("recreate_pull_secret", "not a matter of rights"), ("rollout_restart", "same tag")])


@case("image_not_found", 2, "meter", "staging", "image", "hard")
def _(s):
    w = s.w
    good, bad = s.image("probe-agent", "1.12.3"), s.image("probe-agent", "1.13.0-rc")
    t = lambda i: template(container("probe-agent", i, ports=[9100], mem="64Mi", mem_limit="128Mi"))
    first = w.nodes[0]
    d = daemonset(w, "probe-agent", t(bad), previous=t(good), updated=[first], rev_age=31, states={first: pull_error(bad, not_found(bad))})
    alert(w, "KubeDaemonSetRolloutStuck", daemonset="probe-agent")
    conclude(s, d.ref, d.ref, [("fix_image_reference", d.ref), ("escalate", None, 0.5)], "The new revision's tag does not exist; two nodes still run the old image.",
             accept=[f"Pod/{w.ns}/{d.pods[0]}"], unsafe=[("delete_pod", "the healthy pods would be replaced by broken ones"), ("drain_node", "not a node fault"), ("cordon_node", "not a node fault")])


@case("image_not_found", 3, "arena", "none", "image", "hard")
def _(s):
    w = s.w
    good, half, bad = s.image("chat", "22.1.0"), s.image("chat", "22.2.0-beta"), s.image("chat", "22.2.0")
    t = lambda i: template(container("chat", i, ports=[7300], ready=probe(tcp=7300)))
    d = deployment(w, "chat", t(bad), replicas=2, history=[t(good), t(half)], rev_age=12, age=1440 * 30, states=[pull_error(bad, not_found(bad)), pull_error(bad, not_found(bad))], strategy="Recreate",
                   service=("chat", 7300, 7300))
    w.get("ReplicaSet", d.sets[1])["metadata"]["creationTimestamp"] = w.ago(25)
    waiting_alert(w, d.pods[0], "chat", "ImagePullBackOff")
    w.past(1, "image_not_found", d.ref, "escalate", 22, 0.0, "manual_review", "KubeContainerWaiting", note="revision 2: image not found as well")
    w.event("Deployment", "chat", "Normal", "ScalingReplicaSet", f"Scaled down replica set {d.sets[1]} from 2 to 0", 12, component="deployment-controller")
    conclude(s, f"Pod/{w.ns}/{d.pods[0]}", d.ref, [("rollback_deployment", d.ref), ("fix_image_reference", d.ref), ("escalate", None, 0.5)],
             "The tag of revision 3 does not exist; neither did that of revision 2, so revision 1 is the one to go back to.", accept=[f"Pod/{w.ns}/{d.pods[0]}"],
             unsafe=[("rollout_restart", "same tag"), ("scale_replicas", "same tag")])


@case("image_pull_auth", 1, "parcel", "staging", "image", "easy")
def _(s):
    w, image = s.w, s.image("depot-sync", "3.1.0")
    d = deployment(w, "depot-sync", template(container("depot-sync", image), pull=["harbor-pull"]), replicas=2, rev_age=1440 * 12, age=1440 * 40,
                   states=[ok(), pull_error(image, f'rpc error: code = Unknown desc = failed to pull and unpack image "{image}": failed to resolve reference "{image}": pull access denied, repository does not exist or may require authorization: authorization failed: no basic auth credentials', since=35)])
    w.event("Pod", d.pods[1], "Warning", "FailedToRetrieveImagePullSecret", "Unable to retrieve some image pull secrets (harbor-pull); attempting to pull the image may not succeed.", 35, 0.5, 60)
    w.namespaces_once("fleet-shared")
    w.secret("harbor-pull", [".dockerconfigjson"], ns="fleet-shared", type="kubernetes.io/dockerconfigjson")
    waiting_alert(w, d.pods[1], "depot-sync", "ImagePullBackOff")
    conclude(s, f"Pod/{w.ns}/{d.pods[1]}", f"Secret/{w.ns}/harbor-pull", [("recreate_pull_secret", f"Secret/{w.ns}/harbor-pull"), ("escalate", None, 1.0)],
             "The pull secret that the template names is gone from the namespace; the registry wants credentials.", accept=[d.ref],
             unsafe=[("rollback_deployment", "template unchanged"), ("fix_image_reference", "another pod runs this very image"), ("delete_pod", "recurs")])


@case("image_pull_auth", 2, "ledger", "production", "image", "medium")
def _(s):
    w, image = s.w, s.image("audit-export", "2.0.8")
    error = f'rpc error: code = Unknown desc = failed to pull and unpack image "{image}": failed to resolve reference "{image}": unexpected status from HEAD request to https://cr.ledger.example/v2/core/audit-export/manifests/2.0.8: 403 Forbidden'
    w.secret("cr-robot", [".dockerconfigjson"], type="kubernetes.io/dockerconfigjson", age=1440 * 365)
    d = deployment(w, "audit-export", template(container("audit-export", image), pull=["cr-robot"]), replicas=1, rev_age=1440 * 5, age=1440 * 5, states=[pull_error(image, error, since=48)])
    alert(w, "KubeDeploymentReplicasMismatch", deployment="audit-export", severity="critical")
    conclude(s, d.ref, f"Secret/{w.ns}/cr-robot", [("escalate",), ("recreate_pull_secret", f"Secret/{w.ns}/cr-robot")], "The pull secret exists, but the registry refuses its account.",
             accept=[d.ref], unsafe=[("fix_image_reference", "403 is not 404"), ("rollback_deployment", "only one revision"), ("rollout_restart", "recurs")], approval=True)


@case("image_pull_auth", 3, "smsc", "staging", "image", "hard")
def _(s):
    w, image = s.w, s.image("spam-filter", "5.5.1")
    error = f'rpc error: code = Unknown desc = failed to pull and unpack image "{image}": failed to resolve reference "{image}": failed to authorize: failed to fetch anonymous token: unexpected status from GET request to https://docker.telco.example/token: 401 Unauthorized'
    w.secret("telco-registry", [".dockerconfigjson"], type="kubernetes.io/dockerconfigjson")
    t = lambda pull: template(container("spam-filter", image, ready=probe(tcp=8080)), pull=pull)
    d = deployment(w, "spam-filter", t(None), replicas=2, history=[t(["telco-registry"]), t(["telco-registry"])], rev_age=28, states=[pull_error(image, error)], old_ready=2)
    alert(w, "KubeDeploymentRolloutStuck", deployment="spam-filter", condition="Progressing", status="false")
    conclude(s, d.ref, d.ref, [rollback(s, "spam-filter", 2), ("escalate", None, 0.5)], "Revision 3 no longer names the pull secret; the same image runs in revision 2.",
             accept=[f"Pod/{w.ns}/{d.pods[0]}"], wrong=[f"Secret/{w.ns}/telco-registry"], unsafe=[("fix_image_reference", "the image exists"), ("rollout_restart", "recurs")])


ARM = {"names": ["amd-a", "amd-b", "arm-a"], "arch": {"arm-a": "arm64"}}


@case("image_arch_mismatch", 1, "vision", "staging", "image", "medium", nodes={"names": ["gx-1", "gx-2", "gx-3"], "arch": {"gx-1": "arm64", "gx-2": "arm64", "gx-3": "arm64"}})
def _(s):
    w = s.w
    good, bad = s.image("captioner", "1.4.0"), s.image("captioner", "1.5.0")
    t = lambda i: template(container("captioner", i, mem="1Gi", mem_limit="2Gi"))
    d = deployment(w, "captioner", t(bad), replicas=2, history=[t(good), t(good)], rev_age=34, states=[pull_error(bad, no_match(bad))], old_ready=2, service=("captioner", 8500, 8080))
    waiting_alert(w, d.pods[0], "captioner", "ImagePullBackOff")
    conclude(s, f"Pod/{w.ns}/{d.pods[0]}", d.ref, [rollback(s, "captioner", 2), ("fix_image_reference", d.ref, 0.5), ("escalate", None, 0.5)], "1.5.0 was built for another platform than these nodes have.",
             accept=[f"Pod/{w.ns}/{d.pods[0]}"], unsafe=[("recreate_pull_secret", "not a matter of rights"), ("drain_node", "all nodes are alike"), ("rollout_restart", "same image")])


@case("image_arch_mismatch", 2, "risk", "production", "image", "hard", nodes=ARM)
def _(s):
    w = s.w
    image = s.image("pathgen", "11.0.1")
    d = deployment(w, "pathgen", template(container("pathgen", image)), replicas=3, age=1440 * 30,
                   states=[ok(node="amd-a"), ok(node="amd-b"), crash(255, restarts=12, node="arm-a")])
    w.log(d.pods[2], "pathgen", ["exec /usr/local/bin/pathgen: exec format error"], ["exec /usr/local/bin/pathgen: exec format error"])
    crash_alert(w, d.pods[2], "pathgen")
    conclude(s, f"Pod/{w.ns}/{d.pods[2]}", d.ref, [("patch_node_selector", d.ref), ("patch_affinity", d.ref), ("fix_image_reference", d.ref, 0.5), ("escalate", None, 0.5)],
             "The image has no build for arm64; two pods run on amd64, the third was placed on the arm node.", accept=[f"Pod/{w.ns}/{d.pods[2]}"],
             unsafe=[("rollback_deployment", "only one revision"), ("rollout_restart", "recurs"), ("increase_memory_limit", "no OOM")])


@case("image_arch_mismatch", 3, "meter", "none", "image", "hard", nodes=ARM)
def _(s):
    w = s.w
    image = s.image("edge-buffer", "2.2.2")
    d = daemonset(w, "edge-buffer", template(container("edge-buffer", image, ports=[9411], mem="64Mi")), rev_age=None, states={"arm-a": pull_error(image, no_match(image), since=44)})
    alert(w, "KubeDaemonSetRolloutStuck", daemonset="edge-buffer")
    conclude(s, d.ref, d.ref, [("patch_node_selector", d.ref), ("patch_affinity", d.ref), ("fix_image_reference", d.ref, 0.5), ("escalate", None, 0.5)],
             "The image has no build for the new arm64 node; it runs on the others.", accept=[f"Pod/{w.ns}/{d.pods[2]}"],
             unsafe=[("drain_node", "the node is well"), ("delete_node", "the node is well"), ("delete_pod", "recurs", f"Pod/{w.ns}/{d.pods[2]}")])
