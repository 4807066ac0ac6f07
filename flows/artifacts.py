"""Progress and tables for Prefect's pages: from a thread of their own, at most every 30 s, and never in the way of a search.

A failure is swallowed and counted. What matters is in the store before anything here is told.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.context import FlowRunContext

SECONDS_BETWEEN = 30.0


class Publisher:
    """Publishes the newest news now and then, and a table at the end.

    Attributes
    ----------
    n_failed : artifacts that could not be published.
    """

    def __init__(self) -> None:
        self.n_failed = 0
        self._news = ""
        self._last = time.monotonic()
        self._thread: threading.Thread | None = None

    def tell(self, key: str, event: Mapping[str, Any]) -> None:
        """Take note of a progress event; publishes it where 30 s have passed and nothing is on its way."""
        if event.get("event") != "progress" or time.monotonic() - self._last < SECONDS_BETWEEN:
            return
        self._last = time.monotonic()
        text = f"stage **{event['stage']}**, {event['phase']}, {event['n_calls']} calls, log-evidence {event['log_evidence']}"
        self._publish(lambda: create_markdown_artifact(markdown=text, key=key))

    def table(self, key: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Publish a table, waiting for it at most as long as one call takes."""
        self._publish(lambda: create_table_artifact(table=[dict(row) for row in rows], key=key))
        if self._thread is not None:
            self._thread.join(SECONDS_BETWEEN)

    def _publish(self, call: Callable[[], Any]) -> None:
        if self._thread is not None and self._thread.is_alive():
            return
        context = FlowRunContext.get()

        def attempt() -> None:
            try:
                if context is None:
                    call()
                else:
                    with context.model_copy():
                        call()
            except Exception:  # a page that is not updated must not cost a search
                self.n_failed += 1

        self._thread = threading.Thread(target=attempt, daemon=True)
        self._thread.start()
