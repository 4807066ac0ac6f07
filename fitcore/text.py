"""Posteriors as text: a value with its errors, a table of a summary, samples as CSV and back. No file is touched here."""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fitcore.errors import SpecError

if TYPE_CHECKING:
    from fitcore.samples import Samples
    from fitcore.summary import SamplesSummary

EVIDENCE = ("log_evidence", "log_evidence_error")
CSV_COLUMNS = ("log_likelihood", "log_prior", "log_weight", "weight", *EVIDENCE)
"""Of a table of samples, after the parameters: the weights sum to one, and the evidence, one number, is in every line."""
CSV_TEXT = ", ".join(CSV_COLUMNS)


def with_errors(median: float, lower: float, upper: float) -> str:
    """A median and the distances to the ends of its interval, with two digits of the error.

    Examples
    --------
    >>> with_errors(1.04213, 1.0411, 1.0433)
    '1.0421 +0.0012 -0.0010'
    """
    error = 0.5 * (upper - lower)
    if not (math.isfinite(error) and error > 0):
        return f"{median:.6g}"
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{median:.{digits}f} +{upper - median:.{digits}f} -{median - lower:.{digits}f}"


def summary_table(summary: SamplesSummary) -> str:
    """What a person asks first of a fit: evidence, grade, cost, then every parameter with its errors at 1 sigma and its best value."""
    evidence = f"{summary.log_evidence:.3f} ± {summary.log_evidence_error:.3f}" if math.isfinite(summary.log_evidence) else "none"
    grade = summary.diagnostics.get("grade")
    head = [
        f"log-evidence {evidence}",
        *([f"grade {grade}"] if grade else []),
        f"{summary.n_calls:,} calls",
        f"effective sample size {summary.effective_sample_size:,.0f}",
    ]
    if not summary.is_converged:
        head.append("NOT CONVERGED: one sample holds nearly all the weight")
    width = max(map(len, summary.paths), default=0)
    rows = zip(summary.paths, summary.median, summary.lower_1_sigma, summary.upper_1_sigma, summary.best, strict=True)
    cells = [(path, with_errors(median, lower, upper), best) for path, median, lower, upper, best in rows]
    middle = max((len(cell) for _, cell, _ in cells), default=0)
    return "\n".join([", ".join(head), *(f"  {path:<{width}}  {cell:<{middle}}  (best {best:.6g})" for path, cell, best in cells)])


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
