"""Behaviour suites for parts of your own: the same that the default services pass.

Each suite takes a function that makes the part under test, and raises `PluginFailedError` with the rule that does not hold:

>>> from kubernaut.testing import notifier_suite
>>> class Silent(kubernaut.Notifier):
...     def notify(self, ctx, request):
...         return {"channels": []}
>>> notifier_suite(Silent)
Traceback (most recent call last):
kubernaut._errors.PluginFailedError: testing.suite: a delivery names the channels that took it
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from kubernaut import _native
from kubernaut._dispatch import Dispatcher, to_json
from kubernaut._models import ActionRequest, DryRun, Execution, ExecuteRequest, Observation, UndoRequest
from kubernaut._operations import ClusterOperations
from kubernaut.plugins import Analyzer, Classifier, ContextStore, Executor, Notifier, WorkflowEngine

__all__ = [
    "ClusterWorld",
    "EngineWorld",
    "ExecutorFixture",
    "analyzer_suite",
    "classifier_suite",
    "context_store_suite",
    "executor_suite",
    "notifier_suite",
    "workflow_engine_suite",
]


class ClusterWorld(ClusterOperations):
    """The cluster that a classifier or analyzer under test looks at."""

    def __init__(self, suite: _native.Suite, world: int) -> None:
        self._suite = suite
        self._world = world

    def _call(self, operation: str, params: Any) -> Any:
        return json.loads(self._suite.call(self._world, operation, to_json(params)))


class EngineWorld:
    """What a workflow engine under test acts through, and its clock."""

    def __init__(self, suite: _native.Suite, world: int) -> None:
        self._suite = suite
        self._world = world

    def _call(self, operation: str, params: Any) -> Any:
        return json.loads(self._suite.call(self._world, operation, to_json(params)))

    def now(self) -> str:
        """The time to go by; look at it every few milliseconds."""
        found: str = self._call("now", {})
        return found

    def dry_run(self, request: ActionRequest) -> DryRun:
        """Shows what an action would do."""
        return DryRun.from_dict(self._call("executor_dry_run", request))

    def execute(self, request: ExecuteRequest) -> Execution:
        """Carries out an action."""
        return Execution.from_dict(self._call("executor_execute", request))

    def observe(self, request: ActionRequest) -> Observation:
        """Tells whether the effect of a key is there."""
        found: Observation = self._call("executor_observe", request)
        return found

    def undo(self, request: UndoRequest) -> Execution:
        """Takes an action back."""
        return Execution.from_dict(self._call("executor_undo", request))


class ExecutorFixture(ABC):
    """An executor over a small world that the suite may change."""

    executor: Executor
    """The executor under test; nothing but the request decides whether it acts."""

    @abstractmethod
    def request(self, key: str) -> ActionRequest | Mapping[str, Any]:
        """An action that changes something and can be taken back; two calls give the same action on the same object."""

    @abstractmethod
    def state(self) -> Any:
        """The whole world that actions could change; equal values mean that nothing was changed."""

    @abstractmethod
    def disturb(self) -> None:
        """Somebody else changes the very field that the action writes."""


class _Factory:
    def __init__(self, make: Callable[[_native.Suite, Dispatcher, int, str], Any]) -> None:
        self._make = make
        self.dispatcher = Dispatcher()
        self.suite = _native.Suite(self.dispatcher)

    def make(self, asked: Mapping[str, Any]) -> Any:
        return self._make(self.suite, self.dispatcher, asked["world"], asked["scenario"])


def _run(kind: str, make: Callable[[_native.Suite, Dispatcher, int, str], Any]) -> None:
    factory = _Factory(make)
    factory.suite.run(kind, factory.dispatcher.add_raw(factory))


def classifier_suite(make: Callable[[ClusterWorld], Classifier]) -> None:
    """Checks a classifier."""
    _run("classifier", lambda suite, known, world, _: {"plugin": known.add("classifier", make(ClusterWorld(suite, world)))})


def analyzer_suite(make: Callable[[ClusterWorld], Analyzer]) -> None:
    """Checks an analyzer."""
    _run("analyzer", lambda suite, known, world, _: {"plugin": known.add("analyzer", make(ClusterWorld(suite, world)))})


def context_store_suite(make: Callable[[], ContextStore]) -> None:
    """Checks a context store; `make` gives a new, empty one."""
    _run("context_store", lambda _suite, known, _world, _scenario: {"plugin": known.add("context_store", make())})


def notifier_suite(make: Callable[[], Notifier], failing: Callable[[], tuple[Notifier, list[str]]] | None = None) -> None:
    """Checks a notifier whose receivers accept everything, and one whose receivers refuse for now, with the credentials it was given."""

    def made(_suite: _native.Suite, known: Dispatcher, _world: int, scenario: str) -> Any:
        if scenario == "working":
            return {"plugin": known.add("notifier", make())}
        if failing is None:
            return None
        notifier, secrets = failing()
        return {"plugin": known.add("notifier", notifier), "secrets": secrets}

    _run("notifier", made)


def executor_suite(make: Callable[[], ExecutorFixture]) -> None:
    """Checks an executor; `make` gives a new one over a world of its own."""

    def made(_suite: _native.Suite, known: Dispatcher, _world: int, _scenario: str) -> Any:
        fixture = make()
        return {"plugin": known.add("executor", fixture.executor), "fixture": known.add_raw(fixture)}

    _run("executor", made)


def workflow_engine_suite(make: Callable[[EngineWorld], WorkflowEngine]) -> None:
    """Checks a workflow engine; `make` gives a new one that acts through the world."""
    _run("workflow_engine", lambda suite, known, world, _: {"plugin": known.add("workflow_engine", make(EngineWorld(suite, world)))})
