"""Examiners: what others may write for fitcore is checked here, clause by clause. So far: a prior of your own.

They are for the tests of whoever writes such a class; nothing in fitcore calls them while it fits.
"""

from __future__ import annotations

import json
import math
import pickle
import warnings
from collections.abc import Callable, Collection, Iterator
from dataclasses import fields
from typing import Any

from fitcore import backend as _backend  # isort: skip

import jax
import jax.numpy as jnp
import numpy as np
import scipy.integrate
from numpy.typing import NDArray

from fitcore.errors import PriorError
from fitcore.evaluation import compiled
from fitcore.identity import digest
from fitcore.model.prior import Prior, check_is_dataclass
from fitcore.model.special import HALF_LOG_TWO_PI, ndtr, ndtri

del _backend

Array = NDArray[np.float64]

EDGES = np.array([0.0, 1e-16, 1e-9, 1e-3, 0.1, 0.25, 0.5, 0.75, 0.9, 1 - 1e-3, 1 - 1e-9, 1 - 1e-16, 1.0])
INSIDE = EDGES[3:-3]
PRECISION = 1e-9
JAX_PRECISION = 1e-10
METHODS = ("transform", "inverse", "log_prob", "from_probit", "probit")

_TAIL = np.array([1e-6, 1e-5, 1e-4, 1e-3])
_KNOTS = np.concatenate([_TAIL, np.linspace(0.01, 0.99, 99), 1.0 - _TAIL[::-1]])
_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(20)


def check_prior(prior: Prior, *, skip: Collection[str] = ()) -> None:
    """Examine one prior against the whole contract of `fitcore.Prior`.

    The clauses: a frozen dataclass, equal by value; a sane support; values inside it for every u of [0, 1], those next to 0 and 1
    included, and rising with u; shapes kept; ``inverse`` undoes ``transform`` and ``probit`` undoes ``from_probit``; ``log_prob`` is the
    normalized density of that distribution, by quadrature, and -inf outside; NumPy, compiled JAX, batches and single points agree; finite
    gradients, of the right size; exact stored form in strict JSON; a stable digest; it can be sent to another process; projection keeps
    the support. See ``docs/priors.md``.

    Parameters
    ----------
    prior : an instance with the numbers of interest; examine several, extreme ones too.
    skip : names of clauses (the keys of `CLAUSES`) to leave out, such as ``["jax"]`` for a prior that is used with NumPy alone.

    Raises
    ------
    PriorError : one, which lists every clause that does not hold, and what was seen; or for an unknown name in ``skip``.

    Examples
    --------
    >>> from fitcore.model import Uniform
    >>> check_prior(Uniform(0, 10))
    """
    unknown = sorted(set(skip) - set(CLAUSES))
    if unknown:
        raise PriorError(f"check_prior: skip names {unknown}, which are no clauses; the clauses are {', '.join(CLAUSES)}.")
    broken: list[str] = []
    for name, clause in CLAUSES.items():
        if name in skip:
            continue
        try:
            with np.errstate(all="ignore"):
                broken.extend(f"{name}: {problem}" for problem in clause(prior))
        except Exception as error:  # the user's code may raise anything; the other clauses are still worth knowing
            broken.append(f"{name}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}")
    if broken:
        lines = "\n".join(f"- {line}" for line in broken)
        raise PriorError(f"{type(prior).__name__}: {len(broken)} violations of the contract of a prior (docs/priors.md):\n{lines}")


def _values(prior: Prior, method: str, points: Any) -> Array:
    return np.asarray(getattr(prior, method)(points), dtype=np.float64)


def _resolved(prior: Prior, x: Array) -> Array:
    """What one unit in the last place of ``x`` is worth in u: no round trip can be better."""
    largest = max([0.0, *(abs(end) for end in prior.support if math.isfinite(end))])
    return 4.0 * np.spacing(np.maximum(np.abs(x), largest)) * np.exp(np.minimum(_values(prior, "log_prob", x), 300.0))


