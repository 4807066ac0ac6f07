"""What becomes of a likelihood that is not a plain finite number everywhere: the table of ``docs/likelihoods.md``, row by row."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from fitcore.analysis.analysis import Analysis
from fitcore.errors import FitcoreError, LikelihoodError, NonFiniteLikelihoodError, PrecisionError
from fitcore.fitting import fit
from fitcore.model import Less, Model, Uniform
from fitcore.proposal import Proposal
from fitcore.result import Result
from fitcore.search.base import Search
from fitcore.search.importance import Importance
from fitcore.search.nautilus import Nautilus
from fitcore.store import Store

MODEL = Model({"a": Uniform(-1, 1), "b": Uniform(-1, 1)})
NAUTILUS = Nautilus(n_live=100, n_eff=500, n_like_max=40_000)
IMPORTANCE = Importance(n_eff=500, n_live=100, n_like_max=40_000)
SEARCHES = [NAUTILUS, IMPORTANCE]
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "likelihoods.md"


class Given(Analysis):
    """The likelihood is a function of a, b and the array module; calls outside of JAX are counted."""

    def __init__(self, function: Callable[[Any, Any, Any], Any], use_jax: bool = False, name: str = "") -> None:
        super().__init__(use_jax=use_jax)
        self.function, self.name, self.n_python = function, name, 0

    def identity(self) -> dict[str, Any]:
        return {"name": self.name, "use_jax": self.use_jax}

    def log_likelihood_function(self, instance: Any) -> Any:
        self.n_python += 1
        return self.function(instance["a"], instance["b"], jnp if self.use_jax else np)


def gaussian(a: Any, b: Any, xp: Any = np) -> Any:
    return -0.5 * ((a - 0.2) ** 2 + (b + 0.3) ** 2) / 0.1**2


EXACT = math.log(2 * math.pi * 0.1**2 / 4)


@cache
def proposal() -> Proposal:
    """The posterior of a wider Gaussian, as an earlier stage would give it."""
    wide = Given(lambda a, b, xp: gaussian(a, b) / 4, name="wide")
    return fit(MODEL, wide, Nautilus(n_live=100, n_eff=500), progress=False).proposal(MODEL)


def fitted(function: Any, search: Search, use_jax: bool = False, store: Store | None = None, model: Model = MODEL) -> tuple[Result, Given]:
    analysis = Given(function, use_jax)
    given = proposal() if isinstance(search, Importance) else None
    return fit(model, analysis, search, store=store, proposal=given, progress=False), analysis


def agrees(result: Result, exact: float, k: float = 3.0) -> bool:
    return abs(result.log_evidence - exact) <= k * result.log_evidence_error + 1e-12


both = pytest.mark.parametrize("search", SEARCHES, ids=lambda search: type(search).__name__)
jax_or_not = pytest.mark.parametrize("use_jax", [False, True], ids=["numpy", "jax"])


@both
@jax_or_not
def test_nan_in_a_tenth_of_the_prior_is_an_error(search: Search, use_jax: bool) -> None:
    text = (
        r"of Given returned NaN in \d+ of \d+ calls; at most 0\.1 % is tolerated.* For example at a = 0\.[89]\d*, b = .*narrow the priors"
    )
    with pytest.raises(NonFiniteLikelihoodError, match=text):
        fitted(lambda a, b, xp: xp.where(a > 0.8, xp.nan, gaussian(a, b) / 100), search, use_jax)


@both
@jax_or_not
def test_nan_in_a_ten_thousandth_is_a_rejected_point(search: Search, use_jax: bool) -> None:
    def rare(a: Any, b: Any, xp: Any) -> Any:
        return xp.where((a > 0.98) & (b > 0.98), xp.nan, gaussian(a, b))  # 0.01 % of the prior

    result, _ = fitted(rare, search, use_jax)
    assert agrees(result, EXACT)
    assert result.provenance["n_nan"] <= 0.001 * result.samples_summary.n_calls
    assert np.isfinite(result.samples.log_likelihood).all()


@both
@jax_or_not
def test_nan_at_the_peak_is_an_error(search: Search, use_jax: bool) -> None:
    def holed(a: Any, b: Any, xp: Any) -> Any:
        return xp.where((a - 0.2) ** 2 + (b + 0.3) ** 2 < 0.02**2, xp.nan, gaussian(a, b))

    with pytest.raises(NonFiniteLikelihoodError, match=r"none near the peak\. For example at a = 0\.(1[89]|2[01])\d*, b = -0\.(2|3)"):
        fitted(holed, search, use_jax)


@both
def test_a_single_nan_near_the_peak_is_an_error(search: Search) -> None:
    n_calls = 0

    def once(a: Any, b: Any, xp: Any) -> Any:
        nonlocal n_calls
        n_calls += 1
        is_bad = n_calls > 1100 and abs(a - 0.3) < 0.05 and abs(b + 0.3) < 0.05 and not bad
        if is_bad:
            bad.append(n_calls)
        return xp.nan if is_bad else gaussian(a, b)

    bad: list[int] = []
    with pytest.raises(NonFiniteLikelihoodError, match=r"NaN in 1 of \d{4} calls.*none near the peak\. For example at a = 0\.[23]"):
        fitted(once, replace(search, n_eff=2000))
    assert n_calls > 1.5 * bad[0]  # it is judged when the search is done, by its place


@both
@jax_or_not
def test_plus_infinity_is_an_error(search: Search, use_jax: bool) -> None:
    with pytest.raises(NonFiniteLikelihoodError, match=r"of Given returned \+inf at a = 0\.[56]\d*, b = .*a noise of zero"):
        fitted(lambda a, b, xp: xp.where((a > 0.5) & (a < 0.7), xp.inf, gaussian(a, b) / 100), search, use_jax)


@both
@jax_or_not
def test_minus_infinity_everywhere_is_an_error(search: Search, use_jax: bool) -> None:
    text = r"gave no finite value in 10\d\d\d calls, for example at a = .*narrow the priors to where the model is possible\."
    with pytest.raises(NonFiniteLikelihoodError, match=text):
        fitted(lambda a, b, xp: a * 0.0 - xp.inf, search, use_jax)


def test_constraints_that_exclude_everything_are_told_of() -> None:
    impossible = Model(MODEL.tree, (Less("a", "b"), Less("b", "a")))
    with pytest.raises(NonFiniteLikelihoodError, match=r"gave no finite value .* or loosen the model's constraints"):
        fitted(lambda a, b, xp: 0.0, NAUTILUS, model=impossible)


@both
@jax_or_not
def test_a_constant_gives_the_exact_evidence(search: Search, use_jax: bool) -> None:
    result, _ = fitted(lambda a, b, xp: 2.5, search, use_jax)
    assert agrees(result, 2.5)
    assert result.log_evidence_error < 0.1
    assert result.samples_summary.n_calls < 10_000
    spread = np.sqrt(np.diag(result.samples.covariance()))
    assert spread == pytest.approx([1 / math.sqrt(3)] * 2, rel=0.1)


@both
@jax_or_not
def test_a_plateau_gives_the_exact_evidence(search: Search, use_jax: bool) -> None:
    result, _ = fitted(lambda a, b, xp: xp.where(a > 0, 3.0, -xp.inf), search, use_jax)
    assert agrees(result, 3.0 - math.log(2))
    assert result.log_evidence_error < 0.1
    assert result.samples_summary.n_calls < 10_000
    assert (result.samples.parameters[:, 0] > 0).all()


@pytest.mark.parametrize("settings", [{"finish": "nautilus"}, {"finish": "importance"}], ids=lambda s: s["finish"])
def test_evidences_of_flat_likelihoods_scatter_as_claimed(settings: Any) -> None:
    search = Nautilus(n_live=100, n_eff=500, **settings)
    pulls = []
    for function, exact in ((lambda a, b, xp: 1.0, 1.0), (lambda a, b, xp: 3.0 if a > 0 else -np.inf, 3 - math.log(2))):
        for seed in range(4):
            result = fit(MODEL, Given(function), search, progress=False, seed=seed)
            pulls.append((result.log_evidence - exact) / max(result.log_evidence_error, 1e-9))
    assert np.max(np.abs(pulls)) < 3.5
    assert abs(np.mean(pulls)) < 3 / math.sqrt(len(pulls))


TRACED = r"raised KeyError: 'noise'\nwhile JAX traced it or ran a batch of 32 points, the first at a = .*, b = "
WRONG: list[tuple[str, Any, type[FitcoreError], str, str]] = [
    ("single precision", lambda a, b, xp: xp.float32(0.5) * xp.float32(1), PrecisionError, "returned float32; float64 is required", ""),
    ("a vector", lambda a, b, xp: xp.ones(3) * a, LikelihoodError, r"returned an array of shape \(3,\); it must return one number", ""),
    ("one in a vector", lambda a, b, xp: xp.ones(1) * a, LikelihoodError, r"an array of shape \(1,\).*sum over the data", ""),
    ("None", lambda a, b, xp: None, LikelihoodError, "returned None; it must return one real number: is a return missing?", ""),
    ("a string", lambda a, b, xp: "-1.5", LikelihoodError, "returned '-1.5' of type str; it must return one real number", ""),
    ("a list", lambda a, b, xp: [a], LikelihoodError, "of type list; it must return one real number", ""),
    ("complex", lambda a, b, xp: 1j * a, LikelihoodError, r"(a number of type complex128|of type complex); it must return one real", ""),
    ("a boolean", lambda a, b, xp: a > 0, LikelihoodError, r"of type bool; it must return one real number", ""),
    ("an exception", lambda a, b, xp: {}["noise"], LikelihoodError, r"raised KeyError: 'noise'\nat a = .*, b = ", TRACED),
]  # fmt: skip


@jax_or_not
@pytest.mark.parametrize("case", WRONG, ids=[case[0] for case in WRONG])
def test_what_is_no_number_is_an_error(case: Any, use_jax: bool) -> None:
    _, function, error, text, with_jax = case
    with pytest.raises(error, match=(use_jax and with_jax) or text) as told:
        fitted(function, NAUTILUS, use_jax)
    assert type(told.value) is error
    assert use_jax or re.search(r"\nat a = .*, b = ", str(told.value))


def test_a_whole_number_is_a_number() -> None:
    for use_jax in (False, True):
        assert agrees(fitted(lambda a, b, xp: 3, NAUTILUS, use_jax)[0], 3.0)
        assert agrees(fitted(lambda a, b, xp: xp.zeros((), dtype=int), NAUTILUS, use_jax)[0], 0.0)


@both
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_an_exception_keeps_finished_work(search: Search, share: float, tmp_path: Path) -> None:
    whole, analysis = fitted(lambda a, b, xp: gaussian(a, b), search, store=Store(tmp_path / "whole"))
    n_whole = analysis.n_python
    k, n_called = int(share * n_whole), 0

    def failing(a: Any, b: Any, xp: Any) -> Any:
        nonlocal n_called
        n_called += 1
        if n_called == k:
            raise OSError("scratch disk full")
        return gaussian(a, b)

    store = Store(tmp_path / "other")
    with pytest.raises(LikelihoodError, match=r"raised OSError: scratch disk full\nat a = (.*)\nFinished work is kept"):
        fitted(failing, search, store=store)
    result, _ = fitted(failing, search, store=store)
    assert result.digest == whole.digest
    assert result.samples == whole.samples
    assert result.samples_summary == whole.samples_summary
    batch = 128  # points of the batch in which it failed are evaluated again
    assert n_whole < n_called <= n_whole + batch


def test_the_table_of_the_document_names_every_case() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    own = set(re.findall(r"\ndef (test_\w+)", Path(__file__).read_text(encoding="utf-8")))
    assert own - set(re.findall(r"`(test_\w+)`", text)) == {"test_the_table_of_the_document_names_every_case"}
    for error in (NonFiniteLikelihoodError, PrecisionError, LikelihoodError):
        assert f"`{error.__name__}`" in text
