from __future__ import annotations

import numpy as np
import pytest
from nautilus.bounds.basic import minimum_volume_enclosing_ellipsoid as stock

from fitcore.search.ellipsoid import minimum_volume_enclosing_ellipsoid


def ball(n: int, d: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d))
    x *= rng.random((n, 1)) ** (1 / d) / np.linalg.norm(x, axis=1)[:, None]
    return x @ rng.standard_normal((d, d)) * np.geomspace(1e-3, 10, d)


@pytest.mark.parametrize(("n", "d"), [(40, 1), (10, 2), (300, 5), (500, 15)])
def test_it_encloses_and_is_no_larger_than_the_stock_one(n: int, d: int) -> None:
    points = ball(n, d, seed=n)
    c, a, inverse = minimum_volume_enclosing_ellipsoid(points)
    distance = np.einsum("ij,jk,ik->i", points - c, a, points - c)
    assert distance.max() <= 1.0 + 1e-9
    np.testing.assert_allclose(a @ inverse, np.eye(d), atol=1e-6)
    log_volume = 0.5 * np.linalg.slogdet(inverse)[1]
    assert log_volume < 0.5 * np.linalg.slogdet(stock(points)[2])[1] + 0.01


def test_the_corners_of_a_cube_lie_on_a_sphere() -> None:
    corners = np.array(np.meshgrid(*[[-1.0, 1.0]] * 3)).reshape(3, -1).T
    c, a, _ = minimum_volume_enclosing_ellipsoid(corners + 5.0)
    np.testing.assert_allclose(c, 5.0, atol=1e-6)
    np.testing.assert_allclose(a, np.eye(3) / 3.0, atol=1e-4)
