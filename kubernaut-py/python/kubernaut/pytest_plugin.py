"""Fixtures for pytest: engines on recorded incidents, closed when the test ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from os import PathLike
from typing import Any

import pytest

import kubernaut


@pytest.fixture
def kubernaut_engine() -> Iterator[Callable[..., kubernaut.Kubernaut]]:
    """Makes engines on a bundle, with everything in memory: `kubernaut_engine("path/to/bundle", {"mode": "auto"}, classifier=Mine())`."""
    made: list[kubernaut.Kubernaut] = []

    def make(bundle: str | PathLike[str], config: dict[str, Any] | None = None, **parts: Any) -> kubernaut.Kubernaut:
        whole: dict[str, Any] = {"ledger": {"memory": True}, "cluster": {"bundle": str(bundle)}, **(config or {})}
        engine = kubernaut.Kubernaut(whole, **parts)
        made.append(engine)
        return engine

    yield make
    for engine in made:
        engine.close()
