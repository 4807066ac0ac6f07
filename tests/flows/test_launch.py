"""Settings from the command line, and the order and exit code of rows; the rest is seen in test_run and test_bad_input."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fitcore import ConfigError, DataError, Store
from flows import launch

ENTRY: Any = SimpleNamespace(name="toy", stage_names=("first", "second"), latent_stage="second")


def test_settings_are_nested_by_stage() -> None:
    items = ["first.n_eff=500", "second.tolerance=0.5", " first.kind=fast", "first.wide=false", "first.n_eff=600"]
    assert launch.parse_settings(items, ENTRY) == {"first": {"n_eff": 600, "kind": "fast", "wide": False}, "second": {"tolerance": 0.5}}
    assert launch.parse_settings([], ENTRY) == {}


@pytest.mark.parametrize("text", ["1e-3", "1.0e-3", "1e4"])
def test_numbers_with_an_exponent_are_numbers(text: str) -> None:
    assert launch.parse_settings([f"first.x={text}"], ENTRY) == {"first": {"x": float(text)}}


@pytest.mark.parametrize(("text", "taken"), [("010", "8"), ("1:30", "90"), ("0x10", "16"), ("0:05.5", "5.5"), (".inf", "inf")])
def test_numbers_that_would_be_others(text: str, taken: str) -> None:
    with pytest.raises(ConfigError, match=f"the number must be a plain decimal one; this would be {taken}"):
        launch.parse_settings([f"first.x={text}"], ENTRY)


@pytest.mark.parametrize("text", ["2026-01-01", "null", "!!python/name:os.system", "{a: 1}"])
def test_only_plain_values(text: str) -> None:
    with pytest.raises(ConfigError, match=r"(?s)--set 'first.x=.*(number, a word, true or false)"):
        launch.parse_settings([f"first.x={text}"], ENTRY)


@pytest.mark.parametrize(
    ("statuses", "interrupts", "code"),
    [
        (["done", "done"], 0, 0),
        (["done", "failed"], 0, 1),
        (["interrupted", "failed"], 1, 75),
        (["done"], 1, 0),
        (["failed", "done"], 1, 1),
        (["interrupted"], 2, 130),
        (["done"], 2, 130),
    ],
)
def test_exit_codes(statuses: list[str], interrupts: int, code: int) -> None:
    assert launch._exit_code([{"status": status} for status in statuses], interrupts) == code


def row(ended: dict[str, Any] | None, interrupted: bool, tmp_path: Path) -> dict[str, Any]:
    plan = launch.Plan(path=tmp_path / "a", dataset=SimpleNamespace(name="a"), report=tmp_path / "a.html")
    return launch._row(plan, ENTRY, Store(tmp_path / "store"), ended, interrupted=interrupted)


def test_what_became_of_a_dataset(tmp_path: Path) -> None:
    failed = {"status": "failed", "kind": "ValueError", "error": "negative flux"}
    stopped = {"status": "interrupted", "kind": "SearchInterruptedError", "error": "saved at 300 calls"}
    assert row(failed, False, tmp_path)["status"] == "failed"
    assert "negative flux" in row(failed, False, tmp_path)["error"]
    assert row(failed, True, tmp_path)["status"] == "failed"  # it failed by itself before the Ctrl-C
    assert row(stopped, True, tmp_path)["status"] == "interrupted"
    assert row({**failed, "kind": "WorkerDied"}, True, tmp_path)["status"] == "interrupted"
    lost = {"status": "interrupted", "kind": "ServerLost", "error": "the Prefect server no longer answers"}
    assert row(lost, False, tmp_path)["status"] == "interrupted"
    assert row(lost, False, tmp_path)["error"] == "the Prefect server no longer answers"
    assert row(None, True, tmp_path)["status"] == "interrupted"
    assert row(None, False, tmp_path)["error"] == "the flow process ended before it came to this dataset"


def test_the_same_dataset_twice_is_refused(tmp_path: Path) -> None:
    entry: Any = SimpleNamespace(name="toy", load=lambda path: SimpleNamespace(name=path.name))
    display: Any = SimpleNamespace(say=lambda text: None)
    with pytest.raises(ConfigError, match="both have the name 'a'"):
        launch.load_all([tmp_path / "a", tmp_path / "a"], entry, Store(tmp_path / "store"), display)


def test_an_error_of_the_only_dataset_is_raised_as_it_is(tmp_path: Path) -> None:
    def load(path: Path) -> Any:
        raise DataError("no image.fits")

    entry: Any = SimpleNamespace(name="toy", load=load)
    with pytest.raises(DataError, match=r"^no image.fits$"):
        launch.load_all([tmp_path / "a"], entry, Store(tmp_path / "store"), SimpleNamespace(say=lambda text: None))  # type: ignore[arg-type]


@pytest.mark.parametrize(("text", "seconds"), [("90", 90.0), ("90s", 90.0), ("15m", 900.0), (" 1.5h ", 5400.0), ("0.1s", 0.1)])
def test_durations(text: str, seconds: float) -> None:
    assert launch.parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "0", "-5m", "soon", "1d", "nan", "inf", "5 m m"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--time-limit is .*above 0 of seconds"):
        launch.parse_duration(text)
