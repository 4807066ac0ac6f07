"""Two small lenses: one made with numpy alone, for pictures and report, ray-traced exactly, so that its arcs lie where they should; and one
made of the likelihood's own Gaussians, whose parameters are known, for the tests of fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits
from scipy.signal import fftconvolve

from fitcore import Pipeline, Store, run_pipeline
from fitcore.search.base import Checkpoint, Problem, Progress, Search, SearchOutcome
from pipelines.lens import loader
from pipelines.lens.bands import Bands
from pipelines.lens.columns import radius_squared
from pipelines.lens.dataset import Imaging
from pipelines.lens.exported import Scene, scenes_of
from pipelines.lens.joint_stages import joint_pipeline
from pipelines.lens.mass import Isothermal, Shear
from pipelines.lens.stages import lens_pipeline
from pipelines.lens.varpro import PARAMETERS

SCALE = 0.05
RADIUS, AXIS_RATIO = 1.4, 0.72


def _deflection(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Singular isothermal ellipse, major axis on x (Kormann, Schneider & Bartelmann 1994)."""
    f = np.sqrt(1 - AXIS_RATIO**2)
    psi = np.sqrt(AXIS_RATIO**2 * x**2 + y**2) + 1e-12
    strength = RADIUS * np.sqrt(AXIS_RATIO) / f
    return strength * np.arctan(f * x / psi), strength * np.arctanh(f * y / psi)


def _blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    kernel = np.exp(-0.5 * (np.arange(-8, 9) / sigma) ** 2)
    kernel /= kernel.sum()
    rows = np.apply_along_axis(np.convolve, 1, image, kernel, mode="same")
    return np.apply_along_axis(np.convolve, 0, rows, kernel, mode="same")


