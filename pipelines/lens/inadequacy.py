"""What a model of smooth ellipses leaves of a real galaxy, measured as a fraction of its light, and the noise that stands for it.

The source's knots and the lens's dust are no noise, yet a likelihood that knows the detector's noise alone takes them for evidence about
the mass: it moves the lens to where a few bright pixels fit, and claims errors of a tenth of a per cent. Here the misfit of the best
solution is measured in cells of the size of the point-spread function, within which it is coherent. The sum of a cell's residual is
normal with the variance sum(noise^2) + a^2 sum(L^2) + b^2 sum(S^2), for the lens light L and the lensed source S; the two fractions a and b
that make the cells most likely are the model's inadequacy. Where the model is adequate they are zero, and nothing changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from fitcore import Result
from fitcore.evaluation import compiled
from fitcore.identity import round_linked
from pipelines.lens.frame import Frame
from pipelines.lens.linear import Pictures, band_of, pictures

Array = NDArray[np.float64]
LARGEST = (0.5, 1.0)
"""Of the fractions: beyond, the noise would be that of the model's own picture."""
NOTED = "misfit_at."
STARTS = ((0.01, 0.1), (0.05, 0.5), (0.2, 1.0))


@dataclass(frozen=True, kw_only=True)
class Inadequacy:
    """Fractions of the lens light and of the lensed source, per pixel, that are added to the noise in quadrature."""

    lens_light: float
    source: float

    def in_noise(self, frame: Frame, seen: Pictures) -> Frame:
        """The frame with these fractions of the light of ``seen`` in its noise."""
        light, source = np.maximum(np.asarray(seen.lens_light), 0.0), np.asarray(seen.lensed_source)
        variance = frame.variance
        return frame.reweighted(np.where(variance > 0, variance + (self.lens_light * light) ** 2 + (self.source * source) ** 2, 0.0))

    def noted(self, band: str | None = None) -> dict[str, float]:
        """As entries of a search's diagnostics; `noted_values` are to be beside them."""
        suffix = "" if band is None else f"_{band}"
        return {f"lens_light_inadequacy{suffix}": self.lens_light, f"source_inadequacy{suffix}": self.source}


@dataclass(frozen=True, kw_only=True, eq=False)
class Misfit:
    """A fit of one image, and how far it is from the data; part of the identity of a stage that has it in its noise."""

    inadequacy: Inadequacy
    instance: Mapping[str, Any]

    @classmethod
    def of(cls, result: Result, band: str | None = None) -> Misfit:
        """What a search has noted of its fit at the noise alone; ``band`` as for `linear.band_of`."""
        found, suffix = result.samples_summary, "" if band is None else f"_{band}"
        fractions = {key: float(found.diagnostics[f"{key}_inadequacy{suffix}"]) for key in ("lens_light", "source")}
        values = np.array([float(found.diagnostics[NOTED + path]) for path in result.model.paths])
        instance = result.model.instance_from_vector(round_linked(values))
        return cls(inadequacy=Inadequacy(**fractions), instance=band_of(instance, band))

    def in_noise(self, frame: Frame) -> Frame:
        """The frame with the fit's inadequacy in its noise."""
        return self.inadequacy.in_noise(frame, _pictures(self.instance, frame))


_pictures = compiled(pictures)


def noted_values(values: Mapping[str, float]) -> dict[str, float]:
    """The parameters of the fit whose misfit is noted, by path, as entries of a search's diagnostics."""
    return {NOTED + path: float(value) for path, value in values.items()}


def is_noted(diagnostics: Mapping[str, Any]) -> bool:
    """Whether a search has noted the misfit of a fit."""
    return any(key.startswith(NOTED) for key in diagnostics)


def measured_misfit(instance: Mapping[str, Any], frame: Frame, psf: Array) -> Misfit:
    """The inadequacy of a fit in the noise of ``frame`` alone."""
    return Misfit(inadequacy=measured_inadequacy(frame, _pictures(instance, frame), cell_of(psf)), instance=instance)


def cell_of(psf: Array) -> int:
    """Side of a cell in pixels: the square of the point-spread function's noise-equivalent area (King 1983, PASP 95, 163)."""
    return max(2, round(float(psf.sum() / np.sqrt((psf**2).sum()))))


def measured_inadequacy(frame: Frame, seen: Pictures, cell: int) -> Inadequacy:
    """The fractions that make the residual of a fit most likely.

    Parameters
    ----------
    frame : with the noise alone in its variance.
    seen : the fit, on its compared part.
    cell : side of the cells in pixels (`cell_of`).
    """
    used = frame.variance > 0
    planes = (seen.residual, np.sqrt(frame.variance), np.maximum(np.asarray(seen.lens_light), 0.0), seen.lensed_source)
    residual, *squares = (
        _in_cells(np.where(used, np.asarray(plane), 0.0) ** power, cell) for plane, power in zip(planes, (1, 2, 2, 2), strict=True)
    )
    filled = squares[0] > 0
    residual, noise, light, source = (plane[filled] for plane in (residual, *squares))

    def surprise(fractions: Array) -> tuple[float, Array]:
        """-log likelihood but for a constant, and its gradient."""
        variance = noise + fractions[0] ** 2 * light + fractions[1] ** 2 * source
        slope = (1.0 - residual**2 / variance) / variance
        value = 0.5 * float((residual**2 / variance + np.log(variance)).sum())
        return value, np.array([fractions[0] * (slope @ light), fractions[1] * (slope @ source)])

    bounds = [(0.0, largest) for largest in LARGEST]
    found = [optimize.minimize(surprise, start, jac=True, method="L-BFGS-B", bounds=bounds) for start in STARTS]
    best = min(found, key=lambda result: float(result.fun)).x
    return Inadequacy(lens_light=round(float(best[0]), 4), source=round(float(best[1]), 4))


def _in_cells(plane: Array, cell: int) -> Array:
    """Sums over square cells, flat; a rest at the edges that fills none is left out."""
    n, m = (size // cell for size in plane.shape)
    return plane[: n * cell, : m * cell].reshape(n, cell, m, cell).sum(axis=(1, 3)).ravel()
