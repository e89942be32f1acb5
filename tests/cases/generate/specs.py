"""Short ways to write pod templates, as the API server prints them."""


def _env(name, value):
    if isinstance(value, tuple):
        source, obj, key = value
        return {"name": name, "valueFrom": {{"secret": "secretKeyRef", "cm": "configMapKeyRef"}[source]: {"name": obj, "key": key}}}
    return {"name": name, "value": value}


def probe(path=None, port=None, tcp=None, cmd=None, delay=0, period=10, timeout=1, fail=3, scheme="HTTP"):
    """A probe: HTTP by `path` and `port`, TCP by `tcp`, or a command."""
    out = {}
    if cmd:
        out["exec"] = {"command": cmd}
    elif tcp is not None:
        out["tcpSocket"] = {"port": tcp}
    else:
        out["httpGet"] = {"path": path, "port": port, "scheme": scheme}
    if delay:
        out["initialDelaySeconds"] = delay
    return {**out, "timeoutSeconds": timeout, "periodSeconds": period, "successThreshold": 1, "failureThreshold": fail}


def container(name, image, ports=(8080,), env=None, cpu="100m", mem="128Mi", cpu_limit=None, mem_limit="256Mi", command=None, args=None,
              live=None, ready=None, startup=None, mounts=None, env_from=None, security=None, requests=True, extra=None):
    """A container; `ports` are numbers or (name, number)."""
    c = {"name": name, "image": image, "imagePullPolicy": "IfNotPresent" if not image.endswith(":latest") else "Always"}
    if command:
        c["command"] = command
    if args:
        c["args"] = args
    if env:
        c["env"] = [_env(k, v) for k, v in env.items()]
    if env_from:
        c["envFrom"] = [{{"cm": "configMapRef", "secret": "secretRef"}[kind]: {"name": n}} for kind, n in env_from]
    if ports:
        c["ports"] = [{"containerPort": p, "protocol": "TCP"} if isinstance(p, int) else {"containerPort": p[1], "name": p[0], "protocol": "TCP"} for p in ports]
    resources = {}
    if requests and (cpu or mem):
        resources["requests"] = {k: v for k, v in (("cpu", cpu), ("memory", mem)) if v}
    limits = {k: v for k, v in (("cpu", cpu_limit), ("memory", mem_limit)) if v}
    if limits:
        resources["limits"] = limits
    for section, values in (extra or {}).items():
        resources.setdefault(section, {}).update(values)
    c["resources"] = resources
    for field, value in (("livenessProbe", live), ("readinessProbe", ready), ("startupProbe", startup), ("securityContext", security)):
        if value:
            c[field] = value
    if mounts:
        c["volumeMounts"] = [{"name": m[0], "mountPath": m[1], **({"subPath": m[2]} if len(m) > 2 and m[2] else {})} for m in mounts]
    return {**c, "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}


def vol_cm(name, cm):
    return {"name": name, "configMap": {"name": cm, "defaultMode": 420}}


def vol_secret(name, secret):
    return {"name": name, "secret": {"secretName": secret, "defaultMode": 420}}


def vol_empty(name, limit=None, medium=None):
    return {"name": name, "emptyDir": {k: v for k, v in (("sizeLimit", limit), ("medium", medium)) if v}}


def vol_pvc(name, claim):
    return {"name": name, "persistentVolumeClaim": {"claimName": claim}}


def template(containers, init=None, volumes=None, node_selector=None, tolerations=None, affinity=None, spread=None, sa="default", pull=None, security=None,
             restart="Always", annotations=None, priority=None):
    """A pod template's annotations and spec; labels come from the workload."""
    spec = {}
    if affinity:
        spec["affinity"] = affinity
    spec["containers"] = containers if isinstance(containers, list) else [containers]
    spec["dnsPolicy"] = "ClusterFirst"
    if pull:
        spec["imagePullSecrets"] = [{"name": n} for n in pull]
    if init:
        spec["initContainers"] = init if isinstance(init, list) else [init]
    if node_selector:
        spec["nodeSelector"] = node_selector
    if priority:
        spec["priorityClassName"] = priority
    spec.update({"restartPolicy": restart, "schedulerName": "default-scheduler", "securityContext": security or {}, "serviceAccount": sa,
                 "serviceAccountName": sa, "terminationGracePeriodSeconds": 30})
    if tolerations:
        spec["tolerations"] = tolerations
    if spread:
        spec["topologySpreadConstraints"] = spread
    if volumes:
        spec["volumes"] = volumes
    return {"annotations": annotations or {}, "spec": spec}


def required_node_affinity(key, values, op="In"):
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [{"key": key, "operator": op, "values": values}]}]}}}


def anti_affinity(labels, topology="kubernetes.io/hostname"):
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"labelSelector": {"matchLabels": labels}, "topologyKey": topology}]}}
