"""How one picture of a lens is drawn: colors, stretch, color bar, compass and scale bar. What is in the six panels is said in `pictures`.

Figures are made by matplotlib's object interface on an Agg canvas, so nothing here keeps state and any thread may draw. North and the scale
are on every picture of the sky, and all pictures share one color map, except residuals, which diverge.
"""

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import AsinhNorm, Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.transforms import ScaledTranslation

SEQUENTIAL = "magma"
DIVERGING = "RdBu_r"
CURVE_COLOR = "#38d6ff"
GREY = np.array([0.83, 0.84, 0.85])
DOTS_PER_INCH = 200
WIDTH = 3.6  # inches; shown at half its pixels, so that a point is a point on the page
BAR_HEIGHT = 0.37  # inches for the color bar and its numbers
NICE_LENGTHS = (10.0, 5.0, 2.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)


# ---- color ---------------------------------------------------------------------------------------------------------------------------


def stretch(image: np.ndarray, used: np.ndarray, noise: float) -> AsinhNorm:
    """Asinh stretch: linear within about two sigma of zero, logarithmic above.

    Parameters
    ----------
    image : (n_y, n_x); its brightest used pixel sets the upper limit.
    used : (n_y, n_x) bool.
    noise : typical sigma of one pixel, in the unit of the image.
    """
    values = np.asarray(image, float)[used & np.isfinite(image)]
    top = float(values.max()) if values.size else 1.0
    width = 2.0 * noise if np.isfinite(noise) and noise > 0 else max(abs(top), 1e-300) / 30.0
    return AsinhNorm(linear_width=width, vmin=-width, vmax=max(top, 3.0 * width))


def colored(image: np.ndarray, norm: Normalize, color_map: Colormap, used: np.ndarray | None = None) -> np.ndarray:
    """(n_y, n_x, 3) colors in [0, 1]: NaN is flat grey, pixels that were not used keep a pale trace of themselves.

    Parameters
    ----------
    image : (n_y, n_x).
    used : (n_y, n_x) bool; None when all were.
    """
    image = np.asarray(image, float)
    finite = np.isfinite(image)
    rgb = color_map(np.clip(np.asarray(norm(np.where(finite, image, 0.0)), float), 0.0, 1.0))[..., :3]
    if used is not None:
        pale = GREY * (1.0 - 0.45 * (rgb @ np.array([0.299, 0.587, 0.114])))[..., None]
        rgb = np.where(used[..., None], rgb, pale)
    return np.where(finite[..., None], rgb, GREY)


def color_ticks(norm: Normalize) -> list[float]:
    """Round values for a color bar, far enough apart for their numbers not to touch."""
    low, high = float(norm.vmin), float(norm.vmax)  # type: ignore[arg-type]
    top = 10.0 ** np.floor(np.log10(high))
    chosen = [0.0]
    for value in (m * top / 10.0**k for k in range(4) for m in (5.0, 2.0, 1.0)):
        if low <= value <= high and all(abs(float(norm(value)) - float(norm(other))) > 0.13 for other in chosen):
            chosen.append(value)
    return sorted(chosen)


# ---- one panel -----------------------------------------------------------------------------------------------------------------------


def scale_bar_length(width: float) -> float:
    """1 arcsec where that is a sensible part of a frame ``width`` arcsec wide, else the largest round length that is."""
    if 0.1 <= 1.0 / width <= 0.45:
        return 1.0
    return next((length for length in NICE_LENGTHS if length <= 0.4 * width), NICE_LENGTHS[-1])


