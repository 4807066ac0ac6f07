"""Every latent variable against a computation of its own, in plain NumPy, on a small lens that was simulated."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from astropy import constants
from astropy.cosmology import FlatLambdaCDM
from scipy.optimize import lsq_linear
from scipy.signal import fftconvolve

from fitcore.evaluation import compiled
from fitcore.model import Model
from fitcore.samples import Samples
from pipelines.lens.analysis import LensAnalysis
from pipelines.lens.assess import intervals
from pipelines.lens.dataset import Imaging
from pipelines.lens.images import point_images
from pipelines.lens.latents import OF_REDSHIFTS, OF_ZERO_POINT, latents_of_instance, left_out
from pipelines.lens.linear import masses_of
from pipelines.lens.magnification import enclosed_convergence, inverse_magnification, total_convergence
from pipelines.lens.mass import NFW, PowerLaw
from pipelines.lens.meanings import LATENTS
from pipelines.lens.stages import LIGHT_SHAPE, isothermal_model
from pipelines.lens.tracing import ray_trace
from pipelines.lens.varpro import PARAMETERS

ZERO_POINT = 25.9
_compiled = compiled(latents_of_instance)


@pytest.fixture(scope="module")
def image(ring: SimpleNamespace) -> Imaging:
    return replace(
        ring.make(), mask_radius=2.0, redshift_lens=0.2, redshift_source=0.7, magnitude_zero_point=ZERO_POINT, position_angle_of_y=25.0
    )


@pytest.fixture(scope="module")
def analysis(image: Imaging) -> LensAnalysis:
    return LensAnalysis(image)


@pytest.fixture(scope="module")
def model(ring: SimpleNamespace) -> Model:
    """The lens's light in its true shape; a power law."""
    truth = dict(zip(PARAMETERS, ring.truth.tolist(), strict=True))
    plain = isothermal_model().replace({path: truth[path] for path in LIGHT_SHAPE})
    fields = ("center_x", "center_y", "ellipticity_1", "ellipticity_2", "einstein_radius")
    mass = PowerLaw(**{field: plain.priors[f"mass.{field}"] for field in fields}, slope=2.1)
    return plain.replace({"mass": mass})


@pytest.fixture(scope="module")
def samples(model: Model, ring: SimpleNamespace) -> Samples:
    """Draws around the truth; the weights are uneven."""
    rng = np.random.default_rng(11)
    truth = dict(zip(PARAMETERS, ring.truth.tolist(), strict=True))
    theta = np.array([truth[path] for path in model.paths]) + 0.01 * rng.standard_normal((6, model.n_dim))
    weight = rng.uniform(0.5, 1.5, 6)
    zero = np.zeros(6)
    return Samples(
        paths=model.paths, parameters=theta, log_likelihood=zero, log_prior=zero, log_weight=np.log(weight / weight.sum())
    ).with_model(model)


@pytest.fixture(scope="module")
def found(analysis: LensAnalysis, samples: Samples) -> Samples:
    latents = analysis.compute_latent_samples(samples)
    assert latents is not None
    return latents


@pytest.fixture(scope="module")
def instances(model: Model, samples: Samples) -> list[Any]:
    return [model.instance_from_vector(row) for row in samples.parameters]


