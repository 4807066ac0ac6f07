"""The pictures of one lens: image planes, source plane and posterior in, compressed pictures (bytes) out.

All six panels share one color map, one stretch where they can be compared, one north arrow and one scale bar. Figures are made by matplotlib's object
interface on an Agg canvas, so nothing here keeps state and any thread may draw. How a model is fitted, what the page around the pictures looks like, and
files are other modules' business.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import corner
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

from fitcore.errors import DataError

SEQUENTIAL = "magma"
DIVERGING = "RdBu_r"
RESIDUAL_LIMIT = 5.0
CURVE_COLOR = "#38d6ff"
GREY = np.array([0.83, 0.84, 0.85])
DOTS_PER_INCH = 200
WIDTH = 3.6  # inches; shown at half its pixels, so that a point is a point on the page
BAR_HEIGHT = 0.34  # inches for the color bar and its numbers
CORNER_WIDTH = 1500  # pixels
DROP = 1e-12  # samples lighter than this beside the heaviest cannot be seen
NICE_LENGTHS = (10.0, 5.0, 2.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
SYMBOLS = {
    "center_x": r"$x$ [arcsec]",
    "center_y": r"$y$ [arcsec]",
    "ellipticity_1": r"$\epsilon_1$",
    "ellipticity_2": r"$\epsilon_2$",
    "einstein_radius": r"$\theta_{\rm E}$ [arcsec]",
    "slope": r"$\gamma$",
    "gamma_1": r"$\gamma_1^{\rm ext}$",
    "gamma_2": r"$\gamma_2^{\rm ext}$",
    "convergence_0": r"$\kappa_0$",
    "kappa_s": r"$\kappa_{\rm s}$",
    "scale_radius": r"$r_{\rm s}$ [arcsec]",
}


def _same_shape(planes: "ImagePlanes") -> None:
    shape = np.shape(planes.data)
    if len(shape) != 2 or 0 in shape:
        raise DataError(f"data has shape {shape}: an image is (n_y, n_x) with at least one pixel. Pass the two-dimensional array")
    for name in ("noise", "mask", "model", "lens_light", "lensed_source"):
        value = getattr(planes, name)
        if value is not None and np.shape(value) != shape:
            raise DataError(f"{name} has shape {np.shape(value)}, data has {shape}: all image planes share one grid. Pass them uncropped")


@dataclass(frozen=True, kw_only=True, eq=False)
class ImagePlanes:
    """What is seen and modeled on the sky, all on one grid.

    Parameters
    ----------
    data, noise, model : (n_y, n_x), in one unit; row 0 is at the bottom. NaN is drawn grey.
    mask : (n_y, n_x) bool, True where the pixel was used.
    lens_light, lensed_source : (n_y, n_x) parts of the model, convolved with the PSF; None when the model has no such part.
    extent : x_min, x_max, y_min, y_max of the grid's outer edges, arcsec.
    pixel_scale : arcsec.
    position_angle_of_y : degrees east of north of the +y direction.
    unit : unit of the data in words, for the color bars.
    critical_curves : (n, 2) arrays of x, y in arcsec.

    Raises
    ------
    DataError : shapes differ.
    """

    data: np.ndarray
    noise: np.ndarray
    mask: np.ndarray
    model: np.ndarray
    lens_light: np.ndarray | None = None
    lensed_source: np.ndarray | None = None
    extent: tuple[float, float, float, float]
    pixel_scale: float
    position_angle_of_y: float = 0.0
    unit: str = ""
    critical_curves: Sequence[np.ndarray] = ()

    def __post_init__(self) -> None:
        _same_shape(self)

    @property
    def used(self) -> np.ndarray:
        """(n_y, n_x) bool: pixels in the mask with a finite value and a positive noise."""
        return np.asarray(self.mask, bool) & np.isfinite(self.data) & np.isfinite(self.noise) & (np.asarray(self.noise) > 0)

    @property
    def residual(self) -> np.ndarray:
        """(n_y, n_x): (data - model) / noise, NaN outside the mask."""
        residual = np.full(np.shape(self.data), np.nan)
        used = self.used
        residual[used] = (self.data[used] - self.model[used]) / self.noise[used]
        return residual


@dataclass(frozen=True, kw_only=True, eq=False)
class SourcePlane:
    """The source as it is, before lensing.

    Parameters
    ----------
    image : (n_y, n_x) surface brightness, row 0 at the bottom.
    extent : x_min, x_max, y_min, y_max of its outer edges, arcsec in the source plane.
    caustics : (n, 2) arrays of x, y in arcsec.
    """

    image: np.ndarray
    extent: tuple[float, float, float, float]
    caustics: Sequence[np.ndarray] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Posterior:
    """Weighted samples for the corner plot.

    Parameters
    ----------
    paths : names of the k columns.
    parameters : (n, k).
    log_weight : (n,), natural logarithm up to a constant; None for equal weights.
    labels : path to the label on the axis, plain text; known leaves have a symbol of their own.
    """

    paths: tuple[str, ...]
    parameters: np.ndarray
    log_weight: np.ndarray | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = np.shape(self.parameters)
        if len(shape) != 2 or shape[1] != len(self.paths):
            raise DataError(f"parameters has shape {shape}: allowed is (n, {len(self.paths)}), one column for each of the paths {self.paths}")
        if self.log_weight is not None and np.shape(self.log_weight) != shape[:1]:
            raise DataError(f"log_weight has shape {np.shape(self.log_weight)}: allowed is {shape[:1]}, one for each sample")


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One finished picture with its words; ``picture`` is a data URI, or None with the reason in ``caption``."""

    title: str
    caption: str
    picture: str | None
    width: int = 0
    height: int = 0


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
    return AsinhNorm(linear_width=width, vmin=-1.5 * width, vmax=max(top, 3.0 * width))


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


