"""The latent variables of a lens: what a posterior says about it beyond its parameters. Pure functions of one instance, traceable by JAX.

Their names, units and meanings are in the one table of `meanings`. What the data say of them without a model (arcs, redshifts,
the image's orientation) is gathered once in `Facts`, numbers that are arguments of the compiled function, so that it serves every lens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fitcore import backend as _backend  # isort: skip

import jax
import jax.numpy as jnp
import numpy as np

from fitcore.samples import Samples
from pipelines.lens.arcs import MOST_SPOTS, seen_arcs
from pipelines.lens.caustics import along_rays, effective_radius_of, n_images_of
from pipelines.lens.dataset import Imaging
from pipelines.lens.frame import Frame
from pipelines.lens.geometry import position_angle
from pipelines.lens.linear import LENS_LIGHT, SOURCE, HeldLight, light_of, lights_of, masses_of, solution
from pipelines.lens.mass import Shear
from pipelines.lens.meanings import LATENTS
from pipelines.lens.prepare import Preparation
from pipelines.lens.sky import critical_mass, east_of_north, magnitude
from pipelines.lens.source_size import flux_and_half_light_radius
from pipelines.lens.tracing import ray_trace

del _backend


OF_REDSHIFTS = ("mass_in_einstein",)
OF_ZERO_POINT = ("lens_magnitude", "lensed_source_magnitude", "source_magnitude")


def left_out(dataset: Imaging) -> dict[str, str]:
    """Latent variables that a dataset cannot have, and why."""
    missing: dict[str, str] = {}
    if dataset.redshift_lens is None or dataset.redshift_source is None:
        absent = [name for name in ("redshift_lens", "redshift_source") if getattr(dataset, name) is None]
        missing.update(dict.fromkeys(OF_REDSHIFTS, f"the dataset has no {' and no '.join(absent)}; add it to info.yaml"))
    if dataset.magnitude_zero_point is None:
        missing.update(dict.fromkeys(OF_ZERO_POINT, "the dataset has no magnitude_zero_point; add it to info.yaml"))
    return missing


def latent_keys(dataset: Imaging) -> tuple[str, ...]:
    """Names of the latent variables of a dataset, in the table's order."""
    missing = left_out(dataset)
    return tuple(name for name in LATENTS if name not in missing)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the latent variables need of the data; a pytree.

    Parameters
    ----------
    critical_mass : solar masses per arcsec^2 of convergence one; NaN where the redshifts are not known.
    zero_point : magnitude of one unit of flux; NaN where it is not known.
    position_angle_of_y, is_mirrored : of the image, see `sky.east_of_north`.
    pixel_area : arcsec^2.
    aperture : True within the mask's radius, of the points where light is computed, shape (points,).
    arcs : True in the arcs, of the compared part, shape (v * v,).
    spots : bright spots of the arcs in arcsec, shape (`MOST_SPOTS`, 2); those from ``n_spots`` on count for nothing.
    mass_angle, shear_angle : degrees; the position angles are given within 90 of them, so that a posterior is not cut at 0 and 180.
    noise_ratio : noise of a compared pixel with the model's inadequacy over that without it, shape (v * v,).
    light_sums : flux within the aperture of each column of a lens light of fixed shape, and of what has its own intensity; or None.
    """

    critical_mass: Any
    zero_point: Any
    position_angle_of_y: Any
    is_mirrored: Any
    pixel_area: Any
    aperture: Any
    arcs: Any
    spots: Any
    n_spots: Any
    mass_angle: Any
    shear_angle: Any
    noise_ratio: Any
    light_sums: tuple[Any, Any] | None = None

    @classmethod
    def of(cls, dataset: Imaging, preparation: Preparation, frame: Frame, plain: Frame) -> Facts:
        """Gathered from a dataset and what was decided about it; fits the lens's light once. ``plain`` is the frame with the noise alone.

        Raises
        ------
        DataError
            for redshifts of which the source's is not the larger.
        """
        arcs = seen_arcs(dataset, preparation, frame)
        x, y = np.asarray(frame.x).mean(axis=0), np.asarray(frame.y).mean(axis=0)
        spots = np.zeros((MOST_SPOTS, 2))
        spots[: len(arcs.spots)] = arcs.spots
        zero_point = dataset.magnitude_zero_point
        return cls(
            critical_mass=jnp.asarray(critical_mass_of(dataset)),
            zero_point=jnp.asarray(np.nan if zero_point is None else zero_point),
            position_angle_of_y=jnp.asarray(dataset.position_angle_of_y),
            is_mirrored=jnp.asarray(dataset.is_mirrored),
            pixel_area=jnp.asarray(dataset.pixel_scale**2),
            aperture=jnp.asarray(np.hypot(x - preparation.center[0], y - preparation.center[1]) <= preparation.mask_radius),
            arcs=jnp.asarray(arcs.mask.ravel()),
            spots=jnp.asarray(spots),
            n_spots=jnp.asarray(len(arcs.spots)),
            mass_angle=jnp.asarray(90.0),
            shear_angle=jnp.asarray(90.0),
            noise_ratio=jnp.where(frame.weight > 0, plain.weight / jnp.where(frame.weight > 0, frame.weight, 1.0), 0.0).ravel(),
        )


def mean_angles(facts: Facts, samples: Samples) -> Facts:
    """The facts with the mean angles of a posterior in them: those of the mean ellipticity, and of the mean shear."""
    assert samples.model is not None
    instance = samples.model.instance_from_vector(samples.parameters)
    mass, shears = instance["mass"], [part for part in masses_of(instance) if isinstance(part, Shear)]
    pairs = (
        (mass.ellipticity_1, mass.ellipticity_2),
        (sum(part.gamma_1 for part in shears), sum(part.gamma_2 for part in shears)),
    )
    weight = samples.weight
    means = [[float(np.sum(weight * part)) for part in pair] for pair in pairs]
    mass_angle, shear_angle = (
        jnp.asarray(east_of_north(position_angle(*mean), float(facts.position_angle_of_y), bool(facts.is_mirrored))) for mean in means
    )
    return replace(facts, mass_angle=mass_angle, shear_angle=shear_angle)


def critical_mass_of(dataset: Imaging) -> float:
    """Solar masses per arcsec^2 of convergence one, NaN where a redshift is not known; `DataError` where they contradict each other."""
    lens, source = dataset.redshift_lens, dataset.redshift_source
    return float("nan") if lens is None or source is None else critical_mass(lens, source)


def light_sums(part: Any, frame: Frame, aperture: Any) -> tuple[Any, Any]:
    """Flux within the aperture, before the PSF, of the columns of some light, shape (k,), and of what has an intensity of its own."""
    light = light_of(part, frame.x, frame.y)
    fixed = jnp.zeros(()) if light.fixed is None else jnp.sum(light.fixed * aperture)
    return light.columns @ aperture, fixed


def latents_of_instance(instance: Mapping[str, Any], frame: Frame, held: HeldLight | None, facts: Facts) -> dict[str, Any]:
    """Every entry of `LATENTS` for one instance; NaN where one is not defined."""
    return {**_mass_latents(instance, facts), **light_latents(instance, frame, held, facts)}


def _mass_latents(instance: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
    masses = masses_of(instance)
    mass = instance["mass"]
    center = (mass.center_x, mass.center_y)
    source = lights_of(instance[SOURCE])[0]
    light = lights_of(instance[LENS_LIGHT])[0]
    rays = along_rays(masses, center=center)
    radius = effective_radius_of(rays)
    size = jnp.sqrt(mass.ellipticity_1**2 + mass.ellipticity_2**2)
    shears = [part for part in masses if isinstance(part, Shear)]
    gamma_1, gamma_2 = sum(part.gamma_1 for part in shears), sum(part.gamma_2 for part in shears)
    spots_x, spots_y = ray_trace(masses, facts.spots[:, 0], facts.spots[:, 1])
    return {
        "einstein_radius_effective": radius,
        # of a mass that is no power law: where its mean convergence is one, without the shear
        "einstein_radius_intermediate": jnp.asarray(
            mass.einstein_radius if hasattr(mass, "einstein_radius") else effective_radius_of(along_rays([mass], center=center))
        ),
        "mass_in_einstein": jnp.pi * radius**2 * facts.critical_mass,
        "mass_axis_ratio": (1.0 - size) / (1.0 + size),
        "mass_pa_e_of_n": _position_angle(mass.ellipticity_1, mass.ellipticity_2, facts, facts.mass_angle),
        "slope": jnp.asarray(getattr(mass, "slope", 2.0 if hasattr(mass, "einstein_radius") else jnp.nan)),
        "shear_magnitude": jnp.sqrt(jnp.asarray(gamma_1**2 + gamma_2**2)),
        "shear_pa_e_of_n": _position_angle(gamma_1, gamma_2, facts, facts.shear_angle),
        "light_mass_offset": jnp.hypot(light.center_x - mass.center_x, light.center_y - mass.center_y),
        "n_images": n_images_of(rays, (source.center_x, source.center_y)),
        "position_scatter": _scatter(spots_x, spots_y, facts.n_spots),
    }


def _position_angle(e_1: Any, e_2: Any, facts: Facts, middle: Any) -> Any:
    """Degrees east of north within 90 of ``middle``; NaN for a round mass, or no shear."""
    angle = east_of_north(position_angle(jnp.asarray(e_1), jnp.asarray(e_2)), facts.position_angle_of_y, facts.is_mirrored)
    near = middle - 90.0 + jnp.mod(angle - (middle - 90.0), 180.0)
    return jnp.where((e_1 == 0.0) & (e_2 == 0.0), jnp.nan, near)


def _scatter(x: Any, y: Any, n: Any) -> Any:
    """Root mean square distance of the first ``n`` positions from their mean; NaN under two."""
    counts = jnp.arange(x.shape[0]) < n
    n = jnp.maximum(n, 1)
    mean_x, mean_y = jnp.sum(jnp.where(counts, x, 0.0)) / n, jnp.sum(jnp.where(counts, y, 0.0)) / n
    square = jnp.where(counts, (x - mean_x) ** 2 + (y - mean_y) ** 2, 0.0)
    return jnp.where(n > 1, jnp.sqrt(jnp.sum(square) / n), jnp.nan)


def light_latents(instance: Mapping[str, Any], frame: Frame, held: HeldLight | None, facts: Facts) -> dict[str, Any]:
    """Those of `LATENTS` that depend on the image's light, which every band has its own of."""
    found = solution(instance, frame, held)
    sums, fixed = light_sums(instance[LENS_LIGHT], frame, facts.aperture) if facts.light_sums is None else facts.light_sums
    n = sums.shape[0]
    lens_flux = found.amplitudes[:n] @ sums + fixed
    lensed = found.amplitudes[n:] @ jnp.sum(found.source.columns, axis=1)
    lensed_flux = lensed if found.source.fixed is None else lensed + jnp.sum(found.source.fixed)
    integral, half_light_radius = flux_and_half_light_radius(instance[SOURCE], found.amplitudes[n:])
    source_flux = integral / facts.pixel_area
    n_arc = jnp.sum(facts.arcs)
    chi_squared = jnp.sum(jnp.where(facts.arcs, found.residual * facts.noise_ratio, 0.0) ** 2)
    return {
        "lens_flux": lens_flux,
        "lensed_source_flux": lensed_flux,
        "source_flux": source_flux,
        "lens_magnitude": magnitude(lens_flux, facts.zero_point),
        "lensed_source_magnitude": magnitude(lensed_flux, facts.zero_point),
        "source_magnitude": magnitude(source_flux, facts.zero_point),
        "magnification": jnp.where(source_flux > 0.0, lensed_flux / jnp.where(source_flux > 0.0, source_flux, 1.0), jnp.nan),
        "source_half_light_radius": half_light_radius,
        "chi2_per_pixel_arc": jnp.where(n_arc > 0, chi_squared / jnp.maximum(n_arc, 1), jnp.nan),
    }
