"""The report of a running search, drawn now and then in a thread of its own, at the cost of at most a fiftieth of a core.

It never fails a search. What is drawn, and how, is the pipeline's: its report has a method ``preview``, or there is none. When it may be
drawn is decided here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from fitcore import Pipeline, Store
from fitcore.chain import outcome_of, request_of, stored_results
from fitcore.search.base import ProgressEvent
from flows import catalogue
from flows.records import command_of, links_of, report_path

SECONDS_BEFORE, SECONDS_BETWEEN = 300.0, 60.0
"""Before the first of a process, which imports what draws and takes the longest: some 5 s of processor time; and between two, at least."""
SHARE = 50.0
"""So many times its own cost in processor time passes after a preview."""
MOST_FAILURES = 3
SECONDS_AT_END = 2.0
"""That the end of a search waits for a preview: a thread within compiled code may take the process's exit code with it."""


class Allowance:
    """When the next preview of a process may be drawn; shared by its searches, so that many short ones do not pay each."""

    def __init__(self) -> None:
        self.due = time.monotonic() + SECONDS_BEFORE

    def spent(self, seconds: float) -> None:
        """Take note of what one has cost, in seconds of processor time."""
        self.due = time.monotonic() + max(SECONDS_BETWEEN, SHARE * seconds)


class Preview:
    """Takes note of a search's news, and draws.

    Parameters
    ----------
    draw : makes the page of an event, and returns what writes it.
    allowance : when it may.

    Attributes
    ----------
    n_shown, n_failed, last_failure : previews that were written, that failed, and how the last one did.
    """

    def __init__(self, draw: Callable[[ProgressEvent], Callable[[], object]], allowance: Allowance) -> None:
        self.draw = draw
        self.allowance = allowance
        self.n_shown = 0
        self.n_failed = 0
        self.last_failure = ""
        self._is_closed = False
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def __call__(self, event: ProgressEvent) -> None:
        """Draw this event where it has a best point, enough time has passed, and nothing is being drawn."""
        if event.u_best is None or self._is_closed or self.n_failed >= MOST_FAILURES or time.monotonic() < self.allowance.due:
            return
        if self._thread is not None and self._thread.is_alive():
            return
        self._thread = threading.Thread(target=self._show, args=(event,), name="preview", daemon=True)
        self._thread.start()

    def _show(self, event: ProgressEvent) -> None:
        start = time.thread_time()
        try:
            write = self.draw(event)
            with self._lock:
                if not self._is_closed:
                    write()
                    self.n_shown += 1
        except BaseException as error:  # a picture never ends a search, not even by sys.exit
            self.n_failed += 1
            self.last_failure = f"{type(error).__name__}: {error}"
        finally:
            self.allowance.spent(time.thread_time() - start)

    def wait(self, seconds: float) -> bool:
        """Wait for the preview that is being drawn, at most so long; whether none is now."""
        if self._thread is not None:
            self._thread.join(seconds)
        return self._thread is None or not self._thread.is_alive()

    def close(self) -> None:
        """Write no more: what is being drawn is waited for a moment, and thrown away."""
        with self._lock:
            self._is_closed = True
        self.wait(SECONDS_AT_END)


def preview_path(report: Path) -> Path:
    """Where the preview of a report is: beside it, so that an older report stays until the new one is there."""
    return report.with_name(f"{report.stem}.running.html")


def preview_of(
    request: Mapping[str, Any], entry: catalogue.Entry, pipeline: Pipeline, dataset: Any, store: Store, allowance: Allowance
) -> Preview:
    """The preview of one stage of a chain."""

    def draw(event: ProgressEvent) -> Callable[[], object]:
        page: Any = catalogue.page(entry.name)
        if not hasattr(page, "preview"):
            raise NotImplementedError(f"the report of {entry.name!r} has no preview")
        stage = pipeline.stage(request["stage"])
        results = stored_results(pipeline, dataset, store, seed=request["seed"])
        asked = request_of(pipeline, stage, dataset, results, request["seed"])
        theta = np.asarray(asked.model.prior_transform(np.asarray(event.u_best)))
        return page.preview(
            dataset,
            results,
            [outcome_of(name, result, store) for name, result in results.items()],
            links=links_of(pipeline),
            target=preview_path(report_path(store, entry.name, dataset.name)),
            context={"command": command_of(request), "dataset": request["dataset"], "seed": request["seed"]},
            best=dict(zip(asked.model.paths, theta.tolist(), strict=True)),
            instance=asked.analysis.instance_of(theta, asked.model),
            running=f"stage {stage.name}, {event.phase}: {event.n_calls:,} calls, as of {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        )

    return Preview(draw, allowance)
