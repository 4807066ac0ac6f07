"""The strip of thumbnails of one lens for campaign pages: five small pictures side by side in one file, drawn as those of the report are.

No words are on them, and no compass: at this size only light is seen.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import AsinhNorm, Normalize
from PIL import Image

from fitcore.store import durable
from pipelines.lens.drawing import DIVERGING, SEQUENTIAL, colored, stretch
from pipelines.lens.pictures import RESIDUAL_LIMIT, ImagePlanes, SourcePlane, view

PIXELS = 150
"""Width and height of one picture."""
QUALITY = 80


def strip_pixels(planes: ImagePlanes, source: SourcePlane | None) -> np.ndarray:
    """The pictures of `board.PICTURES` from left to right; a part that the model does not have is grey.

    Returns
    -------
    (PIXELS, 5 PIXELS, 3) colors, 0 to 255.
    """
    used = planes.used
    noise = float(np.median(planes.noise[used])) if used.any() else float("nan")
    whole, warm = stretch(planes.model, used, noise), colormaps[SEQUENTIAL]
    arcs = planes.lensed_source
    nothing = np.full(np.shape(planes.data), np.nan)
    shown = [
        colored(planes.data, whole, warm, used),
        colored(planes.model, whole, warm, used),
        colored(planes.residual, Normalize(-RESIDUAL_LIMIT, RESIDUAL_LIMIT), colormaps[DIVERGING]),
        colored(nothing if arcs is None else arcs, whole if arcs is None else stretch(arcs, used, noise), warm, used),
    ]
    squares = [_square(_windowed(colors, planes)) for colors in shown]
    return np.concatenate([*squares, _square(_source(source))], axis=1)


def _windowed(colors: np.ndarray, planes: ImagePlanes) -> np.ndarray:
    """The part of the frame that the report shows."""
    x_min, x_max, y_min, y_max = planes.extent
    left, right, bottom, top = view(planes)
    n_y, n_x = colors.shape[:2]
    columns = [round((x - x_min) / (x_max - x_min) * n_x) for x in (left, right)]
    rows = [round((y - y_min) / (y_max - y_min) * n_y) for y in (bottom, top)]
    return colors[rows[0] : rows[1], columns[0] : columns[1]]


def _source(source: SourcePlane | None) -> np.ndarray:
    if source is None:
        return colored(np.full((2, 2), np.nan), Normalize(0, 1), colormaps[SEQUENTIAL])
    image = np.asarray(source.image, float)
    good = np.isfinite(image)
    top = float(np.abs(image[good]).max()) if good.any() else 1.0
    return colored(image, AsinhNorm(linear_width=(top or 1.0) / 20.0, vmin=0.0, vmax=top or 1.0), colormaps[SEQUENTIAL])


def _square(colors: np.ndarray) -> np.ndarray:
    """Row 0 at the top, of the size of one picture; what is not square is filled up with white."""
    image = Image.fromarray((255 * np.clip(colors[::-1], 0, 1)).astype(np.uint8))
    scale = PIXELS / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    canvas = Image.new("RGB", (PIXELS, PIXELS), "white")
    how = Image.Resampling.BOX if scale < 1 else Image.Resampling.NEAREST
    canvas.paste(image.resize(size, how), ((PIXELS - size[0]) // 2, (PIXELS - size[1]) // 2))
    return np.asarray(canvas)


def write_strip(planes: ImagePlanes, source: SourcePlane | None, target: Path) -> Path:
    """Write the strip as a WebP file, all at once; its folder is there.

    Raises
    ------
    StoreError : the disk is full or the folder cannot be written.
    """
    buffer = io.BytesIO()
    Image.fromarray(strip_pixels(planes, source)).save(buffer, "WEBP", quality=QUALITY, method=4)
    with durable.explaining(target, "writing the thumbnails"):
        durable.replace(target, buffer.getvalue())
    return target
