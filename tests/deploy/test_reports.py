"""The flow `report` on a server: reports written again from a store; one that cannot be harms no other."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from fitcore import ConfigError, Store
from flows.reports import is_written

CODE = """
import json, sys
from flows.reports import report
state = report(**json.loads(sys.argv[1]), return_state=True)
print(json.dumps([state.type.value, state.message or "", state.result(raise_on_failure=False) if state.is_completed() else None]))
"""


@pytest.fixture
def ran(fitcore: Any, server: str) -> Callable[..., list[Any]]:
    """Type and message of the state that a run of the flow ends in, and what it returned."""

    def run(**parameters: Any) -> list[Any]:
        answer = subprocess.run(
            [sys.executable, "-c", CODE, json.dumps(parameters, default=str)],
            check=False,
            cwd=Path(__file__).resolve().parents[2],
            env={**fitcore.environment, "PREFECT_API_URL": server},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout.splitlines()[-1])

    return run


@pytest.fixture
def twice(finished: Any, tmp_path: Path) -> Path:
    """A store with the finished dataset under its name, and under another whose data are gone."""
    store = tmp_path / "store"
    shutil.copytree(finished[1], store)
    kept = Store(store)
    noted = kept.run("line")
    kept.record_run("gone", "toy", noted["stages"], {**noted["extra"], "dataset": str(tmp_path / "away")})
    return store


def test_reports_are_written_again_and_a_missing_dataset_is_told(ran: Callable[..., list[Any]], twice: Path, server: str) -> None:
    target = twice / "reports" / "toy" / "line.html"
    target.unlink(missing_ok=True)
    kind, told, _ = ran(store=twice)
    assert kind == "FAILED"
    assert "1 of 2 reports could not be written" in told
    assert "gone: The data of 'gone' were in" in told
    assert target.is_file()
    assert "line" in (twice / "reports" / "campaign.html").read_text()
    before = target.stat().st_mtime_ns
    assert ran(store=twice, names=["line"], pipeline="toy") == ["COMPLETED", "", {"written": 1, "there": 0}]
    assert target.stat().st_mtime_ns > before
    artifacts = httpx.post(f"{server}/artifacts/filter", json={}, timeout=30).json()
    rows = [json.loads(artifact["data"]) for artifact in artifacts if artifact["key"] == "report" and artifact["type"] == "table"]
    assert any([(row["name"], row["status"]) for row in table] == [("line", "written")] for table in rows)


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"store": "results"}, "'results' is a relative path"),
        ({"store": "/nowhere/results"}, "Is the disk with the store mounted there"),
        ({"names": ["lime"]}, "Did you mean 'line'"),
        ({"names": ["line"], "pipeline": "lens"}, "no run of 'line' with pipeline 'lens'"),
    ],
)
def test_what_is_refused(finished: Any, installed: None, monkeypatch: pytest.MonkeyPatch, parameters: dict[str, Any], told: str) -> None:
    from flows import reports

    monkeypatch.setattr(reports, "logged", lambda: pytest.fail("work began"))
    with pytest.raises((ConfigError, KeyError), match=told):
        reports.report.fn(**{"store": str(finished[1]), **parameters})


def test_only_what_was_written_since_is_there(tmp_path: Path) -> None:
    target = tmp_path / "line.html"
    assert not is_written(target, 100.0)
    target.write_text("a report")
    os.utime(target, (200.0, 200.0))
    assert is_written(target, 100.0)
    assert not is_written(target, 300.0)
    assert not is_written(target, None)
