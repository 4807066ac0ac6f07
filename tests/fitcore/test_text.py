"""Posteriors as text."""

from __future__ import annotations

import csv
import doctest
import io
import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fitcore import text
from fitcore.analysis.analysis import Analysis
from fitcore.errors import SpecError
from fitcore.result import Result
from fitcore.samples import Samples


def samples(n: int = 400, **more: float) -> Samples:
    rng = np.random.default_rng(1)
    parameters = np.column_stack([1.042 + 0.001 * rng.standard_normal(n), -2e5 + 30.0 * rng.standard_normal(n)])
    return Samples(
        paths=("mass.radius", "flux"),
        parameters=parameters,
        log_likelihood=-0.5 * ((parameters[:, 0] - 1.042) / 0.001) ** 2,
        log_prior=np.zeros(n),
        log_weight=rng.standard_normal(n),
        **more,  # type: ignore[arg-type]
    )


def test_examples() -> None:
    assert doctest.testmod(text).failed == 0


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((1.0, 1.0, 1.0), "1"),
        ((123456.789, 123400.0, 123500.0), "123457 +43 -57"),
        ((1e-9, 0.9e-9, 1.1e-9), "1.00e-9 +0.10e-9 -0.10e-9"),
        ((-4567890.0, -4600000.0, -4500000.0), "-4.568e6 +0.068e6 -0.032e6"),
        ((0.0, -1e-5, 1e-5), "0.0e-5 +1.0e-5 -1.0e-5"),
        ((5e-324, 0.0, 1e-323), "4.94066e-324"),
        ((math.nan, math.nan, math.nan), "nan"),
    ],
)
def test_a_value_with_errors(numbers: tuple[float, float, float], expected: str) -> None:
    assert text.with_errors(*numbers) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (125.4, "2 min 05 s"),
        (3599.9, "1 h 00 min"),
        (3784.0, "1 h 03 min"),
        (-1.0, ""),
        (math.nan, ""),
    ],
)
def test_durations(seconds: float, expected: str) -> None:
    assert text.duration(seconds) == expected


def test_a_summary_says_what_a_person_asks_first() -> None:
    made = samples(log_evidence=-12.3456, log_evidence_error=0.0312)
    lines = str(made.summary(n_calls=12345, diagnostics={"grade": "A"})).splitlines()
    assert lines[0].startswith("log-evidence -12.346 ± 0.031, grade A, 12,345 calls, effective sample size ")
    assert lines[1].split()[0] == "mass.radius"
    assert float(lines[1].split()[1]) == pytest.approx(1.042, abs=1e-3)
    assert lines[1].index("(best") == lines[2].index("(best")
    assert repr(Result(samples().summary())).startswith("<Result: log-evidence none, 0 calls")


def test_a_result_says_what_was_fitted() -> None:
    class Spectrum(Analysis):
        pass

    summary = samples(log_evidence=-12.3456, log_evidence_error=0.0312).summary(n_calls=7, diagnostics={"grade": "B"})
    result = Result(summary, analysis=Spectrum())
    assert repr(result).splitlines()[0].startswith("<Result of Spectrum with 2 parameters: log-evidence -12.346 ± 0.031, grade B, 7 calls")
    source: Any = SimpleNamespace(digest="0123456789abcdef", is_cached=True)
    assert repr(result.attach(source)).startswith("<Result 0123456789ab, from the store, of Spectrum with 2 parameters: log-evidence")
    source.is_cached = False
    assert repr(result).startswith("<Result 0123456789ab of Spectrum with 2 parameters: log-evidence")


def test_a_summary_without_a_known_error() -> None:
    assert str(samples(log_evidence=-12.3456).summary()).startswith("log-evidence -12.346, ")
    assert str(samples(log_evidence=-1234.5, log_evidence_error=13.0).summary()).startswith("log-evidence -1234 ± 13, ")
    assert "log-evidence -1.00000 ± 0.00031" in str(samples(log_evidence=-1.0, log_evidence_error=0.00031).summary())


@pytest.mark.parametrize(
    ("diagnostics", "told"),
    [
        ({"grade": "A", "is_fallback": False, "n_new_modes": 0, "n_divergent": 0, "r_hat_max": 1.001}, None),
        ({"grade": "F"}, "grade F: evidence and posterior are not usable"),
        ({"is_fallback": True}, "fell back to a more costly one"),
        ({"n_new_modes": 1}, "the scout met 1 mode that"),
        ({"n_new_modes": 2}, "the scout met 2 modes that"),
        ({"n_divergent": 3}, "3 divergent transitions"),
        ({"r_hat_max": 1.02}, "the chains disagree: R-hat 1.020, above 1.01"),
    ],
)
def test_warnings_come_last(diagnostics: dict[str, float | int | str | bool], told: str | None) -> None:
    last = str(samples().summary(diagnostics=diagnostics)).splitlines()[-1]
    assert last.startswith("  warning: ") == (told is not None)
    assert told is None or told in last


