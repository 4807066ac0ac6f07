"""What a campaign finds in a folder, and which of it becomes a run: each dataset once, and no bad one harms another."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.client.schemas.objects import StateType

import fitcore as fc
from flows import inbox
from flows.campaign import GIVEN_UP, next_number
from flows.catalogue import find
from flows.inbox import Found, look

NOW = datetime.datetime(2026, 11, 27, tzinfo=datetime.UTC)


def run(number: int, state: str | None, hours: float = 0.0) -> Any:
    kept = None if state is None else SimpleNamespace(type=StateType[state], timestamp=NOW - datetime.timedelta(hours=hours))
    return SimpleNamespace(idempotency_key=f"abc-{number}", state=kept)


@pytest.mark.parametrize(
    ("earlier", "number"),
    [
        ([], 1),
        ([run(1, None)], None),
        ([run(1, "SCHEDULED")], None),
        ([run(1, "RUNNING")], None),
        ([run(1, "FAILED", 100)], None),
        ([run(1, "CANCELLED", 100)], None),
        ([run(1, "COMPLETED")], 2),
        ([run(2, "COMPLETED"), run(10, "COMPLETED"), run(9, "RUNNING")], 11),
        ([run(1, "CRASHED", 0.5)], None),
        ([run(1, "CRASHED", 2.0)], 2),
        ([run(1, "CRASHED", 9.0), run(2, "CRASHED", 2.0)], 3),
        ([run(1, "CRASHED", 9.0), run(2, "CRASHED", 5.0), run(3, "CRASHED", 2.0)], None),
    ],
)
def test_which_run_is_started(earlier: list[Any], number: int | None) -> None:
    assert next_number(earlier, 3, NOW) == number
    assert datetime.timedelta(hours=0.5) < GIVEN_UP < datetime.timedelta(hours=2)


@pytest.fixture
def found(tmp_path: Path, installed: None) -> Callable[..., dict[str, Found]]:
    def looked(seed: int = 0, settings: Any = None, store: str = "store") -> dict[str, Found]:
        items = look(tmp_path / "data", find("toy"), fc.Store(tmp_path / store), seed, settings or {})
        return {item.path.name: item for item in items}

    return looked


def test_every_folder_is_found_and_a_bad_one_told(
    found: Callable[..., dict[str, Found]], make_points: Callable[..., Path], tmp_path: Path
) -> None:
    make_points("b", folder="b")
    make_points("a", folder="a")
    make_points("a", folder="twin")
    (tmp_path / "data" / "empty").mkdir()
    (tmp_path / "data" / ".copying").mkdir()
    (make_points("c", folder="cut") / "points.json").write_text("{")
    (tmp_path / "data" / "notes.txt").write_text("no dataset")
    items = found()
    assert list(items) == ["a", "b", "cut", "empty", "twin"]
    assert [name for name, item in items.items() if not item.fault] == ["a", "b"]
    assert "no points.json" in items["empty"].fault
    assert "JSONDecodeError" in items["cut"].fault
    assert "has the name 'a' too" in items["twin"].fault


def test_the_key_is_that_of_the_work(found: Callable[..., dict[str, Found]], make_points: Callable[..., Path]) -> None:
    folder = make_points("a")
    key = found()["a"].key
    assert found()["a"].key == key
    others = [found(seed=1), found(settings={"second": {"n_eff": 400}}), found(store="other")]
    data = json.loads((folder / "points.json").read_text())
    (folder / "points.json").write_text(json.dumps({**data, "y": data["y"][::-1]}))
    keys = {key, found()["a"].key, *(items["a"].key for items in others)}
    assert len(keys) == 5


def test_what_is_finished_is_told(
    found: Callable[..., dict[str, Found]], make_points: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_points("a")
    assert not found()["a"].is_finished
    monkeypatch.setattr(inbox, "stored_row", lambda *args: {"name": "a"})
    assert found()["a"].is_finished


def test_a_folder_that_is_not_there(found: Callable[..., dict[str, Found]]) -> None:
    with pytest.raises(fc.ConfigError, match="is not there, or is not a folder"):
        found()
