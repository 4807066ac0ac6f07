"""Mass profiles: deflection, convergence, potential. Pure functions of position and parameters; conventions of the package.

beta = theta - alpha(theta), kappa = div(alpha) / 2. `PowerLaw` and `Isothermal` follow Tessore & Metcalf 2015 (A&A 580, A79), rewritten in
the complex ellipticity so that no angle appears:
alpha = theta_E sqrt(1 - |eps|^2) (theta_E / R)^(t - 1) v F(1, t/2; 2 - t/2; -conj(eps) v^2)
with t = slope - 1 and v the unit vector of w = z - eps conj(z). The integrals of `NFW`, `CoredPowerLaw` and `GaussianMass` are in
`homoeoid`.
"""

from __future__ import annotations

import math
from typing import Any

from fitcore import backend as _backend  # isort: skip

import jax
import numpy as np

from fitcore.model import Leaf, component, leaf
from pipelines.lens import homoeoid
from pipelines.lens.geometry import array_module, ellipse_vector, elliptical_radius
from pipelines.lens.nfw import nfw_convergence, nfw_deflection, nfw_potential

del _backend

SOFTENING_SQUARED = 1e-30
SERIES_TOLERANCE = 1e-13
DEFAULT_TERMS = 150
"""Enough for 1e-12 down to q = 0.1, where the ratio of the series is 0.82; used where the ellipticity is not known in advance."""
MOST_TERMS = 4000
UNROLLED = 48


def terms_needed(largest_ellipticity: float, tolerance: float = SERIES_TOLERANCE) -> int:
    """Terms of the series for a relative error of ``tolerance``, given an upper limit of |eps| = (1-q)/(1+q)."""
    if largest_ellipticity <= 0.0:
        return 1
    return max(1, min(MOST_TERMS, math.ceil(math.log(tolerance) / math.log(min(largest_ellipticity, 0.9999)))))


def _angular_series(v_x: Any, v_y: Any, parameters: tuple[Any, Any, Any], n_terms: int | None) -> tuple[Any, Any]:
    """v F(1, t/2; 2 - t/2; s) with s = -conj(eps) v^2; the ratio of coefficient n to the one before is (2n - 2 + t) / (2n + 2 - t).

    The coefficients are real, so the sum is its remainder on division by (z - s)(z - conj(s)) = z^2 - 2 Re(s) z + |s|^2 (Knuth, The Art of
    Computer Programming 2, 4.6.4): two real products a term, a third of Horner's rule for complex numbers; and |s| = |eps|, since |v| = 1.
    """
    t, e_1, e_2 = parameters
    xp = array_module(v_x, t, e_1, e_2)
    if n_terms is None:
        n_terms = DEFAULT_TERMS if xp is not np else terms_needed(float(np.max(np.hypot(e_1, e_2))))
    square_x, square_y = v_x * v_x - v_y * v_y, 2.0 * v_x * v_y
    s_x = -(e_1 * square_x + e_2 * square_y)
    s_y = -(e_1 * square_y - e_2 * square_x)
    twice, norm = 2.0 * s_x, e_1 * e_1 + e_2 * e_2

    def step(pair: tuple[Any, Any], coefficient: Any) -> tuple[Any, Any]:
        return coefficient + twice * pair[0] - norm * pair[1], pair[0]

    pair = (xp.zeros_like(s_x), xp.zeros_like(s_x))
    if xp is np or n_terms <= UNROLLED:
        coefficients = [1.0]
        for n in range(1, n_terms + 1):
            coefficients.append(coefficients[-1] * (2.0 * n - 2.0 + t) / (2.0 * n + 2.0 - t))
        for coefficient in coefficients[:0:-1]:
            pair = step(pair, coefficient)
    else:
        counts = xp.arange(1, n_terms + 1, dtype=s_x.dtype)
        falling = xp.cumprod((2.0 * counts - 2.0 + t) / (2.0 * counts + 2.0 - t))[::-1]
        pair, _ = jax.lax.scan(lambda carry, coefficient: (step(carry, coefficient), None), pair, falling)
    total_x, total_y = 1.0 - norm * pair[1] + s_x * pair[0], s_y * pair[0]
    return v_x * total_x - v_y * total_y, v_x * total_y + v_y * total_x


def power_law_deflection(
    x: Any, y: Any, *, ellipticity_1: Any, ellipticity_2: Any, einstein_radius: Any, slope: Any, n_terms: int | None = None
) -> tuple[Any, Any]:
    """Deflection at offsets ``x``, ``y`` from the center, arcsec, any one shape.

    Parameters
    ----------
    n_terms : terms of the series; None takes what float64 needs for NumPy, and 150 under JAX. `terms_needed` tells for a known limit.
    """
    xp = array_module(x, y, ellipticity_1, ellipticity_2, einstein_radius, slope)
    x, y = xp.asarray(x, dtype=xp.float64), xp.asarray(y, dtype=xp.float64)
    t = slope - 1.0
    w_x, w_y = ellipse_vector(x, y, ellipticity_1, ellipticity_2)
    size = xp.sqrt(w_x * w_x + w_y * w_y + SOFTENING_SQUARED)
    flattening = xp.sqrt(1.0 - ellipticity_1**2 - ellipticity_2**2)
    inverse = 1.0 / size
    o_x, o_y = _angular_series(w_x * inverse, w_y * inverse, (t, ellipticity_1, ellipticity_2), n_terms)
    # two powers and no quotient: a radius of zero gives zero for every slope
    scale = (einstein_radius * flattening) ** t * size ** (1.0 - t)
    return scale * o_x, scale * o_y


