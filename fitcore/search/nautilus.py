"""`Nautilus`: the cold search. nautilus explores; the evidence comes from a frozen importance sample, or from nautilus's sampling phase.

The points of the exploration never enter the evidence: a bound is fitted to points that then decide which points belong to it, and keeping
them biases the evidence by -0.05 to -1. What is specific to the library is in `adapter`.
"""

from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import ndtri

from fitcore.errors import SpecError
from fitcore.search.adaptation import adapt
from fitcore.search.base import Array, Checkpoint, Problem, Progress, Search, SearchOutcome
from fitcore.search.frozen import adapt_and_freeze
from fitcore.search.journal import Ledger, checked, inside_cube
from fitcore.search.mixture import Mixture
from fitcore.search.outcome import frozen_outcome, importance_diagnostics, outcome_of
from fitcore.search.pareto import pareto_k, pooled_grade
from fitcore.search.scout import scout
from fitcore.search.settings import check_choice, check_integer, check_number
from fitcore.search.streams import single_threaded, stream, sub_seed

FINISH = "finish"
RECENT = "recent"
LIVE_TIMES_PARAMETERS, FEWEST_LIVE, MOST_LIVE = 1500, 100, 300


@functools.cache
def _module(name: str) -> Any:
    """A module that loads nautilus, when a cold search runs: a second that no stored result and no warm search should wait for."""
    return importlib.import_module(f"fitcore.search.{name}")


