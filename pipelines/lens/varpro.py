"""Variable projection: the fit as a function of its non-linear parameters alone, with its gradient and Gauss-Newton matrix.

Amplitudes and sky are solved inside; their columns are projected out of the Jacobian (Kaufman 1975, BIT 15, 49), so the inverse matrix is
the covariance marginalized over them. Derivatives are written out: the light of a basis depends on its parameters through the radius
squared alone, so one picture of d light / d R^2 serves all of them. Deflections, columns, derivatives and algebra are compiled pieces of
their own: in one piece XLA computes them again for every use, and takes long to compile.

The parameter vector is the same for every model (`PARAMETERS`, in the order of the model tree): center and ellipticities of the two sets of
the lens light (6), center, ellipticity and Einstein radius of the mass (5), shear (2), center and ellipticity of the source (4), then what
richer models add: the second set of the source by its offset from the first and its ellipticity (4), and the ellipticity of a third set of
the lens light (2). A model that has no such set does not look at its entries.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from fitcore import backend as _backend  # isort: skip

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_solve
from numpy.typing import NDArray

from fitcore.evaluation import compiled
from pipelines.lens.columns import images, radius_squared, slope_image, sub_pixel_mean
from pipelines.lens.frame import Frame
from pipelines.lens.geometry import ellipse_vector, elliptical_radius
from pipelines.lens.mass import Isothermal
from pipelines.lens.nnls import factor, nnls, scaled
from pipelines.lens.tracing import deflection

del _backend

Array = NDArray[np.float64]
PARAMETERS = (
    *(f"lens_light.first.{name}" for name in ("center_x", "center_y", "ellipticity_1", "ellipticity_2")),
    *(f"lens_light.second.{name}" for name in ("ellipticity_1", "ellipticity_2")),
    *(f"mass.{name}" for name in ("center_x", "center_y", "ellipticity_1", "ellipticity_2", "einstein_radius")),
    *(f"shear.{name}" for name in ("gamma_1", "gamma_2")),
    *(f"source.main.{name}" for name in ("center_x", "center_y", "ellipticity_1", "ellipticity_2")),
    *(f"source.second.{name}" for name in ("ellipticity_1", "ellipticity_2", "offset_x", "offset_y")),
    *(f"lens_light.third.{name}" for name in ("ellipticity_1", "ellipticity_2")),
)
N_PARAMETERS = len(PARAMETERS)
LIGHT = np.arange(6)
LENSING = np.arange(6, 17)
SECOND = np.arange(17, 21)
THIRD = np.arange(21, 23)
EINSTEIN_RADIUS, SHEAR, SOURCE_CENTER = 10, slice(11, 13), slice(13, 15)


@dataclass(frozen=True, kw_only=True)
class Bases:
    """Sizes of the sets of Gaussians: widest width in arcsec and number of members.

    Parameters
    ----------
    first, second : of the lens light; concentric, each with its ellipticity.
    source : of the source.
    second_source : a second set of the source, beside the first, or None.
    third : a third set of the lens light, concentric with the others, or None.
    """

    first: tuple[float, int] = (3.6, 18)
    second: tuple[float, int] = (3.6, 10)
    source: tuple[float, int] = (0.35, 10)
    second_source: tuple[float, int] | None = None
    third: tuple[float, int] | None = None

    def ladders(self, which: str) -> list[tuple[float, int]]:
        """The sets' sizes in the order of their columns."""
        light = [self.first, self.second] + ([] if self.third is None else [self.third])
        source = [self.source] + ([] if self.second_source is None else [self.second_source])
        return ([] if which == "source" else light) + ([] if which == "light" else source)

    def parameters(self, which: str) -> NDArray[np.int_]:
        """Indices of the parameters that matter to the lens light alone, to the source and what lenses it, or to both."""
        light = [LIGHT] + ([] if self.third is None else [THIRD])
        lensing = [LENSING] + ([] if self.second_source is None else [SECOND])
        return np.sort(np.concatenate(([] if which == "source" else light) + ([] if which == "light" else lensing)))


def _radius_and_slopes(x: Any, y: Any, e_1: Any, e_2: Any) -> tuple[Any, Any, Any, Any, Any]:
    """R^2 and its derivatives with respect to x, y, e_1, e_2."""
    w_x, w_y = ellipse_vector(x, y, e_1, e_2)
    flat = 1.0 - e_1**2 - e_2**2
    square = (w_x * w_x + w_y * w_y) / flat
    return (
        square,
        2.0 * ((1.0 - e_1) * w_x - e_2 * w_y) / flat,
        2.0 * ((1.0 + e_1) * w_y - e_2 * w_x) / flat,
        2.0 * (y * w_y - x * w_x + e_1 * square) / flat,
        2.0 * (e_2 * square - y * w_x - x * w_y) / flat,
    )


