"""Simulated lenses with known truth: images accurate to well below their noise, and dataset folders to try the pipeline on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from astropy.io import fits
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from fitcore.errors import DataError
from pipelines.lens.caustics import effective_einstein_radius
from pipelines.lens.dataset import Imaging
from pipelines.lens.geometry import ellipticity
from pipelines.lens.light import Sersic
from pipelines.lens.mass import PowerLaw, Shear
from pipelines.lens.tracing import ray_trace

Array = NDArray[np.float64]
Brightness = Callable[[Array, Array], Array]
FINEST = 64
MASKED_NOISE = 1e8
"""Marks a pixel that is not used in a noise map that is written, as surveys do."""


def pixel_means(brightness: Brightness, x: Array, y: Array, pixel_scale: float, tolerance: float) -> Array:
    """Mean surface brightness over each pixel, by sub-grids refined until two of them agree to ``tolerance``; shape of ``x``."""

    def sampled(columns: Array, rows: Array, n: int) -> Array:
        offset = ((np.arange(n) + 0.5) / n - 0.5) * pixel_scale
        total = np.zeros(columns.shape)
        for dy in offset:
            for dx in offset:
                total += brightness(columns + dx, rows + dy)
        return total / n**2

    shape, x, y = x.shape, x.ravel(), y.ravel()
    n, value = 4, sampled(x, y, 4)
    open_pixels = np.arange(x.size)
    while open_pixels.size and n < FINEST:
        n *= 2
        finer = sampled(x[open_pixels], y[open_pixels], n)
        # midpoint sums converge as 1/n^2: the error left is a third of the last change
        changed = np.abs(finer - value[open_pixels]) > 3.0 * tolerance
        value[open_pixels] = finer
        open_pixels = open_pixels[changed]
    return value.reshape(shape)


def gaussian_psf(fwhm: float, pixel_scale: float, size: int = 15) -> Array:
    """A normalized Gaussian point-spread function on an odd grid; ``fwhm`` and ``pixel_scale`` in arcsec."""
    if size % 2 == 0:
        raise DataError(f"The PSF's size is {size}; it must be odd.")
    axis = (np.arange(size) - size // 2) * pixel_scale
    profile = np.exp(-0.5 * (axis / (fwhm / np.sqrt(8.0 * np.log(2.0)))) ** 2)
    psf = np.outer(profile, profile)
    return psf / psf.sum()


def simulate(
    model: Mapping[str, Any],
    *,
    n_pixels: int = 141,
    pixel_scale: float = 0.05,
    psf: Array | None = None,
    sky_noise: float = 0.02,
    counts_per_unit: float = 400.0,
    seed: int = 0,
    name: str = "simulated",
) -> Imaging:
    """An image of a lens, with noise.

    Parameters
    ----------
    model : instances by name: under ``"lens_light"`` and ``"source"`` a light profile, or a dict of them; every other entry is a mass.
    n_pixels : pixels on a side.
    pixel_scale : arcsec per pixel.
    psf : point-spread function on an odd grid of pixels; a Gaussian of 0.1 arcsec by default.
    sky_noise : standard deviation of the noise without light, in the image's unit.
    counts_per_unit : detected photons per unit of the image: Poisson noise of the model's light is added.
    seed : of the noise; the same seed gives the same image.
    """
    kernel = gaussian_psf(0.1, pixel_scale) if psf is None else np.asarray(psf, dtype=np.float64)
    kernel = kernel / kernel.sum()
    masses = _masses(model)
    pad = max(kernel.shape) // 2
    axis = (np.arange(n_pixels + 2 * pad) - 0.5 * (n_pixels + 2 * pad - 1)) * pixel_scale
    x, y = np.meshgrid(axis, axis)

    def lens(columns: Array, rows: Array) -> Array:
        return sum((part.surface_brightness(columns, rows) for part in _profiles(model.get("lens_light", {}))), np.zeros(columns.shape))

    def source(columns: Array, rows: Array) -> Array:
        beta_x, beta_y = ray_trace(masses, columns, rows)
        return sum((part.surface_brightness(beta_x, beta_y) for part in _profiles(model.get("source", {}))), np.zeros(columns.shape))

    tolerance = 0.01 * sky_noise
    bright = sum(pixel_means(part, x, y, pixel_scale, tolerance) for part in (lens, source))
    image = fftconvolve(bright, kernel, mode="same")[pad : pad + n_pixels, pad : pad + n_pixels]
    noise = np.sqrt(sky_noise**2 + np.maximum(image, 0.0) / counts_per_unit)
    data = image + noise * np.random.default_rng([seed, 1]).standard_normal(image.shape)
    return Imaging(data=data, noise=noise, psf=kernel, pixel_scale=pixel_scale, name=name, band="simulated")


def _masses(model: Mapping[str, Any]) -> list[Any]:
    return [part for key, part in model.items() if key not in ("lens_light", "source")]


def _profiles(part: Any) -> list[Any]:
    return list(part.values()) if isinstance(part, Mapping) else [part]


def example_model(seed: int) -> dict[str, Any]:
    """A plausible galaxy-scale lens, another for every seed: Sersic light, power law with shear, Sersic source with at least two images."""
    rng = np.random.default_rng([seed, 0])
    radius = rng.uniform(0.9, 1.4)
    angle = rng.uniform(0.0, np.pi)
    light_1, light_2 = ellipticity(rng.uniform(0.65, 0.9), angle)
    mass_1, mass_2 = ellipticity(rng.uniform(0.7, 0.92), angle + rng.normal(0.0, 0.15))
    shear, shear_angle = rng.uniform(0.01, 0.07), rng.uniform(0.0, np.pi)
    offset, offset_angle = radius * rng.uniform(0.08, 0.3), rng.uniform(0.0, 2.0 * np.pi)
    source_1, source_2 = ellipticity(rng.uniform(0.6, 0.95), rng.uniform(0.0, np.pi))
    center_x, center_y = rng.normal(0.0, 0.02, 2).tolist()
    return {
        "lens_light": Sersic(
            center_x=center_x,
            center_y=center_y,
            ellipticity_1=light_1,
            ellipticity_2=light_2,
            intensity=rng.uniform(0.6, 1.2),
            effective_radius=rng.uniform(0.7, 1.3),
            sersic_index=rng.uniform(2.5, 4.0),
        ),
        "mass": PowerLaw(
            center_x=center_x,
            center_y=center_y,
            ellipticity_1=mass_1,
            ellipticity_2=mass_2,
            einstein_radius=radius,
            slope=float(np.clip(rng.normal(2.05, 0.1), 1.8, 2.3)),
        ),
        "shear": Shear(gamma_1=shear * np.cos(2.0 * shear_angle), gamma_2=shear * np.sin(2.0 * shear_angle)),
        "source": Sersic(
            center_x=center_x + offset * np.cos(offset_angle),
            center_y=center_y + offset * np.sin(offset_angle),
            ellipticity_1=source_1,
            ellipticity_2=source_2,
            intensity=rng.uniform(0.8, 1.6),
            effective_radius=rng.uniform(0.08, 0.16),
            sersic_index=rng.uniform(1.0, 2.0),
        ),
    }


def truth_of(model: Mapping[str, Any]) -> dict[str, float]:
    """Every parameter of the model by path, and the latent ``einstein_radius_effective`` in arcsec."""
    masses = _masses(model)
    values: dict[str, float] = {}
    for key, part in model.items():
        members = {f"{key}.{name}": member for name, member in part.items()} if isinstance(part, Mapping) else {key: part}
        for path, member in members.items():
            values.update({f"{path}.{field}": float(getattr(member, field)) for field in member.__dataclass_fields__})
    center = next(((part.center_x, part.center_y) for part in masses if hasattr(part, "center_x")), (0.0, 0.0))
    values["einstein_radius_effective"] = float(effective_einstein_radius(masses, center=center))
    return values


def write_dataset(imaging: Imaging, folder: Path, *, truth: Mapping[str, float], redshifts: tuple[float, float] = (0.2, 0.7)) -> Path:
    """Write a dataset folder with its truth beside it; refuses one that has files.

    Raises
    ------
    DataError
        when the folder exists and is not empty, or cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise DataError(f"{folder} is not empty; a simulation is written to a new folder only. Give another, or remove it.")
        noise = np.where(imaging.used, imaging.noise, MASKED_NOISE)
        for key, plane in (("image", imaging.data), ("noise", noise), ("psf", imaging.psf)):
            fits.PrimaryHDU(plane).writeto(folder / f"{key}.fits")
        info = {"pixel_scale": imaging.pixel_scale, "band": imaging.band, "redshift_lens": redshifts[0], "redshift_source": redshifts[1]}
        (folder / "info.yaml").write_text(yaml.safe_dump(info), encoding="utf-8")
        (folder / "truth.json").write_text(json.dumps(dict(truth), indent=1), encoding="utf-8")
    except OSError as error:
        raise DataError(f"{folder} cannot be written: {error}. Give a folder that can.") from error
    return folder


def simulate_example(folder: Path, seed: int) -> Path:
    """Simulate `example_model` of a seed and write it as a dataset folder."""
    model = example_model(seed)
    return write_dataset(simulate(model, seed=seed, name=folder.name), folder, truth=truth_of(model))
