"""Weighted samples: four arrays and the paths; everything else is derived from them. No file is read or written here.

The digest of a posterior that is kept in memory, `SamplesSummary`, is in `fitcore.summary`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fitcore.errors import NonFiniteLikelihoodError, SpecError
from fitcore.summary import SamplesSummary

if TYPE_CHECKING:
    from fitcore.model import Model

Array = NDArray[np.float64]

LARGEST_WEIGHT = 0.99
"""A sample that holds more than this of all weight leaves no posterior to take quantiles of."""

N_LAST = 100
"""Samples whose extremes stand for an interval while the search has not converged."""

_ARRAYS = ("parameters", "log_likelihood", "log_prior", "log_weight")


def weighted_quantile(x: Any, q: Any, weight: Any = None) -> Array:
    """Quantiles of weighted values, by the rule of the ``corner`` package.

    With the values sorted, value k lies at ``sum_{i<k} w_i / sum_{i<n-1} w_i``; between them the quantile is linear. With equal weights
    this is `numpy.percentile`.

    Parameters
    ----------
    x : values, shape (n,).
    q : where, in [0, 1], any shape.
    weight : not negative, shape (n,); None for equal weights.

    References
    ----------
    Foreman-Mackey (2016), corner.py, JOSS 1(2), 24; function ``corner.quantile``.
    """
    values = np.asarray(x, dtype=np.float64)
    q = np.asarray(q, dtype=np.float64)
    weight = np.ones_like(values) if weight is None else np.asarray(weight, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or weight.shape != values.shape:
        raise SpecError(f"weighted_quantile: values of shape {values.shape} and weights of shape {weight.shape}; both must be (n,), n > 0.")
    if not ((q >= 0.0) & (q <= 1.0)).all():
        raise SpecError(f"weighted_quantile: q is {q!r}; it must lie in [0, 1].")
    order = np.argsort(values, kind="stable")
    below = np.concatenate([[0.0], np.cumsum(weight[order])[:-1]])
    if below[-1] <= 0.0:  # one value, or all weight on the largest
        return np.full(q.shape, values[order[-1]])
    return np.interp(q, below / below[-1], values[order])


def central_interval(sigma: float) -> tuple[float, float]:
    """The quantiles that enclose the central probability of ``sigma`` standard deviations of a normal."""
    tail = 0.5 * math.erfc(sigma / math.sqrt(2.0))
    return tail, 1.0 - tail


@dataclass(frozen=True, eq=False, repr=False)
class Samples:
    """Weighted points of a posterior.

    Parameters
    ----------
    paths : names of the parameters, in order.
    parameters : shape (n, n_dim), in the parameters' units.
    log_likelihood : shape (n,); NaN where unknown.
    log_prior : shape (n,), log density of the prior.
    log_weight : shape (n,), logarithms of the weights up to a constant; -inf for weight zero.
    log_evidence, log_evidence_error : NaN where the search gives none.

    model : the model that was fitted, for those who want instances; not part of the samples' value, and not stored.

    All arrays are kept as read-only copies in float64. Derived quantities may be NaN in some samples; such samples are left out of that
    parameter's statistics only.

    Raises
    ------
    SpecError : when shapes do not fit together, there is no sample, or no weight is above zero.
    """

    paths: tuple[str, ...]
    parameters: Array
    log_likelihood: Array
    log_prior: Array
    log_weight: Array
    log_evidence: float = math.nan
    log_evidence_error: float = math.nan
    model: Model | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "paths", tuple(self.paths))
        for name in _ARRAYS:
            array = np.array(getattr(self, name), dtype=np.float64)
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        for name in ("log_evidence", "log_evidence_error"):
            object.__setattr__(self, name, float(getattr(self, name)))
        self._check()

    def _check(self) -> None:
        shape = self.parameters.shape
        if len(shape) != 2 or shape[0] == 0 or shape[1] != len(self.paths):
            raise SpecError(
                f"Samples: parameters have shape {shape}; it must be (n, {len(self.paths)}) with n > 0, one column for each path."
            )
        if len(set(self.paths)) != len(self.paths):
            raise SpecError(f"Samples: the paths {self.paths} are not distinct; each parameter needs its own.")
        for name in _ARRAYS[1:]:
            if getattr(self, name).shape != (shape[0],):
                raise SpecError(f"Samples: {name} has shape {getattr(self, name).shape}; it must be ({shape[0]},), one for each sample.")
        if np.isnan(self.log_weight).any() or not np.isfinite(self.log_weight.max()):
            raise SpecError("Samples: log_weight must be below +inf, never NaN, and above -inf for one sample at least.")

    def __len__(self) -> int:
        return self.parameters.shape[0]

    @property
    def n_dim(self) -> int:
        """The number of parameters."""
        return len(self.paths)

    @cached_property
    def weight(self) -> Array:
        """Weights that sum to one, shape (n,)."""
        weight = np.exp(self.log_weight - self.log_weight.max())
        weight = weight / weight.sum()
        weight.setflags(write=False)
        return weight

    @property
    def effective_sample_size(self) -> float:
        """Kish's: 1 / sum of squared weights."""
        return float(1.0 / np.sum(self.weight**2))

    @property
    def is_converged(self) -> bool:
        """False while a single sample holds more than 0.99 of all weight: then no quantile means anything."""
        return bool(self.weight.max() <= LARGEST_WEIGHT)

    @property
    def best_index(self) -> int:
        """The sample of the largest log-likelihood; NaN is passed over."""
        if np.isnan(self.log_likelihood).all():
            raise NonFiniteLikelihoodError(f"All {len(self)} log-likelihoods are NaN, so there is no best sample. Check the likelihood.")
        return int(np.nanargmax(self.log_likelihood))

    def max_log_likelihood(self) -> Array:
        """The parameters of the best sample, shape (n_dim,)."""
        return self.parameters[self.best_index].copy()

    def with_model(self, model: Model) -> Samples:
        """The same samples, which know the model they are of.

        Raises
        ------
        SpecError : when the model's parameters are others.
        """
        if model.paths != self.paths:
            raise SpecError(f"The samples have the parameters {list(self.paths)} and the model {list(model.paths)}; they must be the same.")
        return replace(self, model=model)

    def instance(self, index: int) -> Any:
        """The model's instance at one sample; needs `with_model`."""
        if self.model is None:
            raise SpecError("These samples know no model, so they have no instances; call with_model(model) first.")
        return self.model.instance_from_vector(self.parameters[index])

    def quantiles(self, q: Any) -> Array:
        """Weighted quantiles of every parameter, shape (n_dim, len(q)), whether or not the search has converged."""
        points = np.atleast_1d(np.asarray(q, dtype=np.float64))
        return np.array([self._column_quantiles(column, points) for column in self.parameters.T]).reshape(self.n_dim, points.size)

    def _column_quantiles(self, column: Array, points: Array) -> Array:
        known = ~np.isnan(column)
        if not np.any(self.weight[known] > 0.0):
            return np.full(points.shape, np.nan)
        return weighted_quantile(column[known], points, self.weight[known])

    def median_pdf(self) -> Array:
        """The weighted medians, shape (n_dim,); the best sample while not converged."""
        return self.quantiles([0.5])[:, 0] if self.is_converged else self.max_log_likelihood()

    def values_at_sigma(self, sigma: float) -> Array:
        """Lower and upper end of each parameter's central interval, shape (n_dim, 2).

        While not converged these are the extremes of the last 100 samples, whatever ``sigma``.
        """
        if not (math.isfinite(sigma) and sigma > 0.0):
            raise SpecError(f"sigma is {sigma!r}; it must be a finite number above 0.")
        if self.is_converged:
            return self.quantiles(central_interval(sigma))
        last = self.parameters[-N_LAST:]
        return np.stack([np.fmin.reduce(last, axis=0), np.fmax.reduce(last, axis=0)], axis=-1)

    def errors_at_sigma(self, sigma: float) -> Array:
        """Distances of the interval's ends from the median, lower and upper, shape (n_dim, 2); their sum is the interval's width."""
        lower, upper = self.values_at_sigma(sigma).T
        median = self.median_pdf()
        return np.stack([median - lower, upper - median], axis=-1)

    @cached_property
    def _known_weight(self) -> Array:
        """Each parameter's weights, shape (n, n_dim): zero where its value is NaN."""
        return np.where(np.isnan(self.parameters), 0.0, self.weight[:, None])

    def mean(self) -> Array:
        """Weighted means, shape (n_dim,)."""
        known, total = np.nan_to_num(self.parameters, nan=0.0), self._known_weight.sum(axis=0)
        return np.where(total > 0.0, np.sum(self._known_weight * known, axis=0) / np.where(total > 0.0, total, 1.0), np.nan)

    def covariance(self) -> Array:
        """Weighted covariance, shape (n_dim, n_dim), without bias for independent samples: ``numpy.cov(..., aweights=weight)``.

        Each pair of parameters over the samples that know both. Zero where a single sample has all the weight.
        """
        offset = np.nan_to_num(self.parameters - self.mean(), nan=0.0)
        known = (self._known_weight > 0.0).astype(np.float64)
        total = (self._known_weight.T @ known).clip(0.0, 1.0)
        freedom = total - (self._known_weight.T**2 @ known) / np.where(total > 0.0, total, 1.0)
        product = (self._known_weight * offset).T @ offset
        spread = np.where(freedom > 1e-12, product / np.where(freedom > 1e-12, freedom, 1.0), 0.0)
        return np.where(total > 0.0, spread, np.nan)

    def draw(self, n: int, seed: int) -> Array:
        """``n`` parameter vectors of equal weight, drawn with replacement, shape (n, n_dim); the same for the same seed."""
        if n < 0:
            raise SpecError(f"draw: n is {n!r}; it must not be negative.")
        return self.parameters[np.random.default_rng(seed).choice(len(self), size=n, p=self.weight)]

    def column(self, path: str) -> Array:
        """The values of one parameter, shape (n,)."""
        if path not in self.paths:
            raise SpecError(f"The samples have no parameter {path!r}; they have {', '.join(self.paths)}.")
        return self.parameters[:, self.paths.index(path)]

    def summary(self, *, n_calls: int = 0, diagnostics: Mapping[str, float | int | str | bool] | None = None) -> SamplesSummary:
        """The few numbers that stay in memory when the samples do not.

        Parameters
        ----------
        n_calls : likelihood calls that the samples cost.
        diagnostics : of the search, kept as they are.
        """
        best = self.best_index
        one, three = self.values_at_sigma(1.0), self.values_at_sigma(3.0)
        return SamplesSummary(
            paths=self.paths,
            best=tuple(self.parameters[best].tolist()),
            log_likelihood=float(self.log_likelihood[best]),
            log_prior=float(self.log_prior[best]),
            median=tuple(self.median_pdf().tolist()),
            mean=tuple(self.mean().tolist()),
            lower_1_sigma=tuple(one[:, 0].tolist()),
            upper_1_sigma=tuple(one[:, 1].tolist()),
            lower_3_sigma=tuple(three[:, 0].tolist()),
            upper_3_sigma=tuple(three[:, 1].tolist()),
            log_evidence=self.log_evidence,
            log_evidence_error=self.log_evidence_error,
            effective_sample_size=self.effective_sample_size,
            is_converged=self.is_converged,
            n_samples=len(self),
            n_calls=n_calls,
            diagnostics=dict(diagnostics or {}),
        )

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """All there is, by name, as arrays that any file format holds; the paths as UTF-8 bytes."""
        paths = np.array([path.encode() for path in self.paths], dtype=np.bytes_)
        evidence = {name: np.asarray(getattr(self, name)) for name in ("log_evidence", "log_evidence_error")}
        return {"paths": paths, **{name: getattr(self, name) for name in _ARRAYS}, **evidence}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Samples:
        """The samples that `to_arrays` gave."""
        missing = [name for name in ("paths", *_ARRAYS, "log_evidence", "log_evidence_error") if name not in arrays]
        if missing:
            raise SpecError(f"Samples.from_arrays lacks {', '.join(missing)}; it needs all that to_arrays() gives.")
        return cls(
            paths=_decoded(arrays["paths"]),
            **{name: np.asarray(arrays[name]) for name in _ARRAYS},
            log_evidence=float(arrays["log_evidence"]),
            log_evidence_error=float(arrays["log_evidence_error"]),
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Samples):
            return NotImplemented
        mine, theirs = self.to_arrays(), other.to_arrays()
        names = (*_ARRAYS, "log_evidence", "log_evidence_error")
        return self.paths == other.paths and all(np.array_equal(mine[name], theirs[name], equal_nan=True) for name in names)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self)} samples of {self.n_dim} parameters, effective sample size {self.effective_sample_size:.0f}>"


def _decoded(paths: Sequence[Any]) -> tuple[str, ...]:
    return tuple(path.decode() if isinstance(path, bytes) else str(path) for path in np.asarray(paths).tolist())
