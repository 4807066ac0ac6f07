"""The normal distribution between two limits, precise in both tails and however far out the limits are.

Values are measured by their distance from the nearer limit, masses by integrals relative to the density's height at the mode
(`fitcore.model.special`); the solve for given moments is in `fitcore.model.moments`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fitcore.errors import LinkError, PriorError
from fitcore.identity import round_linked
from fitcore.model import special
from fitcore.model.moments import floored_sigma, linked_mean, mean_and_sigma, truncated_parents, usable_samples
from fitcore.model.prior import Prior, check_limits, check_sigma, set_numbers

FARTHEST = 1e100
"""Standard deviations of the parent by which its mean may lie outside the limits."""


@dataclass(frozen=True)
class _Side:
    """One limit, seen from itself inwards: all that masses and distances need.

    ``start`` is the limit in x, ``sign`` the direction inwards, ``a`` the limit in standard units (mirrored for the upper one) and ``c``
    the distance from it to the mode. A limit so far out that the density there is below exp(-800) of its peak is moved in to that point:
    what lies beyond has no mass that a double can hold.
    """

    start: float
    sign: float
    a: float
    c: float


@dataclass(frozen=True)
class TruncatedNormal(Prior):
    """A normal distribution cut off below and above, both limits included.

    Parameters
    ----------
    mean, sigma : of the normal before it is cut off, in the parameter's unit; sigma > 0; the mean may lie outside the limits.
    lower, upper : the limits; -inf and inf are allowed.
    """

    mean: float
    sigma: float
    lower: float
    upper: float

    def __post_init__(self) -> None:
        set_numbers(self, "mean", "sigma", "lower", "upper", infinite=("lower", "upper"))
        check_sigma(self)
        check_limits(self)
        if not abs(self._mode - self.mean) / self.sigma < FARTHEST:
            raise PriorError(
                f"TruncatedNormal: the mean {self.mean!r} is more than {FARTHEST:g} sigma outside [{self.lower!r}, {self.upper!r}], which "
                "leaves one value. Bring it nearer, or give one number to fix the parameter."
            )

    @property
    def support(self) -> tuple[float, float]:
        """The limits."""
        return self.lower, self.upper

    @cached_property
    def _sides(self) -> tuple[_Side, _Side]:
        mode = (self._mode - self.mean) / self.sigma
        extent = 1600.0 / (math.sqrt(mode * mode + 1600.0) + abs(mode))
        low = min((self._mode - self.lower) / self.sigma, extent)
        high = min((self.upper - self._mode) / self.sigma, extent)
        start = self.lower if low < extent else self._mode - self.sigma * extent
        end = self.upper if high < extent else self._mode + self.sigma * extent
        return _Side(start, 1.0, mode - low, low), _Side(end, -1.0, -mode - high, high)

    @cached_property
    def _log_total(self) -> float:
        """ln of the mass between the limits, relative to the height at the mode."""
        low, high = self._sides
        return float(special.log_mass(low.c + high.c, low.a, low.c))

    @cached_property
    def _mode(self) -> float:
        return min(max(self.mean, self.lower), self.upper)

    def _mass(self, side: _Side, x: Any) -> Any:
        """The probability between ``side`` and ``x``; 0 beyond it."""
        xp, x = special.floats(x)
        d = side.sign * (x - side.start) / self.sigma
        log_mass = special.log_mass(xp.where(d > 0.0, d, 1.0), side.a, side.c) - self._log_total
        return xp.where(d > 0.0, xp.exp(xp.minimum(log_mass, 0.0)), xp.where(xp.isnan(d), np.nan, 0.0))

    def from_probit(self, z: Any) -> Any:
        """See `Prior.from_probit`."""
        xp, z = special.floats(z)
        low, high = self._sides
        is_low = z <= 0.0
        away = xp.maximum(xp.where(is_low, z, -z), -special.LARGEST_Z)
        a, c = xp.where(is_low, low.a, high.a), xp.where(is_low, low.c, high.c)
        step = self.sigma * special.distance(special.log_ndtr(away) + self._log_total, a, c)
        return xp.clip(xp.where(is_low, low.start + step, high.start - step), self.lower, self.upper)

    def probit(self, x: Any) -> Any:
        """See `Prior.probit`."""
        low, high = self._sides
        return special.probit_of_masses(self._mass(low, x), self._mass(high, x))

    def transform(self, u: Any) -> Any:
        """See `Prior.transform`."""
        return self.from_probit(special.ndtri(u))

    def inverse(self, x: Any) -> Any:
        """See `Prior.inverse`."""
        return special.ndtr(self.probit(x))

    def log_prob(self, x: Any) -> Any:
        """See `Prior.log_prob`."""
        xp, x = special.floats(x)
        from_mode = xp.clip((x - self._mode) / self.sigma, -1e150, 1e150)
        offset = (self._mode - self.mean) / self.sigma
        log_density = -from_mode * (0.5 * from_mode + offset) - self._log_total - math.log(self.sigma)
        return xp.where((x < self.lower) | (x > self.upper), -np.inf, log_density)

    def project(self, samples: Any, log_weight: Any, *, scale: float = 1.0) -> TruncatedNormal:
        """The normal between the same limits that has the weighted samples' mean and standard deviation *there*.

        The parent's mean and sigma are solved for; see `fitcore.model.moments.truncated_parents` for where truncation is negligible and
        where no solution exists. See `Prior.project` for the parameters.
        """
        values, weight = usable_samples(samples, log_weight, self.support, str(self))
        mean, sigma = mean_and_sigma(values, weight)
        wide = min(self.sigma, self.upper - self.lower)
        sigma = floored_sigma(sigma, mean=mean, parent_sigma=wide, scale=scale, name=str(self))
        parent_mean, parent_sigma = truncated_parents(self._inside(mean, sigma), sigma, self.lower, self.upper)
        if not (math.isfinite(parent_mean) and math.isfinite(parent_sigma) and parent_sigma > 0.0):
            raise LinkError(f"{self}: no truncated normal has mean {mean!r} and sigma {sigma!r} between its limits; lower the scale.")
        parent_sigma = round_linked(parent_sigma)
        return TruncatedNormal(linked_mean(parent_mean, parent_sigma), parent_sigma, self.lower, self.upper)

    def _inside(self, mean: float, sigma: float) -> float:
        """``mean`` off the limits, for samples that all lie on one."""
        step = 1e-3 * min(sigma, self.upper - self.lower)
        return min(max(mean, self.lower + step), self.upper - step)
