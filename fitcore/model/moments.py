"""Means and standard deviations of weighted samples, as projection needs them, and the truncated normal that has given ones.

No prior class lives here: the functions take and return numbers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitcore.errors import LinkError
from fitcore.identity import round_linked

Array = NDArray[np.float64]

PROBIT_FLOOR = 1e-8
"""Smallest standard deviation of a projected prior, in units of the parent's own; far below any posterior, far above rounding."""

BOUND_Z = 8.21
"""Where a sample exactly on a bound is put in probit space: half a unit in the last place of u = 1."""

NEGLIGIBLE = 2e-6
"""Truncation that moves mean and standard deviation by less than this, in standard deviations, is no truncation.

A posterior of n_eff samples knows them to 1 / sqrt(n_eff), which is 500 times more even for a million samples.
"""

_OUTSIDE = 1e-9
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(128)


def usable_samples(samples: Any, log_weight: Any, support: tuple[float, float], name: str) -> tuple[Array, Array]:
    """Samples of positive weight and their weights, which sum to one; both of shape (n_used,).

    Samples beyond ``support`` by rounding are put on its bound.

    Raises
    ------
    LinkError : when shapes differ, nothing has weight, or a sample that counts is not finite or lies outside ``support``.
    """
    values = np.asarray(samples, dtype=np.float64)
    logs = np.asarray(log_weight, dtype=np.float64)
    if values.ndim != 1 or values.shape != logs.shape:
        raise LinkError(f"{name}: samples of shape {values.shape} and log-weights of shape {logs.shape}; both must be (n,).")
    if np.isnan(logs).any() or np.isposinf(logs).any():
        raise LinkError(f"{name}: {int((np.isnan(logs) | np.isposinf(logs)).sum())} log-weights are NaN or +inf; they must be below +inf.")
    used = np.isfinite(logs)
    if not used.any():
        raise LinkError(f"{name}: none of {values.size} samples has a weight above zero; nothing can be projected. Run the search again.")
    values = values[used]
    weight = np.exp(logs[used] - logs[used].max())
    values, weight = values[weight > 0.0], weight[weight > 0.0]
    if not np.isfinite(values).all():
        raise LinkError(
            f"{name}: {int((~np.isfinite(values)).sum())} samples of positive weight are not finite; drop them, or mend the search."
        )
    return _held(values, support, name), weight / weight.sum()


def _held(values: Array, support: tuple[float, float], name: str) -> Array:
    lower, upper = support
    width = upper - lower if math.isfinite(upper - lower) else max((abs(x) for x in support if math.isfinite(x)), default=1.0)
    slack = max(_OUTSIDE * width, *(4.0 * float(np.spacing(abs(x))) for x in support if math.isfinite(x)), 0.0)
    worst = values[int(np.argmax(np.maximum(lower - values, values - upper)))]
    if worst < lower - slack or worst > upper + slack:
        raise LinkError(
            f"{name}: a sample at {float(worst)!r} lies outside the support [{lower!r}, {upper!r}], so the samples are not of this prior. "
            "Project onto the model that was fitted, or widen the prior."
        )
    return np.clip(values, lower, upper)


def mean_and_sigma(values: Array, weight: Array) -> tuple[float, float]:
    """Weighted mean and population standard deviation, in two passes, so that a large mean cancels nothing."""
    start = float(weight @ values)
    mean = start + float(weight @ (values - start))
    with np.errstate(over="ignore"):  # a spread beyond 1e154 becomes infinite, and `floored_sigma` refuses it
        return mean, math.sqrt(float(weight @ (values - mean) ** 2))


def open_probit(z: Array, values: Array, support: tuple[float, float]) -> Array:
    """``z`` with samples on a bound moved into the open interval: to 8.21 sigma, or the farthest sample inside where that is farther."""
    on_bound = (values <= support[0]) | (values >= support[1])
    inside = np.abs(z[~on_bound])
    edge = max(BOUND_Z, float(inside.max()) if inside.size else 0.0)
    return np.where(on_bound, np.copysign(edge, z), z)


def floored_sigma(sigma: float, *, mean: float, parent_sigma: float, scale: float, name: str) -> float:
    """``scale * sigma``, not below 1e-8 of the parent's and not below what doubles resolve at ``mean``; 12 significant digits."""
    if not (isinstance(scale, (int, float)) and math.isfinite(scale) and scale > 0.0):
        raise LinkError(f"{name}: scale is {scale!r}; it must be a finite number above 0.")
    floor = max(PROBIT_FLOOR * parent_sigma, 16.0 * float(np.spacing(abs(mean))))
    wide = scale * sigma
    if not math.isfinite(wide):
        raise LinkError(f"{name}: the projected sigma is {wide!r}; lower the scale {scale!r}, or rescale the parameter.")
    return round_linked(max(wide, floor))


