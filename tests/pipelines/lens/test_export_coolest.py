"""A lens in the COOLEST standard: the frame of the sky, the same mass and statistics; its reference package reads it, where installed."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits

from fitcore.errors import ConfigError
from fitcore.statistics import weighted_quantile
from pipelines.lens import conventions as c
from pipelines.lens.export_coolest import WEIGHTS, coolest_files
from pipelines.lens.exported import Scene
from pipelines.lens.mass import NFW, Isothermal, PowerLaw, Shear
from pipelines.lens.tracing import ray_trace

NORTH = 35.0


@pytest.fixture
def scene(exported: SimpleNamespace) -> Scene:
    return exported.scene


POINTS_X, POINTS_Y = np.array([0.9, -1.4, 0.3, 1.6]), np.array([0.3, 0.7, -1.1, -0.8])


@pytest.mark.parametrize("is_mirrored", [False, True])
@pytest.mark.parametrize("north", [0.0, NORTH, -120.0])
def test_turning_a_mass_turns_what_it_does(north: float, is_mirrored: bool) -> None:
    """The deflection of the turned mass at the turned place is the turned deflection."""
    shape = {"center_x": 0.1, "center_y": -0.2, "ellipticity_1": 0.15, "ellipticity_2": -0.08, "einstein_radius": 1.2}
    for mass in (PowerLaw(**shape, slope=2.2), Isothermal(**shape), Shear(gamma_1=0.05, gamma_2=-0.03)):
        own = c.in_sky_frame(mass, north, is_mirrored)
        place = c.sky_axes(POINTS_X, POINTS_Y, north, is_mirrored)
        expected = c.sky_axes(*mass.deflection(POINTS_X, POINTS_Y), north, is_mirrored)
        np.testing.assert_allclose(own.deflection(*place), expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(c.image_axes(*place, north, is_mirrored), (POINTS_X, POINTS_Y), atol=1e-12)
    # north is where +y points, turned to the east by its angle: a step of one along +y
    west, up = c.sky_axes(0.0, 1.0, north, is_mirrored)
    assert (west, up) == pytest.approx((-np.sin(np.radians(north)), np.cos(np.radians(north))))


@pytest.mark.parametrize(("north", "east"), [(0.0, -1), (NORTH, -1), (NORTH, 1)])
def test_the_frame_of_the_sky_is_that_of_astropy(scene: Scene, exported: SimpleNamespace, north: float, east: int) -> None:
    """West and north of the middle of the image, by its WCS."""
    own = exported.turned(scene, north, east)
    assert own.wcs is not None
    middle = 0.5 * (own.dataset.shape[0] - 1)
    origin = own.wcs.pixel_to_world(middle, middle)
    for column, row in ((60.0, 20.0), (10.0, 50.0)):
        away = origin.spherical_offsets_to(own.wcs.pixel_to_world(column, row))
        x, y = ((value - middle) * own.dataset.pixel_scale for value in (column, row))
        expected = c.sky_axes(x, y, own.dataset.position_angle_of_y, own.dataset.is_mirrored)
        assert (-away[0].arcsec, away[1].arcsec) == pytest.approx(expected, abs=1e-4)


def template(scene: Scene, ring_chain: SimpleNamespace) -> tuple[dict[str, bytes], dict[str, Any]]:
    files = coolest_files(scene, ring_chain.results["power_law"], "s", {"name": "ring"})
    return files, json.loads(files["s.coolest.json"])


def parameters_of(told: dict[str, Any], kind: str) -> dict[str, Any]:
    (profile,) = (profile for entity in told["lensing_entities"] for profile in entity["mass_model"] if profile["type"] == kind)
    return profile["parameters"]


@pytest.mark.parametrize(("north", "east"), [(0.0, -1), (NORTH, -1), (NORTH, 1)])
def test_the_template_is_the_fit(scene: Scene, exported: SimpleNamespace, ring_chain: SimpleNamespace, north: float, east: int) -> None:
    """What its point estimates deflect is what the best fit deflects; medians and errors are those of its chain, and of the samples."""
    own = exported.turned(scene, north, east)
    files, told = template(own, ring_chain)
    mass = c.from_coolest_pemd(**{name: value["point_estimate"]["value"] for name, value in parameters_of(told, "PEMD").items()})
    shear = c.from_coolest_shear(**{name: value["point_estimate"]["value"] for name, value in parameters_of(told, "ExternalShear").items()})
    place = c.sky_axes(POINTS_X, POINTS_Y, own.dataset.position_angle_of_y, own.dataset.is_mirrored)
    expected = c.sky_axes(*ray_trace(scene.masses, POINTS_X, POINTS_Y), own.dataset.position_angle_of_y, own.dataset.is_mirrored)
    np.testing.assert_allclose(np.array(ray_trace([mass, shear], *place)), expected, atol=1e-10)
    table = np.genfromtxt(io.BytesIO(files["s.coolest.csv"]), delimiter=",", names=True, deletechars="")
    samples = ring_chain.results["power_law"].samples
    np.testing.assert_allclose(table[WEIGHTS], samples.weight, rtol=1e-12)
    for kind in ("PEMD", "ExternalShear"):
        for value in parameters_of(told, kind).values():
            got = weighted_quantile(table[value["id"]], [0.15865525393145707, 0.5, 0.8413447460685429], table[WEIGHTS])
            statistics = [value["posterior_stats"][name] for name in ("percentile_16th", "median", "percentile_84th")]
            np.testing.assert_allclose(got, statistics, rtol=1e-6)
    i = samples.paths.index("mass.einstein_radius")
    radius = parameters_of(told, "PEMD")["theta_E"]["posterior_stats"]
    assert radius["median"] == pytest.approx(samples.median_pdf()[i], rel=1e-6)
    assert (radius["percentile_16th"], radius["percentile_84th"]) == pytest.approx(tuple(samples.values_at_sigma(1.0)[i]), rel=1e-6)


@pytest.mark.parametrize(("north", "east"), [(0.0, -1), (NORTH, -1), (NORTH, 1)])
def test_its_angles_are_the_latent_variables_own(
    scene: Scene, exported: SimpleNamespace, ring_chain: SimpleNamespace, north: float, east: int
) -> None:
    """Position angles east of north, in another frame: those of `sky.east_of_north`, which latent variables are told in."""
    own = exported.turned(scene, north, east)
    _, told = template(own, ring_chain)
    mass = ring_chain.results["power_law"].max_log_likelihood_instance["mass"]
    expected = c.to_bolton_sie(mass, position_angle_of_y=north)["pa_sie"] if east == -1 else None
    phi = parameters_of(told, "PEMD")["phi"]["point_estimate"]["value"]
    assert -90.0 < phi <= 90.0
    if expected is not None:
        assert np.mod(phi - expected + 90.0, 180.0) - 90.0 == pytest.approx(0.0, abs=1e-9)


def test_turned_images_lie_under_the_turned_model(scene: Scene, exported: SimpleNamespace, ring_chain: SimpleNamespace) -> None:
    files, told = template(scene, ring_chain)
    assert told["observation"]["pixels"]["fits_file"]["path"] == "s.coolest.data.fits"
    np.testing.assert_array_equal(fits.getdata(io.BytesIO(files["s.coolest.data.fits"])), scene.data)
    np.testing.assert_array_equal(fits.getdata(io.BytesIO(files["s.coolest.psf.fits"])), scene.dataset.psf)
    middle = 0.5 * (scene.dataset.shape[0] - 1)
    assert scene.wcs is not None
    assert SkyCoord(**told["coordinates_origin"]).separation(scene.wcs.pixel_to_world(middle, middle)).arcsec < 1e-3
    files, told = template(exported.turned(scene, NORTH), ring_chain)
    data = fits.getdata(io.BytesIO(files["s.coolest.data.fits"]))
    assert data.shape == scene.data.shape
    assert fits.getdata(io.BytesIO(files["s.coolest.psf.fits"])).sum() == pytest.approx(1.0)
    assert data[data.shape[0] // 2, data.shape[0] // 2] == scene.data[data.shape[0] // 2, data.shape[0] // 2]
    assert told["meta"]["position_angle_of_y"] == pytest.approx(NORTH)
    lens = fits.getdata(io.BytesIO(files["s.coolest.lens_light.fits"]))
    upright = fits.getdata(io.BytesIO(template(scene, ring_chain)[0]["s.coolest.lens_light.fits"]))
    assert np.corrcoef(lens.ravel(), data.ravel())[0, 1] > 0.85  # before and behind the PSF
    assert np.corrcoef(upright.ravel(), data.ravel())[0, 1] < np.corrcoef(lens.ravel(), data.ravel())[0, 1] - 0.001
    middle = lens.shape[0] // 2
    assert lens[middle, middle] == pytest.approx(upright[middle, middle], rel=1e-9)  # the middle stays, what is beside it does not
    assert abs(lens[middle, middle + 9] / upright[middle, middle + 9] - 1.0) > 0.01


@pytest.mark.parametrize("north", [0.0, NORTH])
def test_the_reference_package_reads_it(
    scene: Scene, exported: SimpleNamespace, ring_chain: SimpleNamespace, north: float, tmp_path: Path
) -> None:
    """COOLEST's own reader and profiles: the same deflection and convergence, the same statistics; and nothing is missing or too much."""
    json_module = pytest.importorskip("coolest.template.json", reason="the reference package coolest (GPL) is for tests alone")
    own = exported.turned(scene, north)
    files, told = template(own, ring_chain)
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    found = json_module.JSONSerializer(str(tmp_path / "s.coolest")).load(verbose=False)
    assert [(entity.type, entity.name) for entity in found.lensing_entities] == [
        ("MassField", "external shear"), ("Galaxy", "lens"), ("Galaxy", "source"),
    ]  # fmt: skip
    from coolest.api.profiles import mass as theirs

    total, kappa = np.zeros((2, 4)), np.zeros(4)
    place = np.array(c.sky_axes(POINTS_X, POINTS_Y, own.dataset.position_angle_of_y))
    for entity in found.lensing_entities:
        for profile in entity.mass_model:
            values = {name: parameter.point_estimate.value for name, parameter in profile.parameters.items()}
            total += np.array(getattr(theirs, profile.type)().deflection(*place, **values))
            kappa += getattr(theirs, profile.type)().convergence(*place, **values)
            for name, parameter in profile.parameters.items():
                statistics = parameters_of(told, profile.type)[name]["posterior_stats"]
                assert parameter.id == parameters_of(told, profile.type)[name]["id"]
                assert parameter.posterior_stats.median == statistics["median"]
                assert parameter.posterior_stats.percentile_84th == statistics["percentile_84th"]
    beta = np.array(c.sky_axes(*ray_trace(scene.masses, POINTS_X, POINTS_Y), own.dataset.position_angle_of_y))
    np.testing.assert_allclose(place - total, beta, atol=1e-9)
    np.testing.assert_allclose(kappa, sum(mass.convergence(POINTS_X, POINTS_Y) for mass in scene.masses), rtol=1e-9)
    light = found.lensing_entities[1].light_model[0].parameters["pixels"]
    assert light.get_pixels(directory=str(tmp_path)).shape == (light.num_pix_y, light.num_pix_x)
    again = tmp_path / "again"
    again.mkdir()
    json_module.JSONSerializer(str(again / "x"), found).dump_simple()
    assert keys_of(json.loads((again / "x.json").read_text())) == keys_of(told) | {"/meta/coolest.__version__"}


