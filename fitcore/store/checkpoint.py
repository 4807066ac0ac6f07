"""Where a running search keeps its state, so that a kill costs at most the last minute. Finished results are not handled here.

A state is a file and a record beside it with the file's sha256, the digest, the fingerprint (whatever must be equal for a bit-exact
resumption: library versions, batch size) and the number of calls. The record is written last: a state without one does not exist. The
last two of each kind are kept, so that a damaged one costs one interval.
"""

import contextlib
import hashlib
import json
import secrets
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from fitcore.errors import FitcoreError, LeaseHeldError
from fitcore.store import durable, encoding, hdf5
from fitcore.store.layout import NAME_PATTERN, SCHEMA_VERSION, SMALL_LIMIT, Layout
from fitcore.store.lease import Lease
from fitcore.store.notices import CheckpointWarning
from fitcore.store.reading import SIZE_LIMIT, quarantine

T = TypeVar("T")

COST_RATIO = 25.0  # seconds of a run for each second of its writing: four per cent
LONGEST_INTERVAL = 60.0
KEPT = 2
ARRAYS, FOREIGN = "arrays", "foreign"
TREE = "tree.json"
RECORD = "checkpoint record"
FIELDS: dict[str, type] = {
    "schema_version": int,
    "digest": str,
    "sequence": int,
    "kind": str,
    "file": str,
    "sha256_of_file": str,
    "size": int,
    "n_calls": int,
    "fingerprint": dict,
}


@dataclass(frozen=True, kw_only=True)
class State:
    """One saved state: its record, and where it lies."""

    sequence: int
    record_path: Path
    kind: str
    file: Path
    sha256_of_file: str
    size: int
    n_calls: int
    fingerprint: Mapping[str, Any]
    digest: str
    schema_version: int
    signature_fault: str

    def fault(self) -> str:
        """What is wrong with the file; empty if nothing is."""
        try:
            data = durable.read_bytes(self.file, at_most=self.size)
        except OSError as error:
            return f"it cannot be read ({error.strerror or error})"
        return "" if hashlib.sha256(data).hexdigest() == self.sha256_of_file else "its sha256 is not the one in its record"

    def difference(self, digest: str, fingerprint: Mapping[str, Any]) -> str:
        """In what it differs from what a search asks for; empty if in nothing."""
        if self.signature_fault:
            return f"{self.record_path.name} {self.signature_fault}"
        if self.schema_version != SCHEMA_VERSION:
            return f"its schema version is {self.schema_version}, now {SCHEMA_VERSION}"
        if self.digest != digest:
            return f"it belongs to {self.digest}"
        differing = [key for key in sorted({*self.fingerprint, *fingerprint}) if self.fingerprint.get(key) != fingerprint.get(key)]
        return "; ".join(f"{key} was {self.fingerprint.get(key)!r} and is {fingerprint.get(key)!r}" for key in differing)


def states(folder: Path, key: bytes | None = None) -> Iterator[State | tuple[Path, str]]:
    """All states of a folder, newest first; for a damaged record its path and what is wrong with it. ``key`` is the store's."""
    for path in sorted(folder.glob("state-*.json"), reverse=True):
        try:
            record = encoding.unsigned(durable.read_bytes(path, at_most=SMALL_LIMIT))
            fault = encoding.signature_fault(record, RECORD, key)
            record.pop("hmac", None)
            if record.keys() != FIELDS.keys() or any(not isinstance(record[name], kind) for name, kind in FIELDS.items()):
                raise ValueError(f"its fields are not {', '.join(FIELDS)}, each of its type")
            file = record.pop("file")
            if not NAME_PATTERN.fullmatch(file) or not file.startswith("state-"):
                raise ValueError("its file lies elsewhere")
            if not 0 <= record["size"] <= SIZE_LIMIT:
                raise ValueError(f"it says {record['size']:,} bytes, and {SIZE_LIMIT:,} are allowed")
            yield State(record_path=path, file=folder / file, signature_fault=fault, **record)
        except FileNotFoundError:
            continue
        except (OSError, ValueError, TypeError, KeyError) as error:
            yield path, str(error)


