"""How a search went, in numbers and one picture: its samples in the order in which they are stored."""

from dataclasses import dataclass

import numpy as np

from pipelines.lens.plots import BLUE, FAINT, ORANGE, Panel, diagram, finished, name_axes

DEEPEST = 60.0
"""Samples farther below the best are left out of the picture, in log-likelihood; it shows those that count."""
MOST_POINTS = 4000


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchHealth:
    """What is known of one search.

    Parameters
    ----------
    name : of its stage.
    n_calls : likelihood calls.
    log_likelihood, log_weight : of the samples that were kept, as stored: as drawn, mode by mode, (n,).
    seconds, seconds_compiling, seconds_likelihood : of the whole, of the compilation, and of the evaluations after it; NaN where that was
        not recorded.
    peak_memory : the most that the process had taken by its end, bytes; NaN where that was not recorded.
    device : what computed.
    """

    name: str
    n_calls: int
    log_likelihood: np.ndarray
    log_weight: np.ndarray
    seconds: float = float("nan")
    seconds_compiling: float = float("nan")
    seconds_likelihood: float = float("nan")
    peak_memory: float = float("nan")
    device: str = ""

    @property
    def weight(self) -> np.ndarray:
        """(n,), of sum one."""
        weight = np.exp(self.log_weight - np.max(self.log_weight))
        return weight / weight.sum()

    @property
    def effective_sample_size(self) -> float:
        """Kish's: 1 / sum of squared weights; zero without samples."""
        return float(1.0 / np.sum(self.weight**2)) if len(self.log_weight) else 0.0

    @property
    def overhead(self) -> float:
        """Seconds of everything else, the search's own work first; NaN where the others were not recorded."""
        return self.seconds - self.seconds_compiling - self.seconds_likelihood


def health_panel(health: SearchHealth) -> Panel:
    """Log-likelihood of the samples in their order, heavier ones darker; and how the weight gathers with them."""
    values, n = np.asarray(health.log_likelihood, float), len(health.log_likelihood)
    good = np.isfinite(values)
    if good.sum() < 2:
        return Panel(title=health.name, caption="Fewer than two samples were kept.", picture=None)
    figure, (upper, lower) = diagram(2, ratios=(2.2, 1.0))
    below = values - values[good].max()
    weight = health.weight
    shown = np.flatnonzero(good & (below > -DEEPEST))
    chosen = shown[:: max(1, -(-len(shown) // MOST_POINTS))]
    heavy = weight[chosen] > 0.1 / n
    for part, color in ((chosen[~heavy], "#c3c8d1"), (chosen[heavy], BLUE)):
        upper.scatter(part + 1, below[part], s=2.0, color=color, lw=0, rasterized=True)
    name_axes(upper, y="log-likelihood, best = 0")
    lower.plot([1, n], [0.0, 1.0], color=FAINT, lw=1.0)
    lower.plot(np.arange(1, n + 1), np.cumsum(weight), color=ORANGE, lw=1.2)
    lower.set_ylim(0.0, 1.0)
    lower.set_xlim(0, n + 1)
    name_axes(lower, x="samples kept, as stored", y="weight so far")
    left = n - len(shown)
    deep = f" {left:,} samples lie lower than {DEEPEST:g} below the best." if left else ""
    words = (
        f"{n:,} samples of {health.n_calls:,} calls, worth {health.effective_sample_size:,.0f} of equal weight; blue: those with weight. "
        f"Below, a line near the straight one and without steps is that of a healthy search.{deep}"
    )
    return finished(health.name, words, figure)
