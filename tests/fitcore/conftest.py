"""A toy problem with a known answer, a search that needs no tuning, and an analysis that records its hooks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from fitcore.analysis.analysis import Analysis
from fitcore.errors import SearchInterruptedError
from fitcore.model import Model, Normal, Uniform
from fitcore.search.base import Checkpoint, Problem, Progress, ProgressEvent, Search, SearchOutcome
from fitcore.store import Store


@dataclass(frozen=True, kw_only=True)
class PriorSampling(Search):
    """Draws from the prior, in batches, with a checkpoint after every batch."""

    n_batches: int = 20
    batch: int = 200

    def run(self, problem: Problem, *, seed: int, checkpoint: Checkpoint, progress: Progress) -> SearchOutcome:
        state = checkpoint.load_arrays()
        u = np.empty((0, problem.n_dim)) if state is None else state["u"]
        log_l = np.empty(0) if state is None else state["log_l"]
        for i in range(len(u) // self.batch, self.n_batches):
            block = np.random.default_rng([seed, i]).random((self.batch, problem.n_dim))
            u, log_l = np.concatenate([u, block]), np.concatenate([log_l, problem.log_likelihood(block)])
            best = int(np.argmax(log_l))
            progress(ProgressEvent(phase="sampling", n_calls=len(u), u_best=u[best], log_likelihood_best=float(log_l[best])))
            checkpoint.save_arrays({"u": u, "log_l": log_l}, n_calls=len(u))
            if checkpoint.stop_requested():
                raise SearchInterruptedError("asked to stop; the work is saved, run the same command again")
        keep = np.isfinite(log_l)
        weight = np.exp(log_l - log_l.max())
        return SearchOutcome(
            u=u[keep],
            log_likelihood=log_l[keep],
            log_weight=np.log(weight[keep] / weight.sum()),
            log_evidence=float(np.log(weight.mean()) + log_l.max()),
            log_evidence_error=float(weight.std() / weight.mean() / np.sqrt(len(weight))),
            n_calls=len(u),
            diagnostics={"grade": "A"},
            internal={"n": len(u)},
        )


class Point(Analysis):
    """Two measurements of two numbers; records which hooks ran."""

    LATENT_KEYS = ("sum", "root")

    def __init__(self, x: float = 0.3, y: float = -0.2, use_jax: bool = False) -> None:
        super().__init__(use_jax=use_jax)
        self.x, self.y = x, y
        self.calls: list[str] = []

    def identity(self) -> dict[str, Any]:
        return {"x": self.x, "y": self.y, "use_jax": self.use_jax}

    def log_likelihood_function(self, instance: Any) -> Any:
        return -0.5 * (((instance["a"] - self.x) / 0.1) ** 2 + ((instance["b"] - self.y) / 0.2) ** 2)

    def modify_model(self, model: Model) -> Model:
        self.calls.append("modify_model")
        return model

    def modify_before_fit(self, paths: Any, model: Model) -> Analysis:
        self.calls.append("modify_before_fit")
        return self

    def save_attributes(self, paths: Any) -> None:
        self.calls.append("save_attributes")
        paths.save_json("data", {"x": self.x})

    def modify_after_fit(self, paths: Any, model: Model, result: Any) -> Analysis:
        self.calls.append("modify_after_fit")
        return self

    def save_results(self, paths: Any, result: Any) -> None:
        self.calls.append("save_results")

    def save_results_combined(self, paths: Any, result: Any) -> None:
        self.calls.append("save_results_combined")

    def compute_latent_variables(self, parameters: Any, model: Model) -> tuple[Any, ...]:
        root = jnp.sqrt if self.use_jax else (lambda value: np.sqrt(value) if value >= 0 else np.nan)
        return parameters[0] + parameters[1], root(-parameters[1])


@pytest.fixture
def toy_model() -> Model:
    return Model({"a": Uniform(-1, 1), "b": Normal(0, 1)})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def point() -> type[Point]:
    return Point


@pytest.fixture
def prior_sampling() -> type[PriorSampling]:
    return PriorSampling
