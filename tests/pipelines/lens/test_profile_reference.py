"""Every profile against numbers from numerical integration: a shared table where it is at hand, and integrals made here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import integrate, special

from pipelines.lens import light, mass
from pipelines.lens.geometry import ellipticity
from pipelines.lens.light import sersic_b

CASES = (
    "sis_centred",
    "sie_q05_phim70_off",
    "sie_q0999",
    "epl_g21_q08",
    "epl_g15_q09",
    "epl_g20_equals_sie",
    "epl_sph_g22",
    "shear_b",
    "mass_sheet",
    "nfw_sph_a",
    "nfw_ell_q08",
    "gauss_mass_q07",
    "cored_pl_g21_q08",
    "sersic_n4",
    "sersic_n08_round",
    "gaussian_q08",
    "gaussian_round_small",
)
LIGHT_NAMES = {"amp": "intensity", "peak": "intensity", "r_eff": "effective_radius", "n": "sersic_index", "sigma": "sigma"}
MASS_NAMES = {
    "theta_E": "einstein_radius",
    "gamma": "slope",
    "gamma1": "gamma_1",
    "gamma2": "gamma_2",
    "kappa": "convergence_0",
    "kappa_s": "kappa_s",
    "r_s": "scale_radius",
    "kappa0": "convergence_0",
    "sigma": "sigma",
}
CLASSES = {
    "SIE": mass.Isothermal,
    "EPL": mass.PowerLaw,
    "SHEAR": mass.Shear,
    "SHEET": mass.Sheet,
    "NFW": mass.NFW,
    "GAUSS_KAPPA": mass.GaussianMass,
    "SERSIC": light.Sersic,
    "GAUSSIAN": light.Gaussian,
}


def built(case: dict[str, Any]) -> Any:
    """The component of a case of the table: the table's own names in ours."""
    values = dict(case["neutral_params"])
    if case["profile"] == "CORED_PL":
        return cored(**values)
    fields: dict[str, Any] = {}
    if "x0" in values:
        fields.update(center_x=values.pop("x0"), center_y=values.pop("y0"))
    if "q" in values:
        fields["ellipticity_1"], fields["ellipticity_2"] = ellipticity(values.pop("q"), np.radians(values.pop("phi_deg")))
    names = LIGHT_NAMES if case["kind"] == "light" else MASS_NAMES
    return CLASSES[case["profile"]](**fields, **{names[key]: value for key, value in values.items()})


def cored(x0: float, y0: float, q: float, phi_deg: float, theta_E_major: float, gamma: float, core: float) -> mass.CoredPowerLaw:
    """The table's is (3 - gamma)/(1 + q) (theta_E^2 / (m^2 + core^2))^((gamma - 1)/2), m the radius on the major axis."""
    e_1, e_2 = ellipticity(q, np.radians(phi_deg))
    radius = theta_E_major * np.sqrt(q) * (2.0 / (1.0 + q)) ** (1.0 / (gamma - 1.0))
    return mass.CoredPowerLaw(
        center_x=x0, center_y=y0, ellipticity_1=e_1, ellipticity_2=e_2, einstein_radius=radius, slope=gamma, core_radius=np.sqrt(q) * core
    )


