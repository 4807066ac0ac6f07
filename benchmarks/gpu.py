"""Latents, likelihoods and memory on an accelerator, against the same numbers on a CPU.

    JAX_PLATFORMS=cpu  python -m benchmarks.gpu measure cpu.npz
    JAX_PLATFORMS=cuda XLA_PYTHON_CLIENT_PREALLOCATE=false python -m benchmarks.gpu measure gpu.npz
    python -m benchmarks.gpu compare cpu.npz gpu.npz          prints, and keeps gpu.json
    python -m benchmarks.gpu memory                           the memory alone; prints

Both files are made on one machine. A simulated lens (101 x 101 pixels), its power law with the shape of the light held, and 2,000 points
scattered about the truth as a posterior is. "ms" are milliseconds on the wall of one point in a batch, compilation left out.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fitcore import Nautilus, Normal, Samples, TruncatedNormal, fit
from fitcore.analysis import latent
from fitcore.analysis.analysis import Analysis
from fitcore.errors import FitcoreError
from fitcore.evaluation import BatchedLikelihood
from fitcore.memory import limit_of, memory_use
from fitcore.model import Model
from pipelines.lens.analysis import LensAnalysis
from pipelines.lens.mass import PowerLaw
from pipelines.lens.simulate import example_model, simulate
from pipelines.lens.stages import LIGHT_SHAPE, isothermal_model

N_POINTS = 2000
WIDTH = 0.002
TARGET = Path(__file__).with_suffix(".json")


class Blob(Analysis):
    """A Gaussian in 15 parameters, whose evidence is known."""

    widths = np.exp(np.linspace(np.log(0.05), np.log(0.8), 15))

    def log_likelihood_function(self, instance: Any) -> Any:
        return sum(-0.5 * ((instance[f"x{i}"] - 0.3) / width) ** 2 for i, width in enumerate(self.widths))

    @classmethod
    def log_evidence(cls) -> float:
        variance = 1.0 + cls.widths**2
        return float(np.sum(np.log(cls.widths) - 0.5 * np.log(variance) - 0.5 * 0.3**2 / variance))


def lens_problem() -> tuple[LensAnalysis, Model, np.ndarray]:
    """The analysis of a simulated lens, its power-law model with the light's shape held, and points about the middle of its priors."""
    imaging = simulate(example_model(1), seed=1, name="seed-1")
    model = isothermal_model()
    middle = dict(zip(model.paths, np.asarray(model.prior_transform(np.full(model.n_dim, 0.5))), strict=True))
    held = {path: float(middle[path]) for path in LIGHT_SHAPE}
    fields = ("center_x", "center_y", "ellipticity_1", "ellipticity_2", "einstein_radius")
    free = model.replace(held)
    slope = TruncatedNormal(2.0, 0.05, 1.5, 2.5)
    free = free.replace({"mass": PowerLaw(**{field: free.priors[f"mass.{field}"] for field in fields}, slope=slope)})
    analysis = LensAnalysis(imaging)
    near = dict(middle) | {"mass.einstein_radius": 1.15, "mass.slope": 2.0, "mass.ellipticity_1": 0.1, "source.main.center_x": 0.05}
    center = np.array([near.get(path, 0.05) for path in free.paths])
    points = center + WIDTH * np.random.default_rng(1).standard_normal((N_POINTS, free.n_dim))
    return analysis, free, points


