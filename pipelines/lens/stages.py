"""The pipeline `lens`: three stages, and what each takes from the one before.

1. ``basin``: the right solution in seconds, by variable projection; Laplace samples.
2. ``isothermal``: posterior of isothermal + shear at full resolution, by importance sampling from stage 1; the light keeps its shape.
3. ``power_law``: the slope is freed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from fitcore import Importance, Link, Model, Normal, Pipeline, Result, Stage, Tied, TruncatedNormal, Uniform
from fitcore.identity import round_linked
from fitcore.stage import Results
from pipelines.lens.analysis import LensAnalysis
from pipelines.lens.bands import reference_of
from pipelines.lens.basin import RADIUS_RANGE, Basin
from pipelines.lens.columns import GaussianBasis
from pipelines.lens.dataset import Imaging
from pipelines.lens.inadequacy import Misfit
from pipelines.lens.mass import Isothermal, PowerLaw, Shear
from pipelines.lens.panel import SECOND_SET

MASS_LIMIT, LIGHT_LIMIT = 0.5, 0.45
"""Of each component of the mass's ellipticity, and of the light's where the mass's prior is centered on it."""
BASIN_REACH = 0.25
"""Half-width of the prior on the Einstein radius after the basin is chosen, as a fraction of its value."""
LIGHT_SHAPE = (
    "lens_light.first.center_x",
    "lens_light.first.center_y",
    "lens_light.first.ellipticity_1",
    "lens_light.first.ellipticity_2",
    "lens_light.second.ellipticity_1",
    "lens_light.second.ellipticity_2",
)
RADIUS_LIMITS = Link(
    source="basin",
    kind="priors",
    what=f"mass.einstein_radius: limits at -+{BASIN_REACH:.0%} of the basin's",
    why="the posterior is that of the chosen basin; the prior is cut there, not reshaped, so the data are not used twice",
)
MASS_ABOUT_LIGHT = Link(
    source="basin",
    kind="priors",
    what=f"mass: center normal about the light's with {Basin.center_sigma} arcsec, ellipticity with {Basin.ellipticity_sigma}",
    why="mass follows light; without it, knots and dust that the model has not drag the mass away",
)
MISFIT = Link(
    source="basin",
    kind="fixed",
    what="the misfit of the solution, as a fraction of lens light and source in the noise",
    why="what smooth ellipses cannot fit says nothing about the mass; with the detector's noise alone the errors are ten times too small",
)
SECOND_SHAPE = tuple(f"source.second.{name}" for name in ("ellipticity_1", "ellipticity_2", "offset_x", "offset_y"))


def _ellipticity(sigma: float, limit: float) -> dict[str, TruncatedNormal]:
    return {f"ellipticity_{i}": TruncatedNormal(0.0, sigma, -limit, limit) for i in (1, 2)}


def isothermal_model() -> Model:
    """Isothermal ellipsoid with shear, two sets of Gaussians each for the light of lens and source: 21 parameters.

    The source's second set moves with its first: where the mass changes, both are traced to another place.
    """
    first = GaussianBasis(center_x=Normal(0.0, 0.05), center_y=Normal(0.0, 0.05), **_ellipticity(0.3, 0.75), sigma_max=3.6, n=18)
    second = GaussianBasis(
        center_x=Tied("lens_light.first.center_x"),
        center_y=Tied("lens_light.first.center_y"),
        **_ellipticity(0.3, 0.75),
        sigma_max=3.6,
        n=10,
    )
    mass = Isothermal(
        center_x=Normal(0.0, 0.05), center_y=Normal(0.0, 0.05), **_ellipticity(0.2, MASS_LIMIT), einstein_radius=Uniform(*RADIUS_RANGE)
    )
    shear = Shear(gamma_1=TruncatedNormal(0.0, 0.05, -0.35, 0.35), gamma_2=TruncatedNormal(0.0, 0.05, -0.35, 0.35))
    main = GaussianBasis(center_x=Normal(0.0, 0.5), center_y=Normal(0.0, 0.5), **_ellipticity(0.2, 0.75), sigma_max=0.35, n=10)
    clump = GaussianBasis(
        center_x=Tied("source.main.center_x"),
        center_y=Tied("source.main.center_y"),
        **_ellipticity(0.2, 0.75),
        sigma_max=SECOND_SET[0],
        n=SECOND_SET[1],
        offset_x=TruncatedNormal(0.0, 0.25, -1.0, 1.0),
        offset_y=TruncatedNormal(0.0, 0.25, -1.0, 1.0),
    )
    source = {"main": main, "second": clump}
    return Model({"lens_light": {"first": first, "second": second}, "mass": mass, "shear": shear, "source": source})


