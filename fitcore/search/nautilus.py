"""`Nautilus`: the cold search. nautilus explores; the evidence comes from a frozen importance sample, or from nautilus's sampling phase.

The points of the exploration never enter the evidence: a bound is fitted to points that then decide which points belong to it, and keeping
them biases the evidence by -0.05 to -1. What is specific to the library is in `adapter`.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import ndtri

from fitcore.errors import SpecError
from fitcore.search.base import Array, Checkpoint, Problem, Progress, Search, SearchOutcome
from fitcore.search.frozen import adapt_and_freeze
from fitcore.search.journal import LARGEST_U, SMALLEST_U, Ledger, checked
from fitcore.search.mixture import Mixture
from fitcore.search.outcome import frozen_outcome, importance_diagnostics, outcome_of
from fitcore.search.scout import scout
from fitcore.search.settings import check_choice, check_integer, check_number
from fitcore.search.streams import single_threaded, stream, sub_seed

FALLBACK_N_SHELL = 300
FINISH = "finish"
RECENT = "recent"


@functools.cache
def _adapter() -> Any:
    """nautilus and what it brings, loaded when a cold search runs: a second that no stored result and no warm search should wait for."""
    return importlib.import_module("fitcore.search.adapter")


@dataclass(frozen=True, kw_only=True)
class Nautilus(Search):
    """Nested sampling by nautilus, from the priors alone.

    Parameters
    ----------
    n_live : live points of the exploration; 100 is enough for one plain mode, 500 for curved or many-peaked posteriors.
    n_eff : effective sample size asked for.
    n_batch : points between two updates of nautilus; raised to a whole number of the problem's batches.
    n_shell : fewest points in each shell of the sampling phase.
    f_live : fraction of the evidence left in the live points at which the exploration ends.
    finish : "importance", a mixture fitted to the exploration, adapted, frozen and graded (grade F goes on as below); or "nautilus", its
        own sampling phase with the exploration discarded.
    scout_starts : gradient ascents from prior draws that look for modes which the exploration lost, before a finish by importance and where
        the likelihood can be differentiated; 0 for none. Each gradient counts as one call.
    n_like_max : most likelihood calls; reaching it is an error, never a poorer result.

    Raises
    ------
    ConfigError
        for a value outside its range.

    References
    ----------
    Lange 2023, MNRAS 525, 3181 (nautilus).
    """

    version = 2

    n_live: int = 300
    n_eff: int = 2000
    n_batch: int = 100
    n_shell: int = 200
    f_live: float = 0.01
    finish: str = "importance"
    scout_starts: int = 16
    n_like_max: int = 300_000

    def __post_init__(self) -> None:
        check_integer(self, "n_live", 20, 100_000)
        check_integer(self, "n_eff", 10, 10_000_000)
        check_integer(self, "n_batch", 1, 100_000)
        check_integer(self, "n_shell", 1, 100_000)
        check_number(self, "f_live", 0.0, 1.0)
        check_integer(self, "scout_starts", 0, 10_000)
        check_choice(self, "finish", ("importance", "nautilus"))
        check_integer(self, "n_like_max", 1)

    def run(self, problem: Problem, *, seed: int, checkpoint: Checkpoint, progress: Progress) -> SearchOutcome:
        """See `Search.run`. A proposal is not used: `Importance` is the search for one.

        Raises
        ------
        NotConvergedError
            when ``n_like_max`` is reached first.
        SearchInterruptedError
            when asked to stop; the work is saved.
        """
        if problem.n_dim < 1:
            raise SpecError(f"The problem has {problem.n_dim} parameters; a search needs at least one. Free a parameter of the model.")
        ledger = Ledger(checkpoint=checkpoint, progress=progress, n_like_max=self.n_like_max, limit_name="Nautilus.n_like_max")
        with single_threaded(problem) as inner:
            return cold_search(self, inner, seed=seed, ledger=ledger)


def cold_search(settings: Nautilus, problem: Problem, *, seed: int, ledger: Ledger) -> SearchOutcome:
    """The search within a ledger that another search may have used before."""
    _adapter().check_version()
    run = _Run(settings, problem, seed=seed, ledger=ledger)
    with _adapter().fast_parts():
        run.explore()
        attempt: dict[str, Any] = {}
        if settings.finish == "importance":
            finished, attempt = run.finish_by_importance()
            if finished is not None:
                return finished
        return run.finish_by_nautilus(attempt)


class _Run:
    """One cold search: the sampler, and the ledger that pays for it."""

    def __init__(self, settings: Nautilus, problem: Problem, *, seed: int, ledger: Ledger) -> None:
        self.settings, self.problem, self.seed, self.ledger = settings, problem, seed, ledger
        self.n_before = ledger.n_calls
        self.n_batch = -(-settings.n_batch // problem.n_batch) * problem.n_batch
        self.mixture: Mixture | None = None
        self.recent: list[tuple[Array, Array]] = []
        self.recorded: dict[str, Array] = dict(ledger.states.get(RECENT, {}))
        self.n_replayed = 0
        self.sampler: Any = self._sampler()
        self.n_explore = 0

    def _new(self, state: Path | None = None) -> Any:
        return _adapter().new_sampler(
            self._log_likelihood,
            n_dim=max(2, self.problem.n_dim),  # nautilus knows no single parameter; a second one that does nothing changes no evidence
            n_live=self.settings.n_live,
            n_batch=self.n_batch,
            seed=sub_seed(self.seed, "nautilus"),
            state=state,
        )

    def _sampler(self) -> Any:
        with _adapter().fast_parts():
            loaded = self.ledger.checkpoint.load_through(self._new)
            notes = self.ledger.states.get(FINISH, {}).get("notes", {})
            if loaded is not None and self.settings.finish == "importance" and loaded.discard_exploration and "start" not in notes:
                loaded = None  # past its exploration, whose mixture is lost: begin anew rather than differently
        if loaded is None:
            return self._new()
        self.ledger.n_calls += int(loaded.n_like)
        every = [part for part in zip(loaded.points, loaded.log_l, strict=True) if len(part[1])]
        for points, values in every:
            self.ledger.note_best(points[:, : self.problem.n_dim], values)
        return loaded

    def _log_likelihood(self, u: Array) -> Array:
        inside = np.clip(u[:, : self.problem.n_dim], SMALLEST_U, LARGEST_U)
        values = self._replayed(inside)
        if values is None:
            values = self._evaluated(inside)
        self.recent.append((inside, values))
        self.ledger.note_best(inside, values)
        return values

    def _evaluated(self, u: Array) -> Array:
        try:
            return checked(self.problem.log_likelihood(u), len(u))
        except Exception:
            # Inside a batch nautilus has no state that could be written: what was evaluated since the last one is kept and replayed.
            if self.recent:
                points, found = (np.concatenate(column) for column in zip(*self.recent, strict=True))
                self.ledger.states[RECENT] = {"u": points, "value": found}
            self.ledger.save()
            raise

    def _replayed(self, u: Array) -> Array | None:
        """The values recorded before the likelihood raised, where they are of the same points."""
        part = slice(self.n_replayed, self.n_replayed + len(u))
        if "u" not in self.recorded or not np.array_equal(self.recorded["u"][part], u):
            self.recorded = {}
            return None
        self.n_replayed += len(u)
        return self.recorded["value"][part]

    def _advance(self, is_done: Callable[[], bool], phase: str, **targets: Any) -> None:
        """Batch by batch, with a look at the checkpoint after each."""
        sampler, ledger = self.sampler, self.ledger
        while not is_done():
            ledger.spend(self.n_batch)
            f_live = np.inf if not sampler.explored and self._is_flat() else self.settings.f_live
            sampler.run(n_like_max=int(sampler.n_like) + self.n_batch, f_live=f_live, **targets)
            stop = ledger.checkpoint.stop_requested()
            if stop or ledger.checkpoint.due():
                ledger.checkpoint.save_through(sampler.write, n_calls=ledger.n_calls)
                self.recent.clear()
            ledger.tell(phase, self._news())
            if stop:
                raise ledger.interrupted()

    def _is_flat(self) -> bool:
        """Whether all live points have the same value: there is nothing to zoom into, and f_live would ask for n_live / f_live calls."""
        log_l = np.concatenate([np.zeros(0), *self.sampler.log_l])
        best = np.max(log_l, initial=-np.inf)
        return bool(np.isfinite(best) and np.count_nonzero(log_l == best) >= self.settings.n_live)

    def _news(self) -> str:
        sampler = self.sampler
        if sampler.explored:
            return f"{len(sampler.bounds)} shells, effective sample size {float(sampler.n_eff):.0f}"
        return f"{len(sampler.bounds)} bounds, {float(sampler.f_live):.3f} of the evidence in the live points"

    def explore(self) -> None:
        """The exploration; done at once where a resumed sampler has it behind it."""
        is_resumed = bool(self.sampler.explored)
        self._advance(lambda: bool(self.sampler.explored), "exploration", n_shell=0, n_eff=0, discard_exploration=False)
        if not is_resumed:
            self.ledger.checkpoint.save_through(self.sampler.write, n_calls=self.ledger.n_calls)
            self.recent.clear()
        self.n_explore = int(np.sum(self.sampler.shell_end_exp)) if self.sampler.discard_exploration else int(self.sampler.n_like)

    def _start(self, notes: dict[str, Any]) -> Mixture:
        """The mixture fitted to the exploration: once, then kept in the journal, because later points change the exploration's weights."""
        if "start" not in notes:
            u, log_weight, _ = self.sampler.posterior()
            z = ndtri(np.clip(u[:, : self.problem.n_dim], SMALLEST_U, LARGEST_U))
            notes["start"] = Mixture.fit(z, log_weight).to_arrays()
            notes["n_explore"] = int(self.sampler.n_like)
        return Mixture.from_arrays(notes["start"])

    def finish_by_importance(self) -> tuple[SearchOutcome | None, dict[str, Any]]:
        """An outcome of grade A or B; or None, and the diagnostics of the attempt."""
        ledger = self.ledger
        journal = ledger.journal(FINISH, self.problem)
        start = self._start(journal.notes)
        self.n_explore = int(journal.notes["n_explore"])
        scouted = scout(journal, start, stream(self.seed, f"{FINISH}.scout"), n_starts=self.settings.scout_starts)
        adapted, frozen, n_adapt = adapt_and_freeze(
            journal, start, seed=self.seed, name=FINISH, n_eff=self.settings.n_eff, anchors=scouted.anchors
        )
        ledger.tell("graded", f"grade {frozen.grade}", frozen.log_evidence)
        scouting = {"n_gradients": journal.n_gradients, "n_new_modes": scouted.n_new, "was_scouted": journal.n_gradients > 0}
        if frozen.grade == "F":
            return None, {**importance_diagnostics(adapted, frozen, n_adapt=n_adapt, prefix="importance_"), **scouting}
        diagnostics = {
            "finish": "importance",
            "is_fallback": False,
            "n_explore": self.n_explore,
            **importance_diagnostics(adapted, frozen, n_adapt=n_adapt),
            **scouting,
        }
        return frozen_outcome(frozen, adapted, n_calls=ledger.n_calls, diagnostics=diagnostics), {}

    def finish_by_nautilus(self, attempt: dict[str, Any]) -> SearchOutcome:
        """The sampling phase with the exploration discarded; ``attempt`` holds the diagnostics of a failed finish by importance.

        A posterior on which the importance sample failed is difficult for nautilus too: on a strong 12-d banana its evidence was off by up
        to three times the error, so grade B, error doubled. Where the scout knows a mode that the exploration lost, its sampling phase is
        blind to it too: grade F.
        """
        sampler, settings, ledger = self.sampler, self.settings, self.ledger
        if attempt:
            settings = replace(settings, n_shell=max(settings.n_shell, FALLBACK_N_SHELL))
            ledger.save()
            ledger.tell("fallback", "the importance sample is graded F: nautilus's own sampling phase takes over")
        if not sampler.discard_exploration:
            sampler.discard_exploration = True
        n_shell, n_eff = settings.n_shell, settings.n_eff
        self._advance(
            lambda: bool(np.all(sampler.shell_n >= n_shell) and sampler.n_eff >= n_eff),
            "sampling",
            n_shell=n_shell,
            n_eff=n_eff,
            discard_exploration=True,
        )
        u, log_weight, log_likelihood = sampler.posterior()
        return outcome_of(
            u=np.clip(u[:, : self.problem.n_dim], SMALLEST_U, LARGEST_U),
            log_likelihood=log_likelihood,
            log_weight=log_weight,
            log_evidence=float(sampler.log_z),
            log_evidence_error=_adapter().evidence_error(sampler) * (2.0 if attempt else 1.0),
            n_calls=ledger.n_calls,
            diagnostics={
                **attempt,
                "finish": "nautilus",
                "is_fallback": bool(attempt),
                "grade": ("F" if attempt["n_new_modes"] else "B") if attempt else "A",
                "n_explore": self.n_explore,
                "n_eff": float(sampler.n_eff),
                "n_shells": len(sampler.bounds),
                "n_before": self.n_before,
            },
        )
