"""What becomes of pods on fake nodes, as kwok's stages.

A pod is healthy unless its own specification carries a fault, so that only a change which really removes the fault makes its
successor healthy. Selector keys are jq expressions over the pod, whose booleans compare as text; templates are Go's."""
import json

ALIVE = {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"}
NEW = {"key": ".status.podIP", "operator": "DoesNotExist"}
BACKING_OFF = {"key": ".status.containerStatuses.[].state.waiting.reason", "operator": "In", "values": ["CrashLoopBackOff"]}
RUNNING = {"key": ".status.phase", "operator": "In", "values": ["Running"]}
OF_A_JOB = {"key": ".metadata.ownerReferences.[].kind", "operator": "In", "values": ["Job"]}

# The faults: a command word "--fail", an image tagged "missing", a memory limit (in Mi) below what an annotation asks for.
FAULTS = {
    "crash": '[.spec.containers[] | (.command // []) + (.args // [])] | flatten | any(. == "--fail")',
    "image": '.spec.containers | any(.image | endswith(":missing"))',
    "memory": '(.metadata.annotations["test/needs-memory-mi"] // "0" | tonumber) as $need'
              ' | .spec.containers | any((.resources.limits.memory // "9999999Mi") | rtrimstr("Mi") | tonumber < $need)',
}

POD = """{{ $now := Now }}{{ $before := .status.containerStatuses }}
phase: PHASE
hostIP: {{ NodeIPWith .spec.nodeName | Quote }}
podIP: {{ PodIPWith .spec.nodeName ( or .spec.hostNetwork false ) ( or .metadata.uid "" ) ( or .metadata.name "" ) ( or .metadata.namespace "" ) | Quote }}
startTime: {{ $now | Quote }}
conditions:
- {type: Initialized, status: "True", lastTransitionTime: {{ $now | Quote }}}
- {type: ContainersReady, status: "READY", lastTransitionTime: {{ $now | Quote }}}
- {type: Ready, status: "READY", lastTransitionTime: {{ $now | Quote }}}
containerStatuses:
{{ range $i, $c := .spec.containers }}
- name: {{ $c.name | Quote }}
  image: {{ $c.image | Quote }}
  STATE
{{ end }}
"""
UP = """ready: true
  started: true
  restartCount: 0
  state: {running: {startedAt: {{ $now | Quote }}}}"""
PULLING = """ready: false
  started: false
  restartCount: 0
  state: {waiting: {reason: ImagePullBackOff, message: Back-off pulling image}}"""
DOWN = """ready: false
  started: false
  restartCount: {{ if $before }}{{ add (index $before $i).restartCount 1 }}{{ else }}1{{ end }}
  state: {waiting: {reason: CrashLoopBackOff, message: back-off restarting failed container}}
  lastState: {terminated: {exitCode: CODE, reason: REASON, startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }}}}"""
ENDED = """ready: false
  started: false
  restartCount: 0
  state: {terminated: {exitCode: 0, reason: Completed, startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }}}}"""


def status(phase, ready, state):
    return POD.replace("PHASE", phase).replace("READY", ready).replace("STATE", state)


def fault(name, operator="In"):
    return {"key": FAULTS[name], "operator": operator, "values": ["true"]}


def stage(name, when, then, delay=0):
    spec = {"resourceRef": {"apiGroup": "v1", "kind": "Pod"}, "selector": {"matchExpressions": when}, "next": then}
    if delay:
        spec["delay"] = {"durationMilliseconds": delay}
    return {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Stage", "metadata": {"name": name}, "spec": spec}


def warning(reason, message):
    return {"type": "Warning", "reason": reason, "message": message}


def crash_stages(name, code, reason):
    down = DOWN.replace("CODE", str(code)).replace("REASON", reason)
    then = {"statusTemplate": status("Running", "False", down), "event": warning("BackOff", "Back-off restarting failed container")}
    yield stage(f"pod-{name}", [ALIVE, NEW, fault(name)], then)
    yield stage(f"pod-{name}-again", [ALIVE, BACKING_OFF, fault(name)], then, delay=3000)


def stages():
    yield stage("pod-healthy", [ALIVE, NEW, *(fault(n, "NotIn") for n in FAULTS)], {"statusTemplate": status("Running", "True", UP)})
    yield stage("pod-image", [ALIVE, NEW, fault("image")], {
        "statusTemplate": status("Pending", "False", PULLING),
        "event": warning("Failed", "Failed to pull image: not found"),
    })
    yield from crash_stages("crash", 1, "Error")
    yield from crash_stages("memory", 137, "OOMKilled")
    yield stage("pod-completed", [ALIVE, RUNNING, OF_A_JOB], {"statusTemplate": status("Succeeded", "False", ENDED)}, delay=1000)
    yield stage("pod-deleted", [{"key": ".metadata.deletionTimestamp", "operator": "Exists"}], {"finalizers": {"empty": True}, "delete": True})


def logs(now, previous):
    """`kubectl logs` of any fake pod shows these files."""
    files = [{"logsFile": str(now), "previousLogsFile": str(previous)}]
    return {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "ClusterLogs", "metadata": {"name": "logs"}, "spec": {"logs": files}}


def documents(now, previous):
    return "".join("---\n" + json.dumps(d, indent=1) + "\n" for d in [*stages(), logs(now, previous)])
