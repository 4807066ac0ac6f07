"""What three failed attempts lead to: a spoiled state is set aside once; a run that is interrupted too often hears of it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fitcore as fc
from fitcore.search.base import Checkpoint, Problem, Progress, Search, SearchOutcome
from fitcore.store import Store, setbacks
from fitcore.store.attempts import LOST, Attempt, Process
from fitcore.store.notices import CheckpointWarning, QuarantineWarning

DIGEST = "ab" * 32
HERE = Process.own()
ELSEWHERE = replace(HERE, boot="another machine")


def attempt(number: int, ended: str, *, start: int = 500, calls: int = 500, holder: Process = HERE) -> Attempt:
    return Attempt(number=number, holder=holder, started="", n_calls_at_start=start, n_calls=calls, ended=ended, took_over_because="")


def heard(store: Store, past: Sequence[Attempt], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The warnings at the attempt after those of ``past``."""
    monkeypatch.setattr(setbacks, "attempts", lambda folder: list(past))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        setbacks.heed(store._layout, DIGEST, number=len(past) + 1)
    return caught


@pytest.fixture
def store(tmp_path: Path) -> Store:
    kept = Store(tmp_path / "store")
    with kept.lease(DIGEST):
        pass
    kept.checkpoint(DIGEST, fingerprint={}).save_arrays({"x": np.arange(3.0)}, n_calls=500)
    return kept


def state_of(store: Store) -> Any:
    return store.checkpoint(DIGEST, fingerprint={}).load_arrays()


@pytest.mark.parametrize("ended", [LOST, "failed: ValueError", "failed: MemoryError"])
def test_three_failures_on_one_state_set_it_aside(store: Store, monkeypatch: pytest.MonkeyPatch, ended: str) -> None:
    (warning,) = heard(store, [attempt(n, ended, calls=500 + n) for n in (1, 2, 3)], monkeypatch)
    assert issubclass(warning.category, QuarantineWarning)
    assert "failed on the state at 500 calls" in str(warning.message)
    assert f"attempt 2 {ended} at 502 calls" in str(warning.message)
    assert state_of(store) is None
    assert len(list((store.path / "quarantine").glob("*/state-*.h5"))) == 1


def test_it_is_set_aside_once_only(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    past = [attempt(n, LOST) for n in (1, 2, 3)]
    heard(store, past, monkeypatch)
    store.checkpoint(DIGEST, fingerprint={}).save_arrays({"x": np.arange(3.0)}, n_calls=500)
    (warning,) = heard(store, past, monkeypatch)
    assert issubclass(warning.category, CheckpointWarning)
    assert state_of(store) is not None


@pytest.mark.parametrize(
    ("past", "is_told"),
    [
        ([attempt(n, LOST, holder=ELSEWHERE) for n in (1, 2, 3)], True),  # the machine stopped
        ([attempt(n, LOST, start=0, calls=0) for n in (1, 2, 3)], True),  # ended before the state was read
        ([attempt(n, "interrupted") for n in (1, 2, 3)], True),
        ([attempt(n, "failed: StoreError") for n in (1, 2, 3)], True),
        ([attempt(n, "failed: NonFiniteLikelihoodError") for n in (1, 2, 3)], True),
        ([attempt(1, LOST, start=200), attempt(2, LOST), attempt(3, LOST)], False),  # the first of them saved the state
        ([attempt(n, LOST) for n in (1, 2)], False),
        ([attempt(1, LOST), attempt(2, "done"), attempt(3, LOST)], False),
        ([], False),
    ],
)
def test_what_is_not_the_states_fault(store: Store, monkeypatch: pytest.MonkeyPatch, past: list[Attempt], is_told: bool) -> None:
    caught = heard(store, past, monkeypatch)
    assert [warning.category for warning in caught] == [CheckpointWarning] * is_told
    assert all("smaller batches" in str(warning.message) for warning in caught)
    assert state_of(store) is not None


def test_interrupted_before_anything_was_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (warning,) = heard(Store(tmp_path), [attempt(n, LOST, start=0, calls=40) for n in (1, 2, 3)], monkeypatch)
    assert "could save anything after the start" in str(warning.message)


@dataclass(frozen=True, kw_only=True)
class Spoiled(Search):
    """Saves a state from which it cannot go on: a stand-in for whatever a hash cannot show."""

    def run(self, problem: Problem, *, seed: int, checkpoint: Checkpoint, progress: Progress) -> SearchOutcome:
        """See `Search.run`."""
        state = checkpoint.load_arrays()
        if state is not None and not state["is_good"]:
            raise IndexError("a state that makes no sense")
        checkpoint.save_arrays({"is_good": state is not None or getattr(problem.analysis, "is_mended", False)}, n_calls=10)
        if not getattr(problem.analysis, "is_mended", False):
            raise fc.SearchInterruptedError("asked to stop")
        u = np.full((4, problem.n_dim), 0.5)
        return SearchOutcome(
            u=u, log_likelihood=np.zeros(4), log_weight=np.full(4, -np.log(4.0)), log_evidence=0.0, log_evidence_error=0.1, n_calls=10
        )


class Flat(fc.Analysis):
    """A constant likelihood."""

    is_mended = False

    def log_likelihood_function(self, instance: Any) -> float:
        """Zero."""
        return 0.0


def test_a_fit_restarts_from_the_beginning(tmp_path: Path) -> None:
    store = Store(tmp_path)
    model = fc.Model({"x": fc.Uniform(0.0, 1.0)})

    def run() -> fc.Result:
        return fc.fit(model, Flat(), Spoiled(), store=store, progress=False)

    with pytest.raises(fc.SearchInterruptedError):
        run()
    for _ in range(3):
        with pytest.raises(IndexError):
            run()
    Flat.is_mended = True
    try:
        with pytest.warns(QuarantineWarning, match="may be spoiled"):
            result = run()
    finally:
        Flat.is_mended = False
    assert [a.ended for a in store.attempts(result.digest)] == ["interrupted", *["failed: IndexError"] * 3, "done"]
    assert [a.n_calls_at_start for a in store.attempts(result.digest)] == [0, 10, 10, 10, 0]