def gaussians(basis: Any, x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """Members of a basis at positions, each by its own exponential."""
    e = complex(basis.ellipticity_1, basis.ellipticity_2)
    z = (x - basis.center_x - basis.offset_x) + 1j * (y - basis.center_y - basis.offset_y)
    square = np.abs(z - e * np.conj(z)) ** 2 / (1 - abs(e) ** 2)
    return [np.exp(-0.5 * square / (basis.sigma_max / 2 ** (0.5 * k)) ** 2) for k in range(basis.n)]


def by_brute_force(image: Imaging, instance: Any, arcs: np.ndarray) -> dict[str, float]:
    """Fluxes and residuals from columns made on the whole image, convolved by another routine and fitted by another solver."""
    scale, shift = image.pixel_scale, 0.25 * image.pixel_scale
    lens, source = [], []
    masses = masses_of(instance)
    for part, columns, is_lensed in ((instance["lens_light"], lens, False), (instance["source"], source, True)):
        for basis in part.values():
            total: Any = 0.0
            for dx in (-shift, shift):
                for dy in (-shift, shift):
                    at = (image.x + dx, image.y + dy)
                    total = total + 0.25 * np.array(gaussians(basis, *(ray_trace(masses, *at) if is_lensed else at)))
            columns.extend(total)
    center = LensAnalysis(image).preparation.center
    radius = np.hypot(image.x - center[0], image.y - center[1])
    used = image.used & (radius <= image.mask_radius)
    seen = np.array([fftconvolve(column, image.psf, mode="same") for column in [*lens, *source]])
    rows = np.concatenate([seen, np.ones((1, *image.shape))])[:, used] / image.noise[used]
    free = np.full(len(rows), 0.0)
    free[-1] = -np.inf
    size = np.linalg.norm(rows, axis=1)
    fit = lsq_linear(
        (rows / size[:, None]).T, image.data[used] / image.noise[used], (free, np.inf), method="bvls", tol=1e-14, max_iter=1000
    )
    amplitude = fit.x / size
    n = len(lens)
    chi = np.zeros(image.shape)
    chi[used] = fit.fun
    sigma = np.array([basis.sigma_max / 2 ** (0.5 * k) for basis in instance["source"].values() for k in range(basis.n)])
    half = max(image.psf.shape) // 2 + image.mask_radius / scale
    window = (np.abs(image.x - center[0]) <= half * scale) & (np.abs(image.y - center[1]) <= half * scale)
    return {
        "lens_flux": float(amplitude[:n] @ np.array(lens)[:, radius <= image.mask_radius].sum(axis=1)),
        "lensed_source_flux": float(amplitude[n:-1] @ np.array(source)[:, window].sum(axis=1)),
        "source_flux": float(np.sum(amplitude[n:-1] * 2 * np.pi * sigma**2) / scale**2),
        "chi2_per_pixel_arc": float((chi[arcs] ** 2).mean()),
    }


def test_the_table_names_what_was_asked_for() -> None:
    asked = (
        "einstein_radius_effective", "einstein_radius_intermediate", "mass_in_einstein", "mass_axis_ratio", "mass_pa_e_of_n", "slope",
        "shear_magnitude", "shear_pa_e_of_n", "lens_flux", "lensed_source_flux", "source_flux", "lens_magnitude", "lensed_source_magnitude",
        "source_magnitude", "magnification", "source_half_light_radius", "light_mass_offset", "chi2_per_pixel_arc", "n_images",
        "position_scatter",
    )  # fmt: skip
    assert tuple(LATENTS) == asked
    assert all(latent.description for latent in LATENTS.values())
    assert {latent.unit for latent in LATENTS.values()} == {"arcsec", "Msun", "deg", "image units", "mag", ""}


def test_all_are_there_and_finite(found: Samples) -> None:
    assert found.paths == tuple(LATENTS)
    assert np.isfinite(found.parameters).all()


def test_fluxes_and_residuals_by_brute_force(image: Imaging, analysis: LensAnalysis, instances: list[Any], found: Samples) -> None:
    arcs = np.zeros(image.shape, dtype=bool)
    x, y = analysis.frame.pixel_centers
    rows = np.round(y[:, 0] / image.pixel_scale + 0.5 * (image.shape[0] - 1)).astype(int)
    columns = np.round(x[0] / image.pixel_scale + 0.5 * (image.shape[1] - 1)).astype(int)
    mask = np.asarray(analysis.facts.arcs).reshape(x.shape)
    keep_rows, keep_columns = ((k >= 0) & (k < n) for k, n in ((rows, image.shape[0]), (columns, image.shape[1])))
    arcs[np.ix_(rows[keep_rows], columns[keep_columns])] = mask[np.ix_(keep_rows, keep_columns)]
    for i in (0, 3):
        expected = by_brute_force(image, instances[i], arcs)
        expected["magnification"] = expected["lensed_source_flux"] / expected["source_flux"]
        for key, value in expected.items():
            assert found.column(key)[i] == pytest.approx(value, rel={"chi2_per_pixel_arc": 1e-4, "lens_flux": 1e-2}.get(key, 2e-3)), key


def test_magnitudes_are_those_of_the_fluxes(found: Samples) -> None:
    for kind in ("lens", "lensed_source", "source"):
        expected = ZERO_POINT - 2.5 * np.log10(found.column(f"{kind}_flux"))
        assert found.column(f"{kind}_magnitude") == pytest.approx(expected, rel=1e-12)


def test_radii_and_mass_by_counting_pixels(instances: list[Any], found: Samples) -> None:
    """The area where det A < 0, less the radial part's, on a fine grid; and the mean convergence within the radius is one."""
    axis = (np.arange(1500) - 749.5) * (4.0 / 1500)
    x, y = np.meshgrid(axis, axis)
    cosmology = FlatLambdaCDM(H0=70.0, Om0=0.3)
    distance = [cosmology.angular_diameter_distance(z).to_value("m") for z in (0.2, 0.7)]
    between = cosmology.angular_diameter_distance(0.7).to_value("m") - distance[0] * 1.2 / 1.7
    density = constants.c.value**2 / (4 * np.pi * constants.G.value) * distance[1] / (distance[0] * between) / constants.M_sun.value
    for i in (0, 3):
        masses, mass = masses_of(instances[i]), instances[i]["mass"]
        area = (np.asarray(inverse_magnification(masses, x, y)) < 0.0).sum() * (4.0 / 1500) ** 2
        radius = found.column("einstein_radius_effective")[i]
        assert radius == pytest.approx(np.sqrt(area / np.pi), rel=1e-4)
        assert found.column("einstein_radius_intermediate")[i] == mass.einstein_radius
        inside = np.asarray(mass.convergence(x, y)) > 0.5 * (3 - mass.slope)  # R < einstein_radius, whatever the shape
        assert np.sqrt(inside.sum() / np.pi) * (4.0 / 1500) == pytest.approx(mass.einstein_radius, rel=1e-4)
        expected = np.pi * (radius * np.pi / 180 / 3600 * distance[0]) ** 2 * density
        assert found.column("mass_in_einstein")[i] == pytest.approx(expected, rel=1e-6)
        # the mass in that circle by integrating the convergence differs only by shear and ellipticity
        within = enclosed_convergence(masses, radius, center=(mass.center_x, mass.center_y))
        assert within / (np.pi * radius**2) == pytest.approx(1.0, abs=0.02)
        disc = np.hypot(x - mass.center_x, y - mass.center_y) < radius
        assert np.asarray(total_convergence(masses, x, y))[disc].sum() * (4.0 / 1500) ** 2 == pytest.approx(within, rel=2e-3)


def test_shapes_and_angles(instances: list[Any], found: Samples, image: Imaging) -> None:
    """Axis ratio and angle of the mass from second moments of a line of equal convergence; of the shear from what it does to a circle."""
    for i, instance in enumerate(instances):
        mass, shear = instance["mass"], instance["shear"]
        angle = np.arange(7200) * 2 * np.pi / 7200
        reach = 1.0 / np.asarray(mass.convergence(mass.center_x + np.cos(angle), mass.center_y + np.sin(angle))) ** (-1 / (mass.slope - 1))
        assert found.column("mass_axis_ratio")[i] == pytest.approx(reach.min() / reach.max(), rel=1e-5)
        for key, major in (("mass_pa_e_of_n", angle[np.argmax(reach)]), ("shear_pa_e_of_n", _stretched(shear, angle))):
            expected = np.degrees(major) - 90.0 + image.position_angle_of_y
            assert abs((found.column(key)[i] - expected + 90.0) % 180.0 - 90.0) < 0.06, key
        strength = np.max(np.hypot(*shear.deflection(np.cos(angle), np.sin(angle))))
        assert found.column("shear_magnitude")[i] == pytest.approx(strength, rel=1e-12)
        light = instance["lens_light"]["first"]
        offset = np.hypot(light.center_x - mass.center_x, light.center_y - mass.center_y)
        assert found.column("light_mass_offset")[i] == pytest.approx(offset, rel=1e-12)
    assert np.all(found.column("slope") == 2.1)


def _stretched(shear: Any, angle: np.ndarray) -> float:
    """Where a small round source's image reaches farthest: theta = A^-1 beta."""
    a = np.array([[1 - shear.gamma_1, -shear.gamma_2], [-shear.gamma_2, 1 + shear.gamma_1]])
    image = np.linalg.solve(a, np.array([np.cos(angle), np.sin(angle)]))
    farthest = np.argmax(np.hypot(*image))
    return float(np.arctan2(image[1, farthest], image[0, farthest]))


def test_images_and_spots(instances: list[Any], found: Samples, analysis: LensAnalysis) -> None:
    spots = np.asarray(analysis.facts.spots)[: int(analysis.facts.n_spots)]
    assert len(spots) >= 2
    for i, instance in enumerate(instances):
        masses, mass, source = masses_of(instance), instance["mass"], instance["source"]["main"]
        seen = point_images(masses, (source.center_x, source.center_y), center=(mass.center_x, mass.center_y))
        assert found.column("n_images")[i] == (~seen.is_central).sum()
        beta = np.stack(ray_trace(masses, *spots.T))
        assert found.column("position_scatter")[i] == pytest.approx(np.sqrt(beta.var(axis=1).sum()), rel=1e-7)
    assert np.all(found.column("position_scatter") < 0.1)  # all of them are near the truth


def test_spots_of_a_wrong_lens_do_not_meet(analysis: LensAnalysis, model: Model, samples: Samples) -> None:
    theta = dict(zip(model.paths, samples.parameters[0], strict=True)) | {"mass.einstein_radius": 0.7}
    latents = _compiled(model.instance_from_vector(np.array(list(theta.values()))), analysis.frame, None, analysis.facts)
    assert float(latents["position_scatter"]) > 0.2


def test_held_light_and_single_samples_change_no_number(analysis: LensAnalysis, found: Samples, instances: list[Any]) -> None:
    """The batch holds the light whose shape is fixed; one instance alone computes it."""
    own = _compiled(instances[2], analysis.frame, None, analysis.facts)
    for key in LATENTS:
        expected = found.column(key)[2]
        if key.endswith("pa_e_of_n"):
            assert (float(own[key]) - expected) % 180.0 == pytest.approx(0.0, abs=1e-9) or (float(own[key]) - expected) % 180.0 > 180 - 1e-9
        else:
            assert float(own[key]) == pytest.approx(expected, rel=1e-6), key


def test_angles_are_not_cut_in_two(image: Imaging, model: Model, samples: Samples) -> None:
    """A mass that points north: half of its posterior is a little west of it, and the median still says north."""
    theta = samples.parameters.copy()
    theta[:, model.paths.index("mass.ellipticity_1")] = -0.2
    theta[:, model.paths.index("mass.ellipticity_2")] = [-0.01, 0.01, -0.02, 0.02, -0.003, 0.003]
    latents = LensAnalysis(replace(image, position_angle_of_y=0.0)).compute_latent_samples(
        replace(samples, parameters=theta).with_model(model)
    )
    assert latents is not None
    column = latents.column("mass_pa_e_of_n")
    assert np.ptp(column) < 7.0
    assert abs((np.median(column) + 90.0) % 180.0 - 90.0) < 1.0


def test_what_the_data_cannot_have_is_left_out_and_said(image: Imaging) -> None:
    plain = replace(image, redshift_source=None, magnitude_zero_point=None)
    assert left_out(image) == {}
    missing = left_out(plain)
    assert set(missing) == {*OF_REDSHIFTS, *OF_ZERO_POINT}
    assert missing["mass_in_einstein"] == "the dataset has no redshift_source; add it to info.yaml"
    assert missing["lens_magnitude"] == "the dataset has no magnitude_zero_point; add it to info.yaml"
    assert tuple(LensAnalysis(plain).LATENT_KEYS) == tuple(key for key in LATENTS if key not in missing)
    assert "no redshift_lens and no redshift_source" in left_out(replace(plain, redshift_lens=None))["mass_in_einstein"]


def test_undefined_ones_are_nan_and_leave_the_others_alone(analysis: LensAnalysis, instances: list[Any]) -> None:
    """No critical curve, no light of the source in reach, no arcs, one spot, a round mass."""
    facts = replace(analysis.facts, arcs=np.zeros_like(analysis.facts.arcs), n_spots=np.asarray(1))
    mass = replace(instances[0]["mass"], einstein_radius=1e-4, ellipticity_1=0.0, ellipticity_2=0.0)
    far = {name: replace(basis, center_x=60.0) for name, basis in instances[0]["source"].items()}
    latents = _compiled({**instances[0], "mass": mass, "source": far}, analysis.frame, None, facts)
    undefined = {key for key, value in latents.items() if not np.isfinite(value)}
    assert undefined == {
        "einstein_radius_effective", "mass_in_einstein", "mass_pa_e_of_n", "magnification", "source_half_light_radius", "source_magnitude",
        "lensed_source_magnitude", "chi2_per_pixel_arc", "n_images", "position_scatter",
    }  # fmt: skip


def test_a_halo_for_a_mass(analysis: LensAnalysis, instances: list[Any]) -> None:
    """It has no Einstein radius of its own: that of its convergence is told, and no slope."""
    halo = NFW(center_x=0.0, center_y=0.0, ellipticity_1=0.1, ellipticity_2=0.0, kappa_s=0.8, scale_radius=3.0)
    latents = _compiled({**instances[0], "mass": halo}, analysis.frame, None, analysis.facts)
    radius = float(latents["einstein_radius_intermediate"])
    assert enclosed_convergence([halo], radius, center=(0.0, 0.0)) == pytest.approx(np.pi * radius**2, rel=0.01)
    assert np.isnan(latents["slope"])


def test_one_that_no_sample_has_harms_no_summary(found: Samples) -> None:
    values = found.parameters.copy()
    values[:, found.paths.index("position_scatter")] = np.nan
    values[:3, found.paths.index("n_images")] = np.nan
    rows = intervals(replace(found, parameters=values))
    assert set(LATENTS) - set(rows) == {"position_scatter"}
    assert rows["n_images"]["median"] == np.median(found.column("n_images")[3:])
