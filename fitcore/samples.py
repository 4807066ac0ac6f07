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

from fitcore import handover
from fitcore.errors import NonFiniteLikelihoodError, SpecError
from fitcore.statistics import central_interval, known_quantile, weighted_covariance, weighted_mean
from fitcore.summary import SamplesSummary
from fitcore.text import arrays_of_csv, html_table, samples_csv, samples_table, summary_html

if TYPE_CHECKING:
    from fitcore.model import Model

Array = NDArray[np.float64]

LARGEST_WEIGHT = 0.99
"""A sample that holds more than this of all weight leaves no posterior to take quantiles of."""

N_LAST = 100
"""Samples whose extremes stand for an interval while the search has not converged."""

_ARRAYS = ("parameters", "log_likelihood", "log_prior", "log_weight")


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
        columns = np.ascontiguousarray(self.parameters.T)
        return np.array([known_quantile(column, points, self.weight) for column in columns]).reshape(self.n_dim, points.size)

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

    def mean(self) -> Array:
        """Weighted means, shape (n_dim,)."""
        return weighted_mean(self.parameters, self.weight)

    def covariance(self) -> Array:
        """Weighted covariance, shape (n_dim, n_dim), without bias for independent samples: ``numpy.cov(..., aweights=weight)``."""
        return weighted_covariance(self.parameters, self.weight)

    def draw(self, n: int, seed: int) -> Array:
        """``n`` parameter vectors of equal weight, drawn with replacement, shape (n, n_dim); the same for the same seed."""
        if n < 0:
            raise SpecError(f"draw: n is {n!r}; it must not be negative.")
        return self.parameters[np.random.default_rng(seed).choice(len(self), size=n, p=self.weight)]

    @property
    def n_masked(self) -> dict[str, int]:
        """By path, in how many samples the value is NaN: not known there, and left out of that parameter's statistics."""
        return dict(zip(self.paths, np.isnan(self.parameters).sum(axis=0).tolist(), strict=True))

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
        return _summary_of(self, n_calls, dict(diagnostics or {}))

    def to_csv(self) -> str:
        """All samples as CSV text, a line each, for any program that reads tables.

        Columns: the parameters by path, in their units, log_likelihood, log_prior, log_weight, weight (they sum to one), log_evidence,
        log_evidence_error (the same in every line). Every digit is there, so `from_csv` gives the same samples back.
        """
        return samples_csv(self)

    @classmethod
    def from_csv(cls, text: str) -> Samples:
        """The samples that `to_csv` gave, equal to the last bit; they know no model.

        Raises
        ------
        SpecError : the columns are others, a field is no number, or several evidences are in it.
        """
        return cls.from_arrays(arrays_of_csv(text))

    def to_arviz(self, *, n: int | None = None, seed: int = 0, labels: Mapping[str, str] | None = None, masked: str = "refuse") -> Any:
        """An ``xarray.DataTree`` for ArviZ, which knows no weights: draws of equal weight by systematic resampling, in one chain.

        Group "posterior" holds a variable for each path, shape (1, n), in the parameters' units; "sample_stats" holds ``lp`` (log of
        likelihood times prior), ``log_likelihood`` and ``log_prior``. Evidence, its error and how it was resampled are attributes of both.
        The draws are independent of their order; a sample of large weight appears more than once.

        Parameters
        ----------
        n : draws; the effective sample size by default, so that ArviZ's errors of the mean come out right.
        seed : of the resampling; the same draws for the same seed.
        labels : by path, as matplotlib shows them (``"$r_E$"``); kept as the variables' ``long_name``. The path by default.
        masked : "refuse", or "drop" to keep only samples without NaN; see `fitcore.handover`.

        Raises
        ------
        ConfigError : the package arviz-base is not installed.
        SpecError : values are masked, or a label is for no parameter.
        """
        return handover.to_arviz(self, n=n, seed=seed, labels=labels, masked=masked)

    def to_anesthetic(self, *, labels: Mapping[str, str] | None = None, masked: str = "refuse") -> Any:
        """An ``anesthetic.Samples``: a weighted data frame with a column for each path, ``logL`` and ``log_prior``.

        Log-evidence and its error are in its ``attrs``. It is no ``NestedSamples``: that one computes the evidence from the birth contours
        of nested sampling, which weighted samples do not have.

        Parameters and errors are those of `to_arviz`, with the package anesthetic.
        """
        return handover.to_anesthetic(self, labels=labels, masked=masked)

    def to_getdist(self, *, labels: Mapping[str, str] | None = None, masked: str = "refuse") -> Any:
        """A ``getdist.MCSamples``: weighted, marked as uncorrelated, ``loglikes`` being minus the log of likelihood times prior.

        Where the samples know their model, the supports of its priors are the hard limits, so that densities do not leak over them.
        ``loglikes`` are left out where any is unknown. Samples of weight zero are left out. There is no place for the evidence.

        Parameters and errors are those of `to_arviz`, with the package getdist.
        """
        return handover.to_getdist(self, labels=labels, masked=masked)

    def to_corner(self, *, labels: Mapping[str, str] | None = None, masked: str = "refuse", **options: Any) -> Any:
        """A ``matplotlib`` figure of all parameters against each other by ``corner.corner``, weighted, with median and 68 % lines.

        Parameters
        ----------
        options : further options of ``corner.corner``; they win over ours (``quantiles``).

        ``labels``, ``masked`` and errors are those of `to_arviz`, with the package corner. Samples of weight zero are left out.
        """
        return handover.to_corner(self, labels=labels, masked=masked, **options)

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
        columns = {name: np.asarray(arrays[name]) for name in _ARRAYS}
        evidence = {name: float(arrays[name]) for name in ("log_evidence", "log_evidence_error")}
        return cls(paths=_decoded(arrays["paths"]), **columns, **evidence)  # type: ignore[arg-type]  # the names are those of the fields

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Samples):
            return NotImplemented
        mine, theirs = self.to_arrays(), other.to_arrays()
        names = (*_ARRAYS, "log_evidence", "log_evidence_error")
        return self.paths == other.paths and all(np.array_equal(mine[name], theirs[name], equal_nan=True) for name in names)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{samples_table(self)}>"

    def _repr_html_(self) -> str:
        told = f"{len(self):,} samples of {self.n_dim} parameters"
        if not self.is_converged or np.isnan(self.log_likelihood).all():
            return html_table(
                f"{told}, effective sample size {self.effective_sample_size:,.1f}", ["parameter"], [[path] for path in self.paths]
            )
        return summary_html(self.summary(), told, None if self.model is None else self.model.priors)


