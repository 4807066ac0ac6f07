"""Position angles, solar masses and magnitudes."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy import constants
from astropy.coordinates import SkyCoord
from astropy.cosmology import FlatLambdaCDM
from astropy.wcs import WCS
from scipy import integrate

from fitcore.errors import DataError
from pipelines.lens.loader import wcs_facts
from pipelines.lens.sky import anticlockwise_from_x, critical_mass, east_of_north, magnitude


def test_north_up_east_left() -> None:
    angle = np.radians([0.0, 30.0, 90.0, 135.0, 180.0, -45.0])
    assert east_of_north(angle) == pytest.approx([90.0, 120.0, 0.0, 45.0, 90.0, 45.0])
    assert east_of_north(np.float64(np.pi / 2), 20.0) == pytest.approx(20.0)
    assert east_of_north(np.float64(np.pi / 2 - 1e-17), 0.0) == 0.0


@pytest.mark.parametrize("turn", [0.0, 33.0, 200.0])
@pytest.mark.parametrize("mirrored", [False, True])
def test_angles_are_those_of_the_wcs(turn: float, mirrored: bool) -> None:
    """Two points of an axis in the image, taken to the sky by astropy, whose position angle is the sky's own."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [150.0, 2.0], [50.0, 50.0]
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    wcs.wcs.cd = 1e-5 * np.array([[c, s], [-s, c]]) @ np.diag([1.0 if mirrored else -1.0, 1.0])
    facts = wcs_facts(wcs.to_header())
    assert facts["is_mirrored"] is mirrored
    for angle in np.radians([0.0, 25.0, 80.0, 140.0]):
        sky = [SkyCoord.from_pixel(49.0 + r * np.cos(angle), 49.0 + r * np.sin(angle), wcs) for r in (0.0, 0.1)]
        expected = sky[0].position_angle(sky[1]).to_value(u.deg) % 180.0  # type: ignore[attr-defined]
        found = east_of_north(angle, facts["position_angle_of_y"], facts["is_mirrored"])
        assert abs((found - expected + 90.0) % 180.0 - 90.0) < 1e-3
        back = anticlockwise_from_x(found, facts["position_angle_of_y"], facts["is_mirrored"])
        assert abs((back - angle + np.pi / 2) % np.pi - np.pi / 2) < 1e-9


def test_critical_mass_is_that_of_distances_integrated_here() -> None:
    z_l, z_s = 0.28, 0.93
    hubble = 299792.458 / 70.0  # Mpc
    near, far = (hubble * integrate.quad(lambda z: 1.0 / np.sqrt(0.3 * (1 + z) ** 3 + 0.7), 0, z)[0] for z in (z_l, z_s))
    to_lens, to_source, between = near / (1 + z_l), far / (1 + z_s), (far - near) / (1 + z_s)
    metre = 3.0856775814913673e22
    density = constants.c.value**2 / (4 * np.pi * constants.G.value) * to_source / (to_lens * between * metre)
    expected = density * (to_lens * metre * np.pi / 180 / 3600) ** 2 / constants.M_sun.value
    assert critical_mass(z_l, z_s) == pytest.approx(expected, rel=1e-5)  # astropy's cosmology has a little radiation by default
    cosmology = FlatLambdaCDM(H0=70.0, Om0=0.3)
    assert cosmology.Tcmb0.value == 0.0


def test_redshifts_that_contradict_each_other_are_refused() -> None:
    for pair in ((0.7, 0.2), (0.5, 0.5), (0.0, 1.0)):
        with pytest.raises(
            DataError, match=rf"the redshifts are {pair[0]} of the lens and {pair[1]} of the source; the lens must be above"
        ):
            critical_mass(*pair)


def test_magnitudes() -> None:
    assert magnitude(np.array([1.0, 100.0, 0.0, -1.0]), 25.0) == pytest.approx([25.0, 20.0, np.nan, np.nan], nan_ok=True)