def radius_in_basin(basin: Result) -> dict[str, Uniform]:
    """The prior on the Einstein radius in the basin of a result, by its path: cut, not reshaped."""
    radius, (lower, upper) = basin.samples_summary.by_path("best")["mass.einstein_radius"], RADIUS_RANGE
    limits = (max(lower, (1.0 - BASIN_REACH) * radius), min(upper, (1.0 + BASIN_REACH) * radius))
    return {"mass.einstein_radius": Uniform(*(float(round_linked(limit)) for limit in limits))}


def mass_about_light(basin: Result) -> dict[str, Normal | TruncatedNormal]:
    """Priors on the mass's center and ellipticity about the light's in a result, by path; as wide as the search's penalties by default."""
    found = basin.samples_summary
    best = found.by_path("best")
    priors: dict[str, Normal | TruncatedNormal] = {}
    for i, axis in enumerate(("x", "y"), start=1):
        light = float(np.clip(found.diagnostics[f"light_ellipticity_{i}"], -LIGHT_LIMIT, LIGHT_LIMIT))
        priors[f"mass.center_{axis}"] = Normal(float(round_linked(best[f"lens_light.first.center_{axis}"])), Basin.center_sigma)
        priors[f"mass.ellipticity_{i}"] = TruncatedNormal(float(round_linked(light)), Basin.ellipticity_sigma, -MASS_LIMIT, MASS_LIMIT)
    return priors


def held_at_best(result: Result, paths: Iterable[str]) -> Model:
    """A result's model with some parameters fixed at their best fit."""
    best = result.samples_summary.by_path("best")
    return result.model.replace({path: float(round_linked(best[path])) for path in paths})


def _in_basin(results: Results) -> Model:
    """Stage 1's model in its basin: light and second source set keep their best shape, and the mass lies about the light."""
    basin = results["basin"]
    return held_at_best(basin, (*LIGHT_SHAPE, *SECOND_SHAPE)).replace({**radius_in_basin(basin), **mass_about_light(basin)})


def with_misfit(dataset: Imaging, results: Results) -> LensAnalysis:
    """The image, with the misfit of stage 1's solution in the noise."""
    return LensAnalysis(dataset, misfit=Misfit.of(results["basin"]))


def with_free_slope(results: Results) -> Model:
    """Stage 2's model with a power law for the mass."""
    isothermal = results["isothermal"]
    fields = ("center_x", "center_y", "ellipticity_1", "ellipticity_2", "einstein_radius")
    mass = PowerLaw(**{field: isothermal.model.priors[f"mass.{field}"] for field in fields}, slope=TruncatedNormal(2.0, 0.2, 1.4, 2.7))
    return isothermal.model.replace({"mass": mass})


def lens_pipeline(searches: dict[str, dict[str, Any]] | None = None) -> Pipeline:
    """The chain, with the settings of some stages' searches replaced; `ConfigError` for a stage or a setting that there is not."""
    stages = [
        Stage("basin", isothermal_model(), lambda dataset, results: LensAnalysis(reference_of(dataset), recenter=True), Basin()),
        Stage(
            "isothermal",
            _in_basin,
            with_misfit,
            Importance(n_eff=1000, scout_starts=0),
            needs=("basin",),
            proposal="basin",
            links=(
                Link(
                    source="basin",
                    kind="fixed",
                    what="center and ellipticities of the lens light, at the best fit",
                    why="their errors are far below those of the mass, and its 28 amplitudes stay free: 6 parameters fewer, half the time",
                ),
                Link(
                    source="basin",
                    kind="fixed",
                    what="ellipticity of the source's second set, and its offset from the first, at the best fit",
                    why="it takes up a clump or a tail; it moves with the first set, and its 8 amplitudes stay free",
                ),
                RADIUS_LIMITS,
                MASS_ABOUT_LIGHT,
                MISFIT,
                Link(
                    source="basin",
                    kind="proposal",
                    what="mass, shear and source: 11 parameters",
                    why="the same data: the Laplace samples steer the search, and the priors stay as they are",
                ),
            ),
        ),
        Stage(
            "power_law",
            with_free_slope,
            with_misfit,
            Importance(n_eff=1000, scout_starts=0),
            needs=("basin", "isothermal"),
            proposal="isothermal",
            links=(
                Link(
                    source="isothermal",
                    kind="fixed",
                    what="shape of the lens light and of the source's second set, as there",
                    why="see the stage before",
                ),
                MISFIT,
                Link(
                    source="isothermal",
                    kind="proposal",
                    what="mass, shear and source; the slope, new here, is drawn from its prior",
                    why="the same data: a proposal uses them once",
                ),
            ),
        ),
    ]
    return Pipeline("lens", stages).with_searches(searches or {})
