"""The window of a likelihood: which pixels, where they are, the PSF against a direct sum, weights and sky."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fitcore.errors import DataError
from pipelines.lens.dataset import Imaging
from pipelines.lens.frame import Frame


def psf(rows: int = 7, columns: int = 7) -> np.ndarray:
    """A lopsided PSF, so that a flip or a shift shows."""
    y, x = np.mgrid[:rows, :columns]
    kernel = np.exp(-0.5 * ((x - columns // 2 - 0.7) ** 2 + 0.5 * (y - rows // 2 + 0.4) ** 2) / 1.3**2)
    return kernel / kernel.sum()


def imaging(n_y: int = 41, n_x: int = 41, kernel: np.ndarray | None = None, **facts: Any) -> Imaging:
    rng = np.random.default_rng(3)
    noise = rng.uniform(0.5, 1.5, (n_y, n_x))
    return Imaging(
        data=rng.standard_normal((n_y, n_x)), noise=noise, psf=psf() if kernel is None else kernel, pixel_scale=0.1, name="made up", **facts
    )


def direct(picture: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The convolution as a plain sum over the kernel's pixels; zero outside the picture."""
    half_y, half_x = kernel.shape[0] // 2, kernel.shape[1] // 2
    padded = np.pad(picture, ((half_y, half_y), (half_x, half_x)))
    total = np.zeros_like(picture)
    for row in range(kernel.shape[0]):
        for column in range(kernel.shape[1]):
            shifted = padded[2 * half_y - row :, 2 * half_x - column :]
            total += kernel[row, column] * shifted[: picture.shape[0], : picture.shape[1]]
    return total


def test_compared_pixels_are_those_within_the_mask() -> None:
    image = imaging()
    frame = Frame.from_imaging(image, mask_radius=1.25)
    x, y = frame.pixel_centers
    weight = np.asarray(frame.weight)
    assert ((weight > 0) == (np.hypot(x, y) <= 1.25)).all()
    assert frame.n_used == int((np.hypot(image.x, image.y) <= 1.25).sum())
    place = (np.abs(image.x - x[weight > 0][:, None, None]) < 1e-9) & (np.abs(image.y - y[weight > 0][:, None, None]) < 1e-9)
    rows, columns = np.array([np.argwhere(one)[0] for one in place]).T
    assert np.asarray(frame.data)[weight > 0] == pytest.approx(image.data[rows, columns], abs=0.0)
    assert weight[weight > 0] == pytest.approx(1.0 / image.noise[rows, columns], rel=1e-14)


@pytest.mark.parametrize("center", [(0.0, 0.0), (0.6, -0.4), (1.5, 1.5)])
def test_off_center_windows_keep_the_coordinates_of_the_image(center: tuple[float, float]) -> None:
    image = imaging()
    frame = Frame.from_imaging(image, mask_radius=1.0, center=center)
    inside = np.hypot(image.x - center[0], image.y - center[1]) <= 1.0
    x, y = frame.pixel_centers
    used = np.asarray(frame.weight) > 0
    assert frame.n_used == int(inside.sum())
    seen, expected = (
        np.stack(part, axis=1)
        for part in ((x[used], y[used], np.asarray(frame.data)[used]), (image.x[inside], image.y[inside], image.data[inside]))
    )
    assert seen == pytest.approx(expected, abs=1e-12)


def test_sub_pixels_lie_evenly_within_their_pixel() -> None:
    frame = Frame.from_imaging(imaging(), mask_radius=1.0, over_sampling=3)
    x, y = np.asarray(frame.x), np.asarray(frame.y)
    assert x.shape[0] == 9
    for values, one in ((x, np.tile([-1 / 30, 0.0, 1 / 30], 3)), (y, np.repeat([-1 / 30, 0.0, 1 / 30], 3))):
        middle = values.mean(axis=0)
        assert values - middle == pytest.approx(np.repeat(one[:, None], values.shape[1], axis=1), abs=1e-12)
        assert np.unique(np.diff(np.unique(middle.round(9)))) == pytest.approx(0.1)


@pytest.mark.parametrize("shape", [(7, 7), (5, 9), (9, 5)])
@pytest.mark.parametrize("count", [1, 4, 5])
def test_convolution_equals_the_direct_sum(shape: tuple[int, int], count: int) -> None:
    """Light in the border of the window is carried in; nothing wraps around into the compared part."""
    kernel = psf(*shape)
    frame = Frame.from_imaging(imaging(kernel=kernel), mask_radius=1.2).whole()
    n = frame.size
    pictures = np.random.default_rng(4).standard_normal((count, n, n))
    seen = np.asarray(frame.convolved(pictures.reshape(count, -1)))
    view = (frame.compared, frame.compared)
    assert seen.shape == (count, *np.asarray(frame.data).shape)
    for one, picture in zip(seen, pictures, strict=True):
        assert one == pytest.approx(direct(picture, kernel)[view], abs=1e-12)


