from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from fitcore.errors import SpecError
from fitcore.search.problems import gaussian
from fitcore.search.streams import single_threaded, stream, sub_seed


def test_streams_depend_on_seed_and_name_only() -> None:
    np.testing.assert_array_equal(stream(3, "a").random(5), stream(np.int64(3), "a").random(5))
    assert stream(3, "a").random() != stream(4, "a").random()
    assert stream(3, "a").random() != stream(3, "b").random()
    assert sub_seed(3, "a") == sub_seed(3, "a") != sub_seed(3, "b")
    assert stream(2**80, "a").random() != stream(0, "a").random()


def test_the_streams_are_the_same_on_every_machine() -> None:
    assert stream(0, "test").integers(10**6) == 202085
    assert sub_seed(0, "test") == 71395768


@pytest.mark.parametrize("seed", [-1, 1.5, "a", True, None])
def test_seeds_refused(seed: object) -> None:
    with pytest.raises(SpecError, match="it must be an integer of at least 0"):
        stream(seed, "a")  # type: ignore[arg-type]


def test_the_likelihood_keeps_its_threads_and_its_warnings() -> None:
    def threads() -> list[int]:
        return [library["num_threads"] for library in threadpool_info()]

    outside, seen = threads(), []

    def log_likelihood(u: np.ndarray) -> np.ndarray:
        seen.append((threads(), np.geterr()["divide"]))
        return np.zeros(len(u))

    with single_threaded(replace(gaussian(2).problem, log_likelihood=log_likelihood)) as problem:
        assert set(threads()) == {1}
        assert np.geterr()["divide"] == "ignore"
        problem.log_likelihood(np.zeros((3, 2)))
    assert seen == [(outside, np.geterr()["divide"])]
    assert threads() == outside
