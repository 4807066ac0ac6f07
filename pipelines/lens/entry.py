"""The lens pipelines as the flows see them; the only module that is found by name. Their report is in `page`, which is costly to import."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fitcore import Pipeline, Result
from pipelines.lens.assess import assess, intervals
from pipelines.lens.dataset import Imaging
from pipelines.lens.quick import quick_pipeline
from pipelines.lens.simulate import simulate_example
from pipelines.lens.stages import lens_pipeline
from pipelines.lens.verdict import verdict_of


class LensEntry:
    """A chain of lens stages whose first is ``basin``, under a short name.

    Parameters
    ----------
    name : registered in the entry points.
    pipeline : makes the chain, with the settings of some stages' searches replaced.

    A pipeline of one's own is one of these and a line in the entry points: see `docs/pipelines.md`.
    """

    def __init__(self, name: str, pipeline: Callable[[dict[str, dict[str, Any]]], Pipeline]) -> None:
        self.name = name
        self.pipeline = pipeline
        self.stage_names = pipeline({}).stage_names
        self.latent_stage = self.stage_names[-1]

    def load(self, path: Path) -> Imaging:
        """The dataset in a folder."""
        return Imaging.from_folder(path)

    def build(self, settings: Mapping[str, Mapping[str, Any]]) -> Pipeline:
        """The chain, with the settings of some stages' searches replaced."""
        return self.pipeline({stage: dict(fields) for stage, fields in settings.items()})

    def describe(self, dataset: Imaging, results: Mapping[str, Result]) -> dict[str, Any]:
        """Verdict with reasons; parameters of the last stage and its latent variables at 1 sigma."""
        verdict, reasons = verdict_of(assess(dataset, results).measures)
        last = results[self.latent_stage]
        latents = last.latent_samples
        return {
            "verdict": verdict,
            "headline": "einstein_radius_effective",
            "reasons": reasons,
            "parameters": intervals(last.samples),
            "latents": {} if latents is None else intervals(latents),
        }

    def simulate(self, target: Path, seed: int) -> Path:
        """A simulated lens with its truth beside it."""
        return simulate_example(target, seed)


LENS = LensEntry("lens", lens_pipeline)
QUICK = LensEntry("quick", quick_pipeline)
