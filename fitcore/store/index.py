"""What listings have read of many files, kept in one file, so that a list of thousands need not read all of them again.

An entry counts only while the files it was made of have the size, times and inode that they had then; otherwise they are read anew, with
every check. The index never stands for a file: it may be removed at any time, and a file of results is not opened through it. What keeps
its size and times and has other bytes all the same (a failing disk) is found by `fitcore verify`, not here.
"""

import contextlib
import hashlib
import hmac
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fitcore.store import durable
from fitcore.store.layout import Layout

FORMAT = 1
LEAST_NEW = 100
"""Entries that must be new for the index to be written: a small store has none."""
YOUNG_SECONDS = 2.0
"""A file that changed so lately may change again within the grain of the file system's clock: it is read again the next time."""
SIZE_LIMIT = 2**29
Stamp = list[list[int]]


class UnreadableError(Exception):
    """A file cannot be listed; the text says why."""


def values(
    layout: Layout, kind: str, files: Mapping[str, Sequence[str | Path]], make: Callable[[str], Any], *, version: int
) -> tuple[dict[str, Any], dict[str, str]]:
    """What ``make`` makes of each key, from the index where the key's files are as they were.

    Parameters
    ----------
    kind : of the listing; each has an index of its own.
    files : key to the files that the value is made of; the first must exist.
    make : the JSON-able value of a key. It raises `UnreadableError` where there is none.
    version : of what is made; another one voids the index.

    Returns
    -------
    values, faults : by key, in the order of ``files``; keys whose first file is gone are in neither.
    """
    known = _load(layout, kind, version)
    found: dict[str, Any] = {}
    faults: dict[str, str] = {}
    kept: dict[str, list[Any]] = {}
    n_new, now = 0, time.time()
    for key, paths in files.items():
        stamp = stamp_of(paths)
        if stamp is None:
            continue
        entry = known.get(key)
        if entry is not None and entry[0] == stamp:
            kept[key], found[key] = entry, entry[1]
            continue
        try:
            found[key] = make(key)
        except FileNotFoundError:  # it went a moment ago
            continue
        except UnreadableError as error:
            faults[key] = str(error)
            continue
        # what changed while it was read, or a moment ago, is not noted: the next listing reads it again
        if stamp == stamp_of(paths) and all(abs(now - 1e-9 * times[1]) > YOUNG_SECONDS for times in stamp):
            kept[key] = [stamp, found[key]]
            n_new += 1
    if n_new >= LEAST_NEW and not layout.is_looking:
        _save(layout, kind, version, kept)
    return found, faults


def stamp_of(paths: Sequence[str | Path]) -> Stamp | None:
    """By what a change of some files is told; None where the first is not there. Others that are not there have an empty stamp."""
    stamp: Stamp = []
    for path in paths:
        try:
            seen = os.lstat(path)
        except OSError:
            if not stamp:
                return None
            stamp.append([0, 0])
        else:
            stamp.append([seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size, seen.st_ino])
    return stamp


def _seal(layout: Layout, kind: str, body: bytes) -> bytes:
    return hmac.new(layout.key or b"fitcore", f"fitcore index {kind}\n".encode() + body, hashlib.sha256).hexdigest().encode()


def _load(layout: Layout, kind: str, version: int) -> dict[str, list[Any]]:
    """The entries; none where there is no index, or it is damaged, of another version, or signed with another key."""
    try:
        seal, _, body = durable.read_bytes(layout.index(kind), at_most=SIZE_LIMIT).partition(b"\n")
        if not hmac.compare_digest(seal, _seal(layout, kind, body)):
            return {}
        record = json.loads(body)
        if [record["format"], record["version"]] != [FORMAT, version]:
            return {}
        entries = record["entries"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return entries if isinstance(entries, dict) and all(isinstance(e, list) and len(e) == 2 for e in entries.values()) else {}


def _save(layout: Layout, kind: str, version: int, entries: Mapping[str, Any]) -> None:
    """Write the index; a store that cannot be written has none."""
    body = json.dumps({"format": FORMAT, "version": version, "entries": entries}, separators=(",", ":")).encode()
    if len(body) < SIZE_LIMIT:
        with contextlib.suppress(OSError):
            durable.replace(layout.index(kind), _seal(layout, kind, body) + b"\n" + body)
