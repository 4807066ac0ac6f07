from __future__ import annotations

import numpy as np
import pytest

from fitcore.search.lockstep import Lockstep


def squares(sizes: list[int]) -> Lockstep:
    def evaluate(z: np.ndarray) -> np.ndarray:
        sizes.append(len(z))
        return np.sum(z * z, axis=1)

    return Lockstep(evaluate, size=4)


def test_questions_are_answered_in_batches_and_results_are_in_order() -> None:
    sizes: list[int] = []
    lockstep = squares(sizes)

    def total(n: int) -> float:
        return sum(lockstep(np.array([float(n), float(i)])) for i in range(n))

    order = [5, 0, 3, 1, 4, 2]  # the short ones end first
    assert lockstep.map(total, order) == [float(n**3 + sum(i * i for i in range(n))) for n in order]
    assert max(sizes) == 4
    assert sum(sizes) == sum(range(6))
    assert len(sizes) < sum(range(6))


def test_outside_of_map_one_point_is_one_batch() -> None:
    sizes: list[int] = []
    assert squares(sizes)(np.array([3.0, 4.0])) == 25.0
    assert sizes == [1]


def test_nothing_to_do() -> None:
    assert squares([]).map(lambda item: item, []) == []
    assert squares([]).map(lambda item: item + 1, [1, 2, 3, 4, 5]) == [2, 3, 4, 5, 6]


def test_what_the_evaluation_raises_ends_all_callers() -> None:
    ended: list[int] = []

    def evaluate(z: np.ndarray) -> np.ndarray:
        raise KeyError("stop")

    lockstep = Lockstep(evaluate, size=3)

    def ask(n: int) -> float:
        try:
            return lockstep(np.zeros(1))
        except Exception:  # what a library may do: it must not see the end
            return -1.0
        finally:
            ended.append(n)

    with pytest.raises(KeyError, match="stop"):
        lockstep.map(ask, range(5))
    assert sorted(ended) == [0, 1, 2]


def test_what_a_caller_raises_ends_the_others() -> None:
    lockstep = squares([])

    def ask(n: int) -> float:
        if n == 2:
            raise ValueError("the third")
        return lockstep(np.zeros(1)) + lockstep(np.ones(1))

    with pytest.raises(ValueError, match="the third"):
        lockstep.map(ask, range(4))
    assert lockstep.map(lambda n: lockstep(np.full(1, n)), [1.0, 2.0]) == [1.0, 4.0]


def test_the_error_state_of_numpy_is_that_of_the_caller() -> None:
    lockstep = squares([])
    with np.errstate(divide="ignore"):
        assert lockstep.map(lambda n: np.log(np.array(0.0)) + lockstep(np.zeros(1)), [0]) == [-np.inf]
