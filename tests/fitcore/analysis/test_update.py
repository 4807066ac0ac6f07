"""Quick updates: only for better points, one at a time, and never a reason to fail."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest

from fitcore.analysis.analysis import Analysis
from fitcore.analysis.update import QuickUpdates
from fitcore.model import Model, Uniform
from fitcore.search.base import ProgressEvent

MODEL = Model({"a": Uniform(-1, 1)})


class Watched(Analysis):
    """Notes what it is shown, after waiting for ``gate``."""

    def __init__(self, able: bool = True, fails: bool = False) -> None:
        super().__init__()
        self.able, self.fails = able, fails
        self.gate = threading.Event()
        self.gate.set()
        self.seen: list[float] = []

    @property
    def supports_background_update(self) -> bool:
        return self.able

    def perform_quick_update(self, paths: Any, instance: Any) -> None:
        self.gate.wait(10)
        self.seen.append((paths, float(instance["a"]), threading.current_thread() is threading.main_thread()))  # pyright: ignore[reportArgumentType]
        if self.fails:
            raise RuntimeError("no screen")


def event(u: float | None, log_likelihood: float | None) -> ProgressEvent:
    return ProgressEvent(phase="sampling", n_calls=1, u_best=None if u is None else np.array([u]), log_likelihood_best=log_likelihood)


def settled(updates: QuickUpdates) -> None:
    assert updates.wait(10)


def test_better_points_only_and_on_a_thread_of_its_own() -> None:
    analysis = Watched()
    updates = QuickUpdates(analysis, MODEL, "paths")
    for u, value in ((0.5, -3.0), (0.6, -3.0), (0.7, -4.0), (None, 0.0), (0.9, None), (0.75, -2.0)):
        updates(event(u, value))
        settled(updates)
    updates.close()
    assert analysis.seen == [("paths", 0.0, False), ("paths", 0.5, False)]
    assert updates.n_failed == 0


def test_while_one_is_drawn_others_are_left_out_and_the_next_better_one_is_shown() -> None:
    analysis = Watched()
    analysis.gate.clear()
    updates = QuickUpdates(analysis, MODEL, "paths")
    updates(event(0.5, -3.0))
    updates(event(0.75, -2.0))
    analysis.gate.set()
    settled(updates)
    assert [seen[1] for seen in analysis.seen] == [0.0]  # pyright: ignore[reportIndexIssue]
    updates(event(0.75, -2.0))  # it was never shown, so it is still news
    settled(updates)
    updates.close()
    assert [seen[1] for seen in analysis.seen] == [0.0, 0.5]  # pyright: ignore[reportIndexIssue]


def test_the_array_of_the_event_may_change_later() -> None:
    analysis = Watched()
    analysis.gate.clear()
    updates = QuickUpdates(analysis, MODEL, "paths")
    news = event(0.5, -3.0)
    updates(news)
    assert news.u_best is not None
    news.u_best[:] = 0.9
    analysis.gate.set()
    settled(updates)
    updates.close()
    assert analysis.seen[0][1] == 0.0  # pyright: ignore[reportIndexIssue]


def test_failures_are_counted_and_go_no_further() -> None:
    updates = QuickUpdates(Watched(fails=True), MODEL, "paths")
    for value in (-3.0, -2.0):
        updates(event(0.5, value))
        settled(updates)
    updates.close()
    assert updates.account() == {"n_shown": 0, "n_failed": 2, "last_failure": "RuntimeError: no screen", "is_pending": False}


def test_an_analysis_that_does_not_support_it_is_left_alone() -> None:
    analysis = Watched(able=False)
    updates = QuickUpdates(analysis, MODEL, "paths")
    updates(event(0.5, -3.0))
    updates.close()
    assert analysis.seen == []
    assert updates.account() == {}


def test_closing_does_not_wait() -> None:
    analysis = Watched()
    analysis.gate.clear()
    updates = QuickUpdates(analysis, MODEL, "paths")
    updates(event(0.5, -3.0))
    updates.close()
    assert analysis.seen == []
    analysis.gate.set()
    settled(updates)


HANGING = """
import sys, threading, time
import numpy as np
import fitcore as fc
from fitcore.analysis.update import QuickUpdates
from fitcore.search.base import ProgressEvent

class Hanging(fc.Analysis):
    started = threading.Event()
    supports_background_update = True
    def perform_quick_update(self, paths, instance):
        self.started.set()
        time.sleep(float(sys.argv[1]))
        print("shown", flush=True)

updates = QuickUpdates(Hanging(), fc.Model({"a": fc.Uniform(0, 1)}), None)
updates(ProgressEvent(phase="x", n_calls=1, u_best=np.array([0.5]), log_likelihood_best=0.0))
assert Hanging.started.wait(10)
updates.close()
print("done", flush=True)
"""


@pytest.mark.parametrize(("seconds", "told"), [(300, "done\n"), (0.5, "done\nshown\n")])
def test_the_end_of_the_process_does_not_wait_for_a_hanging_update(seconds: float, told: str) -> None:
    start = time.monotonic()
    found = subprocess.run([sys.executable, "-c", HANGING, str(seconds)], capture_output=True, text=True, timeout=60, check=False)
    assert (found.returncode, found.stdout) == (0, told), found.stderr
    assert time.monotonic() - start < 30
