"""The pictures of the preparation: two, the same bytes every time, with neighbors and mask where they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipelines.lens import preparation_pictures as module
from pipelines.lens.preparation_pictures import PreparationPlanes, preparation_panels


def planes(neighbor: bool = True) -> PreparationPlanes:
    axis = (np.arange(60) - 29.5) * 0.1
    x, y = np.meshgrid(axis, axis)
    used = np.ones(x.shape, dtype=bool)
    used[:3] = False
    return PreparationPlanes(
        data=np.exp(-np.hypot(x, y)),
        significance=5.0 * np.exp(-0.5 * ((np.hypot(x, y) - 1.0) / 0.1) ** 2),
        used=used,
        neighbors=(np.hypot(x - 2.0, y) < 0.3) & neighbor,
        noise=0.01,
        x=axis,
        y=axis,
        center=(0.1, -0.2),
        mask_radius=2.4,
    )


def test_two_panels_that_say_what_they_show() -> None:
    first, second = preparation_panels(planes())
    assert (first.title, second.title) == ("What is fitted", "What stands out of the galaxy")
    for panel in (first, second):
        assert panel.picture is not None
        assert panel.picture.startswith("data:image/webp;base64,")
        assert panel.width == pytest.approx(720, abs=1)
    assert preparation_panels(planes()) == (first, second)


def test_what_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    draw = module.draw_panel
    monkeypatch.setattr(module, "draw_panel", lambda image, *rest, **more: seen.append((image, more)) or draw(image, *rest, **more))
    given = planes()
    preparation_panels(given)
    (_, first), (significance, second) = seen
    circle = first["curves"][0]
    assert np.hypot(circle[:, 0] - 0.1, circle[:, 1] + 0.2) == pytest.approx(2.4, abs=1e-12)
    outline = first["curves"][-1]
    assert np.hypot(outline[:, 0] - 2.0, outline[:, 1]) == pytest.approx(0.3, abs=0.08)
    inside = np.hypot(given.x[None, :] - 0.1, given.y[:, None] + 0.2) <= 2.4
    assert np.array_equal(first["used"], given.used & inside & ~given.neighbors)
    assert np.isnan(significance[:3]).all()
    assert len(second["curves"]) == 2
    seen.clear()
    preparation_panels(planes(neighbor=False))
    assert len(seen[1][1]["curves"]) == 1


def test_nothing_within_the_mask_is_drawn_all_the_same() -> None:
    assert preparation_panels(replace(planes(), center=(40.0, 0.0)))[0].picture is not None
