"""The summary of a posterior: the few numbers that every result keeps in memory, and their exact JSON form.

Computed by `fitcore.samples.Samples.summary`; nothing is computed here but views of the numbers.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitcore.errors import SpecError
from fitcore.text import summary_html, summary_table

Array = NDArray[np.float64]
PER_PARAMETER = ("best", "median", "mean", "lower_1_sigma", "upper_1_sigma", "lower_3_sigma", "upper_3_sigma")


@dataclass(frozen=True, kw_only=True)
class SamplesSummary:
    """What is known of a posterior without its samples; equal by value, NaN being equal to NaN.

    Parameters
    ----------
    paths : names of the parameters, in order; all tuples below follow it, in the parameters' units.
    best : the best sample's parameters.
    log_likelihood, log_prior : of the best sample.
    median, mean : weighted.
    lower_1_sigma, upper_1_sigma, lower_3_sigma, upper_3_sigma : ends of the central intervals.
    log_evidence, log_evidence_error : NaN where the search gives none.
    effective_sample_size : Kish's.
    is_converged : False while one sample holds more than 0.99 of the weight.
    n_samples, n_calls : stored samples; likelihood calls of the whole search.
    diagnostics : of the search, plain numbers, strings and booleans.
    """

    paths: tuple[str, ...]
    best: tuple[float, ...]
    log_likelihood: float
    log_prior: float
    median: tuple[float, ...]
    mean: tuple[float, ...]
    lower_1_sigma: tuple[float, ...]
    upper_1_sigma: tuple[float, ...]
    lower_3_sigma: tuple[float, ...]
    upper_3_sigma: tuple[float, ...]
    log_evidence: float
    log_evidence_error: float
    effective_sample_size: float
    is_converged: bool
    n_samples: int
    n_calls: int
    diagnostics: Mapping[str, float | int | str | bool] = field(default_factory=dict)

    def max_log_likelihood(self) -> Array:
        """The best sample's parameters, shape (n_dim,)."""
        return np.array(self.best)

    def median_pdf(self) -> Array:
        """The weighted medians, shape (n_dim,)."""
        return np.array(self.median)

    def values_at_sigma(self, sigma: float) -> Array:
        """Ends of the central intervals at 1 or 3 sigma, shape (n_dim, 2); the samples have them at any sigma."""
        if sigma not in (1, 3):
            raise SpecError(f"A summary holds intervals at 1 and 3 sigma, not at {sigma!r}; ask the samples.")
        names = ("lower_1_sigma", "upper_1_sigma") if sigma == 1 else ("lower_3_sigma", "upper_3_sigma")
        return np.array([getattr(self, name) for name in names], dtype=np.float64).T

    def errors_at_sigma(self, sigma: float) -> Array:
        """Distances of the interval's ends from the median, lower and upper, shape (n_dim, 2), at 1 or 3 sigma."""
        lower, upper = self.values_at_sigma(sigma).T
        return np.stack([self.median_pdf() - lower, upper - self.median_pdf()], axis=-1)

    def by_path(self, name: str = "median") -> dict[str, float]:
        """One of the tuples as a dict by path."""
        return dict(zip(self.paths, getattr(self, name), strict=True))

    def __str__(self) -> str:
        return summary_table(self)

    def _repr_html_(self) -> str:
        return summary_html(self, "summary")

    def to_dict(self) -> dict[str, Any]:
        """A form that strict JSON holds exactly: tuples as lists, numbers that are not finite as ``{"float": "nan"}``."""
        return {f.name: _encoded(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SamplesSummary:
        """The summary that `to_dict` described.

        Raises
        ------
        SpecError
            for a description that `to_dict` cannot have made.
        """
        names = {f.name for f in fields(cls)}
        if not isinstance(data, Mapping) or set(data) != names:
            keys = set(data) if isinstance(data, Mapping) else set()
            raise SpecError(f"SamplesSummary.from_dict: missing {sorted(names - keys)}, unknown {sorted(keys - names)}.")
        values = {name: _decoded(value) for name, value in data.items()}
        n_dim = len(values["paths"]) if isinstance(values["paths"], tuple) else 0
        wrong = [name for name, value in values.items() if not _is_of_kind(name, value, n_dim)]
        if wrong:
            raise SpecError(f"SamplesSummary.from_dict: {wrong[0]} is {reprlib.repr(data[wrong[0]])}, which no summary holds there.")
        return cls(**values)

    def __eq__(self, other: object) -> bool:
        return self.to_dict() == other.to_dict() if isinstance(other, SamplesSummary) else NotImplemented

    __hash__ = None  # type: ignore[assignment]


def _is_of_kind(name: str, value: Any, n_dim: int) -> bool:
    if name == "paths":
        return isinstance(value, tuple) and all(isinstance(path, str) for path in value)
    if name == "diagnostics":
        return isinstance(value, Mapping)
    if name == "is_converged":
        return isinstance(value, bool)
    if name in ("n_samples", "n_calls"):
        return isinstance(value, int) and not isinstance(value, bool)
    if name in PER_PARAMETER:
        return isinstance(value, tuple) and len(value) == n_dim and all(map(_is_number, value))
    return _is_number(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _encoded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _encoded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encoded(item) for item in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else {"float": repr(float(value))}
    if value is None or isinstance(value, str):
        return value
    raise SpecError(f"A summary holds {value!r} of type {type(value).__name__}; allowed are plain numbers, strings and booleans.")


def _decoded(value: Any) -> Any:
    if isinstance(value, Mapping):
        is_number = set(value) == {"float"} and isinstance(value["float"], str)
        return float(value["float"]) if is_number else {key: _decoded(item) for key, item in value.items()}
    return tuple(_decoded(item) for item in value) if isinstance(value, (list, tuple)) else value
