"""Parameters of other packages and papers in ours, and back: one pair of functions for each parameter set. Nothing is fitted.

Ours: x right, y up, angles anticlockwise from +x, `einstein_radius` on the intermediate axis, ``ellipticity`` = (1-q)/(1+q) (cos 2 phi,
sin 2 phi). Where the others differ is said in each docstring. Coordinates are taken as they are: a package whose x grows to the east wants
x and every angle mirrored first.

======================  ===========================================================  =========================================
set                     convergence                                                  angles, order
======================  ===========================================================  =========================================
PyAutoLens              (3-s)/(1+q) (theta_E / m)^(s-1), m^2 = x'^2 + y'^2/q^2       (y, x); ellipticity: sine first
GLEE (Suyu 2013)        the same                                                     q, radians from +x
lenstronomy, COOLEST    (3-s)/2 (theta_E / R)^(s-1), R^2 = q x'^2 + y'^2/q: as ours  e1, e2 as ours; q, degrees from +y
Bolton et al. 2008      b_SIE / (2 R)                                                q, degrees east of north
======================  ===========================================================  =========================================
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from pipelines.lens.geometry import axis_ratio, ellipticity, position_angle
from pipelines.lens.mass import NFW, Isothermal, PowerLaw, Shear
from pipelines.lens.sky import anticlockwise_from_x, east_of_north


def _radius_of_mean_axis(einstein_radius: float, q: float, slope: float) -> float:
    """Ours of an Einstein radius in (3-s)/(1+q) (theta_E / m)^(s-1): R = sqrt(q) m, and 2/(1+q) goes into the power."""
    return float(einstein_radius * np.sqrt(q) * (2.0 / (1.0 + q)) ** (1.0 / (slope - 1.0)))


def _shape_of(mass: Any) -> tuple[Any, Any]:
    """Axis ratio and angle in radians anticlockwise from +x; floats, or arrays of a component of arrays."""
    return _plain(axis_ratio(mass.ellipticity_1, mass.ellipticity_2)), _plain(position_angle(mass.ellipticity_1, mass.ellipticity_2))


def _plain(value: Any) -> Any:
    return float(value) if np.ndim(value) == 0 else np.asarray(value)


def in_sky_frame(component: Any, position_angle_of_y: float = 0.0, is_mirrored: bool = False) -> Any:
    """A component of mass or light as it is with north up and east to the left: x to the west, y to the north, about the image's middle.

    Parameters
    ----------
    position_angle_of_y, is_mirrored : of the image, see `sky.east_of_north`.

    Positions, offsets, ellipticity and shear are turned; the rest stays. Numbers, or arrays of one shape.
    """
    changes: dict[str, Any] = {}
    for x, y, spin in (
        ("center_x", "center_y", 1),
        ("offset_x", "offset_y", 1),
        ("ellipticity_1", "ellipticity_2", 2),
        ("gamma_1", "gamma_2", 2),
    ):
        if hasattr(component, x):
            changes[x], changes[y] = sky_axes(getattr(component, x), getattr(component, y), position_angle_of_y, is_mirrored, spin=spin)
    return replace(component, **changes)


def sky_axes(x: Any, y: Any, position_angle_of_y: float = 0.0, is_mirrored: bool = False, *, spin: int = 1) -> tuple[Any, Any]:
    """(west, north) of a position (x, y) of the image; for ``spin`` 2, of the components of an ellipticity or shear."""
    angle = spin * np.radians(position_angle_of_y)
    if is_mirrored:
        x, y = (-x, y) if spin == 1 else (x, -y)
    return x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)


def image_axes(west: Any, north: Any, position_angle_of_y: float = 0.0, is_mirrored: bool = False) -> tuple[Any, Any]:
    """The inverse of `sky_axes` for positions."""
    x, y = sky_axes(west, north, -position_angle_of_y)
    return (-x if is_mirrored else x), y


def _ours(center: tuple[float, float], shape: tuple[float, float], radius: float) -> dict[str, float]:
    return {
        "center_x": float(center[0]),
        "center_y": float(center[1]),
        "ellipticity_1": float(shape[0]),
        "ellipticity_2": float(shape[1]),
        "einstein_radius": float(radius),
    }


def from_autolens_power_law(
    *, centre: tuple[float, float] = (0.0, 0.0), ell_comps: tuple[float, float] = (0.0, 0.0), einstein_radius: float, slope: float
) -> PowerLaw:
    """PyAutoLens's `PowerLaw`: ``centre`` is (y, x), ``ell_comps`` (1-q)/(1+q) (sin 2 phi, cos 2 phi)."""
    shape = (ell_comps[1], ell_comps[0])
    q = float(axis_ratio(*shape))
    return PowerLaw(**_ours((centre[1], centre[0]), shape, _radius_of_mean_axis(einstein_radius, q, slope)), slope=slope)