class FileCheckpoint:
    """A `fitcore.search.base.Checkpoint` in a store.

    Parameters
    ----------
    layout, digest : whose state it is.
    fingerprint : JSON-able; a state whose fingerprint differs is not used.
    stop : a `threading.Event`, or a function that says whether the search should save and stop.
    lease : the lease under which the search runs; told of every number of calls, and asked before every save.
    """

    def __init__(
        self,
        layout: Layout,
        digest: str,
        *,
        fingerprint: Mapping[str, Any],
        stop: Callable[[], bool] | threading.Event | None = None,
        lease: Lease | None = None,
    ) -> None:
        self._layout = layout
        self._digest = digest
        self._folder = layout.work_folder(digest)
        self._fingerprint = encoding.plain(fingerprint, "fingerprint")
        self._stop = stop.is_set if isinstance(stop, threading.Event) else stop
        self._lease = lease
        self._last_save = time.monotonic()
        self._cost = 0.0
        self._n_calls_saved = 0
        self._has_saved = False

    @property
    def folder(self) -> Path:
        """Where the states lie."""
        return self._folder

    def due(self) -> bool:
        """True when 25 times what this write will cost has passed since the last, or 60 s have; at once before the first save.

        A state grows with the calls, and its cost with it.
        """
        n_calls = self._lease.n_calls if self._lease is not None else self._n_calls_saved
        cost = self._cost * max(1.0, n_calls / max(1, self._n_calls_saved))
        return time.monotonic() - self._last_save >= min(COST_RATIO * cost, LONGEST_INTERVAL)

    def stop_requested(self) -> bool:
        """True once the process was asked to stop."""
        return self._stop is not None and bool(self._stop())

    # ---- saving ----------------------------------------------------------------------------------------------------------------------

    def save_arrays(self, state: Mapping[str, Any], *, n_calls: int) -> None:
        """Save nested arrays, numbers (integers of any size), strings and bytes by name.

        Raises
        ------
        CanonicalFormError : something else is among them.
        StoreError : the disk is full or not writable; the states saved before are untouched.
        LeaseHeldError : another process has taken over.
        """
        tree, arrays = encoding.pack(state)
        marks: dict[str, str | int] = {"schema_version": SCHEMA_VERSION, "digest": self._digest}

        def writer(path: Path) -> None:
            durable.create(path, hdf5.image(hdf5.checked_arrays(arrays), {TREE: json.dumps(tree, separators=(",", ":")).encode()}, marks))

        self._save(writer, kind=ARRAYS, suffix=".h5", n_calls=n_calls)

    def save_through(self, writer: Callable[[Path], None], *, n_calls: int, suffix: str = ".hdf5") -> None:
        """Let ``writer`` write a file of its own format to the path it is given, which ends in ``suffix`` and does not exist yet.

        Raises
        ------
        StoreError : the disk is full or not writable, or ``writer`` wrote nothing; the states saved before are untouched.
        LeaseHeldError : another process has taken over.
        """
        self._save(writer, kind=FOREIGN, suffix=suffix, n_calls=n_calls)

    def _save(self, writer: Callable[[Path], None], *, kind: str, suffix: str, n_calls: int) -> None:
        self._refuse_if_lost()
        if self._lease is not None:
            self._lease.beat(n_calls)
        start = time.monotonic()
        with durable.explaining(self._folder, f"saving the checkpoint of {self._digest[:12]}"):
            durable.refuse_links(self._layout.root, self._folder)
            durable.make_folder(self._folder, self._layout.root)
            sequence = 1 + max((_sequence(path) for path in self._folder.glob("state-*.json")), default=0)
            file = self._folder / f"state-{sequence:08d}-{secrets.token_hex(4)}{suffix}"
            temporary = durable.temporary_beside(file)
            try:
                writer(temporary)
                data = durable.read_bytes(temporary, at_most=SIZE_LIMIT)
                durable.adopt(temporary, file)
            except BaseException:
                durable.discard(temporary)
                raise
            record = {
                "schema_version": SCHEMA_VERSION,
                "digest": self._digest,
                "kind": kind,
                "file": file.name,
                "sha256_of_file": hashlib.sha256(data).hexdigest(),
                "size": len(data),
                "n_calls": int(n_calls),
                "fingerprint": self._fingerprint,
            }
            record_path: Path | None = None
            try:
                while record_path is None:
                    text = encoding.signed({**record, "sequence": sequence}, RECORD, self._layout.key)
                    path = self._folder / f"state-{sequence:08d}.json"
                    # Never over another's: a holder that stood still since it chose the number may have been replaced.
                    if durable.publish_first(path, text, small=True):
                        record_path = path
                    else:
                        sequence += 1
                    self._refuse_if_lost()
            except BaseException:
                if record_path is not None:
                    durable.discard(record_path)
                # A failure may come after the record got its name: it must not promise a file that is gone.
                if not any(isinstance(state, State) and state.file == file for state in states(self._folder)):
                    durable.discard(file)
                raise
            self._prune(kind, sequence)
        self._last_save = time.monotonic()
        self._cost = self._last_save - start
        self._n_calls_saved = int(n_calls)
        self._has_saved = True

    def _refuse_if_lost(self) -> None:
        if self._lease is not None and not self._lease.still_held():
            raise LeaseHeldError(
                f"another process has taken over the work on {self._digest}: this one stood still too long. Nothing was saved over "
                f"its work; run the same command again to wait for it or to go on from it"
            )

    def _prune(self, kind: str, sequence: int) -> None:
        """Keep the last two of this kind; the record goes first, so that it never promises a file that is gone."""
        known = [state for state in states(self._folder, self._layout.key) if isinstance(state, State)]
        # What this key has not signed may be whole under another one: it stays until the result is committed.
        for state in [state for state in known if state.kind == kind and not state.signature_fault][KEPT:]:
            durable.discard(state.record_path)
        # Files without a record go: those that a kill left, and those whose record an earlier save removed. The latter wait for that until
        # the removal is on the disk, or a power cut might bring the record back and not the file.
        recorded = {state.file for state in known}
        for path in self._folder.glob("state-*"):
            if path.suffix != ".json" and path not in recorded and _sequence(path) < sequence:
                durable.discard(path)

    # ---- loading ---------------------------------------------------------------------------------------------------------------------

    def load_arrays(self) -> dict[str, Any] | None:
        """The newest state of `save_arrays` that is whole and has the same fingerprint, or None."""

        def reader(path: Path) -> dict[str, Any]:
            arrays, _ = hdf5.contents(durable.read_bytes(path, at_most=SIZE_LIMIT))
            tree = json.loads(arrays.pop(TREE).tobytes())
            return encoding.unpack(tree, arrays)

        return self._load(reader, ARRAYS)

    def load_through(self, reader: Callable[[Path], T]) -> T | None:
        """What ``reader`` makes of the newest file of `save_through` that is whole and has the same fingerprint, or None.

        A file that ``reader`` cannot read goes to quarantine, and the one before it is tried.
        """

        def checking(path: Path) -> T:
            if path.suffix in (".h5", ".hdf5"):
                hdf5.check_foreign(path)
            return reader(path)

        return self._load(checking, FOREIGN)

    def _load(self, reader: Callable[[Path], T], kind: str) -> T | None:
        refused = ""
        durable.refuse_links(self._layout.root, self._folder)
        for state in states(self._folder, self._layout.key):
            if not isinstance(state, State):
                self._set_aside([state[0]], f"the checkpoint record {state[0].name} is damaged ({state[1]})")
                continue
            if state.kind != kind:
                continue
            difference = state.difference(self._digest, self._fingerprint)
            if difference:
                refused = refused or difference
                continue
            try:
                fault = state.fault()
                if fault:
                    raise ValueError(fault)
                if self._lease is not None and not self._has_saved:
                    self._lease.resumed_from(state.n_calls)  # before it is read: a state that ends the process is to be known by that
                loaded = reader(state.file)
            except (FitcoreError, MemoryError):
                raise
            except Exception as error:
                # Whatever a foreign reader raises on a file it cannot use, the remedy is the state before it, and it is said aloud.
                self._set_aside([state.record_path, state.file], f"the checkpoint {state.file.name} cannot be used ({error})")
                continue
            return loaded
        if refused:
            warnings.warn(
                f"the checkpoint of {self._digest} is not used, and the search starts anew: {refused}", CheckpointWarning, stacklevel=3
            )
        return None

    def _set_aside(self, paths: list[Path], reason: str) -> None:
        quarantine(self._layout, self._digest, paths, reason)

    def discard(self) -> None:
        """Remove all states, once the result is committed; the record of the attempts stays."""
        for path in sorted(self._folder.glob("state-*.json")):
            durable.discard(path)
        with contextlib.suppress(OSError):
            durable.fsync_folder(self._folder)
        for path in sorted(self._folder.glob("state-*")):
            durable.discard(path)
        with contextlib.suppress(OSError):
            durable.fsync_folder(self._folder)


def _sequence(path: Path) -> int:
    try:
        return int(path.stem.split("-")[1])
    except (IndexError, ValueError):
        return 0
