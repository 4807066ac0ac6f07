"""What every prior can do, the priors made by projection, and the register by which stored models find their classes.

The named families live in `fitcore.model.priors` and `fitcore.model.truncated`. A prior is a one-dimensional distribution and nothing
else: it does not know its path or its model.
"""

from __future__ import annotations

import abc
import math
import sys
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, ClassVar

import numpy as np

from fitcore.errors import ModelError, PriorError
from fitcore.identity import type_name
from fitcore.model import special
from fitcore.model.moments import floored_sigma, linked_mean, mean_and_sigma, open_probit, usable_samples

NARROWEST, WIDEST = 2.0**60 * sys.float_info.min, 0.125 * sys.float_info.max
"""Distance between two limits: no share of it that a double resolves is a subnormal number, nor is its inverse."""


@dataclass(frozen=True)
class Prior(abc.ABC):
    """A one-dimensional prior: a frozen dataclass of plain numbers, equal by value.

    A prior of your own is a frozen dataclass derived from this one that defines the four abstract members; everything else follows
    from them. Override `from_probit` and `probit` where the tails matter: computed through ``u`` they resolve 8 sigma.
    `fitcore.testing.check_prior` examines it; ``docs/priors.md`` says what is asked of it.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Triangle(Prior):
    ...     width: float
    ...     def transform(self, u):
    ...         xp, u = special.floats(u)
    ...         return self.width * xp.sqrt(u)
    ...     def inverse(self, x):
    ...         xp, x = special.floats(x)
    ...         return xp.clip(x / self.width, 0.0, 1.0) ** 2
    ...     def log_prob(self, x):
    ...         xp, x = special.floats(x)
    ...         outside = (x <= 0.0) | (x > self.width)
    ...         return xp.where(outside, -np.inf, xp.log(2 * xp.where(outside, 1.0, x) / self.width**2))
    ...     @property
    ...     def support(self): return (0.0, self.width)
    >>> float(Triangle(2.0).transform(0.25))
    1.0
    """

    known: ClassVar[dict[str, type[Prior]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        Prior.known[type_name(cls)] = cls

    @abc.abstractmethod
    def transform(self, u: Any) -> Any:
        """The quantile function: values at ``u`` of the unit interval, any shape; within the support for every u of [0, 1]."""

    @abc.abstractmethod
    def inverse(self, x: Any) -> Any:
        """The distribution function: ``u`` at ``x``, any shape."""

    @abc.abstractmethod
    def log_prob(self, x: Any) -> Any:
        """Normalized log density at ``x``, any shape; -inf outside the support."""

    @property
    @abc.abstractmethod
    def support(self) -> tuple[float, float]:
        """The lower and upper end of where the density is positive."""

    def from_probit(self, z: Any) -> Any:
        """Values at ``z = Phi^-1(u)``, any shape."""
        return self.transform(special.ndtr(z))

    def probit(self, x: Any) -> Any:
        """``z = Phi^-1(u)`` at ``x``, any shape; the ends of a bounded support give +-37.5, the last that doubles resolve."""
        return special.ndtri(self.inverse(x))

    def project(self, samples: Any, log_weight: Any, *, scale: float = 1.0) -> Prior:
        """The prior of the same support that matches the weighted samples' mean and variance in probit space.

        Parameters
        ----------
        samples : values of this parameter, shape (n,); those of zero weight are left out, those on a bound are moved inside.
        log_weight : logarithms of the weights up to a constant, shape (n,).
        scale : factor on the standard deviation.

        Raises
        ------
        LinkError : when no sane prior comes of them; the message says why.
        """
        base = self.base if isinstance(self, ProbitNormal) else self
        parent = self.sigma if isinstance(self, ProbitNormal) else 1.0
        values, weight = usable_samples(samples, log_weight, base.support, str(self))
        mean, sigma = mean_and_sigma(open_probit(np.asarray(base.probit(values)), values, base.support), weight)
        sigma = floored_sigma(sigma, mean=mean, parent_sigma=parent, scale=scale, name=str(self))
        return ProbitNormal(base, linked_mean(mean, sigma), sigma)

    def __str__(self) -> str:
        numbers = ", ".join(f"{getattr(self, f.name)!s}" if f.name == "base" else f"{getattr(self, f.name):.10g}" for f in fields(self))
        return f"{type(self).__name__}({numbers})"

    def to_dict(self) -> dict[str, Any]:
        """Type and numbers, JSON-able, exact."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {"prior": type_name(type(self)), **{k: v.to_dict() if isinstance(v, Prior) else encode_float(v) for k, v in values.items()}}

    @staticmethod
    def from_dict(data: dict[str, Any]) -> Prior:
        """The prior that `to_dict` described; its class must be imported already."""
        numbers = dict(data)
        name = numbers.pop("prior")
        if name not in Prior.known:
            raise ModelError(f"The prior class {name!r} is not known; known are {sorted(Prior.known)}. Import the module that defines it.")
        values = {k: Prior.from_dict(v) if isinstance(v, dict) else decode_float(v) for k, v in numbers.items()}
        return Prior.known[name](**values)


def encode_float(value: float) -> float | int | str:
    """``value`` as strict JSON can hold it: numbers that are not finite become strings."""
    return value if not isinstance(value, float) or math.isfinite(value) else repr(value)


def decode_float(value: float | int | str) -> float | int:
    """The inverse of `encode_float`."""
    return float(value) if isinstance(value, str) else value


def checked_number(value: Any, name: str, owner: str, *, allow_infinite: bool = False) -> float:
    """``value`` as a Python float, or a `PriorError` that names it; -0.0 becomes 0.0."""
    if isinstance(value, (bool, str, bytes, complex)) or (not np.isscalar(value) and getattr(value, "shape", None) != ()):
        raise PriorError(f"{owner}: {name} is {value!r}; it must be one real number.")
    try:
        number = float(value) + 0.0  # type: ignore[arg-type]  # what float refuses is told below
    except (TypeError, ValueError, OverflowError) as error:
        raise PriorError(f"{owner}: {name} is {value!r:.60}; it must be one real number that a double can hold.") from error
    if math.isnan(number) or (math.isinf(number) and not allow_infinite):
        raise PriorError(f"{owner}: {name} is {number!r}; it must be finite.")
    return number


def set_numbers(prior: Prior, *names: str, infinite: tuple[str, ...] = ()) -> None:
    """Replace a new prior's numbers by checked Python floats, so that ints, NumPy scalars and floats of one value are one prior."""
    owner = type(prior).__name__
    for name in names:
        object.__setattr__(prior, name, checked_number(getattr(prior, name), name, owner, allow_infinite=name in infinite))


def check_sigma(prior: Any) -> None:
    """Refuse a standard deviation that is not positive."""
    if prior.sigma <= 0.0:
        raise PriorError(f"{type(prior).__name__}: sigma is {prior.sigma!r}; it must be above 0. To fix a parameter, give its number.")


def check_limits(prior: Any) -> None:
    """Refuse limits in the wrong order, or at a distance by which compiled code, which has no subnormal numbers, cannot divide."""
    name = type(prior).__name__
    if not prior.lower < prior.upper:
        raise PriorError(f"{name}: lower {prior.lower!r} is not below upper {prior.upper!r}. Swap them, or give one number to fix it.")
    width = prior.upper - prior.lower
    if math.isfinite(prior.lower) and math.isfinite(prior.upper) and not NARROWEST <= width <= WIDEST:
        remedy = "narrow the limits" if width > WIDEST else "widen the limits, give one number to fix it"
        allowed = f"from {NARROWEST:.3g} to {WIDEST:.3g}"
        raise PriorError(
            f"{name}: the width of [{prior.lower!r}, {prior.upper!r}] is {width!r}; it must be {allowed}: {remedy}, or choose another unit."
        )


def log_normal_density(z: Any) -> Any:
    """ln phi(z), for any z that is a number: beyond 1e150 its square would overflow."""
    xp = special.namespace(z)
    z = xp.clip(z, -1e150, 1e150)
    return -0.5 * z * z - special.HALF_LOG_TWO_PI


@dataclass(frozen=True)
class ProbitNormal(Prior):
    """The prior of ``x = base.from_probit(mean + sigma z)`` with z standard normal: the base's support, a normal in its probit space.

    This is what projecting a sample onto a bounded prior gives; ``mean = 0, sigma = 1`` is the base itself.

    Parameters
    ----------
    base : the prior whose support and probit space are used.
    mean, sigma : of the normal in that space; dimensionless.
    """

    base: Prior
    mean: float
    sigma: float

    def __post_init__(self) -> None:
        if not isinstance(self.base, Prior) or isinstance(self.base, ProbitNormal):
            raise PriorError(f"ProbitNormal: base is {self.base!r}; it must be a prior that is not itself a ProbitNormal.")
        set_numbers(self, "mean", "sigma")
        check_sigma(self)

    @property
    def support(self) -> tuple[float, float]:
        """The base's."""
        return self.base.support

    def from_probit(self, z: Any) -> Any:
        """See `Prior.from_probit`."""
        _, z = special.floats(z)
        return self.base.from_probit(self.mean + self.sigma * z)

    def probit(self, x: Any) -> Any:
        """See `Prior.probit`."""
        return (self.base.probit(x) - self.mean) / self.sigma

    def transform(self, u: Any) -> Any:
        """See `Prior.transform`."""
        return self.from_probit(special.ndtri(u))

    def inverse(self, x: Any) -> Any:
        """See `Prior.inverse`."""
        return special.ndtr(self.probit(x))

    def log_prob(self, x: Any) -> Any:
        """See `Prior.log_prob`."""
        z = self.base.probit(x)
        return self.base.log_prob(x) + log_normal_density((z - self.mean) / self.sigma) - math.log(self.sigma) - log_normal_density(z)


def check_is_dataclass(prior: Prior) -> None:
    """Refuse a prior class whose numbers cannot be listed."""
    if not is_dataclass(prior) or type(prior).__dict__.get("__dataclass_params__") is None:
        raise PriorError(f"{type(prior).__name__} is not a dataclass: decorate it with @dataclass(frozen=True), for a stable form.")
