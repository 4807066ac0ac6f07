"""The stated population that the basin search and its verdict are calibrated on: simulated lenses with what fools a fit, and galaxies that
are no lenses.

Pixels of 0.05", a point-spread function of 0.105", exposures and noise like those of single-orbit Hubble images of the SLACS survey, with
two traits that real files have: noise that drizzling has correlated (the scatter of pixels is about 0.6 of the noise map, of those
binned 2 x 2 about 0.9), and a point-spread function that is not quite the one in the file (3 % of width, 3 % of ellipticity).

Every lens: a power law of slope N(2.05, 0.15) with an axis ratio near the light's, its axis within 10 degrees of it (1 sigma), shear of
Rayleigh(0.035), bulge of Sersic index 2.5 to 5, source a Sersic disc or spheroid of 0.07 to 0.4", its total signal-to-noise over the
arcs between 15 and 120, its distance from the axis uniform up to 0.55 Einstein radii with two images at least. Groups add to that:

| group | what |
|---|---|
| plain | nothing |
| disc | a thin exponential disc in the lens, its ellipticity far from the bulge's |
| twist | ellipticity and angle of the light change with radius, isophotes are boxy or discy |
| clumps | the source has 2 to 4 clumps over 0.3" |
| single | the source lies near the edge of the two-image region: one arc, a faint counter-image |
| faint | a total signal-to-noise of 8 to 25 |
| group | a satellite with mass, its light masked as preparation does it, shear of 0.08 to 0.2 |
| spiral, companions, shells | no lens: spiral arms; one or two galaxies beside it; an arc-like tail of its own |
| ring | no lens: a ring of stars with clumps |

Truth is the radius of the circle about the lens in which the mean convergence of all masses is one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize
from scipy.signal import fftconvolve

from pipelines.lens.dataset import Imaging
from pipelines.lens.geometry import ellipticity
from pipelines.lens.light import Sersic
from pipelines.lens.mass import Isothermal, PowerLaw, Shear
from pipelines.lens.modes import count_images_at
from pipelines.lens.tracing import ray_trace

Array = NDArray[np.float64]
Brightness = Callable[[Array, Array], Array]
LENSES = ("plain", "disc", "twist", "clumps", "single", "faint", "group")
OTHERS = ("spiral", "companions", "shells", "ring")
GROUPS = LENSES + OTHERS
VERSION = 1
"""Raised when a case of the same group and seed changes."""
SCALE, N_PIXELS, FWHM, SKY, EXPOSURE = 0.05, 151, 0.105, 0.010, 2200.0
SAMPLING, CORE_SAMPLING, CORE_PIXELS = 4, 16, 9


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """One image and its truth: the Einstein radius in arcsec, NaN for what is no lens; the main mass and the shear, None for that."""

    group: str
    seed: int
    image: Imaging
    einstein_radius: float
    signal_to_noise: float
    mass: PowerLaw | None = None
    shear: Shear | None = None


def case(group: str, seed: int) -> Case:
    """Case number ``seed`` of a group; the same numbers give the same image."""
    rng = np.random.default_rng([GROUPS.index(group), seed, 20])
    lens, angle = _lens_light(group, rng)
    if group in OTHERS:
        extra, radius = _unlensed(group, rng), float("nan")
    else:
        extra, radius, satellite, (mass, shear) = _lensed(group, rng, angle)
        return replace(_observed(group, seed, rng, (lens, extra, satellite), radius), mass=mass, shear=shear)
    return _observed(group, seed, rng, (lens, extra), radius)


def _sum(*parts: Brightness) -> Brightness:
    return lambda x, y: sum((part(x, y) for part in parts), np.zeros(np.shape(x)))


def _sersic(flux: float, axis_ratio: float, angle: float, radius: float, index: float, x: float = 0.0, y: float = 0.0) -> Brightness:
    """A Sersic profile scaled to ``flux`` (image unit times pixels) within three of its radii."""
    e_1, e_2 = ellipticity(axis_ratio, angle)
    profile = Sersic(
        center_x=x, center_y=y, ellipticity_1=e_1, ellipticity_2=e_2, intensity=1.0, effective_radius=radius, sersic_index=index
    )
    grid = np.linspace(0.005, 3.0, 600) * radius
    total = 2.0 * np.pi * np.trapezoid(profile_at(profile, grid) * grid, grid) / SCALE**2
    return lambda a, b: flux / total * profile.surface_brightness(a, b)


def profile_at(profile: Sersic, radius: Array) -> Array:
    """Surface brightness of the profile at these radii on its intermediate axis."""
    round_one = Sersic(
        center_x=0.0,
        center_y=0.0,
        ellipticity_1=0.0,
        ellipticity_2=0.0,
        intensity=1.0,
        effective_radius=profile.effective_radius,
        sersic_index=profile.sersic_index,
    )
    return np.asarray(round_one.surface_brightness(radius, np.zeros_like(radius)))


def _lens_light(group: str, rng: np.random.Generator) -> tuple[Brightness, tuple[float, float]]:
    """The light, and (axis ratio, angle) that the mass takes after."""
    flux, q, angle = np.exp(rng.uniform(np.log(2500.0), np.log(8000.0))), rng.uniform(0.6, 0.95), rng.uniform(0.0, np.pi)
    radius, index = rng.uniform(1.0, 2.2), rng.uniform(2.5, 5.0)
    bulge = _sersic(flux, q, angle, radius, index)
    if group in ("disc", "spiral"):
        share, q_disc = rng.uniform(0.25, 0.6), rng.uniform(0.2, 0.6)
        turned = angle + rng.normal(0.0, 0.25)
        bulge = _sersic((1.0 - share) * flux, max(q, 0.75), angle, 0.45 * radius, index)
        disc = _sersic(share * flux, q_disc, turned, rng.uniform(1.0, 2.0), 1.0)
        return _sum(bulge, disc), (0.5 * (max(q, 0.75) + q_disc) + 0.15, turned)
    if group == "twist":
        twist, flattening, boxy = rng.normal(0.0, 0.12), rng.uniform(-0.08, 0.08), rng.uniform(-0.02, 0.02)

        def twisted(x: Array, y: Array) -> Array:
            r = np.hypot(x, y)
            far = np.log1p(r / 0.5)
            phi = np.arctan2(y, x)
            turned = phi - twist * (far - 0.7)
            stretch = 1.0 + flattening * (far - 0.7) * np.cos(2.0 * (phi - angle)) + boxy * np.cos(4.0 * (turned - angle))
            return bulge(r * stretch * np.cos(turned), r * stretch * np.sin(turned))

        return twisted, (q, angle)
    return bulge, (q, angle)


def _lensed(
    group: str, rng: np.random.Generator, shape: tuple[float, float]
) -> tuple[Brightness, float, Brightness, tuple[PowerLaw, Shear]]:
    """The lensed source, the Einstein radius of the whole, a satellite's light, and the main mass with its shear."""
    q, angle = shape
    e_1, e_2 = ellipticity(float(np.clip(q + rng.normal(0.03, 0.08), 0.45, 0.98)), angle + rng.normal(0.0, 0.17))
    b = rng.uniform(0.75, 1.75)
    gamma, turn = (rng.uniform(0.08, 0.2) if group == "group" else min(rng.rayleigh(0.035), 0.15)), rng.uniform(0.0, np.pi)
    mass = PowerLaw(
        center_x=0.0,
        center_y=0.0,
        ellipticity_1=e_1,
        ellipticity_2=e_2,
        einstein_radius=b,
        slope=float(np.clip(rng.normal(2.05, 0.15), 1.7, 2.4)),
    )
    shear = Shear(gamma_1=gamma * np.cos(2.0 * turn), gamma_2=gamma * np.sin(2.0 * turn))
    masses: list[Any] = [mass, shear]
    satellite = _sum()
    if group == "group":
        far, where, weight = rng.uniform(1.5, 3.2), rng.uniform(0.0, 2.0 * np.pi), rng.uniform(0.08, 0.3)
        s_x, s_y = far * np.cos(where), far * np.sin(where)
        masses.append(Isothermal(center_x=s_x, center_y=s_y, ellipticity_1=0.0, ellipticity_2=0.0, einstein_radius=weight))
        satellite = _sersic(600.0 * weight / 0.2, rng.uniform(0.6, 1.0), rng.uniform(0, np.pi), rng.uniform(0.1, 0.4), 2.5, s_x, s_y)
    center = _source_position(group, rng, masses, b)
    size = np.exp(rng.uniform(np.log(0.07), np.log(0.4)))
    parts = [_sersic(1.0, rng.uniform(0.4, 1.0), rng.uniform(0, np.pi), size, rng.uniform(0.7, 2.5), *center)]
    if group == "clumps":
        parts = [_sersic(0.7, rng.uniform(0.4, 1.0), rng.uniform(0, np.pi), size, rng.uniform(0.7, 1.5), *center)]
        for _ in range(rng.integers(1, 4)):
            x, y = np.asarray(center) + rng.normal(0.0, 0.17, 2)
            clump = (rng.uniform(0.1, 0.8), rng.uniform(0.5, 1.0), rng.uniform(0, np.pi), np.exp(rng.uniform(-3.5, -2.2)), 1.0)
            parts.append(_sersic(*clump, x, y))
    source = _sum(*parts)

    def lensed(x: Array, y: Array) -> Array:
        return source(*ray_trace(masses, x, y))

    return lensed, mean_convergence_radius(masses, b), satellite, (mass, shear)


