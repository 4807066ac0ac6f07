"""A lens model in the COOLEST standard (https://github.com/aymgal/COOLEST): a JSON template, its images, and the posterior as a chain.

COOLEST has north up and east to the left, angles in degrees east of north, lengths in arcsec, and the Einstein radius on the intermediate
axis as ours. Where the image has another frame the model is turned into that one, and so are its pixels, by taking the nearest: to look at,
not to fit again. The template is written here: the reference package is GPL, and only tests read by it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fitcore import ConfigError, Result
from fitcore.samples import Samples
from fitcore.statistics import weighted_mean, weighted_quantile
from pipelines.lens import conventions
from pipelines.lens.assess import ONE_SIGMA
from pipelines.lens.columns import GaussianBasis
from pipelines.lens.export_fits import ascii_text, plain_image
from pipelines.lens.exported import Scene
from pipelines.lens.linear import LENS_LIGHT, light_of, lights_of, masses_of
from pipelines.lens.mass import Isothermal, PowerLaw, Shear
from pipelines.lens.sky import HUBBLE_CONSTANT, MATTER_DENSITY

Array = NDArray[np.float64]
ANGLES = ("phi", "phi_ext")
MOST_PIXELS_ON_A_SIDE = 1023
WEIGHTS = "probability_weights"
"""Name of the last column of a chain, by which the reference package finds the weights."""
UNUSED_NOISE = 1e8
"""Where a pixel is not used: the standard has no other way than the mask to say so, and NaN is none of it."""
NEAREST = 1e-9
"""Of two pixels that are equally near, the first."""
GAMMA_OF_ISOTHERMAL = 2.0


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One profile: its kind, the best value of each parameter, and the samples of those that vary, each shape (n,)."""

    kind: str
    best: Mapping[str, float]
    samples: Mapping[str, Array]


def coolest_files(scene: Scene, result: Result, stem: str, about: Mapping[str, Any]) -> dict[str, bytes]:
    """``STEM.coolest.json``, its chain ``STEM.coolest.csv``, and FITS files of data, noise, PSF, mask, lens light and source.

    The light is given as pixels, before the PSF, in the image's unit per image pixel: the standard has no Gaussians. Isothermal masses are
    given as a PEMD of slope 2, which the reference package computes, other than the SIE.

    Raises
    ------
    ConfigError
        for a mass that the standard has no profile for.
    """
    root = f"{stem}.coolest"
    lens, shears = _masses(scene, result.samples)
    entities = [("MassField", "external shear", shears), ("Galaxy", "lens", lens)]
    entities = [entity for entity in entities if entity[2]]
    files, light, source = _light(scene, root)
    dataset = scene.dataset
    redshifts = {"lens": dataset.redshift_lens, "external shear": dataset.redshift_lens, "source": dataset.redshift_source}
    chain: dict[str, Array] = {}
    told: list[dict[str, Any]] = []
    for number, (kind, name, profiles) in enumerate(entities):
        prefix = f"{number}-{'massfield' if kind == 'MassField' else 'galaxy'}"
        entity = {"type": kind, "name": name, "redshift": redshifts[name]}
        mass = [_profile(profile, f"{prefix}-mass-{i}-{profile.kind}", result.samples.weight, chain) for i, profile in enumerate(profiles)]
        entity["mass_model"] = mass
        if kind == "Galaxy":
            entity["light_model"] = [_grid_profile(light, f"{prefix}-light-0-PixelatedRegularGrid")]
        told.append(entity)
    grid = _grid_profile(source, f"{len(told)}-galaxy-light-0-PixelatedRegularGrid")
    told.append({"type": "Galaxy", "name": "source", "redshift": redshifts["source"], "mass_model": [], "light_model": [grid]})
    observed, images = _observation(scene, root)
    template = {
        "standard": "COOLEST",
        "mode": "MAP",
        "meta": {
            "chain_file_name": f"{root}.csv",
            "position_angle_of_y": dataset.position_angle_of_y,
            "is_mirrored": dataset.is_mirrored,
            **{key: ascii_text(value, 2000) if isinstance(value, str) else value for key, value in about.items()},
            "conventions": [
                "x to the west and y to the north, arcsec, from the middle of the image; angles in degrees east of north",
                "theta_E on the intermediate axis; phi_ext is the direction in which images are stretched",
                "point estimates are the sample of largest likelihood; a free constant sky was fitted beside the light",
                "light before the PSF, in the image's unit per image pixel",
                "an image that is not upright was turned by taking the nearest pixels: to look at, not to fit again",
            ],
        },
        "coordinates_origin": _origin(scene),
        "cosmology": {"H0": HUBBLE_CONSTANT, "Om0": MATTER_DENSITY, "astropy_name": "FlatLambdaCDM"},
        "lensing_entities": told,
        **observed,
    }
    rows = zip(*(column.tolist() for column in chain.values()), result.samples.weight.tolist(), strict=True)
    lines = [",".join([*chain, WEIGHTS]), *(",".join(map(repr, row)) for row in rows)]
    files[f"{root}.csv"] = ("\n".join(lines) + "\n").encode()
    files[f"{root}.json"] = json.dumps(_finite(template), indent=2, sort_keys=True, allow_nan=False).encode()
    return {**files, **images}


