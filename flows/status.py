"""`fitcore status`: who is at work on a store, what stands still, and what was left unfinished. The store alone is asked, and only read."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fitcore import ConfigError, Store
from fitcore.store.activity import Activity, Work
from fitcore.store.layout import RESULT, Layout
from fitcore.text import duration
from flows.console import clean, one_line

RUNNING, STILL, UNFINISHED = "running", "still", "unfinished"
TITLES = ("dataset", "stage", "where", "since", "calls", "calls/s", "log-evidence", "attempts")


def opened(folder: Path, key: bytes | None) -> Store:
    """A store to look at; unlike `Store` this makes none in an empty folder.

    Raises
    ------
    ConfigError
        when there is none.
    """
    if not Layout(folder.absolute()).format_file.exists():
        raise ConfigError(f"There is no store {folder.absolute()}. Name one by --store or FITCORE_STORE; 'fitcore run' makes one.")
    return Store(folder, key=key)


def stage_of(work: Work) -> str:
    """The stage as people know it: the last part of the search's name, and which part of its result."""
    stage = work.name.rpartition(".")[2] or work.digest[:12]
    return stage if work.part == RESULT else f"{stage} ({work.part})"


def plain(store: Store, found: Activity) -> dict[str, Any]:
    """All of it as plain data."""
    rows: dict[str, list[dict[str, Any]]] = {state: [] for state in (RUNNING, STILL, UNFINISHED)}
    for work in found.works:
        attempt, effort = work.attempt, asdict(work.effort)
        rows[work.state].append(
            {
                "dataset": work.dataset,
                "name": work.name,
                "stage": stage_of(work),
                "digest": work.digest,
                "part": work.part,
                "host": attempt.holder.host,
                "pid": attempt.holder.pid,
                "since": attempt.started,
                "n_calls_made": effort.pop("n_calls"),
                **effort,
                "n_calls": attempt.n_calls,
                "calls_per_second": work.effort.rate,
                "log_evidence": work.log_evidence,
                "n_calls_saved": work.n_calls_saved,
                "why": work.why,
                "command": work.command,
            }
        )
    return clean(
        {
            "store": str(store.path),
            "n_results": found.n_results,
            "n_chains": found.n_chains,
            "n_quarantined": found.n_quarantined,
            **rows,
            "faults": [{"path": str(path), "message": message} for path, message in found.faults],
        }
    )


def show(found: dict[str, Any], say: Callable[[str], None], console: Console) -> None:
    """Tell `plain` in words: lines by ``say``, tables on ``console``."""
    counts = f"{found['n_results']:,} results, {found['n_chains']:,} chains, {found['n_quarantined']:,} in quarantine"
    say(one_line(f"{found['store']}: {counts}"))
    now = datetime.datetime.now(datetime.UTC)
    for state, title in ((RUNNING, "running"), (STILL, "stands still")):
        say(f"\n{title}: {len(found[state])}")
        if found[state]:
            console.print(table(found[state], now))
    for row in found[STILL]:
        say(one_line(f"{row['dataset'] or '-'}: {row['stage']}: {row['why']}"))
    say(f"\nunfinished: {len(found[UNFINISHED])}")
    for row in found[UNFINISHED]:
        for line in left(row):
            say(one_line(line))


def table(rows: Sequence[dict[str, Any]], now: datetime.datetime) -> Table:
    """What is running, or stands still, a row each."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for title in TITLES:
        made.add_column(title, overflow="fold")
    for row in rows:
        cells = (
            row["dataset"] or "-",
            row["stage"],
            f"{row['host']}:{row['pid']}",
            age(row["since"], now),
            f"{row['n_calls']:,}",
            f"{row['calls_per_second']:.1f}",
            "" if row["log_evidence"] is None else f"{row['log_evidence']:.2f}",
            str(row["n_attempts"]),
        )
        made.add_row(*(escape(one_line(cell)) for cell in cells))
    return made


def age(since: str, now: datetime.datetime) -> str:
    """How long ago a time of the store is; the time itself where it is none."""
    try:
        return duration(max(0.0, (now - datetime.datetime.fromisoformat(since)).total_seconds()))
    except (ValueError, TypeError):
        return since


def left(row: dict[str, Any]) -> list[str]:
    """What was left unfinished: where it is, and the command that goes on with it."""
    saved = "nothing is saved" if row["n_calls_saved"] is None else f"{row['n_calls_saved']:,} calls are saved"
    told = f"{row['dataset'] or '-'}: {row['stage']}: {row['why']} on {row['host']}, attempt {row['n_attempts']}; {saved}"
    return [told, f"  {row['command'] or 'the command that began it goes on'}"]
