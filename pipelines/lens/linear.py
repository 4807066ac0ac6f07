"""The likelihood of a lens: rays traced, light in columns, amplitudes solved; and the pictures of one fit.

log L = -1/2 sum [ (d - m)^2 / s^2 + ln(2 pi s^2) ] over the used pixels, at the non-negative amplitudes of the Gaussians and the free
constant sky that maximize it. Its gradient follows by the envelope theorem: the amplitudes are held fixed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fitcore import backend as _backend  # isort: skip

import jax
import jax.numpy as jnp

from pipelines.lens.columns import GaussianBasis, images, sub_pixel_mean
from pipelines.lens.frame import Frame
from pipelines.lens.nnls import nnls
from pipelines.lens.tracing import ray_trace

del _backend

LENS_LIGHT, SOURCE, BANDS, OFFSET = "lens_light", "source", "bands", "offset"
NOT_MASS = (LENS_LIGHT, SOURCE, BANDS, OFFSET)
"""Entries of an instance that bend no light; ``bands`` and ``offset`` are there where one lens is fitted in several bands."""


def masses_of(instance: Mapping[str, Any]) -> list[Any]:
    """The mass components: everything outside the light of lens and source."""
    return [part for key, part in instance.items() if key not in NOT_MASS]


def band_of(instance: Mapping[str, Any], band: str | None) -> dict[str, Any]:
    """What one band sees of an instance of several.

    Parameters
    ----------
    band : name of a further band, which has its own lens light and lies at an offset; None for the reference.
    """
    shared = {key: part for key, part in instance.items() if key != BANDS}
    if band is None:
        return shared
    own = instance[BANDS][band]
    return {**shared, LENS_LIGHT: own[LENS_LIGHT], OFFSET: (own["offset_x"], own["offset_y"])}


def lights_of(part: Any) -> list[Any]:
    """The light components of one entry: a component, or a dict of them, by name, for JAX sorts the keys of what it compiles."""
    return [part[key] for key in sorted(part)] if isinstance(part, Mapping) else [part]


def traced(instance: Mapping[str, Any], x: Any, y: Any) -> tuple[Any, Any]:
    """Source-plane positions of image positions, arcsec; of a band with an ``offset`` these are the reference's and the offset."""
    if OFFSET in instance:
        x, y = x - instance[OFFSET][0], y - instance[OFFSET][1]
    return ray_trace(masses_of(instance), x, y)


@dataclass(frozen=True, kw_only=True)
class Light:
    """Light at the lit points before the PSF: columns (k, points) of the Gaussians, and the sum of all that has a fixed intensity."""

    columns: Any
    fixed: Any


def light_of(part: Any, x: Any, y: Any) -> Light:
    """Columns and fixed picture of the light components at sub-pixel positions (of the image, or traced to the source plane)."""
    lights = lights_of(part)
    bases = [light for light in lights if isinstance(light, GaussianBasis)]
    columns = [images(basis.radius_squared(x, y), basis.sigma_max, basis.n) for basis in bases]
    # one sub-pixel after the other: of all in one piece XLA makes a loop three times as slow
    fixed = [
        sub_pixel_mean([light.surface_brightness(*place) for place in zip(x, y, strict=True)])
        for light in lights
        if not isinstance(light, GaussianBasis)
    ]
    shape = x.shape[1:]
    return Light(
        columns=jnp.concatenate(columns) if columns else jnp.zeros((0, *shape)),
        fixed=sum(fixed) if fixed else None,
    )


def solve(columns: Any, frame: Frame, fixed: Any = None) -> tuple[Any, Any]:
    """Amplitudes of unconvolved columns of the window that fit the frame's data after the fixed picture, and the whitened residual."""
    rows = frame.whitened(frame.convolved(columns))
    target = frame.target if fixed is None else frame.target - frame.whitened(frame.convolved(fixed[None]))[0]
    amplitudes, _ = nnls(rows @ rows.T, rows @ target)
    return amplitudes, target - amplitudes @ rows


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class HeldLight:
    """Lens light whose shape is fixed: its whitened rows (k, pixels), their Gram matrix and their projection on the data.

    Its amplitudes stay free. ``fixed`` is the whitened picture of what has an intensity of its own, (pixels,).
    """

    rows: Any
    gram: Any
    projection: Any
    fixed: Any


def held_light(part: Any, frame: Frame) -> HeldLight:
    """What of the lens light need not be computed again while its shape stays; traceable."""
    return _held(light_of(part, frame.x, frame.y), frame)


def _held(light: Light, frame: Frame) -> HeldLight:
    rows = frame.whitened(frame.convolved(light.columns))
    fixed = jnp.zeros_like(frame.target) if light.fixed is None else frame.whitened(frame.convolved(light.fixed[None]))[0]
    return HeldLight(rows=rows, gram=rows @ rows.T, projection=rows @ (frame.target - fixed), fixed=fixed)


@dataclass(frozen=True, kw_only=True)
class Solution:
    """The best amplitudes of an instance.

    Parameters
    ----------
    amplitudes : of the Gaussians, lens light first.
    source : columns of the lensed source before the PSF.
    residual : whitened, without its sky component, shape (pixels,).
    """

    amplitudes: Any
    source: Light
    residual: Any


