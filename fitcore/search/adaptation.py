"""Adapting a mixture to a posterior. The sampling from the frozen mixture, of which everything published is made, is in `frozen`.

Adaptation is adaptive multiple importance sampling: every round draws from the current mixture, all draws so far are weighted against the
mixture of all densities they came from (Cornuet et al. 2012, Scand. J. Stat. 39, 798; Owen & Zhou 2000, JASA 95, 135), the weights are
tempered until enough of them count (Koblents & Miguez 2015, Stat. Comput. 25, 407), and the components are fitted anew. Those draws steer
only: no choice made here can bias what is made of independent draws of the frozen mixture.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.linalg import solve_triangular

from fitcore.search.base import Array, weights_from
from fitcore.search.bending import Bending, fit_bending, fit_triangle
from fitcore.search.gaussians import LOG_2PI, Components, fit_gaussians, maximization, moments
from fitcore.search.journal import Journal
from fitcore.search.mixture import LOW_DIMENSION, Mixture
from fitcore.search.pareto import effective_sample_size, pareto_k, temper
from fitcore.search.streams import stream

ROUNDS = 20
DRAWS_PER_DIMENSION = 40
EFFICIENCY_ENOUGH = 0.25
EFFICIENCY_REACHABLE = 0.9  # of what the true moments would give
EFFICIENCY_LEAST = 0.05
K_ENOUGH = 0.4
TEMPERED_SIZE = 8  # effective points per dimension that a fit needs
SMALLEST_SHARE = 0.005
REWEIGHTINGS = 10
CAUTION = 2.0  # standard errors given away when candidates are compared
NEARLY_IDEAL = 0.85  # of what the true moments would give: components that needed no fit are kept then
REFIT_EXPONENT = 0.3  # before that a single step does as well
GROWTH, LARGEST_GROWTH = 1.4, 4.0
REFUTED = 3.0  # so much better than what all draws tell of it, an efficiency measured by a mixture's own draws is not believed
LEAST_ANCHOR = 0.02
FIRST_SHARE = 1.0 / 3.0  # of the first round's draws, for the Gaussians at the modes that are known
ANCHOR_MARGIN, ANCHOR_MARGIN_PER_DIMENSION = 1.0, 0.15  # log density that a mixture fitted well may lack at a mode: it is wider on purpose


@dataclass(kw_only=True)
class Rounds:
    """All draws so far, and the log densities there of all mixtures they came from."""

    mixtures: list[Mixture] = field(default_factory=list)
    z: list[Array] = field(default_factory=list)
    log_target: list[Array] = field(default_factory=list)
    densities: list[Array] = field(default_factory=list)  # one (n so far,) array for each mixture

    def add(self, mixture: Mixture, z: Array, log_target: Array) -> None:
        """Add points drawn from ``mixture``."""
        earlier = np.concatenate([np.zeros((0, z.shape[1])), *self.z])
        self.densities = [np.concatenate([row, q.log_prob(z)]) for row, q in zip(self.densities, self.mixtures, strict=True)]
        self.densities.append(mixture.log_prob(np.concatenate([earlier, z])))
        self.mixtures.append(mixture)
        self.z.append(z)
        self.log_target.append(log_target)

    def weighted(self) -> tuple[Array, Array, Array]:
        """Points (n, d), log target (n,) and log weights (n,) against the mixture of all densities."""
        sizes = np.array([len(part) for part in self.z], dtype=np.float64)
        denominator = np.logaddexp.reduce(np.array(self.densities) + np.log(sizes / sizes.sum())[:, None], axis=0)
        log_target = np.concatenate(self.log_target)
        return np.concatenate(self.z), log_target, log_target - denominator

    def in_hindsight(self, own: list[float]) -> list[float]:
        """Efficiencies of the last mixtures, those measured by their ``own`` draws, held against all draws so far.

        A mixture that misses most of the posterior does not know: its own draws all come from the part that it covers, and their weights
        are even. Draws of a later mixture that found the rest refute it.
        """
        _, log_target, log_weight = self.weighted()
        if effective_sample_size(log_weight) == 0.0:
            return own
        rows = self.densities[-len(own) :]
        return [min(e, REFUTED * _expected(row, log_target, log_weight)) for e, row in zip(own, rows, strict=True)]


@dataclass(kw_only=True)
class Adapted:
    """What the adaptation found: the best mixture, all draws so far, and how it went."""

    mixture: Mixture
    rounds: Rounds
    efficiency: float
    k: float
    is_converged: bool
    n_rounds: int
    first_efficiency: float
    first_k: float
    shift: float
    narrowest: float
    widest: float


def log_prior(z: Array) -> Array:
    """Log density of the prior, N(0, 1) in every dimension; shape (n,)."""
    return -0.5 * np.sum(z * z, axis=1) - 0.5 * z.shape[1] * np.log(2.0 * np.pi)


def evaluated(journal: Journal, mixture: Mixture, n: int, rng: np.random.Generator) -> tuple[Array, Array, Array, Array]:
    """Draws, log-likelihoods, log target and log weights."""
    z = mixture.draw(n, rng)
    log_likelihood = journal.log_likelihood(z)
    log_target = log_likelihood + log_prior(z)
    return z, log_likelihood, log_target, log_target - mixture.log_prob(z)


def expected_efficiency(mixture: Mixture, z: Array, log_target: Array, log_weight: Array, *, caution: float = 0.0) -> float:
    """Efficiency that draws from ``mixture`` would have, from weighted points of other densities; no likelihood is called.

    Parameters
    ----------
    caution : so many standard errors of the estimate are given away. A mixture too thin somewhere in the tails, where few points lie, has a
        large error.
    """
    return _expected(mixture.log_prob(z), log_target, log_weight, caution=caution)


def _expected(log_prob: Array, log_target: Array, log_weight: Array, *, caution: float = 0.0) -> float:
    """`expected_efficiency` of a mixture of which the log density at the points is known, shape (n,)."""
    weight = weights_from(log_weight)
    used = weight > 0
    weight, log_ratio = weight[used], (log_target - log_prob)[used]
    # ESS/N = (E_q w)^2 / E_q w^2, with both means turned into means over the posterior; the evidence is that of the weighted points.
    log_evidence = np.log(np.mean(np.exp(log_weight - np.max(log_weight)))) + np.max(log_weight)
    largest = float(np.max(log_ratio))
    ratio = np.exp(log_ratio - largest)
    mean = float(weight @ ratio)
    error = float(np.sqrt(np.sum((weight * (ratio - mean)) ** 2)))
    return float(min(1.0, np.exp(log_evidence - largest) / (mean + caution * error)))


def _one_step(mixture: Mixture, z: Array, weight: Array) -> Components:
    """One step of expectation maximization from the mixture's own components: what few points can still support."""
    d = z.shape[1]
    rows = mixture.component_log_prob(z)
    z = mixture.bending.straighten(z)
    responsibility = np.exp(rows - np.logaddexp.reduce(rows, axis=0))
    share = responsibility * weight
    keep = share.sum(axis=1) >= min(SMALLEST_SHARE, float(np.max(share.sum(axis=1))))
    responsibility, share = responsibility[keep], share[keep]
    found = maximization(z, weight, responsibility / np.maximum(responsibility.sum(axis=0), 1e-300), 0.0 * np.eye(d))
    size = share.sum(axis=1) ** 2 / np.sum(share * share, axis=1)
    trust = np.where(size < TEMPERED_SIZE * d, size / (size + 2.0 * d), 1.0)[:, None, None]
    inflated = found.covariance * (1.0 + d / size)[:, None, None]
    return replace(found, covariance=trust * inflated + (1.0 - trust) * mixture.covariance[keep])


