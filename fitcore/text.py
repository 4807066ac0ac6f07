"""Posteriors as text: a value with its errors, a table of a summary, samples as CSV and back. No file is touched here."""

from __future__ import annotations

import csv
import html
import io
import math
import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fitcore.errors import SpecError

if TYPE_CHECKING:
    from fitcore.samples import Samples
    from fitcore.summary import SamplesSummary

CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""What steers a terminal or turns text around; tabulators and line ends are not among them."""
LARGE, SMALL_POWER = 1e3, -4
"""From which error on, and below which power of ten of the value, a number is written with its power of ten."""
EVIDENCE = ("log_evidence", "log_evidence_error")
CSV_COLUMNS = ("log_likelihood", "log_prior", "log_weight", "weight", *EVIDENCE)
"""Of a table of samples, after the parameters: the weights sum to one, and the evidence, one number, is in every line."""
NOT_CONVERGED = "NOT CONVERGED: one sample holds nearly all the weight"
FEW = 100
"""An effective sample size below this makes rough intervals: the ends of 1-sigma intervals are then uncertain by 0.15 sigma and more."""
LARGEST_R_HAT = 1.01
"""Vehtari et al. (2021), Bayesian Analysis 16, 667."""
CSV_TEXT = ", ".join(CSV_COLUMNS)


def with_errors(median: float, lower: float, upper: float) -> str:
    """A median and the distances to the ends of its interval, with two digits of the error; with a power of ten where that is shorter.

    Examples
    --------
    >>> with_errors(1.04213, 1.0411, 1.0433)
    '1.0421 +0.0012 -0.0010'
    >>> with_errors(1.66079e11, 1.65763e11, 1.66357e11)
    '1.6608e11 +0.0028e11 -0.0032e11'
    """
    error = 0.5 * (upper - lower)
    if not (math.isfinite(median) and math.isfinite(error) and error > sys.float_info.min):
        return f"{median:.6g}"
    power = math.floor(math.log10(max(abs(median), error)))
    if power >= SMALL_POWER and error < LARGE:
        power = 0
    digits, unit, mark = max(0, 1 + power - math.floor(math.log10(error))), 10.0**power, f"e{power}" if power else ""
    return " ".join(
        f"{sign}{value / unit:.{digits}f}{mark}" for sign, value in (("", median), ("+", upper - median), ("-", median - lower))
    )


def duration(seconds: float) -> str:
    """Seconds in words: "8.4 s", "2 min 05 s", "1 h 03 min"; empty for what is no time."""
    if not math.isfinite(seconds) or seconds < 0:
        return ""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60:02d} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def with_error(value: float, error: float) -> str:
    """A value with its standard deviation, with two digits of the latter; without it where it is not known.

    Examples
    --------
    >>> with_error(-12.34561, 0.03124)
    '-12.346 ± 0.031'
    """
    if not (math.isfinite(error) and error > 0):
        return f"{value:.3f}"
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def summary_table(summary: SamplesSummary) -> str:
    """What a person asks first of a fit: evidence, grade, cost, every parameter with its errors at 1 sigma and its best value, warnings."""
    grade = summary.diagnostics.get("grade")
    head = [
        f"log-evidence {_evidence(summary)}",
        *([f"grade {grade}"] if grade else []),
        f"{summary.n_calls:,} calls",
        f"effective sample size {summary.effective_sample_size:,.0f}",
    ]
    if not summary.is_converged:
        head.append(NOT_CONVERGED)
    rows = zip(summary.paths, summary.median, summary.lower_1_sigma, summary.upper_1_sigma, summary.best, strict=True)
    lines = _aligned([(path, with_errors(median, lower, upper), f"best {best:.6g}") for path, median, lower, upper, best in rows])
    return "\n".join([", ".join(head), *lines, *(f"  warning: {text}" for text in cautions(summary))])


def cautions(summary: SamplesSummary) -> list[str]:
    """What a person should know before using a fit's numbers, a sentence each; empty where nothing speaks against it."""
    told = summary.diagnostics
    found = []
    if told.get("grade") == "F":
        found.append("grade F: evidence and posterior are not usable")
    if told.get("is_fallback"):
        found.append("the first way to the evidence failed, and the search fell back to a more costly one")
    if n_new := told.get("n_new_modes"):
        found.append(f"the scout met {n_new} mode{'' if n_new == 1 else 's'} that the proposal or the exploration did not know")
    if n_divergent := told.get("n_divergent"):
        found.append(f"{n_divergent} divergent transitions: some of the posterior was not reached")
    if float(told.get("r_hat_max", 1.0)) > LARGEST_R_HAT:
        found.append(f"the chains disagree: R-hat {float(told['r_hat_max']):.3f}, above {LARGEST_R_HAT}")
    if summary.is_converged and summary.effective_sample_size < FEW:
        found.append(f"the samples are worth only {summary.effective_sample_size:.0f} independent ones; intervals are rough")
    return found


