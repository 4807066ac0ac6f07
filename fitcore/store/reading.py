"""Looking at committed results: what the commit record promises is checked before anything is believed.

`inspect` only looks; `lookup` also moves what is damaged to quarantine. Nothing is written here except by that move.
"""

import contextlib
import errno
import hashlib
import json
import os
import secrets
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from fitcore.errors import CorruptResultError, ResultNotFoundError, SchemaVersionError, StoreError
from fitcore.store import durable, encoding, hdf5
from fitcore.store.layout import MANIFEST_LIMIT, PART_SUFFIX, RESULT, SCHEMA_VERSION, Layout
from fitcore.store.notices import QuarantineWarning

SIZE_LIMIT = 2**30
PART_LIMIT = SIZE_LIMIT + 2 * MANIFEST_LIMIT
MANIFEST = "manifest"
ATTRIBUTES = "attributes.json"
SPEC = "spec.json"
KINDS: dict[str, type] = {"provenance": dict, "extra": dict, "parent_sha256": str}
# Troubles of this machine or of a network, not of the file: nothing is moved because of them.
PASSING_ERRORS = {errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE, errno.ETIMEDOUT, errno.EINTR}


class DamageError(Exception):
    """A file is not what its commit record promises; ``paths`` are the files to move, the commit record first."""

    def __init__(self, reason: str, paths: Sequence[Path], seen: bytes) -> None:
        super().__init__(reason)
        self.reason = reason
        self.paths = tuple(paths)
        self.seen = seen


