"""The report of one lens: `ReportContent` in, one self-contained HTML file out.

What is known about a fit is put into words here; how it is laid out is in ``templates``, and what it says in `report_content`. `pictures`
and the other modules of that name make the pictures. The same content gives the same bytes.
"""

import base64
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fitcore.store import durable
from fitcore.text import duration
from pipelines.lens.mass_pictures import mass_panels
from pipelines.lens.noted import in_words
from pipelines.lens.pictures import corner_panel, panels
from pipelines.lens.preparation_pictures import preparation_panels
from pipelines.lens.report_content import LINK_KINDS, BandContent, Download, Quantity, ReportContent, StageRow
from pipelines.lens.report_words import (
    DASH,
    LARGEST_FIXED,
    MOST_DECIMALS,
    decimals_of,
    fixed,
    measured,
    plain,
    sigmas,
    size,
    spoken,
)
from pipelines.lens.residual_pictures import residual_panels
from pipelines.lens.search_pictures import SearchHealth, health_panel

__all__ = ["render", "write_report"]

# Controls and lone surrogates are no characters of HTML; the bidirectional ones would turn the text after them around.
UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
FAR = 3.0
"""Sigma from which on a step is marked."""
NOT_RECORDED = "not recorded"


def _row(quantity: Quantity, truth: Mapping[str, float]) -> dict[str, Any]:
    median, below, above = quantity.median, quantity.median - quantity.lower, quantity.upper - quantity.median
    decimals = decimals_of(below, above)
    group, _, leaf = quantity.path.rpartition(".")

    def rounded(value: float) -> str:
        is_fixed = decimals is not None and decimals <= MOST_DECIMALS and math.isfinite(value) and abs(value) < LARGEST_FIXED
        return fixed(value, decimals) if is_fixed else plain(value)  # type: ignore[arg-type]

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
    return {"pull": sigmas(sigma), "is_far": abs(sigma) > FAR}


def _stage(stage: StageRow) -> dict[str, Any]:
    noted = list(in_words(stage.diagnostics))
    return {
        "stage": stage,
        "evidence": measured(stage.log_evidence, stage.log_evidence_error, stage.log_evidence_error),
        "calls": f"{stage.n_calls:,}",
        "time": duration(stage.seconds) or DASH,
        "links": [{"link": link, "kind": LINK_KINDS[link.kind]} for link in stage.links],
        "noted": [(row, plain(row.value, 4) if isinstance(row.value, float) else spoken(row.value)) for row in noted if row.title],
        "rest": [(row.key, spoken(row.value)) for row in noted if not row.title],
        "moved": [
            {
                "row": row,
                "before": plain(row.before, 4),
                "after": plain(row.after, 4),
                "in_earlier": sigmas(row.in_earlier),
                "in_later": sigmas(row.in_later),
                "is_far": math.isfinite(row.in_earlier) and abs(row.in_earlier) > FAR,
            }
            for row in stage.moved
        ],
    }


def _health(health: SearchHealth) -> dict[str, Any]:
    split = (health.seconds_compiling, health.seconds_likelihood, health.overhead)
    return {
        "health": health,
        "panel": health_panel(health),
        "calls": f"{health.n_calls:,}",
        "size": f"{health.effective_sample_size:,.0f}",
        "time": duration(health.seconds) or DASH,
        "split": [NOT_RECORDED if math.isnan(seconds) else duration(max(seconds, 0.0)) for seconds in split],
        "memory": NOT_RECORDED if math.isnan(health.peak_memory) else size(health.peak_memory),
    }


def _download(file: Download) -> dict[str, Any]:
    data = file.text.encode("utf-8", "replace")
    # of letters that need no escape, so that no text of a file can end the attribute
    return {"file": file, "data": base64.b64encode(data).decode("ascii"), "size": f"{max(1, round(len(data) / 1000)):,} kB"}


def _band(band: BandContent, center: tuple[float, float]) -> dict[str, Any]:
    return {
        "band": band,
        "chi_squared": plain(band.chi_squared_per_pixel, 4),
        "chi_squared_arcs": plain(band.chi_squared_per_pixel_arcs, 4),
        "panels": panels(band.planes, band.source),
        "residuals": residual_panels(band.planes, center),
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
        "time": duration(sum(seconds)) or DASH if seconds else DASH,
        "panels": panels(content.planes, content.source),
        "bands": [_band(band, content.center) for band in content.bands],
        "residuals": residual_panels(content.planes, content.center),
        "mass": () if content.mass is None else mass_panels(content.mass),
        "health": [_health(health) for health in content.health],
        "downloads": [_download(file) for file in content.downloads],
        "corner": None if content.samples is None else corner_panel(content.samples, content.truth),
        "parameters": [_row(quantity, content.truth) for quantity in content.parameters],
        "latents": [_row(quantity, content.truth) for quantity in content.latents],
        "stages": [_stage(stage) for stage in content.stages],
        "prepared": () if content.prepared is None else preparation_panels(content.prepared),
        "preparation": [(key, spoken(value)) for key, value in content.preparation.items()],
        "provenance": [(key, spoken(value)) for key, value in content.provenance.items()],
    }


def _visible(value: Any) -> Any:
    """Replace what is no character of HTML, or would turn text around, by a visible sign."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", value)


def render(content: ReportContent) -> str:
    """The page as text; every string of the content is escaped."""
    environment = Environment(
        loader=PackageLoader("pipelines.lens"), autoescape=True, undefined=StrictUndefined, finalize=_visible, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("lens.html.j2").render(_view(content))


def write_page(page: str, target: Path) -> Path:
    """Write a rendered page, all at once; see `write_report`."""
    data = page.encode("utf-8")
    with durable.explaining(target, "writing the report"):
        durable.make_folder(target.parent)
        durable.replace(target, data)
    return target


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
    return write_page(render(content), target)