def view(planes: ImagePlanes) -> tuple[float, float, float, float]:
    """x_min, x_max, y_min, y_max in arcsec of the square that is shown: the used pixels with a small margin."""
    x_min, x_max, y_min, y_max = planes.extent
    rows, columns = np.nonzero(planes.used)
    if not rows.size:
        return planes.extent
    n_y, n_x = planes.data.shape
    step_x, step_y = (x_max - x_min) / n_x, (y_max - y_min) / n_y
    left, right = x_min + columns.min() * step_x, x_min + (columns.max() + 1) * step_x
    bottom, top = y_min + rows.min() * step_y, y_min + (rows.max() + 1) * step_y
    half = 0.53 * max(right - left, top - bottom)
    x, y = 0.5 * (left + right), 0.5 * (bottom + top)
    # No further than the frame, so that a mask near its edge does not show emptiness.
    return max(x - half, x_min), min(x + half, x_max), max(y - half, y_min), min(y + half, y_max)


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


def _outlined(ink: str) -> dict[str, object]:
    paper = "white" if ink == "black" else "black"
    return {"color": ink, "path_effects": [withStroke(linewidth=2.2, foreground=paper, alpha=0.55)]}


def _draw_compass(axes: Axes, position_angle_of_y: float, ink: str) -> None:
    north, east = compass(position_angle_of_y)
    square = np.array([1.0, axes.bbox.width / axes.bbox.height])
    middle = 1.0 - (0.12 + 0.045 * (np.array(north) + np.array(east))) * square  # both arms stay in the corner at any angle
    for letter, way in (("N", north), ("E", east)):
        tip, name = middle + 0.09 * np.array(way) * square, middle + 0.125 * np.array(way) * square
        axes.annotate(
            "", xy=tuple(tip), xytext=tuple(middle), xycoords="axes fraction",
            arrowprops={"arrowstyle": "-|>,head_width=0.16,head_length=0.32", "color": ink, "lw": 1.0, "shrinkA": 0, "shrinkB": 0},
        )  # fmt: skip
        axes.text(*name, letter, transform=axes.transAxes, ha="center", va="center", size=7, **_outlined(ink))


def _draw_scale_bar(axes: Axes, ink: str) -> None:
    x_min, x_max = axes.get_xlim()
    y_min, y_max = axes.get_ylim()
    length = scale_bar_length(x_max - x_min)
    x, y = x_min + 0.05 * (x_max - x_min), y_min + 0.055 * (y_max - y_min)
    effects = _outlined(ink)
    axes.add_line(Line2D([x, x + length], [y, y], lw=1.8, solid_capstyle="butt", **effects))  # type: ignore[arg-type]
    above = axes.transData + ScaledTranslation(0, 3.5 / 72, axes.figure.dpi_scale_trans)  # type: ignore[union-attr]
    axes.text(x + 0.5 * length, y, f"{length:g}″", transform=above, ha="center", va="bottom", size=7.5, **effects)