def _source_position(group: str, rng: np.random.Generator, masses: list[Any], b: float) -> tuple[float, float]:
    while True:
        # lenses are found by their magnification: uniform in radius, not in area
        reach, turn = b * rng.uniform(*((0.5, 1.0) if group == "single" else (0.0, 0.55))), rng.uniform(0.0, 2.0 * np.pi)
        x, y = reach * np.cos(turn), reach * np.sin(turn)
        if count_images_at(masses, (x, y), (0.0, 0.0)) >= 2:
            return x, y


def mean_convergence_radius(masses: list[Any], guess: float) -> float:
    """Radius in arcsec of the circle about the origin within which the mean convergence is one: the mean inward deflection equals it."""
    phi = (np.arange(720) + 0.5) * np.pi / 360.0

    def excess(r: float) -> float:
        x, y = r * np.cos(phi), r * np.sin(phi)
        b_x, b_y = ray_trace(masses, x, y)
        return float(((x - b_x) * np.cos(phi) + (y - b_y) * np.sin(phi)).mean() - r)

    root: Any = optimize.brentq(excess, 0.3 * guess, 2.0 * guess)
    return float(root)


def _unlensed(group: str, rng: np.random.Generator) -> Brightness:
    """What lies about a galaxy that is no lens."""
    if group == "companions":
        parts = []
        for _ in range(rng.integers(1, 3)):
            far, where = rng.uniform(0.7, 2.2), rng.uniform(0.0, 2.0 * np.pi)
            shape = (rng.uniform(0.3, 1.0), rng.uniform(0, np.pi), np.exp(rng.uniform(-2.6, -1.0)), rng.uniform(0.7, 3.0))
            parts.append(_sersic(rng.uniform(0.3, 1.0), *shape, far * np.cos(where), far * np.sin(where)))
        return _sum(*parts)
    r_0, width, phase = rng.uniform(0.8, 1.6), rng.uniform(0.08, 0.25), rng.uniform(0.0, 2.0 * np.pi)
    q, angle, extent = rng.uniform(0.5, 1.0), rng.uniform(0.0, np.pi), rng.uniform(0.3, 1.2)
    pitch, arms = rng.uniform(0.25, 0.6), int(rng.integers(1, 4))
    knots = rng.uniform(0.0, 0.9)

    def pattern(x: Array, y: Array) -> Array:
        u, v = np.cos(angle) * x + np.sin(angle) * y, (-np.sin(angle) * x + np.cos(angle) * y) / q
        r, phi = np.hypot(u, v) + 1e-9, np.arctan2(v, u)
        if group == "spiral":
            along = np.cos(arms * (phi - np.log(r / r_0) / pitch - phase))
            return np.exp(3.0 * (along - 1.0)) * np.exp(-r / r_0) * (r > 0.3)
        ring = np.exp(-0.5 * ((r - r_0) / width) ** 2)
        if group == "ring":
            return ring * (1.0 + knots * np.cos(3.0 * phi - phase) + 0.5 * knots * np.cos(7.0 * phi + 2.0 * phase))
        away = np.angle(np.exp(1j * (phi - phase)))
        return ring * np.exp(-0.5 * (away / extent) ** 2)

    return pattern