def linked_mean(mean: float, sigma: float) -> float:
    """``mean`` to 12 significant digits, but neither finer than 1e-11 nor coarser than 1e-6 of ``sigma``.

    A mean that is zero but for rounding must not carry its noise into the next stage's digest; and rounding must not move a narrow prior.
    """
    size = math.floor(math.log10(sigma))
    rounded = round_linked(mean)
    if abs(rounded - mean) <= 1e-6 * sigma:
        return round(rounded, min(11 - size, 300)) + 0.0
    return round(mean, min(6 - size, 300))


def truncated_moments(a: float, b: float) -> tuple[float, float]:
    """Mean and variance of a standard normal truncated to [a, b], each accurate however far out the limits are.

    Gauss-Legendre in the distance from the mode, over the range in which the density is above exp(-40) of its peak.
    """
    mode = min(max(0.0, a), b)
    reach = _reach(mode)
    start, end = max(a - mode, -reach), min(b - mode, reach)
    s = start + 0.5 * (end - start) * (1.0 + _NODES)
    density = _WEIGHTS * np.exp(-s * (mode + 0.5 * s))
    density = density / density.sum()
    center = float(density @ s)
    return mode + center, float(density @ (s - center) ** 2)


def _reach(mode: float) -> float:
    """Distance from the mode at which the density has fallen by exp(-40)."""
    size = abs(mode)
    return 80.0 / (math.sqrt(size * size + 80.0) + size)


def truncated_parents(mean: float, sigma: float, lower: float, upper: float) -> tuple[float, float]:
    """The ``mean`` and ``sigma`` of the normal which, truncated to [lower, upper], has the given mean and standard deviation.

    Where truncation moves neither by `NEGLIGIBLE` the given ones are returned unchanged. No truncated normal is broader than a truncated
    exponential of the same mean: where more is asked for (samples heaped on both limits), sigma stays at its widest allowed, ten times
    the limits' distance (thirty given sigmas where one limit is infinite), and the mean alone is matched.

    Parameters
    ----------
    mean, sigma : wanted, with lower < mean < upper and sigma > 0.
    lower, upper : limits; may be infinite.
    """
    low, high = (lower - mean) / sigma, (upper - mean) / sigma
    center, variance = truncated_moments(low, high)
    if abs(center) < NEGLIGIBLE and abs(math.sqrt(variance) - 1.0) < NEGLIGIBLE:
        return mean, sigma
    widest = 10.0 * (high - low) if math.isfinite(high - low) else 30.0
    slope, curvature = _dual_newton(low, high, 1.0 / widest**2)
    return mean + sigma * slope / curvature, sigma / math.sqrt(curvature)


def _family(slope: float, curvature: float, low: float, high: float) -> tuple[float, Array, Array]:
    """ln of the normalization, mean of (y, y^2) and their covariance for the density exp(slope y - curvature y^2 / 2) on [low, high]."""
    peak = slope / curvature
    mode = min(max(peak, low), high)
    gap = (mode - peak) * math.sqrt(curvature)
    reach = _reach(gap) / math.sqrt(curvature)
    start, end = max(low - mode, -reach), min(high - mode, reach)
    s = start + 0.5 * (end - start) * (1.0 + _NODES)
    steepness = slope - curvature * mode
    density = 0.5 * (end - start) * _WEIGHTS * np.exp(s * (steepness - 0.5 * curvature * s))
    total = float(density.sum())
    p = density / total
    y = mode + s
    first = float(p @ y)
    second = float(p @ y**2)
    offset, square = y - first, y**2 - second
    covariance = np.array([[p @ offset**2, p @ (offset * square)], [p @ (offset * square), p @ square**2]])
    return mode * (slope - 0.5 * curvature * mode) + math.log(total), np.array([first, second]), covariance


def _dual_newton(low: float, high: float, least: float) -> tuple[float, float]:
    """Slope and curvature at which y has mean 0 and mean square 1: Newton's method on the convex dual, curvature held above ``least``."""
    slope, curvature = 0.0, max(1.0, least)

    def dual(s: float, c: float) -> tuple[float, Array, Array]:
        log_total, moments, covariance = _family(s, c, low, high)
        scale = np.array([1.0, -0.5])
        return log_total + 0.5 * c, np.array([moments[0], 0.5 * (1.0 - moments[1])]), covariance * np.outer(scale, scale)

    value, gradient, hessian = dual(slope, curvature)
    for _ in range(200):
        held = curvature <= least and gradient[1] > 0.0
        step = np.array([-gradient[0] / hessian[0, 0], 0.0]) if held else -np.linalg.solve(hessian, gradient)
        if float(np.abs(step).max()) < 1e-13 * (1.0 + abs(slope) + curvature):
            break
        for halving in range(60):
            trial = slope + step[0] * 0.5**halving, max(curvature + step[1] * 0.5**halving, least)
            found = dual(*trial)
            if found[0] <= value + 1e-14 * abs(value):
                break
        else:
            break
        moved = abs(trial[0] - slope) + abs(trial[1] - curvature)
        (slope, curvature), (value, gradient, hessian) = trial, found
        if moved < 1e-14 * (1.0 + abs(slope) + curvature):
            break
    return slope, curvature
