"""The report of one lens: `ReportContent` in, one self-contained HTML file out.

What is known about a fit is put into words and rounded here; how it is laid out is in ``templates/lens.html.j2``, and `pictures` makes the
pictures. The content holds arrays and plain values only: how fits are made is none of this module's business. The same content gives the
same bytes.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from fitcore.errors import ConfigError
from fitcore.store import durable
from pipelines.lens.decision import Decision
from pipelines.lens.pictures import ImagePlanes, Posterior, SourcePlane, corner_panel, panels
from pipelines.lens.preparation_pictures import PreparationPlanes, preparation_panels

__all__ = ["Headline", "ImagePlanes", "Link", "Posterior", "Quantity", "ReportContent", "SourcePlane", "StageRow", "write_report"]

VERDICTS = ("accepted", "review", "failed")
LINK_KINDS = {"fixed": "fixed value", "priors": "new priors", "proposal": "proposal"}
MINUS = "\N{MINUS SIGN}"
DASH = "\N{EM DASH}"
LARGEST_FIXED = 1e7  # from here on a power of ten is written apart
MOST_DECIMALS = 7
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
# Controls and lone surrogates are no characters of HTML; the bidirectional ones would turn the text after them around.
UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


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
    """One stage of the chain; ``seconds`` are those of the run that made the result, even when this run only read it."""

    name: str
    search: str
    is_cached: bool = False
    n_calls: int = 0
    log_evidence: float = math.nan
    log_evidence_error: float = math.nan
    grade: str = ""
    seconds: float = math.nan
    links: Sequence[Link] = ()
    diagnostics: Mapping[str, Any] = field(default_factory=dict)


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
    verdict : "accepted", "review" or "failed".
    reasons : why, in words.
    command : what reproduces the result from a shell.
    digests : stage to the digest of its result.
    source : None when the model has no source plane.
    band, bands : name of the band that all else is of, and the others; empty where there is one image.
    preparation, provenance : facts, shown in this order.
    decisions, prepared : what was decided about the image before any search, and the pictures of it; None leaves them out.
    samples : for the corner plot; None leaves it out.
    truth : path of a parameter or latent to its true value, where the lens was simulated.

    Raises
    ------
    ConfigError : the verdict is none of the three words.
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
    band: str = ""
    bands: Sequence[BandContent] = ()
    parameters: Sequence[Quantity] = ()
    latents: Sequence[Quantity] = ()
    preparation: Mapping[str, Any] = field(default_factory=dict)
    decisions: Sequence[Decision] = ()
    prepared: PreparationPlanes | None = None
    stages: Sequence[StageRow] = ()
    samples: Posterior | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    truth: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise ConfigError(f"verdict {self.verdict!r}: allowed are {', '.join(VERDICTS)}. Give one of these words")


# ---- numbers into words --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A rounded value as text: ``minus`` is empty where the errors are symmetric, both are where there are none; ``power`` of ten."""

    value: str
    plus: str = ""
    minus: str = ""
    power: str = ""


def _fixed(value: float, decimals: int) -> str:
    text = f"{round(value, decimals):,.{max(decimals, 0)}f}"
    if not text.strip("-0.,"):
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def plain(value: float, digits: int = 5) -> str:
    """A number without error, to ``digits`` significant digits; a dash where there is none."""
    if not math.isfinite(value):
        return DASH if math.isnan(value) else ("∞" if value > 0 else f"{MINUS}∞")
    if value != 0 and not 1e-4 <= abs(value) < LARGEST_FIXED:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa} \N{MULTIPLICATION SIGN} 10".replace("-", MINUS) + str(int(exponent)).translate(SUPERSCRIPT)
    places = digits - 1 - (math.floor(math.log10(abs(value))) if value else 0)
    return _fixed(value, max(places, 0)) if value else "0"


def decimals_of(*errors: float) -> int | None:
    """Decimals at which the smallest positive error keeps two significant digits; None when no error is positive and finite."""
    sizes = [abs(error) for error in errors if math.isfinite(error) and error != 0]
    if not sizes:
        return None
    decimals = 1 - math.floor(math.log10(min(sizes)))
    # 0.0996 rounds to 0.10: with one decimal fewer it still has its two digits.
    return decimals - 1 if round(min(sizes), decimals) >= 10.0 ** (2 - decimals) else decimals


def measured(value: float, minus: float, plus: float) -> Measured:
    """Value and errors, rounded to two significant digits of the smaller error.

    Parameters
    ----------
    value : any number.
    minus, plus : sizes of the errors below and above it, both positive.
    """
    decimals = decimals_of(minus, plus)
    if not math.isfinite(value) or decimals is None:
        return Measured(value=plain(value))
    power = ""
    if decimals > MOST_DECIMALS or abs(value) >= LARGEST_FIXED:
        exponent = math.floor(math.log10(max(abs(value), abs(minus), abs(plus))))
        value, minus, plus, decimals = (*(x / 10.0**exponent for x in (value, minus, plus)), decimals + exponent)
        power = str(exponent).replace("-", MINUS)
    above, below = (_fixed(error, decimals) if math.isfinite(error) else DASH for error in (plus, minus))
    return Measured(value=_fixed(value, decimals), plus=above, minus="" if above == below else below, power=power)