def _masses(scene: Scene, samples: Samples) -> tuple[list[Profile], list[Profile]]:
    """Profiles of the lens, and of the external shear."""
    assert samples.model is not None
    every = masses_of(samples.model.instance_from_vector(samples.parameters))
    lens: list[Profile] = []
    shears: list[Profile] = []
    for best, drawn in zip(scene.masses, every, strict=True):
        turned = [conventions.in_sky_frame(part, scene.dataset.position_angle_of_y, scene.dataset.is_mirrored) for part in (best, drawn)]
        if isinstance(best, Shear):
            best_values, values = (conventions.to_coolest_shear(part) for part in turned)
            shears.append(_of("ExternalShear", best_values, values, len(samples)))
        elif isinstance(best, PowerLaw | Isothermal):
            best_values, values = (_of_power_law(part) for part in turned)
            lens.append(_of("PEMD", best_values, values, len(samples)))
        else:
            raise ConfigError(
                f"COOLEST: a {type(best).__name__} has no profile in this export; PowerLaw, Isothermal and Shear have. Export samples and "
                "images in other formats (csv, fits)."
            )
    return lens, shears


def _of_power_law(mass: PowerLaw | Isothermal) -> dict[str, Any]:
    if isinstance(mass, PowerLaw):
        return conventions.to_coolest_pemd(mass)
    return {**conventions.to_coolest_sie(mass), "gamma": GAMMA_OF_ISOTHERMAL}


def _of(kind: str, best: Mapping[str, Any], drawn: Mapping[str, Any], n: int) -> Profile:
    """Angles of samples are within 90 degrees of the best one, so that a posterior is not cut; they may so be beyond 90."""
    samples = {name: np.broadcast_to(np.asarray(value, dtype=np.float64), (n,)).copy() for name, value in drawn.items()}
    for name in ANGLES:
        if name in samples:
            middle = float(best[name])
            samples[name] = middle - 90.0 + np.mod(samples[name] - (middle - 90.0), 180.0)
    return Profile(kind=kind, best={name: float(value) for name, value in best.items()}, samples=samples)


def _profile(profile: Profile, key: str, weight: Array, chain: dict[str, Array]) -> dict[str, Any]:
    """A profile as the template has it; its samples go into ``chain`` under their identifiers."""
    parameters = {}
    for name, value in profile.best.items():
        column = profile.samples[name]
        chain[f"{key}-{name}"] = column
        lower, median, upper = (float(part) for part in weighted_quantile(column, ONE_SIGMA, weight))
        is_fixed = bool(np.ptp(column) == 0.0)
        statistics = {
            "mean": float(weighted_mean(column[:, None], weight)[0]),
            "median": median,
            "percentile_16th": lower,
            "percentile_84th": upper,
        }
        parameters[name] = {
            "id": f"{key}-{name}",
            "fixed": is_fixed,
            "point_estimate": {"value": value},
            "posterior_stats": dict.fromkeys(statistics) if is_fixed else statistics,
            "prior": {"type": None},
        }
    return {"id": key, "type": profile.kind, "parameters": parameters}


def _grid(path: str | None, x: tuple[float, float], y: tuple[float, float], n_x: int, n_y: int) -> dict[str, Any]:
    return {"fits_file": {"path": path}, "field_of_view_x": list(x), "field_of_view_y": list(y), "num_pix_x": n_x, "num_pix_y": n_y}


def _grid_profile(grid: dict[str, Any], key: str) -> dict[str, Any]:
    return {"id": key, "type": "PixelatedRegularGrid", "parameters": {"pixels": {"id": f"{key}-pixels", **grid}}}


