"""The same types, names and errors as in every other language."""

from __future__ import annotations

import json
from typing import Any

import pytest

import kubernaut
from conftest import ROOT
from kubernaut import _models, _native, _operations, plugins

INTERFACE = json.loads(_native.interface())
VECTORS = ROOT / "tests" / "vectors"
TABLES = {"digests", "error_kinds", "errors", "fingerprints"}


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def holds(written: Any, sample: Any) -> bool:
    """Whether all of a sample was written; empty lists and texts may be written where the sample leaves them out."""
    if isinstance(sample, dict):
        return isinstance(written, dict) and all(holds(written.get(name), value) for name, value in sample.items())
    if isinstance(sample, list):
        return isinstance(written, list) and len(written) == len(sample) and all(map(holds, written, sample))
    return bool(written == sample)


@pytest.mark.parametrize("path", sorted(p for p in VECTORS.glob("*.json") if p.stem not in TABLES), ids=lambda p: p.stem)
def test_samples_are_read_and_written_with_all_their_fields(path):
    model = getattr(kubernaut, _camel(path.stem), None)
    if model is None:
        pytest.skip(f"{path.stem} stays inside the engine")
    for sample in json.loads(path.read_text()):
        read = model.from_dict(sample["value"])
        written = read.to_dict()
        assert model.from_dict(written) == read
        assert holds(written, sample["value"]), sample["name"]
        assert all(model.from_dict(less) == read for less in sample.get("reads", []))


def test_every_error_of_the_table_has_its_class():
    for row in json.loads((VECTORS / "errors.json").read_text()):
        made = getattr(kubernaut, row["python"])
        assert issubclass(made, kubernaut.KubernautError) and kubernaut.ERRORS[row["kind"]] is made
        assert (made.kind, made.http_status) == (row["kind"], row["http"])


def test_the_package_is_that_of_its_native_module():
    committed = json.loads((ROOT / "kubernaut" / "schemas" / "interface.json").read_text())
    assert INTERFACE == committed
    for operation in INTERFACE["operations"]:
        scope = operation["scope"].capitalize()
        for prefix in ("", "Async"):
            owner = getattr(_operations, f"{prefix}{scope}Operations")
            assert hasattr(owner, operation["name"]) or hasattr(owner, "_" + operation["name"]), operation["name"]
    for trait in INTERFACE["traits"]:
        assert {m["name"] for m in trait["methods"]} == set(plugins.REQUESTS[trait["kind"]])


def test_models_are_values():
    ref = kubernaut.ObjectRef.parse("Deployment/shop/web")
    assert (ref.group, str(ref)) == ("apps", "Deployment/shop/web")
    with pytest.raises(AttributeError):
        ref.name = "other"  # type: ignore[misc]
    assert hash(ref) == hash(_models.ObjectRef.from_dict(ref.to_dict()))


def test_a_diagnosis_is_a_picture_in_a_notebook(bundle):
    report = kubernaut.analyze_bundle(str(bundle))
    html = report._repr_html_()
    assert "<svg" in html and html.count("<rect") == report.chain_svg().count("<rect") >= 2
    assert "rollback_deployment" in html and report.candidates[0].object in html
    hostile = kubernaut.Report.from_dict({**report.to_dict(), "target": "<script>alert(1)</script>"})
    assert "<script>" not in hostile._repr_html_()


def test_evaluation_grades_recorded_incidents(bundle):
    found = kubernaut.evaluate(str(bundle.parent))
    assert [p.id for p in found.predictions] and found.left_out == [] and found.scores is None
