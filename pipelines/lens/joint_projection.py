"""Variable projection of several bands at once: chi^2, gradient and Gauss-Newton matrix add, in the parameters that the bands share.

The vector is that of one image with two source sets (21, `varpro.PARAMETERS`), then eight for each further band: its lens light's six, and
its offset. A band's own vector follows from it: the mass and the source are where the reference has them, moved by the offset. A shear is
linear about the origin of the coordinates, so the move also shifts the source's center by the shear times the offset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.lens.varpro import LIGHT, N_PARAMETERS, PARAMETERS, SHEAR, SOURCE_CENTER, VariableProjection

Array = NDArray[np.float64]
SHARED = PARAMETERS[:21]
N_SHARED, N_LIGHT, N_OWN = len(SHARED), len(LIGHT), len(LIGHT) + 2
MASS_CENTER = slice(6, 8)


def joint_names(bands: Sequence[str]) -> tuple[str, ...]:
    """Paths of the parameters, in order; ``bands`` are the further ones."""
    own = [(*PARAMETERS[:N_LIGHT], "offset_x", "offset_y")] * len(bands)
    return (*SHARED, *(f"bands.{band}.{name}" for band, names in zip(bands, own, strict=True) for name in names))


def slots(number: int) -> tuple[slice, slice]:
    """Where further band ``number`` (from 0) has its lens light and its offset."""
    first = N_SHARED + number * N_OWN
    return slice(first, first + N_LIGHT), slice(first + N_LIGHT, first + N_OWN)


def of_band(p: Array, number: int) -> tuple[Array, Array]:
    """A further band's own parameters, shape (`varpro.N_PARAMETERS`,), and their derivatives by ``p``, shape (21, len(p))."""
    light, offset = slots(number)
    (g_1, g_2), (o_x, o_y) = p[SHEAR], p[offset]
    move = np.array([[1.0 - g_1, -g_2], [-g_2, 1.0 + g_1]])
    own = np.zeros(N_PARAMETERS)
    own[:N_SHARED] = p[:N_SHARED]
    own[LIGHT] = p[light]
    own[MASS_CENTER] += p[offset]
    own[SOURCE_CENTER] += move @ p[offset]
    slopes = np.zeros((N_SHARED, len(p)))
    slopes[:, :N_SHARED] = np.eye(N_SHARED)
    slopes[LIGHT, :N_SHARED] = 0.0
    slopes[LIGHT, light] = np.eye(N_LIGHT)
    slopes[MASS_CENTER, offset] = np.eye(2)
    slopes[SOURCE_CENTER, offset] = move
    slopes[SOURCE_CENTER, SHEAR] = [[-o_x, -o_y], [o_y, -o_x]]
    return own, slopes


@dataclass(frozen=True, kw_only=True, eq=False)
class JointProjection:
    """The fit of several frames as a function of their joint parameters; each projection is ``"joint"`` with two source sets.

    Parameters
    ----------
    projections : of each band, the reference first.
    """

    projections: tuple[VariableProjection, ...]

    @property
    def parameters(self) -> NDArray[np.int_]:
        """All of them."""
        return np.arange(N_SHARED + N_OWN * (len(self.projections) - 1))

    def gauss_newton(self, p: Array) -> tuple[float, Array, Array]:
        """chi^2, projected J'J and J'r at ``p``, shape (21 + 8 (bands - 1),)."""
        reference = np.zeros(N_PARAMETERS)
        reference[:N_SHARED] = p[:N_SHARED]
        chi2, block, slope = self.projections[0].gauss_newton(reference)
        matrix, gradient = np.zeros((len(p), len(p))), np.zeros(len(p))
        matrix[:N_SHARED, :N_SHARED], gradient[:N_SHARED] = block, slope
        for number, projection in enumerate(self.projections[1:]):
            own, slopes = of_band(p, number)
            more, block, slope = projection.gauss_newton(own)
            chi2 += more
            matrix += slopes.T @ block @ slopes
            gradient += slopes.T @ slope
        return chi2, matrix, gradient

    def chi_squared(self, p: Array) -> list[float]:
        """chi^2 of each band at ``p``."""
        reference = np.zeros(N_PARAMETERS)
        reference[:N_SHARED] = p[:N_SHARED]
        vectors = [reference, *(of_band(p, number)[0] for number in range(len(self.projections) - 1))]
        return [projection.solved(own)[0] for projection, own in zip(self.projections, vectors, strict=True)]