def compass(position_angle_of_y: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Unit vectors (x, y) on the picture towards north and towards east.

    Parameters
    ----------
    position_angle_of_y : degrees east of north of +y; north is that much clockwise of +y, and east 90 degrees anticlockwise of north.
    """
    angle = np.deg2rad(position_angle_of_y)
    return (float(np.sin(angle)), float(np.cos(angle))), (-float(np.cos(angle)), float(np.sin(angle)))


def _outlined(ink: str) -> dict[str, Any]:
    paper = "white" if ink == "black" else "black"
    return {"color": ink, "path_effects": [withStroke(linewidth=2.4, foreground=paper, alpha=0.75)]}


def _draw_compass(axes: Axes, position_angle_of_y: float, ink: str) -> None:
    north, east = compass(position_angle_of_y)
    square = np.array([1.0, axes.bbox.width / axes.bbox.height])
    middle = 1.0 - (0.12 + 0.045 * (np.array(north) + np.array(east))) * square  # both arms stay in the corner at any angle
    for letter, way in (("N", north), ("E", east)):
        tip, name = middle + 0.09 * np.array(way) * square, middle + 0.13 * np.array(way) * square
        axes.annotate(
            "", xy=tuple(tip), xytext=tuple(middle), xycoords="axes fraction",
            arrowprops={"arrowstyle": "-|>,head_width=0.16,head_length=0.32", "lw": 1.0, "shrinkA": 0, "shrinkB": 0} | _outlined(ink),
        )  # fmt: skip
        axes.text(float(name[0]), float(name[1]), letter, transform=axes.transAxes, ha="center", va="center", size=8.5, **_outlined(ink))


def _draw_scale_bar(axes: Axes, ink: str) -> None:
    x_min, x_max = axes.get_xlim()
    y_min, y_max = axes.get_ylim()
    length = scale_bar_length(x_max - x_min)
    x, y = x_min + 0.05 * (x_max - x_min), y_min + 0.055 * (y_max - y_min)
    effects = _outlined(ink)
    axes.add_line(Line2D([x, x + length], [y, y], lw=1.8, solid_capstyle="butt", **effects))  # type: ignore[arg-type]
    above = axes.transData + ScaledTranslation(0, 3.5 / 72, axes.figure.dpi_scale_trans)  # type: ignore[union-attr]
    axes.text(x + 0.5 * length, y, f"{length:g}″", transform=above, ha="center", va="bottom", size=9, **effects)


def _draw_color_bar(figure: Figure, norm: Normalize, color_map: Colormap, ticks: list[float], bottom: float) -> None:
    axes = figure.add_axes((0.03, 0.62 * bottom, 0.94, 0.2 * bottom))
    bar = figure.colorbar(ScalarMappable(norm, color_map), cax=axes, orientation="horizontal")
    bar.set_ticks(ticks, labels=[f"{tick:g}".replace("-", "\N{MINUS SIGN}") for tick in ticks])
    bar.minorticks_off()
    bar.outline.set_linewidth(0.4)  # type: ignore[operator]
    axes.tick_params(labelsize=8, length=2, width=0.5, pad=1.5, colors="#333")


def draw_panel(
    image: np.ndarray,
    extent: tuple[float, float, float, float],
    window: tuple[float, float, float, float],
    norm: Normalize,
    *,
    color_map: str = SEQUENTIAL,
    used: np.ndarray | None = None,
    curves: Sequence[np.ndarray] = (),
    position_angle_of_y: float | None = None,
    ticks: list[float] | None = None,
    curve_color: str = CURVE_COLOR,
    width: float = WIDTH,
) -> Figure:
    """One image with its color bar, scale bar, curves and compass.

    Parameters
    ----------
    image : (n_y, n_x), row 0 at the bottom.
    extent : outer edges of the image, arcsec.
    window : the part of it that is shown, arcsec.
    used : (n_y, n_x) bool; the others are greyed.
    curves, curve_color : (n, 2) arrays of x, y in arcsec.
    position_angle_of_y : degrees; None draws no compass.
    width : of the figure, inches.
    """
    colors = colormaps[color_map]
    ratio = (window[3] - window[2]) / (window[1] - window[0])
    height = width * min(max(ratio, 1 / 3), 3.0) + BAR_HEIGHT  # a frame narrower than that is shown with white beside it
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, facecolor="white")
    FigureCanvasAgg(figure)
    bottom = BAR_HEIGHT / height
    axes = figure.add_axes((0.0, bottom, 1.0, 1.0 - bottom))
    axes.set_axis_off()
    axes.imshow(colored(image, norm, colors, used), origin="lower", extent=extent, interpolation="nearest", aspect="equal")
    ink = "black" if color_map == DIVERGING or (used is not None and not used.all()) else "white"
    for curve in curves:
        points = np.asarray(curve, float).reshape(-1, 2)
        edge = withStroke(linewidth=2.0, foreground="white" if curve_color == "black" else "black", alpha=0.35)
        axes.plot(points[:, 0], points[:, 1], color=curve_color, lw=1.0, path_effects=[edge])
    axes.set_xlim(window[0], window[1])
    axes.set_ylim(window[2], window[3])
    _draw_scale_bar(axes, ink)
    if position_angle_of_y is not None:
        _draw_compass(axes, position_angle_of_y, ink)
    _draw_color_bar(figure, norm, colors, color_ticks(norm) if ticks is None else ticks, bottom)
    return figure


def encoded(figure: Figure) -> tuple[str, int, int]:
    """Data URI, width and height in pixels; lossless WebP, because pixels are data."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="webp", facecolor="white", pil_kwargs={"lossless": True, "quality": 20, "method": 1})
    width, height = (round(size * figure.dpi) for size in figure.get_size_inches())
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii"), width, height
