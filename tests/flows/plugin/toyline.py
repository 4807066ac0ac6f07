"""A small pipeline for the tests of the flows: a straight line through points, in two stages, seconds to run."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import fitcore as fc
from fitcore.statistics import weighted_quantile


@dataclass(frozen=True)
class Points:
    name: str
    x: Any
    y: Any
    pause: float
    latent_pause: float
    fault: str
    trace: str = ""  # a folder: a file there for each environment in which latent variables were computed


class Line(fc.Analysis):
    LATENT_KEYS = ("at_ten",)

    def __init__(self, points: Points) -> None:
        super().__init__()
        self.points = points

    def identity(self) -> dict[str, Any]:
        return {"x": self.points.x, "y": self.points.y}

    def log_likelihood_function(self, instance: Any) -> float:
        time.sleep(self.points.pause)
        if self.points.fault == "raise":
            raise ZeroDivisionError("the detector [A] was off")
        if self.points.fault == "exit":
            os._exit(9)
        print("a user's print must not disturb the lines of JSON")
        return float(-0.5 * (((self.points.y - instance["a"] - instance["b"] * self.points.x) / 0.1) ** 2).sum())

    def compute_latent_variables(self, parameters: Any, model: fc.Model) -> tuple[float]:
        if self.points.trace:
            (Path(self.points.trace) / os.environ["FITCORE_TEST_MARK"]).touch()
        time.sleep(self.points.latent_pause)
        return (float(parameters[0] + 10 * parameters[1]),)


MODEL = fc.Model({"a": fc.Uniform(-2, 2), "b": fc.Normal(0, 1)})


class Toy:
    name = "toy"
    stage_names = ("first", "second")
    latent_stage = "second"

    def load(self, path: Path) -> Points:
        if not (path / "points.json").is_file():
            raise fc.DataError(f"{path} has no points.json. Write one with name, x and y.")
        data = json.loads((path / "points.json").read_text())
        pauses = data.get("pause", 0.0), data.get("latent_pause", 0.0)
        more = data.get("fault", ""), data.get("trace", "")
        return Points(data["name"], np.array(data["x"]), np.array(data["y"]), *pauses, *more)

    def build(self, settings: Any) -> fc.Pipeline:
        search = fc.Nautilus(n_live=100, n_eff=300, n_batch=50, n_shell=20)
        link = fc.Link(source="first", kind="proposal", what="a, b", why="the same data")
        stages = [
            fc.Stage("first", MODEL, lambda data, results: Line(data), search),
            fc.Stage(
                "second",
                MODEL,
                lambda data, results: Line(data),
                fc.Importance(n_eff=300),
                needs=("first",),
                proposal="first",
                links=[link],
            ),
        ]
        return fc.Pipeline("toy", stages).with_searches(settings)

    def describe(self, dataset: Points, results: Any) -> dict[str, Any]:
        samples = results[self.latent_stage].samples
        latents = results[self.latent_stage].latent_samples

        def three(column: Any, weight: Any) -> dict[str, float]:
            lower, median, upper = weighted_quantile(column, [0.16, 0.5, 0.84], weight)
            return {"median": float(median), "lower": float(lower), "upper": float(upper)}

        return {
            "verdict": "accepted",
            "headline": "at_ten",
            "reasons": [],
            "parameters": {p: three(samples.column(p), samples.weight) for p in samples.paths},
            "latents": {p: three(latents.column(p), latents.weight) for p in latents.paths},
        }

    def report(self, dataset: Points, results: Any, outcomes: Any, *, links: Any, target: Path, context: Any) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(f"<html>{dataset.name} {len(outcomes)} {len(links)}</html>")

    def simulate(self, target: Path, seed: int) -> Path:
        target.mkdir(parents=True, exist_ok=True)
        x = np.linspace(0, 1, 20)
        y = 0.5 + 0.3 * x + np.random.default_rng(seed).normal(0, 0.1, 20)
        (target / "points.json").write_text(json.dumps({"name": target.name, "x": x.tolist(), "y": y.tolist()}))
        return target


class Fork(Toy):
    """Two stages that know nothing of each other, and one that takes both."""

    name = "fork"
    stage_names = ("left", "right", "joint")
    latent_stage = "joint"

    def build(self, settings: Any) -> fc.Pipeline:
        search = fc.Nautilus(n_live=100, n_eff=300, n_batch=50, n_shell=20)

        def narrowed(results: Any) -> fc.Model:
            middle = 0.5 * (results["left"].samples_summary.median[0] + results["right"].samples_summary.median[0])
            return fc.Model({"a": fc.Normal(middle, 0.5), "b": fc.Normal(0, 1)})

        stages = [
            fc.Stage("left", MODEL, lambda data, results: Line(half(data, 0)), search),
            fc.Stage("right", MODEL, lambda data, results: Line(half(data, 1)), search),
            fc.Stage("joint", narrowed, lambda data, results: Line(data), fc.Importance(n_eff=300), ("left", "right"), "left"),
        ]
        return fc.Pipeline("fork", stages).with_searches(settings)


def half(points: Points, start: int) -> Points:
    """Every other point."""
    return replace(points, x=points.x[start::2], y=points.y[start::2])


TOY, FORK = Toy(), Fork()
