"""Classic test problems with known evidence, by `fitcore.fit` with default settings: error against claimed error.

    python -m benchmarks.evidences                   all problems, five seeds each; kept in evidences.json
    python -m benchmarks.evidences --only shells     some, or with --seeds 2 fewer; keeps nothing

"chi2" is the sum of (error / claimed error)^2 over the seeds; over honest claims it is near the number of seeds.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import fitcore as fc  # isort: skip  (double precision before jax.numpy)

import jax.numpy as jnp
from jax.scipy.special import logsumexp

SEEDS = 5
LOG_2PI = float(np.log(2.0 * np.pi))


def _gauss(x: Any) -> Any:
    return jnp.sum(-0.5 * ((x - 0.5) / 0.1) ** 2 - 0.5 * LOG_2PI - jnp.log(0.1))


def _correlated(x: Any) -> Any:
    covariance = 0.05 * np.eye(3) + 0.95
    log_norm = -0.5 * np.linalg.slogdet(covariance)[1] - 1.5 * LOG_2PI
    return -0.5 * x @ jnp.asarray(np.linalg.inv(covariance)) @ x + log_norm


def _egg_box(x: Any) -> Any:
    return (2.0 + jnp.prod(jnp.cos(0.5 * x))) ** 5


def _shells(x: Any) -> Any:
    first = jnp.zeros(len(x)).at[0].set(3.5)
    rings = jnp.stack([-0.5 * ((jnp.linalg.norm(x - sign * first) - 2.0) / 0.1) ** 2 for sign in (-1.0, 1.0)])
    return logsumexp(rings) - 0.5 * LOG_2PI - jnp.log(0.1)


def _rosenbrock(x: Any) -> Any:
    return -(100.0 * (x[1] - x[0] ** 2) ** 2 + (1.0 - x[0]) ** 2)


def _log_gamma_1(x: Any, location: float) -> Any:
    """Log density of a log-gamma variable with shape 1 and scale 1/30."""
    y = (x - location) * 30.0
    return y - jnp.exp(y) + jnp.log(30.0)


def _normal(x: Any, mean: float) -> Any:
    return -0.5 * ((x - mean) * 30.0) ** 2 + jnp.log(30.0) - 0.5 * LOG_2PI


def _log_gamma(x: Any) -> Any:
    """Four modes in the first two parameters, skewed and plain ones in the others (Beaujean & Caldwell 2013, arXiv:1304.7808)."""
    pair = [jnp.logaddexp(f(x[i], 1 / 3), f(x[i], 2 / 3)) - jnp.log(2.0) for i, f in enumerate((_log_gamma_1, _normal))]
    d = len(x)
    skewed = [_log_gamma_1(x[i], 2 / 3) for i in range(2, (d + 2) // 2)]
    plain = [_normal(x[i], 2 / 3) for i in range((d + 2) // 2, d)]
    return sum(pair + skewed + plain)


@dataclass(frozen=True, kw_only=True)
class Classic:
    """A log-likelihood on a cube, and the exact logarithm of its mean there."""

    log_likelihood: Callable[[Any], Any]
    n_dim: int
    lower: float
    upper: float
    log_evidence: float


CLASSICS: dict[str, Classic] = {
    "gaussian 10": Classic(log_likelihood=_gauss, n_dim=10, lower=0.0, upper=1.0, log_evidence=-0.000006),
    "correlated gaussian 3": Classic(log_likelihood=_correlated, n_dim=3, lower=-10.0, upper=10.0, log_evidence=-8.987197),
    "egg-box 2": Classic(log_likelihood=_egg_box, n_dim=2, lower=0.0, upper=10.0 * np.pi, log_evidence=235.855940),
    "shells 2": Classic(log_likelihood=_shells, n_dim=2, lower=-6.0, upper=6.0, log_evidence=-1.745642),
    "shells 5": Classic(log_likelihood=_shells, n_dim=5, lower=-6.0, upper=6.0, log_evidence=-5.673601),
    "shells 10": Classic(log_likelihood=_shells, n_dim=10, lower=-6.0, upper=6.0, log_evidence=-14.590491),
    "rosenbrock 2": Classic(log_likelihood=_rosenbrock, n_dim=2, lower=-5.0, upper=5.0, log_evidence=-5.804132),
    "log-gamma 2": Classic(log_likelihood=_log_gamma, n_dim=2, lower=0.0, upper=1.0, log_evidence=-0.000023),
    "log-gamma 10": Classic(log_likelihood=_log_gamma, n_dim=10, lower=0.0, upper=1.0, log_evidence=-0.000023),
}


class ClassicAnalysis(fc.Analysis):
    """A classic problem as a user would write it."""

    def __init__(self, name: str) -> None:
        super().__init__(use_jax=True)
        self.name = name

    def log_likelihood_function(self, instance: Any) -> Any:
        return CLASSICS[self.name].log_likelihood(jnp.stack(instance["x"]))


def model_of(classic: Classic) -> fc.Model:
    """The model whose prior is the cube."""
    return fc.Model({"x": [fc.Uniform(classic.lower, classic.upper) for _ in range(classic.n_dim)]})


def measured(name: str, search: fc.Search, seeds: range) -> dict[str, Any]:
    """One row: errors over claims, calls, grades, seconds."""
    classic = CLASSICS[name]
    errors, claims, calls, seconds, grades = [], [], [], [], ""
    for seed in seeds:
        start = time.perf_counter()
        result = fc.fit(model_of(classic), ClassicAnalysis(name), search, seed=seed, progress=False)
        seconds.append(time.perf_counter() - start)
        errors.append(result.log_evidence - classic.log_evidence)
        claims.append(result.log_evidence_error)
        calls.append(result.samples_summary.n_calls)
        grades += str(result.samples_summary.diagnostics["grade"])
    pulls = np.array(errors) / np.array(claims)
    return {
        "log_evidence": classic.log_evidence,
        "errors": [round(float(e), 4) for e in errors],
        "claims": [round(float(c), 4) for c in claims],
        "chi2": round(float(np.sum(pulls**2)), 2),
        "worst_pull": round(float(np.max(np.abs(pulls))), 2),
        "calls": round(float(np.mean(calls))),
        "grades": grades,
        "seconds": round(float(np.mean(seconds)), 1),
    }


def main() -> None:
    """Print the table; keep it unless it is a part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    options = parser.parse_args()
    rows: dict[str, Any] = {}
    for name in CLASSICS:
        if options.only in name:
            rows[name] = measured(name, fc.Nautilus(), range(options.first, options.first + options.seeds))
            print(f"{name:22}", json.dumps(rows[name]), flush=True)
    chi2, n = sum(row["chi2"] for row in rows.values()), options.seeds * len(rows)
    print(f"chi2 {chi2:.1f} over {n} runs")
    if not options.only and options.seeds == SEEDS and not options.first:
        record = {
            "command": "python -m benchmarks.evidences",
            "machine": f"{platform.machine()}, two cores",
            "python": platform.python_version(),
            "chi2": round(chi2, 1),
            "n": n,
            "rows": rows,
        }
        Path(__file__).with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