def _refitted(z: Array, weight: Array, rng: np.random.Generator) -> Components:
    d = z.shape[1]
    found = fit_gaussians(z, weight, k_max=12 if d <= LOW_DIMENSION else 8, rng=rng)
    size = found.weight / np.sum(weight * weight)
    return replace(found, covariance=found.covariance * (1.0 + d / size)[:, None, None])


def _reweighted(mixture: Mixture, z: Array, weight: Array) -> Components:
    """The mixture's own components with new weights, by expectation maximization: what very few points can still support."""
    rows = mixture.component_log_prob(z) - np.log(mixture.weight)[:, None]
    share = mixture.weight
    for _ in range(REWEIGHTINGS):
        joint = rows + np.log(share)[:, None]
        share = np.maximum(np.exp(joint - np.logaddexp.reduce(joint, axis=0)) @ weight, 1e-12)
    return replace(mixture.components, weight=share)


def _fitted(mixture: Mixture, z: Array, weight: Array, beta: float, rng: np.random.Generator) -> list[Mixture]:
    """Mixtures fitted to the weighted points."""
    fits = [(_one_step(mixture, z, weight), mixture.bending)]
    if beta >= REFIT_EXPONENT:
        fits.append((_refitted(z, weight, rng), Bending.none(z.shape[1])))
        bends = [bending for bending in (fit_bending(z, weight), fit_triangle(z, weight)) if len(bending)]
        fits += [(_refitted(bending.straighten(z), weight, rng), bending) for bending in bends]
    return [Mixture.of(fit, bending=bent, core_scale=scale) for fit, bent in fits for scale in _scales(beta)]


def _scales(beta: float) -> tuple[float, ...]:
    return (1.1, 1.2) if beta == 1.0 else (1.3,)


