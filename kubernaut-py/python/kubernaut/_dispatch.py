"""Calls plug-ins for the engine: `def` on the thread of the call, `async def` on an event loop."""

from __future__ import annotations

import contextvars
import inspect
import json
import sys
import threading
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from kubernaut._errors import InvalidInputError, PluginFailedError
from kubernaut._models import CallContext
from kubernaut.plugins import KINDS, REQUESTS, Plugin

if TYPE_CHECKING:
    import asyncio


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The loop that runs on this thread; `asyncio` is not imported for a program that has none."""
    asyncio = sys.modules.get("asyncio")
    return asyncio._get_running_loop() if asyncio is not None else None


def to_json(value: Any) -> str:
    """JSON text of models, or of JSON values with models in them."""
    return json.dumps(value, default=_plain, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if hasattr(value, "to_dict"):
        return value.to_dict()
    raise TypeError(f"{type(value).__name__} is no model and no JSON value")


class _Loop:
    """An event loop on a thread of its own, for coroutines of programs that have none."""

    def __init__(self) -> None:
        import asyncio

        self.loop = asyncio.new_event_loop()
        thread = threading.Thread(target=self.loop.run_forever, name="kubernaut-plugins", daemon=True)
        thread.start()


class Dispatcher:
    """Knows plug-ins by numbers. The engine calls `invoke` and `cancel` from its threads."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._objects: dict[int, tuple[str, Any]] = {}
        self._tasks: dict[int, asyncio.Task[Any]] = {}
        self._loop = loop
        self._context = contextvars.copy_context()
        self._lock = threading.Lock()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that coroutines run on."""
        with self._lock:
            if self._loop is None:
                self._loop = _Loop().loop
            return self._loop

    @property
    def has_loop(self) -> bool:
        """Whether coroutines have run, or can run on the loop of the program."""
        return self._loop is not None

    def add(self, kind: str, plugin: Any) -> dict[str, Any]:
        """Takes a plug-in and tells the engine what it is."""
        number = len(self._objects) + 1
        self._objects[number] = (kind, plugin)
        return {
            "object": number,
            "name": type(plugin).__name__,
            "methods": [name for name in REQUESTS.get(kind, {}) if _has(kind, plugin, name)],
            "timeout_ms": getattr(plugin, "timeout_ms", Plugin.timeout_ms),
            "max_answer_bytes": getattr(plugin, "max_answer_bytes", Plugin.max_answer_bytes),
            "max_concurrency": getattr(plugin, "max_concurrency", Plugin.max_concurrency),
        }

    def add_raw(self, target: Any) -> int:
        """Takes an object whose methods get and give JSON values, as factories of suites do."""
        number = len(self._objects) + 1
        self._objects[number] = ("", target)
        return number

    def invoke(self, object: int, method: str, payload: str, reply: Any) -> None:
        """Called by the engine on a thread that may block."""
        kind, plugin = self._objects[object]
        call = json.loads(payload)
        arguments: list[Any] = []
        if kind:
            arguments.append(CallContext.from_dict(call["context"]))
        if call.get("request") is not None:
            arguments.append(REQUESTS[kind][method](call["request"]) if kind else call["request"])
        answer = self._context.copy().run(getattr(plugin, method), *arguments)
        if inspect.isawaitable(answer):
            self._await(answer, reply)
        else:
            reply.ok(_text(answer, plugin, method))

    def _await(self, answer: Any, reply: Any) -> None:
        import asyncio

        plugin_loop = self.loop

        async def run() -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks[reply.id] = task
            try:
                reply.ok(_text(await answer, answer, "await"))
            except BaseException as error:
                reply.fail(error)
                if not isinstance(error, (Exception, asyncio.CancelledError)):
                    raise
            finally:
                self._tasks.pop(reply.id, None)

        coroutine: Coroutine[Any, Any, None] = run()
        try:
            plugin_loop.call_soon_threadsafe(lambda: plugin_loop.create_task(coroutine), context=self._context.copy())
        except RuntimeError as closed:
            coroutine.close()
            if inspect.iscoroutine(answer):
                answer.close()
            reply.fail(PluginFailedError(f"the event loop of the plug-in is closed: {closed}"))

    def cancel(self, call: int) -> None:
        """Called by the engine when nobody waits for a call any more."""
        task = self._tasks.get(call)
        if task is not None and self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(task.cancel)
            except RuntimeError:
                pass  # the loop is closed, and with it the task


def _text(answer: Any, plugin: Any, method: str) -> str:
    try:
        return to_json(answer)
    except (TypeError, ValueError) as error:
        name = type(plugin).__name__
        raise PluginFailedError(f"{name}.{method} answered with something that is no model and no JSON value: {error}") from error


def _has(kind: str, plugin: Any, method: str) -> bool:
    own = getattr(type(plugin), method, None) or getattr(plugin, method, None)
    return callable(own) and own is not getattr(KINDS[kind], method, None)


def describe(dispatcher: Dispatcher, given: Mapping[str, Any]) -> str:
    """The plug-ins of an engine, as the engine wants to know them."""
    specs = {}
    for kind, plugin in given.items():
        if plugin is None:
            continue
        if kind not in KINDS:
            raise InvalidInputError(f"no such part: {kind!r}; there are {', '.join(KINDS)}")
        specs[kind] = dispatcher.add(kind, plugin)
    return json.dumps(specs)