def duration(seconds: float) -> str:
    """Seconds in words: "8.4 s", "2 min 05 s", "1 h 03 min"."""
    if not math.isfinite(seconds) or seconds < 0:
        return DASH
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60:02d} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _spoken(value: Any) -> str:
    """A fact of any plain kind as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Integral):
        return f"{int(value):,}".replace("-", MINUS)
    if isinstance(value, Real):
        return plain(float(value)) if not math.isfinite(value) else f"{float(value):,.6g}".replace("-", MINUS)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_spoken(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_spoken(item) for item in value)
    return DASH if value is None else str(value)


# ---- content into what the template shows --------------------------------------------------------------------------------------------


def _row(quantity: Quantity, truth: Mapping[str, float]) -> dict[str, Any]:
    median, below, above = quantity.median, quantity.median - quantity.lower, quantity.upper - quantity.median
    decimals = decimals_of(below, above)
    group, _, leaf = quantity.path.rpartition(".")

    def rounded(value: float) -> str:
        is_fixed = decimals is not None and decimals <= MOST_DECIMALS and math.isfinite(value) and abs(value) < LARGEST_FIXED
        return _fixed(value, decimals) if is_fixed else plain(value)  # type: ignore[arg-type]

    has_range = math.isfinite(quantity.lower_3) and math.isfinite(quantity.upper_3)
    true = truth.get(quantity.path)
    return {
        "quantity": quantity,
        "group": f"{group}." if group else "",
        "leaf": leaf,
        "measured": measured(median, below, above),
        "range": f"{rounded(quantity.lower_3)} … {rounded(quantity.upper_3)}" if has_range else DASH,
        "best": rounded(quantity.best),
        "shrinkage": "" if quantity.shrinkage is None else plain(quantity.shrinkage, 2),
        "bar": 0.0
        if quantity.shrinkage is None or not math.isfinite(quantity.shrinkage)
        else round(100 * min(max(quantity.shrinkage, 0), 1), 1),
        "truth": None if true is None else rounded(true),
        **_pull(median, below, above, true),
    }


def _pull(median: float, below: float, above: float, true: float | None) -> dict[str, Any]:
    """How far the median lies from the truth, in sigma on that side."""
    error = below if true is not None and median > true else above
    if true is None or not (math.isfinite(median) and math.isfinite(true) and error > 0):
        return {"pull": "", "is_far": False}
    sigma = (median - true) / error
    sign = "" if abs(sigma) < 0.05 else "+" if sigma > 0 else MINUS
    return {"pull": f"{sign}{abs(sigma):.1f}\N{GREEK SMALL LETTER SIGMA}", "is_far": abs(sigma) > 3}


def _stage(stage: StageRow) -> dict[str, Any]:
    return {
        "stage": stage,
        "evidence": measured(stage.log_evidence, stage.log_evidence_error, stage.log_evidence_error),
        "calls": f"{stage.n_calls:,}",
        "time": duration(stage.seconds),
        "links": [{"link": link, "kind": LINK_KINDS[link.kind]} for link in stage.links],
        "diagnostics": [(key, _spoken(value)) for key, value in stage.diagnostics.items()],
    }


def _band(band: BandContent) -> dict[str, Any]:
    return {
        "band": band,
        "chi_squared": plain(band.chi_squared_per_pixel, 4),
        "chi_squared_arcs": plain(band.chi_squared_per_pixel_arcs, 4),
        "panels": panels(band.planes, band.source),
    }


def _view(content: ReportContent) -> dict[str, Any]:
    """Everything the template shows, rounded and worded."""
    head = content.headline
    radius = head.einstein_radius_effective
    seconds = [stage.seconds for stage in content.stages if math.isfinite(stage.seconds)]
    return {
        "content": content,
        "radius": None if radius is None else _row(radius, content.truth),
        "chi_squared": plain(head.chi_squared_per_pixel, 4),
        "chi_squared_arcs": plain(head.chi_squared_per_pixel_arcs, 4),
        "evidence": measured(head.log_evidence, head.log_evidence_error, head.log_evidence_error),
        "calls": f"{sum(stage.n_calls for stage in content.stages):,}",
        "time": duration(sum(seconds)) if seconds else DASH,
        "panels": panels(content.planes, content.source),
        "bands": [_band(band) for band in content.bands],
        "corner": None if content.samples is None else corner_panel(content.samples, content.truth),
        "parameters": [_row(quantity, content.truth) for quantity in content.parameters],
        "latents": [_row(quantity, content.truth) for quantity in content.latents],
        "stages": [_stage(stage) for stage in content.stages],
        "prepared": () if content.prepared is None else preparation_panels(content.prepared),
        "preparation": [(key, _spoken(value)) for key, value in content.preparation.items()],
        "provenance": [(key, _spoken(value)) for key, value in content.provenance.items()],
    }


def _visible(value: Any) -> Any:
    """Replace what is no character of HTML, or would turn text around, by a visible sign."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", value)


def render(content: ReportContent) -> str:
    """The page as text; every string of the content is escaped."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, finalize=_visible, trim_blocks=True, lstrip_blocks=True)
    source = resources.files("pipelines.lens").joinpath("templates/lens.html.j2").read_text(encoding="utf-8")
    return environment.from_string(source).render(_view(content))


def write_report(content: ReportContent, target: Path) -> Path:
    """Write the report, all at once: a reader sees the old file or the new one.

    Parameters
    ----------
    target : the HTML file; its folders are made.

    Returns
    -------
    The file that was written.

    Raises
    ------
    StoreError : the disk is full or the folder cannot be written.
    """
    page = render(content).encode("utf-8")
    with durable.explaining(target, "writing the report"):
        durable.make_folder(target.parent)
        durable.replace(target, page)
    return target
