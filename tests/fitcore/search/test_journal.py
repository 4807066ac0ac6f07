from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fitcore.errors import LikelihoodError, NotConvergedError, SearchInterruptedError
from fitcore.search.base import NoCheckpoint, Problem, silent
from fitcore.search.journal import Ledger, checked, unit_cube
from fitcore.search.problems import counting, gaussian


def ledger(checkpoint: Any = None, n_like_max: int = 10**6) -> Ledger:
    return Ledger(checkpoint=checkpoint or NoCheckpoint(), progress=silent, n_like_max=n_like_max, limit_name="Search.n_like_max")


def test_replayed_points_are_not_evaluated_again(folder_checkpoint: Any) -> None:
    z = gaussian(3).draw(700, np.random.default_rng(1))
    first = ledger(folder_checkpoint)
    values = first.journal("part", gaussian(3).problem).log_likelihood(z[:640])
    first.save()
    problem, counts = counting(gaussian(3).problem)
    second = ledger(folder_checkpoint)
    again = second.journal("part", problem).log_likelihood(z)
    np.testing.assert_array_equal(again[:640], values)
    assert counts["values"] == 60
    assert second.n_calls == 700, "calls are counted as if there had been no interruption"


def test_gradients_are_replayed_too(folder_checkpoint: Any) -> None:
    z = gaussian(3).draw(6, np.random.default_rng(1))
    first = ledger(folder_checkpoint)
    value, gradient = first.journal("part", gaussian(3).problem).value_and_gradient(z)
    first.save()
    problem, counts = counting(gaussian(3).problem)
    journal = ledger(folder_checkpoint).journal("part", problem)
    again = journal.value_and_gradient(z)
    np.testing.assert_array_equal(again[0], value)
    np.testing.assert_array_equal(again[1], gradient)
    assert counts["gradients"] == 0
    assert journal.n_gradients == 6


def test_a_stop_while_replaying_loses_nothing(folder_checkpoint: Any) -> None:
    z = gaussian(3).draw(512, np.random.default_rng(1))
    first = ledger(folder_checkpoint)
    first.journal("part", gaussian(3).problem).log_likelihood(z)
    first.save()
    second = ledger(folder_checkpoint)
    second.journal("part", gaussian(3).problem).log_likelihood(z[:128])
    second.save()
    assert len(folder_checkpoint.arrays["part"]["z"]) == 512


def test_a_record_that_differs_is_dropped_from_there(folder_checkpoint: Any) -> None:
    z = gaussian(3).draw(384, np.random.default_rng(1))
    first = ledger(folder_checkpoint)
    first.journal("part", gaussian(3).problem).log_likelihood(z)
    first.save()
    folder_checkpoint.arrays["part"]["z"][130, 0] += 1e-12
    problem, counts = counting(gaussian(3).problem)
    values = ledger(folder_checkpoint).journal("part", problem).log_likelihood(z)
    np.testing.assert_array_equal(values, gaussian(3).problem.log_likelihood(unit_cube(z)))
    assert counts["values"] == 256


def test_the_limit(folder_checkpoint: Any) -> None:
    log = ledger(folder_checkpoint, n_like_max=200).journal("part", gaussian(2).problem)
    log.log_likelihood(np.zeros((128, 2)))
    with pytest.raises(
        NotConvergedError, match=r"made 128 likelihood calls and is not done; Search.n_like_max is 200. Raise Search.n_like_max"
    ):
        log.log_likelihood(np.zeros((128, 2)))


def test_a_stop_saves_first(folder_checkpoint: Any) -> None:
    folder_checkpoint.patience = 1
    with pytest.raises(SearchInterruptedError, match="after 256 likelihood calls"):
        ledger(folder_checkpoint).journal("part", gaussian(2).problem).log_likelihood(np.zeros((512, 2)))
    assert len(folder_checkpoint.arrays["part"]["value"]) == 256


def test_many_single_points_replay_in_linear_time(folder_checkpoint: Any) -> None:
    """Counted, not timed: the record is not summed anew for every point."""

    class Part(list):  # type: ignore[type-arg]
        n_walks = 0

        def __iter__(self) -> Any:
            Part.n_walks += 1
            return super().__iter__()

    z = gaussian(2).draw(300, np.random.default_rng(1))
    first = ledger(folder_checkpoint)
    log = first.journal("part", gaussian(2).problem)
    for point in z:
        log.log_likelihood(point[None])
    first.save()
    log = ledger(folder_checkpoint).journal("part", gaussian(2).problem)
    log._written = {key: Part(parts) for key, parts in log._written.items()}
    again = [log.log_likelihood(point[None])[0] for point in z]
    assert Part.n_walks == 0
    np.testing.assert_allclose(again, gaussian(2).problem.log_likelihood(unit_cube(z)), rtol=1e-9)


@pytest.mark.parametrize("n_batch", [1, 32, 100, 500])
def test_batches_are_whole(n_batch: int) -> None:
    known = gaussian(2)
    problem, counts = counting(Problem(n_dim=2, paths=known.problem.paths, log_likelihood=known.problem.log_likelihood, n_batch=n_batch))
    log = ledger().journal("part", problem)
    n = log.rounded(701.5)
    assert n % n_batch == 0
    assert 702 <= n < 702 + n_batch
    log.log_likelihood(np.zeros((n, 2)))
    assert all(size % n_batch == 0 for size in counts["sizes"])


def test_the_unit_cube_is_open() -> None:
    u = unit_cube(np.array([[-1e3, -40.0, 0.0, 9.0, 1e3]]))
    assert np.all((u > 0.0) & (u < 1.0))
    assert u[0, 2] == 0.5


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_checked(bad: float) -> None:
    with pytest.raises(LikelihoodError, match=r"returned NaN or \+inf for 1 of 2 points"):
        checked([0.0, bad], 2)
    with pytest.raises(LikelihoodError, match=r"returned the shape \(2, 1\) for 2 points; it must return \(2,\)"):
        checked([[0.0], [0.0]], 2)
    np.testing.assert_array_equal(checked([0.0, -np.inf], 2), [0.0, -np.inf])
