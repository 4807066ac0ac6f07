"""`fitcore plan`: hit, miss and why, what a checkpoint saves, estimates; and nothing is done."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import fitcore as fc
from flows import launch
from flows.plan import total

from .conftest import everything_in

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*words: Any, **more: Any) -> None:
        raise AssertionError("something was started or computed")

    monkeypatch.setattr(launch, "supervise", forbidden)
    monkeypatch.setattr("fitcore.evaluation.BatchedLikelihood.__call__", forbidden)


def planned(told: Any, *words: Any) -> dict[str, Any]:
    answer = told("plan", *words, "--pipeline", "toy", "--json")
    assert answer.code == 0, answer.err
    return json.loads(answer.out)


def test_a_finished_chain_is_all_hits(told: Any, whole: Any) -> None:
    found = planned(told, whole.dataset, "--store", whole.store)
    assert [(stage["name"], stage["state"], stage["digest"]) for stage in found["stages"]] == [
        (name, "hit", digest) for name, digest in whole.digests.items()
    ]
    assert (found["latents"], found["report"]) == ("hit", "hit")
    text = told("plan", whole.dataset, "--store", whole.store, "--pipeline", "toy").out.splitlines()
    assert text[1] == f"  first    hit   {whole.digests['first'][:12]}"
    assert text[-1] == "total: 1 dataset, no search to run; nothing would be computed"


def test_a_changed_setting_is_a_miss_that_names_it(told: Any, whole: Any) -> None:
    words = (whole.dataset, "--store", whole.store, "--set", "first.n_eff=400")
    found = planned(told, *words)
    first, second = found["stages"]
    assert (first["state"], second["state"]) == ("miss", "unknown")
    assert first["nearest"] == {
        "digest": whole.digests["first"],
        "is_of_this_dataset": True,
        "differences": ["search.n_eff: 300 -> 400"],
    }
    assert second["waits_for"] == ["first"]
    assert second["digest"] is None
    n_calls = fc.Store(whole.store).run("line")["extra"]["outcomes"][0]["n_calls"]
    assert first["estimate"]["calls"] == {"median": n_calls, "least": n_calls, "most": n_calls}
    assert found["total"]["n_searches"] == 2
    text = told("plan", *words, "--pipeline", "toy").out
    assert "search.n_eff: 300 -> 400" in text
    assert "its request depends on the result of first; about" in text
    assert f"about {n_calls:,} calls" in text
    assert "total: 1 dataset, 2 searches to run; about" in text


def test_the_last_stage_alone(told: Any, whole: Any) -> None:
    found = planned(told, whole.dataset, "--store", whole.store, "--set", "second.n_eff=333")
    assert [stage["state"] for stage in found["stages"]] == ["hit", "miss"]
    assert found["stages"][1]["nearest"]["differences"] == ["search.n_eff: 300 -> 333"]
    assert (found["latents"], found["report"]) == ("miss", "miss")


def test_without_past_runs_nothing_is_estimated(told: Any, whole: Any, tmp_path: Path) -> None:
    text = told("plan", whole.dataset, "--pipeline", "toy", "--store", tmp_path / "none").out
    assert text.count("no past runs to estimate from") == 2
    assert "no request of this stage is stored" in text
    assert text.splitlines()[-1] == "total: 1 dataset, 2 searches to run, 2 of them without past runs to estimate from"
    assert not (tmp_path / "none").exists()


def test_a_checkpoint_says_where_it_would_go_on(told: Any, whole: Any, toyline: Any, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.undo()  # this test computes
    store, dataset = fc.Store(tmp_path / "begun"), toyline.TOY.load(whole.dataset)
    seen = [0]
    with pytest.raises(fc.SearchInterruptedError):
        fc.run_stage(
            toyline.TOY.build({}),
            "first",
            dataset,
            store,
            progress=lambda event: seen.append(event.n_calls),
            stop=lambda: seen[-1] > 200,
        )
    capsys.readouterr()
    monkeypatch.syspath_prepend(Path(toyline.__file__).parent)
    before = everything_in(store.path)
    found = planned(told, whole.dataset, "--store", store.path)
    saved = found["stages"][0]["continues"]
    assert saved["difference"] == ""
    assert saved["n_calls"] > 0
    text = told("plan", whole.dataset, "--pipeline", "toy", "--store", store.path).out
    assert f"would continue at {saved['n_calls']:,} calls" in text
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0")
    text = told("plan", whole.dataset, "--pipeline", "toy", "--store", store.path).out
    assert "calls is there, and would not be used: " in text
    assert "jax was " in text
    assert everything_in(store.path) == before


@pytest.mark.filterwarnings("default")
def test_nothing_is_written_not_even_where_something_is_damaged(told: Any, whole: Any) -> None:
    path = fc.Store(whole.store).read(whole.digests["first"]).path
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    before = everything_in(whole.store.parent)
    answer = told("plan", whole.dataset, "--store", whole.store, "--pipeline", "toy", "--json")
    assert [stage["state"] for stage in json.loads(answer.out)["stages"]] == ["miss", "unknown"]
    assert "is left where it is; it counts as missing" in answer.err
    assert everything_in(whole.store.parent) == before


def test_several_datasets_and_one_that_cannot_be_read(told: Any, whole: Any, tmp_path: Path) -> None:
    shutil.copytree(whole.dataset, tmp_path / "other")
    content = json.loads((whole.dataset / "points.json").read_text())
    (tmp_path / "other" / "points.json").write_text(json.dumps({**content, "name": "other", "y": content["y"][::-1]}))
    answer = told("plan", whole.dataset, tmp_path / "other", tmp_path / "gone", "--pipeline", "toy", "--store", whole.store)
    assert answer.code == 1
    assert "gone has no points.json" in answer.err
    assert ", of another dataset, differs in 1 field:" in answer.out
    assert "total: 2 datasets, 2 searches to run; about" in answer.out


def test_saved_calls_are_taken_off_the_total() -> None:
    figures = {"calls": {"median": 100.0, "least": 50.0, "most": 200.0}, "seconds": {"median": 10.0, "least": 5.0, "most": 20.0}}
    stage = {"state": "miss", "estimate": figures, "continues": {"n_calls": 60, "difference": ""}}
    assert total([stage]) == {
        "n_searches": 1,
        "n_without_estimate": 0,
        "calls": {"median": 40.0, "least": 0.0, "most": 140.0},
        "seconds": {"median": pytest.approx(4.0), "least": 0.0, "most": pytest.approx(14.0)},
    }
    unused = {**stage, "continues": {"n_calls": 60, "difference": "jax was 1 and is 2"}}
    assert total([unused])["calls"]["median"] == 100.0


COMPILED = """
import sys, jax
compiled = []
def note(name, seconds, **more):
    if "backend_compile" in name:
        compiled.append(name)
jax.monitoring.register_event_duration_secs_listener(note)
from flows import cli
try:
    cli.app(sys.argv[1:])
finally:
    print(len(compiled), file=sys.stderr)
"""


def test_nothing_is_compiled(whole: Any) -> None:
    words = ["plan", str(whole.dataset), "--pipeline", "toy", "--store", str(whole.store)]
    answer = subprocess.run(
        [sys.executable, "-c", COMPILED, *words],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'tests/flows/plugin'}", "PATH": "/usr/bin:/bin", "HOME": str(whole.store)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr.splitlines()[-1] == "0"
