"""`fitcore report`: the page of a finished dataset from the store, and what is said where it cannot be written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from fitcore import Store

from .conftest import PLUGIN, everything_in


@pytest.fixture
def report(told: Any, whole: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs it on the copy of the store, whose dataset is noted where its copy is; the worker finds the toy too."""
    monkeypatch.setenv("PYTHONPATH", str(PLUGIN))
    store = Store(whole.store)
    note = store.run("line")
    store.record_run("line", "toy", note["stages"], {**note["extra"], "dataset": str(whole.dataset)})

    def run(*words: Any) -> Any:
        return told("report", *words, "--store", whole.store)

    return run


def test_it_is_written_again_and_nothing_else_is(report: Any, whole: Any, tmp_path: Path) -> None:
    page = whole.store / "reports" / "toy" / "line.html"
    page.unlink()
    before = everything_in(whole.store / "results") | everything_in(whole.store / "runs") | everything_in(whole.store / "work")
    answer = report("line", "--quiet")
    assert (answer.code, answer.out, answer.err) == (0, f"{page}\n", "")
    assert "line 2 1" in page.read_text()  # two stages, one link
    assert everything_in(whole.store / "results") | everything_in(whole.store / "runs") | everything_in(whole.store / "work") == before
    answer = report("line", "--json", "-o", tmp_path / "my.html")
    assert json.loads(answer.out) == {"name": "line", "pipeline": "toy", "report": str(tmp_path / "my.html")}
    assert (tmp_path / "my.html").read_text() == page.read_text()


def test_several_into_a_folder_and_one_that_fails(report: Any, whole: Any, tmp_path: Path) -> None:
    store = Store(whole.store)
    note = store.run("line")
    store.record_run("gone", "toy", note["stages"], {**note["extra"], "dataset": str(tmp_path / "gone")})
    (tmp_path / "pages").mkdir()
    answer = report("line", "gone", "-o", tmp_path / "pages")
    assert answer.code == 1
    assert answer.out == f"{tmp_path / 'pages' / 'line.html'}\n"
    assert f"gone: The data of 'gone' were in {tmp_path / 'gone'}, and there is no such folder." in answer.err
    assert "say where they are by --dataset FOLDER" in answer.err


def test_other_data_are_refused_with_what_differs(report: Any, whole: Any, tmp_path: Path) -> None:
    shutil.copytree(whole.dataset, tmp_path / "other")
    content = json.loads((tmp_path / "other" / "points.json").read_text())
    (tmp_path / "other" / "points.json").write_text(json.dumps({**content, "y": content["y"][::-1]}))
    answer = report("line", "--dataset", tmp_path / "other")
    assert answer.code == 2
    assert f"{tmp_path / 'other'} is not what was fitted as 'line': stage 'first' differs in analysis." in answer.err
    assert "or fit this one: fitcore run" in answer.err


@pytest.mark.filterwarnings("default")
def test_what_cannot_be_used_is_said_with_the_remedy(report: Any, whole: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "it has: line. Did you mean 'line'?" in report("lime").err
    store = Store(whole.store)
    note = store.run("line")
    store.record_run("line", "toy", note["stages"], {key: value for key, value in note["extra"].items() if key != "dataset"})
    answer = report("line")
    assert answer.code == 2
    assert "was not noted: an earlier fitcore ran it. Name their folder by --dataset" in answer.err
    store.quarantine(whole.digests["first"], "for the test")
    answer = report("line", "--dataset", whole.dataset)
    assert answer.code == 2
    assert "Run the chain again: fitcore run" in answer.err
