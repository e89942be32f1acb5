"""What a pod is going through: the container statuses, and the events that the kubelet and the scheduler write about it."""

from dataclasses import dataclass, field


@dataclass
class State:
    """One pod's state; minutes are before the recording."""
    kind: str = "ok"
    container: str = None
    exit: int = 1
    reason: str = "Error"
    restarts: int = 0
    since: float = None
    run_s: float = 2
    waiting: bool = True
    ended: float = 1.5
    message: str = None
    text: str = None
    unhealthy: str = None
    probe: str = "Readiness"
    events: list = field(default_factory=list)
    deleted: float = None
    node: str = None
    usage: str = None


def ok(restarts=0, **kw):
    """Running and ready; with restarts: the last one ended `ended` minutes ago."""
    return State("ok", restarts=restarts, **kw)


def crash(exit=1, reason="Error", restarts=7, run_s=2, **kw):
    """Crash loop: ended `ended` minutes ago; in back-off, or (waiting=False) between two runs: the terminated state itself shows."""
    return State("crash", exit=exit, reason=reason, restarts=restarts, run_s=run_s, **kw)


def oom(restarts=6, run_s=40, **kw):
    return State("crash", exit=137, reason="OOMKilled", restarts=restarts, run_s=run_s, **kw)


def killed(restarts=6, exit=143, run_s=32, unhealthy=None, **kw):
    """Killed by its liveness probe."""
    return State("crash", exit=exit, reason="Completed" if exit == 0 else "Error", restarts=restarts, run_s=run_s, unhealthy=unhealthy, probe="Liveness", **kw)


def waiting(reason, message, **kw):
    """A container that has never started; `message` as in its waiting state."""
    return State("waiting", reason=reason, message=message, **kw)


def pull_error(image, error, **kw):
    """Image pull fails with `error`."""
    return State("pull", message=error, text=image, **kw)


def start_error(error, restarts=6, **kw):
    """The runtime cannot start the process."""
    return State("start", message=error, exit=128, reason="StartError", restarts=restarts, **kw)


def creating(event, **kw):
    """ContainerCreating for lack of a volume; `event` is the FailedMount message."""
    return State("creating", message=event, **kw)


def pending(message, **kw):
    """Not scheduled, with the scheduler's message."""
    return State("pending", message=message, **kw)


def init_crash(container, exit=1, restarts=6, reason="Error", **kw):
    return State("init_crash", container=container, exit=exit, restarts=restarts, reason=reason, **kw)


def init_running(container, since, **kw):
    return State("init_running", container=container, since=since, **kw)


def unready(message, **kw):
    """Running, readiness probe fails with `message` (None: no probe event)."""
    return State("unready", unhealthy=message, **kw)


def evicted(message, **kw):
    return State("evicted", message=message, **kw)


def succeeded(**kw):
    return State("succeeded", **kw)


def failed(exit=1, reason="Error", **kw):
    """A pod that is not restarted."""
    return State("failed", exit=exit, reason=reason, **kw)


def lost(**kw):
    """Running, as far as anybody knows, on a node that no longer answers."""
    return State("lost", **kw)
