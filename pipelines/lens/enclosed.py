"""The mass of a finished chain, gathered for `mass_pictures`: planes of the best fit, and what its samples enclose."""

from __future__ import annotations

import numpy as np

from fitcore import Result
from fitcore.statistics import weighted_quantile
from pipelines.lens.assess import ONE_SIGMA, Seen
from pipelines.lens.critical import CriticalCurve
from pipelines.lens.latents import critical_mass_of
from pipelines.lens.linear import masses_of
from pipelines.lens.magnification import enclosed_convergence, magnification, total_convergence
from pipelines.lens.mass_pictures import Interval, MassPlanes

N_SAMPLES, N_RADII, N_ANGLES, SEED = 128, 40, 48, 0
SIDE = 160
"""Pixels of the planes."""
INNERMOST = 0.05
"""Of the profile, arcsec: below a pixel nothing is known."""


def profiles(result: Result, radius: np.ndarray) -> np.ndarray:
    """Mean convergence within circles of ``radius``, arcsec, around each sample's own center: (`N_SAMPLES`, k)."""
    draws = result.samples.draw(N_SAMPLES, SEED)
    found = []
    for theta in draws:
        instance = result.model.instance_from_vector(theta)
        center = (float(instance["mass"].center_x), float(instance["mass"].center_y))
        found.append(enclosed_convergence(masses_of(instance), radius, center=center, n_angles=N_ANGLES))
    return np.asarray(found) / (np.pi * radius**2)


def mass_planes(found: Seen, result: Result, curves: list[CriticalCurve]) -> MassPlanes:
    """What is drawn of the mass: within the fitted window, and of the last stage's samples."""
    masses = masses_of(found.instance)
    x, y = found.frame.pixel_centers
    mass = found.instance["mass"]
    c_x, c_y = float(mass.center_x), float(mass.center_y)
    half = float(max(np.ptp(x), np.ptp(y))) / 2.0
    step = 2.0 * half / SIDE
    axis = (np.arange(SIDE) + 0.5) * step - half
    grid_x, grid_y = np.meshgrid(axis + c_x, axis + c_y)
    used = np.asarray(found.frame.weight) > 0
    away = np.hypot(x - c_x, y - c_y)
    radius = np.geomspace(INNERMOST, float(away[used].max()) if used.any() else half, N_RADII)
    each = profiles(result, radius)
    crossing = np.array([_crossing(radius, row) for row in each])
    crossing = crossing[np.isfinite(crossing)]
    lower, median, upper = np.quantile(crossing, ONE_SIGMA) if crossing.size else (np.nan, np.nan, np.nan)
    seen = away[found.arcs]
    return MassPlanes(
        convergence=np.asarray(total_convergence(masses, grid_x, grid_y)),
        magnification=np.abs(np.asarray(magnification(masses, grid_x, grid_y))),
        extent=(c_x - half, c_x + half, c_y - half, c_y + half),
        critical_curves=[curve.curve for curve in curves if curve.kind != "cut"],
        position_angle_of_y=found.dataset.position_angle_of_y,
        radius=radius,
        mean_convergence=np.stack([weighted_quantile(column, ONE_SIGMA) for column in each.T], axis=1),
        einstein_radius=Interval(median=float(median), lower=float(lower), upper=float(upper)),
        arcs=(float(seen.min()), float(seen.max())) if seen.size else (np.nan, np.nan),
        critical_mass=critical_mass_of(found.dataset),
    )


def _crossing(radius: np.ndarray, mean: np.ndarray) -> float:
    """Where a falling mean convergence is one, linear in the logarithms; NaN where it is not."""
    if not (mean[0] > 1.0 > mean[-1]):
        return float("nan")
    return float(np.exp(np.interp(0.0, -np.log(mean), np.log(radius))))
