"""Reading a dataset's files: FITS planes and the info file. What is read is checked for meaning by `dataset.Imaging`.

Files come from strangers: headers are bounded before data are read, YAML is read by the safe loader without aliases or duplicate keys.
"""

from __future__ import annotations

import json
import math
import re
import reprlib
import warnings
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_scales
from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError

from fitcore.errors import DataError
from fitcore.naming import did_you_mean
from fitcore.strict_yaml import StrictLoader
from pipelines.lens.bounded import opened, opened_fits

NAMES = {"image": ("image.fits", "data.fits"), "noise": ("noise.fits", "noise_map.fits"), "psf": ("psf.fits",)}
INFO_NAMES = ("info.yaml", "info.yml", "info.json")
MOST_INFO_BYTES = 100_000
MOST_PIXELS = 4096**2
MOST_TRUTH_BYTES = 100_000
MOST_REASONS = 5
LARGEST_PIXEL = 5.0  # arcsec; a galaxy's lensed images cannot be told apart in larger ones
# Of a header only what can say where the sky is: what else is in it makes astropy work for hours, or its library write beyond its memory.
WCS_KEYS = re.compile(
    r"WCSAXES|NAXIS[1-9]?|(CTYPE|CRPIX|CRVAL|CDELT|CUNIT|CROTA)[1-9]|(CD|PC)([1-9]_[1-9]|00[1-9]00[1-9])|PV[1-9]_[1-3]?[0-9]"
    r"|RADESYS|RADECSYS|EQUINOX|LONPOLE|LATPOLE"
)
MOST_AXES = 9
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")


Circle = Annotated[tuple[float, float, Annotated[float, Field(gt=0)]], Strict(False)]
"""x, y, radius in arcsec."""


class Extensions(BaseModel):
    """Names or numbers of the extensions of a multi-extension FITS file."""

    model_config = ConfigDict(extra="forbid", strict=True)
    image: str | int
    noise: str | int
    psf: str | int