def _off_bounds(prior: Prior, x: Array) -> NDArray[np.bool_]:
    """Where ``x`` is not rounded onto a bound: there it stands for many values of u, and the density is that of none of them."""
    return (x > prior.support[0]) & (x < prior.support[1])


def _dataclass(prior: Prior) -> Iterator[str]:
    check_is_dataclass(prior)
    same = type(prior)(**{f.name: getattr(prior, f.name) for f in fields(prior)})
    if same != prior or hash(same) != hash(prior):
        yield "two instances with the same numbers are not equal, or have other hashes."


def _support(prior: Prior) -> Iterator[str]:
    lower, upper = prior.support
    if not lower < upper:
        yield f"support is ({lower!r}, {upper!r}); the lower end must be below the upper one."
    x = _values(prior, "transform", EDGES)
    for u, value in zip(EDGES.tolist(), x.tolist(), strict=True):
        if not (math.isfinite(value) and lower <= value <= upper):
            yield f"transform({u!r}) is {value!r}; it must be finite and within [{lower!r}, {upper!r}]."
    for end, share in ((lower, 0.0), (upper, 1.0)):
        if math.isfinite(end) and not abs(float(prior.inverse(end)) - share) <= PRECISION:
            yield f"inverse({end!r}) is {float(prior.inverse(end))!r} at that end of the support; it must be {share!r}."


def _rising(prior: Prior) -> Iterator[str]:
    u = np.concatenate([EDGES[:4], np.linspace(0.01, 0.99, 99), EDGES[-4:]])
    x = _values(prior, "transform", u)
    if np.any(np.diff(x) < 0.0):
        at = int(np.argmin(np.diff(x)))
        here, there = (f"{float(x[i])!r} at u = {float(u[i])!r}" for i in (at, at + 1))
        yield f"transform falls from {here} to {there}; it must rise."
    if not x[4] < x[-5]:
        yield f"transform is {x[4]!r} at u = 0.01 and {x[-5]!r} at u = 0.99; it must rise."


def _shapes(prior: Prior) -> Iterator[str]:
    points = {"transform": 0.3, "from_probit": -0.5}
    points |= dict.fromkeys(("inverse", "log_prob", "probit"), float(np.ravel(_values(prior, "transform", 0.3))[0]))
    for method in METHODS:
        single = float(np.ravel(_values(prior, method, points[method]))[0])
        for shape in ((), (1,), (2, 3)):
            value = _values(prior, method, np.full(shape, points[method]))
            if value.shape != shape:
                yield f"{method} of shape {shape} has shape {value.shape}; it must be the same."
            elif not np.allclose(value, single, rtol=1e-13, atol=1e-300):
                seen = float(value.ravel()[0])
                yield f"{method} gives {single!r} for one point and {seen!r} for the same point in a batch of shape {shape}."


def _round_trip(prior: Prior) -> Iterator[str]:
    x = _values(prior, "transform", INSIDE)
    error = np.abs(_values(prior, "inverse", x) - INSIDE) - _resolved(prior, x)
    if not np.all(error <= PRECISION):
        at = int(np.nanargmax(error))
        yield f"inverse(transform({float(INSIDE[at])!r})) is {float(prior.inverse(x[at]))!r}."
    z = np.array([-5.0, -2.0, -0.3, 0.0, 0.7, 2.0, 5.0])
    x = _values(prior, "from_probit", z)
    slack = _resolved(prior, x) * np.exp(0.5 * z * z + HALF_LOG_TWO_PI)
    told = (slack < 1e-3) & _off_bounds(prior, x)
    error = np.where(told, np.abs(_values(prior, "probit", x) - z) - slack, 0.0)
    if not np.all(error <= 1e-7):
        at = int(np.nanargmax(error))
        yield f"probit(from_probit({float(z[at])!r})) is {float(prior.probit(x[at]))!r}."
    width = float(prior.transform(0.75)) - float(prior.transform(0.25))
    z = ndtri(INSIDE)
    if not np.allclose(_values(prior, "from_probit", z), _values(prior, "transform", INSIDE), rtol=1e-10, atol=1e-9 * width):
        yield "from_probit(z) is not transform(Phi(z))."
    if not np.allclose(_values(prior, "probit", x)[told], ndtri(_values(prior, "inverse", x))[told], rtol=1e-6, atol=1e-6):
        yield "probit(x) is not Phi^-1(inverse(x))."


