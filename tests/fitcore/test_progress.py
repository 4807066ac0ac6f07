"""The lines on standard error: at a change of phase, and then every few seconds."""

from __future__ import annotations

import pytest

from fitcore import progress
from fitcore.search.base import ProgressEvent


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_line_for_a_new_phase_and_then_every_five_seconds(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    show = progress.console_progress("lens.basin")
    for time, phase, n_calls in ((100, "scan", 0), (102, "scan", 50), (104, "joint", 400), (108.9, "joint", 500), (109, "joint", 900)):
        clock[0] = time
        show(ProgressEvent(phase=phase, n_calls=n_calls))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "lens.basin: scan  0 calls  0/s  0 s",
        "lens.basin: joint  400 calls  100/s  4 s",
        "lens.basin: joint  900 calls  100/s  9 s",
    ]


def test_evidence_and_message_where_there_are_any(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    show = progress.console_progress("fit")
    clock[0] = 102.0
    show(ProgressEvent(phase="sampling", n_calls=10, log_evidence=-12.345, message="[2 modes]"))
    assert capsys.readouterr().err.splitlines() == ["fit: sampling  10 calls  5/s  log-evidence -12.35  2 s  [2 modes]"]


def test_a_message_is_text_whatever_its_brackets_and_its_length(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    text = "[bold] [/never opened] " + 30 * "long "
    progress.console_progress("fit")(ProgressEvent(phase="sampling", n_calls=0, message=text))
    assert capsys.readouterr().err == f"fit: sampling  0 calls  0/s  0 s  {text}\n"
