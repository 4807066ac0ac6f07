"""What a search is given and what it gives back. No algorithm lives here.

A search explores the unit cube through a `Problem` and returns a `SearchOutcome`; it knows no model and no science. It asks its
`Checkpoint` when to save and whether to stop, and tells its `Progress` how far it is.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Array = NDArray[np.float64]


class ProposalDensity(Protocol):
    """A density in probit space ``z = Phi^-1(u)`` that a search may draw from; see `fitcore.search.mixture`."""

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """``n`` points, shape (n, n_dim)."""
        ...

    def log_prob(self, z: Array) -> Array:
        """Log density at ``z`` of shape (n, n_dim); shape (n,)."""
        ...


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A search's whole world.

    Parameters
    ----------
    n_dim : number of parameters.
    paths : their names, in order.
    log_likelihood : takes ``u`` of shape (n, n_dim) in the unit cube, returns shape (n,), float64; -inf where excluded, never NaN.
    value_and_gradient : takes ``z`` of shape (n, n_dim) in probit space, returns log-likelihoods (n,) and their gradients with respect
        to ``z``, (n, n_dim); None where the likelihood cannot be differentiated.
    traceable : takes one ``z`` of shape (n_dim,) in probit space, returns the log-likelihood there, -inf where excluded, as a function that
        JAX can trace; None where it cannot.
    proposal : mixture in probit space to start from; None for a cold search.
    n_threads : threads that a search of its own evaluations may use; never changes a number.
    n_batch : points that ``log_likelihood`` evaluates in one compiled call; batches of a multiple of it waste nothing.
    analysis : for searches that belong to one science and live beside it; None elsewhere. Searches in fitcore never touch it.
    model : as `analysis`.
    """

    n_dim: int
    paths: tuple[str, ...]
    log_likelihood: Callable[[Array], Array]
    value_and_gradient: Callable[[Array], tuple[Array, Array]] | None = None
    traceable: Callable[[Any], Any] | None = None
    proposal: Any = None
    n_batch: int = 32
    n_threads: int = 1
    analysis: Any = None
    model: Any = None


@dataclass(frozen=True, kw_only=True)
class SearchOutcome:
    """Weighted points and what is known about them.

    Parameters
    ----------
    u : points in the unit cube, shape (n, n_dim), float64.
    log_likelihood : plain log-likelihoods, shape (n,), all finite.
    log_weight : logarithms of posterior weights that sum to one, shape (n,).
    log_evidence, log_evidence_error : of the original priors; NaN where the search gives none.
    n_calls : likelihood calls of the whole search, the same however often it was interrupted.
    diagnostics : plain numbers, strings and booleans (grade, k-hat, efficiency, calls per phase, ...), stored with the result.
    internal : whatever a specialist may want later, or None. Plain data (arrays, numbers, texts, lists and dicts of them) are kept in the
        result's file; anything else as a pickle, which is read on trust only.
    """

    u: Array
    log_likelihood: Array
    log_weight: Array
    log_evidence: float
    log_evidence_error: float
    n_calls: int
    diagnostics: Mapping[str, float | int | str | bool] = field(default_factory=dict)
    internal: Any = None


@dataclass(frozen=True, kw_only=True)
class ProgressEvent:
    """One line of news of a search."""

    phase: str
    n_calls: int
    log_evidence: float | None = None
    message: str = ""
    u_best: Array | None = None
    log_likelihood_best: float | None = None


class Progress(Protocol):
    """Receives news; cheap to call at every batch, never raises."""

    def __call__(self, event: ProgressEvent) -> None:
        """Take note of ``event``."""
        ...


@runtime_checkable
class Checkpoint(Protocol):
    """Where a search saves its state. The store's implementation writes to a temporary file, syncs and renames."""

    def due(self) -> bool:
        """True when at least 20 times the last write's cost, or 60 s, have passed since the last save."""
        ...

    def save_arrays(self, state: Mapping[str, Any], *, n_calls: int) -> None:
        """Save arrays, numbers and strings by name."""
        ...

    def load_arrays(self) -> dict[str, Any] | None:
        """The newest readable state, or None."""
        ...

    def save_through(self, writer: Callable[[Path], None], *, n_calls: int) -> None:
        """Let ``writer`` write a file of its own format to the path it is given."""
        ...

    def load_through(self, reader: Callable[[Path], T]) -> T | None:
        """Let ``reader`` read the newest readable file that ``save_through`` wrote; None when there is none."""
        ...

    def stop_requested(self) -> bool:
        """True once the process was asked to stop: save and raise `SearchInterruptedError`."""
        ...


class NoCheckpoint:
    """Saves nothing and never asks to stop: for searches run in memory."""

    def due(self) -> bool:
        """Never."""
        return False

    def save_arrays(self, state: Mapping[str, Any], *, n_calls: int) -> None:
        """Nothing is saved."""
        del state, n_calls

    def load_arrays(self) -> dict[str, Any] | None:
        """Nothing was saved."""
        return None

    def save_through(self, writer: Callable[[Path], None], *, n_calls: int) -> None:
        """Nothing is saved."""
        del writer, n_calls

    def load_through(self, reader: Callable[[Path], T]) -> T | None:
        """Nothing was saved."""
        del reader
        return None

    def stop_requested(self) -> bool:
        """Never."""
        return False


def silent(event: ProgressEvent) -> None:
    """A `Progress` that says nothing."""
    del event


@dataclass(frozen=True, kw_only=True)
class Search(abc.ABC):
    """A search's settings: numbers and strings only, all of them part of the digest. Subclasses are final."""

    version: ClassVar[int] = 1

    @abc.abstractmethod
    def run(self, problem: Problem, *, seed: int, checkpoint: Checkpoint, progress: Progress) -> SearchOutcome:
        """Explore ``problem`` and return weighted points.

        The same problem, settings and seed give the same outcome to the last bit, whether or not the search was interrupted and went on
        from its checkpoint.
        """

    def identity(self) -> dict[str, Any]:
        """Name, version and settings, for the digest."""
        return {"search": type(self).__name__, "version": self.version, **{f.name: getattr(self, f.name) for f in fields(self)}}


def weights_from(log_weight: Sequence[float] | Array) -> Array:
    """Weights that sum to one, from log-weights; shape (n,)."""
    log_weight = np.asarray(log_weight, dtype=np.float64)
    weight = np.exp(log_weight - np.max(log_weight))
    return weight / weight.sum()
