"""One likelihood of a lens: milliseconds a call at full resolution, its parts, and a batch over two threads.

    python -m benchmarks.lens_likelihood              on J1250+0523 of ../shared/data/slacs; prints, and keeps lens_likelihood.json
    python -m benchmarks.lens_likelihood --keep no    prints only
    python -m benchmarks.lens_likelihood --folder elsewhere/lens

Run with OMP_NUM_THREADS=1 and XLA_FLAGS="--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1": one call then uses one core.
The model is that of the chain: 28 Gaussians of the lens in two sets, 18 of the source in two. Figures are milliseconds on the wall, the
least of ``--repeats`` calls after the first; those of the batch are for one point, with medians and processor time. "light held" is what
the chain's later stages call: the shape of the lens light and of the source's second set held. "load" is the machine's load average at the
end: beside other work the figures on the wall are upper limits.
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
from pipelines.lens.dataset import Imaging
from pipelines.lens.frame import Frame
from pipelines.lens.linear import HeldLight, held_light, light_of, log_likelihood, traced
from pipelines.lens.mass import PowerLaw
from pipelines.lens.nnls import nnls
from pipelines.lens.prepare import binned_frame, full_frame, prepare
from pipelines.lens.stages import LIGHT_SHAPE, SECOND_SHAPE, isothermal_model
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
    """Parts of one value at full resolution, each compiled by itself: all 46 columns, and what is left where the lens's 28 are held."""
    frame = full_frame(image, prepare(image))
    instance = isothermal_model().instance_from_vector(POINT[:N_MODEL])
    rays = compiled(lambda i, f: traced(i, f.x, f.y))
    light = compiled(lambda part, x, y: light_of(part, x, y).columns)
    convolved = compiled(lambda c, f: f.convolved(c))
    gram, gram_beside, solve = compiled(normal_equations), compiled(normal_equations_beside), compiled(nnls)
    beta = rays(instance, frame)
    lens, source = light(instance["lens_light"], frame.x, frame.y), light(instance["source"], *beta)
    everything = np.concatenate([lens, source])
    seen, seen_source = convolved(everything, frame), convolved(source, frame)
    held = compiled(held_light)(instance["lens_light"], frame)
    # the Gram matrix that the solver meets, not that of one ladder
    rows = VariableProjection(frame=frame, which="joint", bases=Bases()).solved(POINT)[3]
    system = (rows @ rows.T, rows @ np.asarray(frame.target))
    return {
        "rays": milliseconds(lambda: rays(instance, frame), repeats),
        "28 columns of the lens": milliseconds(lambda: light(instance["lens_light"], frame.x, frame.y), repeats),
        "18 columns of the source": milliseconds(lambda: light(instance["source"], *beta), repeats),
        "convolution of 46": milliseconds(lambda: convolved(everything, frame), repeats),
        "convolution of 18": milliseconds(lambda: convolved(source, frame), repeats),
        "whitening and Gram matrix of 46": milliseconds(lambda: gram(seen, frame), repeats),
        "whitening and Gram matrix of 18 beside 28 held": milliseconds(lambda: gram_beside(seen_source, held, frame), repeats),
        f"non-negative least squares of {len(rows)}": milliseconds(lambda: solve(*system), repeats),
    }


def normal_equations_beside(pictures: Any, held: HeldLight, frame: Frame) -> tuple[Any, Any, Any]:
    """What `normal_equations` has to add where the lens's columns are held."""
    rows = frame.whitened(pictures)
    return rows @ rows.T, held.rows @ rows.T, rows @ frame.target


def batch_of(image: Imaging, repeats: int) -> dict[str, float]:
    """Milliseconds a point of a batch of 32, one point after the other inside one compiled call, on one and two threads."""
    analysis = LensAnalysis(image)
    model: Model = isothermal_model()
    values = dict(zip(model.paths, POINT[:N_MODEL], strict=True))
    held = model.replace({path: float(values[path]) for path in (*LIGHT_SHAPE, *SECOND_SHAPE)})
    likelihoods = {}
    for label, each in (("all free", model), ("light held", held)):
        running = analysis.modify_before_fit(None, each)
        u = np.tile(np.asarray(each.inverse_transform([values[path] for path in each.paths])), (BATCH, 1))
        for n_threads in (1, 2):
            likelihood = BatchedLikelihood(running, each, n_batch=BATCH, n_threads=n_threads)
            likelihood(u)
            likelihoods[f"{label}, {n_threads} threads"] = (likelihood, u)
    # by turns, so that other work on the machine meets them all
    times: dict[str, list[float]] = {name: [] for name in likelihoods}
    processor: dict[str, list[float]] = {name: [] for name in likelihoods}
    for _ in range(max(3, repeats // 2)):
        for name, (likelihood, u) in likelihoods.items():
            start, used = time.perf_counter(), time.process_time()
            likelihood(u)
            times[name].append(1e3 * (time.perf_counter() - start) / BATCH)
            processor[name].append(1e3 * (time.process_time() - used) / BATCH)
    for likelihood, _ in likelihoods.values():
        likelihood.close()
    least = {name: round(min(each), 2) for name, each in times.items()}
    middle = {f"{name}, median": round(float(np.median(each)), 2) for name, each in times.items()}
    return least | middle | {f"{name}, processor": round(float(np.median(each)), 2) for name, each in processor.items()}


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
        "window": frame.size,
        "points": list(frame.x.shape),
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
