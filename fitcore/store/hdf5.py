"""HDF5 files as bytes in memory: made so that equal contents give equal bytes, and read so that a foreign file can do no harm.

A file of ours is flat: one dataset for each array, and one of bytes for each text. Making the image in memory and handing it to
`fitcore.store.durable` as one write has three merits over letting HDF5 write to the disk: the bytes that were hashed are the bytes that
are read, a full disk is an ordinary error instead of a failed close inside the library, and no file locks are taken (they fail on some
network file systems). No path is opened here: HDF5 gets bytes that were read once, and verified where they can be.
"""

import hashlib
import io
import math
import re
import reprlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import h5py.h5a
import h5py.h5d
import h5py.h5l
import h5py.h5o
import h5py.h5s
import numpy as np
from numpy.typing import NDArray

from fitcore.errors import CanonicalFormError
from fitcore.store import durable

ARRAY_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
TEXT_SUFFIX = ".json"
TEXT_DTYPE = re.compile(r"[<>|=]U(\d{1,9})")
SEAL_BYTES = 512
# Small enough for HDF5's buffers to stay in the processor's cache: with 4 MB, the checksums took twice as long.
CHUNK_BYTES = 2**19
OBJECTS_LIMIT = 4096
TEXT_LIMIT = 16 * 2**20
# Files of other libraries may be compressed; zeros shrink a thousandfold, and no state of a search is zeros.
FOREIGN_RATIO = 64
MARKS = ("schema_version", "digest", "part", "parent_sha256")
KINDS = "biufcS"
# What the HDF5 library and h5py raise on a file that is not whole.
UNREADABLE = (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError)


class ForeignContentError(ValueError):
    """A file holds what none of ours does: links elsewhere, storage elsewhere, filters, odd types or impossible sizes."""