class Info(BaseModel):
    """The info file of a dataset. Every field is optional where the FITS headers say it."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    name: str | None = Field(default=None, pattern=f"^{NAME.pattern}$")
    pixel_scale: float | None = Field(default=None, gt=0, lt=60, description="a number of arcsec, such as 0.05")
    redshift_lens: float | None = Field(default=None, ge=0, lt=20)
    redshift_source: float | None = Field(default=None, ge=0, lt=20)
    band: str = ""
    magnitude_zero_point: float | None = None
    mask_radius: float | None = Field(default=None, gt=0, description="arcsec")
    mask_centre: tuple[float, float] | None = Field(default=None, strict=False, description="(y, x) of the lens in arcsec")
    neighbors: Literal["automatic", "none"] | list[Circle] | None = Field(default=None, description="to leave out instead of those found")
    noise_factor: Literal["measured"] | Annotated[float, Field(gt=0)] | None = None
    extensions: Extensions | None = None
    bands: list[str] | None = Field(default=None, description="names of the sub-folders, one for each image of the lens")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    twice = sorted(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
    if twice:
        raise ValueError(f"the keys {twice} are there twice; keep one of each")
    return dict(pairs)


def _parsed(text: str, suffix: str) -> Any:
    """The content of an info file; no object of any class but the plain ones can come out."""
    if suffix == ".json":
        return json.loads(text, object_pairs_hook=_unique)
    loader = StrictLoader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def read_info(folder: Path) -> Info:
    """The info file of a folder; an empty Info where there is none.

    Raises
    ------
    DataError
        for a file that is too large or not readable, an unknown key (with the nearest known), or a value of the wrong kind.
    """
    path = next((folder / name for name in INFO_NAMES if (folder / name).is_file()), None)
    if path is None:
        return Info()
    try:
        text = _text(path, MOST_INFO_BYTES)
        content = _parsed(text, path.suffix)
    except Exception as error:  # the parsers let out whatever odd input makes them stumble on, RecursionError and KeyError among it
        raise DataError(
            f"{path} cannot be read: {_said(error)}. Write one 'key: value' a line; known keys are {list(Info.model_fields)}."
        ) from error
    content = {} if content is None else content
    if not isinstance(content, dict):
        raise DataError(f"{path} holds {type(content).__name__}; it must hold keys and values. Known keys are {list(Info.model_fields)}.")
    try:
        return Info(**{str(key): value for key, value in content.items()})
    except ValidationError as error:
        raise DataError(f"{path}: {_reasons(error, text)}") from error


def _text(path: Path, most: int) -> str:
    with opened(path) as stream:
        data = stream.read(most + 1)
        if len(data) > most:
            raise ValueError(f"{path.stat().st_size} bytes are too many; such a file has at most {most}: keep the few facts it is for")
    return data.decode("utf-8", "replace")


def read_truth(folder: Path) -> dict[str, float]:
    """The true values of a simulated dataset by name; empty where there are none.

    Raises
    ------
    DataError
        for a file that cannot be read, or that holds anything but names and numbers.
    """
    path = folder / "truth.json"
    if not path.is_file():
        return {}
    try:
        content = _parsed(_text(path, MOST_TRUTH_BYTES), ".json")
        if not isinstance(content, dict) or any(type(value) not in (int, float) for value in content.values()):
            raise ValueError("it must hold names and numbers")
        return {key: float(value) for key, value in content.items()}
    except Exception as error:  # see read_info
        raise DataError(f"{path} cannot be read: {_said(error)}. Remove it, or write one number for each name.") from error


def _said(error: BaseException) -> str:
    """What an error of another library says, or its kind where it says nothing; on one line."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def _reasons(error: ValidationError, text: str) -> str:
    reasons: dict[str, str] = {}
    left_out: set[str] = set()
    for item in error.errors(include_url=False):
        place = [str(part) for part in item["loc"]]
        fields = Extensions.model_fields if place[0] == "extensions" and len(place) > 1 else Info.model_fields
        key = ".".join(place[:2] if fields is Extensions.model_fields else place[:1])
        if key not in reasons and len(reasons) == MOST_REASONS:
            left_out.add(key)
            continue
        where = _line(text, key.rpartition(".")[2])
        if item["type"] == "extra_forbidden":
            hint = did_you_mean(key.rpartition(".")[2], fields)
            reasons[key] = f"the key {reprlib.repr(key)}{where} is not known; known are {list(fields)}.{hint}"
        elif item["type"] == "missing" and fields is Extensions.model_fields:
            reasons[key] = f"{key} is missing; add it."
        else:  # the members of a union fail one by one, under one key
            described = fields[key].description if key in fields else None
            meaning = f" ({described})." if described else "."
            before = f"{reasons[key].removesuffix(meaning)}, or: " if key in reasons else f"{key}{where} is {reprlib.repr(item['input'])}: "
            reasons[key] = f"{before}{item['msg']}{meaning}"
    return " ".join(reasons.values()) + (f" And {len(left_out)} more." if left_out else "")


def _line(text: str, key: str) -> str:
    pattern = re.compile(rf"""(^|[\s{{,])["']?{re.escape(key)}["']?\s*:""")
    line = next((i for i, row in enumerate(text.splitlines(), 1) if pattern.search(row)), None)
    return f" (line {line})" if line else ""