def solution(instance: Mapping[str, Any], frame: Frame, held: HeldLight | None = None) -> Solution:
    """The non-negative amplitudes that fit best; traceable. With ``held`` the instance's lens light is not looked at."""
    source = light_of(instance[SOURCE], *traced(instance, frame.x, frame.y))
    fixed = source.fixed
    if held is None:
        lens = light_of(instance[LENS_LIGHT], frame.x, frame.y)
        held = _held(Light(columns=lens.columns, fixed=None), frame)
        # what has an intensity of its own, of lens and source, goes through the PSF as one picture
        fixed = lens.fixed if fixed is None else fixed if lens.fixed is None else lens.fixed + fixed
    rows = frame.whitened(frame.convolved(source.columns))
    target = frame.target - held.fixed
    projection_held = held.projection
    if fixed is not None:
        picture = frame.whitened(frame.convolved(fixed[None]))[0]
        target, projection_held = target - picture, projection_held - held.rows @ picture
    cross = held.rows @ rows.T
    gram = jnp.block([[held.gram, cross], [cross.T, rows @ rows.T]])
    amplitudes, _ = nnls(*jax.lax.stop_gradient((gram, jnp.concatenate([projection_held, rows @ target]))))
    n = held.rows.shape[0]
    residual = target - amplitudes[:n] @ held.rows - amplitudes[n:] @ rows
    return Solution(amplitudes=amplitudes, source=source, residual=residual)


def log_likelihood(instance: Mapping[str, Any], frame: Frame, held: HeldLight | None = None) -> Any:
    """Natural logarithm of the likelihood of an instance, one number; traceable, and differentiable in reverse mode.

    -inf where an ellipticity has a modulus of one or more: limits on its components alone leave such corners, and there is no such ellipse.
    With ``held`` the instance's lens light is not looked at; the result is the same where it is the light that was held.
    """
    residual = solution(instance, frame, held).residual
    value = -0.5 * (residual @ residual + frame.log_normalization)
    return jnp.where(_largest_ellipticity(instance) < 1.0, value, -jnp.inf)


def _largest_ellipticity(instance: Mapping[str, Any]) -> Any:
    """Largest squared modulus among the components of an instance."""
    parts = [*masses_of(instance), *lights_of(instance[LENS_LIGHT]), *lights_of(instance[SOURCE])]
    squares = [part.ellipticity_1**2 + part.ellipticity_2**2 for part in parts if hasattr(part, "ellipticity_1")]
    return jnp.max(jnp.stack([jnp.asarray(square) for square in squares])) if squares else 0.0


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Pictures:
    """One fit to look at, on the compared part of the frame, shape (v, v), in the image's unit.

    The residual is data - lens_light - lensed_source - sky.

    ``amplitudes`` are those of the Gaussians, lens light first; ``log_likelihood`` is one number.
    """

    lens_light: Any
    lensed_source: Any
    sky: Any
    residual: Any
    amplitudes: Any
    log_likelihood: Any


def pictures(instance: Mapping[str, Any], frame: Frame) -> Pictures:
    """Lens light, lensed source, sky and residual of an instance; traceable."""
    lens = light_of(instance[LENS_LIGHT], frame.x, frame.y)
    source = light_of(instance[SOURCE], *traced(instance, frame.x, frame.y))
    fixed = [part.fixed for part in (lens, source) if part.fixed is not None]
    amplitudes, whitened = solve(jnp.concatenate([lens.columns, source.columns]), frame, sum(fixed) if fixed else None)
    n = lens.columns.shape[0]
    seen = [
        frame.convolved((_combined(own, part.columns) + (0.0 if part.fixed is None else part.fixed))[None])[0]
        for part, own in ((lens, amplitudes[:n]), (source, amplitudes[n:]))
    ]
    left = frame.data - seen[0] - seen[1]
    sky = jnp.sum(left * frame.weight**2) / jnp.sum(frame.weight**2)
    return Pictures(
        lens_light=seen[0],
        lensed_source=seen[1],
        sky=sky,
        residual=left - sky,
        amplitudes=amplitudes,
        log_likelihood=-0.5 * (whitened @ whitened + frame.log_normalization),
    )


def _combined(amplitudes: Any, columns: Any) -> Any:
    return jnp.tensordot(amplitudes, columns, axes=1)


def source_plane(instance: Mapping[str, Any], amplitudes: Any, x: Any, y: Any) -> Any:
    """Surface brightness of the source at source-plane positions in arcsec; ``amplitudes`` are those of all Gaussians of the fit."""
    lights = lights_of(instance[SOURCE])
    bases = [light for light in lights if isinstance(light, GaussianBasis)]
    own = amplitudes[len(amplitudes) - sum(basis.n for basis in bases) :]
    total = jnp.zeros_like(x)
    for basis in bases:
        total = total + _combined(own[: basis.n], images(basis.radius_squared(x, y)[None], basis.sigma_max, basis.n))
        own = own[basis.n :]
    return total + sum(light.surface_brightness(x, y) for light in lights if not isinstance(light, GaussianBasis))
