"""The store: one folder of committed results. This is the only face it shows; each thing it does lives in a module of its own.

`commit` publishes, `reading` looks up, `checkpoint` and `lease` serve running searches, `paths` the hooks, `runs` the names, `upkeep` the
whole. Where things lie is in `layout`.
"""

import contextlib
import errno
import json
import reprlib
import shutil
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fitcore.errors import ConfigError, SchemaVersionError, StoreError
from fitcore.identity import digest as digest_of
from fitcore.store import attempts, durable, encoding, reading, runs, setbacks, upkeep
from fitcore.store.activity import Activity, Effort, activity, effort
from fitcore.store.attempts import Attempt
from fitcore.store.checkpoint import FileCheckpoint
from fitcore.store.commit import Contents, checked_part, commit
from fitcore.store.glance import Glimpse, Saved, glimpses, saved
from fitcore.store.internal import read_internal, write_internal
from fitcore.store.layout import FORMAT_FILE, RESULT, SCHEMA_VERSION, SMALL_LIMIT, Layout
from fitcore.store.lease import Lease
from fitcore.store.listing import Chains, chains, chains_table, results_table
from fitcore.store.notices import StoreWarning
from fitcore.store.paths import Paths
from fitcore.store.reading import Record
from fitcore.store.upkeep import Finding
from fitcore.table import Table
from fitcore.text import html_table

REFUSED_BELOW = 32 * 2**20
WARNED_BELOW = 512 * 2**20
FORMAT = encoding.to_json({"format": "fitcore store", "schema_version": SCHEMA_VERSION}) + b"\n"


