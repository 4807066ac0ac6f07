"""One likelihood of a lens: milliseconds a call at full resolution, its parts, and a batch over two threads.

    python -m benchmarks.lens_likelihood              on J1250+0523 of ../shared/data/slacs; prints, and keeps lens_likelihood.json
    python -m benchmarks.lens_likelihood --keep no    prints only
    python -m benchmarks.lens_likelihood --folder elsewhere/lens

Run with OMP_NUM_THREADS=1 and XLA_FLAGS="--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1": one call then uses one core.
Figures are milliseconds on the wall, the least of ``--repeats`` calls after the first; those of the batch are for one point. "light held"
is what the chain's later stages call. "load" is the machine's load average at the end: beside other work the figures are upper limits.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fitcore.evaluation import BatchedLikelihood, compiled
from fitcore.model import Model
from pipelines.lens.analysis import LensAnalysis
from pipelines.lens.columns import images, radius_squared
from pipelines.lens.dataset import Imaging
from pipelines.lens.frame import Frame
from pipelines.lens.linear import held_light, log_likelihood, traced
from pipelines.lens.mass import PowerLaw
from pipelines.lens.nnls import nnls
from pipelines.lens.prepare import binned_frame, full_frame, prepare
from pipelines.lens.stages import LIGHT_SHAPE, isothermal_model
from pipelines.lens.varpro import Bases, VariableProjection

POINT = np.array([0.0, 0.0, 0.05, 0.02, 0.1, 0.0, 0.0, 0.0, 0.05, 0.02, 1.1, 0.02, 0.01, 0.05, 0.05, 0.0, 0.05, *[0.0] * 6])
N_MODEL = 21
"""Parameters of the model; the rest of POINT belongs to a third set of the lens light."""
BATCH = 32
LENS = Path(__file__).resolve().parents[2] / "shared" / "data" / "slacs" / "J1250+0523"


def milliseconds(call: Callable[[], Any], repeats: int) -> float:
    """Milliseconds on the wall of a call, its compilation left out; the least, since other work only adds."""
    jax.block_until_ready(call())
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - start)
    return round(1e3 * min(times), 2)


def normal_equations(pictures: Any, frame: Frame) -> tuple[Any, Any]:
    """Gram matrix and projection on the data of seen columns."""
    rows = frame.whitened(pictures)
    return rows @ rows.T, rows @ frame.target


def calls_of(image: Imaging, repeats: int) -> dict[str, float]:
    """Whole calls: value, value with the light held, Gauss-Newton; full resolution and binned."""
    model, preparation, bases = isothermal_model(), prepare(image), Bases()
    instance = model.instance_from_vector(POINT[:N_MODEL])
    power_law = dict(instance) | {"mass": PowerLaw(**{f: getattr(instance["mass"], f) for f in FIELDS}, slope=2.05)}
    value = compiled(log_likelihood)
    table: dict[str, float] = {}
    for name, frame in (("full", full_frame(image, preparation)), ("binned", binned_frame(image, preparation))):
        held = compiled(held_light)(instance["lens_light"], frame)
        rows = VariableProjection(frame=frame, which="light", bases=bases).solved(POINT)[3]
        table[f"{name}: value"] = milliseconds(lambda f=frame: value(instance, f), repeats)
        table[f"{name}: value, power law"] = milliseconds(lambda f=frame: value(power_law, f), repeats)
        table[f"{name}: value, light held"] = milliseconds(lambda f=frame, h=held: value(instance, f, h), repeats)
        for which in ("light", "source", "joint"):
            projection = VariableProjection(frame=frame, which=which, bases=bases, held=rows if which == "source" else None)
            table[f"{name}: Gauss-Newton, {which}"] = milliseconds(lambda p=projection: p.gauss_newton(POINT), repeats)
    return table


def parts_of(image: Imaging, repeats: int) -> dict[str, float]:
    """Parts of one value at full resolution, each compiled by itself."""
    frame = full_frame(image, prepare(image))
    instance = isothermal_model().instance_from_vector(POINT[:N_MODEL])
    rays = compiled(lambda i, f: traced(i, f.x, f.y))
    columns = compiled(lambda f: images(radius_squared(f.x, f.y, 0.1, 0.05), 3.6, 38))
    convolved = compiled(lambda c, f: f.convolved(c))
    gram = compiled(normal_equations)
    solve = compiled(nnls)
    made = columns(frame)
    seen = convolved(made, frame)
    # the Gram matrix that the solver meets, not that of one ladder
    rows = VariableProjection(frame=frame, which="joint", bases=Bases()).solved(POINT)[3]
    system = (rows @ rows.T, rows @ np.asarray(frame.target))
    return {
        "rays": milliseconds(lambda: rays(instance, frame), repeats),
        "38 columns": milliseconds(lambda: columns(frame), repeats),
        "convolution of 38": milliseconds(lambda: convolved(made, frame), repeats),
        "whitening and Gram matrix": milliseconds(lambda: gram(seen, frame), repeats),
        "non-negative least squares": milliseconds(lambda: solve(*system), repeats),
    }


def batch_of(image: Imaging, repeats: int) -> dict[str, float]:
    """Milliseconds a point of a batch of 32, one point after the other inside one compiled call, on one and two threads."""
    analysis = LensAnalysis(image)
    model: Model = isothermal_model()
    held = model.replace({path: float(value) for path, value in zip(model.paths, POINT[:N_MODEL], strict=True) if path in LIGHT_SHAPE})
    table = {}
    for label, each in (("all free", model), ("light held", held)):
        running = analysis.modify_before_fit(None, each)
        u = np.tile(
            np.asarray(each.inverse_transform([v for p, v in zip(model.paths, POINT[:N_MODEL], strict=True) if p in each.paths])),
            (BATCH, 1),
        )
        for n_threads in (1, 2):
            likelihood = BatchedLikelihood(running, each, n_batch=BATCH, n_threads=n_threads)
            table[f"{label}, {n_threads} threads"] = round(
                milliseconds(lambda run=likelihood, points=u: run(points), max(3, repeats // 3)) / BATCH, 2
            )
            likelihood.close()
    return table


FIELDS = ("center_x", "center_y", "ellipticity_1", "ellipticity_2", "einstein_radius")


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=LENS)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--keep", choices=("yes", "no"), default="yes")
    options = parser.parse_args()
    image = Imaging.from_folder(options.folder)
    frame = full_frame(image, prepare(image))
    table: dict[str, Any] = {
        "machine": platform.processor() or platform.machine(),
        "lens": options.folder.name,
        "image": list(image.shape),
        "window": list(frame.x.shape),
        "pixels": frame.n_used,
        "calls_ms": calls_of(image, options.repeats),
        "parts_ms": parts_of(image, options.repeats),
        "batch_ms": batch_of(image, options.repeats),
    }
    table["load"] = round(os.getloadavg()[0], 1)
    print(json.dumps(table, indent=1))
    if options.keep == "yes":
        Path(__file__).with_suffix(".json").write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
