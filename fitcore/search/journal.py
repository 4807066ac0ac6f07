"""`Journal`: every point that a search has evaluated, in order, so that an interrupted search replays what it had and goes on.

An algorithm that draws from named streams and asks the journal for values is deterministic: run again, it asks for the same points, and the
journal answers from memory until it is used up. So nothing but the points has to be saved, and the outcome is the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import ndtr

from fitcore.errors import LikelihoodError, NotConvergedError, SearchInterruptedError
from fitcore.search.base import Array, Checkpoint, Problem, Progress, ProgressEvent

CHUNK = 128  # points between two looks at the checkpoint
SMALLEST_U = 1e-300
LARGEST_U = 1.0 - 2.0**-53


def unit_cube(z: Array) -> Array:
    """Points of the open unit cube for points in probit space."""
    return inside_cube(ndtr(z))


def inside_cube(u: Array) -> Array:
    """Points of the closed unit cube, moved off its faces."""
    return np.clip(u, SMALLEST_U, LARGEST_U)


def checked(values: Any, n: int) -> Array:
    """Log-likelihoods of a batch, float64.

    Raises
    ------
    LikelihoodError
        for another shape, a NaN or +inf: the problem promises otherwise.
    """
    found = np.asarray(values, dtype=np.float64)
    if found.shape != (n,):
        raise LikelihoodError(f"log_likelihood returned the shape {found.shape} for {n} points; it must return ({n},).")
    if np.any(np.isnan(found)) or np.any(found == np.inf):
        raise LikelihoodError(
            f"log_likelihood returned NaN or +inf for {int(np.sum(np.isnan(found) | (found == np.inf)))} of {n} points; a problem must "
            "return finite values or -inf. fitcore.BatchedLikelihood sees to that."
        )
    return found


@dataclass(kw_only=True)
class Ledger:
    """The journals of one search, saved together, and the search's budget.

    Parameters
    ----------
    checkpoint, progress : of the search.
    n_like_max : most calls of the whole search.
    limit_name : the setting that the error message tells to raise.
    pending : saves what the next `save` is to save beside the journals, once.
    """

    checkpoint: Checkpoint
    progress: Progress
    n_like_max: int
    limit_name: str
    n_calls: int = 0
    u_best: Array | None = None
    log_likelihood_best: float = -np.inf
    states: dict[str, dict[str, Any]] = field(default_factory=dict)
    journals: dict[str, Journal] = field(default_factory=dict)
    pending: Callable[[], None] | None = None

    def __post_init__(self) -> None:
        self.states = dict(self.checkpoint.load_arrays() or {})

    def journal(self, name: str, problem: Problem) -> Journal:
        """The journal of one part of the search, with what an earlier attempt wrote into it."""
        self.journals[name] = Journal(ledger=self, name=name, problem=problem, recorded=self.states.get(name, {}))
        return self.journals[name]

    def save(self) -> None:
        """Save all journals now, and what is pending."""
        if self.pending is not None:
            self.pending()
            self.pending = None
        self.states.update({name: journal.state() for name, journal in self.journals.items()})
        self.checkpoint.save_arrays(self.states, n_calls=self.n_calls)

    def spend(self, n: int) -> None:
        """Ask for ``n`` calls.

        Raises
        ------
        NotConvergedError
            when the limit would be passed.
        """
        if self.n_calls + n > self.n_like_max:
            raise NotConvergedError(
                f"The search has made {self.n_calls} likelihood calls and is not done; {self.limit_name} is {self.n_like_max}. "
                f"Raise {self.limit_name}, or ask for a smaller n_eff."
            )
        self.n_calls += n

    def note_best(self, u: Array, values: Array) -> None:
        """Remember the best point so far."""
        best = int(np.argmax(values)) if len(values) else 0
        if len(values) and values[best] > self.log_likelihood_best:
            self.u_best, self.log_likelihood_best = u[best].copy(), float(values[best])

    def tell(self, phase: str, message: str = "", log_evidence: float | None = None) -> None:
        """Send news."""
        best = self.log_likelihood_best if np.isfinite(self.log_likelihood_best) else None
        self.progress(
            ProgressEvent(
                phase=phase,
                n_calls=self.n_calls,
                log_evidence=log_evidence,
                message=message,
                u_best=self.u_best,
                log_likelihood_best=best,
            )
        )

    def interrupted(self) -> SearchInterruptedError:
        """The error to raise once everything is saved."""
        return SearchInterruptedError(
            f"The search was asked to stop after {self.n_calls} likelihood calls; they are saved. Run the same command again to go on."
        )


class Journal:
    """The points of one part of a search; see the module."""

    def __init__(self, *, ledger: Ledger, name: str, problem: Problem, recorded: Mapping[str, Any]) -> None:
        self.ledger = ledger
        self.name = name
        self.problem = problem
        self.phase = name
        self.n_gradients = 0
        self.n_values = 0
        self._chunk = problem.n_batch * max(1, CHUNK // problem.n_batch)
        self._recorded = {key: np.asarray(recorded[key]) for key in _KEYS if key in recorded}
        self._written: dict[str, list[Array]] = {key: [] for key in _KEYS}
        self._n_written: dict[str, int] = dict.fromkeys(_KEYS, 0)  # not summed anew: replaying single points would be quadratic
        self.notes: dict[str, Any] = dict(recorded.get("notes", {}))

    def rounded(self, n: float) -> int:
        """``n`` rounded up to whole batches, at least one."""
        batch = self.problem.n_batch
        return max(1, -(-int(np.ceil(n)) // batch)) * batch

    def state(self) -> dict[str, Any]:
        """What is saved."""
        d = self.problem.n_dim
        shapes = {"z": (0, d), "value": (0,), "gradient_z": (0, d), "gradient_value": (0,), "gradient": (0, d)}
        state: dict[str, Any] = {}
        for key in _KEYS:
            replayed = self._n_written[key]
            # A second stop while an earlier record is being replayed must not lose the part not asked for yet.
            rest = [self._recorded[key][replayed:]] if key in self._recorded and len(self._recorded[key]) > replayed else []
            state[key] = np.concatenate([np.zeros(shapes[key]), *self._written[key], *rest])
        return {**state, "notes": self.notes}

    def log_likelihood(self, z: Array) -> Array:
        """Log-likelihoods at points (n, n_dim) of probit space; shape (n,).

        Raises
        ------
        SearchInterruptedError
            when asked to stop; everything evaluated is saved.
        NotConvergedError
            when the search's limit is reached.
        """
        values = [self._values(z[start : start + self._chunk]) for start in range(0, len(z), self._chunk)]
        return np.concatenate(values) if values else np.zeros(0)

    def _values(self, z: Array) -> Array:
        u = unit_cube(z)
        self.ledger.spend(len(z))
        replayed = self._replay(z, "z", ("value",))
        values = self._evaluated(u) if replayed is None else replayed[0]
        self._write({"z": z, "value": values})
        self.n_values += len(z)
        self.ledger.note_best(u, values)
        if replayed is None:
            self.pause()
        return values

    def _evaluated(self, u: Array) -> Array:
        try:
            return checked(self.problem.log_likelihood(u), len(u))
        except Exception:
            self.ledger.save()  # whatever the likelihood raised, what was computed before is kept
            raise

    def value_and_gradient(self, z: Array) -> tuple[Array, Array]:
        """Log-likelihoods (n,) and their gradients (n, n_dim) at points of probit space; each counts as one call."""
        assert self.problem.value_and_gradient is not None
        self.ledger.spend(len(z))
        replayed = self._replay(z, "gradient_z", ("gradient_value", "gradient"))
        if replayed is None:
            value, gradient = map(np.asarray, self.problem.value_and_gradient(z))
        else:
            value, gradient = replayed
        self._write({"gradient_z": z, "gradient_value": value, "gradient": gradient})
        self.n_gradients += len(z)
        if replayed is None:
            self.pause()
        return value, gradient

    def _replay(self, z: Array, key: str, answers: tuple[str, ...]) -> tuple[Array, ...] | None:
        if key not in self._recorded:
            return None
        start = self._n_written[key]
        stop = start + len(z)
        if stop > len(self._recorded[key]) or not np.array_equal(self._recorded[key][start:stop], z):
            # The end of the record, or one from another machine whose last bits differ: from here on it is made anew.
            for name in (key, *answers):
                self._recorded.pop(name, None)
            return None
        return tuple(self._recorded[name][start:stop] for name in answers)

    def _write(self, parts: Mapping[str, Array]) -> None:
        for key, part in parts.items():
            self._written[key].append(np.array(part))
            self._n_written[key] += len(part)

    def pause(self) -> None:
        """Save where that is due, and tell the news.

        Raises
        ------
        SearchInterruptedError
            when asked to stop; everything is saved.
        """
        checkpoint = self.ledger.checkpoint
        self.ledger.tell(self.phase)  # before the question, which may depend on the calls told
        stop = checkpoint.stop_requested()
        if stop or checkpoint.due():
            self.ledger.save()
        if stop:
            raise self.ledger.interrupted()


_KEYS = ("z", "value", "gradient_z", "gradient_value", "gradient")
