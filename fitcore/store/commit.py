"""Publishing a result once and for all. The order of the steps here is what makes a kill at any instant harmless.

A part is one file, its commit record and its HDF5 file together: it is published by one link, or it is not there.

The HDF5 file gets its final name first, by a link that the first one wins; the manifest, which is the commit record, follows. A file
without a manifest is not a result: whoever comes next checks it through and either writes its manifest or moves it away.
"""

import contextlib
import datetime
import hashlib
import platform
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from fitcore.errors import ConfigError, StoreError
from fitcore.store import durable, encoding, hdf5
from fitcore.store.layout import INTERNAL, MANIFEST_LIMIT, RESULT, SCHEMA_VERSION, Layout
from fitcore.store.reading import ATTRIBUTES, MANIFEST, SIZE_LIMIT, SPEC, Record, hdf5_marks, lookup, quarantine

TRIES = 4


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What is to be committed; arrays, attributes and spec become the file, the rest goes to the manifest only."""

    arrays: Mapping[str, Any]
    attributes: Mapping[str, Any]
    spec: Any
    provenance: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def file_bytes(self, digest: str, part: str, parent_sha256: str, block: int = hdf5.SEAL_BYTES) -> bytes:
        """The HDF5 file, checked by reading it again; the same bytes for equal contents. Of ``block`` see `hdf5.image`.

        Raises
        ------
        CanonicalFormError : something cannot be stored.
        StoreError : the file is too large, or does not give back what was put in.
        """
        arrays = hdf5.checked_arrays(self.arrays)
        texts = {ATTRIBUTES: encoding.to_json(self.attributes, "attributes"), SPEC: encoding.to_json(self.spec, "spec")}
        data = hdf5.image(arrays, texts, hdf5_marks(digest, part, parent_sha256), block=block)
        if len(data) > SIZE_LIMIT:
            raise StoreError(f"the result is {len(data):,} bytes, more than the {SIZE_LIMIT:,} allowed: keep fewer samples")
        found, _ = hdf5.contents(data, is_verified=True)
        same = {name: np.frombuffer(text, dtype=np.uint8) for name, text in texts.items()} | arrays
        if found.keys() != same.keys() or any(not _is_identical(found[name], same[name]) for name in same):
            raise StoreError("the HDF5 library did not give back the arrays that were written: check its version with `fitcore doctor`")
        return data


def _is_identical(first: NDArray[Any], second: NDArray[Any]) -> bool:
    return first.dtype == second.dtype and first.shape == second.shape and np.array_equal(_raw(first), _raw(second))


def _raw(array: NDArray[Any]) -> NDArray[np.uint8]:
    """The bytes of an array, without copying them."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def commit(layout: Layout, digest: str, part: str, contents: Contents, *, parent_sha256: str = "") -> Record:
    """Publish a result or a part; the first one wins, and what the store now holds is returned.

    Parameters
    ----------
    parent_sha256 : of the result's file, for a part that was made from it.

    Raises
    ------
    StoreError : the disk is full, not writable, or not reliable; or there is a result that was not signed with this store's key. Nothing
        committed earlier is touched.
    """
    if part != RESULT:
        return _commit_part(layout, digest, part, contents, parent_sha256)
    manifest_path, file = layout.places(digest)
    data = contents.file_bytes(digest, part, parent_sha256)
    _manifest(layout, file.name, data, contents, _told(digest, part, parent_sha256))  # what cannot be recorded fails before it is published
    with durable.explaining(file, f"committing {part} {digest[:12]}"):
        for _ in range(TRIES):
            record = lookup(layout, digest, part)
            if record is not None:
                return record
            durable.make_folder(file.parent, layout.root)
            try:
                durable.publish_first(file, data)
                found = durable.read_bytes(file, at_most=SIZE_LIMIT)
            except FileNotFoundError:
                continue  # a collector of rubbish or a quarantine was quicker: once more
            fault = "" if found == data else _fault(found, hdf5_marks(digest, part, parent_sha256), is_signing=layout.key is not None)
            if fault:
                quarantine(layout, digest, [file], f"{file.name} was left without a commit record and {fault}")
                continue
            told = {**_told(digest, part, parent_sha256), "is_adopted": found != data}
            durable.publish_first(manifest_path, _manifest(layout, file.name, found, contents, told), small=True)
    # The last word is the reader's.
    record = lookup(layout, digest, part)
    if record is None:
        raise StoreError(f"{file} could not be committed in {TRIES} tries: what was written does not read back. Check the disk")
    return record


def _commit_part(layout: Layout, digest: str, part: str, contents: Contents, parent_sha256: str) -> Record:
    file, told = layout.part_file(digest, part), _told(digest, part, parent_sha256)
    data, record, block = b"", b"", hdf5.SEAL_BYTES
    while hdf5.block_of(len(record)) != block or not record:
        block = hdf5.block_of(len(record))
        data = contents.file_bytes(digest, part, parent_sha256, block)
        record = _manifest(layout, file.name, data[block:], contents, told)
    data = hdf5.with_record(record, data, block)
    with durable.explaining(file, f"committing {part} {digest[:12]}"):
        for _ in range(TRIES):
            found = lookup(layout, digest, part)  # what is damaged goes away here
            if found is not None:
                return found
            durable.make_folder(file.parent, layout.root)
            with contextlib.suppress(FileNotFoundError):  # a collector of rubbish or a quarantine was quicker: once more
                durable.publish_first(file, data, small=True)
    found = lookup(layout, digest, part)
    if found is None:
        raise StoreError(f"{file} could not be committed in {TRIES} tries: what was written does not read back. Check the disk")
    return found


def _told(digest: str, part: str, parent_sha256: str) -> dict[str, Any]:
    return {"digest": digest, "part": part, "parent_sha256": parent_sha256}


def _fault(data: bytes, expected: Mapping[str, str | int], *, is_signing: bool) -> str:
    """What is wrong with a file that has no commit record; empty if nothing is."""
    if is_signing:  # anyone could have put it there, and our signature would make it ours
        return "is not what this store's key is about to sign"
    try:
        _, marks = hdf5.contents(data)
    except hdf5.UNREADABLE as error:
        return f"cannot be read ({error})"
    return "" if all(marks.get(name) == mark for name, mark in expected.items()) else "belongs to another result"


def _manifest(layout: Layout, name: str, data: bytes, contents: Contents, told: Mapping[str, Any]) -> bytes:
    record = {
        "schema_version": SCHEMA_VERSION,
        "files": {name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}},
        "spec": contents.spec,
        "provenance": {**surroundings(), **contents.provenance},
        "extra": contents.extra,
        **told,
    }
    manifest = encoding.signed(record, MANIFEST, layout.key)
    if len(manifest) > MANIFEST_LIMIT:
        raise StoreError(
            f"the commit record is {len(manifest):,} bytes, more than the {MANIFEST_LIMIT:,} allowed: put less into spec, provenance and "
            f"extra, and arrays among the arrays"
        )
    return manifest


def surroundings() -> dict[str, Any]:
    """When, where and with which versions: recorded beside a result, never part of it."""
    return {
        "committed": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "versions": {
            "python": sys.version.split()[0],
            "numpy": np.__version__,
            "h5py": h5py.__version__,
            "hdf5": h5py.version.hdf5_version,
        },
    }


def checked_part(part: str) -> str:
    """A part's name, which may not be one of the store's own.

    Raises
    ------
    ConfigError : it is.
    """
    if part in (RESULT, INTERNAL, "output"):
        raise ConfigError(f"a part cannot be called {part!r}: the store uses that name itself. Choose another, for example 'latents'")
    return part
