"""Regions of a lens as DS9 reads them: critical curves, mask, neighbors, images; in pixels of the image, and on the sky where it has one.

Plain text of the DS9 region format, version 4.1. Pixel coordinates count from one at the center of the first pixel, as DS9's do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import contourpy
import numpy as np
from numpy.typing import NDArray

from pipelines.lens.export_fits import ascii_text
from pipelines.lens.exported import Scene

Array = NDArray[np.float64]
MOST_OUTLINES = 200
"""Outlines of masked pixels; the largest are kept."""
REACH = 1.05
"""Pixels that are not used are outlined within so many mask radii; beyond, nothing is used."""
COLORS = {"tangential": "cyan", "radial": "blue", "cut": "blue", "mask": "white", "neighbor": "red", "unused": "magenta", "image": "green"}


@dataclass(frozen=True, kw_only=True)
class Region:
    """One region: a polygon of points (n, 2), a circle of one point, or a point; in arcsec of some plane.

    Parameters
    ----------
    points : shape (n, 2).
    radius : of a circle, arcsec; zero for a point or polygon.
    color, text : as DS9 shows them; any text.
    """

    points: Array
    radius: float = 0.0
    color: str = "green"
    text: str = ""


def ds9_files(scene: Scene, stem: str, about: Mapping[str, Any]) -> dict[str, bytes]:
    """``STEM.image.reg`` in pixels of the input, ``STEM.fk5.reg`` where it has a sky, ``STEM.source.reg`` in pixels of ``SOURCE_PLANE``."""
    regions = list(image_plane(scene))

    def of_pixels(points: Array) -> Array:
        return np.stack(scene.pixel(points[:, 0], points[:, 1]), axis=1) + 1.0

    scale = scene.dataset.pixel_scale
    files = {f"{stem}.image.reg": _text("image", regions, of_pixels, scale, about)}
    wcs = scene.wcs
    if wcs is not None:

        def of_sky(points: Array) -> Array:
            sky: Any = wcs.pixel_to_world(*(of_pixels(points) - 1.0).T)
            fk5 = sky.fk5
            return np.stack([fk5.ra.deg, fk5.dec.deg], axis=1)

        files[f"{stem}.fk5.reg"] = _text("fk5", regions, of_sky, None, about)
    source = scene.source

    def of_source(points: Array) -> Array:
        return (points - [source.x[0], source.y[0]]) / source.scale + 1.0

    files[f"{stem}.source.reg"] = _text("image", list(source_plane_of(scene)), of_source, source.scale, about)
    return files


def image_plane(scene: Scene) -> Iterator[Region]:
    """What lies on the sky, in this band's arcsec."""
    offset = np.array(scene.offset)
    for curve in scene.curves:
        if curve.kind != "cut":
            yield Region(points=curve.curve[:-1] + offset, color=COLORS[curve.kind], text=f"{curve.kind} critical curve")
    preparation = scene.preparation
    yield Region(points=np.array([preparation.center]), radius=preparation.mask_radius, color=COLORS["mask"], text="mask")
    for outline in outlines(scene, preparation.neighbors):
        yield Region(points=outline, color=COLORS["neighbor"], text="neighbor, left out")
    reach = REACH * preparation.mask_radius
    for outline in outlines(scene, ~scene.dataset.used):
        if np.hypot(*(outline - preparation.center).T).min() > reach:
            continue
        yield Region(points=outline, color=COLORS["unused"], text="pixels not used")
    found = scene.images
    seen = [i for i in range(len(found.x)) if not found.is_central[i]]
    for number, i in enumerate(seen, 1):
        place = np.array([[found.x[i], found.y[i]]]) + offset
        yield Region(points=place, color=COLORS["image"], text=f"image {number}, magnification {found.magnification[i]:.3g}")
    yield Region(points=np.array([scene.center]) + offset, color=COLORS["tangential"], text="center of mass")


def source_plane_of(scene: Scene) -> Iterator[Region]:
    """What lies in the source plane, arcsec."""
    for curve in scene.curves:
        name = "cut" if curve.kind == "cut" else f"{curve.kind} caustic"
        yield Region(points=curve.caustic[:-1], color=COLORS[curve.kind], text=name)
    yield Region(points=np.array([scene.source_center]), color=COLORS["image"], text="source")


def outlines(scene: Scene, mask: NDArray[np.bool_]) -> list[Array]:
    """Outlines of the pixels of a mask in this band's arcsec, each (n, 2), the longest first, those about a hole among them."""
    if not mask.any():
        return []
    padded = np.pad(mask, 1).astype(np.float64)
    lines: Sequence[Any] = contourpy.contour_generator(z=padded).lines(0.5)  # type: ignore[assignment]
    scale, (n_y, n_x) = scene.dataset.pixel_scale, scene.dataset.shape
    middle = np.array([0.5 * (n_x - 1), 0.5 * (n_y - 1)])
    kept = sorted((np.asarray(line) for line in lines), key=len, reverse=True)[:MOST_OUTLINES]
    return [(line[:-1] - 1.0 - middle) * scale for line in kept if len(line) > 3]


def _text(frame: str, regions: Sequence[Region], place: Callable[[Array], Array], scale: float | None, about: Mapping[str, Any]) -> bytes:
    """The file; ``scale`` is arcsec a pixel, or None on the sky, where a radius is in arcsec."""
    told = [
        f"{key}: {ascii_text(about[key], 500)}" for key in ("name", "pipeline", "stage", "digest", "exported_by", "command") if key in about
    ]
    lines = ["# Region file format: DS9 version 4.1", *(f"# {line}" for line in told)]
    lines += ['global color=green width=1 font="helvetica 10 normal" select=1 edit=1 move=1 delete=1 include=1 source=1', frame]
    digits = 10 if scale is None else 5
    for region in regions:
        points = place(region.points)
        numbers = ",".join(f"{value:.{digits}f}" for value in points.ravel())
        if region.radius:
            size = f'{region.radius:.6g}"' if scale is None else f"{region.radius / scale:.6g}"
            shape = f"circle({numbers},{size})"
        elif len(points) == 1:
            shape = f"point({numbers})"
        else:
            shape = f"polygon({numbers})"
        mark = " point=cross" if shape.startswith("point") else ""
        lines.append(f"{shape} #{mark} color={region.color} text={{{ascii_text(region.text).replace('{', '(').replace('}', ')')}}}")
    return ("\n".join(lines) + "\n").encode("ascii")