@dataclass(frozen=True, init=False)
class Store:
    """A folder of results, keyed by the digest of what was asked.

    Parameters
    ----------
    path : the folder; made if it is not there.
    key : secret with which every commit record, checkpoint record and note of a run is signed; what was not signed with it is refused then.
        None signs nothing and asks for no signature.
    heartbeat : seconds between two signs of life of a lease's holder.
    patience : how many may be missed before the holder counts as dead.
    is_looking : nothing is made, written or moved, by nobody: a folder that is not there is an empty store, and what is damaged stays.

    Raises
    ------
    ConfigError : ``path`` is a file, or a folder of other things; or ``key`` is empty or not bytes.
    SchemaVersionError : another version of the format made it.
    StoreError : it is not there and cannot be made. A store that can only be read opens; see `check_writable`.
    """

    path: Path
    key: bytes | None = field(repr=False)
    heartbeat: float
    patience: int
    is_looking: bool

    def __init__(
        self, path: str | Path, *, key: bytes | None = None, heartbeat: float = 1.0, patience: int = 15, is_looking: bool = False
    ) -> None:
        if key is not None and (not isinstance(key, bytes) or not key):
            raise ConfigError(f"the key of the store is {'empty' if key == b'' else f'of type {type(key).__name__}'}: give bytes, or None")
        known = {"path": Path(path).absolute(), "key": key, "heartbeat": heartbeat, "patience": patience, "is_looking": is_looking}
        for name, value in known.items():
            object.__setattr__(self, name, value)
        _open(self._layout)

    @property
    def _layout(self) -> Layout:
        return Layout(self.path, self.key, self.is_looking)

    @property
    def _to_write(self) -> Layout:
        if self.is_looking:
            raise StoreError(f"the store {self.path} was opened to look at it, and nothing is written: open it without is_looking")
        return self._layout

    def check_writable(self) -> None:
        """Try what a commit does, on a small file, so that no sampling is spent on a store that cannot keep its result.

        Raises
        ------
        StoreError : the store cannot be written, or its disk is nearly full. Below 512 MB a `StoreWarning` is given instead.
        """
        _check_writable(self._to_write)

    def _repr_html_(self) -> str:
        """What is in it, for a notebook: quickly, from the notes of its chains."""
        found = chains(self._layout)
        rows = [[row["name"], row["pipeline"], row["verdict"], str(len(row["digests"])), row["recorded"][:16]] for row in found.rows]
        told = f"Store {self.path}: {len(self.digests()):,} results, {len(found.rows):,} chains"
        return html_table(told, ["name", "pipeline", "verdict", "stages", "recorded"], rows)

    # ---- results ---------------------------------------------------------------------------------------------------------------------

    def commit(
        self,
        digest: str,
        *,
        arrays: Mapping[str, Any],
        attributes: Mapping[str, Any],
        spec: Any,
        provenance: Mapping[str, Any] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> Record:
        """Publish a result; the first one wins, and the record of what the store now holds is returned.

        Parameters
        ----------
        digest : of the spec.
        arrays : by name; numbers, booleans or strings of fixed length.
        attributes : JSON-able summary, readable without the arrays. Nothing in it may differ between two equal runs: no times, no hosts.
        spec : JSON-able form of what was asked.
        provenance : JSON-able facts that may differ between equal runs; time, host, versions and attempts are added.
        extra : further JSON-able facts for the manifest.

        Raises
        ------
        CanonicalFormError : something cannot be stored.
        StoreError : the disk is full, not writable or not reliable; what was committed before is untouched.
        """
        told = {"attempts": [attempt.to_dict() for attempt in self.attempts(digest)], **(provenance or {})}
        contents = Contents(arrays=arrays, attributes=attributes, spec=spec, provenance=told, extra=extra or {})
        return commit(self._to_write, digest, RESULT, contents)

    def commit_part(
        self,
        digest: str,
        part: str,
        *,
        arrays: Mapping[str, Any],
        attributes: Mapping[str, Any],
        spec: Any = None,
        provenance: Mapping[str, Any] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> Record:
        """Publish what was made from a result, such as "latents", with its own commit record; ResultNotFoundError without the result."""
        parent = self.read(digest)
        contents = Contents(arrays=arrays, attributes=attributes, spec=spec, provenance=provenance or {}, extra=extra or {})
        return commit(self._to_write, digest, checked_part(part), contents, parent_sha256=parent.sha256)

    def lookup(self, spec: Any, part: str = RESULT) -> Record | None:
        """The record of a committed result (or part), checked against its hashes, or None.

        ``spec`` is what was asked: its digest, a mapping of which the digest is made, or an object with a ``digest``, such as a request.
        What is damaged is moved to quarantine with a `QuarantineWarning`, and is a miss.
        """
        key = spec if isinstance(spec, str) else digest_of(spec) if isinstance(spec, Mapping) else spec.digest
        return reading.lookup(self._layout, key, part)

    def read(self, digest: str, part: str = RESULT) -> Record:
        """As `lookup`, for what must be there; ResultNotFoundError when it is not."""
        return reading.read(self._layout, digest, part)

    def digests(self, beginning: str = "") -> list[str]:
        """The digests of all committed results, or of those that begin so; sorted."""
        return sorted(d for d in self._layout.digests() if d.startswith(beginning) and self._layout.manifest(d).exists())

    def parts(self, digest: str) -> list[str]:
        """Names of the parts of a result that are committed, such as "latents"; sorted."""
        return upkeep.parts(self._layout, digest)[1:]

    def quarantine(self, digest: str, reason: str) -> Path | None:
        """Move a result and its parts out of the way, with the reason; where they are now, None if there were none."""
        folder = self._layout.result_folder(digest)
        files = [path for end in (".json", ".h5") for path in sorted(folder.glob(f"[!.]*{end}"))]
        # The result's own commit record goes first: from then on it is a miss.
        files.sort(key=lambda path: path.name != "manifest.json")
        return reading.quarantine(self._layout, digest, files, reason)

    def write_internal(self, digest: str, data: bytes) -> None:
        """Keep a search's internal state, opaque bytes; the first one wins, before or after the result itself."""
        write_internal(self._to_write, digest, data)

    def read_internal(self, digest: str, *, trust: bool = False) -> bytes:
        """What `write_internal` kept; ConfigError unless ``trust`` is True, since whoever unpickles it runs code that is in it."""
        return read_internal(self._layout, digest, trust=trust)

    @property
    def reports(self) -> Path:
        """Folder for reports, written and read by others; StoreError when a link leads out of the store there."""
        durable.refuse_links(self.path, self._layout.reports)
        return self._layout.reports

    # ---- running searches ------------------------------------------------------------------------------------------------------------

    def checkpoint(
        self,
        digest: str,
        *,
        fingerprint: Mapping[str, Any] | None = None,
        stop: Callable[[], bool] | threading.Event | None = None,
        lease: Lease | None = None,
    ) -> FileCheckpoint:
        """Where a search saves its state: a `fitcore.search.base.Checkpoint`.

        Parameters
        ----------
        fingerprint : JSON-able; whatever must be equal for a bit-exact resumption (library versions, batch size); None for nothing.
        stop : event or function that says whether to save and stop.
        lease : the lease it runs under; told of the calls, and asked before every save.
        """
        return FileCheckpoint(self._to_write, digest, fingerprint=fingerprint or {}, stop=stop, lease=lease)

    def lease(self, digest: str, *, part: str = RESULT, wait: float | None = None, about: Mapping[str, str] | None = None) -> Lease:
        """The right to work on a result, as a context manager.

        Parameters
        ----------
        wait : seconds to wait for another holder; 0 fails at once; None waits just long enough to tell a live holder from a dead one.
        about : what the work is, in words, for `activity`.
        """
        durable.refuse_links(self.path, self._layout.attempts_folder(digest))
        return Lease(self._to_write, digest, part=part, wait=wait, heartbeat=self.heartbeat, patience=self.patience, about=about)

    def attempts(self, digest: str, part: str = RESULT) -> list[Attempt]:
        """All attempts at a result, oldest first; the record outlives kills."""
        return attempts.attempts(self._layout.attempts_folder(digest), part)

    def effort(self, digest: str, part: str = RESULT) -> Effort:
        """What the attempts at a result cost together: calls, time, and what was lost between them."""
        return effort(self._layout.attempts_folder(digest), part)

    def saved(self, digest: str, fingerprint: Mapping[str, Any]) -> Saved | None:
        """How far the checkpoints of a search are, by their records; None where there are none. ``fingerprint`` as for `checkpoint`."""
        return saved(self._layout, digest, fingerprint)

    def glimpses(self, *, most: int = 300) -> Iterator[Glimpse]:
        """What the newest ``most`` commit records say, the newest first: quick, and not checked against the results' files."""
        return glimpses(self._layout, most=most)

    def activity(self) -> Activity:
        """Who is at work, what stands still and what was left unfinished; nothing is moved or changed."""
        return activity(self._layout, heartbeat=self.heartbeat, patience=self.patience)

    def heed_setbacks(self, digest: str, lease: Lease) -> None:
        """Before a search: warn of attempts that got no further, and set aside a state on which three have failed."""
        setbacks.heed(self._layout, digest, number=lease.number)

    def paths(self, digest: str) -> Paths:
        """One result's corner of the store, for the hooks of an analysis."""
        return Paths(self.path, self._layout.result_folder(digest) / "output", self.is_looking)

    # ---- names and upkeep ------------------------------------------------------------------------------------------------------------

    def record_run(self, name: str, pipeline: str, stages: Mapping[str, str], extra: Mapping[str, Any] | None = None) -> None:
        """Note which digests the chain of a dataset has; the last note of a name and pipeline counts."""
        runs.record_run(self._to_write, name, pipeline, stages, extra or {})

    def runs(self, name: str | None = None) -> list[dict[str, Any]]:
        """All runs noted, or those of one name: name, pipeline, stages (digest by stage, in order), extra, recorded."""
        return runs.runs(self._layout, name)

    def run(self, name: str, pipeline: str | None = None) -> dict[str, Any]:
        """One run; of several pipelines the one noted last. ResultNotFoundError when there is none."""
        return runs.run(self._layout, name, pipeline)

    def rebuild_runs(self) -> int:
        """Make the index of names anew from the manifests; how many runs they tell of."""
        return runs.rebuild_runs(self._to_write)

    def table(self) -> Table:
        """One row for each committed result: name, pipeline, stage, verdict (on the last stage of a chain), evidence, cost, parameters.

        Samples are not read; ``table[0].result`` is the row's `Result`, which reads them when they are touched. Damaged results go to
        quarantine with a warning and have no row.
        """
        return results_table(self._layout, self)

    def chains(self) -> Table:
        """One row for each finished chain, as `fitcore table` lists them: verdict, evidence, cost, parameters and latent variables.

        ``table[0].results`` has the result of each stage. What cannot be listed is told by a `StoreWarning`.
        """
        found = chains(self._layout)
        for fault in found.faults:
            warnings.warn(fault, StoreWarning, stacklevel=2)
        return chains_table(found, self)

    def listed_chains(self) -> Chains:
        """The rows behind `chains` as they are, and what cannot be listed, in words."""
        return chains(self._layout)

    def verify(self) -> Sequence[Finding]:
        """Everything that is wrong in the store, worst first; nothing is moved or changed."""
        return upkeep.verify(self._layout)

    def collect_garbage(self, *, dry_run: bool = True) -> Sequence[Finding]:
        """Name, and unless ``dry_run`` remove, what no one needs; never what is young, live, a result or unfinished work."""
        return upkeep.collect_garbage(self._layout if dry_run else self._to_write, dry_run=dry_run)


def _check_writable(layout: Layout) -> None:
    probe = durable.temporary_beside(layout.root / "probe")
    with durable.explaining(layout.root, "checking that the store can be written"):
        durable.make_folder(layout.root)
        try:
            durable.publish_first(probe, b"probe")
        finally:
            durable.discard(probe)
        free = shutil.disk_usage(layout.root).free
        if free < REFUSED_BELOW:
            raise OSError(errno.ENOSPC, f"at least {REFUSED_BELOW / 1e6:.0f} MB must be free before a search begins")
    _open(layout)
    if free < WARNED_BELOW:
        warnings.warn(
            f"the disk of the store {layout.root} has only {free / 1e6:.0f} MB free: make room soon, or name a store on another disk",
            StoreWarning,
            stacklevel=3,
        )


def _open(layout: Layout) -> None:
    """Check the format file, or write it into a folder that is new or empty."""
    if not _has_known_format(layout):
        files = [path for path in (layout.root, *layout.root.parents) if path.exists() and not path.is_dir()]
        if files:
            raise ConfigError(f"{files[0]} is a file, and the store {layout.root} must be a folder: name another path")
        names = [path.name for path in layout.root.iterdir()] if layout.root.is_dir() else []
        if any(not name.startswith(durable.TEMPORARY_PREFIX) for name in names) and not _has_known_format(layout):
            raise ConfigError(
                f"the folder {layout.root} holds other things ({', '.join(sorted(names)[:3])}, ...) and no {FORMAT_FILE}, so it is not a "
                f"store: name a new or empty folder"
            )
        if layout.is_looking:
            return
        is_there = layout.root.is_dir()
        try:
            with durable.explaining(layout.root, "making the store"):
                durable.make_folder(layout.root)
                durable.publish_first(layout.format_file, FORMAT, small=True)
        except StoreError:
            if not is_there:
                raise


def _has_known_format(layout: Layout) -> bool:
    try:
        data = durable.read_bytes(layout.format_file, at_most=SMALL_LIMIT)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise StoreError(f"{layout.format_file} cannot be read: {error.strerror or error}; check its permissions") from error
    if data == FORMAT:
        return True
    version: Any = None
    with contextlib.suppress(ValueError, AttributeError, RecursionError):
        version = json.loads(data).get("schema_version")
    if version == SCHEMA_VERSION or not isinstance(version, int):
        raise SchemaVersionError(
            f"the file that says what the store {layout.root} is, {layout.format_file.name}, is damaged: schema version "
            f"{reprlib.repr(version)}. It must hold this line and nothing else: {FORMAT.decode().strip()}. Write it anew if this is your "
            f"store, and look for other damage with `fitcore verify`"
        )
    raise SchemaVersionError(
        f"the store {layout.root} has schema version {version!r}, and this fitcore reads {SCHEMA_VERSION}: use the fitcore that made "
        f"it, or name another store"
    )
