"""Posteriors as text."""

from __future__ import annotations

import csv
import doctest
import io
import math
from dataclasses import replace

import numpy as np
import pytest

from fitcore import text
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
        ((1e-9, 0.9e-9, 1.1e-9), "0.00000000100 +0.00000000010 -0.00000000010"),
        ((math.nan, math.nan, math.nan), "nan"),
    ],
)
def test_a_value_with_errors(numbers: tuple[float, float, float], expected: str) -> None:
    assert text.with_errors(*numbers) == expected


def test_a_summary_says_what_a_person_asks_first() -> None:
    made = samples(log_evidence=-12.3456, log_evidence_error=0.0312)
    lines = str(made.summary(n_calls=12345, diagnostics={"grade": "A"})).splitlines()
    assert lines[0].startswith("log-evidence -12.346 ± 0.031, grade A, 12,345 calls, effective sample size ")
    assert lines[1].split()[0] == "mass.radius"
    assert float(lines[1].split()[1]) == pytest.approx(1.042, abs=1e-3)
    assert lines[1].index("(best") == lines[2].index("(best")
    assert repr(Result(samples().summary())).startswith("<Result: log-evidence none, 0 calls")


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
    with pytest.raises(SpecError, match="only a header"):
        Samples.from_csv(text_.splitlines()[0])
    with pytest.raises(SpecError, match="has the columns none"):
        Samples.from_csv("")
