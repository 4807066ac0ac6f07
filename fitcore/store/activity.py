"""What goes on in a store, told from its leases and checkpoint records alone: who works, what stands still, what was left. Only looks.

Rates and gaps are differences of the times that the file system gave, so that the clocks of the machines do not matter. Whether a holder
is silent is asked of this machine's clock first, and then of its counter, which must not move.
"""

import itertools
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fitcore.errors import StoreError
from fitcore.store import durable
from fitcore.store.attempts import LOST, RUNNING, Attempt, attempts, claim_path, newest_number, read_beat, read_claim
from fitcore.store.checkpoint import State, states
from fitcore.store.layout import RESULT, Layout

CLAIM_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9._+-]{0,63})-[0-9]{6}\.json")
ABOUT = ("name", "dataset", "command")
IDLE_BEATS = 300
"""Signs of life without a new call after which work counts as standing still; a first compilation may take minutes."""
LOOK_BEATS = 2.5


@dataclass(frozen=True, kw_only=True)
class Effort:
    """What the attempts at one result cost together.

    Parameters
    ----------
    n_attempts : how many there were.
    n_calls : likelihood calls, those that were repeated counted twice.
    n_calls_repeated : calls that a later attempt made again.
    seconds : during which an attempt was at work.
    seconds_between : from the last sign of life of an attempt to the beginning of the next.
    """

    n_attempts: int = 0
    n_calls: int = 0
    n_calls_repeated: int = 0
    seconds: float = 0.0
    seconds_between: float = 0.0

    @property
    def rate(self) -> float:
        """Calls a second; 0 where no time is known."""
        return self.n_calls / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, kw_only=True)
class Work:
    """One result, or part of one, that was begun and is not there yet.

    Parameters
    ----------
    state : "running", "still" (its holder gives no sign of life, or makes no calls) or "unfinished" (nobody is at work on it).
    why : in words, why it is not running; empty where it is.
    name, dataset, command : as its holder told: pipeline and stage, the dataset, and the command that goes on; empty where it told nothing.
    attempt : the newest one.
    log_evidence : so far; None where it is not known.
    n_calls_saved : in the newest checkpoint; None where there is none.
    """

    digest: str
    part: str
    state: str
    why: str
    name: str
    dataset: str
    command: str
    attempt: Attempt
    effort: Effort
    log_evidence: float | None
    n_calls_saved: int | None


@dataclass(frozen=True, kw_only=True)
class Activity:
    """All that goes on, and the files that could not be read, with the reason."""

    n_results: int
    n_chains: int
    n_quarantined: int
    works: tuple[Work, ...]
    faults: tuple[tuple[Path, str], ...]


@dataclass(frozen=True, kw_only=True)
class _Held:
    """A newest attempt that has not ended, as it looked a moment ago."""

    work: Work
    beat_path: Path
    beat: Mapping[str, Any]
    silence: float


def activity(layout: Layout, *, heartbeat: float, patience: int) -> Activity:
    """Look at every lease whose result is not there. Where a holder seems silent, its counter is looked at twice, some beats apart."""
    works: list[Work] = []
    silent: list[_Held] = []
    faults: list[tuple[Path, str]] = []
    for digest in layout.digests_at_work():
        for part in _parts_at_work(layout, digest):
            held = _look(layout, digest, part, faults)
            if held is None:
                continue
            if held.work.state == RUNNING and held.silence > patience * heartbeat:
                silent.append(held)
            else:
                works.append(held.work)
    if silent:
        time.sleep(LOOK_BEATS * heartbeat)
        works += [_judged(held) for held in silent]
    return Activity(
        n_results=sum(layout.manifest(digest).exists() for digest in layout.digests()),
        n_chains=sum(1 for _ in layout.runs.glob("[!.]*/[!.]*.json")),
        n_quarantined=sum(1 for _ in layout.quarantine.glob("[0-9a-f]*")),
        works=tuple(sorted(works, key=lambda work: (work.state, work.dataset, work.attempt.started, work.digest))),
        faults=tuple(faults),
    )


