"""Datasets and settings from strangers: YAML and JSON that say too much, FITS files that promise what they do not hold."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from payloads import PICKLE, Case, ServedError

from fitcore.errors import FitcoreError
from flows import settings
from flows.launch import parse_settings
from pipelines.lens.dataset import Imaging
from pipelines.lens.loader import read_truth

SHAPE = (12, 14)
APPLY = "!!python/object/apply:os.system ['touch $CANARY']"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


def _load(place: Path) -> str:
    try:
        image = Imaging.from_folder(place / "lens")
    except FitcoreError as error:
        return str(error)
    raise ServedError(f"{image.name} {image.shape}")


def _truth(place: Path) -> str:
    try:
        found = read_truth(place / "lens")
    except FitcoreError as error:
        return str(error)
    raise ServedError(repr(found))


class _Entry:
    name = "lens"
    stage_names = ("first",)


def _option(text: str) -> Callable[[Path], str]:
    def attempt(place: Path) -> str:
        return f"served {parse_settings([f'first.n_eff={text}'], _Entry())!r}"  # type: ignore[arg-type]

    return attempt


def _key_file(place: Path) -> str:
    os.environ["FITCORE_KEY_FILE"] = str(place / "key")
    settings.read()
    raise ServedError("the key was taken")


def _good(place: Path) -> Path:
    folder = place / "lens"
    folder.mkdir()
    for name, plane in {"image": np.ones(SHAPE), "noise": np.ones(SHAPE), "psf": np.ones((3, 3))}.items():
        fits.PrimaryHDU(plane).writeto(folder / f"{name}.fits")
    (folder / "info.yaml").write_text("pixel_scale: 0.05\n")
    return folder


def _file(name: str, data: bytes | Callable[[], bytes]) -> Callable[[Path], None]:
    def build(place: Path) -> None:
        folder = _good(place)
        if name == "info.json":
            (folder / "info.yaml").unlink()
        (folder / name).write_bytes(data() if callable(data) else data)

    return build


def _sparse(name: str, start: bytes, size: int) -> Callable[[Path], None]:
    def build(place: Path) -> None:
        path = _good(place) / name
        path.write_bytes(start)
        os.truncate(path, size)

    return build


def _odd(name: str, make: Callable[[Path], Any]) -> Callable[[Path], None]:
    def build(place: Path) -> None:
        path = _good(place) / name
        path.unlink()
        make(path)

    return build


def _socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the name of a socket is short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)
    os.chdir(here)


def _key(mode: int, data: bytes) -> Callable[[Path], None]:
    def build(place: Path) -> None:
        (place / "key").write_bytes(data)
        (place / "key").chmod(mode)

    return build


def header(*cards: str, end: bool = True, first: str = "SIMPLE  =                    T") -> bytes:
    """A header of these cards; not checked by anyone."""
    lines = [first, *cards, *(["END"] if end else [])]
    data = "".join(line.ljust(80) for line in lines).encode()
    return data + b" " * (-len(data) % 2880)


def image(bitpix: Any = -64, axes: tuple[Any, ...] = (14, 12), *more: str, first: str = "SIMPLE  =                    T") -> bytes:
    numbers = [f"BITPIX  = {bitpix:>20}", f"NAXIS   = {len(axes):>20}", *(f"NAXIS{i + 1:<3}= {n:>20}" for i, n in enumerate(axes))]
    return header(*numbers, *more, first=first)


def _zeros(count: int) -> bytes:
    return gzip.compress(image(-64, (count, count))) + gzip.compress(bytes(2**24), 1) * 18


def _endless() -> bytes:
    return gzip.compress(header("BITPIX  =                    8", end=False)) + gzip.compress(b" " * 2**24, 1) * 18


def _extensions(count: int) -> bytes:
    extension = image(8, (), "PCOUNT  =                    0", "GCOUNT  =                    1", first="XTENSION= 'IMAGE   '")
    return gzip.compress(image(8, ()) + extension * count, 9)


def _zip() -> bytes:
    path = Path(os.environ["CANARY"]).with_name("bomb.zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("image.fits", bytes(10**6))
    return path.read_bytes()


def _tiles(method: str = "RICE_1", **changes: int) -> bytes:
    """A compressed image, with some of what its header says of it changed."""
    path = Path(os.environ["CANARY"]).with_name("tiles.fits")
    packed = fits.CompImageHDU(np.arange(168, dtype=np.int32).reshape(SHAPE), compression_type=method)
    fits.HDUList([fits.PrimaryHDU(), packed]).writeto(path)
    data = path.read_bytes()
    for key, value in changes.items():
        place = data.index(f"{key:8}=".encode())
        data = data[:place] + f"{key:8}= {value:>20}".ljust(80).encode() + data[place + 80 :]
    return data


NAMED = "pixel_scale: 0.05\nextensions: {image: A, noise: B, psf: C}\n"
LONG = 100 * 2**30
ENDLESS = "a header has no END card"
SKY = (
    "CTYPE1  = 'RA---TAN-SIP'", "CTYPE2  = 'DEC--TAN-SIP'", "CRPIX1  = 7.0", "CRPIX2  = 6.0", "CRVAL1  = 150.0", "CRVAL2  = 2.0",
    "CD1_1   = -1.4E-5", "CD2_2   = 1.4E-5",
)  # fmt: skip


def _searched(*pieces: bytes) -> Callable[[Path], None]:
    """An image of 100 GB, most of it zeros, and an info file that asks for extensions by name, which are looked for to the end."""

    def build(place: Path) -> None:
        folder = _good(place)
        (folder / "image.fits").write_bytes(b"".join(pieces))
        os.truncate(folder / "image.fits", LONG)
        (folder / "info.yaml").write_text(NAMED)

    return build


def _groups() -> bytes:
    """Random groups, whose size is counted otherwise than an image's."""
    return image(-32, (0, 3, 4), "GROUPS  =                    T", f"PCOUNT  = {6:>20}", f"GCOUNT  = {200:>20}") + bytes(2880 * 5)


