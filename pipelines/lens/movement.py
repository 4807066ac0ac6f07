"""How far a posterior moved from one stage of a chain to the next, in units of its errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fitcore import Result


@dataclass(frozen=True, kw_only=True)
class Moved:
    """One parameter that two stages share.

    Parameters
    ----------
    path : its name.
    before, after : medians of the earlier and the later stage.
    in_earlier, in_later : the step from one to the other over the earlier and the later stage's error; NaN where that is zero.
    """

    path: str
    before: float
    after: float
    in_earlier: float
    in_later: float


def movements(earlier: Result, later: Result) -> list[Moved]:
    """The parameters of both, the one that moved most first; errors are half of the 68.3 % intervals."""
    rows = []
    one, other = earlier.samples_summary, later.samples_summary
    medians = [summary.by_path("median") for summary in (one, other)]
    errors = [_errors(summary.by_path("lower_1_sigma"), summary.by_path("upper_1_sigma")) for summary in (one, other)]
    for path in later.model.paths:
        if path not in medians[0]:
            continue
        step = medians[1][path] - medians[0][path]
        rows.append(
            Moved(
                path=path,
                before=float(medians[0][path]),
                after=float(medians[1][path]),
                in_earlier=_over(step, errors[0][path]),
                in_later=_over(step, errors[1][path]),
            )
        )
    return sorted(rows, key=lambda row: -abs(row.in_earlier) if np.isfinite(row.in_earlier) else 0.0)


def _errors(lower: dict[str, float], upper: dict[str, float]) -> dict[str, float]:
    return {path: 0.5 * (upper[path] - lower[path]) for path in lower}


def _over(step: float, error: float) -> float:
    return float(step / error) if error > 0 else float("nan")
