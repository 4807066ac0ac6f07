"""The strip of thumbnails, and what the lens pipelines say of themselves to tables and campaign pages."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from astropy import units
from PIL import Image

from fitcore.table import UNITS
from pipelines.lens.board import BOARD, PICTURES
from pipelines.lens.meanings import LATENTS
from pipelines.lens.pictures import ImagePlanes, SourcePlane
from pipelines.lens.strip import PIXELS, strip_pixels, write_strip


def planes(lensed: bool = True) -> ImagePlanes:
    """A lens at the middle, an arc at the upper right, on a frame that is wider than high."""
    y, x = np.mgrid[-2.0:2.0:40j, -3.0:3.0:60j]
    light = 50 * np.exp(-0.5 * (x**2 + y**2) / 0.3**2)
    arc = 8 * np.exp(-0.5 * ((x - 1.2) ** 2 + (y - 1.2) ** 2) / 0.2**2)
    noise = np.ones_like(x)
    data = light + arc
    data[5, 30] += 9.0  # below the middle: a residual
    return ImagePlanes(
        data=data,
        noise=noise,
        mask=np.hypot(x, y) < 1.9,
        model=light + arc,
        lens_light=light if lensed else None,
        lensed_source=arc if lensed else None,
        extent=(-3.0, 3.0, -2.0, 2.0),
        pixel_scale=0.1,
    )


SOURCE = SourcePlane(image=np.eye(11), extent=(-1.0, 1.0, -1.0, 1.0))


def brightest(part: np.ndarray) -> tuple[float, float]:
    """Where a part is brightest, as fractions from its left and its top."""
    row, column = np.unravel_index(part.sum(axis=2).argmax(), part.shape[:2])
    return float(column) / PIXELS, float(row) / PIXELS


def test_the_parts_are_where_they_are_on_the_sky() -> None:
    pixels = strip_pixels(planes(), SOURCE).astype(float)
    assert pixels.shape == (PIXELS, PIXELS * len(PICTURES), 3)
    data, model, residual, arcs, _ = np.split(pixels, len(PICTURES), axis=1)
    for part in (data, model):
        x, y = brightest(part * (np.hypot(*np.mgrid[-1:1:150j, -1:1:150j]) < 0.5)[..., None])
        assert abs(x - 0.5) < 0.05
        assert abs(y - 0.5) < 0.05
    inside = (np.hypot(*np.mgrid[-1:1:150j, -1:1:150j]) < 0.85)[..., None]
    x, y = brightest(arcs * inside)
    assert x > 0.65  # to the right
    assert y < 0.35  # and at the top: row 0 of an image is at the bottom
    red = (residual[..., 0] - residual[..., 2]) * inside[..., 0]
    assert np.unravel_index(red.argmax(), red.shape)[0] > 0.6 * PIXELS


def test_what_the_model_does_not_have_is_grey() -> None:
    pixels = strip_pixels(planes(lensed=False), None)
    arcs, source = pixels[:, 3 * PIXELS : 4 * PIXELS], pixels[:, 4 * PIXELS :]
    assert np.ptp(arcs[60:90, 60:90], axis=2).max() < 10
    assert np.ptp(source.reshape(-1, 3), axis=0).max() == 0


def test_a_small_file(tmp_path: Path) -> None:
    data = write_strip(planes(), SOURCE, tmp_path / "a.webp").read_bytes()
    assert len(data) < 20_000
    assert Image.open(io.BytesIO(data)).size == (PIXELS * len(PICTURES), PIXELS)


def test_every_column_is_known() -> None:
    for name in (*BOARD.columns, *BOARD.histograms):
        assert name == "seconds" or BOARD.about_column(name).title
    assert set(LATENTS) <= set(BOARD.about)
    words = {"image units", "sigma"}
    for about in BOARD.about.values():
        assert about.unit in words or units.Unit(UNITS.get(about.unit, about.unit)) is not None
    assert BOARD.about_column("bands.F444W.offset_x").unit == "arcsec"
    assert BOARD.blame(["source: x", "mask: y"]) == "mask"
    assert BOARD.blame([]) == ""