def to_autolens_power_law(mass: PowerLaw) -> dict[str, Any]:
    """Arguments of PyAutoLens's `PowerLaw`."""
    q, _ = _shape_of(mass)
    return {
        "centre": (mass.center_y, mass.center_x),
        "ell_comps": (mass.ellipticity_2, mass.ellipticity_1),
        "einstein_radius": mass.einstein_radius / _radius_of_mean_axis(1.0, q, mass.slope),
        "slope": mass.slope,
    }


def from_autolens_isothermal(
    *, centre: tuple[float, float] = (0.0, 0.0), ell_comps: tuple[float, float] = (0.0, 0.0), einstein_radius: float
) -> Isothermal:
    """PyAutoLens's `Isothermal`: its `PowerLaw` of slope 2, so that ours is 2 sqrt(q) / (1 + q) of its Einstein radius."""
    shape = (ell_comps[1], ell_comps[0])
    return Isothermal(**_ours((centre[1], centre[0]), shape, _radius_of_mean_axis(einstein_radius, float(axis_ratio(*shape)), 2.0)))


def to_autolens_isothermal(mass: Isothermal) -> dict[str, Any]:
    """Arguments of PyAutoLens's `Isothermal`."""
    q, _ = _shape_of(mass)
    return {
        "centre": (mass.center_y, mass.center_x),
        "ell_comps": (mass.ellipticity_2, mass.ellipticity_1),
        "einstein_radius": mass.einstein_radius / _radius_of_mean_axis(1.0, q, 2.0),
    }


def from_autolens_shear(*, gamma_1: float, gamma_2: float) -> Shear:
    """PyAutoLens's `ExternalShear`: as ours, cosine first, about the origin (unlike its ``ell_comps``)."""
    return Shear(gamma_1=gamma_1, gamma_2=gamma_2)


def to_autolens_shear(shear: Shear) -> dict[str, Any]:
    """Arguments of PyAutoLens's `ExternalShear`."""
    return {"gamma_1": shear.gamma_1, "gamma_2": shear.gamma_2}


def from_autolens_nfw(
    *, centre: tuple[float, float] = (0.0, 0.0), ell_comps: tuple[float, float] = (0.0, 0.0), kappa_s: float, scale_radius: float
) -> NFW:
    """PyAutoLens's `NFW`: the ellipse in the convergence, the scale radius on the major axis, ``kappa_s`` as ours."""
    return NFW(
        center_x=centre[1],
        center_y=centre[0],
        ellipticity_1=ell_comps[1],
        ellipticity_2=ell_comps[0],
        kappa_s=kappa_s,
        scale_radius=scale_radius,
    )


def to_autolens_nfw(halo: NFW) -> dict[str, Any]:
    """Arguments of PyAutoLens's `NFW`."""
    return {
        "centre": (halo.center_y, halo.center_x),
        "ell_comps": (halo.ellipticity_2, halo.ellipticity_1),
        "kappa_s": halo.kappa_s,
        "scale_radius": halo.scale_radius,
    }


def from_lenstronomy_epl(*, theta_E: float, gamma: float, e1: float, e2: float, center_x: float = 0.0, center_y: float = 0.0) -> PowerLaw:
    """lenstronomy's ``EPL`` (and ``PEMD``): as ours under other names."""
    return PowerLaw(**_ours((center_x, center_y), (e1, e2), theta_E), slope=gamma)


def to_lenstronomy_epl(mass: PowerLaw) -> dict[str, Any]:
    """Keywords of lenstronomy's ``EPL``."""
    return {**to_lenstronomy_sie(mass), "gamma": mass.slope}


def from_lenstronomy_sie(*, theta_E: float, e1: float, e2: float, center_x: float = 0.0, center_y: float = 0.0) -> Isothermal:
    """lenstronomy's ``SIE``: its ``EPL`` of gamma 2."""
    return Isothermal(**_ours((center_x, center_y), (e1, e2), theta_E))


def to_lenstronomy_sie(mass: Isothermal | PowerLaw) -> dict[str, Any]:
    """Keywords of lenstronomy's ``SIE``."""
    return {
        "theta_E": mass.einstein_radius,
        "e1": mass.ellipticity_1,
        "e2": mass.ellipticity_2,
        "center_x": mass.center_x,
        "center_y": mass.center_y,
    }


def from_lenstronomy_shear(*, gamma1: float, gamma2: float, ra_0: float = 0.0, dec_0: float = 0.0) -> Shear:
    """lenstronomy's ``SHEAR``. Ours is about the origin: another center (``ra_0``, ``dec_0``) only moves the source, and is dropped."""
    del ra_0, dec_0
    return Shear(gamma_1=gamma1, gamma_2=gamma2)


