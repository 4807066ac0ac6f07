"""The command that asks for the same again, and the rows."""

from __future__ import annotations

import copy
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fitcore as fc
from fitcore import StoreError
from fitcore.store.chains import checked, row_of
from flows import records
from flows.records import command_of, unfinished_row
from flows.settings import read

THREE = {"median": 1.0, "lower": 0.5, "upper": float("nan")}
NOTE: dict[str, Any] = {
    "name": "a",
    "pipeline": "toy",
    "stages": {"first": "0" * 64},
    "recorded": "",
    "extra": {
        "summary": {"verdict": "accept", "headline": "r", "reasons": ["b"], "parameters": {"a": THREE}, "latents": {"r": THREE}},
        "outcomes": [
            {
                "name": "first",
                "digest": "0" * 64,
                "cached": False,
                "n_calls": 5,
                "log_evidence": 1.0,
                "log_evidence_error": float("nan"),
                "seconds": 2,
                "grade": "A",
            }
        ],
        "seed": 1,
        "settings": {"first": {"n_eff": 500}},
        "report": "a.html",
    },
}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in nested dicts and lists."""
    yield path
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[key], (*path, key))


def replaced(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    note = copy.deepcopy(NOTE)
    inner = note["extra"]
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return note


def test_what_is_noted_can_be_shown() -> None:
    assert checked(NOTE) is NOTE


@pytest.mark.parametrize("value", [None, 5, "x", [], [1], {}, {"a": 1}, True, 1.5], ids=repr)
@pytest.mark.parametrize("path", [path for path in places(NOTE["extra"]) if path], ids=str)
def test_a_note_of_wrong_types_is_refused_or_can_be_shown(path: tuple[Any, ...], value: Any) -> None:
    there = NOTE["extra"]
    for key in path:
        there = there[key]
    numbers = (int, float)
    is_number = all(isinstance(x, numbers) and not isinstance(x, bool) for x in (value, there))
    is_of_kind = type(value) is type(there) and not isinstance(value, dict | list)
    if (path[0] == "settings" and len(path) == 3) or is_of_kind or (is_number and path[-1] not in ("n_calls", "seed")):
        checked(replaced(path, value))
    elif type(value) is not type(there) and not is_number:
        with pytest.raises(StoreError, match=r"^the note of the run 'a' with pipeline 'toy' cannot be shown: extra.* noted anew$"):
            checked(replaced(path, value))


def test_a_note_without_stages_is_refused() -> None:
    with pytest.raises(StoreError, match=r"extra\.outcomes is \[\]"):
        checked(replaced(("outcomes",), []))


def test_the_command_can_be_pasted() -> None:
    request = {
        "dataset": "/data/my lens",
        "pipeline": "lens",
        "store": "/data/it's",
        "seed": 3,
        "settings": {"power_law": {"n_eff": 500, "wide": False}},
    }
    words = ["fitcore", "run", "/data/my lens", "--pipeline", "lens", "--store", "/data/it's", "--seed", "3"]
    words += ["--set", "power_law.n_eff=500", "--set", "power_law.wide=False"]
    assert shlex.split(command_of(request)) == words


def test_rows_have_the_same_keys_whatever_became_of_them() -> None:
    summary = {"verdict": "accepted", "headline": "r", "reasons": [], "parameters": {"a": {}}, "latents": {}}
    extra = {"summary": summary, "outcomes": [{"name": "first", "cached": False}], "seed": 1, "settings": {}, "report": "a.html"}
    run = {"name": "a", "pipeline": "toy", "stages": {"first": "0" * 64}, "extra": extra}
    row = row_of(run)
    assert row["stages"] == [{"name": "first", "cached": False}]
    assert row_of(run, cached=True)["stages"] == [{"name": "first", "cached": True}]
    assert extra["outcomes"][0]["cached"] is False
    other = unfinished_row("a", "toy", "failed", "why")
    assert set(row) - {"seed", "report"} == set(other) - {"error"}


def test_the_settings_in_force_are_told_with_their_origin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FITCORE_THREADS", "3")
    monkeypatch.setenv("FITCORE_DATABASE", "postgresql://u:secret@h/d")
    stage = fc.Stage("second", fc.Model({"a": fc.Uniform(0, 1)}), fc.Analysis(), fc.Importance(n_eff=500))
    request = {"pipeline": "toy", "store": "/s", "seed": 4, "origins": {"seed": "option", "second.n_eff": "file", "first.n_eff": "option"}}
    told = records.in_force(read(), request, stage, 77)
    assert told["seed"] == {"value": 4, "from": "option"}
    assert told["pipeline"] == {"value": "toy", "from": "default"}
    assert told["threads"] == {"value": 3, "from": "environment"}
    assert told["search.n_eff"] == {"value": 500, "from": "file"}
    assert told["engine"] == {"value": "threads", "from": "default"}
    fields = {f"search.{field}" for field in list(stage.search.identity())[2:]}
    assert fields <= told.keys()
    assert {told[field]["from"] for field in fields - {"search.n_eff"}} == {"default"}
    assert "secret" not in json.dumps(told)