def samples_table(samples: Samples) -> str:
    """What a person asks first of samples: how many, what they are worth, evidence, and every parameter with its errors at 1 sigma."""
    n = len(samples)
    head = [f"{n:,} sample{'' if n == 1 else 's'} of {samples.n_dim} parameter{'' if samples.n_dim == 1 else 's'}"]
    if math.isfinite(samples.log_evidence):
        head.append(f"log-evidence {_evidence(samples)}")
    head.append(f"effective sample size {samples.effective_sample_size:,.0f}")
    if not samples.is_converged:
        return ", ".join([*head, NOT_CONVERGED])
    is_known = not np.isnan(samples.log_likelihood).all()
    best = [f"best {value:.6g}" for value in samples.max_log_likelihood()] if is_known else [""] * samples.n_dim
    masked = [f"masked in {count:,}" if count else "" for count in samples.n_masked.values()]
    notes = [", ".join(filter(None, both)) for both in zip(best, masked, strict=True)]
    rows = zip(samples.paths, samples.median_pdf(), samples.values_at_sigma(1.0), notes, strict=True)
    return "\n".join([", ".join(head), *_aligned([(path, with_errors(median, *ends), note) for path, median, ends, note in rows])])


MOST_CELLS, LONGEST_CELL = 40, 80


def html_table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table for a notebook: every text escaped, long ones cut, at most `MOST_CELLS` rows."""

    def cell(text: str, kind: str) -> str:
        shown = text if len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 1]}…"
        return f"<{kind}>{html.escape(shown)}</{kind}>"

    titles = "".join(cell(title, "th") for title in head)
    body = "".join(f"<tr>{''.join(cell(text, 'td') for text in row)}</tr>" for row in rows[:MOST_CELLS])
    more = f"<p>and {len(rows) - MOST_CELLS} more</p>" if len(rows) > MOST_CELLS else ""
    return f"<p>{html.escape(caption[:400])}</p><table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>{more}"


def summary_html(summary: SamplesSummary, caption: str, priors: Mapping[str, Any] | None = None) -> str:
    """A summary for a notebook: each parameter with its median, errors at 1 and 3 sigma, best value, and prior where it is known."""
    numbers = zip(
        summary.paths,
        summary.median,
        summary.lower_1_sigma,
        summary.upper_1_sigma,
        summary.lower_3_sigma,
        summary.upper_3_sigma,
        summary.best,
        strict=True,
    )
    rows = [
        [
            path,
            *([str(priors.get(path, ""))] if priors else []),
            with_errors(median, low, high),
            f"{low_3:.6g} … {high_3:.6g}",
            f"{best:.6g}",
        ]
        for path, median, low, high, low_3, high_3, best in numbers
    ]
    head = ["parameter", *(["prior"] if priors else []), "median, 1 sigma", "3 sigma", "best"]
    told = [caption, f"log-evidence {_evidence(summary)}", f"{summary.n_calls:,} calls", *cautions(summary)]
    told.append(f"effective sample size {summary.effective_sample_size:,.0f}")
    return html_table(", ".join(told), head, rows)


def _evidence(of: Samples | SamplesSummary) -> str:
    return with_error(of.log_evidence, of.log_evidence_error) if math.isfinite(of.log_evidence) else "none"


def _aligned(rows: list[tuple[str, str, str]]) -> list[str]:
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(2)]
    return [f"  {path:<{widths[0]}}  {cell:<{widths[1]}}  {f'({note})' if note else ''}".rstrip() for path, cell, note in rows]


def samples_csv(samples: Samples) -> str:
    """Samples as CSV, a line each, all digits: the parameters by path, then the columns of `CSV_COLUMNS`; `arrays_of_csv` reads it."""
    header = io.StringIO()
    csv.writer(header, lineterminator="\n").writerow([*samples.paths, *CSV_COLUMNS])
    columns = [samples.parameters, *(column[:, None] for column in (samples.log_likelihood, samples.log_prior, samples.log_weight))]
    rows = np.concatenate([*columns, samples.weight[:, None]], axis=1).tolist()
    evidence = f",{samples.log_evidence!r},{samples.log_evidence_error!r}\n"
    # numbers need no quotes, and joining them takes half of the time of a CSV writer
    return header.getvalue() + "".join([",".join(map(repr, row)) + evidence for row in rows])


def arrays_of_csv(text: str) -> dict[str, Any]:
    """What `samples_csv` wrote, by name, as `fitcore.samples.Samples.from_arrays` takes it: every number to the last bit.

    Raises
    ------
    SpecError : the columns are others, a field is no number, or the evidence is not the same in all lines.
    """
    buffer = io.StringIO(text)
    header = next(csv.reader(buffer), [])
    n_dim = len(header) - len(CSV_COLUMNS)
    if n_dim < 0 or tuple(header[n_dim:]) != CSV_COLUMNS:
        raise SpecError(f"the CSV text has the columns {', '.join(header) or 'none'}; after the parameters they must be {CSV_TEXT}.")
    lines = buffer.read().splitlines()
    if not lines:
        raise SpecError("the CSV text has no samples, only a header; at least one line must follow it.")
    try:
        table = np.loadtxt(lines, delimiter=",", ndmin=2, comments=None)
    except ValueError as error:
        raise SpecError(
            f"the CSV text cannot be read: {error}. Every field must be a number, in as many columns as the header has."
        ) from None
    if table.shape[1] != len(header):
        raise SpecError(f"the CSV text has {table.shape[1]} columns under a header of {len(header)}; they must be as many.")
    named = dict(zip(CSV_COLUMNS, table[:, n_dim:].T, strict=True))
    arrays: dict[str, Any] = {"paths": header[:n_dim], "parameters": table[:, :n_dim]}
    for name in EVIDENCE:
        if not np.array_equal(named[name], np.full(len(table), named[name][0]), equal_nan=True):
            raise SpecError(f"the CSV text has several values of {name}; samples have one, so read each fit's lines alone.")
        arrays[name] = named[name][0]
    return arrays | {name: named[name] for name in ("log_likelihood", "log_prior", "log_weight")}
