"""A limit ends a fit with its work saved and nothing published; the same fit without it goes on from there."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fitcore as fc
from fitcore.fitting import run

MODEL = fc.Model({"x": fc.Uniform(0.0, 1.0), "y": fc.Uniform(0.0, 1.0)})
SEARCH = fc.Nautilus(n_eff=300, scout_starts=0)


class Slow(fc.Analysis):
    """A Gaussian that may take its time."""

    pause = 0.0

    def log_likelihood_function(self, instance: Any) -> float:
        """The log-likelihood of one point."""
        time.sleep(self.pause)
        return -0.5 * float((instance["x"] - 0.4) ** 2 + (instance["y"] - 0.6) ** 2) / 0.1**2

    def identity(self) -> dict[str, Any]:
        """Nothing but the class."""
        return {}


def fitted(store: fc.Store, **more: Any) -> fc.Result:
    return fc.fit(MODEL, Slow(), SEARCH, store=store, progress=False, **more)


def test_calls(tmp_path: Path) -> None:
    store = fc.Store(tmp_path / "one")
    with pytest.raises(
        fc.SearchInterruptedError, match=r"fit is incomplete: the limit of 300 calls is reached \((3|4)\d\d\).*nothing is published"
    ):
        fitted(store, limits=fc.Limits(n_calls=300))
    assert len(store.table()) == 0
    with pytest.raises(fc.SearchInterruptedError, match="the limit of 300 calls"):
        fitted(store, limits=fc.Limits(n_calls=300))
    result = fitted(store, limits=fc.Limits(n_calls=1_000_000))
    whole = fitted(fc.Store(tmp_path / "two"))
    assert np.array_equal(result.samples.parameters, whole.samples.parameters)
    attempts = store.attempts(result.digest)
    assert [a.ended for a in attempts] == ["interrupted", "interrupted", "done"]
    assert attempts[2].n_calls_at_start >= 300


def test_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = fc.Store(tmp_path)
    monkeypatch.setattr(Slow, "pause", 0.002)
    with pytest.raises(fc.SearchInterruptedError, match=r"the time limit of 0.3 s is reached"):
        fitted(store, limits=fc.Limits(seconds=0.3))
    monkeypatch.setattr(Slow, "pause", 0.0)
    assert fitted(store).is_cached is False


def test_one_object_bounds_a_chain(tmp_path: Path) -> None:
    limits = fc.Limits(seconds=1e-3)
    time.sleep(2e-3)
    pipeline = fc.Pipeline("two", [fc.Stage("one", model=MODEL, analysis=lambda dataset, results: Slow(), search=SEARCH)])
    with pytest.raises(fc.SearchInterruptedError, match=r"two\.one is incomplete: the time limit"):
        fc.run_pipeline(pipeline, None, fc.Store(tmp_path), limits=limits)


def test_a_request_to_stop_is_told_as_such(tmp_path: Path) -> None:
    request = fc.Request(model=MODEL, analysis=Slow(), search=SEARCH)
    with pytest.raises(fc.SearchInterruptedError) as caught:
        run(request, fc.Store(tmp_path), stop=lambda: True, limits=fc.Limits(seconds=1000.0))
    assert "limit" not in str(caught.value)


@pytest.mark.parametrize(
    "bad", [{"seconds": 0}, {"seconds": float("nan")}, {"seconds": "1h"}, {"n_calls": 0}, {"n_calls": 1.5}, {"n_calls": True}]
)
def test_limits_that_are_none(bad: dict[str, Any]) -> None:
    with pytest.raises(fc.ConfigError, match=r"it must be a (whole )?number"):
        fc.Limits(**bad)


def test_limits_need_a_store() -> None:
    with pytest.raises(fc.ConfigError, match="kept in a store only"):
        fc.fit(MODEL, Slow(), SEARCH, limits=fc.Limits(seconds=1.0), progress=False)
