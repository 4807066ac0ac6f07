"""The images of a fit as one multi-extension FITS file: on the grid of the input with its sky, units and provenance in the headers.

FITS headers are ASCII; text from outside is written out in it, and cut.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from pipelines.lens.exported import Scene

MOST_PIXELS_IN_FULL = 2**20
"""Images of more pixels are written in single precision, so that eight planes are no larger than four of the input."""
LONGEST_CARD, LONGEST_LINE = 68, 2000
PLANES = {
    "DATA": ("data", "image as it was read"),
    "MODEL": ("model", "lens light, sky and lensed source, seen through the PSF"),
    "RESIDUAL": ("residual", "(data - model) / noise, where compared"),
    "NO_LENS": ("without_lens", "data less lens light and sky"),
    "LENS_LIGHT": ("lens_light", "lens light and sky, seen through the PSF"),
    "LENSED_SOURCE": ("lensed_source", "all images of the source, through the PSF"),
    "NOISE": ("noise", "one standard deviation, as it was used"),
    "MASK": ("mask", "1 where compared with the model"),
}
WITHOUT_UNIT = {"RESIDUAL": "sigma", "MASK": ""}
KEYWORDS = {
    "name": ("FC_NAME", "dataset"),
    "pipeline": ("FC_PIPE", "pipeline"),
    "stage": ("FC_STAGE", "stage whose best fit is shown"),
    "digest": ("FC_DIGES", ""),
    "verdict": ("FC_VERD", "of the whole chain"),
    "seed": ("FC_SEED", "of every random number"),
    "exported_by": ("FC_EXPOR", "program of this file"),
    "made_by": ("FC_MADE", "program of the fit"),
    "committed": ("FC_DATE", "when the fit was stored"),
}


def fits_file(scene: Scene, about: Mapping[str, Any]) -> bytes:
    """The file: an empty primary with the provenance, the planes of `PLANES`, and ``SOURCE_PLANE`` on a grid of its own.

    Every plane has the input's celestial WCS, where it has one (without distortions), and the offsets in arcsec that the parameters are in
    as the alternative WCS ``A``. Outside the window that was computed the model's planes are NaN.
    """
    primary = fits.PrimaryHDU()
    _describe(primary.header, about)
    hdus: list[Any] = [primary]
    n_y, n_x = scene.dataset.shape
    in_full = n_y * n_x <= MOST_PIXELS_IN_FULL
    for name, (key, words) in PLANES.items():
        plane = scene.planes[key]
        own: Any = np.uint8 if name == "MASK" else np.float64 if in_full else np.float32
        hdu = fits.ImageHDU(plane.astype(own), header=_of_the_sky(scene), name=name)
        _set_unit(hdu.header, WITHOUT_UNIT.get(name, scene.unit))
        hdu.header["FC_PLANE"] = (words, "")
        _offsets(hdu.header, "A", (0.5 * (n_x + 1), 0.5 * (n_y + 1)), (0.0, 0.0), scene.dataset.pixel_scale)
        hdus.append(hdu)
    source = scene.source
    hdu = fits.ImageHDU(source.image, name="SOURCE_PLANE")
    _set_unit(hdu.header, scene.unit)
    hdu.header["FC_PLANE"] = ("the source before lensing", "")
    hdu.header["COMMENT"] = "Surface brightness at the pixels' middles, in the image's unit per image pixel."
    for key in ("", "A"):
        _offsets(hdu.header, key, (1.0, 1.0), (float(source.x[0]), float(source.y[0])), source.scale)
    hdus.append(hdu)
    return bytes_of(hdus)


def bytes_of(hdus: list[Any]) -> bytes:
    """A FITS file in memory."""
    buffer = io.BytesIO()
    fits.HDUList(hdus).writeto(buffer)
    return buffer.getvalue()


def plain_image(image: NDArray[Any]) -> bytes:
    """A FITS file of one image and nothing else."""
    return bytes_of([fits.PrimaryHDU(image)])


def ascii_text(text: Any, longest: int = LONGEST_CARD) -> str:
    """A text as headers hold it: printable ASCII on one line, what is not written out as an escape, cut at ``longest``."""
    plain = str(text).encode("ascii", "backslashreplace").decode("ascii")
    plain = "".join(letter if " " <= letter <= "~" else letter.encode("unicode_escape").decode("ascii") for letter in plain)
    return plain if len(plain) <= longest else f"{plain[: longest - 3]}..."


def _describe(header: fits.Header, about: Mapping[str, Any]) -> None:
    for key, (keyword, words) in KEYWORDS.items():
        if key in about:
            value = about[key]
            header[keyword] = (value if type(value) is int else ascii_text(value), words)
    header["HISTORY"] = f"The command that asks for this fit again: {ascii_text(about.get('command', ''), LONGEST_LINE)}"
    for sentence in about.get("conventions", ()):
        header["COMMENT"] = ascii_text(sentence, LONGEST_LINE)


def _of_the_sky(scene: Scene) -> fits.Header:
    header = scene.header.copy()
    header.remove("BUNIT", ignore_missing=True)
    if scene.wcs is None:  # what astropy does not understand is not handed on
        return fits.Header()
    return header


def _set_unit(header: fits.Header, unit: str) -> None:
    if unit:
        header["BUNIT"] = unit


def _offsets(header: fits.Header, key: str, pixel: tuple[float, float], value: tuple[float, float], scale: float) -> None:
    """A linear WCS in arcsec; ``pixel`` is the reference, from one."""
    header[f"WCSNAME{key}"] = "OFFSET"
    for axis in (1, 2):
        header[f"CTYPE{axis}{key}"] = ("XOFFSET", "YOFFSET")[axis - 1]
        header[f"CUNIT{axis}{key}"] = "arcsec"
        header[f"CRPIX{axis}{key}"] = pixel[axis - 1]
        header[f"CRVAL{axis}{key}"] = value[axis - 1]
        header[f"CDELT{axis}{key}"] = scale