def _source(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    main = 1.1 * np.exp(-0.5 * (((x - 0.10) / 0.09) ** 2 + ((y - 0.12) / 0.06) ** 2))
    return main + 0.5 * np.exp(-0.5 * (((x + 0.05) / 0.04) ** 2 + ((y - 0.2) / 0.04) ** 2))


def _make(n: int = 161, mask_radius: float = 3.0) -> SimpleNamespace:
    half = 0.5 * n * SCALE
    axis = (np.arange(n) - 0.5 * (n - 1)) * SCALE
    x, y = np.meshgrid(axis, axis)
    alpha_x, alpha_y = _deflection(x, y)
    lensed_source = _blurred(_source(x - alpha_x, y - alpha_y), 1.4)
    lens_light = _blurred(9.0 * np.exp(-3.5 * (np.hypot(x, y / 0.8) / 0.6) ** 0.5) + 0.6 * np.exp(-np.hypot(x, y / 0.75) / 0.5), 1.4)
    model = lens_light + lensed_source
    noise = np.sqrt(0.03**2 + 0.002 * model)
    data = model + noise * np.random.default_rng(5).standard_normal((n, n))
    data += 2.0 * np.exp(-0.5 * (((x - 3.2) / 0.2) ** 2 + ((y + 2.9) / 0.15) ** 2))  # a neighbor outside the mask
    t = np.linspace(0, 2 * np.pi, 400)
    critical_x, critical_y = RADIUS / np.sqrt(AXIS_RATIO) * np.cos(t), RADIUS * np.sqrt(AXIS_RATIO) * np.sin(t)
    caustic_x, caustic_y = _deflection(critical_x, critical_y)
    fine = np.linspace(-0.6, 0.6, 121)
    return SimpleNamespace(
        data=data, noise=noise, mask=np.hypot(x, y) < mask_radius, model=model, lens_light=lens_light, lensed_source=lensed_source,
        extent=(-half, half, -half, half), critical=np.stack([critical_x, critical_y], axis=1),
        caustic=np.stack([critical_x - caustic_x, critical_y - caustic_y], axis=1), source=_source(*np.meshgrid(fine, fine)),
        source_extent=(-0.605, 0.605, -0.605, 0.605), pixel_scale=SCALE,
    )  # fmt: skip


@pytest.fixture(scope="session")
def numpy_lens() -> Callable[..., SimpleNamespace]:
    """Call it for a fresh lens of ``n`` pixels a side with a round mask."""
    return _make


RING_SCALE = 0.08
RING_TRUTH = np.array([0.01, -0.02, 0.15, 0.05, -0.05, 0.12, 0.01, -0.02, 0.12, 0.08, 1.1, 0.03, -0.02, 0.15, 0.08, 0.1, -0.05] + 6 * [0.0])
"""In the order of `pipelines.lens.varpro`; it has no second source set and no third set of lens light."""
RING_LIGHT = ((0.15, 0.05, ((12.0, 0.225), (3.0, 0.9))), (-0.05, 0.12, ((20.0, 3.6 / 2**4.5),)))
RING_SOURCE = ((4.0, 0.175 / np.sqrt(2.0)), (6.0, 0.0875))
"""Peaks and widths, all of them members of the default ladders, 3.6 and 0.35 / sqrt(2)^k."""


def _ring_light(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    total = np.zeros_like(x)
    for e_1, e_2, members in RING_LIGHT:
        square = radius_squared(x - RING_TRUTH[0], y - RING_TRUTH[1], e_1, e_2)
        total += sum(peak * np.exp(-0.5 * square / sigma**2) for peak, sigma in members)
    return total


def _ring_source(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    fields = ("center_x", "center_y", "ellipticity_1", "ellipticity_2", "einstein_radius")
    mass = Isothermal(**dict(zip(fields, RING_TRUTH[6:11], strict=True)))
    alpha = np.array(mass.deflection(x, y)) + np.array(Shear(gamma_1=RING_TRUTH[11], gamma_2=RING_TRUTH[12]).deflection(x, y))
    square = radius_squared(x - alpha[0] - RING_TRUTH[13], y - alpha[1] - RING_TRUTH[14], RING_TRUTH[15], RING_TRUTH[16])
    return sum((peak * np.exp(-0.5 * square / sigma**2) for peak, sigma in RING_SOURCE), np.zeros_like(x))


def _ring(
    *, n: int = 71, noise: float = 0.05, seed: int | None = 0, brightness: float = 1.0, offset: tuple[float, float] = (0.0, 0.0)
) -> Imaging:
    """The image on a 2 x 2 sub-grid, over a sky of 0.2, the source ``brightness`` times as bright; no noise where ``seed`` is None.

    All that is seen lies by ``offset`` farther right and up.
    """
    axis = (np.arange(n) - n // 2) * RING_SCALE
    x, y = np.meshgrid(axis, axis)
    clean = np.full(x.shape, 0.2)
    kernel = np.exp(-0.5 * ((np.arange(11) - 5) / 1.3) ** 2)
    kernel = np.outer(kernel, kernel) / kernel.sum() ** 2
    wide = 5
    axis = (np.arange(n + 2 * wide) - n // 2 - wide) * RING_SCALE
    x, y = np.meshgrid(axis - offset[0], axis - offset[1])
    bright = np.zeros_like(x)
    for d_x in (-0.02, 0.02):
        for d_y in (-0.02, 0.02):
            bright += 0.25 * _ring_light(x + d_x, y + d_y)
            bright += 0.25 * brightness * _ring_source(x + d_x, y + d_y)
    clean = clean + fftconvolve(bright, kernel, mode="same")[wide:-wide, wide:-wide]
    error = 0.0 if seed is None else noise * np.random.default_rng(seed).standard_normal(clean.shape)
    return Imaging(data=clean + error, noise=np.full(clean.shape, noise), psf=kernel, pixel_scale=RING_SCALE, name="ring")


@pytest.fixture(scope="session")
def ring() -> SimpleNamespace:
    """``make(...)`` returns its image; ``truth`` all parameters; ``light`` its lens light before the PSF, ``scale`` its pixel scale."""
    return SimpleNamespace(make=_ring, truth=RING_TRUTH.copy(), light=_ring_light, scale=RING_SCALE)


NOTED = {
    "gap_to_rival": float("inf"), "radius_spread": 0.01, "n_dissenters": 0, "inner_significance": 30.0, "outer_significance": 50.0,
    "inner_amplitude": 1.0, "outer_amplitude": 1.0, "ellipticity_offset": 0.2, "used": 1.0, "lens_gain": 0.2,
    "center_offset": 0.01, "radius_error": 0.002, "lens_light_inadequacy": 0.01, "source_inadequacy": 0.02, "misfit_cell": 4,
    "lens_light_inadequacy_B": 0.01, "source_inadequacy_B": 0.03, "misfit_cell_B": 4,
    **{f"misfit_at.{path}": value for path, value in zip(PARAMETERS, RING_TRUTH.tolist(), strict=True)},
    "einstein_radius": 1.03 * float(RING_TRUTH[PARAMETERS.index("mass.einstein_radius")]),
    "light_ellipticity_1": float(RING_TRUTH[2]), "light_ellipticity_2": float(RING_TRUTH[3]),
}  # fmt: skip
"""What a basin search that has found the ring says of it."""


BAND_OFFSET = (0.013, -0.021)
OF_SECOND_BAND = {
    **{f"bands.B.offset_{axis}": shift for axis, shift in zip("xy", BAND_OFFSET, strict=True)},
    **{
        f"bands.B.{path}": value
        for path, value in zip(PARAMETERS[:6], (RING_TRUTH[:6] + np.array([*BAND_OFFSET, 0.0, 0.0, 0.0, 0.0])).tolist(), strict=True)
    },
}


@dataclass(frozen=True, kw_only=True)
class AtTheTruth(Search):
    """Stands for a search that has found the ring: equally weighted draws within a part of its errors, and the truth itself."""

    n: int = 48

    def run(self, problem: Problem, *, seed: int, checkpoint: Checkpoint, progress: Progress) -> SearchOutcome:
        known = {**dict(zip(PARAMETERS, RING_TRUTH.tolist(), strict=True)), "mass.slope": 2.0, **OF_SECOND_BAND}
        truth = np.array([known[path] for path in problem.paths])
        draws = np.random.default_rng(seed).standard_normal((self.n - 1, len(truth)))
        theta = truth + 5e-4 * np.concatenate([np.zeros((1, len(truth))), draws])
        u = np.asarray(problem.model.inverse_transform(theta))
        log_likelihood = problem.log_likelihood(u)
        return SearchOutcome(
            u=u,
            log_likelihood=log_likelihood,
            log_weight=np.full(self.n, -np.log(self.n)),
            log_evidence=float(log_likelihood.max()) - 50.0,
            log_evidence_error=0.1,
            n_calls=self.n,
            diagnostics={"grade": "A", **NOTED, **{f"misfit_at.{path}": value for path, value in OF_SECOND_BAND.items()}},
        )


@pytest.fixture(scope="session")
def two_bands() -> SimpleNamespace:
    """The ring in two bands: ``dataset``, and the ``offset`` of the second, whose source is half as bright again; ``start``: the truth."""
    members = (replace(_ring(), mask_radius=2.0), _ring(seed=7, brightness=1.5, offset=BAND_OFFSET))
    start = dict(zip(PARAMETERS[:21], RING_TRUTH[:21].tolist(), strict=True))
    return SimpleNamespace(dataset=Bands(name="two", names=("A", "B"), members=members), offset=np.array(BAND_OFFSET), start=start)


@pytest.fixture(scope="session")
def ring_chain(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A finished chain of the ring whose searches know the answer: dataset, pipeline, store, results."""
    dataset = replace(_ring(), mask_radius=2.0)
    pipeline = Pipeline("lens", [replace(stage, search=AtTheTruth()) for stage in lens_pipeline()])
    store = Store(tmp_path_factory.mktemp("ring") / "store")
    return SimpleNamespace(dataset=dataset, pipeline=pipeline, store=store, results=run_pipeline(pipeline, dataset, store))


@pytest.fixture(scope="session")
def joint_chain(two_bands: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """As `ring_chain`, of the ring in two bands."""
    pipeline = Pipeline("lens", [replace(stage, search=AtTheTruth()) for stage in joint_pipeline()])
    store = Store(tmp_path_factory.mktemp("joint") / "store")
    results = run_pipeline(pipeline, two_bands.dataset, store)
    return SimpleNamespace(dataset=two_bands.dataset, pipeline=pipeline, store=store, results=results)


def _sky(scale: float, n: int, north: float = 0.0, east: int = -1) -> fits.Header:
    """A header with a tangential WCS; +y is ``north`` degrees east of north, and x grows to the east for ``east`` 1 at no angle."""
    turn, degrees = np.radians(north), scale / 3600.0
    cards = {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.1, "CRVAL2": 2.2, "CRPIX1": 0.5 * (n + 1), "CRPIX2": 0.5 * (n + 1),
        # +x lies at east * (cos, -sin) of (east, north), +y at (sin, cos)
        "CD1_1": east * np.cos(turn) * degrees, "CD1_2": np.sin(turn) * degrees,
        "CD2_1": -east * np.sin(turn) * degrees, "CD2_2": np.cos(turn) * degrees,
        "RADESYS": "FK5", "BUNIT": "ELECTRONS/S", "OBJECT": "no part of the sky",
    }  # fmt: skip
    return fits.Header(cards)


def _turned(scene: Scene, north: float, east: int = -1) -> Scene:
    """The same pixels under another sky."""
    header = _sky(scene.dataset.pixel_scale, scene.dataset.shape[0], north, east)
    facts = loader.wcs_facts(header)
    assert facts["position_angle_of_y"] == pytest.approx(north)
    assert facts["is_mirrored"] == (east == 1)
    del facts["pixel_scale"]
    return replace(scene, header=header, seen=replace(scene.seen, dataset=replace(scene.dataset, **facts)))


@pytest.fixture(scope="session")
def exported(ring_chain: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The ring chain to export: ``folder`` of its dataset, whose header has a sky with north up, its ``scene``, ``turned(scene, north,
    east)`` for the same pixels under another sky, and ``about``, plain facts."""
    image, folder = ring_chain.dataset, tmp_path_factory.mktemp("export") / "ring"
    folder.mkdir()
    fits.PrimaryHDU(image.data, _sky(image.pixel_scale, image.shape[0])).writeto(folder / "image.fits")
    fits.PrimaryHDU(image.noise).writeto(folder / "noise.fits")
    fits.PrimaryHDU(image.psf).writeto(folder / "psf.fits")
    about = {
        "name": "ring", "pipeline": "lens", "stage": "power_law", "digest": "ab" * 32, "verdict": "accepted", "seed": 3,
        "exported_by": "fitcore 0", "made_by": "fitcore 0", "committed": "2026", "command": "fitcore run ring",
        "conventions": ["one", "two"],
    }  # fmt: skip
    scene = scenes_of(image, ring_chain.results, folder)[""]
    return SimpleNamespace(folder=folder, scene=scene, turned=_turned, about=about)
