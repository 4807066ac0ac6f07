"""What the user sees: progress on standard error, rows and tables on standard output. No decisions here."""

from __future__ import annotations

import contextlib
import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from fitcore.text import CONTROLS, duration, with_errors

SECONDS_BETWEEN_LINES = 10.0
FORMULAS = ("=", "+", "-", "@")


def clean(value: Any) -> Any:
    """The value with NaN and infinities as None, since JSON has none."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    return value


def printable(text: str) -> str:
    """The text with control characters, and those that turn text around, written out: a name or an error must not steer a terminal."""
    return CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def one_line(text: str) -> str:
    """`printable` on one line: a name with a newline must not look like a line of its own."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def csv_text(text: str) -> str:
    """A text as a cell of a table that a spreadsheet may open, which would take some beginnings for a formula."""
    return f"'{one_line(text)}" if text.startswith(FORMULAS) else one_line(text)


def json_line(row: Mapping[str, Any]) -> str:
    """One row as one line of JSON."""
    return json.dumps(clean(row), allow_nan=False)


def quantity(value: Mapping[str, float]) -> str:
    """Median and 1 sigma errors, with two digits of the error."""
    return with_errors(value["median"], value["lower"], value["upper"])


TITLES = ("name", "status", "verdict", "", "log-evidence", "calls", "time", "report")
"""Of a table of chains; the fourth column is of the latent variable of first interest."""
WIDEST = 48
"""Characters from which on a cell of a plain table is not filled up to the width of its column."""


def headline_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """The latent variable of first interest of some chains."""
    return next((row["headline"] for row in rows if row["headline"]), "")


def row_cells(row: Mapping[str, Any]) -> list[str]:
    """The row of a chain as text, in the order of `TITLES`."""
    stages = row["stages"]
    latent = row["latents"].get(row["headline"])
    last = stages[-1] if stages else None
    cached = bool(stages) and all(stage["cached"] for stage in stages)
    return [
        row["name"],
        row["status"] + (" (cached)" if cached else ""),
        row["verdict"],
        quantity(latent) if latent else row.get("error", ""),
        f"{last['log_evidence']:.2f} ± {last['log_evidence_error']:.2f}" if last else "",
        str(sum(stage["n_calls"] for stage in stages)) if stages else "",
        duration(sum(stage["seconds"] for stage in stages)) if stages else "",
        row.get("report", ""),
    ]


def rows_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """The rows of some chains as a table."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in TITLES:
        table.add_column(escape(printable(title or headline_of(rows))), no_wrap=title == "report", overflow="fold")
    for row in rows:
        table.add_row(*(escape(printable(str(cell))) for cell in row_cells(row)))  # brackets in a name or an error are no markup
    return table


def aligned(titles: Sequence[str], rows: Sequence[Sequence[str]], is_right: Sequence[bool] = ()) -> str:
    """A plain table, a line each: for thousands of rows, where a drawn one takes a millisecond for each."""
    lines = [[one_line(str(cell)) for cell in line] for line in (titles, *rows)]
    widths = [max(size for line in lines if (size := cell_len(line[i])) <= WIDEST or line is lines[0]) for i in range(len(titles))]
    sides = [*is_right, *[False] * (len(titles) - len(is_right))]

    def filled(cell: str, width: int, on_the_right: bool) -> str:
        blanks = " " * max(0, width - cell_len(cell))
        return blanks + cell if on_the_right else cell + blanks

    return "".join("  ".join(map(filled, line, widths, sides)).rstrip() + "\n" for line in lines)


def output(*, no_color: bool) -> Console:
    """Standard output for tables: as wide as they need when it is not a terminal."""
    console = Console(highlight=False, no_color=no_color, soft_wrap=True)
    if not console.is_terminal:
        console.width = 400
    return console


class Unfailing:
    """A stream whose reader may leave, or whose disk may fill up, and nobody notices: what is told of a run must not end it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write what can be written."""
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush what can be flushed."""
        with contextlib.suppress(OSError):
            self._stream.flush()


