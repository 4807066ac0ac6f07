"""Posteriors as text: a value with its errors, a table of a summary, samples as CSV. Nothing is computed or written to files here."""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fitcore.samples import Samples
    from fitcore.summary import SamplesSummary


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
    """Samples as CSV, a line each, all digits: the parameters by path, log_likelihood, log_prior, weight (they sum to one)."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*samples.paths, "log_likelihood", "log_prior", "weight"])
    columns = [samples.parameters, samples.log_likelihood[:, None], samples.log_prior[:, None], samples.weight[:, None]]
    writer.writerows(np.concatenate(columns, axis=1).tolist())
    return buffer.getvalue()
