"""What is printed."""

from __future__ import annotations

import errno
import io
import json
import math
import sys
from typing import Any

import pytest
from rich.console import Console

from flows import cli
from flows.console import Display, clean, json_line, quantity, rows_table


def test_json_has_no_nan() -> None:
    row = {"a": math.nan, "b": [1.5, math.inf, (2, -math.inf)], "c": {"d": math.nan, "e": "text", "f": None, "g": True}}
    expected = {"a": None, "b": [1.5, None, [2, None]], "c": {"d": None, "e": "text", "f": None, "g": True}}
    assert clean(row) == expected
    assert json.loads(json_line(row)) == expected
    assert "\n" not in json_line({"text": "two\nlines"})


@pytest.mark.parametrize(
    ("median", "lower", "upper", "text"),
    [
        (1.02345, 1.01345, 1.03345, "1.023 +0.010 -0.010"),
        (1.2, 1.0, 1.5, "1.20 +0.30 -0.20"),
        (1234.5, 1200.0, 1260.0, "1234 +26 -34"),
        (-0.5, -0.6, -0.4, "-0.50 +0.10 -0.10"),
        (0.25, 0.25, 0.25, "0.25"),
        (1.0, math.nan, 2.0, "1"),
        (math.nan, math.nan, math.nan, "nan"),
    ],
)
def test_quantity(median: float, lower: float, upper: float, text: str) -> None:
    assert quantity({"median": median, "lower": lower, "upper": upper}) == text


def printed(rows: list[dict[str, Any]]) -> list[str]:
    console = Console(width=300, soft_wrap=True)
    with console.capture() as capture:
        console.print(rows_table(rows))
    return capture.get().splitlines()


def test_rows_of_all_kinds_in_one_table() -> None:
    stage = {"cached": True, "log_evidence": -12.346, "log_evidence_error": 0.021, "n_calls": 700, "seconds": 1.25}
    done = {
        "name": "good",
        "status": "done",
        "verdict": "accepted",
        "stages": [stage, stage],
        "headline": "radius",
        "latents": {"radius": {"median": 1.2, "lower": 1.1, "upper": 1.3}},
        "report": "store/good.html",
    }
    failed = {"name": "bad", "status": "failed", "verdict": "", "stages": [], "headline": "", "latents": {}, "error": "no [image] here"}
    title, first, second = printed([done, failed])
    assert title.split() == ["name", "status", "verdict", "radius", "log-evidence", "calls", "time", "report"]
    assert " ".join(first.split()) == "good done (cached) accepted 1.20 +0.10 -0.10 -12.35 ± 0.02 1400 2.5 s store/good.html"
    assert " ".join(second.split()) == "bad failed no [image] here"


def test_the_progress_that_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    display = Display(quiet=False, no_color=True)
    with display:
        display.hear({"event": "dataset", "name": "line"})
        progress = {"event": "progress", "stage": "first", "phase": "exploring", "n_calls": 50, "log_evidence": None, "text": ""}
        display.hear(progress)
        display.hear({**progress, "n_calls": 100})
        display.hear(
            {"event": "outcome", "name": "first", "cached": False, "n_calls": 9, "seconds": 1.0, "log_evidence": -1.0, "grade": ""}
        )
        display.hear({"event": "ended", "name": "line", "status": "failed", "error": "why [not]"})
        display.hear({"event": "log", "text": "something else"})
    output, errors = capsys.readouterr()
    assert output == ""
    lines = errors.splitlines()
    assert lines[0].startswith("line: first exploring, 50 calls, ")
    assert lines[1:] == ["line: first done: 9 calls, 1.0 s, log-evidence -1.00, grade -", "line: failed: why [not]"]


def test_branches_side_by_side_have_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    with Display(quiet=False, no_color=True) as display:
        display.hear({"event": "dataset", "name": "line"})
        for _ in range(3):
            for branch, stage in enumerate(("left", "right")):
                told = {"stage": stage, "phase": "exploring", "n_calls": 50, "log_evidence": None, "text": ""}
                display.hear({"event": "progress", "branch": branch, **told})
        display.hear({"event": "closed", "pid": 1, "branch": 1})
        display.hear({"event": "closed", "pid": 0})
    lines = capsys.readouterr().err.splitlines()
    assert [line.rpartition(",")[0] for line in lines] == ["line: left exploring, 50 calls", "line: right exploring, 50 calls"]


def test_quiet_still_says_what_matters(capsys: pytest.CaptureFixture[str]) -> None:
    with Display(quiet=True, no_color=True) as display:
        display.hear({"event": "progress", "stage": "first", "phase": "exploring", "n_calls": 50, "log_evidence": None, "text": ""})
        display.hear({"event": "warning", "kind": "StoreWarning", "text": "the disk is nearly full"})
    assert capsys.readouterr().err == "StoreWarning: the disk is nearly full\n"


class Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "no space left")

    def flush(self) -> None:
        raise BrokenPipeError


def test_progress_that_nobody_can_read_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Full())
    with Display(quiet=False, no_color=True) as display:
        display.say("saving")
        display.hear({"event": "warning", "kind": "StoreWarning", "text": "x"})
    monkeypatch.setattr(sys, "stderr", None)
    with Display(quiet=False, no_color=True) as display:
        display.say("saving")


def test_a_terminal_that_knows_few_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    monkeypatch.setattr(cli, "app", lambda: print("1 \u00b1 \udcff"))
    cli.main()
    sys.stdout.flush()
    assert written.getvalue() == b"1 \\xb1 \\udcff\n"
