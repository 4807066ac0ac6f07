"""Shells and draws pooled, on a case that is known: a line cut into two shells, the first of which hides a spike."""

from __future__ import annotations

import numpy as np
import pytest

from fitcore.search.pooled import Draws, Pool, Shell

EDGE = 0.9  # the inner shell lies above
SPIKE = (0.3, 1e-4)  # place and width in the outer shell
SHARE = 0.2  # of the evidence, which is 1


def log_likelihood(x: np.ndarray) -> np.ndarray:
    """0.2 of the evidence in the spike, 0.8 evenly in the inner shell."""
    place, width = SPIKE
    spike = SHARE * np.exp(-0.5 * ((x - place) / width) ** 2) / (width * np.sqrt(2 * np.pi))
    with np.errstate(divide="ignore"):
        return np.log(spike + np.where(x > EDGE, (1.0 - SHARE) / (1.0 - EDGE), 0.0))


def density(x: np.ndarray) -> np.ndarray:
    """Half of the draws come from a bell about the spike, three times as wide, half from everywhere."""
    place, width = SPIKE[0], 3.0 * SPIKE[1]
    return 0.5 * np.exp(-0.5 * ((x - place) / width) ** 2) / (width * np.sqrt(2 * np.pi)) + 0.5


def drawn(n: int, rng: np.random.Generator) -> Draws:
    x = np.where(rng.random(n) < 0.5, rng.normal(SPIKE[0], 3.0 * SPIKE[1], n), rng.random(n))
    return Draws(u=x[:, None], log_likelihood=log_likelihood(x), log_ratio=np.log(density(x)), shell=(x > EDGE).astype(np.intp))


def shells_of(n: int, rng: np.random.Generator) -> list[Shell]:
    outer, inner = EDGE * rng.random(n), EDGE + (1.0 - EDGE) * rng.random(n)
    volumes = np.log([EDGE, 1.0 - EDGE])
    return [
        Shell(u=x[:, None], log_likelihood=log_likelihood(x), log_volume=float(v), volume_variance=0.0)
        for x, v in zip((outer, inner), volumes, strict=True)
    ]


def pooled(n_uniform: int, n_drawn: int, rng: np.random.Generator) -> tuple[Pool, list[Shell]]:
    shells, pool = shells_of(n_uniform, rng), Pool(2)
    pool.add(drawn(n_drawn, rng))
    for i, shell in enumerate(shells):
        pool.update(i, shell, np.log(density(shell.u[:, 0])))
    return pool, shells


def test_each_point_is_weighted_against_the_sum_of_both_densities() -> None:
    pool, shells = pooled(50, 30, np.random.default_rng(1))
    u, value, log_weight = pool.points(shells)
    volume = np.where(u[:, 0] > EDGE, 1.0 - EDGE, EDGE)
    expected = np.exp(log_likelihood(u[:, 0])) / (50 / volume + 30 * density(u[:, 0]))
    assert len(u) == 130
    np.testing.assert_array_equal(value, log_likelihood(u[:, 0]))
    np.testing.assert_allclose(np.exp(log_weight), expected, rtol=1e-12)
    assert pool.evidence()[0] == pytest.approx(np.log(expected.sum()), rel=1e-12)
    assert pool.n_eff == pytest.approx(expected.sum() ** 2 / np.sum(expected**2), rel=1e-12)
    is_drawn = np.concatenate([np.arange(len(pool.draws[i][0].u) + 50) >= 50 for i in range(2)])
    assert pool.drawn_share == pytest.approx(expected[is_drawn].sum() / expected.sum(), rel=1e-12)


def test_the_evidence_is_unbiased_and_its_error_honest_where_shells_alone_miss_the_spike() -> None:
    rng = np.random.default_rng(2)
    errors, claims, alone = [], [], []
    for _ in range(300):
        pool, shells = pooled(200, 300, rng)
        log_evidence, claim = pool.evidence()
        errors.append(np.exp(log_evidence) - 1.0)
        claims.append(claim)
        alone.append(sum(np.exp(s.log_volume) * np.mean(np.exp(s.log_likelihood)) for s in shells))
    assert np.mean(errors) == pytest.approx(0.0, abs=4 * np.std(errors) / np.sqrt(300))
    assert np.std(errors) == pytest.approx(np.sqrt(np.mean(np.square(claims))), rel=0.15)
    assert np.median(alone) == pytest.approx(1.0 - SHARE, abs=1e-3)  # nine times in ten no uniform point hits the spike


