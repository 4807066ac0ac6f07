"""`Imaging`: what it makes of its arrays, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fitcore.errors import DataError
from pipelines.lens.dataset import Imaging, psf_offset

SHAPE = (9, 11)


def arrays(**changes: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    fields = {
        "data": rng.standard_normal(SHAPE),
        "noise": rng.uniform(0.1, 0.2, SHAPE),
        "psf": np.ones((3, 5)),
        "pixel_scale": 0.05,
        "name": "test",
    }
    return {**fields, **changes}


def changed(key: str, index: tuple[int, int], value: float, **more: Any) -> dict[str, Any]:
    fields = arrays(**more)
    fields[key] = fields[key].copy()
    fields[key][index] = value
    return fields


def test_coordinates_are_zero_at_the_center_right_and_up() -> None:
    image = Imaging(**arrays())
    assert image.shape == SHAPE
    assert image.x.shape == image.y.shape == SHAPE
    assert image.x[4] == pytest.approx(0.05 * np.arange(-5, 6), abs=1e-15)
    assert image.y[:, 3] == pytest.approx(0.05 * np.arange(-4, 5), abs=1e-15)
    even = Imaging(**arrays(data=np.zeros((4, 4)), noise=np.ones((4, 4)), psf=np.ones((1, 1))))
    assert even.x[0] == pytest.approx([-0.075, -0.025, 0.025, 0.075])


def test_arrays_are_float64_copies_that_cannot_be_written() -> None:
    fields = arrays(data=np.arange(99, dtype=">i2").reshape(SHAPE))
    image = Imaging(**fields)
    fields["noise"][:] = 7.0
    assert image.data.dtype == image.noise.dtype == np.float64
    assert image.data.dtype.isnative
    assert image.noise.max() < 0.2
    with pytest.raises(ValueError, match="read-only"):
        image.data[0, 0] = 1.0


def test_psf_is_normalized() -> None:
    assert Imaging(**arrays()).psf == pytest.approx(np.full((3, 5), 1 / 15), rel=1e-15)
    assert Imaging(**arrays(psf=np.ones((3, 3)) * 1e-9)).psf.sum() == pytest.approx(1.0, rel=1e-15)


@pytest.mark.parametrize("mark", [1e8, 1e16, np.inf])
@pytest.mark.parametrize("fraction", [0.02, 0.5, 0.9])
def test_pixels_marked_by_absurd_noise_are_masked(mark: float, fraction: float) -> None:
    """Also where they are most of the frame, as in a small cut-out of a wide image."""
    fields = arrays()
    marked = np.random.default_rng(1).uniform(size=SHAPE) < fraction
    marked[0, 0], marked[1, 1] = True, False
    fields["noise"] = np.where(marked, mark, fields["noise"])
    image = Imaging(**fields)
    assert np.array_equal(image.used, ~marked)
    assert np.all(np.isposinf(image.noise[marked]))
    assert np.all(image.data[marked] == 0.0)
    assert np.array_equal(image.data[~marked], fields["data"][~marked])


@pytest.mark.parametrize("value", [0.0, -3.0, np.nan])
def test_a_few_pixels_without_noise_are_masked_and_counted(value: float) -> None:
    fields = changed("noise", (1, 2), value)
    fields["noise"][7, 7], fields["noise"][0, 0] = value, 1e8
    image = Imaging(**{**fields, "mask": np.arange(99).reshape(SHAPE) != 98})
    assert not image.used[[1, 7, 0, 8], [2, 7, 0, 10]].any()
    assert image.used.sum() == 95
    assert image.masked == {"by a mask": 1, "noise not positive": 2, "absurd noise": 1}
    assert np.isposinf(image.noise[1, 2])


def test_what_the_psf_was_is_kept() -> None:
    image = Imaging(**arrays(psf=np.full((3, 3), 2.0)))
    assert image.psf_sum == 18.0
    assert psf_offset(image.psf) == pytest.approx((0.0, 0.0))
    kernel = np.zeros((5, 7))
    kernel[1, 3], kernel[1, 4] = 1.0, 0.6
    assert psf_offset(kernel) == pytest.approx((0.6 / 1.6, -1.0))


def test_noise_of_a_bright_star_stays() -> None:
    assert Imaging(**changed("noise", (4, 4), 200.0)).used.all()


def test_under_the_mask_anything_goes() -> None:
    mask = np.ones(SHAPE, dtype=bool)
    mask[2, 3] = mask[5, 5] = mask[0, 0] = False
    fields = changed("data", (2, 3), np.nan, mask=mask)
    fields["data"][5, 5] = np.inf
    fields["noise"][2, 3], fields["noise"][5, 5], fields["noise"][0, 0] = np.nan, -1.0, 0.0
    image = Imaging(**fields)
    assert np.array_equal(image.used, mask)
    assert np.all(np.isfinite(image.data))
    assert np.all(1.0 / image.noise[~mask] == 0.0)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (
            changed("data", (2, 3), np.nan),
            r"1 used pixels that are not finite, the first at row 2, column 3 \(from 0\): nan",
        ),
        (changed("data", (8, 0), -np.inf), "not finite, the first at row 8, column 0 .*: -inf. Mask them by a mask"),
        (
            arrays(noise=np.where(np.arange(99).reshape(SHAPE) < 5, -3.0, 0.1)),
            r"5 used pixels that are not positive and finite, the first at row 0, column 0 .*: -3.0. Mask them .* Up to 5% would be masked",
        ),
        (arrays(psf=np.eye(5)[[0]].T @ np.eye(5)[[2]]), r"PSF's peak is \(\+0.0, -2.0\) pixels .* at most 1.0 is allowed.*Shift it"),
        (arrays(noise=np.zeros(SHAPE)), "noise map has 99 used pixels that are not positive"),
        (arrays(noise=np.full(SHAPE, np.nan)), "noise map has 99 used pixels that are not positive"),
        (arrays(noise=np.ones((9, 10))), r"noise map has shape \(9, 10\), the image \(9, 11\); they must be the same. Cut both"),
        (arrays(mask=np.ones((9, 10))), r"mask has shape \(9, 10\)"),
        (arrays(mask=np.zeros(SHAPE)), "no pixel is left to fit: all 99 are masked"),
        (arrays(psf=np.ones((4, 3))), r"PSF has shape \(4, 3\); both sizes must be odd.*Resample it"),
        (arrays(psf=np.ones((3, 2))), r"PSF has shape \(3, 2\); both sizes must be odd"),
        (arrays(psf=np.ones(3)), r"PSF has shape \(3,\)"),
        (arrays(psf=-np.ones((3, 3))), "PSF has the sum -9.0; every pixel must be finite and the sum positive"),
        (arrays(psf=np.zeros((3, 3))), "PSF has the sum 0.0"),
        (arrays(psf=np.full((3, 3), np.nan)), "PSF has 9 pixels that are not finite"),
        (arrays(psf=np.ones((11, 3))), r"PSF has shape \(11, 3\), larger than the image \(9, 11\). Cut it"),
        (arrays(psf=np.ones((3, 13))), r"PSF has shape \(3, 13\), larger than the image"),
        (arrays(data=np.ones(9)), r"image has shape \(9,\); it must be two-dimensional"),
        (arrays(data=np.ones((2, 9, 11))), r"image has shape \(2, 9, 11\); it must be two-dimensional"),
        (arrays(data=np.ones((2, 2))), "at least 3 x 3 pixels"),
        (arrays(pixel_scale=0.0), "pixel scale is 0.0; it must be a number of arcsec between 0 and 60. Set pixel_scale"),
        (arrays(pixel_scale=-0.05), "pixel scale is -0.05"),
        (arrays(pixel_scale=np.nan), "pixel scale is nan"),
        (arrays(pixel_scale="0.05"), "pixel scale is '0.05'"),
        (arrays(pixel_scale=True), "pixel scale is True"),
        (arrays(pixel_scale=3600.0), "pixel scale is 3600.0"),
    ],
)
def test_what_it_refuses(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(DataError, match=text):
        Imaging(**fields)


@pytest.mark.parametrize("scale", [np.float32(0.05), np.float64(0.05), 1, np.int64(1)])
def test_any_kind_of_number_is_a_pixel_scale(scale: Any) -> None:
    image = Imaging(**arrays(pixel_scale=scale))
    assert type(image.pixel_scale) is float


def test_masks_add_up() -> None:
    first, second = np.ones(SHAPE, dtype=bool), np.ones(SHAPE, dtype=bool)
    first[0], second[:, 0] = False, False
    image = Imaging(**arrays(mask=first))
    assert np.array_equal(image.apply_mask(second).used, first & second)
    assert np.array_equal(image.apply_noise_scaling(~second).used, first & second)
    assert np.array_equal(image.used, first)
    with pytest.raises(DataError, match=r"test: the mask has shape \(3, 3\), the image \(9, 11\)"):
        image.apply_mask(np.ones((3, 3), dtype=bool))
    with pytest.raises(DataError, match=r"test: the mask has shape \(3, 3\), the image \(9, 11\)"):
        image.apply_noise_scaling(np.ones((3, 3), dtype=bool))


def test_crop_keeps_the_center() -> None:
    image = Imaging(**arrays(redshift_lens=0.3))
    small = image.crop(5)
    assert small.shape == (5, 5)
    assert np.array_equal(small.data, image.data[2:7, 3:8])
    assert small.x == pytest.approx(image.x[2:7, 3:8], abs=1e-15)
    assert small.redshift_lens == 0.3
    for size in (4, 11, 0, -1):
        with pytest.raises(DataError, match=rf"test: cannot crop \(9, 11\) to {size}; give at most 9, and the same parity"):
            image.crop(size)


def test_identity_changes_with_whatever_moves_a_number_and_with_nothing_else() -> None:
    def same(a: Imaging, b: Imaging) -> bool:
        left, right = a.identity(), b.identity()
        assert left.keys() == right.keys()
        return all(np.array_equal(left[key], right[key]) for key in left)

    image = Imaging(**arrays())
    assert same(image, Imaging(**arrays(name="other", band="F814W", redshift_lens=0.5, position_angle_of_y=30.0)))
    assert same(image, Imaging(**arrays(psf=7.0 * np.ones((3, 5)))))
    for other in (
        changed("data", (3, 3), 5.0),
        changed("noise", (3, 3), 0.3),
        changed("psf", (1, 1), 2.0),
        changed("mask", (3, 3), False, mask=np.ones(SHAPE, dtype=bool)),
        arrays(pixel_scale=0.06),
        arrays(mask_radius=2.0),
        arrays(center=(0.1, 0.0)),
    ):
        assert not same(image, Imaging(**other))


def test_identity_does_not_see_what_lies_under_the_mask() -> None:
    mask = np.ones(SHAPE, dtype=bool)
    mask[3, 3] = False
    fields = changed("data", (3, 3), 99.0, mask=mask)
    fields["noise"][3, 3] = 77.0
    one, two = Imaging(**arrays(mask=mask)).identity(), Imaging(**fields).identity()
    assert all(np.array_equal(one[key], two[key]) for key in one)
