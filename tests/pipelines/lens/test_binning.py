"""The binned twin: flux, noise and coordinates, and that its PSF is the one that binning makes of a picture."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import fftconvolve

from pipelines.lens.binning import binned, binned_psf, shift_of_binned
from pipelines.lens.dataset import Imaging
from pipelines.lens.frame import Frame
from pipelines.lens.prepare import binned_frame, full_frame, prepare


def imaging(n_y: int = 40, n_x: int = 40, mask: np.ndarray | None = None) -> Imaging:
    rng = np.random.default_rng(1)
    kernel = np.exp(-0.5 * ((np.arange(9) - 4) / 1.4) ** 2)
    kernel = np.outer(kernel, np.exp(-0.5 * ((np.arange(9) - 4.3) / 1.1) ** 2))
    return Imaging(data=rng.standard_normal((n_y, n_x)), noise=rng.uniform(0.5, 2.0, (n_y, n_x)), mask=mask, psf=kernel, pixel_scale=0.05)


def means(plane: np.ndarray) -> np.ndarray:
    return 0.25 * (plane[::2, ::2] + plane[1::2, ::2] + plane[::2, 1::2] + plane[1::2, 1::2])


def test_means_of_four_and_their_noise() -> None:
    image = imaging()
    twin = binned(image)
    assert twin.shape == (20, 20)
    assert twin.pixel_scale == 0.1
    assert twin.data == pytest.approx(means(image.data))
    assert twin.noise == pytest.approx(0.5 * np.sqrt(means(image.noise**2)))


def test_masked_pixels_stay_out_and_two_of_four_are_too_few() -> None:
    mask = np.ones((40, 40), dtype=bool)
    mask[0, 0] = mask[2, 2] = mask[3, 2] = False
    image = imaging(mask=mask)
    twin = binned(image)
    good = [(0, 1), (1, 0), (1, 1)]
    assert twin.data[0, 0] == pytest.approx(np.mean([image.data[i] for i in good]))
    assert twin.noise[0, 0] == pytest.approx(np.sqrt(sum(image.noise[i] ** 2 for i in good)) / 3)
    assert twin.used[0, 0]
    assert not twin.used[1, 1]
    assert int((~twin.used).sum()) == 1


@pytest.mark.parametrize("size", [7, 9, 15])
def test_psf_of_the_twin(size: int) -> None:
    """Light that is even over 2 x 2 pixels, seen and then binned, is the binned light seen through the binned PSF."""
    kernel = np.random.default_rng(2).uniform(size=(size, size))
    kernel /= kernel.sum()
    coarse = np.random.default_rng(3).uniform(size=(40, 40))
    fine = np.kron(coarse, np.ones((2, 2)))
    expected = means(fftconvolve(fine, kernel, mode="same"))
    own = binned_psf(kernel)
    assert own.shape[0] % 2 == 1
    assert own.sum() == pytest.approx(1.0)
    inner = slice(10, 30)
    assert fftconvolve(coarse, own, mode="same")[inner, inner] == pytest.approx(expected[inner, inner], abs=1e-12)


@pytest.mark.parametrize("shape", [(40, 40), (41, 40), (41, 43)])
def test_positions_of_the_twin_are_the_means_of_its_pixels(shape: tuple[int, int]) -> None:
    image = imaging(*shape)
    twin, shift = binned(image), shift_of_binned(image)
    even = (slice(0, 2 * (shape[0] // 2)), slice(0, 2 * (shape[1] // 2)))
    assert twin.x + shift[0] == pytest.approx(means(image.x[even]), abs=1e-12)
    assert twin.y + shift[1] == pytest.approx(means(image.y[even]), abs=1e-12)


def test_both_frames_of_a_lens_share_coordinates() -> None:
    """A spot off the center, in an image of odd size: its centroid is the same in both frames."""
    axis = (np.arange(81) - 40) * 0.05
    x, y = np.meshgrid(axis, axis)
    kernel = np.zeros((3, 3))
    kernel[1, 1] = 1.0
    spot = np.exp(-0.5 * ((x - 0.15) ** 2 + (y + 0.1) ** 2) / 0.2**2)
    image = Imaging(data=spot, noise=np.ones_like(x), psf=kernel, pixel_scale=0.05, mask_radius=1.2)
    preparation = prepare(image)
    assert preparation.center == pytest.approx((0.15, -0.1))
    assert (preparation.mask_radius, preparation.decision("mask radius").how) == (1.2, "info.yaml")
    for frame in (full_frame(image, preparation), binned_frame(image, preparation)):
        assert isinstance(frame, Frame)
        weight = np.asarray(frame.data) * (np.asarray(frame.weight) > 0)
        at_x, at_y = frame.pixel_centers
        assert ((weight * at_x).sum() / weight.sum(), (weight * at_y).sum() / weight.sum()) == pytest.approx((0.15, -0.1), abs=2e-3)


def test_a_person_overrules_the_preparation() -> None:
    image = imaging()
    automatic = prepare(image)
    assert automatic.mask_radius == 3.0
    assert automatic.decision("mask radius").how.endswith("default")
    given = prepare(Imaging(data=image.data, noise=image.noise, psf=image.psf, pixel_scale=0.05, center=(0.3, -0.2), mask_radius=0.8))
    assert (given.center, given.mask_radius) == ((0.3, -0.2), 0.8)
    assert given.decision("lens center").how == given.decision("mask radius").how == "info.yaml"
