"""`gc` and `why-miss` on a finished store, in the CLI's own process."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from flows import cli


@pytest.fixture
def told(installed: None, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command in this process; what it wrote to standard output, or to standard error when it fails."""

    def run(*words: Any, code: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            cli.app([str(word) for word in words])
        output, errors = capsys.readouterr()
        assert (ended.value.code or 0) == code, errors
        return errors if code else output

    return run


def test_gc_names_and_removes_what_is_old(told: Any, finished: Any, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(finished[1], store)
    old = time.time() - 2 * 86400
    (store / "results" / ".tmp-young").write_bytes(b"x")
    rubbish = store / ".tmp-old"
    rubbish.write_bytes(b"x" * 1000)
    for path in (rubbish, *(store / "work").rglob("*")):
        os.utime(path, (old, old))
    named = told("gc", "--store", store).splitlines()
    assert any(line.startswith(f"rubbish: {rubbish}") for line in named)
    assert sum("checkpoints and leases of a committed result" in line for line in named) == 2
    assert named[-1].startswith(f"{store}: 3 things")
    assert named[-1].endswith("--remove does it")
    assert rubbish.exists()
    assert told("gc", "--store", store, "--remove").splitlines()[-1].endswith("MB removed")
    assert not rubbish.exists()
    assert told("gc", "--store", store).splitlines()[-1].startswith(f"{store}: 0 things")
    assert json.loads(told("show", "line", "--store", store, "--json"))["name"] == "line"
    told("verify", "--store", store)


def test_why_miss_names_the_changed_data(told: Any, finished: Any, tmp_path: Path) -> None:
    dataset, store, answer = finished
    digest = json.loads(answer.stdout)["stages"][0]["digest"]
    words = ("--pipeline", "toy", "--store", store)
    same = told("why-miss", "line", dataset, *words).splitlines()
    assert [line.split(":")[0] for line in same] == ["first", "second"]
    assert all(line.endswith("are the same request") for line in same)
    changed = tmp_path / "line"
    shutil.copytree(dataset, changed)
    data = json.loads((changed / "points.json").read_text())
    data["y"][3] += 1e-9
    (changed / "points.json").write_text(json.dumps(data))
    head, field = told("why-miss", "line", changed, *words).splitlines()
    assert head.startswith(f"first: {digest[:12]} and ")
    assert head.endswith("differ in")
    assert field.startswith("  analysis.")
    assert ".y: array of" in field
    seeds = told("why-miss", f"{dataset}:first", dataset, *words)
    assert "same request" in seeds
    assert "  seed: " in told("why-miss", "line:first", dataset, *words, "--seed", 5)
    assert told("why-miss", digest[:8], digest, *words).startswith(f"the result: {digest[:12]}")


def test_why_miss_says_what_it_does_not_know(told: Any, finished: Any) -> None:
    dataset, store, answer = finished
    digest = json.loads(answer.stdout)["stages"][0]["digest"]
    words = ("--pipeline", "toy", "--store", store)
    assert "it has: line" in told("why-miss", "lime", "line", *words, code=2)
    assert "has no stage 'third'" in told("why-miss", "line:third", "line", *words, code=2)
    assert "compared with one of first, second" in told("why-miss", digest[:10], dataset, *words, code=2)