def _updated(mixture: Mixture, anchors: Components | None, rounds: Rounds, rng: np.random.Generator) -> tuple[Mixture, float]:
    """The next mixture, of several candidates the one with the best expected efficiency, and the exponent of the tempering.

    A fit flatters itself on the points that it was made of: new ones find it worse by a factor of exp(0.85 p / n), for the p parameters of
    a Gaussian and n effective points. So components at hand, reweighted only, are preferred where they do nearly as well as any could.
    """
    z, log_target, log_weight = rounds.weighted()
    d = z.shape[1]
    if effective_sample_size(log_weight) == 0.0:
        return mixture, 0.0  # nothing allowed was hit yet; the prior and the wide component keep looking
    beta = temper(log_weight, TEMPERED_SIZE * d)
    weight = weights_from(beta * log_weight)
    tempered = beta * log_weight
    log_target = log_target - log_weight + tempered

    def efficiency(found: Mixture) -> float:
        return expected_efficiency(found, z, log_target, tempered, caution=CAUTION)

    at_hand = [mixture] if anchors is None else [mixture, Mixture.of(anchors)]
    unfitted = [
        Mixture.of(_reweighted(known, z, weight), bending=known.bending, core_scale=scale) for known in at_hand for scale in _scales(beta)
    ]
    best = max(unfitted, key=efficiency)
    if efficiency(best) >= NEARLY_IDEAL * ideal_efficiency(d):
        return best, beta
    return max([*unfitted, *_fitted(mixture, z, weight, beta, rng)], key=efficiency), beta


@functools.cache
def ideal_efficiency(n_dim: int) -> float:
    """Efficiency of a mixture with one component that has the moments of a Gaussian posterior, much narrower than the prior."""
    width = 1e-3
    q = Mixture(weight=np.ones(1), mean=np.zeros((1, n_dim)), covariance=width**2 * np.eye(n_dim)[None], core_scale=1.1)
    radius = np.linspace(0.0, np.sqrt(n_dim) + 8.0, 2001)[1:]
    z = np.zeros((len(radius), n_dim))
    z[:, 0] = width * radius
    log_p = -0.5 * radius**2 - 0.5 * n_dim * np.log(2.0 * np.pi) - n_dim * np.log(width)
    log_shell = (n_dim - 1) * np.log(radius) - 0.5 * radius**2
    share = weights_from(log_shell)
    return float(1.0 / np.sum(share * np.exp(log_p - q.log_prob(z))))


def anchored(mixture: Mixture, anchors: Components | None) -> Mixture:
    """The mixture with a component at every anchor where it is too thin.

    Few weighted points of a broad mixture may all lie near one mode; a fit to them loses the others, and no weight of a later draw tells.

    Parameters
    ----------
    anchors : Gaussians in probit space at the modes that are known, their weights the shares of the posterior they are thought to hold.
    """
    if anchors is None:
        return mixture
    d, found = mixture.n_dim, mixture
    for share, mean, covariance in zip(np.maximum(anchors.weight, LEAST_ANCHOR), anchors.mean, anchors.covariance, strict=True):
        log_peak = np.log(share) - 0.5 * np.linalg.slogdet(covariance)[1] - 0.5 * d * LOG_2PI
        if float(found.log_prob(mean[None])[0]) > log_peak - ANCHOR_MARGIN - ANCHOR_MARGIN_PER_DIMENSION * d:
            continue
        one = Components(weight=np.ones(1), mean=mean[None], covariance=covariance[None])
        found = extended(found, one, min(float(share), 1.0 - LEAST_ANCHOR))
    return found


def extended(mixture: Mixture, modes: Components, share: float) -> Mixture:
    """The mixture with Gaussians of probit space as further components, which together get ``share`` of the weight."""
    jacobians = [mixture.bending.jacobian(mean) for mean in modes.mean]
    added = [jacobian @ covariance @ jacobian.T for jacobian, covariance in zip(jacobians, modes.covariance, strict=True)]
    every = Components(
        weight=np.concatenate([(1.0 - share) * mixture.weight, share * modes.weight]),
        mean=np.concatenate([mixture.mean, mixture.bending.straighten(modes.mean)]),
        covariance=np.concatenate([mixture.covariance, np.array(added)]),
    )
    return Mixture.of(every, bending=mixture.bending, core_scale=mixture.core_scale)


