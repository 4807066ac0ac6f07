"""FITS files of strangers, bounded before astropy sees them: size after unpacking, length of headers, number of extensions.

Astropy reads a header until its END card and counts the extensions by reading them all; a file of a few kilobytes that unpacks to
gigabytes, or has no END, would take the memory or the day; so would what follows the last extension, which it is therefore not shown. What
is found here is a `ValueError` in words; nothing is interpreted beyond the cards that say where the next header begins, and those that say
how a compressed image is cut into tiles.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import math
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

BLOCK = 2880
MOST_UNPACKED = 256 * 2**20
MOST_HEADER_BLOCKS = 1000
MOST_HEADER_BLOCKS_IN_ALL = 4000
MOST_EXTENSIONS = 1000
MOST_CONTINUED = 500
PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"PK\x03\x04": "zip", b"\xfd7zXZ": "xz", b"\x1f\x9d": "compress"}
CARD = re.compile(r"([A-Z0-9]+) *= +([+-]?\d{1,30})(?![\d.A-Za-z])")
# What says how large the data are must be a plain whole number under its plain name, or astropy may see another size than is checked here.
STRUCTURAL = re.compile(r"(?:HIERARCH +)?(BITPIX|NAXIS\d*|PCOUNT|GCOUNT) *=")
GROUPS = re.compile(r"(?:HIERARCH +)?GROUPS *= *T")
TILED_KEY = "ZIMAGE"
TILED = re.compile(r"ZIMAGE *= *T")
METHOD = re.compile(r"ZCMPTYPE *= *'([^']*)'")
# astropy's decoders of the others write beyond their buffers on damaged data.
METHODS = ("RICE_1", "RICE_ONE", "GZIP_1", "GZIP_2", "NOCOMPRESS")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A plain file, open for reading; pipes, sockets and devices are refused and never waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise ValueError("it is not a plain file")
        yield stream


@contextlib.contextmanager
def opened_fits(path: Path) -> Iterator[BinaryIO]:
    """A FITS file, unpacked where it is packed by gzip, whose structure can be walked in bounded time and memory.

    Raises
    ------
    ValueError
        for anything else, in words.
    """
    with opened(path) as stream:
        start = stream.read(6)
        stream.seek(0)
        how = next((name for magic, name in PACKED.items() if start.startswith(magic)), None)
        if how is None:
            with io.BufferedReader(_Beginning(stream, check_structure(stream))) as bounded:
                yield bounded
            return
        if how != "gzip":
            raise ValueError(f"it is packed by {how}; unpack it first")
        with gzip.GzipFile(fileobj=stream) as packed:
            data = packed.read(MOST_UNPACKED + 1)
        if len(data) > MOST_UNPACKED:
            raise ValueError(f"it unpacks to more than {MOST_UNPACKED:,} bytes; unpack it first, and cut out the part around the lens")
        unpacked = io.BytesIO(data)
        unpacked.truncate(check_structure(unpacked))
        yield unpacked


class _Beginning(io.RawIOBase):
    """The first bytes of a stream, and nothing of what follows them."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._size = size
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        self._place = max(0, start + offset)
        return self._place

    def readinto(self, buffer: Any) -> int:
        count = max(0, min(len(buffer), self._size - self._place))
        self._stream.seek(self._place)
        data = self._stream.read(count)
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)


def check_structure(stream: BinaryIO) -> int:
    """Walk from header to header, and go back to the beginning; where the last extension ends, in bytes.

    Raises
    ------
    ValueError
        for a header without END, too long a header, too many extensions, or a size that makes no sense.
    """
    stream.seek(0, os.SEEK_END)
    end = stream.tell()
    place, count, n_bytes, is_tiled = 0, 0, 0, False
    while place < end:
        count += 1
        if count > MOST_EXTENSIONS:
            raise ValueError(f"it has more than {MOST_EXTENSIONS} extensions; keep the few that are needed")
        stream.seek(place)
        numbers = _header(stream, is_first=count == 1)
        if numbers is None:
            break
        n_bytes += stream.tell() - place
        if n_bytes > MOST_HEADER_BLOCKS_IN_ALL * BLOCK:
            raise ValueError(f"its headers are longer than {MOST_HEADER_BLOCKS_IN_ALL * BLOCK:,} bytes together; keep what is needed")
        is_tiled = bool(numbers[TILED_KEY])
        place = stream.tell() + _data_bytes(numbers)
    if is_tiled and place - end >= BLOCK:  # some leave the last block short; what is no table is told by its size
        raise ValueError(f"it has {end:,} bytes, and its headers promise {place:,}")
    stream.seek(0)
    return min(place, end)


