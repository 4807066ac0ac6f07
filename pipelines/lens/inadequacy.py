"""What a model of smooth ellipses leaves of a real galaxy, measured as a fraction of its light, and the noise that stands for it.

The source's knots and the lens's dust are no noise, yet a likelihood that knows the detector's noise alone takes them for evidence about
the mass: it moves the lens to where a few bright pixels fit, and claims errors of a tenth of a per cent. Here the misfit of the best
solution is measured in cells of the size of the point-spread function, within which it is coherent. A cell's misfit is normal with the
variance t (a^2 sum(L^2) + b^2 sum(S^2)), for the lens light L and the lensed source S, with a factor t of the cell's own: most are fitted
well, and a few hold a knot. 1 / t has a gamma distribution, so that the misfit is Student's t (Lange, Little & Taylor 1989, JASA 84, 881),
in normal noise. The fractions a and b that make the cells most likely are the model's inadequacy, and a cell gets the variance with which
its own residual counts by them. Where the model is adequate the fractions are zero, and nothing changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from fitcore import Result
from fitcore.evaluation import compiled
from fitcore.identity import round_linked
from pipelines.lens.frame import Frame
from pipelines.lens.linear import Pictures, band_of, pictures

Array = NDArray[np.float64]
LARGEST = (0.5, 1.0)
"""Of the fractions: beyond, the noise would be that of the model's own picture."""
FREEDOM = 4.0
"""Degrees of freedom of the misfit: few, so that some cells may stand out by far without telling of all others."""
N_NODES = 64
"""Of the quadrature over a cell's factor; 42 of them have a weight that counts."""
NOTED = "misfit_at."
STARTS = ((0.01, 0.1), (0.05, 0.5), (0.2, 1.0))


@dataclass(frozen=True, kw_only=True)
class Inadequacy:
    """Fractions of the lens light and of the lensed source, per pixel, that are added to the noise in quadrature.

    ``cell`` is the side in pixels of the cells in which a misfit is coherent.
    """

    lens_light: float
    source: float
    cell: int

    def in_noise(self, frame: Frame, seen: Pictures) -> Frame:
        """The frame with these fractions of the light of ``seen`` in its noise, more where a cell's residual is large."""
        used = frame.variance > 0
        cells = _Cells.of(frame, seen, self.cell)
        light, source = np.maximum(np.asarray(seen.lens_light), 0.0), np.asarray(seen.lensed_source)
        extra = cells.factors(self.lens_light, self.source) * ((self.lens_light * light) ** 2 + (self.source * source) ** 2)
        return frame.reweighted(np.where(used, frame.variance + extra, 0.0))

    def noted(self, band: str | None = None) -> dict[str, float]:
        """As entries of a search's diagnostics; `noted_values` are to be beside them."""
        suffix = "" if band is None else f"_{band}"
        return {
            f"lens_light_inadequacy{suffix}": self.lens_light,
            f"source_inadequacy{suffix}": self.source,
            f"misfit_cell{suffix}": self.cell,
        }


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
        cell = int(found.diagnostics[f"misfit_cell{suffix}"])
        return cls(inadequacy=Inadequacy(**fractions, cell=cell), instance=band_of(instance, band))

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
    cells = _Cells.of(frame, seen, cell)
    filled = cells.noise > 0
    residual, noise, light, source = (plane[filled] for plane in (cells.residual, cells.noise, cells.light, cells.source))

    def surprise(fractions: Array) -> tuple[float, Array]:
        """-log likelihood but for a constant, and its gradient."""
        extra = fractions[0] ** 2 * light + fractions[1] ** 2 * source
        log_likelihood, share, variance = _mixed(residual, noise, extra)
        slope = (share * _FACTORS * (1.0 - residual**2 / variance) / variance).sum(axis=0)
        return -float(log_likelihood.sum()), np.array([fractions[0] * (slope @ light), fractions[1] * (slope @ source)])

    bounds = [(0.0, largest) for largest in LARGEST]
    found = [optimize.minimize(surprise, start, jac=True, method="L-BFGS-B", bounds=bounds) for start in STARTS]
    best = min(found, key=lambda result: float(result.fun)).x
    return Inadequacy(lens_light=round(float(best[0]), 4), source=round(float(best[1]), 4), cell=cell)


def _factors() -> tuple[Array, Array]:
    """Factors t of a cell's misfit and the logs of their shares, by Gauss-Laguerre quadrature; shape (factors, 1) each."""
    nodes, weights = special.roots_genlaguerre(N_NODES, 0.5 * FREEDOM - 1.0)
    is_kept = weights > 1e-30 * weights.max()
    return 0.5 * FREEDOM / nodes[is_kept, None], np.log(weights[is_kept, None] / weights[is_kept].sum())


_FACTORS, _LOG_SHARES = _factors()


def _mixed(residual: Array, noise: Array, extra: Array) -> tuple[Array, Array, Array]:
    """Log density of the residuals (n,); and for every factor and residual, shape (factors, n), its posterior share and the variance."""
    variance = noise + _FACTORS * extra
    log_joint = _LOG_SHARES - 0.5 * (residual**2 / variance + np.log(variance))
    log_likelihood = np.logaddexp.reduce(log_joint, axis=0)
    return log_likelihood, np.exp(log_joint - log_likelihood), variance


@dataclass(frozen=True, kw_only=True, eq=False)
class _Cells:
    """Sums over the cells of an image: of the residual, and of the squares of noise, lens light and source; shape (rows, columns)."""

    residual: Array
    noise: Array
    light: Array
    source: Array
    cell: int
    shape: tuple[int, int]

    @classmethod
    def of(cls, frame: Frame, seen: Pictures, cell: int) -> _Cells:
        variance = np.asarray(frame.variance)
        used = variance > 0

        def summed(plane: Any, power: int) -> Array:
            """A rest at the edges that fills no cell is left out."""
            n, m = (size // cell for size in variance.shape)
            kept = np.where(used, np.asarray(plane), 0.0)[: n * cell, : m * cell]
            return np.asarray((kept**power).reshape(n, cell, m, cell).sum(axis=(1, 3)))

        return cls(
            residual=summed(seen.residual, 1),
            noise=summed(variance, 1),
            light=summed(np.maximum(np.asarray(seen.lens_light), 0.0), 2),
            source=summed(seen.lensed_source, 2),
            cell=cell,
            shape=variance.shape,
        )

    def factors(self, lens_light: float, source: float) -> Array:
        """What the misfit's variance is multiplied by in every pixel, from the residual of its cell; one in the rest at the edges.

        The score of a mixture of normals is the residual over a variance: the harmonic mean of the variances, by their posterior shares.
        """
        extra = lens_light**2 * self.light + source**2 * self.source
        there = (self.noise > 0) & (extra > 0)
        _, share, variance = _mixed(self.residual[there], self.noise[there], extra[there])
        factor = np.ones(extra.shape)
        factor[there] = (1.0 / (share / variance).sum(axis=0) - self.noise[there]) / extra[there]
        found = np.ones(self.shape)
        n, m = (size * self.cell for size in extra.shape)
        found[:n, :m] = np.kron(factor, np.ones((self.cell, self.cell)))
        return found
