"""Descents that are remembered: after a stop at any place the rest is run, and only the rest."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from fitcore.errors import SearchInterruptedError
from fitcore.search.base import NoCheckpoint
from pipelines.lens.descents import Descents
from pipelines.lens.marquardt import Minimum

STARTS = [np.full(23, float(i)) for i in range(7)]
FREE = (np.arange(17), np.array([0, 3, 10]))


class Kept(NoCheckpoint):
    """A checkpoint in memory, always due, that asks to stop when ``n_until_stop`` descents have been saved or looked at."""

    def __init__(self, n_until_stop: int) -> None:
        self.state: dict[str, Any] | None = None
        self.n_until_stop = n_until_stop
        self.saved_calls = 0

    def due(self) -> bool:
        return True

    def stop_requested(self) -> bool:
        self.n_until_stop -= 1
        return self.n_until_stop < 0

    def save_arrays(self, state: Mapping[str, Any], *, n_calls: int) -> None:
        self.state, self.saved_calls = {key: np.array(value) for key, value in state.items()}, n_calls

    def load_arrays(self) -> dict[str, Any] | None:
        return self.state


def whole_run(checkpoint: NoCheckpoint, shift: float = 0.0) -> tuple[list[Minimum], list[float], list[int]]:
    """Two batches, the second from where the first ended; with the starts that were really run, and the counts that were told."""
    begun: list[float] = []
    told: list[int] = []

    def descend(start: np.ndarray) -> Minimum:
        begun.append(float(start[0]))
        free = FREE[int(start[0]) % 2]
        value = float(np.sin(start[0]) / 3.0)
        return Minimum(
            p=start + value,
            objective=value,
            chi2=value / 7.0,
            curvature=np.diag(1.0 / (1.0 + free + start[0])),
            parameters=free,
            n_evaluations=int(start[0]) + 2,
        )

    with ThreadPoolExecutor(1) as pool:
        descents = Descents(checkpoint, pool, told.append)
        first = descents.run(descend, STARTS[:4])
        second = descents.run(descend, [minimum.p + shift for minimum in first])
    return [*first, *second], begun, told


def same(one: Minimum, other: Minimum) -> bool:
    names = ("p", "objective", "chi2", "curvature", "parameters", "n_evaluations")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


@pytest.mark.parametrize("n", range(8))
def test_a_stopped_run_goes_on_where_it_was(n: int) -> None:
    expected, begun, told = whole_run(NoCheckpoint())
    assert len(begun) == len(expected) == 8
    checkpoint = Kept(n)
    with pytest.raises(SearchInterruptedError, match="The same command goes on from there"):
        whole_run(checkpoint)
    assert checkpoint.saved_calls == told[n]
    checkpoint.n_until_stop = 100
    found, begun_again, told_again = whole_run(checkpoint)
    assert all(map(same, found, expected))
    assert begun_again == begun[n + 1 :]
    assert told_again == told


@pytest.mark.parametrize("n", [3, 5])
def test_a_second_stop_before_the_first_one_is_caught_up_loses_nothing(n: int) -> None:
    checkpoint = Kept(n)
    with pytest.raises(SearchInterruptedError):
        whole_run(checkpoint)
    kept = checkpoint.state
    checkpoint.n_until_stop = 0
    with ThreadPoolExecutor(1) as pool, pytest.raises(SearchInterruptedError):
        Descents(checkpoint, pool, lambda n: None).check()
    assert checkpoint.state is kept


def test_other_starts_are_run_anew() -> None:
    checkpoint = Kept(100)
    whole_run(checkpoint)
    expected, _, _ = whole_run(NoCheckpoint(), shift=0.5)
    found, begun, _ = whole_run(checkpoint, shift=0.5)
    assert all(map(same, found, expected))
    assert len(begun) == 4  # the second batch


def test_a_failure_is_not_swallowed() -> None:
    def descend(start: np.ndarray) -> Minimum:
        raise ValueError("no way down")

    with ThreadPoolExecutor(2) as pool, pytest.raises(ValueError, match="no way down"):
        Descents(NoCheckpoint(), pool, lambda n: None).run(descend, STARTS)
