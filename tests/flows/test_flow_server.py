"""A run against a server that PREFECT_API_URL names: nothing is started, and the server shows what happened."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx


def asked(url: str, what: str, **body: Any) -> list[dict[str, Any]]:
    answer = httpx.post(f"{url}/{what}/filter", json=body, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()


def chains(url: str, dataset: Path) -> list[dict[str, Any]]:
    flows = asked(url, "flow_runs", flows={"name": {"any_": ["chain"]}})
    return [run for run in flows if run["parameters"]["dataset"] == str(dataset)]


def test_the_server_shows_the_run(fitcore: Any, server: str, make_points: Callable[..., Path], tmp_path: Path) -> None:
    dataset = make_points("shown")
    mark = str(tmp_path)
    words = ["run", dataset, "--pipeline", "toy", "--store", tmp_path / "store", "--json"]
    process = fitcore.start(*words, mark=mark, PREFECT_API_URL=server)
    seen: set[str] = set()
    while process.poll() is None:
        seen |= set(fitcore.processes_of(mark).values())
        time.sleep(0.2)
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    assert any("flows.worker" in command for command in seen)
    assert not any("flows.embedded" in command or "uvicorn" in command for command in seen)
    (run,) = chains(server, dataset)
    assert run["state_type"] == "COMPLETED"
    assert run["parameters"]["stages"] == ["first", "second"]
    inside = {"flow_runs": {"id": {"any_": [run["id"]]}}}
    tasks = fitcore.wait_for(lambda: len(found := asked(server, "task_runs", **inside)) >= 3 and found, "task runs", 30)
    assert {task["name"] for task in tasks} >= {"first", "second", "report"}
    assert run["name"] == "shown, toy"
    (table,) = [artifact for artifact in asked(server, "artifacts", **inside) if artifact["key"] == "stages"]
    assert table["type"] == "table"
    rows = json.loads(table["data"])
    assert [(row["name"], row["cached"]) for row in rows] == [("first", False), ("second", False)]
    (link,) = [artifact for artifact in asked(server, "artifacts", **inside) if artifact["key"] == "report"]
    assert json.loads(output)["report"] in link["data"]
    inside = {"logs": {"flow_run_id": {"any_": [run["id"]]}}}
    lines = fitcore.wait_for(lambda: len(found := asked(server, "logs", **inside)) >= 3 and found, "lines of its log", 30)
    assert [line["message"].partition(":")[0] for line in lines if line["message"].startswith("stage ")] == ["stage first", "stage second"]
    stages = json.loads(output)["stages"]
    assert [row["digest"] for row in rows] == [stage["digest"] for stage in stages]


def test_a_failed_run_is_shown_as_failed(fitcore: Any, server: str, make_points: Callable[..., Path], tmp_path: Path) -> None:
    dataset = make_points("broken", fault="raise")
    answer = fitcore.run(dataset, store=tmp_path / "store", PREFECT_API_URL=server)
    assert answer.returncode == 1, answer.stderr
    (run,) = chains(server, dataset)
    assert run["state_type"] == "FAILED"
    assert "the detector [A] was off" in run["state"]["message"]
