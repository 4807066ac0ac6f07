"""The prior families without limits to solve for: `Uniform`, `LogUniform`, `Normal`, `LogNormal`.

What they share is in `fitcore.model.prior`; the truncated normal has a module of its own. Bounded families measure from the nearer bound,
so that both tails keep full precision.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from fitcore.errors import PriorError
from fitcore.model import special
from fitcore.model.moments import floored_sigma, linked_mean, mean_and_sigma, open_probit, usable_samples
from fitcore.model.prior import Prior, check_limits, check_sigma, log_normal_density, set_numbers

_TINY = sys.float_info.min
_HUGE = sys.float_info.max


@dataclass(frozen=True)
class Uniform(Prior):
    """Constant density between two limits, both included.

    Parameters
    ----------
    lower, upper : the limits, in the parameter's unit.
    """

    lower: float
    upper: float

    def __post_init__(self) -> None:
        set_numbers(self, "lower", "upper")
        check_limits(self)

    @property
    def support(self) -> tuple[float, float]:
        """The limits."""
        return self.lower, self.upper

    def _between(self, below: Any, above: Any) -> Any:
        """The value with the given probabilities on either side, measured from the nearer limit."""
        xp = special.namespace(below, above)
        width = self.upper - self.lower
        value = xp.where(below <= above, self.lower + width * below, self.upper - width * above)
        return xp.clip(value, self.lower, self.upper)

    def transform(self, u: Any) -> Any:
        """See `Prior.transform`."""
        _, u = special.floats(u)
        return self._between(u, 1.0 - u)

    def from_probit(self, z: Any) -> Any:
        """See `Prior.from_probit`."""
        return self._between(special.ndtr(z), special.ndtr(-special.floats(z)[1]))

    def inverse(self, x: Any) -> Any:
        """See `Prior.inverse`."""
        xp, x = special.floats(x)
        return xp.clip((x - self.lower) / (self.upper - self.lower), 0.0, 1.0)

    def probit(self, x: Any) -> Any:
        """See `Prior.probit`."""
        _, x = special.floats(x)
        width = self.upper - self.lower
        return special.probit_of_masses((x - self.lower) / width, (self.upper - x) / width)

    def log_prob(self, x: Any) -> Any:
        """See `Prior.log_prob`."""
        xp, x = special.floats(x)
        inside = xp.where(xp.isnan(x), np.nan, -math.log(self.upper - self.lower))
        return xp.where((x < self.lower) | (x > self.upper), -np.inf, inside)


@dataclass(frozen=True)
class LogUniform(Prior):
    """Density proportional to 1 / x between two positive limits, both included.

    Parameters
    ----------
    lower, upper : the limits, in the parameter's unit; lower > 0.
    """

    lower: float
    upper: float

    def __post_init__(self) -> None:
        set_numbers(self, "lower", "upper")
        if self.lower < _TINY:
            raise PriorError(f"LogUniform: lower is {self.lower!r}; it must be above 0 (at least {_TINY:.3g}). Use Uniform to include 0.")
        check_limits(self)

    @property
    def support(self) -> tuple[float, float]:
        """The limits."""
        return self.lower, self.upper

    @property
    def _width(self) -> float:
        """ln(upper / lower), accurate for close limits too."""
        gap = (self.upper - self.lower) / self.lower
        return math.log1p(gap) if gap < 1.0 else math.log(self.upper) - math.log(self.lower)

    def _between(self, below: Any, above: Any) -> Any:
        xp = special.namespace(below, above)
        is_low = below <= above
        low = self.lower * xp.exp(self._width * xp.where(is_low, below, 0.0))
        high = self.upper * xp.exp(-self._width * xp.where(is_low, 0.0, above))
        return xp.clip(xp.where(is_low, low, high), self.lower, self.upper)

    def _masses(self, x: Any) -> tuple[Any, Any]:
        """The probabilities below and above ``x``."""
        xp, x = special.floats(x)
        inside = xp.clip(x, self.lower, self.upper)
        near_lower, near_upper = inside < 2.0 * self.lower, inside > 0.5 * self.upper  # told of x itself: JAX may round a quotient
        from_lower = (xp.minimum(inside, 2.0 * self.lower) - self.lower) / self.lower
        from_upper = (xp.maximum(inside, 0.5 * self.upper) - self.upper) / self.upper
        log_x = xp.log(inside)
        below = xp.where(near_lower, xp.log1p(from_lower), log_x - math.log(self.lower))
        above = xp.where(near_upper, -xp.log1p(from_upper), math.log(self.upper) - log_x)
        return below / self._width, above / self._width

    def transform(self, u: Any) -> Any:
        """See `Prior.transform`."""
        _, u = special.floats(u)
        return self._between(u, 1.0 - u)

    def from_probit(self, z: Any) -> Any:
        """See `Prior.from_probit`."""
        return self._between(special.ndtr(z), special.ndtr(-special.floats(z)[1]))

    def inverse(self, x: Any) -> Any:
        """See `Prior.inverse`."""
        below, above = self._masses(x)
        xp = special.namespace(below)
        return xp.clip(xp.where(below <= above, below, 1.0 - above), 0.0, 1.0)

    def probit(self, x: Any) -> Any:
        """See `Prior.probit`."""
        return special.probit_of_masses(*self._masses(x))

    def log_prob(self, x: Any) -> Any:
        """See `Prior.log_prob`."""
        xp, x = special.floats(x)
        log_density = -xp.log(xp.clip(x, self.lower, self.upper)) - math.log(self._width)
        return xp.where((x < self.lower) | (x > self.upper), -np.inf, log_density)


@dataclass(frozen=True)
class Normal(Prior):
    """The normal distribution.

    Parameters
    ----------
    mean, sigma : in the parameter's unit; sigma > 0.
    """

    mean: float
    sigma: float

    def __post_init__(self) -> None:
        set_numbers(self, "mean", "sigma")
        check_sigma(self)

    @property
    def support(self) -> tuple[float, float]:
        """The whole line."""
        return -math.inf, math.inf

    def from_probit(self, z: Any) -> Any:
        """See `Prior.from_probit`."""
        _, z = special.floats(z)
        return self.mean + self.sigma * z

    def probit(self, x: Any) -> Any:
        """See `Prior.probit`."""
        _, x = special.floats(x)
        return (x - self.mean) / self.sigma

    def transform(self, u: Any) -> Any:
        """See `Prior.transform`."""
        return self.from_probit(special.ndtri(u))

    def inverse(self, x: Any) -> Any:
        """See `Prior.inverse`."""
        return special.ndtr(self.probit(x))

    def log_prob(self, x: Any) -> Any:
        """See `Prior.log_prob`."""
        return log_normal_density(self.probit(x)) - math.log(self.sigma)

    def project(self, samples: Any, log_weight: Any, *, scale: float = 1.0) -> Normal:
        """The normal with the weighted samples' mean and population standard deviation; see `Prior.project`."""
        values, weight = usable_samples(samples, log_weight, self.support, str(self))
        mean, sigma = mean_and_sigma(values, weight)
        sigma = floored_sigma(sigma, mean=mean, parent_sigma=self.sigma, scale=scale, name=str(self))
        return Normal(linked_mean(mean, sigma), sigma)


