"""The lens light alone, and the map of what stands out of it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.signal import fftconvolve

from pipelines.lens.frame import Frame
from pipelines.lens.light_fit import fit_light, moment_ellipticity
from pipelines.lens.varpro import Bases


@pytest.mark.parametrize("e", [(0.0, 0.0), (0.2, 0.0), (-0.1, 0.3), (0.0, -0.5)])
def test_ellipticity_of_second_moments(e: tuple[float, float]) -> None:
    axis = np.linspace(-6, 6, 401)
    x, y = np.meshgrid(axis, axis)
    w_x, w_y = (1 - e[0]) * x - e[1] * y, (1 + e[0]) * y - e[1] * x
    picture = np.exp(-0.5 * (w_x**2 + w_y**2) / (1 - e[0] ** 2 - e[1] ** 2))
    assert moment_ellipticity(picture, x, y) == pytest.approx(e, abs=1e-3)


def test_nothing_has_no_ellipticity() -> None:
    assert moment_ellipticity(np.zeros((3, 3)), np.ones((3, 3)), np.ones((3, 3))) == (0.0, 0.0)


def test_arcs_are_found_and_the_light_beneath_them(ring: SimpleNamespace) -> None:
    image = ring.make(brightness=0.15)
    frame = Frame.from_imaging(image, mask_radius=2.2)
    fit = fit_light(frame, (0.0, 0.0), Bases())
    x, y = frame.pixel_centers
    radius = np.hypot(x, y)
    sub = [(dx, dy) for dx in (-0.02, 0.02) for dy in (-0.02, 0.02)]
    clean = fftconvolve(np.mean([ring.light(image.x + dx, image.y + dy) for dx, dy in sub], axis=0), image.psf, mode="same")
    rows, columns = np.rint(y / 0.08).astype(int) + 35, np.rint(x / 0.08).astype(int) + 35
    arcs = ring.make(seed=None, brightness=0.15).data[rows, columns] - 0.2 - clean[rows, columns]
    bright = (arcs > 0.15) & (radius > 0.4)
    assert bright.sum() > 50
    assert fit.arcs[bright].mean() > 0.85
    assert fit.arcs[(arcs < 0.01) & (radius > 1.5) & (radius < 2.2)].mean() < 0.05
    assert np.abs(fit.p[:2] - ring.truth[:2]).max() < 0.03
    assert fit.light[radius < 0.3] == pytest.approx(clean[rows, columns][radius < 0.3], rel=0.1)
    assert fit.n_evaluations <= 50
    inner = np.where(radius < 1.5, fit.light, 0.0)
    assert fit.ellipticity == pytest.approx(moment_ellipticity(inner, x - fit.p[0], y - fit.p[1]), abs=1e-9)
    assert fit.ellipticity[0] > 0.03


def test_no_arcs_where_there_is_no_source(ring: SimpleNamespace) -> None:
    frame = Frame.from_imaging(ring.make(brightness=0.0), mask_radius=2.2)
    fit = fit_light(frame, (0.0, 0.0), Bases())
    assert fit.arcs[np.asarray(frame.weight) > 0].mean() < 0.02
    assert np.abs(fit.residual[np.asarray(frame.weight) > 0]).std() < 0.05