def _density(prior: Prior) -> Iterator[str]:
    x = _values(prior, "transform", _KNOTS)
    u, x = _KNOTS[_off_bounds(prior, x)], x[_off_bounds(prior, x)]
    half, step = 0.5 * np.diff(x), np.diff(u)
    points = x[:-1, None] + half[:, None] * (1.0 + _NODES)
    mass = half * (np.exp(_values(prior, "log_prob", points)) @ _NODE_WEIGHTS)
    slack = 1e-7 * step + 1e-9 + _resolved(prior, x[:-1]) + _resolved(prior, x[1:])
    for i in np.flatnonzero(~(np.abs(mass - step) <= slack)):  # a kink or a jump of the density lies there, or an error
        mass[i] = _mass(prior, float(x[i]), float(x[i + 1]))
    error = np.abs(mass - step)
    whole = float(mass.sum() / (u[-1] - u[0]))
    if not abs(whole - 1.0) <= 1e-6 + slack.sum():
        yield f"the integral of exp(log_prob) over the support is {whole:.9g}; it must be 1."
    elif not np.all(error <= 10.0 * slack):
        at = int(np.nanargmax(error))
        yield (
            f"exp(log_prob) integrates to {mass[at]:.9g} from x = {float(x[at])!r} to {float(x[at + 1])!r}, while u goes from "
            f"{u[at]:.6g} to {u[at + 1]:.6g}: log_prob is not the density of transform."
        )


def _mass(prior: Prior, start: float, end: float) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", scipy.integrate.IntegrationWarning)  # what it found is judged, whatever it thinks of it
        return float(scipy.integrate.quad(lambda t: math.exp(float(prior.log_prob(t))), start, end, limit=200, epsabs=1e-9)[0])


def _outside(prior: Prior) -> Iterator[str]:
    for beyond in _beyond(prior):
        value = float(prior.log_prob(beyond))
        if value != -math.inf:
            yield f"log_prob({beyond!r}), outside the support, is {value!r}; it must be -inf."
    if not math.isnan(float(prior.log_prob(math.nan))):
        yield "log_prob(NaN) is a number; it must be NaN, so that no NaN passes unseen."


def _beyond(prior: Prior) -> list[float]:
    """A point outside the support at either finite end."""
    return [end + away * max(1.0, abs(end)) for end, away in zip(prior.support, (-1.0, 1.0), strict=True) if math.isfinite(end)]


def _jax(prior: Prior) -> Iterator[str]:
    """Values and gradients of all methods, from one compiled function: what is compiled may be rounded otherwise than what is not."""
    x, z = _values(prior, "transform", INSIDE), np.concatenate([ndtri(EDGES[1:-1]), np.linspace(-7.0, 7.0, 15)])
    points = {"transform": EDGES, "from_probit": z, "inverse": x, "probit": x, "log_prob": np.concatenate([x, _beyond(prior)])}
    found = compiled(lambda given: {method: _with_slope(getattr(prior, method), given[method]) for method in METHODS})(
        {method: jnp.asarray(values) for method, values in points.items()}
    )
    width = float(x[-1] - x[0])
    for method in METHODS:
        value, slope = (np.asarray(part) for part in found[method])
        yield from _same_values(prior, method, points[method], value, width)
        is_open = points[method] * (1.0 - points[method]) != 0.0 if method == "transform" else np.arange(len(points[method])) < len(slope)
        inside = is_open & np.isfinite(value)
        if not np.all(np.isfinite(slope[inside])):
            at = int(np.flatnonzero(inside & ~np.isfinite(slope))[0])
            yield f"the gradient of {method} at {float(points[method][at])!r} is {float(slope[at])!r}; it must be finite."
    yield from _slope_by_density(prior, z, np.asarray(found["from_probit"][1]))


