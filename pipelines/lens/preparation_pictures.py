"""The two pictures of the preparation: what of the image is fitted, and what stands out of the lens galaxy."""

from dataclasses import dataclass, field

import numpy as np
from contourpy import contour_generator
from matplotlib.colors import Normalize

from pipelines.lens.drawing import DIVERGING, draw_panel, stretch
from pipelines.lens.plots import Panel, finished

SIGNIFICANCE_LIMIT = 8.0
CROSS = 0.15
"""Half-length in arcsec of the arms of the cross at the lens's center."""
DIAMOND = 0.12 * np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0], [1.0, 0.0]])
"""Around a bright spot of the arcs, arcsec."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparationPlanes:
    """What was seen of the image on coarse pixels, planes of one shape (n_y, n_x), row 0 at the bottom.

    Parameters
    ----------
    data, significance : the image, and what it has beyond a smooth galaxy in units of the noise.
    used, neighbors : bool; pixels with data, and pixels left out for a neighbor.
    noise : typical, in the unit of the data.
    x, y : of the pixels' columns and rows, arcsec.
    center, mask_radius : of what is fitted, arcsec.
    position_angle_of_y : degrees east of north of the +y direction.
    positions : of the bright spots of the arcs, (n, 2), arcsec.
    """

    data: np.ndarray
    significance: np.ndarray
    used: np.ndarray
    neighbors: np.ndarray
    noise: float
    x: np.ndarray
    y: np.ndarray
    center: tuple[float, float]
    mask_radius: float
    position_angle_of_y: float = 0.0
    positions: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))


def preparation_panels(planes: PreparationPlanes) -> tuple[Panel, Panel]:
    """The image with center, mask and neighbors; and what stands out of the galaxy."""
    half = 0.5 * float(planes.x[1] - planes.x[0])
    extent = (float(planes.x[0]) - half, float(planes.x[-1]) + half, float(planes.y[0]) - half, float(planes.y[-1]) + half)
    c_x, c_y = planes.center
    angle = np.linspace(0.0, 2.0 * np.pi, 200)
    circle = np.stack([c_x + planes.mask_radius * np.cos(angle), c_y + planes.mask_radius * np.sin(angle)], axis=1)
    cross = [np.array([[c_x - CROSS, c_y], [c_x + CROSS, c_y]]), np.array([[c_x, c_y - CROSS], [c_x, c_y + CROSS]])]
    outlines = contour_generator(planes.x, planes.y, planes.neighbors.astype(float)).lines(0.5)
    inside = np.hypot(planes.x[None, :] - c_x, planes.y[:, None] - c_y) <= planes.mask_radius
    fitted = planes.used & inside & ~planes.neighbors
    curves = [circle, *cross, *(np.asarray(line) for line in outlines)]
    norm = stretch(planes.data, fitted if fitted.any() else planes.used, planes.noise)
    first = draw_panel(planes.data, extent, extent, norm, used=fitted, curves=curves, position_angle_of_y=planes.position_angle_of_y)
    second = draw_panel(
        np.where(planes.used, planes.significance, np.nan),
        extent,
        extent,
        Normalize(-SIGNIFICANCE_LIMIT, SIGNIFICANCE_LIMIT),
        color_map=DIVERGING,
        curves=[circle, *(np.asarray(line) for line in outlines), *(np.asarray(place) + DIAMOND for place in planes.positions)],
        position_angle_of_y=planes.position_angle_of_y,
        ticks=[-8.0, -4.0, 0.0, 4.0, 8.0],
    )
    words = "Center and mask in blue, and the outlines of neighbors left out; what is not fitted is pale."
    rest = "Image less a smooth galaxy, in units of the noise; arcs are kept, neighbors outlined."
    if len(planes.positions):
        rest += " Diamonds: bright spots of the arcs, the positions that the source must explain."
    return finished("What is fitted", words, first), finished("What stands out of the galaxy", rest, second)
