"""What Prefect's pages show of a run: its name, progress and tables, lines of its log.

Artifacts are made by a thread of their own, at most every 30 s, and never in the way of a search; a failure is swallowed and counted. What
matters is in the store before anything here is told.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact
from prefect.context import FlowRunContext
from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

SECONDS_BETWEEN = 30.0


def name_of_run() -> str:
    """A name for a flow run that has a dataset's folder among its parameters: that folder's, the stage where there is one, the pipeline."""
    given = flow_run.get_parameters()
    return ", ".join(part for part in (Path(given["dataset"]).name, given.get("stage"), given["pipeline"]) if part)


def told(event: Mapping[str, Any], calls_per_second: float | None = None) -> str:
    """A progress event as a sentence."""
    parts = [" ".join(part for part in (event["stage"], event["phase"]) if part)]
    if event["n_calls"]:
        rate = "" if calls_per_second is None else f" ({calls_per_second:.1f} a second)"
        parts.append(f"{event['n_calls']:,} calls{rate}")
    if event["log_evidence"] is not None:
        parts.append(f"log-evidence {event['log_evidence']:.2f}")
    return ", ".join(parts)


def log(text: str) -> None:
    """A line in the log of the flow run; nowhere outside one."""
    try:
        get_run_logger().info("%s", text)
    except MissingContextError:
        return


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
        self._before = ("", 0, 0.0)
        self._thread: threading.Thread | None = None

    def tell(self, key: str, event: Mapping[str, Any]) -> None:
        """Take note of a progress event; publishes it, and logs it, where 30 s have passed and nothing is on its way."""
        if event.get("event") != "progress" or time.monotonic() - self._last < SECONDS_BETWEEN:
            return
        here = (event["stage"], event["n_calls"], time.monotonic())
        stage, n_calls, since = self._before
        rate = (here[1] - n_calls) / (here[2] - since) if stage == here[0] and here[1] > n_calls else None
        self._before, self._last = here, here[2]
        text = told(event, rate)
        log(text)
        self._publish(lambda: create_markdown_artifact(markdown=text, key=key))

    def link(self, key: str, path: str, text: str) -> None:
        """Publish where a file lies; the page can open it where browser and worker see the same disk."""
        self._wait()
        self._publish(lambda: create_link_artifact(link=Path(path).absolute().as_uri(), link_text=text, key=key, description=f"`{path}`"))

    def table(self, key: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Publish a table, and wait for it."""
        self._wait()
        self._publish(lambda: create_table_artifact(table=[dict(row) for row in rows], key=key))
        self._wait()

    def _wait(self) -> None:
        """At most as long as one call takes."""
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
