"""What the report of one lens says, as plain values and arrays.

How fits are made is none of this module's business; how it is put into words and laid out is in `report`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fitcore.errors import ConfigError
from pipelines.lens.decision import Decision
from pipelines.lens.mass_pictures import MassPlanes
from pipelines.lens.movement import Moved
from pipelines.lens.pictures import ImagePlanes, Posterior, SourcePlane
from pipelines.lens.preparation_pictures import PreparationPlanes
from pipelines.lens.search_pictures import SearchHealth

VERDICTS = ("accepted", "review", "failed", "running")
"""The last is that of a preview during a fit."""
LINK_KINDS = {"fixed": "fixed value", "priors": "new priors", "proposal": "proposal"}


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """One row of a table: a parameter or a latent.

    Parameters
    ----------
    path : its name, for instance "mass.einstein_radius".
    unit, prior : in words; empty when there is none.
    median, lower, upper : median and the bounds of its 68.3 % interval, in the unit.
    lower_3, upper_3 : bounds of the 99.7 % interval.
    best : value at the highest likelihood.
    shrinkage : standard deviation of the posterior over that of the prior; None when there is no prior.
    is_at_bound : the posterior leans on a bound of its prior.
    """

    path: str
    unit: str = ""
    prior: str = ""
    median: float
    lower: float
    upper: float
    lower_3: float = math.nan
    upper_3: float = math.nan
    best: float = math.nan
    shrinkage: float | None = None
    is_at_bound: bool = False


@dataclass(frozen=True, kw_only=True)
class Headline:
    """The numbers that a reader wants first; NaN or None where there is none.

    Parameters
    ----------
    einstein_radius_effective : radius within which the mean convergence is one, arcsec.
    chi_squared_per_pixel, chi_squared_per_pixel_arcs : over all used pixels, and over those where the lensed source is seen.
    log_evidence, log_evidence_error : of the last stage, natural logarithm.
    """

    einstein_radius_effective: Quantity | None = None
    chi_squared_per_pixel: float = math.nan
    chi_squared_per_pixel_arcs: float = math.nan
    log_evidence: float = math.nan
    log_evidence_error: float = math.nan


@dataclass(frozen=True, kw_only=True)
class Link:
    """What a stage got from an earlier one: ``kind`` is "fixed", "priors" or "proposal", ``source`` the earlier stage's name."""

    kind: str
    what: str
    why: str
    source: str

    def __post_init__(self) -> None:
        if self.kind not in LINK_KINDS:
            raise ConfigError(
                f"a link of the kind {self.kind!r}: allowed are {', '.join(LINK_KINDS)}. Name what is passed on by one of these"
            )


@dataclass(frozen=True, kw_only=True)
class StageRow:
    """One stage of the chain.

    Parameters
    ----------
    is_cached, why : whether its result was in the store, and why it was or was not.
    seconds : of the run that made the result, even when this run only read it.
    before, moved : the stage whose posterior it is compared with, and how far each parameter of both moved.
    """

    name: str
    search: str
    is_cached: bool = False
    why: str = ""
    n_calls: int = 0
    log_evidence: float = math.nan
    log_evidence_error: float = math.nan
    grade: str = ""
    seconds: float = math.nan
    links: Sequence[Link] = ()
    diagnostics: Mapping[str, Any] = field(default_factory=dict)
    before: str = ""
    moved: Sequence[Moved] = ()


@dataclass(frozen=True, kw_only=True)
class Download:
    """A small file that the page carries: its name, what it holds in words, and its text (CSV)."""

    name: str
    what: str
    text: str


@dataclass(frozen=True, kw_only=True, eq=False)
class BandContent:
    """What is shown of a further band: its name, where it lies, its pictures as those of the first, and chi^2 per pixel, whole and in arcs.

    ``offset`` is in words.
    """

    name: str
    offset: str = ""
    planes: ImagePlanes
    source: SourcePlane | None = None
    chi_squared_per_pixel: float = math.nan
    chi_squared_per_pixel_arcs: float = math.nan


@dataclass(frozen=True, kw_only=True, eq=False)
class ReportContent:
    """All that the report of one lens says.

    Parameters
    ----------
    name : the lens; any text.
    verdict : "accepted", "review" or "failed"; or "running", for a preview.
    reasons : why, in words; of a preview what is running.
    center : of the lens, arcsec; rings of the residual are around it.
    command : what reproduces the result from a shell.
    digests : stage to the digest of its result.
    source : None when the model has no source plane.
    band, bands : name of the band that all else is of, and the others; empty where there is one image.
    preparation, provenance : facts, shown in this order.
    mass : pictures of the mass; None leaves them out.
    health : of the searches.
    downloads, exports : small files within the page, and commands that write larger ones, by what they write.
    decisions, prepared : what was decided about the image before any search, and the pictures of it; None leaves them out.
    samples : for the corner plot; None leaves it out.
    truth : path of a parameter or latent to its true value, where the lens was simulated.

    Raises
    ------
    ConfigError : the verdict is none of these words.
    """

    name: str
    verdict: str
    reasons: Sequence[str] = ()
    headline: Headline = field(default_factory=Headline)
    command: str = ""
    version: str = ""
    seed: int | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    planes: ImagePlanes
    source: SourcePlane | None = None
    center: tuple[float, float] = (0.0, 0.0)
    mass: MassPlanes | None = None
    band: str = ""
    bands: Sequence[BandContent] = ()
    parameters: Sequence[Quantity] = ()
    latents: Sequence[Quantity] = ()
    preparation: Mapping[str, Any] = field(default_factory=dict)
    decisions: Sequence[Decision] = ()
    prepared: PreparationPlanes | None = None
    stages: Sequence[StageRow] = ()
    health: Sequence[SearchHealth] = ()
    downloads: Sequence[Download] = ()
    exports: Mapping[str, str] = field(default_factory=dict)
    samples: Posterior | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    truth: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise ConfigError(f"verdict {self.verdict!r}: allowed are {', '.join(VERDICTS)}. Give one of these words")
