"""What a solution is held against that the search did not look at: are its images there, and would no lens do as well?

On the binned image, with the model's inadequacy in the noise. What the model predicts inside the critical curve, and outside, has to be
seen in the data with the strength that is predicted. And a fit of as many Gaussians in the image itself, not lensed, has to be worse: two
galaxies beside a third are fitted by it to their noise, arcs are not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipelines.lens.frame import Frame
from pipelines.lens.light_fit import LightFit
from pipelines.lens.marquardt import Minimum, Penalty, descend
from pipelines.lens.modes import source_plane_of
from pipelines.lens.varpro import EINSTEIN_RADIUS, SECOND, SOURCE_CENTER, Bases, VariableProjection

Array = NDArray[np.float64]
MASS_AND_SHEAR = tuple(range(6, 13))
UNLENSED_STEPS = 20
CORE_RADIUS = 0.15
"""Within this of the center, arcsec, the image is the lens's own."""


@dataclass(frozen=True, kw_only=True)
class Checks:
    """What was found of one solution.

    Parameters
    ----------
    inner_significance, outer_significance : of the lensed source inside and outside the critical curve, in sigma of the noise with floors.
    inner_amplitude, outer_amplitude : how strong it is there in the data, over the model; one where the model is right.
    explained : fraction of the arcs' chi^2 that the source explains.
    inside_flux : fraction of the lensed light inside the critical curve.
    magnification : lensed flux over the source's.
    lens_gain : chi^2 of the fit without a lens less that of the lens, over what the source is worth in all.
    """

    inner_significance: float
    outer_significance: float
    inner_amplitude: float
    outer_amplitude: float
    explained: float
    inside_flux: float
    magnification: float
    lens_gain: float


def inside_critical_curve(p: Array, x: Array, y: Array) -> NDArray[np.bool_]:
    """Where the magnification is negative (a saddle point's side), by central differences of the traced positions."""
    h = 1e-4
    right, left = source_plane_of(p, x + h, y), source_plane_of(p, x - h, y)
    up, down = source_plane_of(p, x, y + h), source_plane_of(p, x, y - h)
    determinant = (right[0] - left[0]) * (up[1] - down[1]) - (up[0] - down[0]) * (right[1] - left[1])
    return determinant < 0.0


def source_flux(amplitudes: Array, bases: Bases, pixel_area: float) -> float:
    """Flux of the source's Gaussians, image unit times pixels; ``amplitudes`` of all columns, the source's last."""
    ladders = bases.ladders("joint")[len(bases.ladders("light")) :]
    own = amplitudes[len(amplitudes) - sum(n for _, n in ladders) :]
    widths = np.concatenate([sigma / np.sqrt(2.0) ** np.arange(n) for sigma, n in ladders])
    return float((own * 2.0 * np.pi * widths**2).sum() / pixel_area)


def checked(p: Array, frame: Frame, bases: Bases, light: LightFit, penalty: Penalty) -> Checks:
    """Hold the solution ``p`` of a model against the data; ``frame`` has the floor of the lens light in its noise, none of the arcs."""
    projection = VariableProjection(frame=frame, which="joint", bases=bases)
    _, amplitudes, residual, _ = projection.solved(p)
    _, source = projection.pictures(p)
    weight = np.asarray(frame.weight)
    residual = residual.reshape(weight.shape)
    x, y = frame.pixel_centers
    used = (weight > 0) & (np.hypot(x - p[6], y - p[7]) > CORE_RADIUS)
    inner = used & inside_critical_curve(p, x, y)
    whitened = source * weight
    strengths = [_strength(whitened[part], residual[part]) for part in (inner, used & ~inner)]
    arcs = light.arcs & used
    without, left = ((residual + whitened)[arcs] ** 2).sum(), (residual[arcs] ** 2).sum()
    worth = ((residual + whitened) ** 2).sum() - (residual**2).sum()
    alone = unlensed(frame, bases, light, penalty)
    pixel = float((x[0, 1] - x[0, 0]) ** 2)
    flux, lensed = source_flux(amplitudes, bases, pixel), float(source.sum())
    return Checks(
        inner_significance=strengths[0][0],
        outer_significance=strengths[1][0],
        inner_amplitude=strengths[0][1],
        outer_amplitude=strengths[1][1],
        explained=float(1.0 - left / without) if without > 0 else 0.0,
        inside_flux=float(source[inner].sum() / lensed) if lensed > 0 else 0.0,
        magnification=lensed / flux if flux > 0 else 0.0,
        lens_gain=float((alone.chi2 - (residual**2).sum()) / worth) if worth > 0 else 0.0,
    )


def _strength(model: Array, residual: Array) -> tuple[float, float]:
    """Significance of a picture in the data, and its strength there over the picture's own."""
    square = float((model**2).sum())
    if not square > 0:
        return 0.0, 0.0
    product = float((model * (residual + model)).sum())
    return product / np.sqrt(square), product / square


def unlensed(frame: Frame, bases: Bases, light: LightFit, penalty: Penalty) -> Minimum:
    """The best fit of the source's sets in the image itself, from the two brightest spots of the arcs."""
    x, y = frame.pixel_centers
    arcs = np.where(light.arcs, ndimage.gaussian_filter(light.significance, 1.0), 0.0)
    first = np.unravel_index(np.argmax(arcs), arcs.shape)
    other = np.unravel_index(np.argmax(np.where(np.hypot(x - x[first], y - y[first]) > 0.5, arcs, -1.0)), arcs.shape)
    p = light.p.copy()
    p[6:8] = light.p[:2]
    p[SOURCE_CENTER] = x[first], y[first]
    p[SECOND] = [0.0, 0.01, x[other] - x[first], y[other] - y[first]]
    lower, upper, mean, sigma = penalty.lower.copy(), penalty.upper.copy(), penalty.mean.copy(), penalty.sigma.copy()
    lower[EINSTEIN_RADIUS] = 0.0
    for part, reach in ((SOURCE_CENTER, 4.0), (SECOND[2:], 8.0)):
        lower[part], upper[part], mean[part], sigma[part] = p[part] - reach, p[part] + reach, p[part], 3.0
    return descend(
        VariableProjection(frame=frame, which="joint", bases=bases),
        p,
        Penalty(mean=mean, sigma=sigma, lower=lower, upper=upper),
        n_steps=UNLENSED_STEPS,
        fixed=MASS_AND_SHEAR,
    )
