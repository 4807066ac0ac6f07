"""The light of the lens alone, and what it leaves: the map of the arcs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipelines.lens.frame import Frame
from pipelines.lens.marquardt import Penalty, descend
from pipelines.lens.varpro import N_PARAMETERS, Bases, VariableProjection

Array = NDArray[np.float64]
ROUNDS = 2
"""Rounds of masking: more of them let the mask run away into the galaxy."""
FLOOR = 0.02
SIGNIFICANT, SMOOTHING, CORE, SMALLEST = 3.0, 1.0, 0.25, 4
WHITE_RMS = 0.2821
"""Standard deviation of unit white noise after a Gaussian filter of one pixel: 1 / (2 sqrt pi)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LightFit:
    """Lens light of a frame.

    Parameters
    ----------
    p : all parameters with the light's filled in.
    light : its picture through the PSF, (v, v).
    residual : data minus light and sky, (v, v).
    significance : the residual smoothed, in units of its noise.
    arcs : True where the residual is taken for the lensed source.
    ellipticity : flux-weighted within 1.5 arcsec, (e_1, e_2).
    n_evaluations : projections computed.
    """

    p: Array
    light: Array
    residual: Array
    significance: Array
    arcs: NDArray[np.bool_]
    ellipticity: tuple[float, float]
    n_evaluations: int


def moment_ellipticity(light: Array, x: Array, y: Array) -> tuple[float, float]:
    """(1-q)/(1+q) (cos 2 phi, sin 2 phi) of a picture's second moments."""
    total = (light * (x * x + y * y)).sum()
    if not total > 0:
        return 0.0, 0.0
    chi = np.array([(light * (x * x - y * y)).sum(), (light * 2.0 * x * y).sum()]) / total
    size = min(float(np.hypot(*chi)), 0.95)
    factor = 0.5 if size < 1e-6 else (1.0 - np.sqrt(1.0 - size**2)) / size**2
    return float(chi[0] * factor), float(chi[1] * factor)


def fit_light(frame: Frame, center: tuple[float, float], bases: Bases) -> LightFit:
    """Fit two concentric sets of Gaussians of different ellipticity, masking what stands out of them."""
    x, y = (axis - c for axis, c in zip(frame.pixel_centers, center, strict=True))
    radius, base = np.hypot(x, y), frame.variance
    used, data = base > 0, np.asarray(frame.data)
    e_1, e_2 = np.clip(moment_ellipticity(np.where(used & (radius < 1.0), np.maximum(data, 0.0), 0.0), x, y), -0.6, 0.6)
    p = np.zeros(N_PARAMETERS)
    p[:6] = [*center, e_1, e_2, e_1, e_2 + 0.02]
    penalty = _penalty(center)
    arcs, variance, n = np.zeros(used.shape, dtype=bool), base, 0
    light, residual, significance = data, data, data
    for _ in range(ROUNDS):
        projection = VariableProjection(frame=frame.reweighted(np.where(arcs, 0.0, variance)), which="light", bases=bases)
        minimum = descend(projection, p, penalty, n_steps=25)
        p, n = minimum.p, n + minimum.n_evaluations
        light, _ = projection.pictures(p)
        weight = np.asarray(projection.frame.weight) ** 2
        residual = data - light - (weight * (data - light)).sum() / weight.sum()
        variance = np.where(used, base + (FLOOR * np.maximum(light, 0.0)) ** 2, 0.0)
        significance = _significance(residual, variance)
        arcs = _arcs(significance, used, radius)
    inner = np.where(radius < 1.5, np.maximum(light, 0.0), 0.0)
    return LightFit(
        p=p,
        light=light,
        residual=residual,
        significance=significance,
        arcs=arcs,
        ellipticity=moment_ellipticity(inner, x - (p[0] - center[0]), y - (p[1] - center[1])),
        n_evaluations=n,
    )


def _penalty(center: tuple[float, float]) -> Penalty:
    mean, sigma, reach = np.zeros(N_PARAMETERS), np.ones(N_PARAMETERS), np.full(N_PARAMETERS, np.inf)
    mean[:2], sigma[:2], sigma[2:6] = center, 0.1, 0.3
    reach[:2], reach[2:6] = 0.3, 0.7
    return Penalty(mean=mean, sigma=sigma, lower=mean - reach, upper=mean + reach)


def _significance(residual: Array, variance: Array) -> Array:
    noise = np.sqrt(np.where(variance > 0, variance, 1.0))
    return ndimage.gaussian_filter(np.where(variance > 0, residual / noise, 0.0), SMOOTHING) / WHITE_RMS


def _arcs(significance: Array, used: Any, radius: Array) -> NDArray[np.bool_]:
    found = (significance > SIGNIFICANT) & used & (radius > CORE)
    labels, n = cast(tuple[Any, int], ndimage.label(found))
    if n:
        sizes = np.asarray(ndimage.sum(found, labels, range(1, n + 1)))
        found = np.isin(labels, 1 + np.flatnonzero(sizes >= SMALLEST))
    return np.asarray(ndimage.binary_dilation(found), dtype=bool) & (radius > 0.8 * CORE)