def _decoded(paths: Sequence[Any]) -> tuple[str, ...]:
    return tuple(path.decode() if isinstance(path, bytes) else str(path) for path in np.asarray(paths).tolist())


def _summary_of(samples: Samples, n_calls: int, diagnostics: Mapping[str, float | int | str | bool]) -> SamplesSummary:
    best = samples.best_index
    median, one, three = _median_and_intervals(samples)
    return SamplesSummary(
        paths=samples.paths,
        best=tuple(samples.parameters[best].tolist()),
        log_likelihood=float(samples.log_likelihood[best]),
        log_prior=float(samples.log_prior[best]),
        median=tuple(median.tolist()),
        mean=tuple(samples.mean().tolist()),
        lower_1_sigma=tuple(one[:, 0].tolist()),
        upper_1_sigma=tuple(one[:, 1].tolist()),
        lower_3_sigma=tuple(three[:, 0].tolist()),
        upper_3_sigma=tuple(three[:, 1].tolist()),
        log_evidence=samples.log_evidence,
        log_evidence_error=samples.log_evidence_error,
        effective_sample_size=samples.effective_sample_size,
        is_converged=samples.is_converged,
        n_samples=len(samples),
        n_calls=n_calls,
        diagnostics=diagnostics,
    )


def _median_and_intervals(samples: Samples) -> tuple[Array, Array, Array]:
    """Medians (n_dim,), and the intervals at 1 and 3 sigma (n_dim, 2); each column is sorted once for all of them."""
    if not samples.is_converged:
        return samples.median_pdf(), samples.values_at_sigma(1.0), samples.values_at_sigma(3.0)
    table = samples.quantiles([0.5, *central_interval(1.0), *central_interval(3.0)])
    return table[:, 0], table[:, 1:3], table[:, 3:5]
