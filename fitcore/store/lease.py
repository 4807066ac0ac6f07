"""One writer for each result: a lease that others may take over when its holder has died, without ever trusting a clock.

Leases are numbered files, made by a link that only one process can win; the highest number holds. No lease file is ever taken away from
under a holder, so a holder that slept and wakes sees a higher number and knows. Publishing does not rely on any of this: two processes at
work on the same result cost time, not correctness. How the files look is in `attempts`.
"""

import contextlib
import datetime
import math
import os
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

from fitcore.errors import LeaseHeldError, SearchInterruptedError, StoreError
from fitcore.store import durable, encoding
from fitcore.store.attempts import (
    LARGEST_NUMBER,
    RUNNING,
    Process,
    beat_bytes,
    claim_path,
    newest_number,
    raw,
    read_beat,
    read_claim,
)
from fitcore.store.layout import RESULT, Layout

LONGEST_ABOUT = 4096


class Lease:
    """The right to work on one result; a context manager.

    Parameters
    ----------
    layout, digest, part : on what.
    wait : seconds to wait for another holder; 0 fails at once; None (default) waits just long enough to tell a live holder from a dead
        one.
    heartbeat : seconds between two beats.
    patience : beats without a sign of life after which a holder counts as dead.
    about : what the work is, in words for people, such as its name and the command that goes on with it.

    Raises
    ------
    LeaseHeldError : on entering, another process is at work on it.
    """

    def __init__(
        self,
        layout: Layout,
        digest: str,
        *,
        part: str = RESULT,
        wait: float | None = None,
        heartbeat: float = 1.0,
        patience: int = 15,
        about: Mapping[str, str] | None = None,
    ) -> None:
        self._layout = layout
        self._digest = digest
        self._part = part
        self._folder = layout.attempts_folder(digest)
        self._wait = wait
        self._heartbeat = heartbeat
        self._patience = patience
        self._about = {name: text[:LONGEST_ABOUT] for name, text in (about or {}).items()}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._descriptor = -1
        self._number = 0
        self._beat_name = ""
        self._counter = 0
        self._n_calls = 0
        self._n_calls_at_start = 0
        self._moved = 0
        self._log_evidence: float | None = None
        self._is_lost = False
        self.missed_beats = 0

    # ---- taking and giving back ------------------------------------------------------------------------------------------------------

    def __enter__(self) -> "Lease":
        with durable.explaining(self._folder, f"taking the lease of {self._digest[:12]}"):
            durable.make_folder(self._folder, self._layout.root)
            self._acquire()
        self._thread = threading.Thread(target=self._keep_beating, name=f"lease-{self._digest[:8]}", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            ended = "done"
        elif issubclass(kind, SearchInterruptedError) or not issubclass(kind, Exception):  # Ctrl-C, a signal, an exit
            ended = "interrupted"
        else:
            ended = f"failed: {kind.__name__}"
        self._over.set()
        if self._thread is not None:
            self._thread.join(timeout=10 * self._heartbeat + 10)
        with self._lock:
            self._write(ended)
            with contextlib.suppress(OSError):
                durable.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _acquire(self) -> None:
        start = time.monotonic()
        watch = _Watch()
        while True:
            number = newest_number(self._folder, self._part)
            if number >= LARGEST_NUMBER:
                raise StoreError(
                    f"{self._folder} holds the lease number {number:,}, the last there is, which no attempts of fitcore can have used up: "
                    f"the folder was tampered with. Remove it if nothing works on {self._digest[:12]}, and run the same command again"
                )
            reason = self._why_free(number, watch)
            if reason is not None and self._claim(number + 1, reason):
                return
            waited = time.monotonic() - start
            if reason is None and (watch.has_moved if self._wait is None else waited >= self._wait):
                raise LeaseHeldError(self._held_text(number, waited))
            time.sleep(self._heartbeat / 4 if reason is None else 0.0)

    def _why_free(self, number: int, watch: "_Watch") -> str | None:
        """Why the lease of this number holds no longer: empty when it had ended; None while it holds."""
        if number == 0:
            return ""
        path = claim_path(self._folder, self._part, number)
        claim = read_claim(path)
        beat = read_beat(self._folder / claim["beat"]) if claim else None
        if beat is not None and beat["ended"] != RUNNING:
            return ""
        if claim and Process(**claim["holder"]).is_gone():
            return "its process no longer exists"
        # Any change at all in its files is a sign of life, readable or not.
        still = watch.stillness(number, raw(path) + (raw(self._folder / claim["beat"]) if claim else b""), self._heartbeat)
        if still >= self._patience * self._heartbeat:
            return f"its counter stood still for {still:.1f} s"
        return None

    def _claim(self, number: int, reason: str) -> bool:
        """Try to become the holder of this number."""
        token = secrets.token_hex(8)
        self._beat_name = f"{self._part}-{number:06d}-{token}.beat"
        beat_path = self._folder / self._beat_name
        durable.create(beat_path, beat_bytes(0, 0, 0, RUNNING))
        claim = {
            "holder": asdict(Process.own()),
            "beat": self._beat_name,
            "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "took_over_because": reason,
            "about": self._about,
        }
        path = claim_path(self._folder, self._part, number)
        try:
            won = durable.publish_first(path, encoding.to_json(claim))
        except BaseException:
            durable.discard(beat_path)
            raise
        # A slow contender may have won a number that is history already: only the highest one holds.
        if not won or newest_number(self._folder, self._part) != number:
            durable.discard(beat_path)
            return False
        self._number = number
        self._descriptor = os.open(beat_path, os.O_RDWR | os.O_CLOEXEC)
        return True

    def _held_text(self, number: int, waited: float) -> str:
        claim = read_claim(claim_path(self._folder, self._part, number))
        beat = read_beat(self._folder / claim["beat"]) if claim else None
        who = f"process {claim['holder']['pid']} on {claim['holder']['host']} (since {claim['started']})" if claim else "another process"
        calls = f", at {beat['n_calls']:,} calls," if beat else ""
        return (
            f"{who}{calls} is at work on {self._digest}; waited {waited:.1f} s. Wait for it, or end that process: its work is taken over "
            f"when it no longer lives ({self._patience * self._heartbeat:.0f} s without a sign of life)"
        )

    # ---- while it is held ------------------------------------------------------------------------------------------------------------

    @property
    def number(self) -> int:
        """Which attempt this is, from 1."""
        return self._number

    @property
    def n_calls(self) -> int:
        """The calls last told to `beat`."""
        return self._n_calls

    def beat(self, n_calls: int, log_evidence: float | None = None) -> None:
        """Note the calls so far, and the log-evidence where it is known; cheap, never raises, and what it wrote outlives a kill."""
        with self._lock:
            if int(n_calls) > self._n_calls:
                self._moved = self._counter
            self._n_calls = int(n_calls)
            if log_evidence is not None and math.isfinite(log_evidence):
                self._log_evidence = float(log_evidence)
            self._write(RUNNING)

    def resumed_from(self, n_calls: int) -> None:
        """Note the calls of the checkpoint that this attempt goes on from."""
        with self._lock:
            self._n_calls_at_start = int(n_calls)
            self._n_calls = max(self._n_calls, self._n_calls_at_start)
            self._write(RUNNING)

    def still_held(self) -> bool:
        """False once another process has taken over: do not save or publish then."""
        if not self._is_lost:
            claim = claim_path(self._folder, self._part, self._number)
            is_newest = newest_number(self._folder, self._part) == self._number
            self._is_lost = not is_newest or (read_claim(claim) or {}).get("beat") != self._beat_name
        return not self._is_lost

    def _write(self, ended: str) -> None:
        if self._descriptor < 0:
            return
        self._counter += 1
        beat = beat_bytes(self._counter, self._n_calls, self._n_calls_at_start, ended, moved=self._moved, log_evidence=self._log_evidence)
        try:
            durable.write_at_start(self._descriptor, beat)
        except OSError:
            # A lost beat costs at most a takeover, and publishing is safe without the lease: the search goes on.
            self.missed_beats += 1

    def _keep_beating(self) -> None:
        while not self._over.wait(self._heartbeat):
            with self._lock:
                self._write(RUNNING)
            try:
                durable.fsync(self._descriptor)  # network file systems show a write to others only then
            except OSError:
                self.missed_beats += 1


class _Watch:
    """How long a holder has shown no sign of life, by this process's own monotonic clock."""

    def __init__(self) -> None:
        self._seen: tuple[int, bytes] | None = None
        self._last_look = 0.0
        self._still = 0.0
        self.has_moved = False

    def stillness(self, number: int, sign: bytes, heartbeat: float) -> float:
        """Seconds without a change; a look that comes late counts as one heartbeat, since the whole machine may have slept."""
        now = time.monotonic()
        if self._seen == (number, sign):
            self._still += min(now - self._last_look, heartbeat)
        else:
            self.has_moved = self._seen is not None
            self._seen, self._still = (number, sign), 0.0
        self._last_look = now
        return self._still


def held_folder_is_live(folder: Path, part: str) -> bool:
    """True when the newest lease in a folder has neither ended nor a holder that is certainly gone; for the collector of rubbish."""
    number = newest_number(folder, part)
    if number == 0:
        return False
    claim = read_claim(claim_path(folder, part, number))
    beat = read_beat(folder / claim["beat"]) if claim else None
    has_ended = beat is not None and beat["ended"] != RUNNING
    return not has_ended and not (claim is not None and Process(**claim["holder"]).is_gone())
