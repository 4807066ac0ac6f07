"""The normal distribution in double precision, far into both tails, for NumPy and for JAX; priors and projections are built on it.

Every function works on scalars and arrays, is vectorized, and answers in the kind of array it was given. Nothing
here knows of priors or models.
"""

from __future__ import annotations

from typing import Any

from fitcore import backend as _backend  # isort: skip

import jax
import jax.numpy as jnp
import jax.scipy.special as jax_special
import numpy as np
import scipy.special as scipy_special

del _backend

LARGEST_Z = 37.5
"""Standard deviations at which a normal's tail still is a normal double (3e-308); the bounds of the unit interval map here."""

HALF_LOG_TWO_PI = 0.5 * float(np.log(2.0 * np.pi))
_SQRT_TWO_PI = float(np.sqrt(2.0 * np.pi))
_SQRT_HALF_PI = float(np.sqrt(0.5 * np.pi))
_TINY = float(np.finfo(np.float64).tiny)
_LARGEST_BELOW_ONE = 1.0 - 2.0**-53
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(14)
_NEWTON_STEPS = 6


def _fit_erfcx(n_terms: int = 26, n_nodes: int = 64) -> np.ndarray:
    """Chebyshev coefficients of (1 + 2 x) erfcx(x) in t = (x - 4) / (x + 4), which maps x >= 0 to [-1, 1)."""
    angle = np.pi * (np.arange(n_nodes) + 0.5) / n_nodes
    x = 4.0 * (1.0 + np.cos(angle)) / (1.0 - np.cos(angle))
    values = (1.0 + 2.0 * x) * scipy_special.erfcx(x)
    coefficients = [2.0 / n_nodes * float(np.sum(values * np.cos(k * angle))) for k in range(n_terms)]
    return np.array([0.5 * coefficients[0], *coefficients[1:]])


_ERFCX = _fit_erfcx()


def namespace(*values: Any) -> Any:
    """``jax.numpy`` when any of ``values`` is a JAX array or tracer, else ``numpy``."""
    return jnp if any(isinstance(value, jax.Array) for value in values) else np


def floats(values: Any) -> tuple[Any, Any]:
    """The namespace of ``values``, and ``values`` as float64."""
    xp = namespace(values)
    return xp, xp.asarray(values, dtype=np.float64)


@jax.custom_jvp
def _mills_jax(x: Any) -> Any:
    y = x * np.sqrt(0.5)
    half_angle = jnp.arctan2(2.0, jnp.sqrt(y))  # the Chebyshev polynomials are cosines of multiples of arccos(t)
    terms = jnp.cos(2.0 * half_angle[..., None] * np.arange(_ERFCX.size))
    return _SQRT_HALF_PI * jnp.sum(terms * _ERFCX, axis=-1) / (1.0 + 2.0 * y)


@_mills_jax.defjvp
def _mills_jvp(primals: Any, tangents: Any) -> Any:
    value = _mills_jax(primals[0])
    return value, tangents[0] * (primals[0] * value - 1.0)


def mills(x: Any) -> Any:
    """Mills' ratio Q(x) / phi(x) of the upper tail to the density, for x >= 0, to a few parts in 1e15 at any x.

    JAX's own erfcx returns 0 near x = 26.6, so a Chebyshev series takes its place there.
    """
    xp, x = floats(x)
    return _SQRT_HALF_PI * scipy_special.erfcx(x * np.sqrt(0.5)) if xp is np else _mills_jax(x)


def ndtr(z: Any) -> Any:
    """Phi(z), the normal distribution function."""
    xp, z = floats(z)
    return scipy_special.ndtr(z) if xp is np else jax_special.ndtr(z)


def _log_ndtr(xp: Any, z: Any) -> Any:
    size = xp.abs(z)
    log_tail = -0.5 * size * size - HALF_LOG_TWO_PI + xp.log(mills(size))
    return xp.where(z < 0, log_tail, xp.log1p(-xp.exp(xp.minimum(log_tail, -0.5))))


