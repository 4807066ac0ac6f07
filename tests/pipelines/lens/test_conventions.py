"""Parameters of other packages: their published convergence, written out here, against that of the component; and the way back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import integrate

from pipelines.lens import conventions as c
from pipelines.lens.mass import Isothermal, PowerLaw, Shear

X = np.array([0.9, -1.4, 0.02, 2.6, 0.1, -0.3])
Y = np.array([0.3, 0.7, -0.6, -2.0, 1.9, -0.21])


def rotated(x: Any, y: Any, angle: float) -> tuple[Any, Any]:
    """Coordinates along the axes of an ellipse whose major axis is ``angle`` radians anticlockwise from +x."""
    return x * np.cos(angle) + y * np.sin(angle), -x * np.sin(angle) + y * np.cos(angle)


def axes_of_autolens(centre: tuple[float, float], ell_comps: tuple[float, float]) -> tuple[Any, Any, float]:
    """Their documentation: ell_comps = (f sin 2 phi, f cos 2 phi), f = (1-q)/(1+q); centre = (y, x)."""
    f = np.hypot(*ell_comps)
    q, phi = (1 - f) / (1 + f), 0.5 * np.arctan2(ell_comps[0], ell_comps[1])
    return (*rotated(X - centre[1], Y - centre[0], phi), q)


AUTOLENS = {"centre": (0.1, -0.2), "ell_comps": (0.15, -0.08)}


@pytest.mark.parametrize("slope", [1.6, 2.0, 2.4])
def test_autolens_power_law(slope: float) -> None:
    """kappa = (3 - slope)/(1 + q) (theta_E / m)^(slope - 1), m^2 = x'^2 + y'^2 / q^2."""
    a, b, q = axes_of_autolens(**AUTOLENS)
    mass = c.from_autolens_power_law(**AUTOLENS, einstein_radius=1.4, slope=slope)
    expected = (3 - slope) / (1 + q) * (1.4 / np.sqrt(a**2 + b**2 / q**2)) ** (slope - 1)
    assert mass.convergence(X, Y) == pytest.approx(expected, rel=1e-12)
    assert abs(mass.einstein_radius - 1.4) > 1e-3
    back = c.to_autolens_power_law(mass)
    assert back["einstein_radius"] == pytest.approx(1.4, rel=1e-14)
    assert (back["centre"], back["ell_comps"], back["slope"]) == (AUTOLENS["centre"], AUTOLENS["ell_comps"], slope)


def test_autolens_isothermal_and_its_deflection() -> None:
    """Their deflection: 2 q / (1 + q) theta_E / sqrt(1 - q^2) (arctan, arctanh)(sqrt(1 - q^2) (x', y') / psi), psi^2 = q^2 x'^2 + y'^2."""
    a, b, q = axes_of_autolens(**AUTOLENS)
    mass = c.from_autolens_isothermal(**AUTOLENS, einstein_radius=1.4)
    f, psi = np.sqrt(1 - q * q), np.sqrt(q * q * a * a + b * b)
    along, across = 2 * q / (1 + q) * 1.4 / f * np.arctan(f * a / psi), 2 * q / (1 + q) * 1.4 / f * np.arctanh(f * b / psi)
    phi = 0.5 * np.arctan2(*AUTOLENS["ell_comps"])
    alpha_x, alpha_y = rotated(along, across, -phi)
    assert np.array(mass.deflection(X, Y)) == pytest.approx(np.array([alpha_x, alpha_y]), rel=1e-11)
    assert mass.einstein_radius == pytest.approx(1.4 * 2 * np.sqrt(q) / (1 + q), rel=1e-14)
    assert c.to_autolens_isothermal(mass)["einstein_radius"] == pytest.approx(1.4, rel=1e-14)
    assert c.from_autolens_isothermal(**c.to_autolens_isothermal(mass)) == mass


def test_autolens_shear_stretches_along_its_angle() -> None:
    """Magnitude and angle arctan2(gamma_2, gamma_1) / 2; in the turned frame the deflection is (gamma x', -gamma y')."""
    shear = c.from_autolens_shear(gamma_1=0.03, gamma_2=-0.06)
    angle, size = 0.5 * np.arctan2(-0.06, 0.03), np.hypot(0.03, 0.06)
    a, b = rotated(X, Y, angle)
    assert np.array(shear.deflection(X, Y)) == pytest.approx(np.array(rotated(size * a, -size * b, -angle)), rel=1e-12)
    assert c.to_autolens_shear(shear) == {"gamma_1": 0.03, "gamma_2": -0.06}


def test_autolens_halo() -> None:
    """kappa = 2 kappa_s (1 - F) / (X^2 - 1) at X = m / r_s, by the integral of the density along the line of sight."""
    a, b, q = axes_of_autolens(**AUTOLENS)
    halo = c.from_autolens_nfw(**AUTOLENS, kappa_s=0.2, scale_radius=3.0)
    for x, y, m in zip(X, Y, np.sqrt(a**2 + b**2 / q**2) / 3.0, strict=True):
        along = integrate.quad(lambda z, m=m: 1.0 / (np.hypot(m, z) * (1 + np.hypot(m, z)) ** 2), 0, np.inf)[0]
        assert halo.convergence(x, y) == pytest.approx(2 * 0.2 * along, rel=1e-7)
    assert c.to_autolens_nfw(halo) == {**AUTOLENS, "kappa_s": 0.2, "scale_radius": 3.0}


@pytest.mark.parametrize("gamma", [1.6, 2.0, 2.4])
def test_lenstronomy_epl(gamma: float) -> None:
    """kappa = (3 - gamma)/2 (theta_E / sqrt(q x'^2 + y'^2 / q))^(gamma - 1), e1 = (1-q)/(1+q) cos 2 phi."""
    arguments = {"theta_E": 1.4, "gamma": gamma, "e1": 0.1, "e2": -0.15, "center_x": 0.1, "center_y": -0.2}
    f = np.hypot(0.1, 0.15)
    q, phi = (1 - f) / (1 + f), 0.5 * np.arctan2(-0.15, 0.1)
    a, b = rotated(X - 0.1, Y + 0.2, phi)
    mass = c.from_lenstronomy_epl(**arguments)
    assert mass.convergence(X, Y) == pytest.approx((3 - gamma) / 2 * (1.4 / np.sqrt(q * a**2 + b**2 / q)) ** (gamma - 1), rel=1e-12)
    assert c.to_lenstronomy_epl(mass) == arguments
    del arguments["gamma"]
    sie = c.from_lenstronomy_sie(**arguments)
    assert isinstance(sie, Isothermal)
    assert c.to_lenstronomy_sie(sie) == arguments
    assert sie.convergence(X, Y) == pytest.approx(0.5 * 1.4 / np.sqrt(q * a**2 + b**2 / q), rel=1e-12)


def test_lenstronomy_shear() -> None:
    """f_x = gamma1 x + gamma2 y, f_y = gamma2 x - gamma1 y; its center only shifts the deflection by a constant."""
    shear = c.from_lenstronomy_shear(gamma1=0.04, gamma2=0.07, ra_0=0.3, dec_0=-0.1)
    alpha_x, alpha_y = shear.deflection(X, Y)
    assert np.ptp(alpha_x - (0.04 * (X - 0.3) + 0.07 * (Y + 0.1))) < 1e-15
    assert np.ptp(alpha_y - (0.07 * (X - 0.3) - 0.04 * (Y + 0.1))) < 1e-15
    assert c.to_lenstronomy_shear(shear) == {"gamma1": 0.04, "gamma2": 0.07, "ra_0": 0.0, "dec_0": 0.0}


@pytest.mark.parametrize("phi", [-89.0, -40.0, 0.0, 35.0, 90.0])
def test_coolest(phi: float) -> None:
    """Angles anticlockwise from +y: at phi = 0 the major axis is y. The Einstein radius is on the intermediate axis."""
    arguments = {"theta_E": 1.4, "gamma": 2.2, "q": 0.7, "phi": phi, "center_x": 0.1, "center_y": -0.2}
    major = np.array([-np.sin(np.radians(phi)), np.cos(np.radians(phi))])
    a = (X - 0.1) * major[0] + (Y + 0.2) * major[1]
    b = (X - 0.1) * major[1] - (Y + 0.2) * major[0]
    mass = c.from_coolest_pemd(**arguments)
    assert mass.convergence(X, Y) == pytest.approx(0.4 * (1.4 / np.sqrt(0.7 * a**2 + b**2 / 0.7)) ** 1.2, rel=1e-12)
    assert c.to_coolest_pemd(mass) == pytest.approx(arguments, rel=1e-12, abs=1e-12)
    del arguments["gamma"]
    assert c.to_coolest_sie(c.from_coolest_sie(**arguments)) == pytest.approx(arguments, rel=1e-12, abs=1e-12)
    shear = c.from_coolest_shear(gamma_ext=0.08, phi_ext=phi)
    assert np.array(shear.deflection(*major)) == pytest.approx(0.08 * major, rel=1e-12, abs=1e-15)
    assert c.to_coolest_shear(shear) == pytest.approx({"gamma_ext": 0.08, "phi_ext": phi}, rel=1e-12, abs=1e-12)


def test_glee() -> None:
    """Suyu et al. 2013: kappa = (3 - gamma)/(1 + q) (theta_E / sqrt(x'^2 + y'^2/q^2))^(gamma - 1)."""
    arguments = {"theta_E": 1.4, "gamma": 1.9, "q": 0.6, "phi": 0.5, "x": 0.1, "y": -0.2}
    a, b = rotated(X - 0.1, Y + 0.2, 0.5)
    mass = c.from_glee_power_law(**arguments)
    assert mass.convergence(X, Y) == pytest.approx(1.1 / 1.6 * (1.4 / np.sqrt(a**2 + b**2 / 0.36)) ** 0.9, rel=1e-12)
    assert c.to_glee_power_law(mass) == pytest.approx(arguments, rel=1e-12)


@pytest.mark.parametrize(("pa", "north"), [(0.0, 0.0), (120.0, 0.0), (30.0, 75.0), (179.0, -20.0)])
def test_bolton(pa: float, north: float) -> None:
    """kappa = b_SIE / (2 sqrt(q x'^2 + y'^2/q)); the major axis is pa east of north, with north up and east left where y is north."""
    mass = c.from_bolton_sie(b_sie=1.4, q_sie=0.7, pa_sie=pa, center=(0.1, -0.2), position_angle_of_y=north)
    turn = np.radians(pa - north)  # anticlockwise of +y
    major = np.array([-np.sin(turn), np.cos(turn)])
    a, b = (X - 0.1) * major[0] + (Y + 0.2) * major[1], (X - 0.1) * major[1] - (Y + 0.2) * major[0]
    assert mass.convergence(X, Y) == pytest.approx(0.7 / np.sqrt(0.7 * a**2 + b**2 / 0.7), rel=1e-12)
    assert mass.einstein_radius == 1.4
    assert c.to_bolton_sie(mass, position_angle_of_y=north) == pytest.approx({"b_sie": 1.4, "q_sie": 0.7, "pa_sie": pa}, abs=1e-11)


def test_every_set_goes_there_and_back() -> None:
    """Of round and of flat masses; whichever pair of functions there is."""
    masses: dict[str, Any] = {
        "power_law": PowerLaw(center_x=0.1, center_y=0.2, ellipticity_1=-0.2, ellipticity_2=0.3, einstein_radius=1.1, slope=2.3),
        "isothermal": Isothermal(center_x=0.1, center_y=0.2, ellipticity_1=0.0, ellipticity_2=0.0, einstein_radius=1.1),
        "shear": Shear(gamma_1=-0.02, gamma_2=0.05),
    }
    masses.update(epl=masses["power_law"], pemd=masses["power_law"], sie=masses["isothermal"])
    pairs = [(name, getattr(c, "from_" + name[3:])) for name in dir(c) if name.startswith("to_")]
    assert len(pairs) == 12
    for name, back in pairs:
        kind = next((kind for kind in masses if name.endswith(kind)), None)
        if kind is None or name == "to_bolton_sie":  # halos and centers, tested above
            continue
        again = back(**getattr(c, name)(masses[kind]))
        for field in masses[kind].__dataclass_fields__:
            assert getattr(again, field) == pytest.approx(getattr(masses[kind], field), rel=1e-12, abs=1e-14), (name, field)
