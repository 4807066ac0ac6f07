"""Tables of results: conditions, order, columns, units, and what a notebook shows."""

from __future__ import annotations

import re

import numpy as np
import pytest

import fitcore as fc
from fitcore.board import About

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def table() -> fc.Table:
    columns = {
        "name": ["J1", "J2", "K[3]", "J4"],
        "slope": np.array([2.0, 1.8, np.nan, 2.2]),
        "slope_lower": np.array([1.9, 1.7, np.nan, 2.1]),
        "slope_upper": np.array([2.1, 1.9, np.nan, 2.4]),
        "n_calls": np.array([5, 7, 6, 7]),
    }
    return fc.Table(columns, quantities=["slope"], about={"slope": About(unit="arcsec", description="how steep")})


def names(table: fc.Table) -> list[str]:
    return list(table["name"])


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (["slope<2.1"], ["J1", "J2"]),
        (["slope >= 2"], ["J1", "J4"]),
        (["slope != 2"], ["J2", "J4"]),  # what is not known meets no condition
        (["slope_upper<2", "n_calls=7"], ["J2"]),
        (["n_calls = 7 and name = J*"], ["J2", "J4"]),
        (["name != 'J1'"], ["J2", "K[3]", "J4"]),
        (["name=K[3]"], ["K[3]"]),
        ([], ["J1", "J2", "K[3]", "J4"]),
    ],
)
def test_conditions(table: fc.Table, conditions: list[str], expected: list[str]) -> None:
    assert names(table.where(*conditions)) == expected


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ("slop<2", "There is no column 'slop'. Did you mean 'slope'?"),
        ("slope", "The condition 'slope' is none: give a column"),
        ("slope<steep", "compares the numbers of 'slope' with 'steep'; give a number"),
        ("name<J2", "compares the texts of 'name' with <; = and != are allowed"),
    ],
)
def test_conditions_that_are_none(table: fc.Table, condition: str, told: str) -> None:
    with pytest.raises(fc.ConfigError, match=re.escape(told)):
        table.where(condition)


def test_order_is_stable_and_what_is_not_known_comes_last(table: fc.Table) -> None:
    assert names(table.sorted_by("slope")) == ["J2", "J1", "J4", "K[3]"]
    assert names(table.sorted_by("-slope")) == ["J4", "J1", "J2", "K[3]"]
    assert names(table.sorted_by("-n_calls", "name")) == ["J2", "J4", "K[3]", "J1"]
    assert list(table.sorted_by("-slope").positions) == [3, 0, 1, 2]
    assert list(table.where("n_calls=7").sorted_by("-slope").positions) == [3, 1]


def test_columns(table: fc.Table) -> None:
    chosen = table.select("slope", "name")
    assert chosen.names == ("slope", "slope_lower", "slope_upper", "name")
    assert chosen.shown() == ["slope", "name"]
    assert chosen.cell("slope", 0) == "2.00 +0.10 -0.10"
    assert [chosen.cell("slope", 2), table.cell("n_calls", 1)] == ["", "7"]
    assert chosen.unit("slope_upper") == "arcsec"
    assert table.select("slope_lower").names == ("slope_lower",)
    assert (table[1]["name"], table[-1]["n_calls"]) == ("J2", 7)
    assert names(table[1:3]) == ["J2", "K[3]"]
    with pytest.raises(IndexError):
        table[4]
    with pytest.raises(fc.ConfigError, match="equal"):
        fc.Table({"a": [1], "b": [1, 2]})
    with pytest.raises(fc.ResultNotFoundError, match="belongs to no store"):
        _ = table[0].result


def test_astropy(table: fc.Table) -> None:
    found = table.to_astropy()
    assert str(found["slope_lower"].unit) == "arcsec"
    assert found["slope"].description == "how steep"
    np.testing.assert_array_equal(found["slope"], table["slope"])
    odd = fc.Table({"a": [1.0]}, about={"a": About(unit="image units", description="light")}).to_astropy()
    assert (odd["a"].unit, odd["a"].description) == (None, "light [image units]")


def test_a_notebook_shows_text_and_runs_none(table: fc.Table) -> None:
    hostile = fc.Table({HOSTILE: [HOSTILE * 1000], "x": [1.0]})._repr_html_()
    assert "<script" not in hostile
    assert "&lt;script&gt;" in hostile
    assert len(hostile) < 2000
    assert "2.00 +0.10 -0.10" in table._repr_html_()
    assert repr(table) == "<Table of 4 rows: name, slope, n_calls>"


def test_models_samples_and_results_in_a_notebook() -> None:
    model = fc.Model({"a": fc.Uniform(0, 1), "b": fc.Normal(0, 1), "c": fc.Tied("b")})
    rng = np.random.default_rng(1)
    given = {"parameters": rng.random((500, 2)), **dict.fromkeys(("log_likelihood", "log_prior", "log_weight"), np.zeros(500))}
    samples = fc.Samples(paths=model.paths, model=model, **given)
    result = fc.Result(samples.summary(n_calls=77), samples=samples)
    hostile = fc.Samples(paths=(HOSTILE, "b" * 10_000), **given)
    for shown in (hostile._repr_html_(), fc.Result(hostile.summary())._repr_html_(), hostile.summary()._repr_html_()):
        assert "<script" not in shown
        assert "&lt;script&gt;" in shown
        assert len(shown) < 3000
    for shown in (model._repr_html_(), samples._repr_html_(), result._repr_html_()):
        assert shown.count("<tr>") == 3
        assert "Uniform(lower=0" in shown
    assert "also c" in model._repr_html_()
    assert "77 calls" in result._repr_html_()
