"""Histograms, outliers and cells of campaign pages."""

from __future__ import annotations

import math

import numpy as np

from fitcore.board import About
from flows.page_numbers import HEIGHT, WIDTH, cell, histogram, outliers


def test_a_histogram_counts_every_value_once() -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(1.0, 0.1, 500), [9.0, np.nan, -7.0]])
    verdicts = ["accepted"] * 300 + ["review"] * 150 + ["odd <b>"] * 53
    found = histogram(values, verdicts, "radius", About(unit="arcsec"))
    assert found is not None
    counts = [int(bar["text"].split(": ")[1].split()[0]) for bar in found["bars"]]
    assert sum(counts) == 502
    assert 2 <= found["beyond"] < 8
    assert {bar["color"] for bar in found["bars"]} == {"good", "warn", "quiet"}
    for bar in found["bars"]:
        assert 0 <= float(bar["x"]) <= WIDTH
        assert 0 <= float(bar["y"]) <= HEIGHT
    assert found["unit"] == "arcsec"
    assert abs(float(found["median"]) - 1.0) < 0.02


def test_there_is_no_empty_histogram() -> None:
    for values in ([], [1.0, 2.0], [2.0, 2.0, 2.0, 2.0], [np.nan] * 5):
        assert histogram(np.array(values, dtype=float), ["accepted"] * len(values), "x", About()) is None


def test_outliers_are_told_with_their_distance() -> None:
    values = np.concatenate([np.linspace(-1, 1, 41), [30.0, -20.0, np.nan]])
    found = outliers(values, "x")
    assert [(one.row, one.value) for one in found] == [(41, 30.0), (42, -20.0)]
    assert found[0].distance > 30
    assert outliers(np.array([1.0, 1.0, 50.0]), "x") == []
    assert outliers(np.array([1.0] * 20 + [50.0]), "x") == []  # no scatter to compare with


def test_cells_keep_two_digits_of_the_error() -> None:
    assert cell("r", 1.04213, 1.0411, 1.0433) == {"text": "1.0421", "plus": "0.0012", "minus": "0.0010", "value": "1.04213"}
    assert cell("r", -0.5, -0.6, -0.3)["text"] == "\N{MINUS SIGN}0.50"
    assert cell("r", 2.0, 2.0, 2.0) == {"text": "2", "plus": "", "minus": "", "value": "2"}
    assert cell("m", 2.85258e11, 2.8e11, 2.9e11)["text"] == "2.853e+11"
    assert cell("seconds", 135.0)["text"] == "2 min 15 s"
    assert cell("r", math.nan)["text"] == cell("r", math.inf)["value"] == ""
