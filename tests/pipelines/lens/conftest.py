"""A small lens made with numpy alone, for the tests of pictures and report; ray-traced exactly, so that its arcs lie where they should."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

SCALE = 0.05
RADIUS, AXIS_RATIO = 1.4, 0.72


def _deflection(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Singular isothermal ellipse, major axis on x (Kormann, Schneider & Bartelmann 1994)."""
    f = np.sqrt(1 - AXIS_RATIO**2)
    psi = np.sqrt(AXIS_RATIO**2 * x**2 + y**2) + 1e-12
    strength = RADIUS * np.sqrt(AXIS_RATIO) / f
    return strength * np.arctan(f * x / psi), strength * np.arctanh(f * y / psi)


def _blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    kernel = np.exp(-0.5 * (np.arange(-8, 9) / sigma) ** 2)
    kernel /= kernel.sum()
    rows = np.apply_along_axis(np.convolve, 1, image, kernel, mode="same")
    return np.apply_along_axis(np.convolve, 0, rows, kernel, mode="same")


def _source(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    main = 1.1 * np.exp(-0.5 * (((x - 0.10) / 0.09) ** 2 + ((y - 0.12) / 0.06) ** 2))
    return main + 0.5 * np.exp(-0.5 * (((x + 0.05) / 0.04) ** 2 + ((y - 0.2) / 0.04) ** 2))


def _make(n: int = 161, mask_radius: float = 3.0) -> SimpleNamespace:
    half = 0.5 * n * SCALE
    axis = (np.arange(n) - 0.5 * (n - 1)) * SCALE
    x, y = np.meshgrid(axis, axis)
    alpha_x, alpha_y = _deflection(x, y)
    lensed_source = _blurred(_source(x - alpha_x, y - alpha_y), 1.4)
    lens_light = _blurred(9.0 * np.exp(-3.5 * (np.hypot(x, y / 0.8) / 0.6) ** 0.5) + 0.6 * np.exp(-np.hypot(x, y / 0.75) / 0.5), 1.4)
    model = lens_light + lensed_source
    noise = np.sqrt(0.03**2 + 0.002 * model)
    data = model + noise * np.random.default_rng(5).standard_normal((n, n))
    data += 2.0 * np.exp(-0.5 * (((x - 3.2) / 0.2) ** 2 + ((y + 2.9) / 0.15) ** 2))  # a neighbor outside the mask
    t = np.linspace(0, 2 * np.pi, 400)
    critical_x, critical_y = RADIUS / np.sqrt(AXIS_RATIO) * np.cos(t), RADIUS * np.sqrt(AXIS_RATIO) * np.sin(t)
    caustic_x, caustic_y = _deflection(critical_x, critical_y)
    fine = np.linspace(-0.6, 0.6, 121)
    return SimpleNamespace(
        data=data, noise=noise, mask=np.hypot(x, y) < mask_radius, model=model, lens_light=lens_light, lensed_source=lensed_source,
        extent=(-half, half, -half, half), critical=np.stack([critical_x, critical_y], axis=1),
        caustic=np.stack([critical_x - caustic_x, critical_y - caustic_y], axis=1), source=_source(*np.meshgrid(fine, fine)),
        source_extent=(-0.605, 0.605, -0.605, 0.605), pixel_scale=SCALE,
    )  # fmt: skip


@pytest.fixture(scope="session")
def numpy_lens() -> Callable[..., SimpleNamespace]:
    """Call it for a fresh lens of ``n`` pixels a side with a round mask."""
    return _make
