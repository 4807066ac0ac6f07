"""The error of nautilus's evidence: the formula by hand, and the scatter of simulated shells."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fitcore.search.adapter import evidence_error


def sampler(**changes: Any) -> Any:
    """Two shells of 0.7 and 0.3 of the evidence, the exploration discarded."""
    settings: dict[str, Any] = {
        "shell_log_l": np.log([7.0, 3.0]),
        "shell_log_v": np.zeros(2),
        "shell_n": np.array([400, 100]),
        "shell_n_eff": np.array([200.0, 50.0]),
        "shell_n_sample": np.array([1000, 300]),
        "shell_n_sample_exp": np.array([200, 100]),
        "discard_exploration": True,
        "bounds": [None, None],
    }
    return SimpleNamespace(**{**settings, **changes})


def test_each_shell_adds_its_scatter_and_its_binomial_error_by_the_square_of_its_share() -> None:
    first = (1 / 200 - 1 / 400) + 0.5 / (0.5 * 800)
    second = (1 / 50 - 1 / 100) + 0.5 / (0.5 * 200)
    assert evidence_error(sampler()) == pytest.approx(np.sqrt(0.49 * first + 0.09 * second), rel=1e-12)


def test_draws_of_the_exploration_count_only_where_they_are_kept() -> None:
    kept = (1 / 200 - 1 / 400) + 0.6 / (0.4 * 1000), (1 / 50 - 1 / 100) + (2 / 3) / (1 / 3 * 300)
    assert evidence_error(sampler(discard_exploration=False)) == pytest.approx(np.sqrt(0.49 * kept[0] + 0.09 * kept[1]), rel=1e-12)


def test_the_volume_of_a_bound_has_an_error_of_its_own() -> None:
    bound = SimpleNamespace(n_sample=1000, n_reject=600, outer_bound=SimpleNamespace(n_sample=500, n_reject=100))
    plain = evidence_error(sampler()) ** 2
    added = 0.6 / (0.4 * 1000) + 0.2 / (0.8 * 500)
    assert evidence_error(sampler(bounds=[bound, None])) == pytest.approx(np.sqrt(plain + 0.49 * added), rel=1e-12)


def test_shells_without_points_or_likelihood_count_nothing() -> None:
    more = sampler(
        shell_log_l=np.append(np.log([7.0, 3.0]), -np.inf),
        shell_log_v=np.zeros(3),
        shell_n=np.array([400, 100, 0]),
        shell_n_eff=np.array([200.0, 50.0, 0.0]),
        shell_n_sample=np.array([1000, 300, 10]),
        shell_n_sample_exp=np.array([200, 100, 0]),
        bounds=[None] * 3,
    )
    assert evidence_error(more) == evidence_error(sampler())


def test_it_is_the_scatter_of_simulated_shells() -> None:
    """One shell: of n_drawn points of the bound a binomial number falls inside, each with a log-normal likelihood."""
    rng, n_drawn, share = np.random.default_rng(1), 500, 0.4
    found, claimed = [], []
    for _ in range(2000):
        n = rng.binomial(n_drawn, share)
        likelihood = np.exp(rng.standard_normal(n))
        found.append(np.log(likelihood.mean() * n / n_drawn))
        claimed.append(
            evidence_error(
                sampler(
                    shell_log_l=np.array([np.log(likelihood.mean())]),
                    shell_log_v=np.array([np.log(n / n_drawn)]),
                    shell_n=np.array([n]),
                    shell_n_eff=np.array([likelihood.sum() ** 2 / np.sum(likelihood**2)]),
                    shell_n_sample=np.array([n_drawn]),
                    shell_n_sample_exp=np.array([0]),
                    bounds=[None],
                )
            )
        )
    assert np.std(found) == pytest.approx(np.sqrt(np.mean(np.square(claimed))), rel=0.08)