def milliseconds(call: Callable[[], Any], n: int, repeats: int = 3) -> float:
    """Milliseconds a point of a call over ``n`` points; the least of some, after a first that compiles."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times) / n


def peak() -> int | None:
    """The most bytes of device memory in use so far, where the device tells."""
    statistics = jax.devices()[0].memory_stats() or {}
    return statistics.get("peak_bytes_in_use")


def tell(what: str) -> None:
    """What is done now, on standard error."""
    print(f"{time.process_time():8.1f} s  {what}", file=sys.stderr, flush=True)


def memory_facts(analysis: LensAnalysis, model: Model, u: np.ndarray) -> dict[str, Any]:
    """What the compiler tells of the memory, what was in use at most, and whether the largest batch that fits does, and one half as large
    again does not."""
    tell("memory")
    value, gradient = memory_use(analysis, model, 16)
    assert value is not None
    facts: dict[str, Any] = {"report": analysis.print_vram_use(model, 16), "peak before, bytes": peak()}
    facts |= {"told, bytes a point": value.per_point, "told with gradient, bytes a point": None if gradient is None else gradient.per_point}
    largest = value.largest_batch(limit_of(jax.devices()[0])[0] or 0.0)
    facts["largest batch told"] = largest
    for n in (largest, largest // 2, largest + largest // 2):  # the largest first: what ran before leaves the memory in pieces
        tell(f"a batch of {n}")
        likelihood = BatchedLikelihood(analysis, model, n_batch=n)
        try:
            values = likelihood(np.resize(u, (n, u.shape[1])))
            facts[f"batch of {n}"] = f"runs, told {value.of(n):.3g} bytes, peak {peak():.3g} bytes, {int(np.isfinite(values).sum())} finite"
        except FitcoreError as error:
            facts[f"batch of {n}"] = f"told {value.of(n):.3g} bytes: {type(error).__name__}: {str(error)[:200]}"
    return facts


def measure(path: Path) -> None:
    """Everything on the platform that JAX has, into one file."""
    analysis, model, points = lens_problem()
    device = jax.devices()[0]
    on_cpu = device.platform == "cpu"
    facts: dict[str, Any] = {"device": device.device_kind, "platform": device.platform, "jax": jax.__version__}
    samples = Samples(
        paths=model.paths,
        parameters=points,
        log_likelihood=np.zeros(N_POINTS),
        log_prior=np.zeros(N_POINTS),
        log_weight=np.full(N_POINTS, -np.log(N_POINTS)),
    )
    arrays: dict[str, np.ndarray] = {}
    for batching in ("map",) if on_cpu else ("vmap",):
        analysis.batching = batching
        running = analysis.modify_before_fit(None, model)
        for batch in (100, 1000):
            tell(f"latents of {batch}")
            found = latent.compute_latents(running, samples, model, batch)
            assert found is not None
            arrays[f"latents {batch}"] = found.parameters
            facts[f"latents, batch {batch}, ms"] = milliseconds(
                lambda b=batch, r=running: latent.compute_latents(r, samples, model, b), N_POINTS, 1
            )
        u = np.asarray(model.inverse_transform(points))
        n = 200 if on_cpu else N_POINTS
        for batch in (32,) if on_cpu else (32, 200):
            likelihood = BatchedLikelihood(running, model, n_batch=batch, n_threads=8 if on_cpu else 1)
            tell(f"likelihood of {batch}")
            facts[f"likelihood, batch {batch}, ms"] = milliseconds(lambda call=likelihood, few=u[:n]: call(few), n)
            arrays[f"likelihood {batch}"] = likelihood(u[:n])
            likelihood.close()
        if not on_cpu:
            facts |= memory_facts(running, model, u)
    tell("search")
    blob = Model({f"x{i}": Normal(0.0, 1.0) for i in range(15)})
    start = time.perf_counter()
    result = fit(blob, Blob(use_jax=True), Nautilus(n_eff=1000), seed=3, progress=False)
    facts["search, s"] = time.perf_counter() - start
    facts["search, calls"] = result.samples_summary.n_calls
    facts["search, error over claim"] = (result.log_evidence - Blob.log_evidence()) / result.log_evidence_error
    np.savez(path, facts=json.dumps(facts), **arrays)  # type: ignore[arg-type]  # any keyword is a name of an array
    print(json.dumps(facts, indent=1))


def compare(first: Path, second: Path) -> None:
    """How far the numbers of two files are apart, and what each took."""
    one, two = np.load(first), np.load(second)
    table: dict[str, Any] = {"cpu": json.loads(str(one["facts"])), "accelerator": json.loads(str(two["facts"]))}
    for batch in (100, 1000):
        a, b = one[f"latents {batch}"], two[f"latents {batch}"]
        assert np.array_equal(np.isnan(a), np.isnan(b))
        scale = np.maximum(np.nanstd(a, axis=0), 1e-300)
        table[f"latents, batch {batch}: largest relative difference"] = float(np.nanmax(np.abs(a - b) / np.maximum(np.abs(a), 1e-6)))
        table[f"latents, batch {batch}: largest difference over the spread"] = float(np.nanmax(np.abs(a - b) / scale))
    table["latents of two batch sizes, accelerator: largest difference"] = float(
        np.nanmax(np.abs(two["latents 100"] - two["latents 1000"]))
    )
    a = one["likelihood 32"]
    for batch in (32, 200):
        table[f"log-likelihood, batch {batch}: largest difference"] = float(np.abs(a - two[f"likelihood {batch}"][: len(a)]).max())
    print(json.dumps(table, indent=1))
    TARGET.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["measure", path]:
            measure(Path(path))
        case ["compare", first, second]:
            compare(Path(first), Path(second))
        case ["memory"]:
            analysis, model, points = lens_problem()
            analysis.batching = "vmap"
            print(
                json.dumps(
                    memory_facts(analysis.modify_before_fit(None, model), model, np.asarray(model.inverse_transform(points))), indent=1
                )
            )
        case _:
            sys.exit(__doc__)