def _draw_color_bar(figure: Figure, norm: Normalize, color_map: Colormap, ticks: list[float], bottom: float) -> None:
    axes = figure.add_axes((0.03, 0.62 * bottom, 0.94, 0.2 * bottom))
    bar = figure.colorbar(ScalarMappable(norm, color_map), cax=axes, orientation="horizontal")
    bar.set_ticks(ticks, labels=[f"{tick:g}".replace("-", "\N{MINUS SIGN}") for tick in ticks])
    bar.minorticks_off()
    bar.outline.set_linewidth(0.4)  # type: ignore[operator]
    axes.tick_params(labelsize=7, length=2, width=0.5, pad=1.5, colors="#333")


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
) -> Figure:
    """One image with its color bar, scale bar, curves and compass.

    Parameters
    ----------
    image : (n_y, n_x), row 0 at the bottom.
    extent : outer edges of the image, arcsec.
    window : the part of it that is shown, arcsec.
    used : (n_y, n_x) bool; the others are greyed.
    curves : (n, 2) arrays of x, y in arcsec.
    position_angle_of_y : degrees; None draws no compass.
    """
    colors = colormaps[color_map]
    height = WIDTH * (window[3] - window[2]) / (window[1] - window[0]) + BAR_HEIGHT
    figure = Figure(figsize=(WIDTH, height), dpi=DOTS_PER_INCH, facecolor="white")
    FigureCanvasAgg(figure)
    bottom = BAR_HEIGHT / height
    axes = figure.add_axes((0.0, bottom, 1.0, 1.0 - bottom))
    axes.set_axis_off()
    axes.imshow(colored(image, norm, colors, used), origin="lower", extent=extent, interpolation="nearest", aspect="auto")
    ink = "black" if color_map == DIVERGING or (used is not None and not used.all()) else "white"
    for curve in curves:
        points = np.asarray(curve, float).reshape(-1, 2)
        axes.plot(points[:, 0], points[:, 1], color=CURVE_COLOR, lw=1.0, path_effects=[withStroke(linewidth=2.0, foreground="black", alpha=0.35)])
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
    figure.savefig(buffer, format="webp", facecolor="white", pil_kwargs={"lossless": True, "quality": 60, "method": 3})
    width, height = (round(size * figure.dpi) for size in figure.get_size_inches())
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii"), width, height


# ---- the six panels ------------------------------------------------------------------------------------------------------------------


def panels(planes: ImagePlanes, source: SourcePlane | None) -> tuple[Panel, ...]:
    """The six panels in reading order.

    Data and model have the same stretch, and so have the data less the lens light and the lensed source. A part that the model does not have leaves a
    panel without picture that says so.
    """
    used = planes.used
    noise = float(np.median(planes.noise[used])) if used.any() else float("nan")
    whole = stretch(planes.model, used, noise)
    unit = f" in {planes.unit}" if planes.unit else ""
    frame = {"extent": planes.extent, "window": view(planes), "used": used, "position_angle_of_y": planes.position_angle_of_y}

    def panel(title: str, caption: str, image: np.ndarray, norm: Normalize, **more: object) -> Panel:
        return Panel(title=title, caption=caption, **_as_picture(draw_panel(image, norm=norm, **(frame | more))))  # type: ignore[arg-type]

    residual = planes.residual
    first = [
        panel("Data", f"Asinh stretch{unit}; critical curves in blue.", planes.data, whole, curves=planes.critical_curves),
        panel("Model", "Same stretch as the data.", planes.model, whole),
        panel("Residual", _residual_words(residual), residual, Normalize(-RESIDUAL_LIMIT, RESIDUAL_LIMIT),
              color_map=DIVERGING, ticks=[-5.0, -2.5, 0.0, 2.5, 5.0]),
    ]  # fmt: skip
    if planes.lensed_source is None:
        absent = "The model has no lensed source."
        second = [Panel(title=title, caption=absent, picture=None) for title in ("Data less lens light", "Lensed source")]
    else:
        arcs = stretch(planes.lensed_source, used, noise)
        light = 0.0 if planes.lens_light is None else planes.lens_light
        second = [
            panel("Data less lens light", "Stretched to the lensed source.", planes.data - light, arcs),
            panel("Lensed source", "Model, same stretch as on its left.", planes.lensed_source, arcs),
        ]
    return (*first, *second, _source_panel(source))


