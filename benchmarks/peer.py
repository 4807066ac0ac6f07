"""The parametric likelihood of a lens against PyAutoLens with JAX: rates in one run on one machine, and whether the numbers agree.

    python3.12 -m venv peer-venv && peer-venv/bin/pip install autolens          once; it needs Python 3.12 and brings JAX
    python -m benchmarks.peer --python peer-venv/bin/python                     prints, and keeps peer.json
    python -m benchmarks.peer --python peer-venv/bin/python --keep no --rounds 3

100 x 100 pixels of 0.05 arcsec, used within 2.5 arcsec of the middle; isothermal ellipsoid, shear, a Sersic for lens and source each; a
Gaussian PSF on 15 x 15 pixels; float64. Both sides are processes of their own on the same cores (one core, then two) and take turns, so
that other work on the machine meets both. Milliseconds are those of one point, warm: "wall" and "processor" (of all threads) are medians
over all calls, "least" the least on the wall. A ratio is the median over the rounds of the peer's time over ours: the peer in the better
of its own ways ("jit", its compiled function of one point, and "vmap", its batched one), ours in batches of 32. "batched" is for its own
batches of 32, "in our loop" for its function of one point in a loop like ours ("map"), which it does not offer. More than 1: ours is
faster. Beside other work trust the ratio of processor times, on one core: short calls escape what interrupts long ones.

Ours fits a constant sky in every evaluation; theirs gets our best level as one more parameter, so that the likelihoods are the same.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy.signal import fftconvolve

from benchmarks.peer_fitcore import TRUTH, frame_of, sersic_model
from fitcore.evaluation import compiled
from pipelines.lens.conventions import to_autolens_isothermal, to_autolens_shear
from pipelines.lens.light import Sersic, sersic_b
from pipelines.lens.linear import pictures
from pipelines.lens.mass import Isothermal, Shear
from pipelines.lens.tracing import ray_trace

ROOT = Path(__file__).resolve().parents[1]
SIZE, SCALE, RADIUS, PSF_SIZE, PSF_SIGMA = 100, 0.05, 2.5, 15, 1.6
NOISE, SKY = 0.05, 0.1
BATCH = 32
OURS = (("map", 1), ("map", BATCH))
THEIRS = (("jit", 1), ("vmap", 1), ("vmap", BATCH), ("map", BATCH))


def clean_image(over_sampling: int) -> np.ndarray:
    """The true image through the PSF, without sky, in NumPy; light from outside the frame is in it."""
    wide = PSF_SIZE // 2
    axis = (np.arange(SIZE + 2 * wide) - 0.5 * (SIZE - 1) - wide) * SCALE
    steps = ((np.arange(over_sampling) + 0.5) / over_sampling - 0.5) * SCALE
    total = np.zeros((len(axis), len(axis)))
    for d_x in steps:
        for d_y in steps:
            x, y = np.meshgrid(axis + d_x, axis + d_y)
            beta = ray_trace([Isothermal(**TRUTH["mass"]), Shear(**TRUTH["shear"])], x, y)
            total += Sersic(**TRUTH["lens_light"]).surface_brightness(x, y) + Sersic(**TRUTH["source"]).surface_brightness(*beta)
    return fftconvolve(total / over_sampling**2, psf(), mode="same")[wide:-wide, wide:-wide]


def psf() -> np.ndarray:
    """Of unit sum."""
    profile = np.exp(-0.5 * ((np.arange(PSF_SIZE) - PSF_SIZE // 2) / PSF_SIGMA) ** 2)
    return np.outer(profile, profile) / profile.sum() ** 2


def problem_arrays(over_sampling: int, n_points: int = BATCH, seed: int = 1) -> dict[str, Any]:
    """What both sides need.

    data, noise, used (100, 100), row 0 at the bottom; psf; pixel_scale, mask_radius in arcsec; over_sampling. ``u`` (n_points, n_dim) are
    points of our unit cube; ``peer_points``, ``peer_paths`` the same in the peer's parameters, and their names.
    """
    rng = np.random.default_rng(seed)
    clean = clean_image(over_sampling) + SKY
    axis = (np.arange(SIZE) - 0.5 * (SIZE - 1)) * SCALE
    arrays: dict[str, Any] = {
        "data": clean + NOISE * rng.standard_normal(clean.shape),
        "noise": np.full(clean.shape, NOISE),
        "used": np.hypot(*np.meshgrid(axis, axis)) <= RADIUS,
        "psf": psf(),
        "pixel_scale": SCALE,
        "mask_radius": RADIUS,
        "over_sampling": over_sampling,
    }
    model = sersic_model()
    # half of the prior's width about the truth, which is its middle
    u = 0.25 + 0.5 * rng.random((n_points, model.n_dim))
    frame, seen = frame_of(arrays), compiled(pictures)
    points = []
    for theta in np.asarray(model.prior_transform(u)):
        instance = model.instance_from_vector(theta)
        points.append(peer_parameters(instance) | {"dataset_model.background_sky_level": float(seen(instance, frame).sky)})
    paths = list(points[0])
    return arrays | {"u": u, "peer_points": np.array([[point[path] for path in paths] for point in points]), "peer_paths": np.array(paths)}


def peer_parameters(instance: Any) -> dict[str, float]:
    """An instance in PyAutoLens's conventions, by its names."""
    mass, shear = to_autolens_isothermal(instance["mass"]), to_autolens_shear(instance["shear"])
    parts = {
        "lens.light": _sersic(instance["lens_light"]),
        "lens.mass": mass,
        "lens.shear": shear,
        "source.light": _sersic(instance["source"]),
    }
    found = {}
    for part, values in parts.items():
        for name, value in values.items():
            pair = value if isinstance(value, tuple) else None
            named = {name: value} if pair is None else {f"{name}.{name}_{i}": pair[i] for i in (0, 1)}
            found |= {f"galaxies.{part}.{key}": float(each) for key, each in named.items()}
    return found