@dataclass(frozen=True)
class LogNormal(Prior):
    """The distribution of x > 0 whose ln x is normal.

    Parameters
    ----------
    mean, sigma : of ln x; dimensionless; sigma > 0.
    """

    mean: float
    sigma: float

    def __post_init__(self) -> None:
        set_numbers(self, "mean", "sigma")
        check_sigma(self)

    @property
    def support(self) -> tuple[float, float]:
        """The positive half line."""
        return 0.0, math.inf

    def from_probit(self, z: Any) -> Any:
        """See `Prior.from_probit`."""
        xp, z = special.floats(z)
        return xp.clip(xp.exp(xp.clip(self.mean + self.sigma * z, -708.0, 709.0)), _TINY, _HUGE)

    def probit(self, x: Any) -> Any:
        """See `Prior.probit`."""
        xp, x = special.floats(x)
        z = (xp.log(xp.where(x > 0.0, x, 1.0)) - self.mean) / self.sigma
        return xp.where(x > 0.0, z, xp.where(xp.isnan(x), np.nan, -special.LARGEST_Z))

    def transform(self, u: Any) -> Any:
        """See `Prior.transform`."""
        return self.from_probit(special.ndtri(u))

    def inverse(self, x: Any) -> Any:
        """See `Prior.inverse`."""
        return special.ndtr(self.probit(x))

    def log_prob(self, x: Any) -> Any:
        """See `Prior.log_prob`."""
        xp, x = special.floats(x)
        log_x = xp.log(xp.where(x > 0.0, x, 1.0))
        inside = log_normal_density((log_x - self.mean) / self.sigma) - math.log(self.sigma) - log_x
        return xp.where(x > 0.0, inside, xp.where(xp.isnan(x), np.nan, -np.inf))

    def project(self, samples: Any, log_weight: Any, *, scale: float = 1.0) -> LogNormal:
        """The log-normal whose ln x has the weighted samples' mean and population standard deviation; see `Prior.project`."""
        values, weight = usable_samples(samples, log_weight, self.support, str(self))
        z = open_probit(np.asarray(self.probit(values)), values, self.support)
        mean, sigma = mean_and_sigma(self.mean + self.sigma * z, weight)
        sigma = floored_sigma(sigma, mean=mean, parent_sigma=self.sigma, scale=scale, name=str(self))
        return LogNormal(linked_mean(mean, sigma), sigma)
