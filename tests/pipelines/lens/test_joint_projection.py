"""The projection of several bands: against the likelihood, and its derivatives against differences."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from pipelines.lens.joint_analysis import JointAnalysis
from pipelines.lens.joint_projection import N_OWN, N_SHARED, JointProjection, joint_names, of_band, slots
from pipelines.lens.panel import TWO_SOURCES
from pipelines.lens.stages import isothermal_model
from pipelines.lens.varpro import VariableProjection


@pytest.fixture(scope="module")
def joint(two_bands: SimpleNamespace) -> SimpleNamespace:
    """The projection, the analysis and its model, and a point near the truth with a shear and an offset that matter."""
    analysis = JointAnalysis(two_bands.dataset, start=two_bands.start)
    projections = [VariableProjection(frame=child.frame, which="joint", bases=TWO_SOURCES) for child in analysis.children]
    p = np.concatenate([list(two_bands.start.values()), [0.02, -0.05, 0.12, 0.04, -0.06, 0.1, 0.06, -0.04]])
    p[11:13], p[17:21] = (0.08, -0.05), (0.1, 0.05, 0.07, -0.04)
    return SimpleNamespace(
        projection=JointProjection(projections=tuple(projections)), analysis=analysis, p=p, model=analysis.modify_model(isothermal_model())
    )


def test_names_are_the_model_s_and_slots_are_theirs(joint: SimpleNamespace) -> None:
    names = joint_names(["B"])
    assert set(names) == set(joint.model.paths)
    assert len(names) == N_SHARED + N_OWN == len(joint.projection.parameters)
    light, offset = slots(0)
    assert names[offset] == ("bands.B.offset_x", "bands.B.offset_y")
    assert all(name.startswith("bands.B.lens_light.") for name in names[light])
    assert joint_names(["B", "C"])[slots(1)[1]] == ("bands.C.offset_x", "bands.C.offset_y")


def test_chi_squared_is_the_likelihood_s(joint: SimpleNamespace) -> None:
    """Two ways to move a band: here by its parameters, there by the rays."""
    order = [joint_names(["B"]).index(path) for path in joint.model.paths]
    instance = joint.model.instance_from_vector(joint.p[order])
    norm = sum(float(child.frame.log_normalization) for child in joint.analysis.children)
    chi2 = -2.0 * float(joint.analysis.log_likelihood_function(instance)) - norm
    assert joint.projection.gauss_newton(joint.p)[0] == pytest.approx(chi2, rel=1e-9)
    assert sum(joint.projection.chi_squared(joint.p)) == pytest.approx(chi2, rel=1e-9)


def test_a_band_s_parameters_have_these_slopes(joint: SimpleNamespace) -> None:
    _, slopes = of_band(joint.p, 0)
    for i in range(len(joint.p)):
        step = np.zeros(len(joint.p))
        step[i] = 1e-6
        difference = (of_band(joint.p + step, 0)[0] - of_band(joint.p - step, 0)[0])[:N_SHARED] / 2e-6
        np.testing.assert_allclose(slopes[:, i], difference, atol=1e-9, err_msg=str(i))


def test_the_gradient_is_that_of_chi_squared(joint: SimpleNamespace) -> None:
    """J'r is minus half of it; the amplitudes' own slopes vanish at their best."""
    gradient = joint.projection.gauss_newton(joint.p)[2]
    for i in (6, 10, 11, 13, 19, *range(N_SHARED, N_SHARED + N_OWN)):
        step = np.zeros(len(joint.p))
        step[i] = 1e-5
        up, down = (joint.projection.gauss_newton(joint.p + sign * step)[0] for sign in (1.0, -1.0))
        assert gradient[i] == pytest.approx(-(up - down) / 4e-5, rel=2e-4, abs=1e-4 * np.abs(gradient).max()), i