@dataclass(frozen=True, kw_only=True)
class Nautilus(Search):
    """Nested sampling by nautilus, from the priors alone.

    Parameters
    ----------
    n_live : live points of the exploration; None for 1500 over the number of parameters, but at least 100 and at most 300. What is asked of
        the exploration is a start for what follows, and its cost grows with both numbers.
    n_eff : effective sample size asked for.
    n_batch : points between two updates of nautilus; raised to a whole number of the problem's batches.
    n_shell : fewest points in each shell of the sampling phase; as many draws of the mixture come with them.
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

    version = 6

    n_live: int | None = None
    n_eff: int = 2000
    n_batch: int = 100
    n_shell: int = 100
    f_live: float = 0.1
    finish: str = "importance"
    scout_starts: int = 32
    n_like_max: int = 300_000

    def __post_init__(self) -> None:
        if self.n_live is not None:
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
    _module("adapter").check_version()
    run = _Run(settings, problem, seed=seed, ledger=ledger)
    with _module("adapter").fast_parts():
        run.explore()
        return run.finish()


class _Run:
    """One cold search: the sampler, and the ledger that pays for it."""

    def __init__(self, settings: Nautilus, problem: Problem, *, seed: int, ledger: Ledger) -> None:
        self.settings, self.problem, self.seed, self.ledger = settings, problem, seed, ledger
        self.n_before = ledger.n_calls
        self.n_batch = -(-settings.n_batch // problem.n_batch) * problem.n_batch
        self.n_live = settings.n_live or int(np.clip(LIVE_TIMES_PARAMETERS // problem.n_dim, FEWEST_LIVE, MOST_LIVE))
        self.recent: list[tuple[Array, Array]] = []
        self.recorded: dict[str, Array] = dict(ledger.states.get(RECENT, {}))
        self.n_replayed = 0
        self.sampler: Any = self._sampler()

    def _new(self, state: Path | None = None) -> Any:
        return _module("adapter").new_sampler(
            self._log_likelihood,
            n_dim=max(2, self.problem.n_dim),  # nautilus knows no single parameter; a second one that does nothing changes no evidence
            n_live=self.n_live,
            n_batch=self.n_batch,
            seed=sub_seed(self.seed, "nautilus"),
            state=state,
        )

    def _sampler(self) -> Any:
        with _module("adapter").fast_parts():
            loaded = self.ledger.checkpoint.load_through(self._new)
            notes = self.ledger.states.get(FINISH, {}).get("notes", {})
            if loaded is not None and loaded.discard_exploration and "start" not in notes:
                loaded = None  # past its exploration, whose mixture is lost: begin anew rather than differently
        if loaded is None:
            return self._new()
        self.ledger.n_calls += int(loaded.n_like)
        every = [part for part in zip(loaded.points, loaded.log_l, strict=True) if len(part[1])]
        for points, values in every:
            self.ledger.note_best(points[:, : self.problem.n_dim], values)
        return loaded

    def _log_likelihood(self, u: Array) -> Array:
        inside = inside_cube(u[:, : self.problem.n_dim])
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

    def _pause(self, phase: str, message: str) -> None:
        """A look at the checkpoint, and the news."""
        checkpoint = self.ledger.checkpoint
        self.ledger.tell(phase, message)
        stop = checkpoint.stop_requested()
        if stop or checkpoint.due():
            if self.ledger.journals:
                self.ledger.save()
            self._save_sampler()
        if stop:
            raise self.ledger.interrupted()

    def _save_sampler(self) -> None:
        self.ledger.checkpoint.save_through(self.sampler.write, n_calls=self.ledger.n_calls)
        self.recent.clear()

    def _is_flat(self) -> bool:
        """Whether all live points have the same value: there is nothing to zoom into, and f_live would ask for n_live / f_live calls."""
        log_l = np.concatenate([np.zeros(0), *self.sampler.log_l])
        best = np.max(log_l, initial=-np.inf)
        return bool(np.isfinite(best) and np.count_nonzero(log_l == best) >= self.n_live)

    def explore(self) -> None:
        """The exploration; done at once where a resumed sampler has it behind it. The mixture fitted to it is kept beside it."""
        sampler, ledger = self.sampler, self.ledger
        was_explored = bool(sampler.explored)
        while not sampler.explored:
            ledger.spend(self.n_batch)
            f_live = np.inf if self._is_flat() else self.settings.f_live
            n_like_max = int(sampler.n_like) + self.n_batch
            sampler.run(n_like_max=n_like_max, f_live=f_live, n_shell=0, n_eff=0, discard_exploration=False)
            left = "" if sampler.explored else f", {float(sampler.f_live):.3f} of the evidence in the live points"
            self._pause("exploration", f"{len(sampler.bounds)} bounds{left}")
        self.journal = ledger.journal(FINISH, self.problem)
        notes = self.journal.notes
        if "start" not in notes:
            u, log_weight, _ = sampler.posterior()
            notes["start"] = Mixture.fit(ndtri(inside_cube(u[:, : self.problem.n_dim])), log_weight).to_arrays()
            notes["n_explore"] = int(sampler.n_like)
        self.start, self.n_explore = Mixture.from_arrays(notes["start"]), int(notes["n_explore"])
        if not was_explored:
            ledger.pending = self._save_sampler  # when the next save is due: of a short search it would be the largest cost

    def finish(self) -> SearchOutcome:
        """By the frozen draws of a mixture where that is asked for and earns a grade; by the shells and such draws otherwise."""
        ledger, journal, settings = self.ledger, self.journal, self.settings
        scouted = scout(journal, self.start, stream(self.seed, f"{FINISH}.scout"), n_starts=settings.scout_starts)
        common = {
            "n_explore": self.n_explore,
            "n_gradients": journal.n_gradients,
            "n_new_modes": scouted.n_new,
            "was_scouted": journal.n_gradients > 0,
        }
        if settings.finish == "nautilus":
            rng = stream(self.seed, f"{FINISH}.adaptation")
            adapted = adapt(journal, self.start, rng, n_eff=settings.n_eff, anchors=scouted.anchors)
            return self._pooled(adapted.mixture, common)
        adapted, frozen, n_adapt = adapt_and_freeze(
            journal, self.start, seed=self.seed, name=FINISH, n_eff=settings.n_eff, anchors=scouted.anchors
        )
        ledger.tell("graded", f"grade {frozen.grade}", frozen.log_evidence)
        if frozen.grade == "F":
            ledger.tell("fallback", "the importance sample is graded F: nautilus's own sampling phase takes over")
            return self._pooled(adapted.mixture, common | importance_diagnostics(adapted, frozen, n_adapt=n_adapt, prefix="importance_"))
        diagnostics = {"finish": "importance", "is_fallback": False, **common, **importance_diagnostics(adapted, frozen, n_adapt=n_adapt)}
        return frozen_outcome(frozen, adapted, n_calls=ledger.n_calls, diagnostics=diagnostics)

    def _pooled(self, mixture: Mixture, diagnostics: dict[str, Any]) -> SearchOutcome:
        """The sampling phase. Its draws are new ones: those that a grade was given to are not used again."""
        settings, rng = self.settings, stream(self.seed, f"{FINISH}.draws")
        sampling = _module("sampling").Sampling(self.sampler, self.journal, mixture, rng, n_explore=self.n_explore, n_batch=self.n_batch)
        pool, shells = sampling.run(n_shell=settings.n_shell, n_eff=settings.n_eff, pause=functools.partial(self._pause, "sampling"))
        u, log_likelihood, log_weight = pool.points(shells)
        log_evidence, error = pool.evidence()
        k = pareto_k(log_weight)
        letter = pooled_grade(k)
        return outcome_of(
            u=u,
            log_likelihood=log_likelihood,
            log_weight=log_weight,
            log_evidence=log_evidence,
            log_evidence_error=error * (1.0 if letter == "A" else 2.0),
            n_calls=self.ledger.n_calls,
            diagnostics={
                **diagnostics,
                "finish": "nautilus",
                "is_fallback": settings.finish != "nautilus",
                "grade": letter,
                "n_eff": pool.n_eff,
                "pareto_k": k,
                "efficiency": pool.n_eff / len(u),
                "drawn_share": pool.drawn_share,
                "n_shells": len(shells),
                "n_before": self.n_before,
            },
        )
