"""The pictures of what is left after the fit: how the residuals are distributed, where they are too large, and how they hang together."""

import numpy as np
from matplotlib.colors import Normalize

from pipelines.lens.drawing import DIVERGING, draw_panel
from pipelines.lens.pictures import RESIDUAL_LIMIT, ImagePlanes
from pipelines.lens.plots import BAND, BLUE, INK, NARROW, ORANGE, Panel, diagram, explain, finished, name_axes
from pipelines.lens.residuals import EDGES, FEWEST, Patch, Residuals, measure

TOO_NARROW = 0.9
"""A standard deviation below this is told apart from the unit normal's."""
WINDOW = 5.0
"""Side of the picture of the worst patch, in sides of the patch."""
SQUARE = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0]])


def residual_panels(planes: ImagePlanes, center: tuple[float, float]) -> tuple[Panel, ...]:
    """Histogram, radial profile, autocorrelation and worst patch; ``center`` of the lens in arcsec. What cannot be told is left out."""
    residual = planes.residual
    found = measure(residual, planes.extent, center)
    if found.n < FEWEST:
        return ()
    panels = [_histogram(found)]
    if found.radius.size:
        panels.append(_rings(found))
    if found.lag.size:
        panels.append(_correlation(found))
    if found.patch is not None:
        panels.append(_worst(found.patch, residual, planes))
    return tuple(panels)


def _histogram(found: Residuals) -> Panel:
    figure, (axes,) = diagram(width=NARROW)
    axes.stairs(found.density, EDGES, fill=True, color=BAND, label="residuals")
    axes.stairs(found.density, EDGES, color=BLUE, lw=0.8)
    fine = np.linspace(EDGES[0], EDGES[-1], 241)
    axes.plot(fine, np.exp(-0.5 * fine**2) / np.sqrt(2 * np.pi), color=ORANGE, lw=1.1, label="unit normal")
    axes.set_yscale("log")
    axes.set_ylim(1e-5, 30.0)
    axes.set_xlim(EDGES[0], EDGES[-1])
    name_axes(axes, x="residual [sigma]", y="density")
    explain(axes, "upper left")
    words = f"Mean {_signed(found.mean)}, standard deviation {found.deviation:.2f}; logarithmic, and the end bins hold what lies beyond."
    if found.deviation < TOO_NARROW:
        words += " Narrower than the unit normal, as drizzled images are: pixels share their noise, and the noise map does not know."
    elif found.deviation > 1.0 / TOO_NARROW:
        words += " Wider than the unit normal: something is not modeled, or the noise map is too small."
    return finished("Distribution", words, figure)


def _rings(found: Residuals) -> Panel:
    figure, (axes,) = diagram(width=NARROW)
    low, high = (np.maximum(found.chi_squared * (1 + sign * found.error), 0) for sign in (-1, 1))
    axes.fill_between(found.radius, low, high, color=BAND, lw=0)
    axes.plot(found.radius, found.chi_squared, color=BLUE, lw=1.2, marker="o", ms=2.5)
    axes.axhline(1.0, color=INK, lw=0.6)
    axes.set_xlim(0.0, None)
    axes.set_ylim(0.0, max(1.2, 1.05 * float(high.max())))
    name_axes(axes, x="radius [arcsec]", y="χ² per pixel")
    return finished(
        "Radial profile", "χ² per pixel in rings around the lens; band: error of each ring for pixels with independent noise.", figure
    )


def _correlation(found: Residuals) -> Panel:
    figure, (axes,) = diagram(width=NARROW)
    axes.axhline(0.0, color=INK, lw=0.6)
    axes.plot(found.lag, found.along_x, color=BLUE, lw=1.2, marker="o", ms=3, label="along x")
    axes.plot(found.lag, found.along_y, color=ORANGE, lw=1.2, marker="s", ms=2.6, ls=(0, (4, 2)), label="along y")
    both = [*found.along_x, *found.along_y]
    axes.set_ylim(min(-0.1, 1.1 * min(both)), 1.05)
    name_axes(axes, x="distance [pixels]", y="correlation")
    explain(axes, "upper right")
    next_pixel = _signed(0.5 * float(found.along_x[1] + found.along_y[1])) if len(found.lag) > 1 else "unknown"
    words = f"Of the residuals of two pixels; of neighbors {next_pixel}. Independent noise has 1 at zero, and 0 elsewhere."
    return finished("Autocorrelation", words, figure)


def _worst(patch: Patch, residual: np.ndarray, planes: ImagePlanes) -> Panel:
    half = 0.5 * WINDOW * patch.side
    x_min, x_max, y_min, y_max = planes.extent
    half = min(half, 0.5 * (x_max - x_min), 0.5 * (y_max - y_min))
    x, y = np.clip(patch.x, x_min + half, x_max - half), np.clip(patch.y, y_min + half, y_max - half)
    side = 0.5 * patch.side
    corners = np.array([patch.x, patch.y]) + side * SQUARE
    figure = draw_panel(
        residual, planes.extent, (float(x - half), float(x + half), float(y - half), float(y + half)),
        Normalize(-RESIDUAL_LIMIT, RESIDUAL_LIMIT), color_map=DIVERGING, curves=[corners], curve_color="black",
        position_angle_of_y=planes.position_angle_of_y, ticks=[-5.0, -2.5, 0.0, 2.5, 5.0],
        width=NARROW,
    )  # fmt: skip
    words = (
        f"At ({_signed(patch.x)}, {_signed(patch.y)}) arcsec: its sum over {patch.side:.2f}″ squared is {_signed(patch.sigma, 1)} times "
        f"the scatter of such sums ({_signed(patch.total, 1)} sigma of independent noise); its peak pixel {_signed(patch.peak, 1)} sigma."
    )
    return finished("Worst patch", words, figure)


def _signed(value: float, decimals: int = 2) -> str:
    if not np.isfinite(value):
        return "unknown"
    text = f"{value:+.{decimals}f}"
    return (text if text.strip("+-0.") else text[1:]).replace("-", "\N{MINUS SIGN}")
