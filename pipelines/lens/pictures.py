"""The pictures of one lens: image planes, source plane and posterior in, compressed pictures out, each with its words.

Pictures that can be compared have the same stretch. How one picture is drawn is in `drawing`; how a model is fitted, what the page around
the pictures looks like, and files are other modules' business.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import corner
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import AsinhNorm, Normalize
from matplotlib.figure import Figure

from fitcore.errors import DataError
from fitcore.exports import NOT_IN_FONT
from pipelines.lens.drawing import DIVERGING, draw_panel, encoded, stretch
from pipelines.lens.meanings import PARAMETERS
from pipelines.lens.plots import Panel

RESIDUAL_LIMIT = 5.0
CORNER_WIDTH = 1500  # pixels
MARGIN = 72.0  # left of the corner plot and below it, in pixels of the page
DROP = 1e-12  # samples lighter than this beside the heaviest cannot be seen
LONGEST_LABEL = 24


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
            raise DataError(
                f"parameters has shape {shape}: allowed is (n, {len(self.paths)}), one column for each of the paths {self.paths}"
            )
        if self.log_weight is not None and np.shape(self.log_weight) != shape[:1]:
            raise DataError(f"log_weight has shape {np.shape(self.log_weight)}: allowed is {shape[:1]}, one for each sample")


# ---- the six panels ------------------------------------------------------------------------------------------------------------------


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


def panels(planes: ImagePlanes, source: SourcePlane | None) -> tuple[Panel, ...]:
    """The six panels in reading order.

    Data and model have the same stretch, and so have the data less the lens light and the lensed source. A part that the model does not
    have leaves a panel without picture that says so.
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
        panel("Data", f"Asinh stretch{unit}.", planes.data, whole),
        panel("Model", "Same stretch as the data; critical curves in blue.", planes.model, whole, curves=planes.critical_curves),
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
    """The label given, else the symbol of a known leaf, else the path, as plain text that the font has, of a length that fits."""
    leaf = path.rsplit(".", 1)[-1]
    if path not in labels and leaf in PARAMETERS:
        known = PARAMETERS[leaf]
        return f"${known.latex}$" + (f" [{known.unit}]" if known.unit else "")
    text = NOT_IN_FONT.sub("?", labels.get(path, path))
    # A dollar would begin mathematics.
    return (text if len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 1] + "…").replace("$", r"\$")


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
    size = 3.2 + 1.55 * len(columns)
    point = 72 * size / (CORNER_WIDTH / 2)  # of the page, in points of the figure
    figure = Figure(figsize=(size, size), dpi=CORNER_WIDTH / size, facecolor="white")
    FigureCanvasAgg(figure)
    corner.corner(
        values[:, columns], weights=weight, fig=figure, labels=[axis_label(path, samples.labels) for path in paths], color="#31407a",
        truths=[truth.get(path) for path in paths], truth_color="#c2410c", range=[0.998] * len(columns), bins=24, smooth=0.9, smooth1d=0.7,
        levels=(1 - np.exp(-0.5), 1 - np.exp(-2.0)), plot_datapoints=False, fill_contours=True, max_n_ticks=3,
        label_kwargs={"size": 11.5 * point}, labelpad=0.32, quantiles=(0.16, 0.5, 0.84),
    )  # fmt: skip
    for axes in figure.axes:
        axes.tick_params(labelsize=8.5 * point)
    margin = MARGIN * point / 72 / size  # corner's own is for smaller words
    figure.subplots_adjust(left=margin, bottom=margin)
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
