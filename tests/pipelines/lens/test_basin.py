"""The basin search: where it starts, what it refuses, and that it finds a made and a real lens, the same ones every time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fitcore.errors import ModelError, SearchInterruptedError
from fitcore.search.base import NoCheckpoint, Problem, ProgressEvent, SearchOutcome, silent
from pipelines.lens.analysis import LensAnalysis
from pipelines.lens.basin import PARAMETERS, Basin, arc_map, resampled, source_positions
from pipelines.lens.dataset import Imaging
from pipelines.lens.light_fit import LightFit
from pipelines.lens.mass import PowerLaw
from pipelines.lens.prepare import binned_frame, full_frame, prepare
from pipelines.lens.stages import isothermal_model

QUICK = Basin(n_random=2, n_modes=3, n_samples=24)


def problem(image: Imaging, **changes: Any) -> Problem:
    """A problem whose likelihood costs nothing: the search does not look at it before its samples are drawn."""
    analysis = LensAnalysis(image, recenter=True)
    model = analysis.modify_model(isothermal_model())
    made = Problem(n_dim=21, paths=model.paths, log_likelihood=lambda u: np.zeros(len(u)), analysis=analysis, model=model)
    return replace(made, **changes)


def run(given: Problem, search: Basin = QUICK, *, seed: int = 0, **options: Any) -> SearchOutcome:
    return search.run(given, seed=seed, checkpoint=options.get("checkpoint", NoCheckpoint()), progress=options.get("progress", silent))


def values(outcome: SearchOutcome, given: Problem) -> np.ndarray:
    return np.asarray(given.model.prior_transform(outcome.u))


def light_fit(frame: Any, arcs: np.ndarray, significance: np.ndarray) -> LightFit:
    zero = np.zeros(arcs.shape)
    return LightFit(
        p=np.zeros(23), light=zero, residual=significance, significance=significance, arcs=arcs, ellipticity=(0.0, 0.0), n_evaluations=0
    )


def test_parameters_are_those_of_the_model_in_its_order() -> None:
    assert isothermal_model().paths == PARAMETERS


def test_another_model_is_refused(ring: SimpleNamespace) -> None:
    given = problem(ring.make())
    mass = given.model.priors
    fields = ("center_x", "center_y", "ellipticity_1", "ellipticity_2", "einstein_radius")
    model = isothermal_model().replace({"mass": PowerLaw(**{f: mass[f"mass.{f}"] for f in fields}, slope=2.0)})
    run_with = replace(given, model=model, paths=(*model.paths, "mass.slope"))
    with pytest.raises(ModelError, match=r"The basin search is for the isothermal lens with the parameters .* the model has .*mass.slope"):
        run(run_with)


def test_source_positions_of_arcs_that_come_from_one_point(ring: SimpleNamespace) -> None:
    """A round lens of 1.1 and a source at (0.3, 0.1): the pixels that trace near it are marked, and a stray one."""
    image = ring.make()
    frame = full_frame(image, prepare(image))
    x, y = frame.pixel_centers
    radius = np.maximum(np.hypot(x, y), 1e-9)
    near = np.hypot(x - 1.1 * x / radius - 0.3, y - 1.1 * y / radius - 0.1) < 0.12
    significance = np.where(near, 20.0, 0.0)
    stray = np.unravel_index(np.argmax((np.hypot(x + 1.9, y) < 0.15) & ~near), near.shape)
    significance[stray] = 25.0
    start = np.zeros(17)
    start[10] = 1.1
    arcs = near.copy()
    arcs[stray] = True
    centroid, densest, brightest = source_positions(frame, light_fit(frame, arcs, significance), start)
    assert centroid == pytest.approx([0.3, 0.1], abs=0.1)
    assert densest == pytest.approx([0.3, 0.1], abs=0.05)
    assert brightest == pytest.approx([-0.8, 0.0], abs=0.2)


def test_without_arcs_the_source_is_put_behind_the_lens(ring: SimpleNamespace) -> None:
    image = ring.make()
    frame = binned_frame(image, prepare(image))
    nothing = np.zeros(np.asarray(frame.data).shape)
    start = np.zeros(17)
    start[6:8], start[10] = (0.1, 0.2), 1.0
    assert np.asarray(source_positions(frame, light_fit(frame, nothing > 1, nothing), start)) == pytest.approx(np.array([[0.1, 0.2]]))


def test_arc_map_is_positive_and_within_the_arcs() -> None:
    rng = np.random.default_rng(0)
    arcs = np.zeros((20, 20), dtype=bool)
    arcs[5:9, 5:15] = True
    plane = arc_map(light_fit(None, arcs, rng.standard_normal((20, 20)) + 3.0 * arcs))
    assert plane.min() == 0.0
    assert not plane[~arcs].any()
    assert plane[6:8, 7:13] == pytest.approx(3.0, abs=1.5)


def test_resampling_keeps_positions(ring: SimpleNamespace) -> None:
    """A plane that is linear in x and y is the same on both grids."""
    image = ring.make()
    preparation = prepare(image)
    full, coarse = full_frame(image, preparation), binned_frame(image, preparation)
    x, y = coarse.pixel_centers
    plane = resampled(2.0 * x - 3.0 * y + 1.0, coarse, full)
    x, y = full.pixel_centers
    inside = np.hypot(x, y) < 2.0
    assert plane[inside] == pytest.approx((2.0 * x - 3.0 * y + 1.0)[inside], abs=1e-9)


@pytest.fixture(scope="module")
def made(ring: SimpleNamespace) -> tuple[Problem, SearchOutcome, list[str]]:
    given = problem(ring.make(brightness=0.15))
    phases: list[str] = []
    return given, run(given, progress=lambda event: phases.append(event.phase)), phases


def test_finds_the_made_lens(made: tuple[Problem, SearchOutcome, list[str]], ring: SimpleNamespace) -> None:
    given, outcome, phases = made
    theta = values(outcome, given)
    assert theta[0, 10] == pytest.approx(ring.truth[10], rel=0.02)
    assert theta[0, 13:15] == pytest.approx(ring.truth[13:15], abs=0.05)
    assert outcome.diagnostics["einstein_radius"] == pytest.approx(theta[0, 10], abs=1e-9)
    assert outcome.diagnostics["grade"] == "laplace"
    assert outcome.diagnostics["n_images"] >= 2
    assert list(dict.fromkeys(phases)) == ["lens light", "scan", "joint descents", "panel", "full resolution", "checks", "Laplace samples"]
    assert np.exp(outcome.log_weight).sum() == pytest.approx(1.0)
    assert np.isnan(outcome.log_evidence)
    assert outcome.n_calls > 200


def test_the_seed_and_the_threads(made: tuple[Problem, SearchOutcome, list[str]]) -> None:
    """The same to the last bit with two threads; another seed draws other samples."""
    given, outcome, _ = made
    again = run(replace(given, n_threads=2))
    assert (again.u == outcome.u).all()
    assert again.diagnostics == outcome.diagnostics
    other = run(given, seed=1)
    assert (values(other, given)[1] != values(outcome, given)[1]).any()


def test_a_request_to_stop_is_heard(ring: SimpleNamespace) -> None:
    class Stopping(NoCheckpoint):
        def stop_requested(self) -> bool:
            return True

    with pytest.raises(SearchInterruptedError, match="asked to stop"):
        run(problem(ring.make()), checkpoint=Stopping())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "radius"), [("J0029-0055", 0.96), ("J0405-0455", 0.80), ("J1451-0239", 1.04), ("J1630+4520", 1.78)])
def test_finds_the_published_radius_of_real_lenses(name: str, radius: float, shared_dir: Path) -> None:
    events: list[ProgressEvent] = []
    given = problem(Imaging.from_folder(shared_dir / "data" / "slacs" / name), n_threads=2)
    outcome = run(given, Basin(n_samples=24), progress=events.append)
    assert outcome.diagnostics["einstein_radius"] == pytest.approx(radius, rel=0.05)
    assert outcome.diagnostics["n_images"] >= 2
    assert events[-1].n_calls > 500
