"""Variable projection against differences and against the Schur complement of the full normal equations."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from pipelines.lens.frame import Frame
from pipelines.lens.linear import log_likelihood, pictures
from pipelines.lens.stages import isothermal_model
from pipelines.lens.varpro import LENSING, LIGHT, N_PARAMETERS, PARAMETERS, SECOND, THIRD, Bases, VariableProjection

BASES = Bases()
TWO_SOURCES = Bases(second_source=(0.25, 8))
RICH = Bases(second_source=(0.25, 8), third=(3.6, 10))
OFFSET = 0.02 * np.array([0.5, -0.5, 1, -1, 1, 1, 0.3, 0.2, 1, -1, 1, 0.5, 0.5, 1, -1, 2, 1, 5, -4, 4, -3, 8, 6])


@pytest.fixture(scope="module")
def frame(ring: SimpleNamespace) -> Frame:
    return Frame.from_imaging(ring.make(), mask_radius=2.2)


@pytest.fixture(scope="module")
def away(ring: SimpleNamespace) -> np.ndarray:
    return ring.truth + OFFSET


@pytest.fixture(scope="module")
def held(frame: Frame, away: np.ndarray) -> np.ndarray:
    return VariableProjection(frame=frame, which="light", bases=BASES).solved(away)[3]


def projection_of(which: str, frame: Frame, held: np.ndarray) -> VariableProjection:
    return VariableProjection(frame=frame, which=which, bases=BASES, held=held if which == "source" else None)


def test_is_the_likelihood_of_the_model(frame: Frame, away: np.ndarray) -> None:
    """chi^2 at the best amplitudes, of the same tree, in the same order of parameters."""
    chi2, amplitudes, residual, rows = VariableProjection(frame=frame, which="joint", bases=TWO_SOURCES).solved(away)
    instance = isothermal_model().instance_from_vector(away[:21])
    assert -0.5 * (chi2 + float(frame.log_normalization)) == pytest.approx(float(log_likelihood(instance, frame)), abs=1e-4)
    assert chi2 == pytest.approx(residual @ residual)
    assert rows.shape == (46, frame.target.shape[0])
    assert residual == pytest.approx(np.asarray(frame.target) - amplitudes @ rows, abs=1e-8)


@pytest.mark.parametrize(("which", "bases"), [("light", BASES), ("source", BASES), ("joint", BASES), ("joint", RICH)])
def test_gradient_agrees_with_central_differences(which: str, bases: Bases, frame: Frame, held: np.ndarray, away: np.ndarray) -> None:
    """J'r is minus half the slope of chi^2, with amplitudes solved anew at every point of the difference."""
    projection = replace(projection_of(which, frame, held), bases=bases)
    chi2, matrix, gradient = projection.gauss_newton(away)
    assert chi2 == pytest.approx(projection.solved(away)[0], rel=1e-12)
    assert matrix.shape == (len(gradient),) * 2 == (len(projection.parameters),) * 2
    step = 1e-5
    for own, index in enumerate(projection.parameters):
        shift = np.zeros(N_PARAMETERS)
        shift[index] = step
        difference = (projection.solved(away + shift)[0] - projection.solved(away - shift)[0]) / (2 * step)
        assert -2.0 * gradient[own] == pytest.approx(difference, rel=2e-3, abs=2e-3 * np.abs(gradient).max()), index


@pytest.mark.parametrize("which", ["light", "source", "joint"])
def test_matrix_is_the_schur_complement_of_the_full_normal_equations(which: str, frame: Frame, held: np.ndarray, away: np.ndarray) -> None:
    projection = projection_of(which, frame, held)
    _, amplitudes, _, rows = projection.solved(away)
    active = rows[amplitudes > 0]
    step = 1e-6
    jacobian = []
    for index in projection.parameters:
        shift = np.zeros(N_PARAMETERS)
        shift[index] = step
        ahead, behind = (amplitudes @ projection.solved(away + sign * shift)[3] for sign in (1, -1))
        jacobian.append((ahead - behind) / (2 * step))
    jacobian = np.array(jacobian)
    basis, _ = np.linalg.qr(active.T)
    outside = jacobian - (jacobian @ basis) @ basis.T
    matrix = projection.gauss_newton(away)[1]
    size = np.sqrt(np.diag(matrix))
    assert matrix / size / size[:, None] == pytest.approx(outside @ outside.T / size / size[:, None], abs=2e-4)
    assert np.linalg.eigvalsh(matrix).min() > -1e-6 * np.linalg.eigvalsh(matrix).max()


def test_which_parameters_matter(frame: Frame, held: np.ndarray) -> None:
    for which, expected in (("light", LIGHT), ("source", LENSING), ("joint", range(17))):
        assert projection_of(which, frame, held).parameters.tolist() == list(expected)
    assert TWO_SOURCES.parameters("joint").tolist() == list(range(21))
    assert RICH.parameters("joint").tolist() == list(range(23))
    assert RICH.parameters("light").tolist() == [*LIGHT, *THIRD]
    assert RICH.parameters("source").tolist() == [*LENSING, *SECOND]
    assert [PARAMETERS[i] for i in SECOND[2:]] == ["source.second.offset_x", "source.second.offset_y"]


def test_pictures_are_those_of_the_model(frame: Frame, held: np.ndarray, away: np.ndarray) -> None:
    light, source = VariableProjection(frame=frame, which="joint", bases=TWO_SOURCES).pictures(away)
    expected = pictures(isothermal_model().instance_from_vector(away[:21]), frame)
    assert light == pytest.approx(np.asarray(expected.lens_light), abs=1e-4)
    assert source == pytest.approx(np.asarray(expected.lensed_source), abs=1e-4)
    light, source = projection_of("source", frame, held).pictures(away)
    assert not light.any()
    assert source.max() > 0.5
    light, source = projection_of("light", frame, held).pictures(away)
    assert not source.any()
    assert light.max() > 5.0


def test_amplitudes_of_noiseless_data_are_the_true_ones(ring: SimpleNamespace) -> None:
    frame = Frame.from_imaging(ring.make(seed=None), mask_radius=2.2)
    chi2, _, residual, _ = VariableProjection(frame=frame, which="joint", bases=BASES).solved(ring.truth)
    assert chi2 < 1e-3
    assert np.abs(residual).max() < 1e-3
