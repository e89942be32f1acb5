"""The engine, blocking and asynchronous."""

from __future__ import annotations

import atexit
import json
import os
import weakref
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from kubernaut import _native
from kubernaut._dispatch import Dispatcher, describe, running_loop
from kubernaut._errors import BlockingInAsyncError
from kubernaut._models import Event
from kubernaut._operations import (
    AsyncClusterOperations,
    AsyncEngineOperations,
    AsyncLibraryOperations,
    ClusterOperations,
    EngineOperations,
    LibraryOperations,
)
from kubernaut.plugins import Analyzer, Classifier, ContextStore, Executor, Notifier, WorkflowEngine

if TYPE_CHECKING:
    import asyncio

_T = TypeVar("_T")

_WAIT_MS = 30_000


def _plain_paths(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")


def _config(config: Mapping[str, Any] | None) -> str:
    return json.dumps(dict(config or {}), default=_plain_paths)


def _options(timeout: float | None, trace: str | None, actor: str | None) -> str:
    options: dict[str, Any] = {}
    if timeout is not None:
        options["timeout_ms"] = max(0, int(timeout * 1000))
    if trace is not None:
        options["trace"] = trace
    if actor is not None:
        options["actor"] = actor
    return json.dumps(options)


def _arguments(params: Any) -> str:
    return json.dumps(params, default=lambda v: v.to_dict() if hasattr(v, "to_dict") else _plain_paths(v))


class _Base:
    def __init__(self, config: Mapping[str, Any] | None, workers: bool, plugins: Mapping[str, Any], loop: asyncio.AbstractEventLoop | None) -> None:
        self._dispatcher = Dispatcher(loop)
        specs = describe(self._dispatcher, plugins)
        self._native = _native.Engine(_config(config), workers, specs, self._dispatcher)
        self._options = _options(None, None, None)
        _engines.add(self)

    def _with(self: _T, timeout: float | None, trace: str | None, actor: str | None) -> _T:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.__dict__["_options"] = _options(timeout, trace, actor)
        return other


class Kubernaut(_Base, EngineOperations, ClusterOperations):
    """An engine with blocking calls. Each waits without the interpreter's lock.

    Ledger and cluster are opened by the first call, so an engine that is made before a fork can be used after it.

    >>> import kubernaut
    >>> with kubernaut.Kubernaut({"ledger": {"memory": True}, "cluster": {"bundle": BUNDLE}}) as k:
    ...     k.stats().open_incidents
    0
    """

    def __init__(
        self,
        config: Mapping[str, Any] | None = None,
        *,
        workers: bool = True,
        classifier: Classifier | None = None,
        analyzer: Analyzer | None = None,
        workflow_engine: WorkflowEngine | None = None,
        executor: Executor | None = None,
        context_store: ContextStore | None = None,
        notifier: Notifier | None = None,
    ) -> None:
        """Checks configuration and parts.

        Args:
            config: what `kubernaut schema` describes; defaults are harmless.
            workers: whether the engine works on incidents, or is only asked.
            classifier: your own classifier.
            analyzer: your own analyzer.
            workflow_engine: your own workflow engine.
            executor: your own executor; the gate stands around it.
            context_store: your own memory.
            notifier: your own notifier.
        """
        parts = dict(
            classifier=classifier,
            analyzer=analyzer,
            workflow_engine=workflow_engine,
            executor=executor,
            context_store=context_store,
            notifier=notifier,
        )
        super().__init__(config, workers, parts, None)

    def _call(self, operation: str, params: Any) -> Any:
        if self._dispatcher.has_loop and running_loop() is self._dispatcher.loop:
            raise BlockingInAsyncError(
                f"{operation}: a blocking call on the loop that runs asynchronous parts would wait for itself; use AsyncKubernaut, or a thread",
                operation=operation,
            )
        return json.loads(self._native.call(operation, _arguments(params), self._options))

    def with_options(self, *, timeout: float | None = None, trace: str | None = None, actor: str | None = None) -> Kubernaut:
        """The same engine; its calls have a timeout in seconds, a tracking id or the name of who calls."""
        return self._with(timeout, trace, actor)

    def subscribe(self, *, after: int = 0, incident_id: str | None = None) -> Iterator[Event]:
        """Events in order, none left out, until the engine shuts down; waits for the next.

        Args:
            after: begin after this sequence number. Default: from the beginning.
            incident_id: only of this incident.
        """
        while True:
            page = self._events(after=after, incident_id=incident_id, wait_ms=1000)
            yield from page.events
            after = page.next
            if page.ended:
                return

    def close(self, *, timeout: float = 10.0) -> None:
        """Stops the workers at their next safe point; what they did not finish is taken up at the next start."""
        self._shutdown(limit_ms=int(timeout * 1000))

    def __enter__(self) -> Kubernaut:
        self.stats()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _settle(future: asyncio.Future[Any], ok: bool, answer: Any) -> None:
    if future.done():
        return
    if ok:
        future.set_result(answer)
    else:
        future.set_exception(answer)


async def _start(native: _native.Engine, operation: str, params: Any, options: str) -> Any:
    import asyncio

    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def done(ok: bool, answer: Any) -> None:
        try:
            loop.call_soon_threadsafe(_settle, future, ok, answer)
        except RuntimeError:
            pass  # the loop is closed; nobody waits

    call = native.start(operation, _arguments(params), options, done)
    try:
        return json.loads(await future)
    except asyncio.CancelledError:
        call.cancel()
        raise


class AsyncKubernaut(_Base, AsyncEngineOperations, AsyncClusterOperations):
    """An engine for asyncio. Cancelling a task cancels its call; asynchronous parts run on the loop that made the engine.

    Make it where that loop runs; with `async with` it begins to work, and stops at the end.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | None = None,
        *,
        workers: bool = True,
        classifier: Classifier | None = None,
        analyzer: Analyzer | None = None,
        workflow_engine: WorkflowEngine | None = None,
        executor: Executor | None = None,
        context_store: ContextStore | None = None,
        notifier: Notifier | None = None,
    ) -> None:
        """As `Kubernaut`."""
        parts = dict(
            classifier=classifier,
            analyzer=analyzer,
            workflow_engine=workflow_engine,
            executor=executor,
            context_store=context_store,
            notifier=notifier,
        )
        super().__init__(config, workers, parts, running_loop())

    async def _call(self, operation: str, params: Any) -> Any:
        return await _start(self._native, operation, params, self._options)

    def with_options(self, *, timeout: float | None = None, trace: str | None = None, actor: str | None = None) -> AsyncKubernaut:
        """The same engine; its calls have a timeout in seconds, a tracking id or the name of who calls."""
        return self._with(timeout, trace, actor)

    async def subscribe(self, *, after: int = 0, incident_id: str | None = None) -> AsyncIterator[Event]:
        """Events in order, none left out, until the engine shuts down; waits for the next.

        Args:
            after: begin after this sequence number. Default: from the beginning.
            incident_id: only of this incident.
        """
        while True:
            page = await self._events(after=after, incident_id=incident_id, wait_ms=_WAIT_MS)
            for event in page.events:
                yield event
            after = page.next
            if page.ended:
                return

    async def close(self, *, timeout: float = 10.0) -> None:
        """Stops the workers at their next safe point; what they did not finish is taken up at the next start."""
        await self._shutdown(limit_ms=int(timeout * 1000))

    async def __aenter__(self) -> AsyncKubernaut:
        await self.stats()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()


class _Library(LibraryOperations):
    def __init__(self) -> None:
        self._native = _native.Engine.library()

    def _call(self, operation: str, params: Any) -> Any:
        return json.loads(self._native.call(operation, _arguments(params), "{}"))


class _AsyncLibrary(AsyncLibraryOperations):
    def __init__(self) -> None:
        self._native = _native.Engine.library()

    async def _call(self, operation: str, params: Any) -> Any:
        return await _start(self._native, operation, params, "{}")


library: LibraryOperations = _Library()
"""Operations that need no engine, blocking."""

async_library: AsyncLibraryOperations = _AsyncLibrary()
"""Operations that need no engine, asynchronous."""

_engines: weakref.WeakSet[_Base] = weakref.WeakSet()


@atexit.register
def _end_all() -> None:
    """Nothing of the engine may run when the interpreter is gone."""
    for engine in list(_engines):
        try:
            engine._native.call("shutdown", '{"limit_ms": 2000}', "{}")
        except Exception:
            pass  # the process ends; there is nobody to tell


def _forget_all() -> None:
    _engines.clear()


os.register_at_fork(after_in_child=_forget_all)

__all__ = ["AsyncKubernaut", "Kubernaut", "async_library", "library"]