def read_plane(path: Path, extension: str | int | None, role: str) -> tuple[np.ndarray, fits.Header]:
    """One two-dimensional plane of a FITS file as float64 in native byte order, and its header.

    The size that the header declares is bounded before the data are touched.
    """
    if not path.is_file():
        raise DataError(f"The {role} file {path} does not exist. Put it there, or name another.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)  # header cards of surveys are often not standard, and not used
            # opened here, because astropy leaves a file open that it cannot read
            with opened_fits(path) as stream, fits.open(stream, memmap=False, lazy_load_hdus=True) as hdus:
                hdu, label = _chosen(hdus, path, extension, role)
                _check_size(hdu.header, path, label, role)
                return np.squeeze(np.asarray(hdu.data, dtype=np.float64)), hdu.header
    except DataError:
        raise
    except Exception as error:  # a damaged header makes astropy stumble in any way: KeyError, AssertionError, OverflowError ...
        raise DataError(
            f"{path} is not a FITS file that can be read: {_said(error)}. Write the {role} anew, as a plain FITS image."
        ) from error


def _chosen(hdus: Any, path: Path, extension: str | int | None, role: str) -> tuple[Any, str | int]:
    """The header-data unit to read, the first image where none is named, and its name."""
    if extension is None:
        for number, hdu in enumerate(hdus):
            if hdu.is_image and hdu.header.get("NAXIS", 0) >= 2:
                return hdu, number
        raise DataError(f"{path} has no image: its extensions are {[hdu.name for hdu in hdus]}. Write the {role} as a FITS image.")
    try:
        hdu = hdus[extension]
    except (KeyError, IndexError):
        names = [hdu.name for hdu in hdus]
        raise DataError(
            f"{path} has no extension {extension!r} for the {role}; it has {names}. Name one in info.yaml under extensions."
        ) from None
    if not hdu.is_image:
        raise DataError(
            f"{path}, extension {extension!r}, is a table; the {role} must be an image. Name another in info.yaml under extensions."
        )
    return hdu, extension


def _check_size(header: Any, path: Path, extension: str | int, role: str) -> None:
    sizes = [int(header.get(f"NAXIS{i}", 0)) for i in range(1, int(header.get("NAXIS", 0)) + 1)]
    if len(sizes) < 2 or min(sizes) < 1 or math.prod(sizes) > MOST_PIXELS:
        raise DataError(
            f"{path}, extension {extension!r}, declares the size {sizes}; the {role} must be an image of at most {MOST_PIXELS} pixels. "
            "Cut out the part around the lens."
        )


def wcs_facts(header: fits.Header) -> dict[str, Any]:
    """Pixel scale in arcsec, position angle of +y (degrees east of north) and handedness from a celestial WCS; empty without one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            wcs = WCS(sky_cards(header)).celestial
            if not wcs.has_celestial:
                return {}
            scales = proj_plane_pixel_scales(wcs) * 3600.0
            matrix = wcs.pixel_scale_matrix
    except Exception:  # no WCS that astropy understands is no WCS; the pixel scale is then asked for
        return {}
    if not np.all(np.isfinite(scales)) or abs(scales[0] / scales[1] - 1.0) > 1e-3 or scales[0] < 1e-4:
        return {}
    return {
        "pixel_scale": float(np.round(np.mean(scales), 9)),
        "position_angle_of_y": float(np.degrees(np.arctan2(matrix[0, 1], matrix[1, 1]))),
        "is_mirrored": bool(np.linalg.det(matrix) > 0.0),
    }


def sky_cards(header: fits.Header) -> fits.Header:
    """The cards of a header that say where the sky is, each once, without the distortions, which a mean pixel scale does not need."""
    found = fits.Header()
    for card in header.cards:
        if WCS_KEYS.fullmatch(card.keyword) and card.keyword not in found:
            found[card.keyword] = str(card.value).removesuffix("-SIP") if card.keyword.startswith("CTYPE") else card.value
    if not all(0 <= int(str(found.get(key, 0))) <= MOST_AXES for key in ("WCSAXES", "NAXIS")):
        raise ValueError("more axes than an image has")
    return found


def zero_point(header: fits.Header) -> dict[str, float]:
    """AB magnitude of one unit of the image, where the header says it under MAGZERO; empty where it does not."""
    value = header.get("MAGZERO")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return {}
    return {"magnitude_zero_point": float(value)}


def read_fits(files: Mapping[str, Path], extensions: Mapping[str, str | int], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of an Imaging from the files of its three planes."""
    planes = {role: read_plane(path, extensions.get(role), role) for role, path in files.items()}
    header = planes["image"][1]
    found = {**wcs_facts(header), **zero_point(header), **{key: value for key, value in facts.items() if value is not None}}
    if "pixel_scale" not in found:
        raise DataError(
            f"No pixel scale for {files['image']}: its header has no celestial WCS. Add 'pixel_scale: 0.05' (arcsec a pixel) to info.yaml."
        )
    return {"data": planes["image"][0], "noise": planes["noise"][0], "psf": planes["psf"][0], **found}


def name_of(folder: Path, info: Info) -> str:
    """The dataset's name: what the info file says, or that of the folder."""
    name = info.name or re.sub(r"[^A-Za-z0-9._+-]", "_", folder.resolve().name).lstrip("._+-")[:64]
    if not NAME.fullmatch(name):
        raise DataError(f"{folder} gives the name {name!r}; a name starts with a letter or digit. Set name in info.yaml.")
    return name


def read_folder(folder: Path) -> dict[str, Any]:
    """Fields of an Imaging from a dataset folder."""
    if not folder.is_dir():
        raise DataError(f"The dataset {folder} is not a folder. Give a folder with image.fits, noise.fits, psf.fits and info.yaml.")
    refuse_odd_files(folder)
    info = read_info(folder)
    if info.bands is not None:
        raise DataError(f"{folder} is no image but has the bands {info.bands}: a folder of one of them is an image. Give one of these.")
    if (scale := info.pixel_scale or 0.0) > LARGEST_PIXEL:
        most = f"it is in arcsec, {LARGEST_PIXEL:g} at most"
        raise DataError(f"{folder}: pixel_scale is {scale:g}; {most}. If it is in milliarcsec, write {scale / 1000:g} in its info file.")
    facts = {
        "name": name_of(folder, info),
        "pixel_scale": info.pixel_scale,
        "redshift_lens": info.redshift_lens,
        "redshift_source": info.redshift_source,
        "band": info.band,
        "magnitude_zero_point": info.magnitude_zero_point,
        "mask_radius": info.mask_radius,
        "center": None if info.mask_centre is None else (info.mask_centre[1], info.mask_centre[0]),
        "neighbors": tuple(info.neighbors) if isinstance(info.neighbors, list) else None if info.neighbors != "none" else "none",
        "noise_factor": info.noise_factor,
    }
    files, extensions = files_of(folder, info)
    fields = read_fits(files, extensions, facts)
    for path in sorted(folder.glob("mask*.fits")):
        plane, _ = read_plane(path, None, "mask")
        if plane.shape != fields["data"].shape:
            raise DataError(f"{path} has shape {plane.shape}, the image {fields['data'].shape}; they must be the same.")
        fields["mask"] = fields.get("mask", True) & ~(np.nan_to_num(plane, nan=1.0) != 0)
    return fields


def refuse_odd_files(folder: Path) -> None:
    """Refuse pipes, sockets, devices and links to nowhere under the names of a dataset's files."""
    for path in sorted(folder.iterdir()):
        known = path.name in (*INFO_NAMES, "truth.json") or path.suffix == ".fits"
        if known and not path.is_file() and not path.is_dir():
            raise DataError(f"{path} is not a plain file but a pipe, socket, device or broken link. Put a plain file there, or remove it.")


def files_of(folder: Path, info: Info) -> tuple[dict[str, Path], dict[str, str | int]]:
    """The files of image, noise and PSF in a folder, and the extensions that hold them where these are named."""
    found = {role: next((folder / name for name in names if (folder / name).is_file()), None) for role, names in NAMES.items()}
    files = {role: path for role, path in found.items() if path is not None}
    if len(files) == len(NAMES):
        return files, {} if info.extensions is None else info.extensions.model_dump()
    others = sorted(path for path in folder.glob("*.fits") if not path.name.startswith("mask"))
    if len(others) == 1 and (not files or info.extensions is not None):
        return dict.fromkeys(NAMES, others[0]), _extensions(others[0], info)
    missing = [" or ".join(NAMES[role]) for role in NAMES if role not in files]
    raise DataError(
        f"{folder} has no {', no '.join(missing)}; it has {sorted(p.name for p in folder.iterdir())}. Add what is missing, or give one "
        "multi-extension FITS file and name its extensions in info.yaml."
    )


def _extensions(path: Path, info: Info) -> dict[str, str | int]:
    if info.extensions is not None:
        return info.extensions.model_dump()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            with opened_fits(path) as stream, fits.open(stream, memmap=False) as hdus:
                names = [row[1] for row in hdus.info(output=False) or ()]
    except Exception as error:  # see read_plane
        raise DataError(f"{path} is not a FITS file that can be read: {_said(error)}. Write it anew.") from error
    raise DataError(
        f"{path} has the extensions {names}, and no info file says which to take. Add to info.yaml: "
        "extensions: {image: NAME, noise: NAME, psf: NAME}."
    )
