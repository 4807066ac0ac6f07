"""The figures of the documentation, made by the code itself: ``python docs/figures.py FOLDER``, or by every build of the pages."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import AsinhNorm
from matplotlib.figure import Figure

import fitcore as fc
from pipelines.lens.critical import critical_curves
from pipelines.lens.simulate import example_model, simulate

ROOT = Path(__file__).resolve().parent.parent
INK, WARM, COLD = "#1b1b1f", "#c8553d", "#28666e"
SIGMA = 0.02
STAGES = (1, 2, 3)


class Means(fc.Analysis):
    """Two means, measured once each."""

    def log_likelihood_function(self, instance: Any) -> float:
        """Normal, with `SIGMA`."""
        return -0.5 * ((instance["a"] - 0.4) ** 2 + (instance["b"] + 0.1) ** 2) / SIGMA**2


class Counts(fc.Analysis):
    """Three events, with a rate near the edge of its prior."""

    def log_likelihood_function(self, instance: Any) -> float:
        """Poisson, but for a constant."""
        return 3.0 * np.log(instance["rate"]) - 3.0 * instance["rate"]


def lens() -> Figure:
    """An image with its critical curves, the source plane with its caustics, the convergence."""
    model = example_model(1)
    masses = [part for name, part in model.items() if name not in ("lens_light", "source")]
    image = simulate(model, seed=1)
    half = 0.5 * image.pixel_scale * image.data.shape[0]
    curves = critical_curves(masses, center=(model["lens_light"].center_x, model["lens_light"].center_y))
    x, y = np.meshgrid(*[np.linspace(-half, half, 400)] * 2)
    figure = Figure(figsize=(10.5, 3.6), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    left.imshow(image.data, origin="lower", extent=(-half, half, -half, half), norm=AsinhNorm(0.1), cmap="magma")
    near = np.meshgrid(*[np.linspace(-0.6, 0.6, 200)] * 2)
    middle.imshow(model["source"].surface_brightness(*near), origin="lower", extent=(-0.6, 0.6, -0.6, 0.6), cmap="magma")
    for curve in curves:
        left.plot(*curve.curve.T, color="white", lw=1.0, ls="-" if curve.kind == "tangential" else "--")
        middle.plot(*curve.caustic.T, color="white", lw=1.0, ls="-" if curve.kind == "tangential" else "--")
    middle.set(xlim=(-0.6, 0.6), ylim=(-0.6, 0.6))
    total = np.log10(sum(np.asarray(mass.convergence(x, y)) for mass in masses))
    shown = right.contourf(x, y, total, levels=np.linspace(-1.0, 1.0, 13), cmap="viridis", extend="both")
    right.set_aspect("equal")
    figure.colorbar(shown, ax=right, label="log10 convergence", ticks=[-1.0, 0.0, 1.0])
    for axes, title in ((left, "image and critical curves"), (middle, "source and caustics"), (right, "convergence")):
        axes.set(title=title, xlabel="x [arcsec]")
    left.set_ylabel("y [arcsec]")
    return figure


def linking() -> Figure:
    """Width of the posterior after one, two and three stages on the same data, by what each hands to the next."""
    wide = fc.Model({"a": fc.Uniform(-1.0, 1.0), "b": fc.Normal(0.0, 0.5)})
    first = fc.fit(wide, Means(), fc.Nautilus(n_live=100, n_eff=3000), progress=False)
    by_priors, by_proposals = [first], [first]
    for seed in STAGES[:2]:
        model = by_priors[-1].projected_model
        by_priors.append(fc.fit(model, Means(), fc.Nautilus(n_live=100, n_eff=3000), seed=seed, progress=False))
        proposal = by_proposals[-1].proposal(wide)
        by_proposals.append(fc.fit(wide, Means(), fc.Importance(n_eff=3000), seed=seed, proposal=proposal, progress=False))
    figure = Figure(figsize=(5.5, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.plot(STAGES, 1.0 / np.sqrt(STAGES), color=INK, lw=0.8, ls=":", label="1 / sqrt(number of uses)")
    for results, color, label in ((by_priors, WARM, "projected_model as priors"), (by_proposals, COLD, "proposal")):
        widths = [np.sqrt(np.diag(result.samples.covariance())).mean() / SIGMA for result in results]
        axes.plot(STAGES, widths, "o-", color=color, label=label)
    axes.set(xticks=STAGES, ylim=(0.0, 1.15), xlabel="stages on the same data", ylabel="error / right error")
    axes.legend(frameon=False)
    return figure


def ablation() -> Figure:
    """The last stage of three real lenses by what it is given: its error against that of a cold search. From benchmarks/proposals.json."""
    rows = json.loads((ROOT / "benchmarks" / "proposals.json").read_text(encoding="utf-8"))
    kinds = {"proposal": "proposal", "projected": "projected_model\nas priors", "fixed": "best fit\nheld fixed"}
    figure = Figure(figsize=(7.5, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for row, marker in zip(rows, "osD", strict=False):
        narrowest = [row[kind]["narrowest"] for kind in kinds]
        left.plot(range(3), narrowest, marker, ls="none", label=row["lens"], ms=7, alpha=0.8)
        right.plot(range(3), [row[kind]["off"] for kind in kinds], marker, ls="none", ms=7, alpha=0.8)
    left.axhline(1.0, color=INK, lw=0.8, ls=":")
    left.set(ylim=(0.0, 1.1), ylabel="narrowest error / that of a cold search")
    right.set(ylim=(-0.05, None), ylabel="largest shift of a mean [errors]")
    for axes in (left, right):
        axes.set_xticks(range(3), list(kinds.values()), fontsize=8)
        axes.set_xlim(-0.5, 2.5)
    left.legend(frameon=False, fontsize=8)
    return figure


def population() -> Figure:
    """Six simulated lenses of other seeds."""
    figure = Figure(figsize=(10.5, 1.95), layout="constrained")
    for seed, axes in zip(range(2, 8), figure.subplots(1, 6), strict=True):
        image = simulate(example_model(seed), seed=seed)
        half = 0.5 * image.pixel_scale * image.data.shape[0]
        axes.imshow(image.data, origin="lower", extent=(-half, half, -half, half), norm=AsinhNorm(0.1), cmap="magma")
        axes.set(xticks=[], yticks=[], title=f"seed {seed}")
    return figure


def priors() -> Figure:
    """A prior before and after a fit: the same support, the posterior's moments."""
    before = fc.Model({"rate": fc.Uniform(0.0, 10.0)})
    result = fc.fit(before, Counts(), fc.Nautilus(n_live=100, n_eff=2000), progress=False)
    samples = result.samples
    figure = Figure(figsize=(5.5, 3.0), layout="constrained")
    axes = figure.subplots()
    edges = np.linspace(0.0, 10.0, 81)
    axes.hist(samples.column("rate"), edges, weights=samples.weight, density=True, color=COLD, alpha=0.35, label="posterior samples")
    middles = 0.5 * (edges[1:] + edges[:-1])
    for model, color, label in ((before, INK, "prior"), (result.projected_model, WARM, "projected prior")):
        density = [np.exp(model.log_prior([value])) for value in middles]
        axes.plot(middles, density, color=color, label=label)
    axes.set(xlabel="rate", ylabel="density", xlim=(0.0, 10.0), ylim=(0.0, None))
    axes.legend(frameon=False)
    return figure


DRAWN: tuple[Callable[[], Figure], ...] = (lens, population, priors, linking, ablation)


def draw_all(folder: Path) -> None:
    """Draw each figure into a folder, under its name."""
    folder.mkdir(exist_ok=True)
    with mpl.rc_context({"font.size": 9.0, "axes.spines.top": False, "axes.spines.right": False}):
        for draw in DRAWN:
            draw().savefig(folder / f"{draw.__name__}.png", dpi=130)


def setup(app: Any) -> dict[str, bool]:
    """As an extension of Sphinx: draw before the pages are read."""
    app.connect("builder-inited", lambda app: draw_all(Path(app.srcdir) / "figures"))
    return {"parallel_read_safe": True}


if __name__ == "__main__":
    draw_all(Path(sys.argv[1]))
