"""What the exports of a finished chain are made of: one `Scene` for each band, its planes on the grid of the input, its header's sky.

How they are written is in `export_fits`, `export_ds9` and `export_coolest`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from fitcore import Result
from pipelines.lens import loader
from pipelines.lens.assess import Seen, assess
from pipelines.lens.bands import Bands, reference_of
from pipelines.lens.critical import CriticalCurve, critical_curves
from pipelines.lens.dataset import Imaging
from pipelines.lens.images import PointImages, point_images
from pipelines.lens.linear import OFFSET, SOURCE, lights_of, masses_of, source_plane
from pipelines.lens.prepare import Preparation, prepare

Array = NDArray[np.float64]
SOURCE_PIXELS = 201
LEAST_HALF_WIDTH, LARGEST_HALF_WIDTH = 0.6, 3.0
"""Of the picture of the source plane, arcsec: as wide as the caustics within these."""
LONGEST_UNIT = 64
WCS_SIZES = ("NAXIS", "NAXIS1", "NAXIS2", "WCSAXES")


@dataclass(frozen=True, kw_only=True, eq=False)
class SourcePicture:
    """The source before lensing: image units per image pixel, shape (n, n), at ``x`` and ``y`` in arcsec, shape (n,) each."""

    image: Array
    x: Array
    y: Array

    @property
    def scale(self) -> float:
        """Arcsec a pixel."""
        return float(self.x[1] - self.x[0])


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """The best fit in one band.

    Parameters
    ----------
    seen : what was measured of it.
    data : the image as it was read, shape (n_y, n_x), also where it is masked.
    header : the cards of the image's header that say where the sky is, and ``BUNIT``; empty without any.
    """

    seen: Seen
    data: Array
    header: fits.Header

    @property
    def dataset(self) -> Imaging:
        """The band's image."""
        return self.seen.dataset

    @property
    def preparation(self) -> Preparation:
        """What was decided about it before any search."""
        return prepare(self.dataset)

    @property
    def offset(self) -> tuple[float, float]:
        """By which what lies here is right and up of the first band's, arcsec."""
        found = self.seen.instance.get(OFFSET, (0.0, 0.0))
        return float(found[0]), float(found[1])

    @property
    def unit(self) -> str:
        """Of the image, from its header; empty where it does not say, or says no plain word."""
        told = self.header.get("BUNIT")
        return told.strip() if isinstance(told, str) and told.isascii() and told.isprintable() and len(told) <= LONGEST_UNIT else ""

    @cached_property
    def wcs(self) -> WCS | None:
        """The celestial coordinates of the image; None where it has none."""
        if not loader.wcs_facts(self.header):
            return None
        return WCS(loader.sky_cards(self.header)).celestial

    @cached_property
    def masses(self) -> list[Any]:
        """All masses, in the first band's coordinates."""
        return masses_of(self.seen.instance)

    @property
    def center(self) -> tuple[float, float]:
        """Of the main mass, in the first band's coordinates, arcsec."""
        mass = self.seen.instance["mass"]
        return float(mass.center_x), float(mass.center_y)

    @cached_property
    def curves(self) -> list[CriticalCurve]:
        """Critical curves and caustics, in the first band's coordinates."""
        return critical_curves(self.masses, center=self.center)

    @property
    def source_center(self) -> tuple[float, float]:
        """Of the source's first set, in the source plane, arcsec."""
        source = lights_of(self.seen.instance[SOURCE])[0]
        return float(source.center_x), float(source.center_y)

    @cached_property
    def images(self) -> PointImages:
        """Images of the source's center, in the first band's coordinates."""
        return point_images(self.masses, self.source_center, center=self.center)

    @cached_property
    def source(self) -> SourcePicture:
        """The source, on a square about its center."""
        middle = np.array(self.source_center)
        away = [np.abs(curve.caustic - middle).max() for curve in self.curves if curve.kind != "cut"]
        half = float(np.clip(1.1 * max(away, default=0.0), LEAST_HALF_WIDTH, LARGEST_HALF_WIDTH))
        axis = np.linspace(-half, half, SOURCE_PIXELS)
        x, y = axis + middle[0], axis + middle[1]
        return SourcePicture(image=self.source_at(*np.meshgrid(x, y)), x=x, y=y)

    def source_at(self, x: Any, y: Any) -> Array:
        """Surface brightness of the source at positions in the source plane, arcsec, in image units per image pixel; shape of ``x``."""
        return np.asarray(source_plane(self.seen.instance, self.seen.pictures.amplitudes, np.asarray(x), np.asarray(y)), dtype=np.float64)

    def on_grid(self, plane: Any, outside: float = math.nan) -> Array:
        """A plane of the compared window on the grid of the input, shape (n_y, n_x)."""
        n_y, n_x = self.dataset.shape
        whole = np.full((n_y, n_x), outside, dtype=np.float64)
        x, y = (np.asarray(part) for part in self.seen.frame.pixel_centers)
        columns, rows = np.round(self.pixel(x[0], np.zeros(x.shape[1]))[0]), np.round(self.pixel(np.zeros(y.shape[0]), y[:, 0])[1])
        is_column, is_row = (columns >= 0) & (columns < n_x), (rows >= 0) & (rows < n_y)
        whole[np.ix_(rows[is_row].astype(int), columns[is_column].astype(int))] = np.asarray(plane, dtype=np.float64)[
            np.ix_(is_row, is_column)
        ]
        return whole

    def pixel(self, x: Any, y: Any) -> tuple[Array, Array]:
        """Column and row, from zero, of positions in this band's arcsec; any shape."""
        n_y, n_x = self.dataset.shape
        scale = self.dataset.pixel_scale
        return np.asarray(x) / scale + 0.5 * (n_x - 1), np.asarray(y) / scale + 0.5 * (n_y - 1)

    @cached_property
    def planes(self) -> Mapping[str, Array]:
        """By name, each of shape (n_y, n_x), NaN where it is not known.

        ``data``, ``noise``, ``mask`` (one where compared), and within the window that was computed ``lens_light`` (with the sky),
        ``lensed_source``, ``model``, ``residual`` (over the noise, where compared) and ``without_lens``.
        """
        pictures = self.seen.pictures
        light = self.on_grid(np.asarray(pictures.lens_light) + float(pictures.sky))
        source = self.on_grid(pictures.lensed_source)
        weight = self.on_grid(self.seen.frame.weight, 0.0)
        noise = self.preparation.applied(self.dataset).noise
        with np.errstate(invalid="ignore"):
            residual = np.where(weight > 0, (self.data - light - source) * weight, np.nan)
        return {
            "data": self.data,
            "model": light + source,
            "residual": residual,
            "without_lens": self.data - light,
            "lens_light": light,
            "lensed_source": source,
            "noise": np.where(np.isfinite(noise), noise, np.nan),
            "mask": (weight > 0).astype(np.float64),
        }


def scenes_of(dataset: Imaging | Bands, results: Mapping[str, Result], folder: Path) -> dict[str, Scene]:
    """The best fit of the last of ``results`` in every band, by the band's name; the first, or only, one under ``""``."""
    found = assess(dataset, results)
    scenes = {"": _scene(found, folder / dataset.names[0] if isinstance(dataset, Bands) else folder)}
    assert reference_of(dataset) is found.dataset
    return scenes | {seen.name: _scene(seen, folder / seen.name) for seen in found.further}


def _scene(seen: Seen, folder: Path) -> Scene:
    files, extensions = loader.files_of(folder, loader.read_info(folder))
    data, header = loader.read_plane(files["image"], extensions.get("image"), "image")
    kept = fits.Header()
    for card in loader.sky_cards(header).cards:
        if card.keyword not in WCS_SIZES:
            kept.append(card)
    if "BUNIT" in header:
        kept["BUNIT"] = header["BUNIT"]
    return Scene(seen=seen, data=data, header=kept)
