from __future__ import annotations

import numpy as np

from fitcore.search.modes import descend, distinct, gaussian_at, mode_of


def test_descend_reaches_the_minimum_of_a_narrow_valley() -> None:
    """Rosenbrock's function in four dimensions has its minimum, 0, at ones."""

    def rosenbrock(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        a, b = z[:, 1:] - z[:, :-1] ** 2, 1.0 - z[:, :-1]
        gradient = np.zeros_like(z)
        gradient[:, 1:] += 20.0 * a
        gradient[:, :-1] += -40.0 * a * z[:, :-1] - 2.0 * b
        return np.sum(10.0 * a**2 + b**2, axis=1), gradient

    places, values, _ = descend(rosenbrock, np.random.default_rng(1).standard_normal((6, 4)))
    assert np.sum(values < 1e-2) >= 4
    np.testing.assert_allclose(places[np.argmin(values)], 1.0, atol=0.1)


def test_a_start_where_the_function_is_not_finite_is_dropped() -> None:
    def half(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.where(z[:, 0] > 0, np.sum(z**2, axis=1), np.inf), 2.0 * z

    places, values, _ = descend(half, np.array([[1.0, 1.0], [-1.0, 1.0]]))
    assert values[1] == np.inf
    assert values[0] < 0.1
    assert np.all(places[0] >= 0)


def test_a_descent_that_meets_a_wall_says_so() -> None:
    def walled(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.where(z[:, 0] > 0.5, np.sum(z**2, axis=1), np.inf), 2.0 * z

    places, _, is_walled = descend(walled, np.array([[2.0, 1.0], [0.6, 0.0], [-1.0, 0.0]]))
    assert is_walled.tolist() == [True, True, False]
    assert np.all(places[:2, 0] > 0.5)


def test_places_are_grouped_about_the_deepest_and_counted() -> None:
    def bowl(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return 50.0 * np.sum(z**2, axis=1), 100.0 * z

    places = np.array([[0.35, 0.0], [0.0, 0.001], [0.0, 0.0], [0.3, 0.0], [5.0, 5.0]])
    values = bowl(places)[0]
    found = distinct(places, values, lambda z, value: gaussian_at(bowl, z, value))
    assert [mode.n_hits for mode in found] == [4], "within four standard deviations of 0.1; the last is too shallow"
    assert np.array_equal(found[0].z, [0.0, 0.0])
    np.testing.assert_allclose(found[0].covariance, 0.01 * np.eye(2), rtol=1e-6)
    assert found[0].log_mass == -np.log(100.0)
    apart = distinct(places[[2, 4]], np.zeros(2), lambda z, value: gaussian_at(bowl, z, value), n_most=1)
    assert len(apart) == 1


def test_no_gaussian_is_wider_than_the_prior() -> None:
    mode = mode_of(np.diag([4.0, 0.01, -3.0]), np.zeros(3), 1.0)
    np.testing.assert_allclose(mode.covariance, np.diag([0.25, 1.0, 1.0]))
