"""The chain `lens` of one lens in several bands: the first stage on the reference alone, the others on all bands together.

1. ``basin``: as for one image, on the reference; a result of the reference alone is found in the store.
2. ``bands``: each further band's offset and lens light, by a descent in all bands from there; Laplace samples.
3. ``isothermal``, 4. ``power_law``: as for one image, on all bands; the lens light keeps its shape in each.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fitcore import Importance, Link, Model, Pipeline, Stage
from fitcore.identity import round_linked
from fitcore.stage import Results
from pipelines.lens.bands import Bands
from pipelines.lens.inadequacy import Misfit
from pipelines.lens.joint_analysis import OFFSET_SIGMA, JointAnalysis
from pipelines.lens.joint_search import JointDescent
from pipelines.lens.stages import (
    LIGHT_SHAPE,
    MASS_ABOUT_LIGHT,
    MISFIT,
    RADIUS_LIMITS,
    SECOND_SHAPE,
    held_at_best,
    lens_pipeline,
    mass_about_light,
    radius_in_basin,
    with_free_slope,
)

HELD = (*LIGHT_SHAPE, *SECOND_SHAPE)


def _start_of(results: Results) -> dict[str, float]:
    """The reference's best fit."""
    return {path: float(round_linked(value)) for path, value in results["basin"].samples_summary.by_path("best").items()}


def _of_all_bands(results: Results) -> Model:
    """Stage 1's model in its basin, nothing held; `JointAnalysis.modify_model` adds the bands."""
    basin = results["basin"]
    return basin.model.replace({**radius_in_basin(basin), **mass_about_light(basin)})


def _in_basin(results: Results) -> Model:
    """Stage 2's model with every lens light and the second source set at their best shape."""
    joint = results["bands"]
    further = tuple(path for path in joint.model.paths if path.startswith("bands.") and ".lens_light." in path)
    return held_at_best(joint, (*HELD, *further))


def with_misfits(dataset: Bands, results: Results) -> JointAnalysis:
    """All bands, with the misfit of stage 2's solution in the noise of each."""
    return JointAnalysis(dataset, misfits=[Misfit.of(results["bands"], band) for band in (None, *dataset.names[1:])])


def joint_pipeline(searches: dict[str, dict[str, Any]] | None = None) -> Pipeline:
    """The chain, with the settings of some stages' searches replaced; `ConfigError` for a stage or a setting that there is not."""
    misfit = replace(MISFIT, source="bands", what=f"{MISFIT.what}, in each band its own")
    stages = [
        lens_pipeline().stage("basin"),
        Stage(
            "bands",
            _of_all_bands,
            lambda dataset, results: JointAnalysis(dataset, start=_start_of(results)),
            JointDescent(),
            needs=("basin",),
            links=(
                Link(
                    source="basin",
                    kind="proposal",
                    what="all 21 parameters of the reference band, where the descent starts",
                    why="the solution is looked for in one band; the others are to agree with it",
                ),
                RADIUS_LIMITS,
                MASS_ABOUT_LIGHT,
            ),
        ),
        Stage(
            "isothermal",
            _in_basin,
            with_misfits,
            Importance(n_eff=1000, scout_starts=0),
            needs=("bands",),
            proposal="bands",
            links=(
                Link(
                    source="bands",
                    kind="fixed",
                    what="center and ellipticities of each band's lens light, shape and offset of the source's second set, at the best fit",
                    why="their errors are far below those of the mass, and all amplitudes stay free, in each band its own",
                ),
                misfit,
                Link(
                    source="bands",
                    kind="proposal",
                    what=f"mass, shear, source, and each band's offset, whose prior is normal with {OFFSET_SIGMA} arcsec",
                    why="the same data: the Laplace samples steer the search, and the priors stay as they are",
                ),
            ),
        ),
        Stage(
            "power_law",
            with_free_slope,
            with_misfits,
            Importance(n_eff=1000, scout_starts=0),
            needs=("bands", "isothermal"),
            proposal="isothermal",
            links=tuple(misfit if link == MISFIT else link for link in lens_pipeline().stage("power_law").links),
        ),
    ]
    return Pipeline("lens", stages).with_searches(searches or {})
