"""Kubernaut: from a Kubernetes alert to a verified fix.

>>> import kubernaut
>>> report = kubernaut.analyze_bundle(BUNDLE)
>>> report.candidates[0].category, report.actions[0].action
('bad_release_command', 'rollback_deployment')
"""

from __future__ import annotations

from kubernaut import _errors, _models, _native
from kubernaut._engine import AsyncKubernaut, Kubernaut, async_library, library
from kubernaut._errors import *
from kubernaut._models import *
from kubernaut.plugins import Analyzer, Classifier, ContextStore, Executor, MaybeAwaitable, Notifier, Plugin, WorkflowEngine

__version__: str = _native.version

bundle = library.bundle
analyze_bundle = library.analyze_bundle
evaluate = library.evaluate


def forward_logs(level: str = "info") -> None:
    """Sends log lines of the engine to `logging`, to loggers whose names begin with `kubernaut`. Nothing is sent before.

    Args:
        level: error, warn, info, debug or trace.
    """
    _native.forward_logs(level)


__all__ = [
    "Analyzer",
    "AsyncKubernaut",
    "Classifier",
    "ContextStore",
    "Executor",
    "Kubernaut",
    "MaybeAwaitable",
    "Notifier",
    "Plugin",
    "WorkflowEngine",
    "analyze_bundle",
    "async_library",
    "bundle",
    "evaluate",
    "forward_logs",
    "library",
]
__all__ += _errors.__all__
__all__ += _models.__all__
