"""fitcore's side of `benchmarks.peer`: `LensAnalysis` in `BatchedLikelihood`, as a search calls it."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Any

import numpy as np

from benchmarks.peer_worker import Evaluate, begin, serve

if __name__ == "__main__":
    OUT = begin(int(sys.argv[2]))

from fitcore import Model, Uniform
from fitcore.evaluation import BatchedLikelihood
from pipelines.lens.analysis import LensAnalysis
from pipelines.lens.dataset import Imaging
from pipelines.lens.frame import Frame
from pipelines.lens.light import Sersic
from pipelines.lens.mass import Isothermal, Shear

TRUTH = {
    "lens_light": {"center_x": 0.01, "center_y": -0.02, "ellipticity_1": 0.08, "ellipticity_2": 0.04, "intensity": 1.5},
    "mass": {"center_x": 0.0, "center_y": 0.01, "ellipticity_1": 0.12, "ellipticity_2": -0.06, "einstein_radius": 1.2},
    "shear": {"gamma_1": 0.03, "gamma_2": -0.02},
    "source": {"center_x": 0.06, "center_y": 0.04, "ellipticity_1": 0.1, "ellipticity_2": 0.1, "intensity": 2.0},
}
TRUTH["lens_light"] |= {"effective_radius": 0.8, "sersic_index": 3.5}
TRUTH["source"] |= {"effective_radius": 0.15, "sersic_index": 1.2}
KINDS = {"lens_light": Sersic, "mass": Isothermal, "shear": Shear, "source": Sersic}
REACH = 0.02
"""Half-width of the priors, and a fraction of what is larger than one."""


def sersic_model() -> Model:
    """Isothermal and shear, a Sersic for lens and source each: 21 parameters, near the truth."""
    return Model({name: kind(**{key: _near(value) for key, value in TRUTH[name].items()}) for name, kind in KINDS.items()})


def _near(value: float) -> Uniform:
    reach = REACH * max(1.0, abs(value))
    return Uniform(value - reach, value + reach)


def imaging_of(problem: Any) -> Imaging:
    """The image of a problem, with every decision about it made."""
    return Imaging(
        data=problem["data"],
        noise=problem["noise"],
        psf=problem["psf"],
        mask=problem["used"],
        pixel_scale=float(problem["pixel_scale"]),
        mask_radius=float(problem["mask_radius"]),
        center=(0.0, 0.0),
        neighbors="none",
        name="peer",
    )


def frame_of(problem: Any) -> Frame:
    """The window that is compared."""
    return Frame.from_imaging(imaging_of(problem), mask_radius=float(problem["mask_radius"]), over_sampling=int(problem["over_sampling"]))


def running_analysis(problem: Any, batching: str, analysis: LensAnalysis | None = None) -> Any:
    """The analysis on the problem's own sub-pixels."""
    running: Any = (analysis or LensAnalysis(imaging_of(problem))).with_traced_arrays((frame_of(problem), None, None))
    running.batching = batching
    return running


def main() -> None:
    """Serve."""
    problem, n_threads = np.load(sys.argv[1]), int(sys.argv[2])
    model, analysis = sersic_model(), LensAnalysis(imaging_of(problem))

    def build(way: str, n_batch: int) -> Evaluate:
        return BatchedLikelihood(running_analysis(problem, way, analysis), model, n_batch=n_batch, n_threads=min(n_threads, n_batch))

    packages = {name: version(name) for name in ("jax", "jaxlib", "numpy")}
    serve(build, problem["u"], {"python": sys.version.split()[0], **packages}, OUT)


if __name__ == "__main__":
    main()