def adapt(
    journal: Journal,
    start: Mixture,
    rng: np.random.Generator,
    *,
    n_eff: int,
    n_rounds: int = ROUNDS,
    earlier: Adapted | None = None,
    anchors: Components | None = None,
    origin: Mixture | None = None,
) -> Adapted:
    """Adapt a mixture to the posterior; see the module.

    Parameters
    ----------
    journal : evaluates, counts, saves.
    start : where to begin.
    rng : stream of the draws and fits.
    n_eff : effective sample size that will be asked of the frozen mixture: what a better mixture saves.
    n_rounds : cap on the number of rounds; reaching it means "not converged".
    earlier : an adaptation to go on from, whose draws are used again.
    anchors : see `anchored`.
    origin : what shift and widths are reported relative to; None for ``start``.
    """
    per_round = DRAWS_PER_DIMENSION * start.n_dim
    reachable = EFFICIENCY_REACHABLE * ideal_efficiency(start.n_dim)
    rounds = Rounds() if earlier is None else earlier.rounds
    mixture, growth, n_full = start if anchors is None else extended(start, anchors, FIRST_SHARE), 1.0, 0
    if earlier is not None:
        mixture, growth, n_full = anchored(_updated(earlier.mixture, anchors, rounds, rng)[0], anchors), LARGEST_GROWTH, 2
    own: list[tuple[float, float]] = []
    is_converged = False
    for _ in range(n_rounds):
        z, _, log_target, log_weight = evaluated(journal, mixture, journal.rounded(growth * per_round), rng)
        rounds.add(mixture, z, log_target)
        own.append((effective_sample_size(log_weight) / len(z), pareto_k(log_weight)))
        history = list(zip(rounds.in_hindsight([e for e, _ in own]), [k for _, k in own], strict=True))
        best = int(np.argmax([e for e, _ in history]))
        saving = n_eff * (1.0 / max(history[best][0], 1e-9) - 1.0 / reachable)
        is_converged = _is_enough(history, n_full=n_full, is_worth_more=saving > growth * per_round)
        if is_converged:
            break
        mixture, beta = _updated(mixture, anchors, rounds, rng)
        mixture = anchored(mixture, anchors)
        n_full += beta == 1.0
        if n_full > 1:
            # Found, but not fitted well enough: what is missing now is points to fit more shape to.
            growth = min(GROWTH * growth, LARGEST_GROWTH)
    z, _, log_weight = rounds.weighted()
    shift, low, high = _movement(start if origin is None else origin, z, log_weight)
    first = own[0] if earlier is None else (earlier.first_efficiency, earlier.first_k)
    return Adapted(
        mixture=rounds.mixtures[best - len(own)],
        rounds=rounds,
        efficiency=history[best][0],
        k=history[best][1],
        is_converged=is_converged,
        n_rounds=len(history) + (0 if earlier is None else earlier.n_rounds),
        first_efficiency=first[0],
        first_k=first[1],
        shift=shift,
        narrowest=low,
        widest=high,
    )


def _is_enough(history: list[tuple[float, float]], *, n_full: int, is_worth_more: bool) -> bool:
    """Whether another round is not worth its calls: the mixture is good, or as good as it gets. A mixture still on its way is neither."""
    efficiency, k = history[-1]
    best = max(e for e, _ in history)
    if efficiency >= EFFICIENCY_ENOUGH and efficiency == best and k < K_ENOUGH and not is_worth_more:
        return True
    if best > EFFICIENCY_ENOUGH and len(history) >= 3:
        return best < 1.1 * max(e for e, _ in history[:-2])  # two rounds brought nothing more
    if len(history) < 6 or n_full < 3 or best <= EFFICIENCY_LEAST:
        return False
    return max(e for e, _ in history[-3:]) < 1.1 * max(e for e, _ in history[:-3])


def _movement(start: Mixture, z: Array, log_weight: Array) -> tuple[float, float, float]:
    """Largest whitened shift, smallest and largest ratio of widths, of the posterior against the first proposal."""
    if effective_sample_size(log_weight) == 0.0:
        return 0.0, 1.0, 1.0
    center, spread = _own_moments(start)
    mean, covariance = moments(z, weights_from(log_weight))
    factor = np.linalg.cholesky(spread)
    shift = solve_triangular(factor, mean - center, lower=True)
    half = solve_triangular(factor, covariance, lower=True)
    widths = np.sqrt(np.maximum(np.linalg.eigvalsh(solve_triangular(factor, half.T, lower=True)), 0.0))
    return float(np.max(np.abs(shift))), float(widths[0]), float(widths[-1])


def _own_moments(mixture: Mixture) -> tuple[Array, Array]:
    """Mean and covariance of a mixture's components in probit space, without prior and wings."""
    center = mixture.weight @ mixture.mean
    spread = np.einsum("k,kij->ij", mixture.weight, mixture.covariance)
    spread = spread + np.einsum("k,ki,kj->ij", mixture.weight, mixture.mean - center, mixture.mean - center)
    if not len(mixture.bending):
        return center, spread
    x = stream(0, "adaptation.moments").multivariate_normal(center, spread, size=4000, method="cholesky")
    return moments(mixture.bending.bent(x), np.full(4000, 1.0 / 4000))