@dataclass
class Lane:
    """What one of the datasets side by side is at."""

    name: str = ""
    phase: str = ""
    started: float = field(default_factory=time.monotonic)
    phase_started: float = 0.0
    first_calls: int = 0
    last_line: float = -math.inf
    text: str = ""


class Display:
    """Progress of a run on standard error: a live line a dataset on a terminal, a line now and then elsewhere, nothing when quiet."""

    def __init__(self, *, quiet: bool, no_color: bool) -> None:
        file: Any = None if sys.stderr is None else Unfailing(sys.stderr)  # none where it was closed: rich knows what to do
        self.console = Console(file=file, stderr=True, no_color=no_color, highlight=False, soft_wrap=True)
        self.quiet = quiet
        self._lanes: dict[tuple[int, int], Lane] = {}
        self._status: Status | None = None

    def __enter__(self) -> Display:
        if self.console.is_terminal and not self.quiet:
            self._status = self.console.status("starting")
            self._status.start()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._status is not None:
            self._status.stop()

    def say(self, text: str) -> None:
        """One sentence for the user, also when quiet: something happened that matters."""
        self.console.print(printable(text), markup=False)

    def finished(self, row: Mapping[str, Any], n_done: int, n_all: int) -> None:
        """One dataset of several is done."""
        if not self.quiet:
            latent = row["latents"].get(row["headline"])
            value = f", {row['headline']} {quantity(latent)}" if latent else ""
            self.say(f"{n_done} of {n_all} done: {row['name']} {row['verdict']}{value}")

    def hear(self, event: Mapping[str, Any]) -> None:
        """Show one event of the flow process."""
        kind, number, branch = event.get("event"), event.get("lane", 0), event.get("branch", 0)
        if kind == "dataset":
            self._lanes[number, 0] = Lane(name=event["name"])
        trunk = self._lanes.setdefault((number, 0), Lane())
        lane = trunk if branch == 0 else self._lanes.setdefault((number, branch), Lane(name=trunk.name))
        if kind == "progress":
            self._progress(lane, event)
        elif kind == "warning":
            self.say(f"{event['kind']}: {event['text']}")
        elif kind == "outcome" and not self.quiet:
            how = "found in the store" if event["cached"] else f"done: {event['n_calls']} calls, {duration(event['seconds'])}"
            evidence = "" if math.isnan(event["log_evidence"]) else f", log-evidence {event['log_evidence']:.2f}"
            self.say(f"{lane.name}: {event['name']} {how}{evidence}, grade {event['grade'] or '-'}")
        elif kind == "held":
            self.say(f"{event['name']}: waits: {event['text']}")
        elif kind in ("ended", "fatal") and "error" in event:
            self.say(f"{event.get('name', 'run')}: {event.get('status', 'failed')}: {event['error']}")
        if kind == "closed" and branch != 0:
            del self._lanes[number, branch]
        if kind == "ended":
            lane.text = ""

    def _progress(self, lane: Lane, event: Mapping[str, Any]) -> None:
        now = time.monotonic()
        key = " ".join(filter(None, (event["stage"], event["phase"])))
        changed = key != lane.phase
        if changed:
            lane.phase, lane.phase_started, lane.first_calls = key, now, event["n_calls"]
        calls = event["n_calls"]
        elapsed = now - lane.phase_started
        rate = f", {(calls - lane.first_calls) / elapsed:.0f}/s" if calls > lane.first_calls and elapsed > 1 else ""
        evidence = "" if event["log_evidence"] is None else f", log-evidence {event['log_evidence']:.2f}"
        note = f", {event['text']}" if event["text"] else ""
        lane.text = f"{lane.name}: {key}, {calls} calls{rate}{evidence}, {duration(now - lane.started)}{note}"
        if self._status is not None:
            self._status.update(escape("\n".join(each.text for each in self._lanes.values() if each.text)))
        elif not self.quiet and (changed or now - lane.last_line > SECONDS_BETWEEN_LINES):
            lane.last_line = now
            self.say(lane.text)