@jax.custom_jvp
def _log_ndtr_jax(z: Any) -> Any:
    return _log_ndtr(jnp, z)


@_log_ndtr_jax.defjvp
def _log_ndtr_jvp(primals: Any, tangents: Any) -> Any:
    value = _log_ndtr_jax(primals[0])
    return value, tangents[0] * jnp.exp(-0.5 * primals[0] ** 2 - HALF_LOG_TWO_PI - value)


def log_ndtr(z: Any) -> Any:
    """ln Phi(z), to a few parts in 1e15; JAX's own is wrong by 4e-9 below -20."""
    xp, z = floats(z)
    return _log_ndtr(np, z) if xp is np else _log_ndtr_jax(z)


def ndtri(u: Any) -> Any:
    """Phi^-1(u), held within +-`LARGEST_Z`: finite, with a finite gradient, at u = 0 and u = 1 too."""
    xp, u = floats(u)
    inside = xp.clip(u, _TINY, _LARGEST_BELOW_ONE)
    z = scipy_special.ndtri(inside) if xp is np else jax_special.ndtri(inside)
    return xp.clip(xp.where(u >= 1.0, LARGEST_Z, z), -LARGEST_Z, LARGEST_Z)


def probit_of_masses(below: Any, above: Any) -> Any:
    """Phi^-1 of a point from the probability below it and above it, each accurate where it is the smaller of the two."""
    xp = namespace(below, above)
    return xp.where(below <= above, ndtri(below), -ndtri(above))


def _log_height(d: Any, a: Any, c: Any) -> Any:
    """-(t^2 - m^2) / 2 at t = a + d for the mode m = a + c, without cancellation."""
    return -0.5 * (d - c) * (2.0 * a + c + d)


def _log_mass(xp: Any, d: Any, a: Any, c: Any) -> Any:
    """See `log_mass`. Each branch is accurate where it is used, and finite everywhere."""
    d = xp.maximum(d, _TINY)
    t = a + d
    narrow = d * xp.maximum(xp.maximum(1.0, xp.abs(a)), xp.abs(t)) < 2.0
    short = xp.where(narrow, d, 1.0)
    s = short[..., None] * (0.5 * (1.0 + _NODES))
    slope = xp.asarray(a)[..., None]
    total = xp.sum(xp.exp(xp.clip(-s * (slope + 0.5 * s), -40.0, 40.0)) * (0.5 * _WEIGHTS), axis=-1)
    log_start = _log_height(0.0, a, c)
    tail_a, tail_t = mills(xp.abs(a)), mills(xp.abs(t))
    step = -d * (a + 0.5 * d)  # of the log height, from a to t
    right = log_start + xp.log(xp.maximum(tail_a - xp.exp(xp.minimum(step, 0.0)) * tail_t, _TINY))
    left = log_start + step + xp.log(xp.maximum(tail_t - xp.exp(xp.minimum(-step, 0.0)) * tail_a, _TINY))
    both = _SQRT_TWO_PI - xp.exp(-0.5 * a * a) * tail_a - xp.exp(-0.5 * t * t) * tail_t
    across = 0.5 * (a + c) ** 2 + xp.log(xp.maximum(both, _TINY))
    wide = xp.where(a >= 0.0, right, xp.where(t <= 0.0, left, across))
    return xp.where(narrow, log_start + xp.log(short) + xp.log(total), wide)


@jax.custom_jvp
def _log_mass_jax(d: Any, a: Any, c: Any) -> Any:
    return _log_mass(jnp, d, a, c)


@_log_mass_jax.defjvp
def _log_mass_jvp(primals: Any, tangents: Any) -> Any:
    value = _log_mass_jax(*primals)
    return value, tangents[0] * jnp.exp(_log_height(*primals) - value)


