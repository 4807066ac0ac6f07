"""Accept, review or reject: a rule on what was measured of a fit, with its reasons in words.

The limits were chosen on 28 solutions of 16 lenses, right and wrong ones; expect a few per cent of wrong fits to pass.
"""

from __future__ import annotations

from dataclasses import dataclass

LEAST_IMAGES = 2
INSIDE_FLUX = (0.10, 0.75)
EXPLAINED, EXPLAINED_REJECT = 0.60, 0.40
LEAST_AXIS_RATIO, LARGEST_SHEAR, LEAST_GAP = 0.40, 0.20, 200.0


@dataclass(frozen=True, kw_only=True)
class Measures:
    """What the rule looks at.

    Parameters
    ----------
    n_images : of the source's center, without the central one.
    inside_flux : fraction of the lensed flux within the Einstein radius.
    explained : fraction of the arcs' chi^2 that the source explains.
    axis_ratio, shear : of the mass.
    gap : difference of the objective to the next solution of another radius; infinite where none was found.
    at_bound : paths of parameters on a limit of their prior.
    """

    n_images: int
    inside_flux: float
    explained: float
    axis_ratio: float
    shear: float
    gap: float
    at_bound: tuple[str, ...] = ()


def verdict_of(measures: Measures) -> tuple[str, list[str]]:
    """``"accept"``, ``"review"`` or ``"reject"``, and why; no reasons where it is accepted."""
    m = measures
    fatal = []
    if m.n_images < LEAST_IMAGES:
        fatal.append(f"the source has {m.n_images} image; a lens has at least {LEAST_IMAGES}")
    if not m.explained >= EXPLAINED_REJECT:
        fatal.append(f"the source explains {m.explained:.0%} of the arcs; below {EXPLAINED_REJECT:.0%} it is not what made them")
    doubts = []
    if EXPLAINED_REJECT <= m.explained <= EXPLAINED:
        doubts.append(f"the source explains {m.explained:.0%} of the arcs; above {EXPLAINED:.0%} is usual")
    if not INSIDE_FLUX[0] < m.inside_flux < INSIDE_FLUX[1]:
        doubts.append(
            f"{m.inside_flux:.0%} of the lensed light is inside the Einstein radius; {INSIDE_FLUX[0]:.0%} to {INSIDE_FLUX[1]:.0%} is usual"
        )
    if not m.axis_ratio > LEAST_AXIS_RATIO:
        doubts.append(f"the axis ratio of the mass is {m.axis_ratio:.2f}; above {LEAST_AXIS_RATIO} is usual")
    if not m.shear < LARGEST_SHEAR:
        doubts.append(f"the shear is {m.shear:.2f}; below {LARGEST_SHEAR} is usual")
    if not m.gap >= LEAST_GAP:
        doubts.append(f"another solution is only {m.gap:.0f} worse; {LEAST_GAP:.0f} is clear")
    if m.at_bound:
        doubts.append(f"on a limit of the prior: {', '.join(m.at_bound)}")
    if fatal:
        return "reject", fatal + doubts
    return ("review" if doubts else "accept"), doubts