def _binned_mean(brightness: Brightness, axis: Array) -> Array:
    """Means over pixels by sub-grids, finer in the core."""

    def means(rows: Array, columns: Array, n: int) -> Array:
        offset = ((np.arange(n) + 0.5) / n - 0.5) * SCALE
        x, y = np.meshgrid(columns, rows)
        return sum((brightness(x + dx, y + dy) for dy in offset for dx in offset), np.zeros(x.shape)) / n**2

    image = means(axis, axis, SAMPLING)
    middle = slice(len(axis) // 2 - CORE_PIXELS, len(axis) // 2 + CORE_PIXELS + 1)
    image[middle, middle] = means(axis[middle], axis[middle], CORE_SAMPLING)
    return image


def _psf(fwhm: float, e: float, angle: float, size: int) -> Array:
    """A core and 20 % of wings of three times its width."""
    axis = (np.arange(size) - size // 2) * SCALE
    x, y = np.meshgrid(axis, axis)
    u, v = np.cos(angle) * x + np.sin(angle) * y, -np.sin(angle) * x + np.cos(angle) * y
    square = u**2 * (1.0 + e) + v**2 * (1.0 - e)
    sigma = fwhm / 2.3548
    psf = 0.8 * np.exp(-0.5 * square / sigma**2) + 0.2 / 9.0 * np.exp(-0.5 * square / (3.0 * sigma) ** 2)
    return psf / psf.sum()


def _observed(group: str, seed: int, rng: np.random.Generator, parts: tuple[Brightness, ...], radius: float) -> Case:
    """The image of lens, extra light and, where there is one, a satellite."""
    true_psf = _psf(FWHM * (1.0 + rng.normal(0.0, 0.03)), rng.normal(0.0, 0.03), rng.uniform(0, np.pi), 21)
    pad = 10
    axis: Array = (np.arange(N_PIXELS + 2 * pad) - 0.5 * (N_PIXELS + 2 * pad - 1)) * SCALE
    seen: list[Array] = [fftconvolve(_binned_mean(part, axis), true_psf, mode="same")[pad:-pad, pad:-pad] for part in parts]
    target = np.exp(rng.uniform(*np.log((8.0, 25.0) if group == "faint" else (15.0, 120.0))))
    if group in OTHERS:
        target *= 0.7
    seen[1] = _scaled(seen[1], seen[0], target)
    image = sum(seen, np.zeros_like(seen[0]))
    clear = seen[2] < 1.5 * SKY if len(seen) > 2 else np.ones(image.shape, dtype=bool)
    noise = np.sqrt(SKY**2 + np.maximum(image, 0.0) / EXPOSURE)
    white = rng.standard_normal((N_PIXELS + 4, N_PIXELS + 4))
    kernel = np.outer([0.2, 0.6, 0.2], [0.2, 0.6, 0.2])
    drizzled = ndimage.convolve(white, kernel)[2:-2, 2:-2] / np.sqrt((kernel**2).sum()) * 0.62
    made = Imaging(
        data=image + noise * drizzled,
        noise=noise,
        psf=_psf(FWHM, 0.0, 0.0, 15),
        mask=clear,
        pixel_scale=SCALE,
        name=f"{group}-{seed}",
    )
    return Case(group=group, seed=seed, image=made, einstein_radius=radius, signal_to_noise=target)


def _scaled(part: Array, background: Array, target: float) -> Array:
    """The picture with a signal-to-noise of ``target``, summed where it is brighter than a third of its own 98th percentile."""
    bright = part > np.quantile(part, 0.98) / 3.0
    noise = np.sqrt((SKY**2 + background[bright] / EXPOSURE).sum())
    return part * target * noise / part[bright].sum()