def computed(component: Any, x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    if hasattr(component, "surface_brightness"):
        return {"surface_brightness": component.surface_brightness(x, y)}
    alpha_x, alpha_y = component.deflection(x, y)
    return {"alpha_x": alpha_x, "alpha_y": alpha_y, "kappa": component.convergence(x, y), "psi": component.potential(x, y)}


@pytest.fixture(scope="module")
def table(shared_dir: Path) -> dict[str, dict[str, Any]]:
    content = json.loads((shared_dir / "reference" / "lens_profiles.json").read_text())
    return {case["id"]: case for case in content["cases"]}


@pytest.mark.parametrize("name", CASES)
def test_table_of_integrals(table: dict[str, dict[str, Any]], name: str) -> None:
    case = table[name]
    x, y = np.array(case["positions_xy"]).T
    got = computed(built(case), x, y)
    expected = dict(case["independent_numeric"])
    if case["profile"] == "SERSIC":
        assert sersic_b(case["neutral_params"]["n"]) == pytest.approx(expected.pop("b_n_exact"), rel=1e-12)
    assert set(got) == set(expected)
    for key, numbers in expected.items():
        assert got[key] == pytest.approx(np.array(numbers), rel=1e-9, abs=1e-14), key


def test_every_kind_of_the_table_is_compared(table: dict[str, dict[str, Any]]) -> None:
    assert set(table) == set(CASES)


def integrated_deflection(kappa: Any, q: float, phi: float, x: float, y: float) -> tuple[float, float]:
    """Deflection of kappa(m), m^2 = x'^2 + y'^2 / q^2, by the one-dimensional integrals of Schramm 1990 (A&A 231, 19).

    alpha = q r . int_0^1 kappa(m(u)) / (1 - (1 - q^2) u)^(n + 1/2) du, n = 0 for x' and 1 for y', with
    m(u)^2 = u (x'^2 + y'^2 / (1 - (1 - q^2) u)); u = t^20 makes the integrand smooth for every slope.
    """
    c, s = np.cos(phi), np.sin(phi)
    a, b = c * x + s * y, -s * x + c * y

    def integrand(t: float, power: int) -> float:
        u = t**20
        flat = 1.0 - (1.0 - q * q) * u
        return 20.0 * t**19 * kappa(np.sqrt(u * (a * a + b * b / flat))) / flat ** (power + 0.5)

    first, second = (integrate.quad(integrand, 0.0, 1.0, args=(n,), epsabs=0, epsrel=1e-12, limit=400)[0] for n in (0, 1))
    return q * (c * a * first - s * b * second), q * (s * a * first + c * b * second)


@pytest.mark.parametrize(("q", "slope"), [(0.8, 2.1), (0.55, 1.6), (0.3, 2.4), (0.1, 2.0), (1.0, 1.3)])
def test_power_law_against_an_integral_made_here(q: float, slope: float) -> None:
    phi, radius = 0.7, 1.3
    e_1, e_2 = ellipticity(q, phi)
    lens = mass.PowerLaw(center_x=0.1, center_y=-0.2, ellipticity_1=e_1, ellipticity_2=e_2, einstein_radius=radius, slope=slope)

    def kappa(m: float) -> float:
        return 0.5 * (3.0 - slope) * (radius / (np.sqrt(q) * m)) ** (slope - 1.0)

    for x, y in ((0.9, 0.3), (-1.4, 0.7), (0.02, -0.6), (3.0, -2.0)):
        expected = integrated_deflection(kappa, q, phi, x - 0.1, y + 0.2)
        assert np.array(lens.deflection(np.float64(x), np.float64(y))) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("n", [0.5, 0.8, 1.0, 2.5, 4.0, 8.0])
def test_half_of_a_sersic_lies_within_its_effective_radius(n: float) -> None:
    q = 0.6
    e_1, e_2 = ellipticity(q, 1.1)
    galaxy = light.Sersic(
        center_x=0.0, center_y=0.0, ellipticity_1=e_1, ellipticity_2=e_2, intensity=1.4, effective_radius=0.8, sersic_index=n
    )

    def ring(t: float) -> float:
        # along the major axis R = sqrt(q) x', and an ellipse of radius R has the area pi R^2; R = t^5 keeps a cusp smooth
        radius = t**5
        x = radius / np.sqrt(q)
        return 2.0 * np.pi * radius * 5.0 * t**4 * float(galaxy.surface_brightness(x * np.cos(1.1), x * np.sin(1.1)))

    inside = integrate.quad(ring, 0.0, 0.8**0.2, epsabs=0, epsrel=1e-12, limit=400)[0]
    b = special.gammaincinv(2.0 * n, 0.5)
    total = 2.0 * np.pi * n * np.exp(b) * b ** (-2.0 * n) * special.gamma(2.0 * n) * 1.4 * 0.8**2
    assert inside == pytest.approx(0.5 * total, rel=1e-10)
