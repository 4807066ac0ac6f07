"""The mass of a posterior: profile and planes against what an isothermal lens has."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from pipelines.lens.assess import assess
from pipelines.lens.critical import critical_curves
from pipelines.lens.enclosed import N_RADII, mass_planes, profiles
from pipelines.lens.linear import masses_of
from pipelines.lens.mass_pictures import Interval, MassPlanes, mass_panels


@pytest.fixture(scope="module")
def planes(ring_chain: SimpleNamespace) -> MassPlanes:
    found, last = assess(ring_chain.dataset, ring_chain.results), list(ring_chain.results.values())[-1]
    mass = found.instance["mass"]
    curves = critical_curves(masses_of(found.instance), center=(float(mass.center_x), float(mass.center_y)))
    return mass_planes(found, last, curves)


def test_an_isothermal_profile_falls_as_one_over_the_radius(ring_chain: SimpleNamespace) -> None:
    result = ring_chain.results["isothermal"]
    radius = np.array([0.2, 0.4, 1.1])
    found = profiles(result, radius)
    assert found[:, 0] / found[:, 1] == pytest.approx(np.full(len(found), 2.0), rel=1e-6)
    einstein = result.samples.column("mass.einstein_radius")
    assert found[:, 2].mean() == pytest.approx(einstein.mean() / 1.1, rel=0.02)


def test_the_einstein_radius_is_where_the_mean_is_one(planes: MassPlanes) -> None:
    assert planes.einstein_radius.median == pytest.approx(1.1, abs=0.03)
    assert planes.einstein_radius.lower < planes.einstein_radius.median < planes.einstein_radius.upper
    assert planes.mean_convergence.shape == (3, N_RADII)
    assert (np.diff(planes.mean_convergence, axis=0) >= 0).all()
    assert np.exp(np.interp(np.log(1.1), np.log(planes.radius), np.log(planes.mean_convergence[1]))) == pytest.approx(1.0, abs=0.03)
    assert 0.3 < planes.arcs[0] < 1.1 < planes.arcs[1]


def test_planes_are_those_of_the_best_fit(planes: MassPlanes) -> None:
    n = planes.convergence.shape[0]
    axis = np.linspace(planes.extent[0], planes.extent[1], n + 1)
    step = axis[1] - axis[0]
    x = 0.5 * (axis[1:] + axis[:-1])
    row = np.argmin(np.abs(x - 0.5 * (planes.extent[0] + planes.extent[1])))
    assert planes.convergence[row].max() == planes.convergence.max()
    hot = np.argwhere(planes.magnification > 30)
    places = np.stack([x[hot[:, 1]], planes.extent[2] + (hot[:, 0] + 0.5) * step], axis=1)
    curve = planes.critical_curves[0]
    nearest = np.hypot(*(places[:, None] - curve[None]).transpose(2, 0, 1)).min(axis=1)
    assert np.median(nearest) < 2 * step
    assert not np.isfinite(planes.critical_mass)


def test_three_pictures_with_words(planes: MassPlanes) -> None:
    panels = mass_panels(planes)
    assert [panel.title for panel in panels] == ["Convergence", "Magnification", "Enclosed mass"]
    assert all(panel.picture for panel in panels)
    assert len({(panel.width, panel.height) for panel in panels}) == 1
    assert re.search(r"the mean is one at 1\.[01]\d{3} ± 0\.\d{4} arcsec", panels[2].caption)
    assert "Without redshifts" in panels[2].caption
    known = replace(planes, critical_mass=3e10)
    assert "Without redshifts" not in mass_panels(known)[2].caption
    assert mass_panels(known)[2].picture != panels[2].picture
    assert known.enclosed[1] == pytest.approx(3e10 * planes.enclosed[1])
    assert mass_panels(replace(planes, critical_curves=()))[0].picture != panels[0].picture
    moved = replace(planes, einstein_radius=Interval(median=0.5, lower=0.4, upper=0.6))
    assert "0.5000 ± 0.1000" in mass_panels(moved)[2].caption
