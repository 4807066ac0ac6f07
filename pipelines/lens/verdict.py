"""Accepted, review or failed: a rule on what was measured of a fit, with its reasons in numbers and the earliest stage to blame.

Only what agrees is accepted: the panel's models on one Einstein radius, the images that are predicted with those that are seen, the mass
with the light. Each reason begins with the stage whose work is to be looked at first, one of `STAGES`. The limits
were set on simulations that hold what fools a fit (`benchmarks/population.py`) and on eight real lenses, and tried on others;
`python -m benchmarks.verdicts` measures the rates.
"""

from __future__ import annotations

from dataclasses import dataclass

STAGES = ("mask", "lens light", "source", "bands")
"""Whose work a reason blames, from the earliest on."""
LEAST_IMAGES = 2
INSIDE_FLUX = (0.03, 0.75)
EXPLAINED, EXPLAINED_FAILED = 0.60, 0.40
LEAST_AXIS_RATIO, LARGEST_SHEAR, LEAST_GAP = 0.40, 0.20, 50.0
LARGEST_SPREAD = 0.05
LEAST_SIGNIFICANCE = 8.0
AMPLITUDE = (0.8, 1.25)
LARGEST_ELLIPTICITY_OFFSET = 0.25
LEAST_LENS_GAIN = 0.0
LEAST_USED = 0.6
LARGEST_CENTER_OFFSET = 0.1
LARGEST_RADIUS_ERROR = 0.05
LARGEST_DRIFT = 0.05
LARGEST_OFFSET = 3.0
"""Of a further band, in sigma of its prior."""


@dataclass(frozen=True, kw_only=True)
class BandMeasures:
    """What the rule looks at in a further band.

    Parameters
    ----------
    name : of the band.
    explained : fraction of the arcs' chi^2 that the source explains there; NaN where no arcs are seen, which is no reason.
    offset : distance from the reference, the larger of the two coordinates, in sigma of the prior.
    """

    name: str
    explained: float
    offset: float


@dataclass(frozen=True, kw_only=True)
class Measures:
    """What the rule looks at.

    Parameters
    ----------
    n_images : of the source's center, without the central one.
    inside_flux : fraction of the lensed flux inside the Einstein radius.
    explained : fraction of the arcs' chi^2 that the source explains.
    axis_ratio, shear : of the mass.
    gap : how much worse the next solution of another radius is, per model of the panel; infinite where none was found.
    radius_spread : largest less smallest Einstein radius of the panel's models in the chosen solution, over its own.
    n_dissenters : models of the panel that prefer another radius.
    significance : of the images inside and outside the critical curve, the smaller of the two, in sigma.
    amplitudes : strength of the images inside and outside in the data, over the model's.
    ellipticity_offset : distance of the mass's ellipticity (two components) from the light's.
    center_offset : distance of the mass's center from the light's, arcsec.
    radius_error : standard deviation of the Einstein radius over its value.
    lens_gain : by how much lensing beats the same source unlensed in the image, as a fraction of what the source is worth.
    used : fraction of the pixels within the mask radius that are used.
    drift : distance of the last stage's Einstein radius from that of the solution it began with, over the latter.
    at_bound : paths of parameters of mass and shear on a limit of their prior.
    bands : of each band but the first, where several are fitted.
    """

    n_images: int
    inside_flux: float
    explained: float
    axis_ratio: float
    shear: float
    gap: float
    radius_spread: float
    n_dissenters: int
    significance: float
    amplitudes: tuple[float, float]
    ellipticity_offset: float
    center_offset: float
    radius_error: float
    lens_gain: float
    used: float
    drift: float
    at_bound: tuple[str, ...] = ()
    bands: tuple[BandMeasures, ...] = ()


def verdict_of(measures: Measures) -> tuple[str, list[str]]:
    """``"accepted"``, ``"review"`` or ``"failed"``, and why; no reasons where it is accepted.

    Reasons are in the order of `STAGES`, after those that are fatal; each begins with its stage.
    """
    fatal, doubts = _fatal(measures), _doubts(measures)
    if fatal:
        return "failed", fatal + doubts
    return ("review" if doubts else "accepted"), doubts


def stage_to_blame(reasons: list[str]) -> str | None:
    """The earliest stage that a reason of `verdict_of` names; None where there is none."""
    blamed = [reason.split(":")[0] for reason in reasons]
    return next((stage for stage in STAGES if stage in blamed), None)