def _sersic(light: Any) -> dict[str, Any]:
    """The same light; (y, x), and sine before cosine.

    Their b_n is a series that is 6e-5 off at n = 0.8: with another radius and intensity the profile is the same all the same.
    """
    n, b = light.sersic_index, sersic_b(np.float64(light.sersic_index))
    theirs = 2.0 * n - 1.0 / 3.0 + 4.0 / (405.0 * n) + 46.0 / (25515.0 * n**2) + 131.0 / (1148175.0 * n**3)
    theirs -= 2194697.0 / (30690717750.0 * n**4)
    return {
        "centre": (light.center_y, light.center_x),
        "ell_comps": (light.ellipticity_2, light.ellipticity_1),
        "intensity": light.intensity * np.exp(b - theirs),
        "effective_radius": light.effective_radius * (theirs / b) ** n,
        "sersic_index": n,
    }


class Side:
    """One side, a process that answers requests."""

    def __init__(self, python: str, module: str, problem: Path, n_threads: int) -> None:
        # XLA's own threads where there are two cores; ours shares a batch between threads itself
        environment = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": str(n_threads)}
        self.log = problem.parent / f"{module}.{n_threads}.log"
        with self.log.open("w", encoding="utf-8") as log:
            command = [python, "-m", module, str(problem), str(n_threads)]
            pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": log}
            self.process = subprocess.Popen(command, text=True, cwd=ROOT, env=environment, **pipes)
        self.facts = self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.close()
            end = self.log.read_text(encoding="utf-8")[-2000:]
            raise RuntimeError(f"{' '.join(map(str, self.process.args))} ended without an answer; its last words:\n{end}")
        return json.loads(line)

    def ask(self, way: str, n_batch: int, repeats: int) -> Any:
        """Values and times of one setting."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"way": way, "n_batch": n_batch, "repeats": repeats}) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End the process."""
        self.process.communicate(timeout=60)


