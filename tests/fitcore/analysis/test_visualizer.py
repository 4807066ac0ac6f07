"""The default visualizer draws nothing and asks nothing of its arguments."""

from __future__ import annotations

from fitcore.analysis.analysis import Analysis
from fitcore.analysis.visualizer import Visualizer
from fitcore.model import Model, Uniform


def test_the_default_needs_no_paths_and_returns_nothing() -> None:
    assert Analysis.Visualizer is Visualizer
    assert Visualizer.visualize_before_fit(Analysis(), None, Model({"a": Uniform(0, 1)})) is None
    assert Visualizer.visualize(Analysis(), None, {"a": 0.5}, during_analysis=True) is None