def keys_of(value: Any, path: str = "") -> set[str]:
    """Paths of all values of a template."""
    if isinstance(value, dict):
        return {key for name, item in value.items() for key in keys_of(item, f"{path}/{name}")}
    if isinstance(value, list):
        return {key for i, item in enumerate(value) for key in keys_of(item, f"{path}/{i}")}
    return {path}


def test_a_mass_without_a_profile_is_refused(scene: Scene, ring_chain: SimpleNamespace) -> None:
    halo = NFW(center_x=0.0, center_y=0.0, ellipticity_1=0.0, ellipticity_2=0.0, kappa_s=0.1, scale_radius=5.0)
    samples = ring_chain.results["power_law"].samples
    model = samples.model.replace({"mass": halo}) if samples.model is not None else None
    assert model is not None
    columns = [samples.paths.index(path) for path in model.paths]
    fitted = replace(samples, paths=model.paths, parameters=samples.parameters[:, columns], model=model)
    odd = replace(scene, seen=replace(scene.seen, instance={**scene.seen.instance, "mass": halo}))
    with pytest.raises(
        ConfigError, match=r"COOLEST: a NFW has no profile in this export; PowerLaw, Isothermal and Shear have\. .*\(csv, fits\)"
    ):
        coolest_files(odd, SimpleNamespace(samples=fitted), "s", {"name": "ring"})  # type: ignore[arg-type]
