"""The lens pipelines as the flows see them; the only module that is found by name. Their report is in `page`, which is costly to import."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fitcore import DataError, Pipeline, Result
from pipelines.lens.assess import assess, intervals
from pipelines.lens.bands import Bands, load
from pipelines.lens.board import BOARD
from pipelines.lens.dataset import Imaging
from pipelines.lens.joint_stages import joint_pipeline
from pipelines.lens.quick import quick_pipeline
from pipelines.lens.simulate import simulate_example
from pipelines.lens.stages import lens_pipeline
from pipelines.lens.verdict import stage_to_blame, verdict_of

Settings = Mapping[str, Mapping[str, Any]]
Chain = Callable[[dict[str, dict[str, Any]]], Pipeline]


class LensEntry:
    """A chain of lens stages whose first is ``basin``, under a short name.

    Parameters
    ----------
    name : registered in the entry points.
    pipeline : makes the chain of one image, with the settings of some stages' searches replaced.
    joint : makes that of several bands (`bands.Bands`), in the same way; None where there is none.

    ``stage_names`` are those of either chain, ``latent_stage`` the last of both.

    A pipeline of one's own is one of these and a line in the entry points: see `docs/pipelines.md`.
    """

    board = BOARD

    def __init__(self, name: str, pipeline: Chain, joint: Chain | None = None) -> None:
        self.name = name
        self.pipeline = pipeline
        self.joint = joint
        own = pipeline({}).stage_names
        further = () if joint is None else tuple(stage for stage in joint({}).stage_names if stage not in own)
        self.stage_names = own + further
        self.latent_stage = own[-1]

    def load(self, path: Path) -> Imaging | Bands:
        """The dataset in a folder: one image, or several bands of one lens.

        Raises
        ------
        DataError
            for anything that cannot be fitted, and for several bands where this pipeline fits one image only.
        """
        dataset = load(path)
        if isinstance(dataset, Bands) and self.joint is None:
            raise DataError(
                f"{path} has the bands {list(dataset.names)}; the pipeline {self.name!r} fits one image. Give it the folder of one band, "
                "or use --pipeline lens."
            )
        return dataset

    def build(self, settings: Settings) -> Pipeline:
        """The chain of one image, with the settings of some stages' searches replaced."""
        return self.pipeline({stage: dict(fields) for stage, fields in settings.items()})

    def build_for(self, dataset: Imaging | Bands, settings: Settings) -> Pipeline:
        """The chain of this dataset; see `build`."""
        if not isinstance(dataset, Bands) or self.joint is None:
            return self.build(settings)
        return self.joint({stage: dict(fields) for stage, fields in settings.items()})

    def describe(self, dataset: Imaging | Bands, results: Mapping[str, Result]) -> dict[str, Any]:
        """Verdict with reasons; parameters of the last stage and its latent variables at 1 sigma; numbers of the best fit."""
        found = assess(dataset, results)
        verdict, reasons = verdict_of(found.measures)
        last = results[self.latent_stage]
        latents = last.latent_samples
        return {
            "verdict": verdict,
            "headline": "einstein_radius_effective",
            "reasons": reasons,
            "parameters": intervals(last.samples),
            "latents": {} if latents is None else intervals(latents),
            "measures": {"chi2_per_pixel": found.chi_squared, "residual_peak": found.residual_peak},
            "blame": stage_to_blame(reasons) or "",
        }

    def simulate(self, target: Path, seed: int) -> Path:
        """A simulated lens with its truth beside it."""
        return simulate_example(target, seed)


LENS = LensEntry("lens", lens_pipeline, joint_pipeline)
QUICK = LensEntry("quick", quick_pipeline, quick_pipeline)
