"""The behaviour suites of the engine pass on parts in Python, and notice those that break a rule."""

from __future__ import annotations

import pytest

import kubernaut
from engine_of_mine import EngineOfMine
from kubernaut import testing
from parts_of_mine import Busy, Inventory, Lines, Looker, Memory, ShelfFixture, attributed


def test_classifier():
    testing.classifier_suite(Inventory)


def test_analyzer():
    testing.analyzer_suite(Looker)


def test_context_store():
    testing.context_store_suite(Memory)


def test_notifier():
    testing.notifier_suite(Lines, lambda: (Busy(), ["s3cret"]))


def test_executor():
    testing.executor_suite(ShelfFixture)


def test_workflow_engine():
    testing.workflow_engine_suite(EngineOfMine)


def test_a_broken_rule_is_named():
    class Lax(kubernaut.Classifier):
        def classify(self, ctx, request):
            return kubernaut.Classification(environment=attributed("production", "development", 1.0), priority="P1")

    with pytest.raises(kubernaut.PluginFailedError, match="never treated laxer"):
        testing.classifier_suite(lambda cluster: Lax())
