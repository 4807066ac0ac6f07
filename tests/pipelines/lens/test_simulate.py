"""Simulated lenses: the same for the same seed, accurate to far below the noise, with the right noise and the truth beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.signal import convolve2d
from scipy.special import erf

from fitcore.errors import DataError
from pipelines.lens.caustics import effective_einstein_radius
from pipelines.lens.dataset import Imaging
from pipelines.lens.light import Gaussian, Sersic
from pipelines.lens.mass import Isothermal, PowerLaw, Shear
from pipelines.lens.simulate import example_model, gaussian_psf, pixel_means, simulate, simulate_example, truth_of, write_dataset
from pipelines.lens.tracing import ray_trace

SCALE = 0.1


def model() -> dict[str, Any]:
    shape = {"center_x": 0.03, "center_y": -0.02, "ellipticity_1": 0.1, "ellipticity_2": -0.05}
    return {
        "lens_light": Sersic(**shape, intensity=0.5, effective_radius=0.9, sersic_index=3.0),
        "mass": PowerLaw(**shape, einstein_radius=0.8, slope=2.1),
        "shear": Shear(gamma_1=0.03, gamma_2=-0.04),
        "source": Sersic(
            center_x=0.12, center_y=0.05, ellipticity_1=0.1, ellipticity_2=0.1, intensity=1.0, effective_radius=0.12, sersic_index=1.5
        ),
    }


def quiet(**changes: Any) -> Imaging:
    """A small frame whose noise is nothing beside its light, computed as for a noise of 0.02."""
    return simulate(model(), n_pixels=25, pixel_scale=SCALE, psf=gaussian_psf(0.15, SCALE, 7), **changes)


def brute_force(n_sub: int = 64) -> np.ndarray:
    """The same frame by a sub-grid of 64 x 64 in every pixel and a plain sum over the PSF."""
    n = 25 + 2 * 3
    fine = (np.arange(n * n_sub) - 0.5 * (n * n_sub - 1)) * SCALE / n_sub
    parts = model()
    rows = []
    for start in range(0, n * n_sub, n_sub):  # one row of pixels at a time
        x, y = np.meshgrid(fine, fine[start : start + n_sub])
        b_x, b_y = ray_trace([parts["mass"], parts["shear"]], x, y)
        light = parts["lens_light"].surface_brightness(x, y) + parts["source"].surface_brightness(b_x, b_y)
        rows.append(light.reshape(n_sub, n, n_sub).mean(axis=(0, 2)))
    return convolve2d(np.array(rows), gaussian_psf(0.15, SCALE, 7), mode="valid")


def test_the_image_is_accurate_to_far_below_its_noise() -> None:
    truth = brute_force()
    image = quiet(sky_noise=0.02, counts_per_unit=1e30, seed=1)
    noise = np.random.default_rng([1, 1]).standard_normal((25, 25)) * image.noise
    assert image.noise == pytest.approx(np.full((25, 25), 0.02), rel=1e-12)
    assert np.abs(image.data - noise - truth).max() < 0.02 * 0.02


def test_noise_is_that_of_the_sky_and_of_the_photons() -> None:
    truth = quiet(sky_noise=1e-3, counts_per_unit=1e30).data
    image = quiet(sky_noise=0.05, counts_per_unit=200.0)
    assert image.noise == pytest.approx(np.sqrt(0.05**2 + truth / 200.0), rel=1e-2)
    drawn = np.concatenate([((quiet(sky_noise=0.05, counts_per_unit=200.0, seed=s).data - truth) / image.noise).ravel() for s in range(8)])
    assert abs(drawn.mean()) < 4.0 / np.sqrt(drawn.size)
    assert abs(drawn.var() - 1.0) < 4.0 * np.sqrt(2.0 / drawn.size)
    assert np.abs(drawn).max() < 6.0


def test_the_seed_decides_the_noise_and_nothing_else() -> None:
    one, again, other = quiet(seed=3), quiet(seed=3), quiet(seed=4)
    assert np.array_equal(one.data, again.data)
    assert np.array_equal(one.noise, other.noise)
    assert np.mean(one.data != other.data) == 1.0


def test_light_from_outside_the_frame_is_carried_in() -> None:
    """A star half a pixel outside the edge is seen within it."""
    star = Gaussian(center_x=1.3, center_y=0.0, ellipticity_1=0.0, ellipticity_2=0.0, intensity=50.0, sigma=0.02)
    quiet_noise = {"sky_noise": 1e-4, "counts_per_unit": 1e30}
    image = simulate({"lens_light": star}, n_pixels=25, pixel_scale=SCALE, psf=gaussian_psf(0.3, SCALE, 9), **quiet_noise)
    flux = 50.0 * 2 * np.pi * 0.02**2 / SCALE**2
    assert image.data[:, -1].sum() == pytest.approx(flux * gaussian_psf(0.3, SCALE, 9)[:, 3].sum(), rel=0.02)


@pytest.mark.parametrize("shape", [(3, 9), (9, 3), (5, 5)])
def test_any_psf_is_normalized_and_may_be_oblong(shape: tuple[int, int]) -> None:
    """A flat image stays flat up to its edges."""
    flat = Gaussian(center_x=0.0, center_y=0.0, ellipticity_1=0.0, ellipticity_2=0.0, intensity=2.0, sigma=1e6)
    image = simulate({"lens_light": flat}, n_pixels=12, psf=np.full(shape, 7.0), sky_noise=1e-6, counts_per_unit=1e30)
    assert image.data == pytest.approx(np.full((12, 12), 2.0), abs=1e-5)
    assert image.psf.sum() == pytest.approx(1.0)


def test_several_profiles_add_up() -> None:
    parts = model()
    two = {**parts, "lens_light": {"a": parts["lens_light"], "b": parts["lens_light"]}}
    one = simulate(parts, n_pixels=15, sky_noise=1e-5, counts_per_unit=1e30).data
    source = simulate({**parts, "lens_light": {}}, n_pixels=15, sky_noise=1e-5, counts_per_unit=1e30).data
    both = simulate(two, n_pixels=15, sky_noise=1e-5, counts_per_unit=1e30).data
    assert both - source == pytest.approx(2 * (one - source), rel=1e-3, abs=3e-4)
    assert truth_of(two)["lens_light.b.sersic_index"] == 3.0


def test_pixel_means_refine_until_they_agree() -> None:
    """The mean of exp(-r^2 / 2 s^2) over pixels is a product of error functions."""
    axis = (np.arange(9) - 4) * SCALE
    x, y = np.meshgrid(axis, axis)
    s = 0.05

    def mean(center: np.ndarray) -> np.ndarray:
        low, high = (center - SCALE / 2) / (s * np.sqrt(2)), (center + SCALE / 2) / (s * np.sqrt(2))
        return s * np.sqrt(np.pi / 2) * (erf(high) - erf(low)) / SCALE

    for tolerance in (1e-3, 1e-4):  # 64 x 64 points, the finest, are good for 5e-5 here
        got = pixel_means(lambda a, b: np.exp(-0.5 * (a * a + b * b) / s**2), x, y, SCALE, tolerance)
        assert np.abs(got - mean(x) * mean(y)).max() < tolerance


def test_psf_of_even_size_is_refused() -> None:
    with pytest.raises(DataError, match="The PSF's size is 4; it must be odd"):
        gaussian_psf(0.1, 0.05, 4)
    with pytest.raises(DataError, match="both sizes must be odd"):
        simulate(model(), n_pixels=12, psf=np.ones((4, 4)))


def test_psf_has_its_width() -> None:
    psf = gaussian_psf(0.5, 0.05, 41)
    assert psf.sum() == pytest.approx(1.0, rel=1e-14)
    assert psf[20, 25] == pytest.approx(0.5 * psf[20, 20], rel=1e-12)  # half of the maximum, half the width from the center


def test_examples_differ_and_are_lenses() -> None:
    assert example_model(5) == example_model(5)
    assert example_model(5) != example_model(6)
    for seed in range(20):
        parts = example_model(seed)
        mass, source = parts["mass"], parts["source"]
        assert 0.9 <= mass.einstein_radius <= 1.4
        assert 1.8 <= mass.slope <= 2.3
        assert np.hypot(source.center_x - mass.center_x, source.center_y - mass.center_y) < 0.31 * mass.einstein_radius


def test_truth_holds_every_parameter_and_the_effective_radius() -> None:
    truth = truth_of(model())
    assert truth["mass.slope"] == 2.1
    assert truth["shear.gamma_2"] == -0.04
    assert truth["source.effective_radius"] == 0.12
    assert len(truth) == 7 + 6 + 2 + 7 + 1
    assert truth["einstein_radius_effective"] == pytest.approx(0.8, rel=0.01)
    masses = [model()["mass"], model()["shear"]]
    assert truth["einstein_radius_effective"] == pytest.approx(float(effective_einstein_radius(masses, center=(0.03, -0.02))), rel=1e-12)
    sphere = Isothermal(center_x=0.5, center_y=0.5, ellipticity_1=0.0, ellipticity_2=0.0, einstein_radius=1.1)
    assert truth_of({"halo": sphere})["einstein_radius_effective"] == pytest.approx(1.1, rel=1e-9)


def test_a_folder_is_written_and_reads_back(tmp_path: Path) -> None:
    image = quiet(seed=7)
    hole = np.ones(image.shape, dtype=bool)
    hole[3, 4] = False
    folder = write_dataset(image.apply_mask(hole), tmp_path / "a" / "lens-7", truth=truth_of(model()), redshifts=(0.3, 1.1))
    assert sorted(path.name for path in folder.iterdir()) == ["image.fits", "info.yaml", "noise.fits", "psf.fits", "truth.json"]
    read = Imaging.from_folder(folder)
    assert np.array_equal(read.used, hole)
    assert np.array_equal(read.data[hole], image.data[hole])
    assert np.array_equal(read.noise[hole], image.noise[hole])
    assert read.psf == pytest.approx(image.psf, rel=1e-15)
    assert (read.name, read.pixel_scale, read.redshift_lens, read.redshift_source) == ("lens-7", SCALE, 0.3, 1.1)
    assert json.loads((folder / "truth.json").read_text()) == truth_of(model())
    with pytest.raises(DataError, match=r"lens-7 is not empty; a simulation is written to a new folder only. Give another, or remove it"):
        write_dataset(image, folder, truth={})
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot be written: .*Give a folder that can"):
        write_dataset(image, tmp_path / "file" / "inside", truth={})


def test_the_example_is_written_whole(tmp_path: Path) -> None:
    folder = simulate_example(tmp_path / "example", seed=2)
    image = Imaging.from_folder(folder)
    truth = json.loads((folder / "truth.json").read_text())
    assert image.shape == (141, 141)
    assert truth["mass.einstein_radius"] == example_model(2)["mass"].einstein_radius
    assert truth["einstein_radius_effective"] == pytest.approx(truth["mass.einstein_radius"], rel=0.02)
    signal = image.data / image.noise
    assert signal.max() > 20
    ring = np.abs(np.hypot(image.x, image.y) - truth["einstein_radius_effective"]) < 0.3
    assert signal[ring].mean() > 3.0
