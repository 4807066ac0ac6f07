"""What a campaign page showed, kept in a small file beside it, so that the next page can say what has changed. The file may be anyone's."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from fitcore.store import durable

SIZE_LIMIT = 2**26
SESSION = datetime.timedelta(hours=6)
"""Pages that follow each other faster belong together: all of them tell what has changed since the last page of an earlier session."""
MOVED = 3.0
"""Errors by which a value must differ for a page to tell it."""


class Shown(BaseModel):
    """What a page showed of one chain: its verdict, the value of first interest with its ends at 1 sigma, and the digest of its result."""

    model_config = ConfigDict(strict=True, frozen=True)
    verdict: str
    value: float | None = None
    lower: float | None = None
    upper: float | None = None
    digest: str = ""


class Trouble(BaseModel):
    """A dataset that a run could not finish, and why."""

    model_config = ConfigDict(strict=True, frozen=True)
    name: str
    state: str
    text: str
    time: str = ""


class Snapshot(BaseModel):
    """What a page showed: when it was made, and its chains by ``pipeline/name``."""

    model_config = ConfigDict(strict=True, frozen=True)
    made: str
    rows: dict[str, Shown]


class State(BaseModel):
    """The newest page, the one that it is compared with, and what could not be finished."""

    model_config = ConfigDict(strict=True, frozen=True)
    before: Snapshot | None = None
    newest: Snapshot | None = None
    troubles: list[Trouble] = []


@dataclass(frozen=True, kw_only=True)
class Change:
    """One chain that is not as it was: ``before`` and ``after`` are verdicts, one of them empty where it is new or gone."""

    key: str
    before: str = ""
    after: str = ""
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What has changed since a time; ``since`` is empty on a first page."""

    since: str = ""
    items: tuple[Change, ...] = ()
    n_new: int = 0
    n_refitted: int = field(default=0)


def load(path: Path) -> State:
    """What is kept; nothing where there is no such file, or it is none of ours."""
    try:
        return State.model_validate_json(durable.read_bytes(path, at_most=SIZE_LIMIT))
    except (OSError, ValidationError, RecursionError):
        return State()


def following(state: State, rows: Mapping[str, Shown], now: datetime.datetime, troubles: list[Trouble]) -> State:
    """The state after another page, which shows ``rows``."""
    newest = Snapshot(made=now.isoformat(timespec="seconds"), rows=dict(rows))
    before = state.before
    if state.newest is not None and (before is None or now - _time(state.newest.made, now) > SESSION):
        before = state.newest
    return State(before=before, newest=newest, troubles=troubles)


def _time(text: str, now: datetime.datetime) -> datetime.datetime:
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        return now - 2 * SESSION
    return found if found.tzinfo is not None else found.replace(tzinfo=datetime.UTC)


def changes(before: Snapshot | None, rows: Mapping[str, Shown]) -> Changes:
    """What is new, gone, of another verdict, or moved by more than `MOVED` errors."""
    if before is None:
        return Changes()
    others, new, n_refitted = [], [], 0
    for key, row in rows.items():
        old = before.rows.get(key)
        if old is None:
            new.append(Change(key=key, after=row.verdict, text="new"))
        elif old.verdict != row.verdict:
            others.append(Change(key=key, before=old.verdict, after=row.verdict))
        elif moved := _moved(old, row):
            others.append(Change(key=key, after=row.verdict, text=moved))
        n_refitted += old is not None and old.digest != row.digest
    gone = [Change(key=key, before=old.verdict, text="is gone") for key, old in before.rows.items() if key not in rows]
    return Changes(since=before.made, items=(*others, *gone, *new), n_new=len(new), n_refitted=n_refitted)


def _moved(old: Shown, row: Shown) -> str:
    if old.value is None or row.value is None or old.lower is None or old.upper is None or row.lower is None or row.upper is None:
        return ""
    error = max(0.5 * (old.upper - old.lower), 0.5 * (row.upper - row.lower))
    if not (math.isfinite(error) and error > 0 and abs(row.value - old.value) > MOVED * error):
        return ""
    return f"moved from {old.value:.5g} to {row.value:.5g}"


def plain(state: State) -> bytes:
    """The file's content."""
    return state.model_dump_json().encode()


def shown(verdict: str, values: Any, digest: str) -> Shown:
    """What is kept of a chain; ``values`` are median, lower and upper, NaN where they are not known."""
    kept = [float(value) if math.isfinite(value) else None for value in values]
    return Shown(verdict=verdict, value=kept[0], lower=kept[1], upper=kept[2], digest=digest)
