"""When a preview is drawn: not too often, not beside another, never after the end of its search, and at no search's risk."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fitcore.search.base import ProgressEvent
from flows import preview as module
from flows.preview import Allowance, Preview, preview_path


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS_BEFORE", 0.0)
    monkeypatch.setattr(module, "SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(module, "SHARE", 0.0)


def event(n_calls: int = 1, best: Any = 0.5) -> ProgressEvent:
    u = None if best is None else np.array([best])
    return ProgressEvent(phase="drawing", n_calls=n_calls, u_best=u, log_likelihood_best=-1.0)


def test_an_event_with_a_best_point_is_drawn() -> None:
    written: list[int] = []
    preview = Preview(lambda found: lambda: written.append(found.n_calls), Allowance())
    preview(event(3, best=None))
    assert preview.wait(1.0)
    assert written == []
    preview(event(7))
    assert preview.wait(5.0)
    assert (written, preview.n_shown) == ([7], 1)


def test_it_waits_at_first_and_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS_BEFORE", 60.0)
    written: list[int] = []
    preview = Preview(lambda found: lambda: written.append(found.n_calls), Allowance())
    preview(event())
    assert preview.wait(1.0)
    assert written == []
    monkeypatch.setattr(module, "SECONDS_BEFORE", 0.0)
    monkeypatch.setattr(module, "SECONDS_BETWEEN", 60.0)
    preview = Preview(lambda found: lambda: written.append(found.n_calls), Allowance())
    for n_calls in (1, 2, 3):
        preview(event(n_calls))
        assert preview.wait(5.0)
    assert written == [1]


def test_the_next_one_waits_for_fifty_times_the_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARE", 50.0)

    def costly(found: ProgressEvent) -> Any:
        end = time.thread_time() + 0.05
        while time.thread_time() < end:
            pass
        return lambda: None

    preview = Preview(costly, Allowance())
    preview(event())
    assert preview.wait(10.0)
    assert preview.allowance.due - time.monotonic() > 2.0
    preview(event())
    assert preview.n_shown == 1


def test_news_are_not_held_up_and_only_one_is_drawn_at_a_time() -> None:
    go, started = threading.Event(), threading.Event()

    def slow(found: ProgressEvent) -> Any:
        started.set()
        go.wait(10.0)
        return lambda: None

    preview = Preview(slow, Allowance())
    preview(event(1))
    assert started.wait(5.0)
    start = time.monotonic()
    preview(event(2))
    assert time.monotonic() - start < 1.0
    go.set()
    assert preview.wait(5.0)
    assert preview.n_shown == 1


def test_nothing_is_written_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS_AT_END", 0.01)
    go, written = threading.Event(), []

    def slow(found: ProgressEvent) -> Any:
        go.wait(10.0)
        return lambda: written.append(1)

    preview = Preview(slow, Allowance())
    preview(event())
    preview.close()
    go.set()
    assert preview.wait(5.0)
    assert written == []
    preview(event())
    assert preview.wait(5.0)
    assert written == []


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), MemoryError()])
def test_failures_are_counted_and_it_gives_up(error: BaseException) -> None:
    tried = []

    def failing(found: ProgressEvent) -> Any:
        tried.append(1)
        raise error

    preview = Preview(failing, Allowance())
    for _ in range(6):
        preview(event())
        assert preview.wait(5.0)
    assert (len(tried), preview.n_failed, preview.n_shown) == (3, 3, 0)
    assert type(error).__name__ in preview.last_failure


def test_it_lies_beside_the_report() -> None:
    assert preview_path(Path("a/J0252+0039.html")) == Path("a/J0252+0039.running.html")