def compare(python: str, problem: Path, n_threads: int, rounds: int) -> dict[str, Any]:
    """Both sides on ``n_threads`` cores, by turns."""
    sides = {
        "fitcore": (Side(sys.executable, "benchmarks.peer_fitcore", problem, n_threads), OURS),
        "peer": (Side(python, "benchmarks.peer_autolens", problem, n_threads), THEIRS),
    }
    times: dict[str, dict[str, list[Any]]] = {name: {} for name in sides}
    values, versions = {}, {name: side.facts for name, (side, _) in sides.items()}
    for turn in range(rounds + 1):  # the first compiles
        for name, (side, settings) in sides.items():
            for way, n_batch in settings:
                answer = side.ask(way, n_batch, 4 if n_batch > 1 else 32)
                if answer["type"] != "float64":
                    raise RuntimeError(f"{name} answered in {answer['type']}, not in float64.")
                values[name] = answer["values"]
                if turn:
                    times[name].setdefault(f"{way} {n_batch}", []).append(answer)
    for side, _ in sides.values():
        side.close()
    return {"ms": summary(times), "agreement": agreement(values), "versions": versions}


def summary(times: dict[str, dict[str, list[Any]]]) -> dict[str, Any]:
    """Medians and least of both sides; ratios on the wall and of processor time, in the way of the peer that is its best in each."""
    table: dict[str, Any] = {name: {way: _row(rows) for way, rows in ways.items()} for name, ways in times.items()}
    for kind in ("wall", "processor"):
        ours = _medians(times["fitcore"][f"map {BATCH}"], kind)
        ratios = {way: _medians(rows, kind) / ours for way, rows in times["peer"].items()}
        best = min((way for way in ratios if not way.startswith("map")), key=lambda way: float(np.median(ratios[way])))
        low, middle, high = (round(float(v), 2) for v in np.quantile(ratios[best], [0.25, 0.5, 0.75]))
        table[f"ratio, {kind}"] = {"median": middle, "quartiles": [low, high], "best of the peer": best}
        for name, way in (("batched", f"vmap {BATCH}"), ("in our loop", f"map {BATCH}")):
            if way in ratios:
                table[f"ratio, {kind}"][name] = round(float(np.median(ratios[way])), 2)
    least = min(row["least"] for row in table["peer"].values()) / table["fitcore"][f"map {BATCH}"]["least"]
    return table | {"ratio of the least": round(least, 2)}


def _medians(rows: list[Any], kind: str) -> np.ndarray:
    """Of each round."""
    return np.array([np.median(row[kind]) for row in rows])


def _row(rows: list[Any]) -> dict[str, float]:
    wall, processor = (np.concatenate([row[kind] for row in rows]) for kind in ("wall", "processor"))
    return {
        "wall": round(float(np.median(wall)), 3),
        "processor": round(float(np.median(processor)), 3),
        "least": round(float(wall.min()), 3),
    }


def agreement(values: dict[str, list[float]]) -> dict[str, float]:
    """Of the log-likelihoods of the points."""
    ours, theirs = (np.array(values[name]) for name in ("fitcore", "peer"))
    return {
        "largest difference": float(np.abs(ours - theirs).max()),
        "largest relative difference": float(np.abs(ours / theirs - 1.0).max()),
        "log-likelihoods from": float(ours.min()),
        "to": float(ours.max()),
    }


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", required=True, help="the interpreter that has autolens")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--sub-pixels", type=int, nargs="+", default=[1, 2], help="on a side of a pixel")
    parser.add_argument("--keep", choices=("yes", "no"), default="yes")
    options = parser.parse_args()
    table: dict[str, Any] = {"machine": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    with tempfile.TemporaryDirectory() as folder:
        for over_sampling in options.sub_pixels:
            arrays = problem_arrays(over_sampling)
            path = Path(folder) / f"problem-{over_sampling}.npz"
            np.savez(path, **arrays)
            table["pixels used"] = int(arrays["used"].sum())
            for n_threads in options.threads:
                found = compare(options.python, path, n_threads, options.rounds)
                table["versions"] = found.pop("versions")
                table[f"{over_sampling} x {over_sampling} sub-pixels, {n_threads} threads"] = found
                table["load"] = round(os.getloadavg()[0], 1)
                print(json.dumps(found), file=sys.stderr, flush=True)
                if options.keep == "yes":  # after each setting: a whole run takes a quarter of an hour beside other work
                    Path(__file__).with_suffix(".json").write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