def checked_arrays(arrays: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """The arrays, C-contiguous, with their names and types checked.

    Raises
    ------
    CanonicalFormError : a name or type that cannot be stored.
    """
    if len(arrays) > OBJECTS_LIMIT - len(MARKS):
        raise CanonicalFormError(f"{len(arrays):,} arrays are too many for one file; join them to at most {OBJECTS_LIMIT - len(MARKS):,}")
    checked: dict[str, NDArray[Any]] = {}
    for name, value in arrays.items():
        if not isinstance(name, str) or not ARRAY_NAME.fullmatch(name) or name.endswith(TEXT_SUFFIX):
            raise CanonicalFormError(
                f"array name {name!r} cannot be stored: use letters, digits, '.', '_' and '-', 128 at most, not ending in '.json'"
            )
        array = np.asarray(value)
        if array.dtype.kind not in KINDS + "U" or array.dtype.itemsize == 0:
            raise CanonicalFormError(
                f"array {name!r} has the type {array.dtype}: only booleans, numbers and strings of fixed length are stored"
            )
        checked[name] = array if array.ndim == 0 else np.ascontiguousarray(array)
    return checked


def image(
    arrays: Mapping[str, NDArray[Any]], texts: Mapping[str, bytes], marks: Mapping[str, str | int], *, block: int = SEAL_BYTES
) -> bytes:
    """The bytes of an HDF5 file: the same for equal contents, with a checksum on every chunk and no times anywhere.

    Parameters
    ----------
    arrays : as `checked_arrays` gives them.
    texts : bytes by name; names end in ".json".
    marks : attributes of the root group; names are among `MARKS`.
    block : bytes at the beginning that HDF5 leaves alone; by default they have the seal of all that follows, more of them are zeros.

    Raises
    ------
    CanonicalFormError : a text is too long to be read again.
    """
    for name, text in texts.items():
        if len(text) > TEXT_LIMIT:
            raise CanonicalFormError(
                f"{name} would have {len(text):,} bytes, more than the {TEXT_LIMIT:,} allowed: keep long lists as arrays"
            )
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver="latest", userblock_size=block) as file:
        for name, mark in marks.items():
            file.attrs[name] = mark
        for name in sorted(texts):
            _add(file, name, np.frombuffer(texts[name], dtype=np.uint8))
        for name in sorted(arrays):
            array = arrays[name]
            if array.dtype.kind == "U":
                encoded = np.char.encode(array, "utf-8")
                width = max(encoded.dtype.itemsize, array.dtype.itemsize // 4)
                _add(file, name, encoded.astype(f"S{width}")).attrs["text_dtype"] = array.dtype.str
            else:
                _add(file, name, array)
    if block == SEAL_BYTES:
        with buffer.getbuffer() as view:
            view[:SEAL_BYTES] = _seal(view)
    return buffer.getvalue()


def with_record(record: bytes, data: bytes, block: int) -> bytes:
    """The bytes of a part: its commit record at the beginning, which HDF5 leaves alone, and the file."""
    return record.ljust(block, b"\0") + data[block:]


def parted(data: bytes) -> tuple[bytes, int]:
    """The commit record at the beginning of what `with_record` made, and how many bytes it has there.

    Raises
    ------
    ForeignContentError : it begins with none, or there is something beside it.
    """
    end = data.find(b"\0")
    block = block_of(end)
    if not data.startswith(b"{") or end < 0 or data[end:block].strip(b"\0") or len(data) <= block:
        raise ForeignContentError("there is no commit record at its beginning")
    return data[:end], block


def block_of(length: int) -> int:
    """Bytes at the beginning of a file that hold a record of this length and a zero after it: HDF5 knows powers of two from 512 on."""
    return max(SEAL_BYTES, 1 << max(length, 0).bit_length())


def _seal(data: bytes | memoryview) -> bytes:
    """The first bytes of a file, which HDF5 leaves to us: the sha256 of all that follows."""
    with memoryview(data) as view:
        digest = hashlib.sha256(view[SEAL_BYTES:]).hexdigest()
    return f"fitcore HDF5 file; sha256 of the bytes from {SEAL_BYTES} on: {digest}\n".encode().ljust(SEAL_BYTES, b"\0")


def _add(file: h5py.File, name: str, array: NDArray[Any]) -> h5py.Dataset:
    if array.size == 0 or array.ndim == 0:  # HDF5 has no chunks, so no checksums, for these; the file's own hash covers them
        return file.create_dataset(name, data=array, track_times=False)
    return file.create_dataset(name, data=array, chunks=_chunks(array), fletcher32=True, track_times=False)


def _chunks(array: NDArray[Any]) -> tuple[int, ...]:
    """The whole array if it is small, else rows of about half a megabyte together, as evenly as they go: the last chunk is padded."""
    row_bytes = max(array.nbytes // array.shape[0], 1)
    if row_bytes <= CHUNK_BYTES:
        n_chunks = -(-array.shape[0] * row_bytes // CHUNK_BYTES)
        return (-(-array.shape[0] // n_chunks), *array.shape[1:])
    return tuple(min(length, 128) for length in array.shape)


def contents(
    data: bytes, names: Iterable[str] | None = None, *, is_verified: bool = False
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Arrays (and texts, as arrays of bytes) and the root's attributes of a file's bytes.

    Parameters
    ----------
    data : what `image` made.
    names : only these datasets; all of them by default.
    is_verified : these very bytes were just made, or have just been checked against a sha256 of the whole file; the seal, which says the
        same of all but itself, is then not computed again.

    Raises
    ------
    ForeignContentError : its seal is broken, or it holds what none of our files does.
    KeyError : a name is not in it.
    UNREADABLE : it cannot be read.
    """
    # A few flipped bits can make the HDF5 library loop for ever: nothing is opened before its hash is checked.
    if not is_verified and data[:SEAL_BYTES] != _seal(data):
        raise ForeignContentError("the sha256 at its beginning does not match the rest")
    with h5py.File(h5py.h5f.open_file_image(data)) as file:
        check_objects(file, len(data), is_flat=True)
        wanted = list(file) if names is None else list(names)
        arrays = {name: _array(file, name) for name in wanted}
        marks = {name: mark for name in MARKS if (mark := _mark(file.id, name)) is not None}
    return arrays, marks


def _mark(item: h5py.h5g.GroupID | h5py.h5d.DatasetID, name: str) -> str | int | None:
    """A text or an integer that is an attribute; None where there is none, or another thing. Attributes of files are low calls: a store's
    first listing reads thousands, and h5py's mappings take four times as long."""
    if not h5py.h5a.exists(item, name.encode()):
        return None
    attribute = h5py.h5a.open(item, name.encode())
    if attribute.shape != ():
        return None
    value = np.empty((), dtype=attribute.dtype)
    attribute.read(value)
    found = value.item()
    if isinstance(found, bytes):
        return found.decode("utf-8")
    return found if isinstance(found, str | int) else None


def _array(file: h5py.File, name: str) -> NDArray[Any]:
    dataset = h5py.h5d.open(file.id, name.encode())
    array: NDArray[Any] = np.empty(dataset.shape, dtype=dataset.dtype)
    dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, array)
    text_dtype = _mark(dataset, "text_dtype")
    if text_dtype is None:
        return array
    found = TEXT_DTYPE.fullmatch(text_dtype) if isinstance(text_dtype, str) else None
    if found is None or int(found[1]) > array.dtype.itemsize or array.dtype.kind != "S":
        raise ForeignContentError(f"{name!r} claims the type {reprlib.repr(text_dtype)}")
    wanted = np.dtype(found[0])
    return np.asarray(np.char.decode(array, "utf-8")).astype(wanted)


def check_objects(file: h5py.File, size: int, *, is_flat: bool) -> None:
    """Refuse links that leave the file, storage outside it, virtual datasets, filters, odd types and sizes beyond the file's own.

    Parameters
    ----------
    file : open for reading.
    size : of the file in bytes; no dataset of ours can be larger.
    is_flat : also refuse groups and types that only other libraries use.
    """
    if is_flat and len(file.id) > OBJECTS_LIMIT:
        raise ForeignContentError(f"more than {OBJECTS_LIMIT} objects")
    groups = [file.id]
    seen = 0
    total = 0
    visited = {h5py.h5o.get_info(file.id).addr}
    while groups:
        group = groups.pop()
        for raw in group:
            seen += 1
            if seen > OBJECTS_LIMIT * (1 if is_flat else 64):
                raise ForeignContentError(f"more than {seen - 1} objects")
            name = raw.decode("utf-8", "replace")
            if group.links.get_info(raw).type != h5py.h5l.TYPE_HARD:
                raise ForeignContentError(f"{name!r} is a link that leaves the file")
            item = h5py.h5o.open(group, raw)
            if isinstance(item, h5py.h5g.GroupID) and not is_flat:
                address = h5py.h5o.get_info(item).addr
                if address in visited:
                    raise ForeignContentError(f"{name!r} is a group that has two names")
                visited.add(address)
                groups.append(item)
            elif isinstance(item, h5py.h5d.DatasetID):
                total += _check_dataset(item, name, is_flat=is_flat)
            else:
                raise ForeignContentError(f"{name!r} is a {type(item).__name__}, not a dataset")
            if total > (size if is_flat else FOREIGN_RATIO * size):
                raise ForeignContentError(f"{name!r} says it is larger than the file that holds it")


def _check_dataset(dataset: h5py.h5d.DatasetID, name: str, *, is_flat: bool) -> int:
    plist = dataset.get_create_plist()
    if plist.get_layout() not in (h5py.h5d.CONTIGUOUS, h5py.h5d.CHUNKED, h5py.h5d.COMPACT):
        raise ForeignContentError(f"{name!r} is a virtual dataset")
    if plist.get_layout() == h5py.h5d.CONTIGUOUS and plist.get_external_count() > 0:
        raise ForeignContentError(f"{name!r} keeps its data in another file")
    filters = [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
    if is_flat and any(code != h5py.h5z.FILTER_FLETCHER32 for code in filters):
        raise ForeignContentError(f"{name!r} passes through filters {filters}")
    dtype = dataset.dtype
    if is_flat and dtype.kind not in KINDS:
        raise ForeignContentError(f"{name!r} has the type {dtype}")
    size = math.prod(map(int, dataset.shape or ())) * dtype.itemsize
    if is_flat and name.endswith(TEXT_SUFFIX) and size > TEXT_LIMIT:
        raise ForeignContentError(f"{name!r} is {size:,} bytes, more than the {TEXT_LIMIT:,} allowed")
    return size


def check_foreign(path: Path, *, at_most: int = 2**30) -> None:
    """Refuse a file of another library that leads out of itself, or unfolds to many times its own size.

    Raises
    ------
    ForeignContentError : it does.
    OSError : it cannot be read.
    """
    data = durable.read_bytes(path, at_most=at_most)
    with h5py.File(h5py.h5f.open_file_image(data)) as file:
        check_objects(file, len(data), is_flat=False)