def _as_picture(figure: Figure) -> dict[str, object]:
    picture, width, height = encoded(figure)
    return {"picture": picture, "width": width, "height": height}


def _residual_words(residual: np.ndarray) -> str:
    values = residual[np.isfinite(residual)]
    if not values.size:
        return "No pixel has a finite residual."
    beyond = int(np.count_nonzero(np.abs(values) > RESIDUAL_LIMIT))
    pixels = "1 pixel" if beyond == 1 else f"{beyond:,} pixels"
    return f"(data \N{MINUS SIGN} model) / noise; {pixels} of {values.size:,} beyond ±{RESIDUAL_LIMIT:g} sigma."


def _source_panel(source: SourcePlane | None) -> Panel:
    if source is None:
        return Panel(title="Source plane", caption="The model has no source plane.", picture=None)
    image = np.asarray(source.image, float)
    every = np.isfinite(image)
    top = float(np.abs(image[every]).max()) if every.any() else 1.0
    norm = AsinhNorm(linear_width=(top or 1.0) / 20.0, vmin=0.0, vmax=top or 1.0)
    figure = draw_panel(image, source.extent, source.extent, norm, curves=source.caustics)
    return Panel(title="Source plane", caption="The source before lensing; caustics in blue.", **_as_picture(figure))  # type: ignore[arg-type]


# ---- posterior -----------------------------------------------------------------------------------------------------------------------


def axis_label(path: str, labels: Mapping[str, str]) -> str:
    """The label given, else the symbol of a known leaf, else the path; dollars are text, never mathematics."""
    if path in labels:
        return labels[path].replace("$", r"\$")
    return SYMBOLS.get(path.rsplit(".", 1)[-1], path.replace("$", r"\$"))


def corner_figure(samples: Posterior, truth: Mapping[str, float]) -> Figure | None:
    """Corner plot with 1 and 2 sigma contours; None when there are too few samples or no column that varies.

    Parameters
    ----------
    truth : path to its true value; paths that are not columns are ignored.
    """
    values = np.asarray(samples.parameters, float)
    log_weight = np.zeros(len(values)) if samples.log_weight is None else np.asarray(samples.log_weight, float)
    good = np.isfinite(values).all(axis=1) & np.isfinite(log_weight)
    values, log_weight = values[good], log_weight[good]
    if not len(values):
        return None
    weight = np.exp(log_weight - log_weight.max())
    values, weight = values[weight > DROP], weight[weight > DROP]
    n_effective = weight.sum() ** 2 / np.sum(weight**2)
    columns = [i for i in range(values.shape[1]) if np.ptp(values[:, i]) > 1e-12 * np.abs(values[:, i]).max()]
    if not columns or n_effective < 20 * len(columns):
        return None
    paths = [samples.paths[i] for i in columns]
    size = 2.2 + 1.55 * len(columns)
    figure = Figure(figsize=(size, size), dpi=CORNER_WIDTH / size, facecolor="white")
    FigureCanvasAgg(figure)
    corner.corner(
        values[:, columns], weights=weight, fig=figure, labels=[axis_label(path, samples.labels) for path in paths], color="#31407a",
        truths=[truth.get(path) for path in paths], truth_color="#c2410c", range=[0.998] * len(columns), bins=24, smooth=0.9, smooth1d=0.7,
        levels=(1 - np.exp(-0.5), 1 - np.exp(-2.0)), plot_datapoints=False, fill_contours=True, max_n_ticks=4, label_kwargs={"size": 10},
        quantiles=(0.16, 0.5, 0.84),
    )  # fmt: skip
    for axes in figure.axes:
        axes.tick_params(labelsize=7.5)
    return figure


def corner_panel(samples: Posterior, truth: Mapping[str, float]) -> Panel:
    """The corner plot as a finished picture, or the reason why there is none."""
    figure = corner_figure(samples, truth)
    title = "Posterior"
    if figure is None:
        return Panel(title=title, caption="Too few samples for a corner plot.", picture=None)
    true = " Orange: truth." if set(truth) & set(samples.paths) else ""
    caption = f"Contours hold 39 % and 86 % (1 and 2 sigma of a plane); dashed lines: median and 1 sigma.{true}"
    return Panel(title=title, caption=caption, **_as_picture(figure))  # type: ignore[arg-type]
