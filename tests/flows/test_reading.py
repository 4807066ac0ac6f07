"""`table`, `show`, `verify`, `doctor` and `simulate` on a finished store; the CLI's own process, as they start no other."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fitcore import Store
from flows import cli, doctor


@pytest.fixture
def told(installed: None, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command in this process; what it wrote to standard output."""

    def run(*words: Any, code: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            cli.app([str(word) for word in words])
        output, errors = capsys.readouterr()
        assert (ended.value.code or 0) == code, errors
        return output

    return run


def test_table_in_three_forms(told: Any, finished: Any) -> None:
    _, store, answer = finished
    run = json.loads(answer.stdout)
    title, row = told("table", "--store", store).splitlines()
    assert title.split()[:3] == ["name", "status", "verdict"]
    assert row.split()[:3] == ["line", "done", "accepted"]
    assert json.loads(told("table", "--store", store, "--format", "json")) == run
    (line,) = csv.DictReader(io.StringIO(told("table", "--store", store, "--format", "csv")))
    assert (line["name"], line["pipeline"], line["verdict"]) == ("line", "toy", "accepted")
    assert float(line["a"]) == run["parameters"]["a"]["median"]
    assert float(line["at_ten_upper"]) == run["latents"]["at_ten"]["upper"]
    assert int(line["n_calls"]) == sum(stage["n_calls"] for stage in run["stages"])
    assert float(line["log_evidence"]) == run["stages"][-1]["log_evidence"]


def test_table_of_a_store_without_runs(told: Any, tmp_path: Path) -> None:
    Store(tmp_path / "store")
    assert told("table", "--store", tmp_path / "store", "--format", "json") == ""
    assert told("table", "--store", tmp_path / "store", "--format", "csv").splitlines() == [
        "name,pipeline,verdict,log_evidence,n_calls,seconds"
    ]
    assert told("table", "--store", tmp_path / "store").split()[0] == "name"


def test_show(told: Any, finished: Any) -> None:
    _, store, answer = finished
    run = json.loads(answer.stdout)
    text = told("show", "line", "--store", store)
    for words in ("parameters", "latents", "  a ", "  at_ten ", "accepted"):
        assert words in text
    assert json.loads(told("show", "line", "--store", store, "--json")) == run
    assert json.loads(told("show", "some/where/line", "--store", store, "--json")) == run
    stage = json.loads(told("show", "line", "--store", store, "--stage", "second"))
    assert stage["digest"] == run["stages"][1]["digest"]
    assert stage["n_calls"] == run["stages"][1]["n_calls"]
    assert stage["stage"] == "second"
    assert "provenance" in stage


def test_verify_names_what_is_damaged(told: Any, finished: Any, tmp_path: Path) -> None:
    assert told("verify", "--store", finished[1]).endswith(": 0 damaged, 0 other findings\n")
    copy = tmp_path / "store"
    shutil.copytree(finished[1], copy)
    digest = json.loads(finished[2].stdout)["stages"][0]["digest"]
    path = Store(copy).read(digest).path
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    for _ in range(2):  # looking changes nothing
        text = told("verify", "--store", copy, code=1)
        assert f"DAMAGED: {path.parent}" in text
        assert path.name in text
        assert ": 1 damaged, " in text


def test_doctor_tells_each_finding(told: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "DEVICE", "print('cpu')")
    monkeypatch.setenv("FITCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    text = told("doctor", "--store", tmp_path / "store")
    assert [line[:5] for line in text.splitlines()] == ["ok   "] * 7
    (tmp_path / "file").touch()
    assert "BAD  store: " in told("doctor", "--store", tmp_path / "file", code=1)


def test_simulate_into_a_new_or_empty_folder(told: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("new", "empty"):
        assert told("simulate", tmp_path / name, "--pipeline", "toy", "--seed", "4") == f"{tmp_path / name}\n"
    assert (
        json.loads((tmp_path / "new" / "points.json").read_text())["y"] == json.loads((tmp_path / "empty" / "points.json").read_text())["y"]
    )


def test_simulate_where_nothing_can_be_written(installed: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as ended:
        cli.app(["simulate", str(tmp_path / "file" / "new"), "--pipeline", "toy"])
    assert ended.value.code == 2
    assert "cannot be written" in capsys.readouterr().err


def test_every_command_has_an_example(told: Any) -> None:
    for command in ("run", "table", "show", "simulate", "verify", "doctor"):
        assert f"Example: fitcore {command}" in told(command, "--help")
