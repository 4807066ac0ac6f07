"""Quick updates while a search runs: a thread of their own, at most one pending, failures counted and never passed on."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from fitcore.search.base import ProgressEvent

if TYPE_CHECKING:
    from fitcore.analysis.analysis import Analysis
    from fitcore.model import Model


class QuickUpdates:
    """Calls ``perform_quick_update`` with the best instance so far, for analyses that support it."""

    def __init__(self, analysis: Analysis, model: Model, paths: Any) -> None:
        self.analysis = analysis
        self.model = model
        self.paths = paths
        self.n_failed = 0
        self._best = -np.inf
        self._pending: Future[None] | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="quick-update") if analysis.supports_background_update else None

    def __call__(self, event: ProgressEvent) -> None:
        """Take note of an event; starts an update when there is a better point and none is pending."""
        if self._pool is None or event.u_best is None or event.log_likelihood_best is None or event.log_likelihood_best <= self._best:
            return
        if self._pending is not None and not self._pending.done():
            return
        self._best = event.log_likelihood_best
        self._pending = self._pool.submit(self._update, np.array(event.u_best))

    def _update(self, u: Any) -> None:
        try:
            theta = np.asarray(self.model.prior_transform(u))
            self.analysis.perform_quick_update(self.paths, self.analysis.instance_of(theta, self.model))
        except Exception:  # a picture never ends a search; the count is reported
            self.n_failed += 1

    def close(self) -> None:
        """Drop what is pending and end the thread without waiting for a picture."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
