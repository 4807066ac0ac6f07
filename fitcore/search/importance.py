"""`Importance`: the warm search. It starts from a proposal, an earlier posterior in the problem's own dimensions, and samples the posterior
under the original priors. The machinery is in `adaptation`, `frozen` and `scout`; what a bad grade leads to is decided here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from fitcore.errors import SpecError
from fitcore.search.adaptation import ROUNDS
from fitcore.search.base import Checkpoint, Problem, Progress, Search, SearchOutcome
from fitcore.search.frozen import adapt_and_freeze
from fitcore.search.journal import Ledger
from fitcore.search.mixture import Mixture
from fitcore.search.nautilus import Nautilus, cold_search
from fitcore.search.outcome import frozen_outcome, importance_diagnostics
from fitcore.search.scout import located, scout
from fitcore.search.settings import check_integer
from fitcore.search.streams import single_threaded, stream


@dataclass(frozen=True, kw_only=True)
class Importance(Search):
    """Adaptive importance sampling from a proposal.

    A bad proposal makes the search slower, not wrong: the mixture always contains the prior, evidence and posterior come from frozen draws
    alone, and a frozen sample that is graded F is thrown away for a cold search.

    Parameters
    ----------
    n_eff : effective sample size asked for.
    scout_starts : gradient ascents from prior draws that look for modes the proposal does not know, where the likelihood can be
        differentiated; 0 for none. Each gradient counts as one call.
    n_rounds : most rounds of adaptation.
    n_live : live points of the cold search that follows a grade F; None as in `Nautilus`.
    n_like_max : most likelihood calls, the cold search included; reaching it is an error, never a poorer result.

    Raises
    ------
    ConfigError
        for a value outside its range.
    """

    version = 6

    n_eff: int = 2000
    scout_starts: int = 32
    n_rounds: int = ROUNDS
    n_live: int | None = None
    n_like_max: int = 300_000

    def __post_init__(self) -> None:
        check_integer(self, "n_eff", 10, 10_000_000)
        check_integer(self, "scout_starts", 0, 10_000)
        check_integer(self, "n_rounds", 1, 1000)
        if self.n_live is not None:
            check_integer(self, "n_live", 20, 100_000)
        check_integer(self, "n_like_max", 1)

    def run(self, problem: Problem, *, seed: int, checkpoint: Checkpoint, progress: Progress) -> SearchOutcome:
        """See `Search.run`.

        Raises
        ------
        SpecError
            when the problem has no proposal, or one of another number of dimensions.
        NotConvergedError
            when ``n_like_max`` is reached first.
        SearchInterruptedError
            when asked to stop; the work is saved.
        """
        proposal = _checked_proposal(problem)
        ledger = Ledger(checkpoint=checkpoint, progress=progress, n_like_max=self.n_like_max, limit_name="Importance.n_like_max")
        with single_threaded(problem) as inner:
            outcome, diagnostics = self._warm(inner, proposal, seed=seed, ledger=ledger)
            if outcome is not None:
                return outcome
            ledger.save()
            ledger.tell("fallback", "the importance sample is graded F: a cold search takes over")
            cold = Nautilus(n_live=self.n_live, n_eff=self.n_eff, scout_starts=self.scout_starts, n_like_max=self.n_like_max)
            found = cold_search(cold, inner, seed=seed, ledger=ledger)
        return replace(found, diagnostics={**found.diagnostics, **diagnostics, "is_fallback": True})

    def _warm(self, problem: Problem, start: Mixture, *, seed: int, ledger: Ledger) -> tuple[SearchOutcome | None, dict[str, Any]]:
        """An outcome of grade A or B; or None, and the diagnostics of the attempt."""
        journal = ledger.journal("warm", problem)
        scouted = scout(journal, start, stream(seed, "importance.scout"), n_starts=self.scout_starts)
        anchors, before, origin = scouted.anchors, journal.n_values, start
        if anchors is None:
            start = located(journal, start, stream(seed, "importance.location"))
        location = {"n_location": journal.n_values - before}
        adapted, frozen, n_adapt = adapt_and_freeze(
            journal, start, seed=seed, name="importance", n_eff=self.n_eff, n_rounds=self.n_rounds, anchors=anchors, origin=origin
        )
        ledger.tell("graded", f"grade {frozen.grade}", frozen.log_evidence)
        scouting = {"n_gradients": journal.n_gradients, "n_new_modes": scouted.n_new, "was_scouted": journal.n_gradients > 0} | location
        if frozen.grade == "F":
            return None, {**importance_diagnostics(adapted, frozen, n_adapt=n_adapt, prefix="warm_"), **scouting}
        found = importance_diagnostics(adapted, frozen, n_adapt=n_adapt)
        diagnostics = {"finish": "importance", "is_fallback": False, **found, **scouting}
        return frozen_outcome(frozen, adapted, n_calls=ledger.n_calls, diagnostics=diagnostics), {}


def _checked_proposal(problem: Problem) -> Mixture:
    proposal = problem.proposal
    if proposal is None:
        raise SpecError(
            "Importance needs a proposal to start from, and the problem has none. Pass result.proposal(model) of an earlier fit, or use "
            "fitcore.Nautilus, which starts from the priors."
        )
    if not isinstance(proposal, Mixture):
        raise SpecError(f"The proposal is a {type(proposal).__name__}; Importance needs a fitcore.search.mixture.Mixture.")
    if proposal.n_dim != problem.n_dim:
        raise SpecError(
            f"The proposal has {proposal.n_dim} dimensions and the problem {problem.n_dim}. Use Mixture.embed to place it among the "
            "problem's parameters."
        )
    return proposal