def _light(scene: Scene, root: str) -> tuple[dict[str, bytes], dict[str, Any], dict[str, Any]]:
    """Files, and the grids, of the lens's light about the image's middle and of the source, with north up."""
    dataset, seen = scene.dataset, scene.seen
    turn = (dataset.position_angle_of_y, dataset.is_mirrored)
    n = _side(scene)
    axis = (np.arange(n) - 0.5 * (n - 1)) * dataset.pixel_scale
    x, y = conventions.image_axes(*np.meshgrid(axis, axis), *turn)
    part = seen.instance[LENS_LIGHT]
    light = light_of(part, np.asarray(x).reshape(1, -1), np.asarray(y).reshape(1, -1))
    n_own = sum(basis.n for basis in lights_of(part) if isinstance(basis, GaussianBasis))
    total = np.asarray(seen.pictures.amplitudes)[:n_own] @ np.asarray(light.columns)
    lens = (total + (0.0 if light.fixed is None else np.asarray(light.fixed))).reshape(n, n)
    source = scene.source
    middle = np.array(conventions.sky_axes(*scene.source_center, *turn))
    steps = source.x - source.x.mean()
    west, north = np.meshgrid(steps + middle[0], steps + middle[1])
    picture = scene.source_at(*conventions.image_axes(west, north, *turn))
    files = {f"{root}.lens_light.fits": plain_image(lens), f"{root}.source.fits": plain_image(picture)}
    half = 0.5 * n * dataset.pixel_scale
    reach = 0.5 * len(steps) * source.scale
    spans = [(float(value - reach), float(value + reach)) for value in middle]
    return (
        files,
        _grid(f"{root}.lens_light.fits", (-half, half), (-half, half), n, n),
        _grid(f"{root}.source.fits", spans[0], spans[1], len(steps), len(steps)),
    )


def _side(scene: Scene) -> int:
    """Pixels on a side of the largest square about the middle of the image, within reason."""
    n = min(*scene.dataset.shape, MOST_PIXELS_ON_A_SIDE)
    return n if (scene.dataset.shape[0] - n) % 2 == 0 else n - 1  # so that pixels of an upright image stay what they are


def _turned(scene: Scene, plane: Array, outside: float) -> Array:
    """A plane of the input on the square with north up, by the nearest pixel; the middle of an upright image as it is."""
    n, scale = _side(scene), scene.dataset.pixel_scale
    axis = (np.arange(n) - 0.5 * (n - 1)) * scale
    west, north = np.meshgrid(axis, axis)
    x, y = conventions.image_axes(west, north, scene.dataset.position_angle_of_y, scene.dataset.is_mirrored)
    columns, rows = (np.round(part - NEAREST).astype(int) for part in scene.pixel(x, y))
    n_y, n_x = plane.shape
    inside = (columns >= 0) & (columns < n_x) & (rows >= 0) & (rows < n_y)
    return np.where(inside, plane[np.where(inside, rows, 0), np.where(inside, columns, 0)], outside)


def _turned_psf(scene: Scene) -> Array:
    """The PSF with north up, on a square of its larger side, by linear interpolation, of unit sum; an upright square as it is."""
    psf, dataset = scene.dataset.psf, scene.dataset
    n = max(psf.shape)
    axis = np.arange(n) - 0.5 * (n - 1)
    west, north = np.meshgrid(axis, axis)
    x, y = conventions.image_axes(west, north, dataset.position_angle_of_y, dataset.is_mirrored)
    n_y, n_x = psf.shape
    turned = ndimage.map_coordinates(psf, [y + 0.5 * (n_y - 1), x + 0.5 * (n_x - 1)], order=1, mode="constant")
    return turned / turned.sum()


def _observation(scene: Scene, root: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """``observation``, ``instrument`` and ``likelihoods``, with the files that they name."""
    dataset = scene.dataset
    files: dict[str, bytes] = {}

    def grid(name: str, plane: Array) -> dict[str, Any]:
        files[f"{root}.{name}.fits"] = plain_image(plane)
        half = 0.5 * len(plane) * dataset.pixel_scale
        return _grid(f"{root}.{name}.fits", (-half, half), (-half, half), len(plane), len(plane))

    psf = {"type": "PixelatedPSF", "description": None, "pixels": grid("psf", _turned_psf(scene))}
    instrument = {"name": "", "band": ascii_text(dataset.band), "pixel_size": dataset.pixel_scale, "readout_noise": 0.0, "psf": psf}
    noise = scene.planes["noise"]
    observation = {
        "exposure_time": None,
        "mag_sky_brightness": None,
        "mag_zero_point": dataset.magnitude_zero_point,
        "pixels": grid("data", _turned(scene, scene.data, 0.0)),
        "noise": {"type": "NoiseMap", "noise_map": grid("noise", _turned(scene, np.where(noise > 0, noise, UNUSED_NOISE), UNUSED_NOISE))},
    }
    likelihoods = [{"type": "ImagingDataLikelihood", "mask": grid("mask", _turned(scene, scene.planes["mask"], 0.0))}]
    return {"observation": observation, "instrument": instrument, "likelihoods": likelihoods}, files


def _origin(scene: Scene) -> dict[str, str]:
    """The middle of the image on the sky; zero where it is not known."""
    if scene.wcs is None:
        return {"ra": "0h0m0s", "dec": "0d0m0s"}
    n_y, n_x = scene.dataset.shape
    sky: Any = scene.wcs.pixel_to_world(0.5 * (n_x - 1), 0.5 * (n_y - 1))
    ra, dec = sky.icrs.to_string("hmsdms", precision=6).split(" ")
    return {"ra": ra, "dec": dec}


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value