def effort(folder: Path, part: str = RESULT) -> Effort:
    """What the attempts in a folder cost together; one that cannot be read is left out."""
    found = attempts(folder, part)
    times = [_times(folder, part, attempt.number) for attempt in found]
    gaps = [later[0] - earlier[1] for earlier, later in itertools.pairwise(times) if earlier and later]
    return Effort(
        n_attempts=len(found),
        n_calls=sum(max(0, attempt.n_calls - attempt.n_calls_at_start) for attempt in found),
        n_calls_repeated=sum(max(0, earlier.n_calls - later.n_calls_at_start) for earlier, later in itertools.pairwise(found)),
        seconds=sum(max(0.0, span[1] - span[0]) for span in times if span),
        seconds_between=sum(max(0.0, gap) for gap in gaps),
    )


def _times(folder: Path, part: str, number: int) -> tuple[float, float] | None:
    """When an attempt began and when it last gave a sign of life, by the file system's clock."""
    path = claim_path(folder, part, number)
    claim = read_claim(path)
    try:
        return None if claim is None else (os.lstat(path).st_mtime, os.lstat(folder / claim["beat"]).st_mtime)
    except OSError:
        return None


def _parts_at_work(layout: Layout, digest: str) -> Iterator[str]:
    """The parts of a result that somebody began and that have no commit record."""
    try:
        names = os.listdir(layout.attempts_folder(digest))
    except OSError:
        return
    parts = {found[1] for name in names if (found := CLAIM_NAME.fullmatch(name))}
    yield from (part for part in sorted(parts) if not layout.places(digest, part)[0].exists())


def _look(layout: Layout, digest: str, part: str, faults: list[tuple[Path, str]]) -> _Held | None:
    """The newest attempt at a part as it looks now; None, and a fault, where that cannot be read."""
    folder = layout.attempts_folder(digest)
    try:
        durable.refuse_links(layout.root, folder)
    except StoreError as error:
        faults.append((folder, str(error)))
        return None
    number = newest_number(folder, part)
    path = claim_path(folder, part, number)
    claim = read_claim(path)
    known = attempts(folder, part) if claim is not None else []
    if claim is None or not known:
        faults.append((path, "it says who works on a result, and is damaged; the next attempt is not hindered by it"))
        return None
    beat_path = folder / claim["beat"]
    beat = read_beat(beat_path) or read_beat(beat_path) or {}  # again: the first look may have come in the midst of a write
    try:
        silence = time.time() - os.lstat(beat_path).st_mtime
    except OSError:
        beat, silence = {}, float("inf")
    if not beat:
        faults.append((beat_path, "the signs of life of an attempt cannot be read"))
    saved = _saved(layout, digest, faults) if part == RESULT else None
    newest = known[-1]
    state, why = RUNNING, ""
    if newest.ended != RUNNING:
        state, why = "unfinished", _ended(newest)
    elif beat and (idle := beat["counter"] - _whole(beat.get("moved"))) > IDLE_BEATS:
        state, why = "still", f"it lives and makes no calls since {idle} signs of life"
    told = claim.get("about")
    about = {name: text for name, text in told.items() if isinstance(text, str)} if isinstance(told, dict) else {}
    evidence = beat.get("log_evidence")
    work = Work(
        digest=digest,
        part=part,
        state=state,
        why=why,
        attempt=newest,
        effort=effort(folder, part),
        log_evidence=evidence if isinstance(evidence, float) else None,
        n_calls_saved=saved,
        **{name: about.get(name, "") for name in ABOUT},
    )
    return _Held(work=work, beat_path=beat_path, beat=beat, silence=silence)


def _whole(value: Any) -> int:
    """A number of a beat that older versions did not write."""
    return value if isinstance(value, int) else 0


def _saved(layout: Layout, digest: str, faults: list[tuple[Path, str]]) -> int | None:
    """Calls in the newest checkpoint, by its record; the state itself is not opened."""
    for state in states(layout.work_folder(digest), layout.key):
        if isinstance(state, State) and not state.signature_fault:
            return state.n_calls
        faults.append(
            (state.record_path, state.signature_fault) if isinstance(state, State) else (state[0], f"checkpoint record: {state[1]}")
        )
    return None


def _ended(attempt: Attempt) -> str:
    """How the newest attempt ended."""
    return "its process was killed" if attempt.ended == LOST else attempt.ended


def _judged(held: _Held) -> Work:
    """What becomes of a holder that seemed silent, now that some beats have passed."""
    again = read_beat(held.beat_path)
    if again is not None and again["counter"] != held.beat.get("counter"):
        return held.work  # the clocks differ: it lives
    fields = {name: getattr(held.work, name) for name in held.work.__dataclass_fields__}
    return Work(**{**fields, "state": "still", "why": f"no sign of life for {held.silence:.0f} s"})
