"""What is read out of nautilus's shells: points since the exploration, volume, and the variance of that."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fitcore.search.adapter import shell_of


def sampler(**changes: Any) -> Any:
    """Two shells of three parameters: 3 of 5 and 2 of 4 points are newer than the exploration."""
    rng = np.random.default_rng(1)
    settings: dict[str, Any] = {
        "points": [rng.random((5, 3)), rng.random((4, 3))],
        "log_l": [np.arange(5.0), np.arange(4.0)],
        "shell_end_exp": np.array([2, 2]),
        "shell_log_v": np.array([-1.0, -2.0]),
        "shell_n": np.array([3, 2]),
        "shell_n_sample": np.array([16, 30]),
        "shell_n_sample_exp": np.array([10, 22]),
        "bounds": [None, None],
    }
    return SimpleNamespace(**{**settings, **changes})


def test_the_points_are_those_since_the_exploration() -> None:
    shell = shell_of(sampler(), 0, 2)
    np.testing.assert_array_equal(shell.u, sampler().points[0][2:, :2])
    np.testing.assert_array_equal(shell.log_likelihood, [2.0, 3.0, 4.0])
    assert shell.log_volume == -1.0


def test_points_on_the_faces_of_the_cube_are_moved_inside() -> None:
    shell = shell_of(sampler(points=[np.zeros((5, 3)), np.ones((4, 3))]), 1, 3)
    assert np.all((shell.u > 0) & (shell.u < 1))


def test_the_variance_of_the_volume_is_that_of_a_binomial_fraction() -> None:
    assert shell_of(sampler(), 0, 3).volume_variance == pytest.approx(0.5 / (0.5 * 6), rel=1e-12)
    assert shell_of(sampler(), 1, 3).volume_variance == pytest.approx(0.75 / (0.25 * 8), rel=1e-12)


def test_the_volume_of_a_bound_has_an_error_of_its_own() -> None:
    bound = SimpleNamespace(n_sample=1000, n_reject=600, outer_bound=SimpleNamespace(n_sample=500, n_reject=100))
    plain = shell_of(sampler(), 0, 3).volume_variance
    added = 0.6 / (0.4 * 1000) + 0.2 / (0.8 * 500)
    assert shell_of(sampler(bounds=[bound, None]), 0, 3).volume_variance == pytest.approx(plain + added, rel=1e-12)


def test_a_shell_without_new_points() -> None:
    empty = shell_of(sampler(shell_end_exp=np.array([5, 2]), shell_n=np.array([0, 2]), shell_log_v=np.array([-np.inf, -2.0])), 0, 3)
    assert (empty.u.shape, empty.volume_variance) == ((0, 3), 0.0)


def test_the_variance_is_the_scatter_of_simulated_fractions() -> None:
    """Of n_drawn points of a bound a binomial number falls inside the shell: the scatter of the log volume."""
    rng, n_drawn, share = np.random.default_rng(1), 500, 0.4
    counts = rng.binomial(n_drawn, share, size=4000)
    claimed = []
    for n in counts[:200]:
        points = [np.zeros((n, 3)), np.zeros((4, 3))]
        one = sampler(points=points, log_l=[np.zeros(n), np.zeros(4)], shell_end_exp=np.array([0, 0]), shell_n=np.array([n, 4]))
        one.shell_n_sample, one.shell_n_sample_exp = np.array([n_drawn, 9]), np.array([0, 0])
        claimed.append(shell_of(one, 0, 3).volume_variance)
    assert np.mean(claimed) == pytest.approx(np.var(np.log(counts / n_drawn)), rel=0.08)