def _sky(*cards: str) -> bytes:
    """An image without a scale in its info file whose header says where the sky is, and more."""
    return image(8, (14, 12), *SKY, *cards) + bytes(2880)


def _unscaled(data: Callable[[], bytes]) -> Callable[[Path], None]:
    def build(place: Path) -> None:
        folder = _good(place)
        (folder / "image.fits").write_bytes(data())
        fits.PrimaryHDU(np.ones((2, 2))).writeto(folder / "psf.fits", overwrite=True)

    return build


def _plane(name: str, plane: Any, says: str) -> Case:
    def build(place: Path) -> None:
        fits.PrimaryHDU(np.asarray(plane)).writeto(_good(place) / f"{name}.fits", overwrite=True)

    return Case(build=build, attempt=_load, says=says)


EVEN_PSF = "both sizes must be odd"  # what is said once the image's header has done no harm


def _info(text: str | bytes, says: str, name: str = "info.yaml") -> Case:
    return Case(build=_file(name, text if isinstance(text, bytes) else text.encode()), attempt=_load, says=says)


def _fits(data: bytes | Callable[[], bytes], says: str, name: str = "image.fits") -> Case:
    return Case(build=_file(name, data), attempt=_load, says=says)


def _set(text: str, says: str) -> Case:
    return Case(build=lambda place: None, attempt=_option(text), says=says)


def _keys(mode: int, data: bytes, says: str) -> Case:
    return Case(build=_key(mode, data), attempt=_key_file, says=says)


GOOD_KEY = b"k" * 32