def _fatal(m: Measures) -> list[str]:
    reasons = []
    if m.n_images < LEAST_IMAGES:
        reasons.append(f"source: it has {m.n_images} image; a lens has at least {LEAST_IMAGES}")
    if not m.explained >= EXPLAINED_FAILED:
        reasons.append(
            f"lens light: the source explains {m.explained:.0%} of the arcs; below {EXPLAINED_FAILED:.0%} it is not what made them"
        )
    return reasons


def _doubts(m: Measures) -> list[str]:
    """A reason for each limit that is not kept; NaN keeps none."""
    limits = (
        (
            m.used >= LEAST_USED,
            f"mask: {m.used:.0%} of the pixels within the mask radius are used; {LEAST_USED:.0%} is enough",
        ),
        (
            m.shear < LARGEST_SHEAR,
            f"mask: the shear is {m.shear:.2f}; below {LARGEST_SHEAR} is usual: is there a mass beside the lens?",
        ),
        (
            m.explained > EXPLAINED or not m.explained >= EXPLAINED_FAILED,
            f"lens light: the source explains {m.explained:.0%} of the arcs; above {EXPLAINED:.0%} is usual",
        ),
        (
            INSIDE_FLUX[0] < m.inside_flux < INSIDE_FLUX[1],
            f"lens light: {m.inside_flux:.0%} of the lensed light is inside the Einstein radius; {INSIDE_FLUX[0]:.0%} to "
            f"{INSIDE_FLUX[1]:.0%} is usual",
        ),
        (
            m.ellipticity_offset < LARGEST_ELLIPTICITY_OFFSET,
            f"lens light: the mass's ellipticity is {m.ellipticity_offset:.2f} from the light's; below "
            f"{LARGEST_ELLIPTICITY_OFFSET} is usual",
        ),
        (
            m.center_offset < LARGEST_CENTER_OFFSET,
            f"lens light: the mass lies {m.center_offset:.2f} arcsec from the light; below {LARGEST_CENTER_OFFSET} is usual",
        ),
        (
            m.axis_ratio > LEAST_AXIS_RATIO,
            f"lens light: the axis ratio of the mass is {m.axis_ratio:.2f}; above {LEAST_AXIS_RATIO} is usual",
        ),
        (
            m.significance >= LEAST_SIGNIFICANCE,
            f"lens light: the images of the fainter side are seen at {m.significance:.1f} sigma; {LEAST_SIGNIFICANCE:.0f} is clear",
        ),
        (
            all(AMPLITUDE[0] <= amplitude <= AMPLITUDE[1] for amplitude in m.amplitudes),
            f"source: its images inside and outside the critical curve are {m.amplitudes[0]:.2f} and {m.amplitudes[1]:.2f} times as bright "
            f"as predicted; {AMPLITUDE[0]} to {AMPLITUDE[1]} is usual",
        ),
        (
            m.lens_gain >= LEAST_LENS_GAIN,
            f"source: two galaxies that are not lensed fit better, by {-m.lens_gain:.0%} of what the source is worth",
        ),
        (
            m.radius_spread < LARGEST_SPREAD,
            f"source: models differ by {m.radius_spread:.1%} in the Einstein radius; below {LARGEST_SPREAD:.0%} they agree",
        ),
        (
            m.drift < LARGEST_DRIFT,
            f"source: the last stage moved the Einstein radius by {m.drift:.1%}; below {LARGEST_DRIFT:.0%} it is the same solution",
        ),
        (
            m.radius_error < LARGEST_RADIUS_ERROR,
            f"source: the Einstein radius is uncertain by {m.radius_error:.1%}; below {LARGEST_RADIUS_ERROR:.0%} is a measurement",
        ),
        (m.n_dissenters == 0, f"source: {m.n_dissenters} of the panel's models prefer another Einstein radius"),
        (m.gap >= LEAST_GAP, f"source: another solution is only {m.gap:.0f} worse; {LEAST_GAP:.0f} is clear"),
        (not m.at_bound, f"source: on a limit of the prior: {', '.join(m.at_bound)}"),
    )
    return [reason for is_kept, reason in (*limits, *_limits_of_bands(m.bands)) if not is_kept]


def _limits_of_bands(bands: tuple[BandMeasures, ...]) -> list[tuple[bool, str]]:
    explained = [
        (
            not m.explained <= EXPLAINED,
            f"bands: in {m.name} the source explains {m.explained:.0%} of the arcs; above {EXPLAINED:.0%} is usual",
        )
        for m in bands
    ]
    offsets = [
        (
            m.offset <= LARGEST_OFFSET,
            f"bands: {m.name} lies {m.offset:.1f} sigma of the prior from the first band; within {LARGEST_OFFSET:.0f} is usual: are the "
            "frames cut about the same point?",
        )
        for m in bands
    ]
    return explained + offsets