def test_the_error_of_a_volume_counts_by_the_share_that_rests_on_it() -> None:
    pool, shells = pooled(200, 300, np.random.default_rng(3))
    plain = pool.evidence()[1] ** 2
    uncertain = Shell(u=shells[1].u, log_likelihood=shells[1].log_likelihood, log_volume=shells[1].log_volume, volume_variance=0.01)
    pool.update(1, uncertain, np.log(density(uncertain.u[:, 0])))
    u, _, log_weight = pool.points(shells)
    inside = u[:, 0] > EDGE
    by_shell = 200 / (1.0 - EDGE) / (200 / (1.0 - EDGE) + 300 * density(u[:, 0]))
    share = np.sum((np.exp(log_weight) * by_shell)[inside]) / np.sum(np.exp(log_weight))
    assert pool.evidence()[1] ** 2 == pytest.approx(plain + 0.01 * share**2, rel=1e-9)


def test_where_the_mixture_is_nowhere_the_error_is_that_of_the_shells_means() -> None:
    rng, pool = np.random.default_rng(7), Pool(2)
    shells = [
        Shell(u=rng.random((n, 1)), log_likelihood=rng.standard_normal(n), log_volume=float(np.log(volume)), volume_variance=0.0)
        for n, volume in ((40, 0.7), (90, 0.3))
    ]
    pool.add(
        Draws(u=np.full((1, 1), 0.5), log_likelihood=np.full(1, -np.inf), log_ratio=np.full(1, -80.0), shell=np.zeros(1, dtype=np.intp))
    )
    for i, shell in enumerate(shells):
        pool.update(i, shell, np.full(len(shell.u), -80.0))
    means = [np.exp(s.log_volume) * np.exp(s.log_likelihood).mean() for s in shells]
    errors = [np.exp(s.log_volume) * np.exp(s.log_likelihood).std(ddof=1) / np.sqrt(len(s.u)) for s in shells]
    log_evidence, claim = pool.evidence()
    assert log_evidence == pytest.approx(np.log(sum(means)), rel=1e-12)
    assert claim == pytest.approx(np.hypot(*errors) / sum(means), rel=1e-9)


def test_the_next_points_go_where_the_weights_scatter_most() -> None:
    rng = np.random.default_rng(4)
    shells, pool = shells_of(100, rng), Pool(2)
    pool.add(drawn(10, rng))
    rough = Shell(u=shells[0].u, log_likelihood=5.0 * rng.standard_normal(100), log_volume=shells[0].log_volume, volume_variance=0.0)
    for i, shell in enumerate([rough, shells[1]]):
        pool.update(i, shell, np.log(density(shell.u[:, 0])))
    assert pool.most_scattered == 0


def test_more_draws_change_every_weight() -> None:
    rng = np.random.default_rng(5)
    pool, shells = pooled(50, 30, rng)
    pool.add(drawn(40, rng))
    for i, shell in enumerate(shells):
        pool.update(i, shell, np.log(density(shell.u[:, 0])))
    u, _, log_weight = pool.points(shells)
    volume = np.where(u[:, 0] > EDGE, 1.0 - EDGE, EDGE)
    np.testing.assert_allclose(np.exp(log_weight), np.exp(log_likelihood(u[:, 0])) / (50 / volume + 70 * density(u[:, 0])), rtol=1e-12)


def test_empty_shells_and_a_likelihood_of_zero() -> None:
    rng, pool = np.random.default_rng(6), Pool(2)
    empty = Shell(u=np.zeros((0, 1)), log_likelihood=np.zeros(0), log_volume=-np.inf, volume_variance=0.0)
    pool.add(drawn(2000, rng))
    for i in range(2):
        pool.update(i, empty, np.zeros(0))
    assert pool.evidence()[0] == pytest.approx(0.0, abs=4 * pool.evidence()[1])
    assert pool.drawn_share == 1.0

    nothing = Pool(1)
    nothing.add(Draws(u=np.full((3, 1), 0.5), log_likelihood=np.full(3, -np.inf), log_ratio=np.zeros(3), shell=np.zeros(3, dtype=np.intp)))
    nothing.update(0, empty, np.zeros(0))
    assert (nothing.evidence(), nothing.n_eff) == ((-np.inf, np.inf), 0.0)