@component
class PowerLaw:
    """Elliptical power law: kappa = (3 - slope)/2 (einstein_radius / R)^(slope - 1), R = sqrt(q x'^2 + y'^2 / q).

    Lengths in arcsec; ``einstein_radius`` is on the intermediate axis; ``ellipticity`` = (1-q)/(1+q) (cos 2 phi, sin 2 phi).
    """

    center_x: Leaf
    center_y: Leaf
    ellipticity_1: Leaf = leaf(lower=-1.0, upper=1.0, open_lower=True, open_upper=True)
    ellipticity_2: Leaf = leaf(lower=-1.0, upper=1.0, open_lower=True, open_upper=True)
    einstein_radius: Leaf = leaf(lower=0.0)
    slope: Leaf = leaf(lower=1.0, upper=3.0, open_lower=True, open_upper=True)

    def deflection(self, x: Any, y: Any, n_terms: int | None = None) -> tuple[Any, Any]:
        """(alpha_x, alpha_y) at positions in arcsec; shapes of ``x``."""
        return power_law_deflection(
            x - self.center_x,
            y - self.center_y,
            ellipticity_1=self.ellipticity_1,
            ellipticity_2=self.ellipticity_2,
            einstein_radius=self.einstein_radius,
            slope=self.slope,
            n_terms=n_terms,
        )

    def convergence(self, x: Any, y: Any) -> Any:
        """kappa at positions in arcsec."""
        radius = elliptical_radius(x - self.center_x, y - self.center_y, self.ellipticity_1, self.ellipticity_2)
        return 0.5 * (3.0 - self.slope) * (self.einstein_radius / radius) ** (self.slope - 1.0)

    def potential(self, x: Any, y: Any) -> Any:
        """psi in arcsec^2, zero at the center: homogeneous of degree 3 - slope, so psi = r . alpha / (3 - slope)."""
        alpha_x, alpha_y = self.deflection(x, y)
        return ((x - self.center_x) * alpha_x + (y - self.center_y) * alpha_y) / (3.0 - self.slope)


@component
class Isothermal:
    """Singular isothermal ellipsoid (Kormann, Schneider & Bartelmann 1994): the power law of slope 2."""

    center_x: Leaf
    center_y: Leaf
    ellipticity_1: Leaf = leaf(lower=-1.0, upper=1.0, open_lower=True, open_upper=True)
    ellipticity_2: Leaf = leaf(lower=-1.0, upper=1.0, open_lower=True, open_upper=True)
    einstein_radius: Leaf = leaf(lower=0.0)

    def _power_law(self) -> PowerLaw:
        return PowerLaw(
            center_x=self.center_x,
            center_y=self.center_y,
            ellipticity_1=self.ellipticity_1,
            ellipticity_2=self.ellipticity_2,
            einstein_radius=self.einstein_radius,
            slope=2.0,
        )

    def deflection(self, x: Any, y: Any, n_terms: int | None = None) -> tuple[Any, Any]:
        """(alpha_x, alpha_y) at positions in arcsec; shapes of ``x``."""
        return self._power_law().deflection(x, y, n_terms)

    def convergence(self, x: Any, y: Any) -> Any:
        """kappa at positions in arcsec."""
        return self._power_law().convergence(x, y)

    def potential(self, x: Any, y: Any) -> Any:
        """psi in arcsec^2, zero at the center."""
        return self._power_law().potential(x, y)


@component
class Shear:
    """External shear: alpha = (gamma_1 x + gamma_2 y, gamma_2 x - gamma_1 y), about the origin."""

    gamma_1: Leaf
    gamma_2: Leaf

    def deflection(self, x: Any, y: Any) -> tuple[Any, Any]:
        """(alpha_x, alpha_y) at positions in arcsec."""
        return self.gamma_1 * x + self.gamma_2 * y, self.gamma_2 * x - self.gamma_1 * y

    def convergence(self, x: Any, y: Any) -> Any:
        """Zero everywhere, in the shape of ``x``."""
        return 0.0 * (x + y)

    def potential(self, x: Any, y: Any) -> Any:
        """psi in arcsec^2, zero at the origin."""
        return 0.5 * self.gamma_1 * (x * x - y * y) + self.gamma_2 * x * y


