"""The panel of models: who wins the vote, who dissents, where the second source starts, and that a clump no longer bends the mass."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from pipelines.lens.frame import Frame
from pipelines.lens.marquardt import Minimum
from pipelines.lens.panel import LOUDEST, UNIMAGED, Standing, clearest_rival, dissenters, standings, with_second_source
from pipelines.lens.varpro import N_PARAMETERS, SECOND, Bases, VariableProjection


def minimum(radius: float, objective: float, offset: float = 0.1) -> Minimum:
    p = np.zeros(N_PARAMETERS)
    p[10], p[13] = radius, offset
    return Minimum(p=p, objective=objective, chi2=objective, curvature=np.eye(17), parameters=np.arange(17), n_evaluations=3)


def columns(objectives: list[list[float]], radii: list[float]) -> list[list[Minimum]]:
    """One model a row of ``objectives``, one solution a column."""
    return [[minimum(radius, value) for radius, value in zip(radii, row, strict=True)] for row in objectives]


def test_no_model_outvotes_the_others() -> None:
    """The first solution is 250 better in two models and 10,000 worse in the third."""
    rows = standings(columns([[0.0, 250.0], [0.0, 250.0], [10_000.0, 0.0]], [1.0, 1.5]))
    assert rows[0].radius == 1.0
    assert rows[0].costs == (0.0, 0.0, 10_000.0)
    assert [row.cost for row in rows] == [LOUDEST, 500.0]


def test_a_single_image_costs_more_than_any_fit() -> None:
    """A source at 3 arcsec behind a lens of 1 has one image."""
    rows = standings([[minimum(1.0, 0.0, offset=3.0), minimum(1.5, 800.0)]])
    assert [row.radius for row in rows] == [1.5, 1.0]
    assert [row.imaged for row in rows] == [(True,), (False,)]
    assert [row.cost for row in rows] == [LOUDEST, UNIMAGED]


def test_models_that_prefer_another_radius_are_named() -> None:
    rows = standings(columns([[0.0, 90.0, 95.0], [20.0, 0.0, 50.0], [0.0, 40.0, 60.0]], [1.0, 1.3, 1.02]))
    assert rows[0].radii[0] == 1.0
    assert dissenters(rows) == [(1, 1.3)]
    assert clearest_rival(rows) == pytest.approx((130.0 - 20.0) / 3)


def test_without_another_radius_there_is_no_rival() -> None:
    rows = standings(columns([[0.0, 90.0]], [1.0, 1.02]))
    assert clearest_rival(rows) == np.inf
    assert dissenters(rows) == []


def test_spread_is_that_of_the_models_with_two_sources() -> None:
    """The plain model, first, is left out: where it cannot fit the source its radius says nothing."""
    standing = Standing(minima=tuple(minimum(radius, 0.0) for radius in (1.2, 1.0, 1.03, 1.01)), costs=(0.0,) * 4, imaged=(True,) * 4)
    assert standing.spread == pytest.approx(0.03 / 1.01)


def test_the_second_source_starts_where_the_residual_comes_from(ring: SimpleNamespace) -> None:
    """A model whose source is too small by hand: the start goes to what is left, traced back."""
    frame = Frame.from_imaging(ring.make(), mask_radius=2.2)
    projection = VariableProjection(frame=frame, which="joint", bases=Bases(source=(0.05, 2)))
    p = ring.truth.copy()
    p[13] -= 0.25
    start = with_second_source(
        Minimum(p=p, objective=0.0, chi2=0.0, curvature=np.eye(17), parameters=np.arange(17), n_evaluations=1), projection
    )
    assert start[:17].tolist() == p[:17].tolist()
    assert start[SECOND[2:]] == pytest.approx([0.25, 0.0], abs=0.12)


def test_where_nothing_is_left_the_second_source_starts_at_the_first(ring: SimpleNamespace) -> None:
    frame = Frame.from_imaging(ring.make(seed=None), mask_radius=2.2)
    projection = VariableProjection(frame=frame, which="joint", bases=Bases())
    start = with_second_source(
        Minimum(p=ring.truth, objective=0.0, chi2=0.0, curvature=np.eye(17), parameters=np.arange(17), n_evaluations=1), projection
    )
    assert np.hypot(*start[SECOND[2:]]) < 0.05
