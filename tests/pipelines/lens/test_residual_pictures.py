"""The words and pictures of what is left after a fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from pipelines.lens.pictures import ImagePlanes
from pipelines.lens.residual_pictures import residual_panels


@pytest.fixture(scope="module")
def planes(numpy_lens: Callable[..., SimpleNamespace]) -> ImagePlanes:
    lens = numpy_lens(81, mask_radius=1.9)
    return ImagePlanes(data=lens.data, noise=lens.noise, mask=lens.mask, model=lens.model, extent=lens.extent, pixel_scale=0.05)


def test_four_pictures_of_one_size_with_words(planes: ImagePlanes) -> None:
    panels = residual_panels(planes, (0.0, 0.0))
    assert [panel.title for panel in panels] == ["Distribution", "Radial profile", "Autocorrelation", "Worst patch"]
    assert len({(panel.width, panel.height) for panel in panels}) == 1
    assert all(panel.picture and panel.picture.startswith("data:image/webp;base64,") for panel in panels)
    assert "standard deviation 1.0" in panels[0].caption
    assert "drizzled" not in panels[0].caption


def test_narrow_residuals_name_the_drizzling(planes: ImagePlanes) -> None:
    wide = replace(planes, noise=2.0 * planes.noise)
    assert "standard deviation 0.5" in residual_panels(wide, (0.0, 0.0))[0].caption
    assert "drizzled" in residual_panels(wide, (0.0, 0.0))[0].caption
    assert "Wider" in residual_panels(replace(planes, noise=0.5 * planes.noise), (0.0, 0.0))[0].caption


def test_the_worst_patch_is_named_by_its_place(planes: ImagePlanes) -> None:
    data = planes.data.copy()
    data[20:25, 50:55] += 4.0 * planes.noise[20:25, 50:55]
    panel = residual_panels(replace(planes, data=data), (0.0, 0.0))[3]
    assert "At (+0.60, \N{MINUS SIGN}0.90) arcsec" in panel.caption
    assert panel.picture != residual_panels(planes, (0.0, 0.0))[3].picture


def test_what_cannot_be_told_is_left_out(planes: ImagePlanes) -> None:
    assert residual_panels(replace(planes, mask=np.zeros_like(planes.mask)), (0.0, 0.0)) == ()
    exact = residual_panels(replace(planes, data=planes.model), (0.0, 0.0))
    assert "Autocorrelation" not in [panel.title for panel in exact]
    assert not [panel for panel in exact if "nan" in panel.caption]
