"""The examples run, and do what they say."""

from __future__ import annotations

import subprocess
import sys
import time
import xml.etree.ElementTree as xml
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

import kubernaut

HERE = Path(__file__).parent
BUNDLE = HERE.parent / "bundles" / "crashing-release"


def test_the_notebook_draws_the_chain(tmp_path):
    picture = tmp_path / "chain.svg"
    done = subprocess.run([sys.executable, str(HERE / "draw_chain.py"), str(BUNDLE), str(picture)], capture_output=True, text=True, check=True)
    assert "Deployment/ferry-terminal/departures" in done.stdout
    boxes = xml.parse(picture).getroot().findall(".//{http://www.w3.org/2000/svg}rect")
    assert len(boxes) >= 2


@pytest.fixture
def client(monkeypatch):
    monkeypatch.setenv("BUNDLE", str(BUNDLE))
    monkeypatch.setenv("MODE", "auto")
    monkeypatch.syspath_prepend(str(HERE))
    import cmdb_service

    with TestClient(cmdb_service.app) as client:
        yield client


def until(look, limit=60.0):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come to that")


def test_the_service_takes_an_alert_to_its_end(client):
    alert = kubernaut.bundle(str(BUNDLE)).alert
    assert client.post("/alerts", json=alert).status_code == 201
    [waiting] = until(lambda: client.get("/approvals").json())
    assert "production" in " ".join(waiting["reasons"]) or waiting["reasons"]
    answered = client.post(f"/approvals/{waiting['id']}", params={"approve": True, "by": "ann@example.org"})
    assert answered.json()["decided_by"] == "ann@example.org"
    [incident] = until(lambda: [i for i in client.get("/incidents").json() if i["phase"] == "resolved"])
    assert incident["classification"]["environment"]["detail"] == "CMDB, ferry-terminal"
    assert incident["analysis"]["engine"] == "team" and "ask team ferries" in incident["analysis"]["questions"][-1]["text"]


def test_the_service_answers_mistakes_with_their_status(client):
    assert client.post("/alerts", content="no json").status_code == 400
    missing = client.post("/approvals/00000000-0000-7000-8000-000000000000", params={"approve": True, "by": "ann"})
    assert (missing.status_code, missing.json()["kind"]) == (404, "not_found")
