"""The likelihood against a plain NumPy and SciPy computation of the same sums, its gradient against differences, and its pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from scipy.optimize import nnls as scipy_nnls
from scipy.signal import fftconvolve

from fitcore.evaluation import compiled
from pipelines.lens.columns import GaussianBasis
from pipelines.lens.dataset import Imaging
from pipelines.lens.frame import Frame
from pipelines.lens.light import Gaussian, Sersic
from pipelines.lens.linear import held_light, light_of, log_likelihood, pictures, source_plane, traced
from pipelines.lens.mass import Isothermal, PowerLaw, Shear, Sheet
from pipelines.lens.stages import isothermal_model
from pipelines.lens.tracing import ELLIPTICITY_STEPS, deflection

RADIUS = 1.6
evaluate = compiled(log_likelihood)


def lens(*, mass: Any = None, n: int = 6) -> dict[str, Any]:
    """An instance with few Gaussians."""
    return {
        "lens_light": {
            "first": GaussianBasis(center_x=0.01, center_y=-0.02, ellipticity_1=0.1, ellipticity_2=0.05, sigma_max=1.2, n=n),
            "second": GaussianBasis(center_x=0.01, center_y=-0.02, ellipticity_1=-0.1, ellipticity_2=0.1, sigma_max=0.6, n=n),
        },
        "mass": mass or Isothermal(center_x=0.0, center_y=0.01, ellipticity_1=0.12, ellipticity_2=-0.08, einstein_radius=0.9),
        "shear": Shear(gamma_1=0.03, gamma_2=-0.02),
        "source": {"main": GaussianBasis(center_x=0.08, center_y=0.05, ellipticity_1=0.1, ellipticity_2=0.1, sigma_max=0.3, n=n)},
    }


def imaging(seed: int = 0) -> Imaging:
    """A ring around a galaxy over a sky of -0.3, some pixels masked."""
    rng = np.random.default_rng(seed)
    axis = (np.arange(61) - 30) * 0.08
    x, y = np.meshgrid(axis, axis)
    clean = 20.0 * np.exp(-2.0 * np.hypot(x, 1.2 * y)) + 3.0 * np.exp(-0.5 * ((np.hypot(x - 0.05, y) - 0.9) / 0.12) ** 2) * (1.2 + x) - 0.3
    mask = np.ones(x.shape, dtype=bool)
    mask[12:16, 40:44] = False
    kernel = np.exp(-0.5 * ((np.arange(9) - 4) / 1.2) ** 2)
    noise = np.full(x.shape, 0.1)
    return Imaging(
        data=clean + 0.1 * rng.standard_normal(x.shape), noise=noise, mask=mask, psf=np.outer(kernel, kernel), pixel_scale=0.08, name="ring"
    )


def by_hand(instance: dict[str, Any], image: Imaging) -> tuple[float, np.ndarray]:
    """ln L and residual over the whole frame: every Gaussian by itself, convolution by SciPy, sky as two more non-negative columns."""
    steps = (-0.02, 0.02)
    columns = []
    for name in ("first", "second", "main"):
        basis = (instance["lens_light"] | instance["source"])[name]
        for sigma in basis.sigmas:
            total = np.zeros(image.shape)
            for d_x in steps:
                for d_y in steps:
                    x, y = image.x + d_x, image.y + d_y
                    if name == "main":
                        parts = [np.array(instance[key].deflection(x, y)) for key in instance if key not in ("lens_light", "source")]
                        x, y = (axis - alpha for axis, alpha in zip((x, y), sum(parts), strict=True))
                    total += 0.25 * np.exp(-0.5 * np.asarray(basis.radius_squared(x, y)) / sigma**2)
            columns.append(fftconvolve(total, image.psf, mode="same"))
    used = image.used & (np.hypot(image.x, image.y) <= RADIUS)
    rows = np.array([*columns, np.ones(image.shape), -np.ones(image.shape)])
    whitened = rows[:, used] / image.noise[used]
    norm = np.linalg.norm(whitened, axis=1)
    amplitudes, chi = scipy_nnls((whitened / norm[:, None]).T, image.data[used] / image.noise[used])
    residual = image.data - np.tensordot(amplitudes / norm, rows, axes=1)
    return float(-0.5 * (chi**2 + np.log(2 * np.pi * image.noise[used] ** 2).sum())), residual


@pytest.fixture(scope="module")
def frame() -> Frame:
    return Frame.from_imaging(imaging(), mask_radius=RADIUS)


def test_equals_the_plain_sum(frame: Frame) -> None:
    expected, _ = by_hand(lens(), imaging())
    value = evaluate(lens(), frame)
    assert value.shape == ()
    assert value.dtype == np.float64
    assert float(value) == pytest.approx(expected, abs=1e-5)


def test_pictures_add_up_to_the_data(frame: Frame) -> None:
    _, expected = by_hand(lens(), imaging())
    seen = compiled(pictures)(lens(), frame)
    total = seen.lens_light + seen.lensed_source + seen.sky + seen.residual
    assert np.asarray(total) == pytest.approx(np.asarray(frame.data), abs=1e-12)
    x, y = frame.pixel_centers
    rows, columns = np.rint(y / 0.08).astype(int) + 30, np.rint(x / 0.08).astype(int) + 30
    used = np.asarray(frame.weight) > 0
    assert np.asarray(seen.residual)[used] == pytest.approx(expected[rows, columns][used], abs=1e-5)
    assert float(seen.log_likelihood) == pytest.approx(float(evaluate(lens(), frame)), abs=1e-9)
    assert -0.5 * (float((np.asarray(seen.residual)[used] ** 2 / 0.01).sum()) + float(frame.log_normalization)) == pytest.approx(
        float(seen.log_likelihood), abs=1e-7
    )


def test_a_constant_added_to_the_data_changes_nothing() -> None:
    image = imaging()
    brighter = Imaging(data=image.data + 7.0, noise=image.noise, mask=image.mask, psf=image.psf, pixel_scale=0.08)
    values = [float(evaluate(lens(), Frame.from_imaging(one, mask_radius=RADIUS))) for one in (image, brighter)]
    assert values[0] == pytest.approx(values[1], abs=1e-6)


@pytest.mark.slow
def test_gradient_agrees_with_central_differences(frame: Frame) -> None:
    """The amplitudes are held in the gradient, and solved anew in the differences: the envelope theorem."""
    model = isothermal_model()
    theta = np.array(
        [0.01, -0.02, 0.1, 0.05, -0.1, 0.1, 0.0, 0.01, 0.12, -0.08, 0.9, 0.03, -0.02, 0.08, 0.05, 0.1, 0.1, -0.1, 0.1, 0.1, -0.05]
    )
    value = compiled(lambda point: log_likelihood(model.instance_from_vector(point), frame))
    gradient = np.asarray(compiled(jax.grad(value))(theta))
    step = 1e-5
    differences = np.array([(float(value(theta + row)) - float(value(theta - row))) / (2 * step) for row in step * np.eye(21)])
    assert np.abs(gradient).min() > 1.0
    assert gradient == pytest.approx(differences, rel=2e-4, abs=2e-4 * np.abs(differences).max())


def test_light_of_fixed_intensity_is_taken_from_the_data_first(frame: Frame) -> None:
    """A Gaussian of fixed intensity changes nothing where its amplitude in the basis can give way to it."""
    plain = lens()
    amplitudes = np.asarray(compiled(pictures)(plain, frame).amplitudes)
    k = int(np.argmax(amplitudes[:6]))
    basis = plain["lens_light"]["first"]
    shape = {"center_x": 0.01, "center_y": -0.02, "ellipticity_1": 0.1, "ellipticity_2": 0.05}
    member = Gaussian(**shape, intensity=0.5 * amplitudes[k], sigma=float(basis.sigmas[k]))
    more = plain | {"lens_light": plain["lens_light"] | {"bulge": member}}
    assert float(evaluate(more, frame)) == pytest.approx(float(evaluate(plain, frame)), abs=1e-5)
    seen, before = compiled(pictures)(more, frame), compiled(pictures)(plain, frame)
    assert np.asarray(seen.lens_light) == pytest.approx(np.asarray(before.lens_light), abs=1e-5)
    assert float(seen.amplitudes[k]) == pytest.approx(0.5 * amplitudes[k], rel=1e-3)


def test_light_without_any_basis() -> None:
    """Everything of fixed intensity: the likelihood is that of the residual alone, with the best sky."""
    image = imaging()
    frame = Frame.from_imaging(image, mask_radius=RADIUS)
    shape = {"center_x": 0.0, "center_y": 0.0, "ellipticity_1": 0.1, "ellipticity_2": 0.0}
    instance = {
        "lens_light": Sersic(**shape, intensity=2.0, effective_radius=0.6, sersic_index=1.0),
        "mass": lens()["mass"],
        "source": Gaussian(**shape, intensity=1.0, sigma=0.1),
    }
    seen = pictures(instance, frame)
    weight = np.asarray(frame.weight)
    left = np.asarray(frame.data - seen.lens_light - seen.lensed_source)
    sky = np.average(left, weights=weight**2)
    assert float(seen.sky) == pytest.approx(sky, rel=1e-10)
    expected = -0.5 * ((((left - sky) * weight) ** 2).sum() + float(frame.log_normalization))
    assert float(log_likelihood(instance, frame)) == pytest.approx(expected, abs=1e-7)


def test_held_light_gives_the_same_likelihood(frame: Frame) -> None:
    """Also with a source of fixed intensity, which changes what the held columns are projected on."""
    plain = lens()
    lump = Gaussian(center_x=0.0, center_y=0.1, ellipticity_1=0.0, ellipticity_2=0.0, intensity=0.4, sigma=0.1)
    for instance in (plain, plain | {"source": plain["source"] | {"lump": lump}}):
        held = held_light(instance["lens_light"], frame)
        assert float(evaluate(instance, frame, held)) == pytest.approx(float(evaluate(instance, frame)), abs=1e-7)


def test_every_component_outside_the_light_deflects(frame: Frame) -> None:
    thinner = Isothermal(center_x=0.0, center_y=0.01, ellipticity_1=0.12, ellipticity_2=-0.08, einstein_radius=0.8)
    alone = float(evaluate(lens(mass=thinner), frame))
    with_sheet = float(evaluate(lens(mass=thinner) | {"halo": Sheet(center_x=0.0, center_y=0.0, convergence_0=0.1)}, frame))
    assert abs(alone - with_sheet) > 10.0


@pytest.mark.parametrize("size", [0.0, 0.0999, 0.1, 0.19, 0.34, 0.49, 0.64, 0.79, 0.95])
@pytest.mark.parametrize("slope", [2.0, 1.6, 2.5])
def test_shortened_series_is_as_good_as_the_full_one(size: float, slope: float) -> None:
    x, y = np.meshgrid(np.linspace(-3, 3, 41) + 0.013, np.linspace(-3, 3, 41))
    mass = PowerLaw(center_x=0.0, center_y=0.0, ellipticity_1=0.6 * size, ellipticity_2=-0.8 * size, einstein_radius=1.2, slope=slope)
    short = np.asarray(deflection(mass, x, y))
    full = np.asarray(mass.deflection(x, y, 800))
    assert np.abs(short - full).max() < (2e-9 if size <= ELLIPTICITY_STEPS[-1] else 2e-3)


def test_isothermal_is_the_power_law_of_slope_2(frame: Frame) -> None:
    shape = {"center_x": 0.0, "center_y": 0.01, "ellipticity_1": 0.12, "ellipticity_2": -0.08, "einstein_radius": 0.9}
    values = [float(evaluate(lens(mass=mass), frame)) for mass in (Isothermal(**shape), PowerLaw(**shape, slope=2.0))]
    assert values[0] == pytest.approx(values[1], abs=1e-8)


def test_source_plane_holds_the_light_of_the_source(frame: Frame) -> None:
    instance = lens()
    amplitudes = np.asarray(compiled(pictures)(instance, frame).amplitudes)
    x, y = np.meshgrid(np.linspace(-0.5, 0.5, 31), np.linspace(-0.4, 0.6, 21))
    basis = instance["source"]["main"]
    square = np.asarray(basis.radius_squared(x, y))
    expected = sum(a * np.exp(-0.5 * square / s**2) for a, s in zip(amplitudes[12:], basis.sigmas, strict=True))
    assert np.asarray(source_plane(instance, amplitudes, x, y)) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    lump = Gaussian(center_x=0.0, center_y=0.0, ellipticity_1=0.0, ellipticity_2=0.0, intensity=2.0, sigma=0.1)
    more = instance | {"source": instance["source"] | {"lump": lump}}
    assert np.asarray(source_plane(more, amplitudes, x, y)) - expected == pytest.approx(2.0 * np.exp(-50.0 * (x * x + y * y)), abs=1e-9)


def test_amplitudes_on_a_real_image_are_as_good_as_those_of_scipy(shared_dir: Path) -> None:
    """46 Gaussians on 11,000 pixels of a real lens, where the Gram matrix has a condition of about 1e16."""
    image = Imaging.from_folder(shared_dir / "data" / "slacs" / "J0029-0055")
    frame = Frame.from_imaging(image)
    model = isothermal_model()
    theta = np.array([0.0, 0.0, 0.05, 0.02, 0.1, 0.0, 0.0, 0.0, 0.05, 0.02, 0.95, 0.0, 0.0, 0.05, 0.05, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    instance = model.instance_from_vector(theta)
    value = float(evaluate(instance, frame))
    from_scipy = _scipy_log_likelihood(instance, frame)
    assert value == pytest.approx(from_scipy, abs=0.01)


def _scipy_log_likelihood(instance: Any, frame: Frame) -> float:
    columns = [
        np.asarray(light_of(part, *place).columns)
        for part, place in ((instance["lens_light"], (frame.x, frame.y)), (instance["source"], traced(instance, frame.x, frame.y)))
    ]
    rows = np.asarray(frame.whitened(frame.convolved(np.concatenate(columns))))
    norm = np.linalg.norm(rows, axis=1)
    _, chi = scipy_nnls((rows / norm[:, None]).T, np.asarray(frame.target), maxiter=10000)
    return float(-0.5 * (chi**2 + float(frame.log_normalization)))
