"""Descents: to a known lens from nearby, with penalties, limits and parameters held."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from pipelines.lens.frame import Frame
from pipelines.lens.marquardt import Penalty, descend
from pipelines.lens.varpro import EINSTEIN_RADIUS, Bases, VariableProjection

LOOSE = Penalty(mean=np.zeros(23), sigma=np.full(23, 1e3), lower=np.full(23, -np.inf), upper=np.full(23, np.inf))
OFFSET = np.array([0.02, 0.02, -0.05, 0.05, 0.05, -0.05, 0.02, -0.02, 0.05, -0.05, 0.06, 0.02, 0.02, 0.05, -0.05, 0.05, 0.05] + 6 * [0.0])


@pytest.fixture(scope="module")
def projection(ring: SimpleNamespace) -> VariableProjection:
    return VariableProjection(frame=Frame.from_imaging(ring.make(), mask_radius=2.2), which="joint", bases=Bases())


def test_finds_the_lens_within_its_errors(projection: VariableProjection, ring: SimpleNamespace) -> None:
    found = descend(projection, ring.truth + OFFSET, LOOSE, n_steps=40)
    deviation = np.sqrt(np.diag(np.linalg.inv(found.curvature)))
    assert found.n_evaluations <= 40
    assert found.objective < projection.solved(ring.truth)[0]
    pulls = (found.p - ring.truth)[projection.parameters] / deviation
    assert np.abs(pulls).max() < 4.5
    assert deviation[EINSTEIN_RADIUS] < 0.01
    assert 0.8 < found.chi2 / projection.frame.n_used < 1.2


def test_the_objective_is_chi2_plus_penalty(projection: VariableProjection, ring: SimpleNamespace) -> None:
    tight = Penalty(mean=ring.truth + 0.05, sigma=np.full(23, 0.01), lower=ring.truth - 1, upper=ring.truth + 1)
    found = descend(projection, ring.truth + OFFSET, tight, n_steps=30)
    assert found.objective == pytest.approx(found.chi2 + tight.value(found.p, found.parameters), rel=1e-12)
    loose = descend(projection, ring.truth + OFFSET, LOOSE, n_steps=30)
    away = [np.linalg.norm((one.p - tight.mean) / tight.sigma) for one in (found, loose)]
    assert away[0] < away[1]
    assert np.diag(found.curvature).min() > 1e4


def test_limits_are_kept(projection: VariableProjection, ring: SimpleNamespace) -> None:
    lower, upper = np.full(23, -np.inf), np.full(23, np.inf)
    upper[EINSTEIN_RADIUS] = 1.05
    limited = Penalty(mean=ring.truth, sigma=np.full(23, 1e3), lower=lower, upper=upper)
    found = descend(projection, ring.truth + OFFSET, limited, n_steps=25)
    assert found.p[EINSTEIN_RADIUS] == 1.05


def test_fixed_parameters_stay(projection: VariableProjection, ring: SimpleNamespace) -> None:
    found = descend(projection, ring.truth + OFFSET, LOOSE, n_steps=8, fixed=(6, 7))
    assert found.p[[6, 7]].tolist() == (ring.truth + OFFSET)[[6, 7]].tolist()
    assert (found.p[[8, 9, 10]] != (ring.truth + OFFSET)[[8, 9, 10]]).all()
    assert found.objective < projection.solved(ring.truth + OFFSET)[0]


def test_one_evaluation_returns_the_start(projection: VariableProjection, ring: SimpleNamespace) -> None:
    found = descend(projection, ring.truth + OFFSET, LOOSE, n_steps=1)
    assert found.p.tolist() == (ring.truth + OFFSET).tolist()
    assert found.n_evaluations == 1