def _with_slope(function: Callable[[Any], Any], points: Any) -> tuple[Any, Any]:
    value, back = jax.vjp(function, points)
    return value, back(jnp.ones_like(value))[0]


def _same_values(prior: Prior, method: str, points: Array, traced: Array, width: float) -> Iterator[str]:
    plain = _values(prior, method, points)
    if traced.dtype != np.float64:
        yield f"{method} gives {traced.dtype} under JAX; it must be float64."
        return
    is_quantile = method in ("transform", "from_probit")
    slack = JAX_PRECISION * np.maximum(np.abs(plain), width if is_quantile else 1.0)
    if not is_quantile:
        slack = slack + 10.0 * _resolved(prior, points)
    with np.errstate(invalid="ignore"):  # -inf from -inf, which are equal
        differs = ~((np.abs(plain - traced) <= slack) | (plain == traced))
    if differs.any():
        at = int(np.argmax(differs))
        yield f"{method}({float(points[at])!r}) is {float(plain[at])!r} with NumPy and {float(traced[at])!r} with compiled JAX."


def _slope_by_density(prior: Prior, z: Array, slope: Array) -> Iterator[str]:
    x = _values(prior, "from_probit", z)
    expected = np.exp(-0.5 * z**2 - HALF_LOG_TWO_PI - _values(prior, "log_prob", x))
    told = (np.abs(z) < 4.0) & np.isfinite(slope)
    differs = told & ~np.isclose(slope, expected, rtol=1e-4, atol=1e-300)
    if differs.any():
        at = int(np.argmax(differs))
        yield f"the gradient of from_probit at {float(z[at])!r} is {float(slope[at])!r}; by log_prob it must be {float(expected[at])!r}."


def _stored(prior: Prior) -> Iterator[str]:
    again = Prior.from_dict(json.loads(json.dumps(prior.to_dict(), allow_nan=False, sort_keys=True)))
    if again != prior or type(again) is not type(prior):
        yield f"from_dict(to_dict()) is {again!r}; it must be {prior!r}."


def _digest(prior: Prior) -> Iterator[str]:
    before = digest(prior)
    prior.log_prob(prior.transform(0.3))  # what an instance keeps for itself must not count
    copy = type(prior)(**{f.name: getattr(prior, f.name) for f in fields(prior)})
    if not before == digest(prior) == digest(copy):
        yield "the digest of the same numbers is not always the same."


def _sent(prior: Prior) -> Iterator[str]:
    if pickle.loads(pickle.dumps(prior)) != prior:
        yield "what another process would receive is not equal to it."


def _projection(prior: Prior) -> Iterator[str]:
    x = _values(prior, "from_probit", np.array([-0.5, 0.0, 0.5, 1.0]))
    projected = prior.project(x, np.zeros(4))
    if projected.support != prior.support:
        yield f"the projected prior has the support {projected.support}; it must be {prior.support}."
    values = _values(projected, "transform", EDGES)
    if not np.all((values >= prior.support[0]) & (values <= prior.support[1])):
        yield "the projected prior leaves the support."
    center = float(ndtr(float(prior.probit(float(projected.transform(0.5))))))
    if not 0.3 < center < 0.9:
        yield f"the projection onto samples from u = 0.31 to 0.84 has its median at u = {center:.3g}."


CLAUSES: dict[str, Callable[[Prior], Iterator[str]]] = {
    "dataclass": _dataclass,
    "support": _support,
    "rising": _rising,
    "shapes": _shapes,
    "round trip": _round_trip,
    "density": _density,
    "outside": _outside,
    "jax": _jax,
    "stored form": _stored,
    "digest": _digest,
    "other processes": _sent,
    "projection": _projection,
}
"""The clauses of the contract, by name, in the order in which they are examined."""
