"""The evidence from nautilus's shells and draws of a mixture together, each point weighted against the sum of both densities.

A bound that nautilus fits to a few hundred points cuts into the posterior long before the posterior's own volume is reached: in fifteen
dimensions 1 to 4 % of it in each of a dozen bounds. What a bound cuts off lies in a shell a million times larger, where uniform points
never hit it; the shell then counts for nothing, and neither the evidence nor its error shows it. Draws of a mixture do reach those places.
With the balance heuristic (Owen & Zhou 2000, JASA 95, 135) every place is paid for by whatever samples it best: the shells where the
mixture fits badly, the mixture where a shell is all but empty. Both are unbiased, so their combination is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fitcore.search.base import Array

Indices = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, eq=False)
class Shell:
    """Points drawn uniformly in one shell of the unit cube since the exploration.

    Parameters
    ----------
    u : places, shape (n, n_dim). log_likelihood : shape (n,), -inf allowed.
    log_volume : of the shell. volume_variance : variance of that.
    """

    u: Array
    log_likelihood: Array
    log_volume: float
    volume_variance: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Draws:
    """Draws of a mixture: places in the unit cube (n, n_dim), log-likelihoods (n,), log of the mixture's density over the prior's (n,), and
    the shell that each lies in (n,)."""

    u: Array
    log_likelihood: Array
    log_ratio: Array
    shell: Indices

    def of(self, rows: NDArray[np.bool_]) -> Draws:
        """Some of them."""
        return Draws(u=self.u[rows], log_likelihood=self.log_likelihood[rows], log_ratio=self.log_ratio[rows], shell=self.shell[rows])


@dataclass(frozen=True, kw_only=True, eq=False)
class _Sums:
    """Logarithms of what one shell adds to the sums over all points; the weights of its uniform points, then of the draws in it."""

    log_weight: Array
    first: float  # sum of weights
    second: float  # sum of squared weights
    drawn_first: float
    drawn_second: float
    variance: float  # of the sum over the uniform points and the volume
    scatter: float  # standard deviation of one uniform point's weight


class Pool:
    """Weights of all points, shell by shell: another uniform point in one shell changes no weight in another."""

    def __init__(self, n_shells: int) -> None:
        self.draws: list[list[Draws]] = [[] for _ in range(n_shells)]
        self.n_drawn = 0
        self._sums: list[_Sums | None] = [None] * n_shells

    def add(self, draws: Draws) -> None:
        """More draws; all shells must be weighed anew after."""
        self.n_drawn += len(draws.u)
        for i in np.unique(draws.shell):
            self.draws[i].append(draws.of(draws.shell == i))

    def _draws_in(self, i: int, name: str, empty: Array) -> Array:
        return np.concatenate([empty[:0], *(getattr(part, name) for part in self.draws[i])])

    def update(self, i: int, shell: Shell, log_ratio: Array) -> None:
        """Weigh shell ``i`` anew.

        Parameters
        ----------
        log_ratio : log of the mixture's density over the prior's at the shell's points, shape (n,).
        """
        n = len(shell.u)
        ratio = np.concatenate([log_ratio, self._draws_in(i, "log_ratio", log_ratio)])
        uniform_density = np.log(n) - shell.log_volume if n else -np.inf
        density = np.logaddexp(uniform_density, np.log(self.n_drawn) + ratio)
        log_weight = self._likelihoods(i, shell) - density
        top = max(float(np.max(log_weight, initial=-np.inf)), -1e300)
        weight = np.exp(log_weight - top)
        own, drawn = weight[:n], weight[n:]
        spread = float(np.var(own, ddof=1)) if n > 1 else 0.0
        leverage = float(weight @ np.exp(uniform_density - density))
        with np.errstate(divide="ignore"):
            self._sums[i] = _Sums(
                log_weight=log_weight,
                first=float(np.log(weight.sum())) + top,
                second=float(np.log(weight @ weight)) + 2.0 * top,
                drawn_first=float(np.log(drawn.sum())) + top,
                drawn_second=float(np.log(drawn @ drawn)) + 2.0 * top,
                variance=float(np.log(n * spread + leverage**2 * shell.volume_variance)) + 2.0 * top,
                scatter=0.5 * float(np.log(spread)) + top,
            )

    def _column(self, name: str) -> Array:
        return np.array([-np.inf if sums is None else getattr(sums, name) for sums in self._sums])

    @property
    def most_scattered(self) -> int:
        """The shell where one more point lowers the variance most."""
        return int(np.argmax(self._column("scatter")))

    @property
    def n_eff(self) -> float:
        """Kish's effective sample size of all points."""
        first = np.logaddexp.reduce(self._column("first"))
        return float(np.exp(2.0 * first - np.logaddexp.reduce(self._column("second")))) if np.isfinite(first) else 0.0

    def evidence(self) -> tuple[float, float]:
        """The log-evidence and its standard deviation."""
        total = float(np.logaddexp.reduce(self._column("first")))
        if not np.isfinite(total):
            return -np.inf, np.inf
        n, first = self.n_drawn, np.exp(np.logaddexp.reduce(self._column("drawn_first")) - total)
        second = np.exp(np.logaddexp.reduce(self._column("drawn_second")) - 2.0 * total)
        of_draws = max(float(second - first**2 / n), 0.0) * n / max(n - 1, 1)
        of_shells = float(np.exp(np.logaddexp.reduce(self._column("variance")) - 2.0 * total))
        return total, float(np.sqrt(of_draws + of_shells))

    @property
    def drawn_share(self) -> float:
        """Share of all weight that draws of the mixture carry."""
        return float(np.exp(np.logaddexp.reduce(self._column("drawn_first")) - np.logaddexp.reduce(self._column("first"))))

    def _likelihoods(self, i: int, shell: Shell) -> Array:
        return np.concatenate([shell.log_likelihood, self._draws_in(i, "log_likelihood", shell.log_likelihood)])

    def points(self, shells: list[Shell]) -> tuple[Array, Array, Array]:
        """Places (n, n_dim), log-likelihoods (n,) and log weights (n,), shell by shell."""
        u = [np.concatenate([shell.u, self._draws_in(i, "u", shell.u)]) for i, shell in enumerate(shells)]
        values = [self._likelihoods(i, shell) for i, shell in enumerate(shells)]
        return np.concatenate(u), np.concatenate(values), np.concatenate([sums.log_weight for sums in self._sums if sums is not None])