def _header(stream: BinaryIO, *, is_first: bool) -> dict[str, int] | None:
    """The whole numbers among the cards of the header that begins here; None where none begins."""
    numbers: dict[str, int] = {}
    texts: list[str] = []
    n_continued = 0
    for block_number in range(MOST_HEADER_BLOCKS):
        block = stream.read(BLOCK)
        if block_number == 0 and not block.startswith(b"SIMPLE  =" if is_first else b"XTENSION="):
            if is_first:
                raise ValueError("it does not begin with SIMPLE")
            return None
        for start in range(0, len(block), 80):
            card = block[start : start + 80].decode("ascii", "replace")
            if card.rstrip() == "END":
                return {**numbers, TILED_KEY: _is_tiled(texts, numbers)}
            n_continued = n_continued + 1 if card.startswith("CONTINUE") else 0
            if n_continued > MOST_CONTINUED:
                raise ValueError(f"a header has a text that is continued over more than {MOST_CONTINUED} cards; shorten it")
            found = CARD.match(card)
            if found:
                numbers.setdefault(found[1], int(found[2]))
            elif STRUCTURAL.match(card):
                raise ValueError(f"a header says {card.rstrip()[:60]!r}, which must be a plain whole number")
            elif GROUPS.match(card):
                raise ValueError("it has random groups, which no image needs")
            elif card.startswith(("ZIMAGE", "ZCMPTYPE")):
                texts.append(card)
        if len(block) < BLOCK:
            break
    raise ValueError(f"a header has no END card within {MOST_HEADER_BLOCKS * BLOCK:,} bytes")


def _is_tiled(texts: list[str], numbers: Mapping[str, int]) -> bool:
    """Whether it is a compressed image; its tiles must be parts of it, and its decoder one that can be trusted with damaged data."""
    if not any(TILED.match(text) for text in texts):
        return False
    found = next((match[1].strip() for text in texts if (match := METHOD.match(text))), "none")
    if found not in METHODS:
        raise ValueError(f"it holds an image compressed by {found[:20]!r}; {', '.join(METHODS)} are read. Unpack it first, by funpack")
    n_axes = numbers.get("ZNAXIS", 0)
    sizes = [numbers.get(f"ZNAXIS{i}", 0) for i in range(1, min(n_axes, 9) + 1)]
    tiles = [numbers.get(f"ZTILE{i}", size if i == 1 else 1) for i, size in enumerate(sizes, 1)]
    if not 1 <= n_axes <= 9 or any(not 1 <= tile <= size for tile, size in zip(tiles, sizes, strict=True)):
        raise ValueError(f"it holds a compressed image of the size {sizes} in tiles of {tiles}, which do not fit in it")
    return True


def _data_bytes(numbers: dict[str, int]) -> int:
    """Bytes of the data after a header, in whole blocks; of a header that makes no sense none, and astropy says why."""
    n_axes = numbers.get("NAXIS", -1)
    if not 0 <= n_axes <= 999:
        raise ValueError(f"a header says NAXIS = {n_axes}; 0 to 999 are allowed")
    missing = next((f"NAXIS{i}" for i in range(1, n_axes + 1) if f"NAXIS{i}" not in numbers), "")
    if missing:
        raise ValueError(f"a header says NAXIS = {n_axes} and no {missing}")
    lengths = [numbers[f"NAXIS{i}"] for i in range(1, n_axes + 1)]
    extra = numbers.get("PCOUNT", 0)
    groups = numbers.get("GCOUNT", 1)
    if any(length < 0 for length in (*lengths, extra, groups)):
        raise ValueError(f"a header says the size {lengths}, PCOUNT {extra}, GCOUNT {groups}; none may be negative")
    if not lengths:
        return 0
    size = abs(numbers.get("BITPIX", 8)) // 8 * groups * (extra + math.prod(lengths))
    return -(-size // BLOCK) * BLOCK
