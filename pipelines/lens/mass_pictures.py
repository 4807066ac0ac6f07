"""The pictures of the mass: convergence and magnification of the best fit, with its critical curves, and the profile of the mass."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import LogNorm

from pipelines.lens.drawing import draw_panel
from pipelines.lens.plots import BAND, BLUE, INK, ORANGE, Panel, diagram, finished, name_axes, nice_ticks, plain_numbers

CONVERGENCE = (0.05, 5.0)
MAGNIFICATION = (0.1, 100.0)
"""Limits of the color bars: below and above them the picture has its ends' colors."""
MASS_UNIT = 1e10
"""Solar masses, of the axis of the enclosed mass."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Median of a posterior and the ends of its 68.3 % interval."""

    median: float
    lower: float
    upper: float


@dataclass(frozen=True, kw_only=True, eq=False)
class MassPlanes:
    """The mass of one lens.

    Parameters
    ----------
    convergence, magnification : of the best fit, (n_y, n_x), row 0 at the bottom; the magnification without its sign.
    extent : x_min, x_max, y_min, y_max of their outer edges, arcsec.
    critical_curves : (n, 2) arrays of x, y in arcsec.
    position_angle_of_y : degrees east of north of the +y direction.
    radius : of circles around the mass's center, (k,), arcsec.
    mean_convergence : within them, (3, k): lower end of the 68.3 % interval, median, upper end.
    einstein_radius : of the circle within which the mean convergence is one, arcsec.
    arcs : smallest and largest radius at which the lensed source is seen, arcsec; NaN where none is.
    critical_mass : solar masses per arcsec^2 of convergence one; NaN where the redshifts are not known.
    """

    convergence: np.ndarray
    magnification: np.ndarray
    extent: tuple[float, float, float, float]
    critical_curves: Sequence[np.ndarray] = ()
    position_angle_of_y: float = 0.0
    radius: np.ndarray
    mean_convergence: np.ndarray
    einstein_radius: Interval
    arcs: tuple[float, float] = (float("nan"), float("nan"))
    critical_mass: float = float("nan")

    @property
    def enclosed(self) -> np.ndarray:
        """(3, k): mass within the circles in solar masses, or in arcsec^2 of convergence one where the redshifts are not known."""
        unit = self.critical_mass if np.isfinite(self.critical_mass) else 1.0
        return self.mean_convergence * np.pi * self.radius**2 * unit


def mass_panels(planes: MassPlanes) -> tuple[Panel, Panel, Panel]:
    """Convergence, magnification and profile."""
    sky = {"curves": planes.critical_curves, "position_angle_of_y": planes.position_angle_of_y}
    positive = np.where(planes.convergence > 0, planes.convergence, CONVERGENCE[0])
    first = draw_panel(positive, planes.extent, planes.extent, LogNorm(*CONVERGENCE), ticks=[0.1, 0.2, 0.5, 1.0, 2.0], **sky)
    second = draw_panel(
        np.clip(planes.magnification, *MAGNIFICATION), planes.extent, planes.extent, LogNorm(*MAGNIFICATION),
        ticks=[0.2, 1.0, 5.0, 20.0], **sky,
    )  # fmt: skip
    return (
        finished("Convergence", "Surface density over the critical one, best fit; logarithmic. Critical curves in blue.", first),
        finished("Magnification", "Of a point source, without its sign; logarithmic. Infinite on the critical curves.", second),
        _profile(planes),
    )


def _profile(planes: MassPlanes) -> Panel:
    radius, found = planes.radius, planes.einstein_radius
    figure, (upper, lower) = diagram(2)
    is_mass = bool(np.isfinite(planes.critical_mass))
    enclosed = planes.enclosed / (MASS_UNIT if is_mass else 1.0)
    for axes, rows in ((upper, planes.mean_convergence), (lower, enclosed)):
        low, middle, high = rows
        if np.isfinite(planes.arcs).all():
            axes.axvspan(*planes.arcs, color="#f0f2fa", lw=0, zorder=0)
        axes.fill_between(radius, low, high, color=BAND, lw=0)
        axes.plot(radius, middle, color=BLUE, lw=1.2)
        axes.axvline(found.median, color=ORANGE, lw=0.9, ls=(0, (4, 2)))
        axes.set_xscale("log")
        axes.set_yscale("log")
    upper.axhline(1.0, color=INK, lw=0.6)
    upper.set_xlim(radius[0], radius[-1])
    plain_numbers(lower, x=nice_ticks(float(radius[0]), float(radius[-1])))
    for axes, rows in ((upper, planes.mean_convergence), (lower, enclosed)):
        plain_numbers(axes, y=nice_ticks(float(rows.min()), float(rows.max())))
    name_axes(upper, y="mean convergence")
    name_axes(lower, x="radius [arcsec]", y=r"mass within [$10^{10}\ M_\odot$]" if is_mass else r"enclosed [arcsec$^2$]")
    error = 0.5 * (found.upper - found.lower)
    words = (
        f"Within circles around the mass's center: median and 68 %. Orange: the mean is one at {found.median:.4f} ± {error:.4f} arcsec. "
        "Pale: where the lensed source is seen; elsewhere the profile is the model's."
    )
    if not is_mass:
        words += " Without redshifts the mass is in units of the critical surface density."
    return finished("Enclosed mass", words, figure)