def to_lenstronomy_shear(shear: Shear) -> dict[str, Any]:
    """Keywords of lenstronomy's ``SHEAR``."""
    return {"gamma1": shear.gamma_1, "gamma2": shear.gamma_2, "ra_0": 0.0, "dec_0": 0.0}


def from_coolest_pemd(*, theta_E: float, gamma: float, q: float, phi: float, center_x: float = 0.0, center_y: float = 0.0) -> PowerLaw:
    """COOLEST's ``PEMD``: ``phi`` in degrees anticlockwise from +y; the Einstein radius as ours."""
    return PowerLaw(**_ours((center_x, center_y), ellipticity(q, np.radians(phi) + 0.5 * np.pi), theta_E), slope=gamma)


def to_coolest_pemd(mass: PowerLaw) -> dict[str, Any]:
    """Values of COOLEST's ``PEMD``; ``phi`` in (-90, 90]."""
    return {**to_coolest_sie(mass), "gamma": mass.slope}


def from_coolest_sie(*, theta_E: float, q: float, phi: float, center_x: float = 0.0, center_y: float = 0.0) -> Isothermal:
    """COOLEST's ``SIE``: its ``PEMD`` of gamma 2."""
    return Isothermal(**_ours((center_x, center_y), ellipticity(q, np.radians(phi) + 0.5 * np.pi), theta_E))


def to_coolest_sie(mass: Isothermal | PowerLaw) -> dict[str, Any]:
    """Values of COOLEST's ``SIE``; ``phi`` in (-90, 90]."""
    q, angle = _shape_of(mass)
    return {"theta_E": mass.einstein_radius, "q": q, "phi": _from_y(angle), "center_x": mass.center_x, "center_y": mass.center_y}


def from_coolest_shear(*, gamma_ext: float, phi_ext: float) -> Shear:
    """COOLEST's ``ExternalShear``: ``phi_ext``, in degrees anticlockwise from +y, is the direction in which images are stretched."""
    angle = 2.0 * (np.radians(phi_ext) + 0.5 * np.pi)
    return Shear(gamma_1=float(gamma_ext * np.cos(angle)), gamma_2=float(gamma_ext * np.sin(angle)))


def to_coolest_shear(shear: Shear) -> dict[str, Any]:
    """Values of COOLEST's ``ExternalShear``; ``phi_ext`` in (-90, 90]."""
    angle = 0.5 * np.arctan2(shear.gamma_2, shear.gamma_1)
    return {"gamma_ext": _plain(np.hypot(shear.gamma_1, shear.gamma_2)), "phi_ext": _from_y(angle)}


def _from_y(angle: Any) -> Any:
    """Degrees anticlockwise from +y, in (-90, 90], of radians anticlockwise from +x."""
    return _plain(90.0 - np.mod(180.0 - np.degrees(angle), 180.0))


def from_glee_power_law(*, theta_E: float, gamma: float, q: float, phi: float, x: float = 0.0, y: float = 0.0) -> PowerLaw:
    """The power law of Suyu et al. 2013 (ApJ 766, 70) and of GLEE: ``phi`` in radians anticlockwise from +x, theta_E as PyAutoLens's."""
    return PowerLaw(**_ours((x, y), ellipticity(q, phi), _radius_of_mean_axis(theta_E, q, gamma)), slope=gamma)


def to_glee_power_law(mass: PowerLaw) -> dict[str, Any]:
    """Parameters of the power law of Suyu et al. 2013."""
    q, angle = _shape_of(mass)
    radius = mass.einstein_radius / _radius_of_mean_axis(1.0, q, mass.slope)
    return {"theta_E": radius, "gamma": mass.slope, "q": q, "phi": angle, "x": mass.center_x, "y": mass.center_y}


def from_bolton_sie(
    *, b_sie: float, q_sie: float, pa_sie: float, center: tuple[float, float] = (0.0, 0.0), position_angle_of_y: float = 0.0
) -> Isothermal:
    """The isothermal ellipsoid of Bolton et al. 2008 (ApJ 682, 964): ``b_sie`` on the intermediate axis, ``pa_sie`` east of north.

    Parameters
    ----------
    center : (x, y) in arcsec, which their table does not have.
    position_angle_of_y : of the image, degrees east of north of +y.
    """
    return Isothermal(**_ours(center, ellipticity(q_sie, anticlockwise_from_x(pa_sie, position_angle_of_y)), b_sie))


def to_bolton_sie(mass: Isothermal, *, position_angle_of_y: float = 0.0) -> dict[str, Any]:
    """``b_sie`` in arcsec, ``q_sie`` and ``pa_sie`` in degrees in [0, 180)."""
    q, angle = _shape_of(mass)
    return {"b_sie": mass.einstein_radius, "q_sie": q, "pa_sie": float(east_of_north(angle, position_angle_of_y))}