def test_few_samples_are_warned_about() -> None:
    assert "worth only 40 independent ones" in str(replace(samples(40), log_weight=np.zeros(40)).summary())
    assert "worth only" not in str(replace(samples(100), log_weight=np.zeros(100)).summary())


def test_samples_say_what_a_person_asks_first() -> None:
    made = samples(log_evidence=-12.3456, log_evidence_error=0.0312)
    n_eff = made.effective_sample_size
    head, first, second = repr(made).splitlines()
    assert head == f"<400 samples of 2 parameters, log-evidence -12.346 ± 0.031, effective sample size {n_eff:.0f}"
    lower, upper = made.values_at_sigma(1.0)[0]
    assert first.split()[0] == "mass.radius"
    assert text.with_errors(made.median_pdf()[0], lower, upper) in first
    assert first.endswith(f"(best {made.max_log_likelihood()[0]:.6g})")
    assert second.split()[0] == "flux"
    assert repr(samples()).startswith("<400 samples of 2 parameters, effective sample size")


def test_samples_with_odd_values_have_a_text_too() -> None:
    made = samples(3)
    parameters = made.parameters.copy()
    parameters[0, 0] = parameters[:, 1] = math.nan
    odd = replace(made, parameters=parameters, log_likelihood=np.full(3, math.nan))
    _, first, second = repr(odd).splitlines()
    assert first.endswith("(masked in 1)")
    assert second == "  flux         nan" + " " * (len(second) - len("  flux         nan") - len("(masked in 3)>")) + "(masked in 3)>"
    alone = replace(odd, log_weight=np.array([0.0, -50.0, -50.0]))
    assert repr(alone) == "<3 samples of 2 parameters, effective sample size 1, NOT CONVERGED: one sample holds nearly all the weight>"
    one = Samples(("x",), np.ones((1, 1)), np.zeros(1), np.zeros(1), np.zeros(1))
    assert repr(one).startswith("<1 sample of 1 parameter, effective sample size 1, NOT CONVERGED")


def test_a_posterior_of_one_sample_is_called_that() -> None:
    alone = replace(samples(3), log_weight=np.array([0.0, -50.0, -50.0]))
    assert "NOT CONVERGED" in str(alone.summary())


def test_csv_holds_every_digit() -> None:
    made = samples(log_evidence=-1 / 3)
    header, *rows = csv.reader(io.StringIO(made.to_csv()))
    assert header == ["mass.radius", "flux", "log_likelihood", "log_prior", "log_weight", "weight", "log_evidence", "log_evidence_error"]
    values = np.array(rows, dtype=float)
    assert np.array_equal(values[:, :2], made.parameters)
    assert np.array_equal(values[:, 5], made.weight)
    assert values[:, 5].sum() == pytest.approx(1.0)
    assert set(values[:, 6]) == {-1 / 3}


def test_csv_reads_back_to_the_last_bit() -> None:
    made = samples(7)
    parameters = made.parameters.copy()
    parameters[0] = [math.nan, -0.0]
    parameters[1] = [5e-324, -1.7976931348623157e308]
    odd = replace(
        made,
        paths=("weight", "b"),
        parameters=parameters,
        log_likelihood=np.array([math.nan, -math.inf, *made.log_likelihood[2:]]),
        log_weight=np.array([-math.inf, -800.0, *made.log_weight[2:]]),
        log_evidence=1e22,
    )
    for one in (made, odd, replace(made, log_evidence=-1 / 3, log_evidence_error=0.1), samples(1)):
        back = Samples.from_csv(one.to_csv())
        assert back == one
        for name in ("parameters", "log_likelihood", "log_prior", "log_weight"):
            assert getattr(back, name).tobytes() == getattr(one, name).tobytes()
    assert np.signbit(Samples.from_csv(odd.to_csv()).parameters[0, 1])


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("log_weight,", "", "after the parameters they must be log_likelihood, log_prior, log_weight, weight, log_evidence"),
        ("-1.5", "one", "Every field must be a number"),
        ("-1.5", "-1.5,3", "as many columns as the header|they must be as many"),
        ("-1.5", "-1.6", "several values of log_evidence; samples have one"),
    ],
)
def test_a_damaged_csv_is_told(old: str, new: str, told: str) -> None:
    text_ = samples(3, log_evidence=-1.5).to_csv()
    assert old in text_
    with pytest.raises(SpecError, match=told):
        Samples.from_csv(text_.replace(old, new, 1))
    header, *lines = text_.splitlines()
    with pytest.raises(SpecError, match="has 9 columns under a header of 8; they must be as many"):
        Samples.from_csv("\n".join([header, *(line + ",0" for line in lines)]))
    with pytest.raises(SpecError, match="only a header"):
        Samples.from_csv(text_.splitlines()[0])
    with pytest.raises(SpecError, match="has the columns none"):
        Samples.from_csv("")