def log_mass(d: Any, a: Any, c: Any) -> Any:
    """ln of the integral of exp(-(t^2 - m^2) / 2) from t = a to t = a + d, relative accuracy about 1e-14 for any d > 0.

    ``m = a + c`` is the mode of the standard normal within the limits that ``a`` is one of (0, or the limit next to 0); dividing by the
    height there keeps the integral representable however far out the limits are. Narrow intervals by Gauss-Legendre, wide ones by the
    difference of two Mills ratios. Differentiable with respect to ``d`` only.
    """
    xp, d = floats(d)
    return _log_mass(np, d, a, c) if xp is np else _log_mass_jax(d, a, c)


def _first_distance(xp: Any, target: Any, a: Any, c: Any) -> Any:
    """A guess at `distance` for each regime: close to the limit, in a falling tail, and below the mode."""
    log_start = _log_height(0.0, a, c)
    ratio = xp.exp(xp.clip(target - log_start, -708.0, 50.0))
    near = ratio * xp.maximum(1.0, xp.abs(a)) < 0.3
    small = xp.where(near, ratio, 0.0)
    tail_a = mills(xp.abs(a))
    falling = -tail_a * xp.log1p(-xp.minimum(ratio / tail_a, 0.95))
    log_below = xp.logaddexp(log_start + xp.log(tail_a), target)
    start = xp.abs(a + c)
    for _ in range(2):  # the tail is the height times Mills' ratio, which changes slowly
        start = xp.sqrt(xp.maximum((a + c) ** 2 + 2.0 * (xp.log(mills(start)) - log_below), 0.0))
    steep = xp.maximum(xp.abs(a), _TINY)
    rising = xp.maximum(-start - a, xp.log1p(steep * ratio) / steep)  # the density grows no faster than exp(|a| d)
    first = xp.where(near, small * (1.0 + 0.5 * a * small), xp.where(a >= 0.0, falling, rising))
    return xp.maximum(first, _TINY)


def _improved(xp: Any, log_d: Any, target: Any, a: Any, c: Any) -> Any:
    """One step of Newton's method in ln d, in which the integral's logarithm is close to a straight line."""
    d = xp.exp(log_d)
    value = _log_mass(xp, d, a, c)
    slope = xp.exp(xp.clip(log_d + _log_height(d, a, c) - value, -30.0, 700.0))
    return log_d + xp.clip((target - value) / slope, -2.0, 2.0)


def _improved_state(_: Any, state: Any) -> Any:
    return (_improved(jnp, *state), *state[1:])


def _distance(xp: Any, target: Any, a: Any, c: Any) -> Any:
    """See `distance`. In JAX the steps are a loop over one function, so that a step is compiled once."""
    log_d = xp.log(_first_distance(xp, target, a, c))
    if xp is not np:
        return jnp.exp(jax.lax.fori_loop(0, _NEWTON_STEPS, _improved_state, (log_d, target, a, c))[0])
    for _ in range(_NEWTON_STEPS):
        log_d = _improved(np, log_d, target, a, c)
    return np.exp(log_d)


@jax.custom_jvp
def _distance_jax(target: Any, a: Any, c: Any) -> Any:
    return _distance(jnp, target, a, c)


@_distance_jax.defjvp
def _distance_jvp(primals: Any, tangents: Any) -> Any:
    target, a, c = primals
    d = _distance_jax(target, a, c)
    return d, tangents[0] * jnp.exp(target - _log_height(d, a, c))


def distance(target: Any, a: Any, c: Any) -> Any:
    """The inverse of `log_mass`: the d at which the integral's logarithm is ``target``, for targets up to half of the whole.

    ``a`` and ``c`` are numbers or arrays of ``target``'s shape. Differentiable with respect to ``target`` only.
    """
    xp, target = floats(target)
    a, c = (xp.broadcast_to(xp.asarray(value, dtype=np.float64), target.shape) for value in (a, c))
    return _distance(np, target, a, c) if xp is np else _distance_jax(target, a, c)
