"""The lens pipelines as the flows see them; the only module that is found by name. Their report is in `page`, which is costly to import.

So is what loads data and fits: it is imported when it is first used, and a table of results, which asks for the board alone, needs no JAX.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fitcore.errors import DataError
from pipelines.lens.board import BOARD
from pipelines.lens.verdict import stage_to_blame, verdict_of

if TYPE_CHECKING:
    from fitcore import Pipeline, Result
    from pipelines.lens.bands import Bands
    from pipelines.lens.dataset import Imaging

Settings = Mapping[str, Mapping[str, Any]]
Chain = Callable[[dict[str, dict[str, Any]]], "Pipeline"]


def _part(name: str) -> Any:
    """A module of this package, which is imported now if it was not before."""
    return importlib.import_module(f"pipelines.lens.{name}")


class LensEntry:
    """A chain of lens stages whose first is ``basin``, under a short name.

    Parameters
    ----------
    name : registered in the entry points.
    pipeline : makes the chain of one image, with the settings of some stages' searches replaced.
    joint : makes that of several bands (`bands.Bands`), in the same way; None where there is none.

    A pipeline of one's own is one of these and a line in the entry points: see `docs/pipelines.md`.
    """

    board = BOARD

    def __init__(self, name: str, pipeline: Chain, joint: Chain | None = None) -> None:
        self.name = name
        self.pipeline = pipeline
        self.joint = joint

    @cached_property
    def stage_names(self) -> tuple[str, ...]:
        """Of either chain."""
        own = self.pipeline({}).stage_names
        return own + (() if self.joint is None else tuple(stage for stage in self.joint({}).stage_names if stage not in own))

    @cached_property
    def latent_stage(self) -> str:
        """The last of both chains."""
        return self.pipeline({}).stage_names[-1]

    def load(self, path: Path) -> Imaging | Bands:
        """The dataset in a folder: one image, or several bands of one lens.

        Raises
        ------
        DataError
            for anything that cannot be fitted, and for several bands where this pipeline fits one image only.
        """
        bands = _part("bands")
        dataset = bands.load(path)
        if isinstance(dataset, bands.Bands) and self.joint is None:
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
        if self.joint is None or not isinstance(dataset, _part("bands").Bands):
            return self.build(settings)
        return self.joint({stage: dict(fields) for stage, fields in settings.items()})

    def describe(self, dataset: Imaging | Bands, results: Mapping[str, Result]) -> dict[str, Any]:
        """Verdict with reasons; parameters of the last stage and its latent variables at 1 sigma; numbers of the best fit."""
        assess = _part("assess")
        found = assess.assess(dataset, results)
        verdict, reasons = verdict_of(found.measures)
        last = results[self.latent_stage]
        latents = last.latent_samples
        return {
            "verdict": verdict,
            "headline": "einstein_radius_effective",
            "reasons": reasons,
            "parameters": assess.intervals(last.samples),
            "latents": {} if latents is None else assess.intervals(latents),
            "measures": {"chi2_per_pixel": found.chi_squared, "residual_peak": found.residual_peak},
            "blame": stage_to_blame(reasons) or "",
        }

    def simulate(self, target: Path, seed: int) -> Path:
        """A simulated lens with its truth beside it."""
        return _part("simulate").simulate_example(target, seed)


def _lens(searches: dict[str, dict[str, Any]]) -> Pipeline:
    return _part("stages").lens_pipeline(searches)


def _joint(searches: dict[str, dict[str, Any]]) -> Pipeline:
    return _part("joint_stages").joint_pipeline(searches)


def _quick(searches: dict[str, dict[str, Any]]) -> Pipeline:
    return _part("quick").quick_pipeline(searches)


LENS = LensEntry("lens", _lens, _joint)
QUICK = LensEntry("quick", _quick, _quick)
