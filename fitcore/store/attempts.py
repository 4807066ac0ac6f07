"""What is known about who works, or worked, on a result: the files of a lease, read by anyone. Who may work is decided in `lease`.

Each attempt has a number and two files: ``PART-000003.json``, linked once and never changed, says who began it; the ``.beat`` file,
written over in place every second, holds a counter, the calls so far and how it ended. Both outlive a kill.
"""

import json
import os
import platform
import re
import socket
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fitcore.store import durable
from fitcore.store.layout import RESULT

BEAT_BYTES = 512
BEAT_FIELDS: dict[str, type] = {"counter": int, "n_calls": int, "n_calls_at_start": int, "ended": str}
CLAIM_FIELDS: dict[str, type] = {"holder": dict, "beat": str, "started": str}
HOLDER_FIELDS: dict[str, type] = {"host": str, "boot": str, "namespace": str, "pid": int, "started": str}
NUMBER = re.compile("[0-9]{6}")
LARGEST_NUMBER = 999_999
BEAT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}\.beat")
RUNNING = "running"
LOST = "lost"


@dataclass(frozen=True, kw_only=True)
class Process:
    """Who holds a lease, so that another process of the same machine can see whether it still exists."""

    host: str
    boot: str
    namespace: str
    pid: int
    started: str

    @classmethod
    def own(cls) -> "Process":
        """This process."""
        return cls.of(os.getpid())

    @classmethod
    def of(cls, pid: int) -> "Process":
        """The process of this machine that has this number now."""
        return cls(host=socket.gethostname(), boot=_boot(), namespace=_namespace(), pid=pid, started=_start_of(pid) or "")

    def is_gone(self) -> bool:
        """True only when it certainly no longer exists: same host, boot and process namespace, and no such process."""
        return self._is_here() and _start_of(self.pid) != self.started

    def is_alive(self) -> bool:
        """True only when it certainly exists: same host, boot and process namespace, and a process of that number and start."""
        return self._is_here() and _start_of(self.pid) == self.started

    def _is_here(self) -> bool:
        here = (platform.system() == "Linux", socket.gethostname(), _boot(), _namespace())
        return here == (True, self.host, self.boot, self.namespace) and bool(self.boot and self.started)


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _start_of(pid: int) -> str | None:
    """Start time of a process in clock ticks since boot; None when there is none, or only its remains."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The second field is the command in parentheses and may hold anything: count from its end.
    state, *rest = text.rpartition(")")[2].split()
    return None if state in "ZX" else rest[18]


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt at a result.

    Parameters
    ----------
    number : from 1.
    holder : the process.
    started : when, UTC, for people only.
    n_calls_at_start : likelihood calls in the checkpoint it went on from; 0 when it began anew.
    n_calls : likelihood calls when last seen. Calls that the next attempt repeats are ``n_calls - next.n_calls_at_start``.
    ended : "running", "done", "interrupted", "failed: CLASS" or "lost" (killed, or taken over).
    took_over_because : why the attempt before it was taken over; empty when it had ended.
    """

    number: int
    holder: Process
    started: str
    n_calls_at_start: int
    n_calls: int
    ended: str
    took_over_because: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def beat_bytes(
    counter: int, n_calls: int, n_calls_at_start: int, ended: str, *, moved: int = 0, log_evidence: float | None = None
) -> bytes:
    """A beat: always the same length, with a checksum, since a reader may come in the middle of a write.

    Parameters
    ----------
    moved : the counter when the number of calls was last seen to grow.
    log_evidence : so far; None where the search does not tell.
    """
    beat = {"counter": counter, "n_calls": n_calls, "n_calls_at_start": n_calls_at_start, "ended": ended[:200]}
    text = json.dumps({**beat, "moved": moved, "log_evidence": log_evidence})
    body = text.encode("ascii").ljust(BEAT_BYTES - 9)
    return body + f"{zlib.crc32(body):08x}\n".encode()


def read_beat(path: Path) -> dict[str, Any] | None:
    """The beat, or None when it cannot be read right now."""
    data = raw(path)
    if len(data) != BEAT_BYTES or f"{zlib.crc32(data[:-9]):08x}\n".encode() != data[-9:]:
        return None
    return _fields(data[:-9], BEAT_FIELDS)


def _fields(data: bytes, kinds: Mapping[str, type]) -> dict[str, Any] | None:
    """A JSON object that has these fields, each of its type; None for anything else, whoever wrote it."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    is_good = isinstance(found, dict) and all(isinstance(found.get(name), kind) for name, kind in kinds.items())
    return found if is_good else None


def raw(path: Path) -> bytes:
    """A small file's bytes, whatever they are; empty when it cannot be read."""
    try:
        return durable.read_bytes(path, at_most=2**16)
    except OSError:
        return b""


def newest_number(folder: Path, part: str = RESULT) -> int:
    """Number of the newest attempt, 0 where there is none; one listing."""
    return max(_numbers(folder, part), default=0)


def _numbers(folder: Path, part: str) -> list[int]:
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    prefix, suffix = f"{part}-", ".json"
    middles = [name[len(prefix) : -len(suffix)] for name in names if name.startswith(prefix) and name.endswith(suffix)]
    return sorted(int(middle) for middle in middles if NUMBER.fullmatch(middle))


def claim_path(folder: Path, part: str, number: int) -> Path:
    """The file that says who holds the lease of this number."""
    return folder / f"{part}-{number:06d}.json"


def read_claim(path: Path) -> dict[str, Any] | None:
    """Who began it, or None when the file is damaged."""
    claim = _fields(raw(path), CLAIM_FIELDS)
    if claim is None or not BEAT_NAME.fullmatch(claim["beat"]):
        return None
    holder = claim["holder"]
    is_good = holder.keys() == HOLDER_FIELDS.keys() and all(isinstance(holder[name], kind) for name, kind in HOLDER_FIELDS.items())
    return claim if is_good else None


def attempts(folder: Path, part: str = RESULT) -> list[Attempt]:
    """All attempts, oldest first. One whose end was never written is "lost" when a later one exists or its process is gone."""
    found = []
    numbers = _numbers(folder, part)
    for number in numbers:
        claim = read_claim(claim_path(folder, part, number))
        if claim is None:
            continue
        holder = Process(**claim["holder"])
        beat: Mapping[str, Any] = read_beat(folder / claim["beat"]) or {}
        ended = beat.get("ended", RUNNING)
        if ended == RUNNING and (number != numbers[-1] or holder.is_gone()):
            ended = LOST
        found.append(
            Attempt(
                number=number,
                holder=holder,
                started=claim["started"],
                n_calls_at_start=beat.get("n_calls_at_start", 0),
                n_calls=beat.get("n_calls", 0),
                ended=ended,
                took_over_because=str(claim.get("took_over_because", "")),
            )
        )
    return found
