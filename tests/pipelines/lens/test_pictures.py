"""The six panels and the corner plot."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

from fitcore.errors import DataError
from pipelines.lens.pictures import ImagePlanes, Posterior, SourcePlane, axis_label, corner_figure, corner_panel, panels, view

TITLES = ["Data", "Model", "Residual", "Data less lens light", "Lensed source", "Source plane"]


def planes_of(lens: SimpleNamespace, **changes: Any) -> ImagePlanes:
    planes = ImagePlanes(
        data=lens.data, noise=lens.noise, mask=lens.mask, model=lens.model, lens_light=lens.lens_light, lensed_source=lens.lensed_source,
        extent=lens.extent, pixel_scale=lens.pixel_scale, critical_curves=[lens.critical],
    )  # fmt: skip
    return replace(planes, **changes)


def source_of(lens: SimpleNamespace) -> SourcePlane:
    return SourcePlane(image=lens.source, extent=lens.source_extent, caustics=[lens.caustic])


def pixels(uri: str | None) -> np.ndarray:
    assert uri is not None
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB"), float) / 255


@pytest.fixture(scope="module")
def lens(numpy_lens: Callable[..., SimpleNamespace]) -> SimpleNamespace:
    return numpy_lens(81, mask_radius=1.9)


def test_the_residual_is_in_sigma_and_only_inside_the_mask(lens: SimpleNamespace) -> None:
    residual = planes_of(lens).residual
    assert np.array_equal(np.isfinite(residual), lens.mask)
    assert residual[40, 50] == pytest.approx((lens.data[40, 50] - lens.model[40, 50]) / lens.noise[40, 50])
    assert np.std(residual[lens.mask]) == pytest.approx(1.0, abs=0.05)


def test_six_panels_in_reading_order(lens: SimpleNamespace) -> None:
    six = panels(planes_of(lens), source_of(lens))
    assert [panel.title for panel in six] == TITLES
    assert all(panel.picture for panel in six)
    assert len({(panel.width, panel.height) for panel in six}) == 1


def test_the_residual_panel_ends_at_five_sigma(lens: SimpleNamespace) -> None:
    data = lens.model.copy()
    data[40:44, 40:44] += 4.9999 * lens.noise[40:44, 40:44]
    data[30:34, 40:44] -= 50 * lens.noise[30:34, 40:44]
    data[40:44, 30:34] += 2.5 * lens.noise[40:44, 30:34]
    planes = planes_of(lens, data=data)
    panel = panels(planes, None)[2]
    picture, (x_min, x_max, _, y_max) = pixels(panel.picture), view(planes)

    def color(row: int, column: int) -> np.ndarray:
        x, y = ((index - 40) * lens.pixel_scale for index in (column, row))
        side = panel.width / (x_max - x_min)
        return picture[round((y_max - y) * side), round((x - x_min) * side)]

    diverging = colormaps["RdBu_r"]
    assert color(42, 42) == pytest.approx(diverging(1.0)[:3], abs=0.02)
    assert color(32, 42) == pytest.approx(diverging(0.0)[:3], abs=0.02)
    assert color(42, 32) == pytest.approx(diverging(0.75)[:3], abs=0.02)
    assert color(50, 50) == pytest.approx(diverging(0.5)[:3], abs=0.02)
    assert re.search(r"16 pixels of [\d,]+ beyond ±5 sigma", panel.caption)  # those just below 5 do not count


def test_data_and_model_share_their_limits(lens: SimpleNamespace) -> None:
    """With data equal to the model the two panels are the same picture, and so are the two of the source."""
    six = panels(planes_of(lens, data=lens.model, critical_curves=()), None)
    assert six[0].picture == six[1].picture
    assert np.abs(pixels(six[3].picture) - pixels(six[4].picture)).mean() < 1e-3
    assert six[0].picture != six[4].picture


def test_critical_curves_are_drawn_where_they_are(lens: SimpleNamespace) -> None:
    with_curve, without = (pixels(panels(planes_of(lens, critical_curves=curves), None)[1].picture) for curves in ([lens.critical], ()))
    rows, columns = np.nonzero(np.abs(with_curve - without).sum(axis=2) > 0.3)
    assert rows.size
    x_min, x_max, _, y_max = view(planes_of(lens))
    side = without.shape[1] / (x_max - x_min)
    x, y = x_min + (columns + 0.5) / side, y_max - (rows + 0.5) / side
    assert x.max() == pytest.approx(lens.critical[:, 0].max(), abs=0.04)
    assert y.min() == pytest.approx(lens.critical[:, 1].min(), abs=0.04)


def test_the_view_is_the_mask_with_a_margin_inside_the_frame(lens: SimpleNamespace) -> None:
    x_min, x_max, y_min, y_max = view(planes_of(lens))
    assert 1.9 <= x_max <= 2.03
    assert (x_min, y_min) == pytest.approx((-x_max, -y_max))
    assert view(planes_of(lens, mask=np.zeros_like(lens.mask))) == lens.extent


def test_nan_everywhere_is_drawn(lens: SimpleNamespace) -> None:
    nothing = np.full_like(lens.data, np.nan)
    six = panels(
        planes_of(lens, data=nothing, model=nothing, lensed_source=nothing, lens_light=nothing),
        SourcePlane(image=np.full((5, 5), np.nan), extent=(-1, 1, -1, 1), caustics=[np.empty((0, 2)), np.full((3, 2), np.nan)]),
    )
    assert all(panel.picture for panel in six)
    assert six[2].caption == "No pixel has a finite residual."


def test_absurd_noise_and_single_nan_pixels_leave_the_stretch_alone(lens: SimpleNamespace) -> None:
    noise, model = lens.noise.copy(), lens.model.copy()
    noise[0, 0], model[0, 0] = 1e8, np.nan  # outside the mask
    assert panels(planes_of(lens, noise=noise, model=model), None)[4].picture == panels(planes_of(lens), None)[4].picture


def test_what_the_model_lacks_is_said(lens: SimpleNamespace) -> None:
    six = panels(planes_of(lens, lens_light=None, lensed_source=None), None)
    assert [panel.title for panel in six] == TITLES
    assert [bool(panel.picture) for panel in six] == [True, True, True, False, False, False]
    assert six[4].caption == "The model has no lensed source."
    assert six[5].caption == "The model has no source plane."


def test_shapes_that_differ_are_refused(lens: SimpleNamespace) -> None:
    with pytest.raises(DataError, match=r"noise has shape \(3, 3\), data has \(81, 81\): all image planes share one grid"):
        planes_of(lens, noise=np.ones((3, 3)))
    with pytest.raises(DataError, match=r"data has shape \(81,\): an image is \(n_y, n_x\)"):
        planes_of(lens, data=lens.data[0])


# ---- posterior -----------------------------------------------------------------------------------------------------------------------


def posterior(n: int = 1500, **changes: Any) -> Posterior:
    parameters = np.random.default_rng(3).standard_normal((n, 2)) * [0.01, 0.1] + [1.4, 2.0]
    return replace(Posterior(paths=("mass.einstein_radius", "mass.slope"), parameters=parameters), **changes)


def test_corner_uses_the_weights() -> None:
    parameters = posterior().parameters
    log_weight = -0.5 * ((parameters[:, 0] - 1.42) / 0.01) ** 2 - 700.0  # product of two normals: mean 1.41, narrower by sqrt 2
    weighted, plain = (corner_figure(posterior(log_weight=weight), {}) for weight in (log_weight, None))
    assert weighted is not None
    assert plain is not None
    middles = [figure.axes[0].lines[2].get_xdata()[0] for figure in (weighted, plain)]
    assert middles == pytest.approx([1.41, 1.40], abs=0.001)


def test_corner_labels_and_truth() -> None:
    figure = corner_figure(posterior(), {"mass.slope": 2.05, "elsewhere": 1.0})
    assert figure is not None
    assert figure.axes[2].get_xlabel() == r"$\theta_{\rm E}$ [arcsec]"
    assert 2.05 in [line.get_xdata()[0] for line in figure.axes[3].lines]
    assert "Orange" in corner_panel(posterior(), {"mass.slope": 2.05}).caption
    assert "Orange" not in corner_panel(posterior(), {"elsewhere": 2.05}).caption


def test_dollars_in_a_path_are_text() -> None:
    assert axis_label("a.$x_{", {}) == r"a.\$x_{"
    assert axis_label("mass.slope", {"mass.slope": "cost $"}) == r"cost \$"
    assert axis_label("a\x1b漢.é\n", {}) == "a??.é?"
    assert len(axis_label("p" * 500, {})) == 24
    panel = corner_panel(posterior(paths=("a.$x_{", "b.\\frac$漢")), {})
    assert panel.picture


def test_corner_of_bad_samples() -> None:
    parameters = posterior().parameters.copy()
    parameters[:5, 0] = np.nan
    assert corner_figure(posterior(parameters=parameters), {}) is not None
    constant = parameters.copy()
    constant[:, 1] = 2.0
    figure = corner_figure(posterior(parameters=constant), {})
    assert figure is not None
    assert len(figure.axes) == 1  # the column that does not vary is left out
    constant[:, 0] = 1.4
    for nothing in (posterior(parameters=constant), posterior(n=10), posterior(log_weight=np.full(1500, -np.inf))):
        assert corner_panel(nothing, {}).picture is None
        assert corner_panel(nothing, {}).caption == "Too few samples for a corner plot."


def test_posterior_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(DataError, match=r"parameters has shape \(4, 3\): allowed is \(n, 2\)"):
        posterior(parameters=np.zeros((4, 3)))
    with pytest.raises(DataError, match=r"log_weight has shape \(4,\): allowed is \(1500,\)"):
        posterior(log_weight=np.zeros(4))
