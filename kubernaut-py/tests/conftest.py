"""What tests of the package share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import kubernaut

ROOT = Path(os.environ.get("KUBERNAUT_ROOT", Path(__file__).resolve().parents[2]))
BUNDLE = ROOT / "examples" / "bundles" / "crashing-release"


@pytest.fixture(autouse=True)
def _names(doctest_namespace: dict[str, Any]) -> None:
    doctest_namespace["BUNDLE"] = str(BUNDLE)
    doctest_namespace["kubernaut"] = kubernaut
    doctest_namespace["ObjectRef"] = kubernaut.ObjectRef


@pytest.fixture
def bundle() -> Path:
    return BUNDLE


@pytest.fixture
def acting() -> dict[str, Any]:
    """A configuration in which the recorded incident is fixed once a person agrees."""
    return {
        "mode": "auto",
        "cluster": {"bundle": str(BUNDLE)},
        "ledger": {"memory": True},
        "processor": {"verification": {"window_s": 3}},
    }
