"""From the image's plane to the sky: position angles, solar masses, magnitudes. Cosmology is asked here only, for one number."""

from __future__ import annotations

from typing import Any

import astropy.units as u
import numpy as np
from astropy.constants import G, c  # type: ignore[attr-defined]
from astropy.cosmology import FlatLambdaCDM

from fitcore.errors import DataError
from pipelines.lens.geometry import array_module

HUBBLE_CONSTANT, MATTER_DENSITY = 70.0, 0.3
"""Of the flat cosmology, km/s/Mpc and at redshift 0: the one of the lens surveys that masses are compared with."""


def east_of_north(angle: Any, position_angle_of_y: Any = 0.0, is_mirrored: Any = False) -> Any:
    """Position angle in degrees, in [0, 180), of an axis at ``angle`` radians anticlockwise from +x; any shape.

    Parameters
    ----------
    position_angle_of_y : degrees east of north of the +y direction.
    is_mirrored : True where east is clockwise of north in the image; on the sky as we see it, it is anticlockwise.
    """
    xp = array_module(angle, position_angle_of_y, is_mirrored)
    turned = xp.where(is_mirrored, 90.0 - xp.degrees(angle), xp.degrees(angle) - 90.0) + position_angle_of_y
    found = xp.mod(turned, 180.0)
    return xp.where(found >= 180.0, 0.0, found)  # the remainder of a tiny negative number is rounded to the divisor


def anticlockwise_from_x(position_angle: Any, position_angle_of_y: Any = 0.0, is_mirrored: Any = False) -> Any:
    """The inverse of `east_of_north`: radians anticlockwise from +x, in [0, pi), of a position angle in degrees."""
    xp = array_module(position_angle, position_angle_of_y, is_mirrored)
    away = position_angle - position_angle_of_y
    found = xp.mod(xp.radians(xp.where(is_mirrored, 90.0 - away, 90.0 + away)), np.pi)
    return xp.where(found >= np.pi, 0.0, found)


def critical_mass(redshift_lens: float, redshift_source: float) -> float:
    """Solar masses per arcsec^2 of convergence one: the critical surface density in the lens plane, for a flat cosmology (H0 70, Om 0.3).

    Raises
    ------
    DataError
        for a source that is not behind the lens, or a lens that is not behind us.
    """
    if not 0.0 < redshift_lens < redshift_source:
        raise DataError(
            f"the redshifts are {redshift_lens} of the lens and {redshift_source} of the source; the lens must be above 0 and the source "
            "beyond the lens. Mend redshift_lens and redshift_source in info.yaml, or leave them out."
        )
    cosmology: Any = FlatLambdaCDM(H0=HUBBLE_CONSTANT, Om0=MATTER_DENSITY)  # type: ignore[call-arg]
    near, far = cosmology.comoving_distance([redshift_lens, redshift_source])
    to_lens, to_source, between = near / (1.0 + redshift_lens), far / (1.0 + redshift_source), (far - near) / (1.0 + redshift_source)
    density = c**2 / (4.0 * np.pi * G) * to_source / (to_lens * between)
    arcsec = (to_lens * (1.0 * u.arcsec).to_value(u.rad)) ** 2  # type: ignore[attr-defined]
    return float((density * arcsec).to_value(u.M_sun))  # type: ignore[attr-defined]


def magnitude(flux: Any, zero_point: Any) -> Any:
    """zero_point - 2.5 log10(flux); NaN where the flux is not positive. The system is the zero point's."""
    xp = array_module(flux, zero_point)
    return xp.where(flux > 0.0, zero_point - 2.5 * xp.log10(xp.where(flux > 0.0, flux, 1.0)), np.nan)
