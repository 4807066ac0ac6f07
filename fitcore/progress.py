"""A search's news on standard error, for notebooks and scripts. The command line has its own display in `flows`."""

from __future__ import annotations

import time

from rich.console import Console

from fitcore.search.base import Progress, ProgressEvent

SECONDS_BETWEEN_LINES = 5.0


def console_progress(name: str) -> Progress:
    """A `Progress` that prints a line at every change of phase and every few seconds."""
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)  # a message is text, on one line
    start = time.monotonic()
    last = {"phase": "", "time": start}

    def show(event: ProgressEvent) -> None:
        now = time.monotonic()
        if event.phase == last["phase"] and now - float(last["time"]) < SECONDS_BETWEEN_LINES:
            return
        last.update(phase=event.phase, time=now)
        evidence = "" if event.log_evidence is None else f"  log-evidence {event.log_evidence:.2f}"
        rate = event.n_calls / max(now - start, 1e-9)
        note = f"  {event.message}" if event.message else ""
        console.print(f"{name}: {event.phase}  {event.n_calls} calls  {rate:.0f}/s{evidence}  {now - start:.0f} s{note}")

    return show
