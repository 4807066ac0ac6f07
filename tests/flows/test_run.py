"""`fitcore run` from the command line to the report, in real processes with a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fitcore import Store

STAGE_KEYS = {"name", "digest", "cached", "n_calls", "log_evidence", "log_evidence_error", "seconds"}


def test_a_run_answers_with_the_whole_row(finished: Any) -> None:
    _, store, answer = finished
    (row,) = [json.loads(line) for line in answer.stdout.splitlines()]
    assert row["name"] == "line"
    assert row["status"] == "done"
    assert row["verdict"] == "accepted"
    assert [stage["name"] for stage in row["stages"]] == ["first", "second"]
    for stage in row["stages"]:
        assert set(stage) >= STAGE_KEYS
        assert stage["cached"] is False
        assert stage["n_calls"] > 300
        assert stage["seconds"] > 0
        assert len(stage["digest"]) == 64
    assert set(row["parameters"]) == {"a", "b"}
    assert abs(row["latents"]["at_ten"]["median"] - 3.5) < 2.5
    for value in (*row["parameters"].values(), *row["latents"].values()):
        assert value["lower"] < value["median"] < value["upper"]
    assert Path(row["report"]) == store / "reports" / "toy" / "line.html"
    assert "line 2 1" in Path(row["report"]).read_text()
    why = Store(store).run("line")["extra"]["why"]
    assert set(why.values()) == {"It ran: the store notes no earlier result of this stage for this dataset."}


def test_progress_goes_to_standard_error(finished: Any) -> None:
    errors = finished[2].stderr
    assert "line: first exploring" in errors or "line: first" in errors
    assert "line: second done:" in errors
    assert "Traceback" not in errors
    assert "Warning" not in errors


def test_the_same_again_is_answered_from_the_store(finished: Any, fitcore: Any) -> None:
    dataset, store, first = finished
    rows = []
    for _ in range(2):
        start = os.times()
        answer = fitcore.run(dataset, store=store)
        end = os.times()
        # Processor time, since a busy machine would fail a clock; alone on two cores the wall time is less than this.
        assert end.children_user + end.children_system - start.children_user - start.children_system < 5.0
        assert answer.returncode == 0, answer.stderr
        rows.append(json.loads(answer.stdout))
    before = json.loads(first.stdout)
    for row in rows:
        assert [stage["cached"] for stage in row["stages"]] == [True, True]
        for stage in (*row["stages"], *before["stages"]):
            stage["cached"] = None
        assert row == before


IN_PROCESS = """
import sys
from flows import cli
import flows.launch, flows.opening, flows.supervisor, subprocess  # commands are imported when they are asked for
def forbidden(*words, **more):
    raise AssertionError(f"a process was started: {words}")
subprocess.Popen = forbidden
try:
    cli.app(sys.argv[1:], standalone_mode=False)
except SystemExit as end:
    assert not end.code, end.code
heavy = sorted({name.split(".")[0] for name in sys.modules} & {"prefect", "fastapi", "sqlalchemy", "uvicorn", "matplotlib"})
print("HEAVY", heavy)
"""


def test_a_hit_imports_no_prefect_and_starts_no_process(finished: Any, fitcore: Any) -> None:
    dataset, store, _ = finished
    words = ["run", str(dataset), "--pipeline", "toy", "--store", str(store), "--json"]
    answer = subprocess.run(
        [sys.executable, "-c", IN_PROCESS, *words], env=fitcore.environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert "HEAVY []" in answer.stdout


def test_the_table_form_names_the_row_and_the_report(finished: Any, fitcore: Any) -> None:
    dataset, store, _ = finished
    answer = fitcore("run", dataset, "--pipeline", "toy", "--store", store)
    assert answer.returncode == 0, answer.stderr
    title, row = answer.stdout.splitlines()
    for word in ("name", "status", "verdict", "at_ten", "log-evidence", "calls", "time", "report"):
        assert word in title
    for word in ("line", "done (cached)", "accepted", "±", str(store / "reports" / "toy" / "line.html")):
        assert word in row


def test_a_lost_report_is_written_again_without_a_search(finished: Any, fitcore: Any, server: str) -> None:
    """And the preview that a killed run has left beside it goes."""
    dataset, store, _ = finished
    (store / "reports" / "toy" / "line.html").unlink()
    preview = store / "reports" / "toy" / "line.running.html"
    preview.touch()
    answer = fitcore.run(dataset, store=store, PREFECT_API_URL=server)
    assert answer.returncode == 0, answer.stderr
    assert (store / "reports" / "toy" / "line.html").is_file()
    assert not preview.exists()
    why = Store(store).run("line")["extra"]["why"]
    assert all(words.startswith("A hit: the same request was in the store, of 20") for words in why.values())
    assert [stage["cached"] for stage in json.loads(answer.stdout)["stages"]] == [True, True]


def test_a_bad_dataset_fails_alone(make_points: Callable[..., Path], fitcore: Any, server: str, tmp_path: Path) -> None:
    good, empty, other = make_points("good"), tmp_path / "empty", make_points("other")
    empty.mkdir()
    answer = fitcore.run(good, empty, other, store=tmp_path / "store", PREFECT_API_URL=server)
    assert answer.returncode == 1, answer.stderr
    rows = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [(row["name"], row["status"]) for row in rows] == [("good", "done"), ("empty", "failed"), ("other", "done")]
    assert "has no points.json" in rows[1]["error"]
    assert f"{empty} has no points.json. Write one" in answer.stderr
