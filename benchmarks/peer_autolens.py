"""PyAutoLens's side of `benchmarks.peer`: the same model through its own `Fitness`, in an interpreter that has it and no fitcore."""

# pyright: reportMissingImports=false
from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Any

import numpy as np

from benchmarks.peer_worker import Evaluate, begin, serve

OUT = begin(int(sys.argv[2]))  # before the imports below: they print, and read the number of threads

import autofit as af  # noqa: E402 - see OUT
import autolens as al  # noqa: E402 - see OUT
import jax  # noqa: E402 - see OUT
from autofit.non_linear.fitness import Fitness  # noqa: E402 - see OUT


def lens_model() -> Any:
    """Lens with light, isothermal mass and shear; source; a sky, whose level is a parameter here."""
    lens = af.Model(
        al.Galaxy, redshift=0.5, light=af.Model(al.lp.Sersic), mass=af.Model(al.mp.Isothermal), shear=af.Model(al.mp.ExternalShear)
    )
    source = af.Model(al.Galaxy, redshift=1.0, light=af.Model(al.lp.Sersic))
    sky = af.Model(al.DatasetModel, background_sky_level=af.UniformPrior(-10.0, 10.0))
    sky.grid_offset, sky.grid_rotation_angle = (0.0, 0.0), 0.0
    return af.Collection(galaxies=af.Collection(lens=lens, source=source), dataset_model=sky)


def dataset_of(problem: Any) -> Any:
    """The masked image; their row 0 is at the top."""
    scale = float(problem["pixel_scale"])
    data, noise, psf = (al.Array2D.no_mask(problem[name][::-1].copy(), pixel_scales=scale) for name in ("data", "noise", "psf"))
    kernel = al.Convolver(kernel=psf)
    image = al.Imaging(data=data, noise_map=noise, psf=kernel, over_sample_size_lp=int(problem["over_sampling"]))
    return image.apply_mask(al.Mask2D(mask=~problem["used"][::-1], pixel_scales=scale))


def main() -> None:
    """Serve."""
    problem = np.load(sys.argv[1])
    model = lens_model()
    names = problem["peer_paths"].tolist()
    order = [names.index(".".join(path)) for path in model.paths]
    analysis = al.AnalysisImaging(dataset=dataset_of(problem), use_jax=True)
    fitness = Fitness(model=model, analysis=analysis, fom_is_log_likelihood=True, resample_figure_of_merit=-1e99)

    def build(way: str, n_batch: int) -> Evaluate:
        del n_batch
        if way == "jit":
            one = fitness.objective("scalar")
            return lambda points: np.array([one(point) for point in points])
        # "map" is no way of theirs: their function of one point, in our loop
        many = fitness.objective("batched") if way == "vmap" else jax.jit(lambda points: jax.lax.map(fitness.call, points))
        return lambda points: np.asarray(many(points))

    packages = {name: version(name) for name in ("autolens", "autogalaxy", "autofit", "jax", "jaxlib", "numpy")}
    serve(build, problem["peer_points"][:, order], {"python": sys.version.split()[0], **packages}, OUT)


if __name__ == "__main__":
    main()