@pytest.mark.parametrize("center", [(0.0, 0.0), (0.049, 0.049), (0.6, -0.44)])
@pytest.mark.parametrize("shape", [(7, 7), (3, 9)])
def test_within_the_mask_the_lit_points_are_enough(center: tuple[float, float], shape: tuple[int, int]) -> None:
    """Light at every point of the window gives the same there. How many are lit does not depend on where exactly the center is."""
    frame = Frame.from_imaging(imaging(kernel=psf(*shape)), mask_radius=1.2, center=center)
    whole = frame.whole()
    assert frame.x.shape[1] < whole.x.shape[1] == frame.size**2
    assert frame.x.shape == Frame.from_imaging(imaging(kernel=psf(*shape)), mask_radius=1.2).x.shape

    def light(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.stack([np.sin(3.0 * x - 2.0 * y), np.cos(7.0 * x * y), 1.0 + x * x])

    few, all_of_it = (np.asarray(one.convolved(light(*(np.asarray(part[0]) for part in (one.x, one.y))))) for one in (frame, whole))
    used = np.asarray(frame.weight) > 0
    assert used.any()
    assert few[:, used] == pytest.approx(all_of_it[:, used], abs=1e-13)
    assert np.abs(few - all_of_it).max() > 0.1  # beyond the mask they are not


def test_whitened_rows_hold_no_sky() -> None:
    frame = Frame.from_imaging(imaging(), mask_radius=1.5)
    v = np.asarray(frame.data).shape[0]
    flat = np.asarray(frame.whitened(np.ones((1, v, v))))
    assert np.abs(flat).max() < 1e-12
    rows = np.asarray(frame.whitened(np.random.default_rng(5).standard_normal((3, v, v))))
    assert np.abs(rows @ np.asarray(frame.sky)).max() < 1e-12
    assert float(np.asarray(frame.sky) @ np.asarray(frame.sky)) == pytest.approx(1.0)


def test_masked_pixels_and_absurd_noise_are_left_out_of_both_sums() -> None:
    mask = np.ones((41, 41), dtype=bool)
    mask[18:20, 20:23] = False
    image = imaging(mask=mask)
    noise = np.array(image.noise)
    noise[22, 21] = 1e8
    image = Imaging(data=image.data, noise=noise, psf=image.psf, mask=mask, pixel_scale=0.1)
    frame = Frame.from_imaging(image, mask_radius=1.5)
    inside = (np.hypot(image.x, image.y) <= 1.5) & mask & (noise < 1e7)
    assert frame.n_used == int(inside.sum())
    assert float(frame.log_normalization) == pytest.approx(np.log(2 * np.pi * noise[inside] ** 2).sum(), rel=1e-13)


def test_a_window_beyond_the_image_uses_what_is_there() -> None:
    image = imaging()
    frame = Frame.from_imaging(image, mask_radius=3.0)
    assert frame.n_used == int((np.hypot(image.x, image.y) <= 3.0).sum())


def test_reweighting_changes_weights_alone() -> None:
    frame = Frame.from_imaging(imaging(), mask_radius=1.2)
    variance = np.where(frame.variance > 0, 4.0 * frame.variance, 0.0)
    variance[variance.shape[0] // 2] = 0.0
    other = frame.reweighted(variance)
    assert other.variance == pytest.approx(variance)
    assert other.n_used < frame.n_used
    assert np.asarray(other.data) == pytest.approx(np.asarray(frame.data), abs=0.0)
    assert float(other.sky @ other.target) == pytest.approx(0.0, abs=1e-12)


def test_no_pixel_within_the_mask_is_refused() -> None:
    with pytest.raises(
        DataError, match=r"made up: no used pixel lies within 0.5 arcsec of \(40.0, 0.0\). Check mask_radius and mask_centre"
    ):
        Frame.from_imaging(imaging(), mask_radius=0.5, center=(40.0, 0.0))


@pytest.mark.parametrize("radius", [120.0, 1e300])
def test_a_window_beyond_reason(radius: float) -> None:
    with pytest.raises(DataError, match=r"on a side, and 2000 are allowed. Lower mask_radius in info.yaml, or correct pixel_scale"):
        Frame.from_imaging(imaging(), mask_radius=radius)