DATA_CASES = {
    # info files
    "YAML that calls": _info(f"name: {APPLY}\n", "could not determine a constructor"),
    "YAML that names Python": _info("name: !!python/name:os.system\n", "could not determine a constructor"),
    "YAML that makes objects": _info("name: !!python/object/new:os.system [touch x]\n", "could not determine a constructor"),
    "YAML that laughs": _info(BOMB, "aliases are not allowed"),
    "YAML that merges": _info("a: &a {band: x}\n<<: *a\n", "aliases are not allowed"),
    "YAML that merges without alias": _info("<<: {pixel_scale: 5}\nband: x\n", "line 1: merges (<<) are not allowed"),
    "YAML with an octal number": _info("band: x\npixel_scale: 010\n", "line 2: '010' must be a plain decimal number"),
    "YAML with a number to the base 60": _info("pixel_scale: 0.05\nmask_radius: 1:30\n", "line 2: '1:30' must be a plain"),
    "YAML with a fraction to the base 60": _info("pixel_scale: 0:05.5\n", "line 1: '0:05.5' must be a plain"),
    "YAML with a hexadecimal number": _info("pixel_scale: 0x10\n", "line 1: '0x10' must be a plain"),
    "YAML with a number in groups": _info("pixel_scale: 1_0\n", "line 1: '1_0' must be a plain"),
    "YAML with a date": _info("pixel_scale: 2020-01-01\n", "pixel_scale (line 1) is datetime.date"),
    "YAML with a key twice": _info("pixel_scale: 0.05\npixel_scale: 5\n", "is there twice"),
    "YAML of 100 MB": Case(build=_sparse("info.yaml", b"name: x\n#", 100 * 10**6), attempt=_load, says="has at most"),
    "YAML of 100 GB": Case(build=_sparse("info.yaml", b"name: x\n#", 100 * 2**30), attempt=_load, says="has at most"),
    "deep YAML": _info("band: " + "[" * 5_000 + "]" * 5_000, "cannot be read"),
    "deep YAML keys": _info("? " * 5_000, "cannot be read"),
    "YAML with a huge number": _info("pixel_scale: " + "9" * 90_000, "cannot be read"),
    "YAML with a huge exponent": _info("pixel_scale: 1.0e+999999999", "pixel_scale"),
    "YAML with NUL": _info(b"name: a\0b\n", "cannot be read"),
    "YAML that is a pickle": _info(PICKLE, "must hold keys and values"),
    "YAML with two documents": _info("band: x\n---\nband: y\n", "cannot be read"),
    "YAML that points up": _info("name: ../../x\npixel_scale: 0.05\n", "name (line 1) is '../../x'"),
    "YAML with an absolute path": _info("name: /etc/passwd\n", "name (line 1) is '/etc/passwd'"),
    "YAML with HTML as name": _info("name: <script>alert(1)</script>\n", "name (line 1) is"),
    "YAML with HTML as key": _info("<script>alert(1)</script>: 1\n", "is not known"),
    "YAML with an escape sequence": _info('name: "\\e[2J\\e]0;x\\a"\n', r"\x1b"),
    "YAML of wrong types": _info("pixel_scale: [1, 2]\nredshift_lens: {a: b}\nextensions: 3\n", "pixel_scale (line 1) is [1, 2]"),
    "deep JSON": _info('{"band": ' * 9_000 + "1" + "}" * 9_000, "cannot be read", "info.json"),
    "JSON with a key twice": _info('{"band": "x", "band": "y"}', "are there twice", "info.json"),
    "JSON with NaN": _info('{"pixel_scale": NaN}', "pixel_scale", "info.json"),
    "JSON with a huge number": _info('{"pixel_scale": ' + "9" * 90_000 + "}", "cannot be read", "info.json"),
    "deep truth": Case(build=_file("truth.json", b'{"a":' * 9_000 + b"1" + b"}" * 9_000), attempt=_truth, says="cannot be read"),
    "truth of words": Case(build=_file("truth.json", b'{"a": "<script>"}'), attempt=_truth, says="names and numbers"),
    "truth of 100 GB": Case(build=_sparse("truth.json", b'{"a": 1}', 100 * 2**30), attempt=_truth, says="has at most"),
    # FITS
    "FITS of 9e18 pixels": _fits(image(-64, (2**40, 2**23)), "is not a FITS file that can be read"),
    "FITS of a gigapixel": Case(build=_sparse("image.fits", image(-64, (2**15, 2**15)), 2880 + 2**33), attempt=_load, says="at most 1677"),
    "FITS with 999 axes": _fits(image(8, (2,) * 999), "image.fits"),
    "FITS with 99999 axes": _fits(header("BITPIX  = 8", "NAXIS   =                99999"), "999 are allowed"),
    "FITS with a negative axis": _fits(image(-64, (-14, 12)), "none may be negative"),
    "FITS with a negative heap": _fits(image(8, (2, 2), f"PCOUNT  = {-(2**60):>20}"), "none may be negative"),
    "FITS with a huge BITPIX": _fits(image(2**40, (14, 12)), "image.fits"),
    "FITS without END": _fits(header("BITPIX  =                    8", end=False), "no END card"),
    "FITS of 100 GB without END": Case(build=_sparse("image.fits", header(end=False), 100 * 2**30), attempt=_load, says="no END card"),
    "FITS that is cut": _fits(image(-64, (4000, 4000)) + bytes(5000), "is not a FITS file that can be read"),
    "FITS that is a pickle": _fits(PICKLE, "does not begin with SIMPLE"),
    "FITS with 100 GB of heap": _fits(image(8, (2, 2), f"PCOUNT  = {10**11:>20}"), "image.fits"),
    "packed bomb of zeros": _fits(lambda: gzip.compress(bytes(2**26), 1) * 20, "unpacks to more than"),
    "packed image of 288 MB": _fits(lambda: _zeros(6_000), "unpacks to more than"),
    "packed header without END": _fits(_endless, "unpacks to more than"),
    "packed header of 100 MB": _fits(lambda: gzip.compress(header(end=False) + b" " * 2880 * 30_000, 1), "no END card"),
    "20,000 packed extensions": _fits(lambda: _extensions(20_000), "more than 1000 extensions"),
    "bzip2 bomb": _fits(lambda: bz2.compress(bytes(10**6)), "packed by bzip2"),
    "xz bomb": _fits(lambda: lzma.compress(bytes(10**6)), "packed by xz"),
    "zip bomb": _fits(_zip, "packed by zip"),
    "tiles larger than the image": _fits(lambda: _tiles(ZTILE1=2**31 - 1, ZTILE2=2**31 - 1), "do not fit in it"),
    "tiles of negative size": _fits(lambda: _tiles(ZTILE1=-1), "do not fit in it"),
    "tiles of no size": _fits(lambda: _tiles(ZTILE1=0), "do not fit in it"),
    "tiles whose decoder writes anywhere": _fits(lambda: _tiles("HCOMPRESS_1", ZTILE1=-1), "compressed by 'HCOMPRESS_1'"),
    "tiles whose decoder reads anywhere": _fits(lambda: _tiles("PLIO_1"), "compressed by 'PLIO_1'"),
    "tiles in a table of 2**31 rows": _fits(lambda: _tiles(NAXIS2=2**31 - 1), "its headers promise"),
    "FITS of random groups before 100 GB": Case(build=_searched(_groups()), attempt=_load, says="random groups"),
    "FITS with 100 GB behind it": Case(build=_searched(image(8, (14, 12)) + bytes(2880)), attempt=_load, says="has no extension 'A'"),
    "FITS with a last header in small print": Case(
        build=_searched(image(8, (14, 12)) + bytes(2880), b"Xtension= 'IMAGE   '"), attempt=_load, says="has no extension 'A'",
    ),
    "FITS with a size in floats": Case(
        build=_searched(image(8, (10,), "PCOUNT  =               2.88E3") + bytes(2880), header(end=False)), attempt=_load,
        says="must be a plain whole number",
    ),
    "FITS with a size under another name": Case(
        build=_searched(image(8, (10,), "HIERARCH PCOUNT = 2880") + bytes(2880), header(end=False)), attempt=_load,
        says="must be a plain whole number",
    ),
    "FITS without NAXIS2": _fits(header("BITPIX  = 8", "NAXIS   = 2", "NAXIS1  = 14") + bytes(2880), "and no NAXIS2"),
    "FITS with 35,000 continued cards": _fits(image(8, (14, 12), "A       = 'x&'", *["CONTINUE  'x&'"] * 35_000), "more than 500 cards"),
    "FITS with distortions of order 5,000": Case(
        build=_unscaled(lambda: _sky("A_ORDER = 5000", "B_ORDER = 5000")), attempt=_load, says=EVEN_PSF,
    ),
    "FITS with 35,000 parameters of a projection": Case(
        build=_unscaled(lambda: _sky(*(f"PV1_{i % 99:<4}= {i}.0" for i in range(35_000)))), attempt=_load, says=EVEN_PSF,
    ),
    "FITS with 900,000,000 axes of sky": Case(build=_unscaled(lambda: _sky("WCSAXES = 900000000")), attempt=_load, says=EVEN_PSF),
    "PSF of huge numbers": _plane("psf", np.full((3, 3), 1e308), "9 pixels that are not finite"),
    "PSF of tiny numbers": _plane("psf", np.full((3, 3), 5e-324), "the PSF has the sum"),
    "noise too small to square": _plane("noise", np.full(SHAPE, 1e-200), "that are not between 1e-100"),
    "noise too large to square": _plane("noise", np.full(SHAPE, 1e200), "that are not between 1e-100"),
    "image too large to square": _plane("image", np.full(SHAPE, 1e200), "that are not within 1e+100"),
    "pipe as FITS": Case(build=_odd("image.fits", os.mkfifo), attempt=_load, says="not a plain file"),
    "pipe as info": Case(build=_odd("info.yaml", os.mkfifo), attempt=_load, says="not a plain file"),
    "socket as FITS": Case(build=_odd("psf.fits", _socket), attempt=_load, says="not a plain file"),
    "device as FITS": Case(build=_odd("noise.fits", lambda path: path.symlink_to("/dev/zero")), attempt=_load, says="not a plain file"),
    "device as info": Case(build=_odd("info.yaml", lambda path: path.symlink_to("/dev/zero")), attempt=_load, says="not a plain file"),
    "link to nowhere as FITS": Case(build=_odd("psf.fits", lambda p: p.symlink_to("/no/where")), attempt=_load, says="broken link"),
    # settings
    "option that calls": _set(APPLY, "could not determine a constructor"),
    "deep option": _set("[" * 5_000, "cannot be read"),
    "option that is a list": _set("&a [*a]", "must be a number"),
    "key that others can read": _keys(0o644, GOOD_KEY, "others can read or change"),
    "key that is short": _keys(0o600, b"secret\n", "holds 6 bytes"),
    "key that is empty": _keys(0o600, b"\n", "holds 0 bytes"),
    "key without end": _keys(0o600, b"k" * 10_000, "16 to 4096"),
    "pipe as key": Case(build=lambda place: os.mkfifo(place / "key", 0o600), attempt=_key_file, says="not a plain file"),
    "key that is not there": Case(build=lambda place: None, attempt=_key_file, says="cannot be read"),
}  # fmt: skip
