"""`Mixture`: the density that importance searches draw from. How it is adapted to a posterior is in `adaptation`.

In probit space, where every prior is N(0, 1), the density is

    q(z) = eps N(z; 0, 1) + eta sum_k a_k t(z; m_k, 2.5^2 C_k, nu=3) + (1 - eps - eta) sum_k a_k t(z; m_k, s^2 C_k, nu=5):

the prior itself, so that no weight exceeds the likelihood over eps; wide components, so that a posterior which has moved is found; and the
core. Where the posterior is curved, the components live in coordinates straightened by a `Bending` of constant Jacobian.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import gammaln

from fitcore.errors import LinkError, SpecError
from fitcore.search.base import Array, weights_from
from fitcore.search.bending import Bending, fit_bending, fit_triangle
from fitcore.search.gaussians import LOG_2PI, Components, fit_gaussians, mahalanobis_squared
from fitcore.search.streams import stream

WEIGHT_FLOOR = 0.02
LOW_DIMENSION = 3


def _check_shapes(weight: Array, mean: Array, covariance: Array) -> None:
    k, d = mean.shape if mean.ndim == 2 else (0, 0)
    if k == 0 or weight.shape != (k,) or covariance.shape != (k, d, d):
        raise SpecError(
            f"A mixture needs weight (k,), mean (k, d) and covariance (k, d, d); the shapes are {weight.shape}, {mean.shape} and "
            f"{covariance.shape}."
        )
    if not (np.all(weight > 0) and abs(weight.sum() - 1.0) < 1e-9):
        raise SpecError(f"The weights of a mixture are {weight.tolist()}; they must be positive and sum to one.")


def _check_shares(prior_weight: float, wide_weight: float) -> None:
    if not (0.0 < prior_weight < 1.0 and 0.0 < wide_weight < 1.0 - prior_weight):
        raise SpecError(f"prior_weight is {prior_weight!r} and wide_weight {wide_weight!r}; both must be above 0 and sum to less than 1.")


def _checked_columns(columns: tuple[int, ...] | None, d: int) -> tuple[int, ...]:
    found = tuple(range(d)) if columns is None else tuple(int(c) for c in columns)
    if not found or len(set(found)) != len(found) or not all(0 <= c < d for c in found):
        raise SpecError(f"columns is {found}; it must name one or more of the dimensions 0 to {d - 1}, each once.")
    return found


def _log_t(distance: Array, log_volume: float, d: int, dof: float, scale: float) -> Array:
    """Log density of a multivariate t in ``d`` dimensions, from squared Mahalanobis distances and the log volume of the factor."""
    constant = gammaln(0.5 * (dof + d)) - gammaln(0.5 * dof) - 0.5 * d * np.log(dof * np.pi) - d * np.log(scale) - log_volume
    return constant - 0.5 * (dof + d) * np.log1p(distance / (dof * scale**2))


@dataclass(frozen=True, kw_only=True, eq=False)
class Mixture:
    """Prior, wide t and core t components in probit space.

    Parameters
    ----------
    weight : of the components, shape (k,), summing to one.
    mean : shape (k, n_dim), in the straight coordinates of ``bending``.
    covariance : shape (k, n_dim, n_dim), symmetric positive definite, in straight coordinates too.
    bending : map between probit space and straight coordinates; None is the identity.
    columns : dimensions in which the components are t; in the others they are N(0, 1), independent. None means all.
    core_scale : factor on the standard deviations of the core components.
    prior_weight, wide_weight : eps and eta.

    Raises
    ------
    SpecError
        for shapes that do not fit, weights outside their range, or a covariance that is not positive definite.
    """

    weight: Array
    mean: Array
    covariance: Array
    bending: Bending = field(default=None)  # type: ignore[assignment]  # replaced by the identity
    columns: tuple[int, ...] | None = None
    core_scale: float = 1.15
    core_dof: float = 5.0
    wide_scale: float = 2.5
    wide_dof: float = 3.0
    prior_weight: float = 0.03
    wide_weight: float = 0.08

    def __post_init__(self) -> None:
        for name in ("weight", "mean", "covariance"):
            object.__setattr__(self, name, np.array(getattr(self, name), dtype=np.float64))
        _check_shapes(self.weight, self.mean, self.covariance)
        _check_shares(self.prior_weight, self.wide_weight)
        if self.bending is None:
            object.__setattr__(self, "bending", Bending.none(self.n_dim))
        object.__setattr__(self, "columns", _checked_columns(self.columns, self.n_dim))
        _ = self._factors

    @cached_property
    def _columns(self) -> list[int]:
        assert self.columns is not None
        return list(self.columns)

    @cached_property
    def _rest(self) -> list[int]:
        return [i for i in range(self.n_dim) if i not in self._columns]

    @cached_property
    def _factors(self) -> Array:
        blocks = self.covariance[:, self._columns][:, :, self._columns]
        try:
            return np.asarray(np.linalg.cholesky(0.5 * (blocks + np.swapaxes(blocks, 1, 2))), dtype=np.float64)
        except np.linalg.LinAlgError:
            smallest = [float(np.linalg.eigvalsh(block)[0]) for block in blocks]
            raise SpecError(
                f"A covariance of the mixture is not positive definite: smallest eigenvalues {smallest}; all must be above 0."
            ) from None

    @property
    def n_dim(self) -> int:
        """Number of dimensions."""
        return self.mean.shape[1]

    @property
    def components(self) -> Components:
        """The bare components, without prior and wings."""
        return Components(weight=self.weight, mean=self.mean, covariance=self.covariance)

    @classmethod
    def fit(cls, z: Array, log_weight: Array, *, scale: float = 1.0, k_max: int | None = None) -> Mixture:
        """The mixture of a weighted posterior.

        Parameters
        ----------
        z : points in probit space, shape (n, d), finite.
        log_weight : shape (n,); -inf drops the point.
        scale : factor on the components' standard deviations.
        k_max : largest number of components; None means 12 in up to three dimensions, 8 otherwise.

        Raises
        ------
        LinkError
            when fewer than two points carry weight.
        """
        z, weight = _weighty(np.asarray(z, dtype=np.float64), np.asarray(log_weight, dtype=np.float64))
        return _fitted(z, weight, scale, k_max or (12 if z.shape[1] <= LOW_DIMENSION else 8))

    @classmethod
    def of(cls, components: Components, **settings: Any) -> Mixture:
        """The mixture of some components, none with a weight below 0.02."""
        weight = np.maximum(components.weight / components.weight.sum(), WEIGHT_FLOOR)
        return cls(weight=weight / weight.sum(), mean=components.mean, covariance=components.covariance, **settings)

    def embed(self, columns: Sequence[int], n_dim: int) -> Mixture:
        """The mixture for a model with other parameters too.

        Parameters
        ----------
        columns : where each of this mixture's dimensions lies in the new model.
        n_dim : number of dimensions of the new model; those not in ``columns`` get their prior, N(0, 1), independent of the rest.

        Raises
        ------
        LinkError
            when ``columns`` does not name ``n_dim``-many places at most, each once.
        """
        places = [int(c) for c in columns]
        if len(places) != self.n_dim or len(set(places)) != len(places) or min(places) < 0 or max(places) >= n_dim:
            raise LinkError(
                f"columns is {places} for {self.n_dim} dimensions of {n_dim}; give one place from 0 to {n_dim - 1} for each, all different."
            )
        mean = np.zeros((len(self.weight), n_dim))
        mean[:, places] = self.mean
        covariance = np.tile(np.eye(n_dim), (len(self.weight), 1, 1))
        covariance[np.ix_(range(len(self.weight)), places, places)] = self.covariance
        columns_there = tuple(places[c] for c in self._columns)
        return replace(self, mean=mean, covariance=covariance, bending=self.bending.embed(places, n_dim), columns=columns_there)

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """``n`` independent points, shape (n, n_dim)."""
        k = len(self.weight)
        eps, eta = self.prior_weight, self.wide_weight
        probability = np.concatenate([[eps], eta * self.weight, (1.0 - eps - eta) * self.weight])
        choice = rng.choice(2 * k + 1, size=n, p=probability / probability.sum())
        normal = rng.standard_normal((n, self.n_dim))
        dof = np.where(choice <= k, self.wide_dof, self.core_dof)
        scale = np.where(choice <= k, self.wide_scale, self.core_scale) / np.sqrt(rng.chisquare(dof) / dof)
        z = normal.copy()
        for j in range(k):
            mine = np.flatnonzero((choice == 1 + j) | (choice == 1 + k + j))
            block = normal[mine][:, self._columns] @ self._factors[j].T
            z[mine[:, None], np.array(self._columns)] = self.mean[j, self._columns] + scale[mine, None] * block
        from_components = choice > 0
        z[from_components] = self.bending.bent(z[from_components])
        return z

    def component_log_prob(self, z: Array) -> Array:
        """Log densities of the components, core and wide part together, weighted; shape (k, n)."""
        z = self.bending.straighten(z)
        eps, eta, d = self.prior_weight, self.wide_weight, len(self._columns)
        rest = -0.5 * np.sum(z[:, self._rest] ** 2, axis=1) - 0.5 * len(self._rest) * LOG_2PI
        rows = np.empty((len(self.weight), len(z)))
        for j, factor in enumerate(self._factors):
            distance = mahalanobis_squared(z[:, self._columns], self.mean[j, self._columns], factor)
            log_volume = float(np.log(np.diag(factor)).sum())
            core = np.log(1.0 - eps - eta) + _log_t(distance, log_volume, d, self.core_dof, self.core_scale)
            wide = np.log(eta) + _log_t(distance, log_volume, d, self.wide_dof, self.wide_scale)
            rows[j] = np.log(self.weight[j]) + np.logaddexp(core, wide) + rest - self.bending.log_volume
        return rows

    def log_prob(self, z: Array) -> Array:
        """Log density at ``z`` of shape (n, n_dim); shape (n,)."""
        z = np.asarray(z, dtype=np.float64)
        prior = np.log(self.prior_weight) - 0.5 * np.sum(z * z, axis=1) - 0.5 * self.n_dim * LOG_2PI
        return np.logaddexp.reduce(np.vstack([prior[None], self.component_log_prob(z)]), axis=0)

    def to_arrays(self) -> dict[str, Any]:
        """Arrays and numbers that `from_arrays` makes the same mixture of."""
        numbers = {name: float(getattr(self, name)) for name in _NUMBERS}
        bending = {f"bending_{name}": array for name, array in self.bending.to_arrays().items()}
        return {
            "weight": self.weight,
            "mean": self.mean,
            "covariance": self.covariance,
            "columns": np.array(self._columns),
            **bending,
            **numbers,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Mixture:
        """The mixture that `to_arrays` was asked of, bit for bit."""
        return cls(
            weight=arrays["weight"],
            mean=arrays["mean"],
            covariance=arrays["covariance"],
            bending=Bending(**{name: np.asarray(arrays[f"bending_{name}"]) for name in Bending.none(1).to_arrays()}),
            columns=tuple(int(c) for c in arrays["columns"]),
            **{name: float(arrays[name]) for name in _NUMBERS},
        )

    def identity(self) -> dict[str, Any]:
        """What the digest is made of."""
        return {"kind": "mixture", **self.to_arrays()}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mixture) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @cached_property
    def _key(self) -> str:
        parts = hashlib.sha256()
        for name, value in self.to_arrays().items():
            parts.update(name.encode() + str(np.shape(value)).encode() + np.ascontiguousarray(value).tobytes())
        return parts.hexdigest()


def _weighty(z: Array, log_weight: Array) -> tuple[Array, Array]:
    """The finite points that carry weight, and weights that sum to one."""
    keep = np.isfinite(log_weight) & np.all(np.isfinite(z), axis=1)
    if len(np.unique(z[keep], axis=0)) < 2:
        raise LinkError(
            f"{int(keep.sum())} of {len(z)} samples carry weight; a mixture needs at least two different ones. "
            "Start the search without a proposal."
        )
    return z[keep], weights_from(log_weight[keep])


def _fitted(z: Array, weight: Array, scale: float, k_max: int) -> Mixture:
    """The better of a straight and a bent mixture, by Akaike's criterion."""
    n, d = 1.0 / float(np.sum(weight * weight)), z.shape[1]
    straight = Bending.none(d)
    best, best_score = None, -np.inf
    for bending in (straight, fit_bending(z, weight), fit_triangle(z, weight)):
        if best is not None and not len(bending):
            continue
        found = fit_gaussians(bending.straighten(z), weight, k_max=k_max, rng=stream(0, "mixture.fit"))
        stretched = Components(weight=found.weight, mean=found.mean, covariance=found.covariance * scale**2)
        plain = Mixture.of(found, bending=bending)
        score = n * float(weight @ plain.log_prob(z)) - len(found) * (1 + d + d * (d + 1) / 2) - bending.n_parameters
        if score > best_score:
            best, best_score = Mixture.of(stretched, bending=bending), score
    assert best is not None
    return best


_NUMBERS = ("core_scale", "core_dof", "wide_scale", "wide_dof", "prior_weight", "wide_weight")
