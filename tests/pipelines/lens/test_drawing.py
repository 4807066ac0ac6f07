"""Colors, stretch, ticks, compass and scale bar of one picture."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.colors import Normalize
from PIL import Image

from pipelines.lens.drawing import GREY, color_ticks, colored, compass, draw_panel, encoded, scale_bar_length, stretch


def pixels(uri: str) -> np.ndarray:
    kind, _, text = uri.partition(",")
    assert kind == "data:image/webp;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB"), float) / 255


def test_the_stretch_is_linear_at_the_noise_and_logarithmic_above() -> None:
    image = np.array([[0.0, 1000.0], [np.nan, 5e9]])
    used = np.array([[True, True], [True, False]])
    norm = stretch(image, used, 1.0)
    assert norm.vmax == 1000.0  # neither the NaN nor the pixel outside the mask counts
    assert norm.vmin == -2.0
    steps = np.diff([float(norm(value)) for value in (0, 0.1, 0.2)])
    assert steps[0] == pytest.approx(steps[1], rel=0.01)
    decades = np.diff([float(norm(value)) for value in (10, 100, 1000)])
    assert decades[0] == pytest.approx(decades[1], rel=0.02)


@pytest.mark.parametrize("noise", [np.nan, 0.0, np.inf])
@pytest.mark.parametrize("value", [np.nan, 0.0, -3.0])
def test_the_stretch_of_nothing_is_still_a_stretch(noise: float, value: float) -> None:
    norm = stretch(np.full((2, 2), value), np.ones((2, 2), bool), noise)
    assert norm.vmin < norm.vmax
    assert np.isfinite(float(norm(0.0)))


def test_masked_pixels_are_pale_and_nan_is_flat_grey() -> None:
    colors = colormaps["magma"]
    image = np.array([[1.0, 1.0, np.nan]])
    rgb = colored(image, Normalize(0, 1), colors, np.array([[True, False, True]]))
    assert rgb[0, 0] == pytest.approx(colors(1.0)[:3])
    assert np.ptp(rgb[0, 1]) < 0.02  # no hue
    assert rgb[0, 2] == pytest.approx(GREY)


def test_values_beyond_the_limits_take_the_color_of_the_limit() -> None:
    rgb = colored(np.array([[-9.0, 9.0]]), Normalize(-5, 5), colormaps["RdBu_r"])
    assert rgb[0, 0] == pytest.approx(colormaps["RdBu_r"](0.0)[:3])
    assert rgb[0, 1] == pytest.approx(colormaps["RdBu_r"](1.0)[:3])


@pytest.mark.parametrize("top", [3e-7, 0.02, 1.0, 73.0, 4e5])
def test_color_ticks_are_inside_and_apart(top: float) -> None:
    norm = stretch(np.array([[top]]), np.array([[True]]), top / 50)
    ticks = color_ticks(norm)
    assert 3 <= len(ticks) <= 7
    assert norm.vmin <= min(ticks) <= max(ticks) <= norm.vmax
    assert np.diff([float(norm(tick)) for tick in ticks]).min() > 0.1


def test_north_and_east() -> None:
    assert compass(0.0) == (pytest.approx((0, 1)), pytest.approx((-1, 0)))
    # +y points 90 degrees east of north, that is to the east: north is then on the right.
    assert compass(90.0) == (pytest.approx((1, 0)), pytest.approx((0, 1)))


@pytest.mark.parametrize(("width", "length"), [(6.0, 1.0), (3.0, 1.0), (1.2, 0.2), (25.0, 10.0), (0.004, 0.001)])
def test_scale_bar(width: float, length: float) -> None:
    assert scale_bar_length(width) == length


def test_row_zero_is_at_the_bottom_and_column_zero_at_the_left() -> None:
    image = np.zeros((20, 20))
    image[4, 14] = 1.0
    extent = (-1.0, 1.0, -1.0, 1.0)
    uri, width, height = encoded(draw_panel(image, extent, extent, Normalize(0, 1)))
    picture = pixels(uri)
    assert picture.shape == (height, width, 3)
    side = width / 20
    bright = picture[round((19 - 4 + 0.5) * side), round(14.5 * side)]
    assert bright == pytest.approx(colormaps["magma"](1.0)[:3], abs=0.01)
    assert picture[round(4.5 * side), round(14.5 * side)] == pytest.approx(colormaps["magma"](0.0)[:3], abs=0.01)


def test_a_narrow_strip_does_not_make_a_huge_picture() -> None:
    _, width, height = encoded(draw_panel(np.ones((500, 5)), (0, 0.5, 0, 50), (0, 0.5, 0, 50), Normalize(0, 1)))
    assert width * height < 3e6
