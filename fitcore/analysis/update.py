"""Quick updates while a search runs: a thread of their own, at most one pending, failures counted and never passed on.

The thread is a daemon: neither the search nor the end of the process waits for a picture that hangs. One that is nearly done is given a
moment at the end of the process, since a thread that is cut off inside compiled code may take the process's exit code with it.
"""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from fitcore.search.base import ProgressEvent

if TYPE_CHECKING:
    from fitcore.analysis.analysis import Analysis
    from fitcore.model import Model

SECONDS_AT_EXIT = 2.0
_running: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


class QuickUpdates:
    """Calls ``perform_quick_update`` with the best instance so far, for analyses that support it.

    Attributes
    ----------
    n_shown, n_failed : updates that ended well, and that raised.
    last_failure : what the last one raised, in words.
    """

    def __init__(self, analysis: Analysis, model: Model, paths: Any) -> None:
        self.analysis = analysis
        self.model = model
        self.paths = paths
        self.is_supported = analysis.supports_background_update
        self.n_shown = 0
        self.n_failed = 0
        self.last_failure = ""
        self._best = -np.inf
        self._is_closed = False
        self._thread: threading.Thread | None = None

    @property
    def is_pending(self) -> bool:
        """True while an update runs."""
        return self._thread is not None and self._thread.is_alive()

    def __call__(self, event: ProgressEvent) -> None:
        """Take note of an event; starts an update when there is a better point and none is pending."""
        if not self.is_supported or event.u_best is None or event.log_likelihood_best is None or event.log_likelihood_best <= self._best:
            return
        if self.is_pending or self._is_closed:
            return
        self._best = event.log_likelihood_best
        self._thread = threading.Thread(target=self._update, args=(np.array(event.u_best),), name="quick-update", daemon=True)
        _running.add(self._thread)
        self._thread.start()

    def _update(self, u: Any) -> None:
        try:
            theta = np.asarray(self.model.prior_transform(u))
            self.analysis.perform_quick_update(self.paths, self.analysis.instance_of(theta, self.model))
        except BaseException as error:  # a picture never ends a search, not even by sys.exit; the count is reported
            self.n_failed += 1
            self.last_failure = f"{type(error).__name__}: {error}"
        else:
            self.n_shown += 1

    def wait(self, seconds: float) -> bool:
        """Wait for the pending update, at most so long; whether none is pending now."""
        if self._thread is not None:
            self._thread.join(seconds)
        return not self.is_pending

    def account(self) -> dict[str, Any]:
        """What became of the updates, for the provenance of the result; empty where the analysis supports none."""
        if not self.is_supported:
            return {}
        return {"n_shown": self.n_shown, "n_failed": self.n_failed, "last_failure": self.last_failure, "is_pending": self.is_pending}

    def close(self) -> None:
        """Begin no further update; the one that runs is not waited for."""
        self._is_closed = True


def _leave_time_to_end(seconds: float = SECONDS_AT_EXIT) -> None:
    deadline = time.monotonic() + seconds
    for thread in list(_running):
        thread.join(max(0.0, deadline - time.monotonic()))


atexit.register(_leave_time_to_end)