@component
class Sheet:
    """Uniform sheet of mass with convergence ``convergence_0``; deflection is zero at its center."""

    center_x: Leaf
    center_y: Leaf
    convergence_0: Leaf

    def deflection(self, x: Any, y: Any) -> tuple[Any, Any]:
        """(alpha_x, alpha_y) at positions in arcsec."""
        return self.convergence_0 * (x - self.center_x), self.convergence_0 * (y - self.center_y)

    def convergence(self, x: Any, y: Any) -> Any:
        """The same everywhere, in the shape of ``x``."""
        return self.convergence_0 + 0.0 * (x + y)

    def potential(self, x: Any, y: Any) -> Any:
        """psi in arcsec^2, zero at the center."""
        return 0.5 * self.convergence_0 * ((x - self.center_x) ** 2 + (y - self.center_y) ** 2)


@component
class NFW:
    """Elliptical NFW halo (Navarro, Frenk & White 1997): the ellipse is in the convergence; ``scale_radius`` in arcsec on the major axis.

    ``kappa_s`` is scale density times scale radius over the critical surface density.
    """

    center_x: Leaf
    center_y: Leaf
    ellipticity_1: Leaf = leaf(lower=-1.0, upper=1.0, open_lower=True, open_upper=True)
    ellipticity_2: Leaf = leaf(lower=-1.0, upper=1.0, open_lower=True, open_upper=True)
    kappa_s: Leaf = leaf(lower=0.0)
    scale_radius: Leaf = leaf(lower=0.0, open_lower=True)

    def _shape(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("ellipticity_1", "ellipticity_2", "kappa_s", "scale_radius")}

    def deflection(self, x: Any, y: Any) -> tuple[Any, Any]:
        """(alpha_x, alpha_y) at positions in arcsec; shapes of ``x``."""
        return nfw_deflection(x - self.center_x, y - self.center_y, **self._shape())

    def convergence(self, x: Any, y: Any) -> Any:
        """kappa at positions in arcsec."""
        return nfw_convergence(x - self.center_x, y - self.center_y, **self._shape())

    def potential(self, x: Any, y: Any) -> Any:
        """psi in arcsec^2, zero at the center."""
        return nfw_potential(x - self.center_x, y - self.center_y, **self._shape())


class _Smooth:
    """Deflection, convergence and potential of a mass whose `_profile` is known, by `homoeoid`. No fields: those are the component's."""

    def _profile(self) -> homoeoid.Profile:
        raise NotImplementedError

    def _offsets(self, x: Any, y: Any) -> tuple[Any, ...]:
        own: Any = self
        fields = [getattr(own, name) for name in own.__dataclass_fields__ if not name.startswith(("center", "ellipticity"))]
        return (self._profile(), x - own.center_x, y - own.center_y, own.ellipticity_1, own.ellipticity_2, *fields)

    def deflection(self, x: Any, y: Any) -> tuple[Any, Any]:
        """(alpha_x, alpha_y) at positions in arcsec; shapes of ``x``."""
        return homoeoid.deflection(*self._offsets(x, y))

    def convergence(self, x: Any, y: Any) -> Any:
        """kappa at positions in arcsec."""
        return homoeoid.convergence(*self._offsets(x, y)[:5])

    def potential(self, x: Any, y: Any) -> Any:
        """psi in arcsec^2, zero at the center."""
        return homoeoid.potential(*self._offsets(x, y))

    def second_derivatives(self, x: Any, y: Any) -> tuple[Any, Any, Any]:
        """psi_xx, psi_xy and psi_yy at positions in arcsec."""
        return homoeoid.second_derivatives(*self._offsets(x, y))


@component
class CoredPowerLaw(_Smooth):
    """Power law with a core: kappa = (3 - slope)/2 (einstein_radius^2 / (R^2 + core_radius^2))^((slope - 1)/2), R as for `PowerLaw`.

    Lengths in arcsec, on the intermediate axis; ``einstein_radius`` is that of the power law which it is without the core.
    """

    center_x: Leaf
    center_y: Leaf
    ellipticity_1: Leaf = leaf(lower=-1.0, upper=1.0, open_lower=True, open_upper=True)
    ellipticity_2: Leaf = leaf(lower=-1.0, upper=1.0, open_lower=True, open_upper=True)
    einstein_radius: Leaf = leaf(lower=0.0)
    slope: Leaf = leaf(lower=1.0, upper=3.0, open_lower=True, open_upper=True)
    core_radius: Leaf = leaf(lower=0.0, open_lower=True)

    def _profile(self) -> homoeoid.Profile:
        return homoeoid.cored_profile(self.einstein_radius, self.slope, self.core_radius, self.ellipticity_1, self.ellipticity_2)


@component
class GaussianMass(_Smooth):
    """Mass with the convergence convergence_0 exp(-R^2 / (2 sigma^2)), sigma in arcsec on the intermediate axis, as `light.Gaussian`."""

    center_x: Leaf
    center_y: Leaf
    ellipticity_1: Leaf = leaf(lower=-1.0, upper=1.0, open_lower=True, open_upper=True)
    ellipticity_2: Leaf = leaf(lower=-1.0, upper=1.0, open_lower=True, open_upper=True)
    convergence_0: Leaf
    sigma: Leaf = leaf(lower=0.0, open_lower=True)

    def _profile(self) -> homoeoid.Profile:
        return homoeoid.gaussian_profile(self.convergence_0, self.sigma, self.ellipticity_1, self.ellipticity_2)