@dataclass(frozen=True, kw_only=True)
class Record:
    """One committed result, or one part of it: the summary in memory, the arrays on disk until they are asked for.

    Parameters
    ----------
    digest : of the spec.
    part : "result", or the part's name.
    manifest : the commit record.
    attributes : the summary that was committed with the arrays; its dicts have their keys sorted.
    """

    digest: str
    part: str
    manifest: Mapping[str, Any] = field(repr=False)
    attributes: Mapping[str, Any] = field(repr=False)
    layout: Layout = field(repr=False)

    @property
    def spec(self) -> Any:
        """What was asked, as it was committed."""
        return self.manifest["spec"]

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Times, host, versions and attempts of the run that made it."""
        return self.manifest["provenance"]

    @property
    def extra(self) -> Mapping[str, Any]:
        """Further facts that were committed beside the result."""
        return self.manifest["extra"]

    @property
    def path(self) -> Path:
        """The HDF5 file."""
        return self.layout.result_folder(self.digest) / next(iter(self.manifest["files"]))

    @property
    def sha256(self) -> str:
        """Of the HDF5 file; of a part without the commit record that it begins with."""
        return self.manifest["files"][self.path.name]["sha256"]

    def arrays(self, names: Iterable[str] | None = None) -> dict[str, NDArray[Any]]:
        """The arrays by name, read and checked now.

        Raises
        ------
        CorruptResultError : the file was damaged since; it is in quarantine now.
        KeyError : a name is not in it.
        """
        wanted = list(names) if names is not None else None
        record = self
        for _ in range(2):
            try:
                data = _promised_bytes(record, b"")
            except DamageError:
                # What is on the disk may be newer than this record: look afresh, which also moves what is damaged.
                record = lookup(self.layout, self.digest, self.part)
                if record is None:
                    break
            else:
                try:
                    found, _ = hdf5.contents(data, wanted, is_verified=True)
                except KeyError:
                    raise
                except hdf5.UNREADABLE as error:
                    quarantine(
                        self.layout, self.digest, self.layout.places(self.digest, self.part), f"{self.path.name} cannot be used: {error}"
                    )
                    break
                return {name: array for name, array in found.items() if not name.endswith(hdf5.TEXT_SUFFIX)}
        raise CorruptResultError(
            f"{self.path} was damaged or removed after it was looked up; run the same command again to compute it anew"
        )


def inspect(layout: Layout, digest: str, part: str = RESULT) -> Record | None:
    """The record if there is one, after checking every promise; nothing is moved.

    Raises
    ------
    DamageError : there is a commit record, and something is wrong with it or with the file.
    SchemaVersionError : another version of the format wrote it.
    StoreError : it cannot be read for a reason that is not the file's, or was not signed with this store's key.
    """
    path, file = layout.places(digest, part)
    is_one = path == file
    durable.refuse_links(layout.root, file.parent)
    try:
        seen = durable.read_bytes(path, at_most=PART_LIMIT if is_one else MANIFEST_LIMIT)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        _raise_if_passing(error, path)
        raise DamageError(f"{path.name} cannot be read: {error.strerror or error}", [path, file], b"") from error
    try:
        manifest = encoding.unsigned(hdf5.parted(seen)[0] if is_one else seen)
    except ValueError as error:
        raise DamageError(f"{path.name} is damaged: {error}", [path, file], seen) from error
    fault = encoding.signature_fault(manifest, MANIFEST, layout.key)
    if fault:
        raise StoreError(f"{path} {fault}")
    if manifest.get("schema_version") != SCHEMA_VERSION:
        raise SchemaVersionError(
            f"{path} has schema version {manifest.get('schema_version')!r}, and this fitcore reads {SCHEMA_VERSION}: "
            f"use the fitcore that wrote it, or another store"
        )
    if not _is_for(manifest, digest, part, file.name):
        raise DamageError(f"{path.name} belongs to another result, or was not written by fitcore", [path, file], seen)
    parent = manifest.get("parent_sha256")
    if parent and part != RESULT:
        above = inspect(layout, digest)
        if above is None:
            return None
        if above.sha256 != parent:
            raise DamageError(f"{part} was made from another version of the result", [path, file], seen)
    record = Record(digest=digest, part=part, manifest=manifest, attributes={}, layout=layout)
    data = _promised_bytes(record, seen)
    try:
        texts, marks = hdf5.contents(data, [ATTRIBUTES], is_verified=True)
        attributes = json.loads(texts[ATTRIBUTES].tobytes())
        if not isinstance(attributes, dict):
            raise ValueError("its attributes are no mapping")
    except hdf5.UNREADABLE as error:
        raise DamageError(f"{file.name} cannot be used: {error}", [path, file], seen) from error
    if any(marks.get(name) != mark for name, mark in hdf5_marks(digest, part, parent or "").items()):
        raise DamageError(f"{file.name} belongs to another result", [path, file], seen)
    return replace(record, attributes=attributes)


def hdf5_marks(digest: str, part: str, parent_sha256: str) -> dict[str, str | int]:
    """What every file of ours says of itself."""
    return {"schema_version": SCHEMA_VERSION, "digest": digest, "part": part, "parent_sha256": parent_sha256}


def _is_for(manifest: Mapping[str, Any], digest: str, part: str, file: str) -> bool:
    files = manifest.get("files")
    return (
        (manifest.get("digest"), manifest.get("part")) == (digest, part)
        and isinstance(files, dict)
        and list(files) == [file]
        and isinstance(files[file], dict)
        and isinstance(files[file].get("size"), int)
        and "spec" in manifest
        and all(isinstance(manifest.get(name), kind) for name, kind in KINDS.items())
    )


def _promised_bytes(record: Record, seen: bytes) -> bytes:
    """The file's bytes, which have the size and the sha256 that the commit record says.

    ``seen`` are the bytes of the commit record, which for a part in one file are all bytes; empty where they are to be read now.
    """
    file, promise = record.path, record.manifest["files"][record.path.name]
    is_one = file.name.endswith(PART_SUFFIX)
    path = file if is_one else record.layout.manifest(record.digest, record.part)
    try:
        if promise["size"] > SIZE_LIMIT:
            raise DamageError(f"{file.name} is {promise['size']:,} bytes, more than the {SIZE_LIMIT:,} allowed", [path, file], seen)
        data = seen if is_one and seen else durable.read_bytes(file, at_most=PART_LIMIT if is_one else promise["size"])
        start = hdf5.parted(data)[1] if is_one else 0
    except hdf5.ForeignContentError as error:
        raise DamageError(f"{file.name} is damaged: {error}", [path, file], seen) from error
    except OSError as error:
        _raise_if_passing(error, file)
        raise DamageError(f"{file.name} cannot be read as promised: {error.strerror or error}", [path, file], seen) from error
    if hashlib.sha256(memoryview(data)[start:]).hexdigest() != promise.get("sha256") or len(data) - start != promise["size"]:
        raise DamageError(f"the sha256 of {file.name} is not the one in {path.name}", [path, file], seen)
    return data


def _raise_if_passing(error: OSError, path: Path) -> None:
    if error.errno in PASSING_ERRORS:
        raise StoreError(
            f"{path} cannot be read: {error.strerror}; check its permissions and the disk, then run the same command again"
        ) from error


def lookup(layout: Layout, digest: str, part: str = RESULT) -> Record | None:
    """As `inspect`; what is damaged goes to quarantine with a `QuarantineWarning`, and is a miss."""
    for _ in range(3):
        try:
            return inspect(layout, digest, part)
        except DamageError as damage:
            # Another process may have moved the damaged file and committed a good one while we read: look again, then.
            if _content(damage.paths[0]) == damage.seen:
                quarantine(layout, digest, damage.paths, damage.reason)
                return None
    return None


def _content(path: Path) -> bytes:
    try:
        return durable.read_bytes(path, at_most=PART_LIMIT if path.name.endswith(PART_SUFFIX) else MANIFEST_LIMIT)
    except OSError:
        return b""


def read(layout: Layout, digest: str, part: str = RESULT) -> Record:
    """As `lookup`, for a result that must be there.

    Raises
    ------
    ResultNotFoundError : it is not.
    """
    record = lookup(layout, digest, part)
    if record is None:
        what = "result" if part == RESULT else f"part {part!r} of the result"
        raise ResultNotFoundError(
            f"no {what} {digest} in the store {layout.root}: `fitcore table` lists what is there; run the stage to compute it, or name "
            f"the store that has it"
        )
    return record


def quarantine(layout: Layout, digest: str, paths: Sequence[Path], reason: str) -> Path | None:
    """Move files out of the way, keep them with the reason, and say so loudly.

    Returns
    -------
    The folder they are in now; None where nothing could be moved.
    """
    if layout.is_looking:
        warnings.warn(f"{reason}: {digest} is left where it is; it counts as missing", QuarantineWarning, stacklevel=3)
        return None
    target = layout.quarantine / f"{digest}-{secrets.token_hex(4)}"
    durable.refuse_links(layout.root, target)
    moved: list[str] = []
    trouble = ""
    try:
        durable.make_folder(target, layout.root)
        for path in dict.fromkeys(paths):
            with contextlib.suppress(FileNotFoundError):
                durable.rename(path, target / path.name)
                moved.append(path.name)
        for folder in sorted({path.parent for path in paths if path.parent.is_dir()}):
            durable.fsync_folder(folder)
        if moved:
            durable.replace(target / "reason.json", encoding.to_json({"digest": digest, "reason": reason, "files": moved}) + b"\n")
        else:
            os.rmdir(target)
    except OSError as error:
        trouble = f" (it could not be moved away: {error.strerror or error})"
    if moved or trouble:
        place = f"moved to {target}" if moved else "left where it is"
        warnings.warn(f"{reason}: {digest} {place}{trouble}; it counts as missing and is computed again", QuarantineWarning, stacklevel=3)
    return target if moved else None