def _unit_deflection(ellipticity: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """Deflection of an isothermal ellipsoid of Einstein radius 1 at the origin."""
    mass = Isothermal(center_x=0.0, center_y=0.0, ellipticity_1=ellipticity[0], ellipticity_2=ellipticity[1], einstein_radius=1.0)
    return deflection(mass, x, y)


@compiled
def _rays(mass: Any, x: Any, y: Any) -> tuple[Any, Any]:
    return _unit_deflection(mass[2:4], x - mass[0], y - mass[1])


@compiled
def _rays_and_slopes(mass: Any, x: Any, y: Any) -> tuple[Any, ...]:
    """The unit deflection and its derivatives with respect to the ellipticity's components."""

    def of(ellipticity: Any) -> tuple[Any, Any]:
        return _unit_deflection(ellipticity, x - mass[0], y - mass[1])

    value, first = jax.jvp(of, (mass[2:4],), (jnp.array([1.0, 0.0]),))
    _, second = jax.jvp(of, (mass[2:4],), (jnp.array([0.0, 1.0]),))
    return (*value, *first, *second)


def _lens_light(p: Any, frame: Frame, bases: Bases, slopes: bool) -> list[tuple[Any, dict[int, Any]]]:
    """R^2 of the sets of the lens light, and its derivatives by parameter index."""
    parts = []
    for e_1, e_2 in ((2, 3), (4, 5)) if bases.third is None else ((2, 3), (4, 5), (21, 22)):
        x, y = frame.x - p[0], frame.y - p[1]
        if slopes:
            square, d_x, d_y, d_1, d_2 = _radius_and_slopes(x, y, p[e_1], p[e_2])
            parts.append((square, {0: -d_x, 1: -d_y, e_1: d_1, e_2: d_2}))
        else:
            parts.append((radius_squared(x, y, p[e_1], p[e_2]), {}))
    return parts


def _source(p: Any, frame: Frame, rays: tuple[Any, ...], bases: Bases, slopes: bool) -> list[tuple[Any, dict[int, Any]]]:
    """R^2 of the sets of the source at the traced positions, and its derivatives by parameter index."""
    b = p[EINSTEIN_RADIUS]
    x, y = frame.x, frame.y
    off_x, off_y = x - b * rays[0] - p[11] * x - p[12] * y - p[13], y - b * rays[1] - p[12] * x + p[11] * y - p[14]
    sets = [(off_x, off_y, 15, 16)]
    if bases.second_source is not None:
        sets.append((off_x - p[19], off_y - p[20], 17, 18))
    if not slopes:
        return [(radius_squared(own_x, own_y, p[e_1], p[e_2]), {}) for own_x, own_y, e_1, e_2 in sets]
    # the potential is homogeneous of degree one about its center: its second derivatives follow from kappa alone
    u, v = x - p[6], y - p[7]
    strength = b / (elliptical_radius(u, v, p[8], p[9]) + 1e-12) / (u**2 + v**2 + 1e-12)
    h_xx, h_xy, h_yy = strength * v**2, -strength * u * v, strength * u**2
    parts = []
    for number, (own_x, own_y, e_1, e_2) in enumerate(sets):
        square, d_x, d_y, d_1, d_2 = _radius_and_slopes(own_x, own_y, p[e_1], p[e_2])
        derivatives = {
            6: d_x * h_xx + d_y * h_xy,
            7: d_x * h_xy + d_y * h_yy,
            8: -b * (d_x * rays[2] + d_y * rays[3]),
            9: -b * (d_x * rays[4] + d_y * rays[5]),
            10: -(d_x * rays[0] + d_y * rays[1]),
            11: d_y * y - d_x * x,
            12: -(d_x * y + d_y * x),
            13: -d_x,
            14: -d_y,
            e_1: d_1,
            e_2: d_2,
        }
        if number:
            derivatives |= {19: -d_x, 20: -d_y}
        parts.append((square, derivatives))
    return parts


def _fields(p: Any, frame: Frame, rays: tuple[Any, ...], which: str, bases: Bases, slopes: bool) -> list[tuple[Any, dict[int, Any]]]:
    light = [] if which == "source" else _lens_light(p, frame, bases, slopes)
    return light + ([] if which == "light" else _source(p, frame, rays, bases, slopes))


def _rows(p: Any, frame: Frame, rays: tuple[Any, ...], which: str, bases: Bases) -> Any:
    squares = [square for square, _ in _fields(p, frame, rays, which, bases, slopes=False)]
    ladders = bases.ladders(which)
    columns = jnp.concatenate([images(square, *ladder) for square, ladder in zip(squares, ladders, strict=True)])
    return frame.whitened(frame.convolved(columns))


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class _Solution:
    """Rows (k, pixels), the held ones first; their Gram matrix and projection on the data; amplitudes, which are positive; the residual."""

    rows: Any
    gram: Any
    projection: Any
    amplitudes: Any
    active: Any
    residual: Any
    chi2: Any


@partial(compiled, static_argnames=("which", "bases"))
def _solved(p: Any, frame: Frame, rays: Any, held: Any, which: str, bases: Bases) -> _Solution:
    rows = jnp.concatenate([held, _rows(p, frame, rays, which, bases)])
    gram, projection = rows @ rows.T, rows @ frame.target
    amplitudes, active = nnls(gram, projection)
    residual = frame.target - amplitudes @ rows
    return _Solution(
        rows=rows,
        gram=gram,
        projection=projection,
        amplitudes=amplitudes,
        active=active,
        residual=residual,
        chi2=residual @ residual,
    )


@partial(compiled, static_argnames=("which", "bases"))
def _slopes(p: Any, amplitudes: Any, frame: Frame, rays: Any, which: str, bases: Bases) -> Any:
    """Derivatives of the light before the PSF by each parameter that matters, shape (parameters, points); amplitudes without the held."""
    slopes: dict[int, Any] = {}
    start = 0
    for (square, derivatives), (sigma, n) in zip(_fields(p, frame, rays, which, bases, slopes=True), bases.ladders(which), strict=True):
        steepness = slope_image(square, amplitudes[start : start + n], sigma)
        start += n
        for index, derivative in derivatives.items():
            slopes[index] = slopes.get(index, 0.0) + sub_pixel_mean(steepness * derivative)
    return jnp.stack([slopes[index] for index in sorted(slopes)])


@compiled
def _projected(solution: _Solution, slopes: Any, frame: Frame) -> tuple[Any, Any]:
    """J'J with the active columns projected out, and J'r."""
    jacobian = frame.whitened(frame.convolved(slopes))
    unit, _, scale = scaled(solution.gram, solution.projection)
    active = solution.active
    cross = jnp.where(active[:, None], (solution.rows @ jacobian.T) / scale[:, None], 0.0)
    matrix = jacobian @ jacobian.T - cross.T @ cho_solve((factor(unit, active), True), cross)
    return matrix, jacobian @ solution.residual


@partial(compiled, static_argnames=("which", "bases"))
def _seen(p: Any, amplitudes: Any, frame: Frame, rays: Any, which: str, bases: Bases) -> Any:
    """The light of each set through the PSF, shape (sets, v, v), for its amplitudes."""
    squares = [square for square, _ in _fields(p, frame, rays, which, bases, slopes=False)]
    summed, start = [], 0
    for square, (sigma, n) in zip(squares, bases.ladders(which), strict=True):
        summed.append(jnp.tensordot(amplitudes[start : start + n], images(square, sigma, n), axes=1))
        start += n
    return frame.convolved(jnp.stack(summed))


@dataclass(frozen=True, kw_only=True, eq=False)
class VariableProjection:
    """The fit of a frame as a function of some of the lens's parameters.

    Parameters
    ----------
    frame : the data.
    which : ``"light"`` (no source), ``"source"`` (lens light held in ``held``), or ``"joint"``.
    bases : sizes of the sets of Gaussians.
    held : whitened rows of columns whose shapes are fixed, shape (k, pixels); their amplitudes stay free.
    """

    frame: Frame
    which: str
    bases: Bases
    held: Any = None

    @property
    def parameters(self) -> NDArray[np.int_]:
        """Indices of the parameters that matter here."""
        return self.bases.parameters(self.which)

    @cached_property
    def _held(self) -> Any:
        return jnp.zeros((0, self.frame.target.shape[0])) if self.held is None else jnp.asarray(self.held)

    def _traced(self, p: Array, slopes: bool) -> tuple[Any, ...]:
        if self.which == "light":
            return ()
        piece = _rays_and_slopes if slopes else _rays
        return piece(jnp.asarray(p[6:10]), self.frame.x, self.frame.y)

    def solved(self, p: Array) -> tuple[float, Array, Array, Array]:
        """chi^2, amplitudes (those of the held rows first), whitened residual and whitened rows at ``p``, shape (N_PARAMETERS,)."""
        s = _solved(jnp.asarray(p), self.frame, self._traced(p, False), self._held, self.which, self.bases)
        return float(s.chi2), np.asarray(s.amplitudes), np.asarray(s.residual), np.asarray(s.rows)

    def gauss_newton(self, p: Array) -> tuple[float, Array, Array]:
        """chi^2, projected J'J and J'r of `parameters` at ``p``, shape (N_PARAMETERS,)."""
        rays = self._traced(p, True)
        solution = _solved(jnp.asarray(p), self.frame, rays[:2], self._held, self.which, self.bases)
        own = solution.amplitudes[self._held.shape[0] :]
        slopes = _slopes(jnp.asarray(p), own, self.frame, rays, self.which, self.bases)
        matrix, gradient = _projected(solution, slopes, self.frame)
        return float(solution.chi2), np.asarray(matrix), np.asarray(gradient)

    def pictures(self, p: Array) -> tuple[Array, Array]:
        """Lens light and lensed source through the PSF, each (v, v), at ``p``; the held rows are not pictured."""
        amplitudes = self.solved(p)[1][self._held.shape[0] :]
        parts = np.asarray(_seen(jnp.asarray(p), jnp.asarray(amplitudes), self.frame, self._traced(p, False), self.which, self.bases))
        nothing = np.zeros(parts.shape[1:])
        n = 0 if self.which == "source" else len(self.bases.ladders("light"))
        return (parts[:n].sum(axis=0) if n else nothing), (parts[n:].sum(axis=0) if self.which != "light" else nothing)
