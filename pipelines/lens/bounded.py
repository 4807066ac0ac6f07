"""FITS files of strangers, bounded before astropy sees them: size after unpacking, length of headers, number of extensions.

Astropy reads a header until its END card and counts the extensions by reading them all; a file of a few kilobytes that unpacks to
gigabytes, or has no END, would take the memory or the day. What is found here is a `ValueError` in words; nothing is interpreted beyond
the cards that say where the next header begins.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import math
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

BLOCK = 2880
MOST_UNPACKED = 256 * 2**20
MOST_HEADER_BLOCKS = 1000
MOST_EXTENSIONS = 1000
PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"PK\x03\x04": "zip", b"\xfd7zXZ": "xz", b"\x1f\x9d": "compress"}
CARD = re.compile(r"([A-Z0-9]+) *= +([+-]?\d{1,30})(?![\d.])")


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
            check_structure(stream)
            yield stream
            return
        if how != "gzip":
            raise ValueError(f"it is packed by {how}; unpack it first")
        with gzip.GzipFile(fileobj=stream) as packed:
            data = packed.read(MOST_UNPACKED + 1)
        if len(data) > MOST_UNPACKED:
            raise ValueError(f"it unpacks to more than {MOST_UNPACKED:,} bytes; unpack it first, and cut out the part around the lens")
        unpacked = io.BytesIO(data)
        check_structure(unpacked)
        yield unpacked


def check_structure(stream: BinaryIO) -> None:
    """Walk from header to header, and go back to the beginning.

    Raises
    ------
    ValueError
        for a header without END, too long a header, too many extensions, or a size that makes no sense.
    """
    stream.seek(0, os.SEEK_END)
    end = stream.tell()
    place, count = 0, 0
    while place < end:
        count += 1
        if count > MOST_EXTENSIONS:
            raise ValueError(f"it has more than {MOST_EXTENSIONS} extensions; keep the few that are needed")
        stream.seek(place)
        numbers = _header(stream, is_first=count == 1)
        if numbers is None:  # what follows the last extension is none of ours, and astropy stops there too
            break
        place = stream.tell() + _data_bytes(numbers)
    stream.seek(0)


def _header(stream: BinaryIO, *, is_first: bool) -> dict[str, int] | None:
    """The whole numbers among the cards of the header that begins here; None where none begins."""
    numbers: dict[str, int] = {}
    for block_number in range(MOST_HEADER_BLOCKS):
        block = stream.read(BLOCK)
        if block_number == 0 and not block.startswith(b"SIMPLE  =" if is_first else b"XTENSION="):
            if is_first:
                raise ValueError("it does not begin with SIMPLE")
            return None
        for start in range(0, len(block), 80):
            card = block[start : start + 80].decode("ascii", "replace")
            if card.rstrip() == "END":
                return numbers
            found = CARD.match(card)
            if found:
                numbers.setdefault(found[1], int(found[2]))
        if len(block) < BLOCK:
            break
    raise ValueError(f"a header has no END card within {MOST_HEADER_BLOCKS * BLOCK:,} bytes")


def _data_bytes(numbers: dict[str, int]) -> int:
    """Bytes of the data after a header, in whole blocks; of a header that makes no sense none, and astropy says why."""
    n_axes = numbers.get("NAXIS", 0)
    if not 0 <= n_axes <= 999:
        raise ValueError(f"a header says NAXIS = {n_axes}; 0 to 999 are allowed")
    lengths = [numbers.get(f"NAXIS{i}", 0) for i in range(1, n_axes + 1)]
    extra = numbers.get("PCOUNT", 0)
    groups = numbers.get("GCOUNT", 1)
    if any(length < 0 for length in (*lengths, extra, groups)):
        raise ValueError(f"a header says the size {lengths}, PCOUNT {extra}, GCOUNT {groups}; none may be negative")
    if not lengths:
        return 0
    size = abs(numbers.get("BITPIX", 8)) // 8 * groups * (extra + math.prod(lengths))
    return -(-size // BLOCK) * BLOCK
