"""`LensAnalysis`: held light, moved priors, identity, latent variables and the batched likelihood of a small lens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest

from fitcore.errors import DataError, LinkError
from fitcore.evaluation import BatchedLikelihood
from fitcore.identity import digest
from fitcore.model import Model, Normal
from fitcore.samples import Samples
from pipelines.lens.analysis import CENTERS, LensAnalysis
from pipelines.lens.dataset import Imaging
from pipelines.lens.linear import log_likelihood, pictures
from pipelines.lens.mass import Isothermal
from pipelines.lens.stages import LIGHT_SHAPE, SECOND_SHAPE, isothermal_model
from pipelines.lens.varpro import PARAMETERS


@pytest.fixture(scope="module")
def image(ring: SimpleNamespace) -> Imaging:
    return replace(ring.make(), mask_radius=2.0)


@pytest.fixture(scope="module")
def truth(ring: SimpleNamespace) -> dict[str, float]:
    return dict(zip(PARAMETERS, ring.truth.tolist(), strict=True))


@pytest.fixture(scope="module")
def held_model(truth: dict[str, float]) -> Model:
    return isothermal_model().replace({path: truth[path] for path in (*LIGHT_SHAPE, *SECOND_SHAPE)})


@pytest.fixture(scope="module")
def theta(held_model: Model, truth: dict[str, float]) -> np.ndarray:
    rng = np.random.default_rng(5)
    return np.array([truth[path] for path in held_model.paths]) + 0.01 * rng.standard_normal((5, 11))


@pytest.fixture(scope="module")
def held(image: Imaging, held_model: Model) -> Any:
    return LensAnalysis(image).modify_before_fit(None, held_model)


@pytest.fixture(scope="module")
def plain(image: Imaging) -> Callable[[Any], float]:
    """The log-likelihood with nothing held, compiled once."""
    frame = LensAnalysis(image).frame
    function = jax.jit(log_likelihood)
    return lambda instance: float(function(instance, frame))


def test_held_light_changes_no_number(held: LensAnalysis, held_model: Model, theta: np.ndarray, plain: Callable[[Any], float]) -> None:
    assert held.held is not None
    likelihood = BatchedLikelihood(held, held_model, n_batch=4)
    values = likelihood(np.asarray(held_model.inverse_transform(theta)))
    assert values == pytest.approx([plain(held_model.instance_from_vector(row)) for row in theta], abs=1e-6, rel=1e-9)
    assert np.ptp(values) > 1.0
    threaded = BatchedLikelihood(held, held_model, n_batch=4, n_threads=2)
    np.testing.assert_array_equal(threaded(np.asarray(held_model.inverse_transform(theta))), values)
    threaded.close()


def test_light_whose_shape_is_free_is_not_held(image: Imaging) -> None:
    analysis = LensAnalysis(image)
    assert analysis.modify_before_fit(None, isothermal_model()) is analysis
    assert analysis.held is None


def test_holding_leaves_the_first_analysis_alone(image: Imaging, held_model: Model) -> None:
    analysis = LensAnalysis(image)
    other = analysis.modify_before_fit(None, held_model)
    assert other is not analysis
    assert analysis.held is None
    assert not {"frame", "held"} & set(vars(other))  # a stored result goes through this hook too, and must compile nothing
    assert digest(other.identity()) == digest(analysis.identity())


def test_the_arrays_of_another_lens_take_the_place_of_its_own(image: Imaging, ring: SimpleNamespace, held_model: Model) -> None:
    other = LensAnalysis(replace(ring.make(seed=9), mask_radius=2.0))
    frame, held, facts = LensAnalysis(image).with_traced_arrays(other.traced_arrays()).traced_arrays()
    assert frame is other.frame
    assert held is None
    assert facts is None  # a search asks for none, and so the lens's light is not fitted for it
    with_facts = LensAnalysis(image).with_traced_arrays((other.frame, None, other.facts))
    assert with_facts.traced_arrays()[2] is other.facts
    assert LensAnalysis(image).frame is not other.frame


def test_the_truth_is_likely_and_its_residual_is_noise(
    image: Imaging, held_model: Model, truth: dict[str, float], plain: Callable[[Any], float]
) -> None:
    analysis = LensAnalysis(image)
    instance = held_model.instance_from_vector(np.array([truth[path] for path in held_model.paths]))
    frame = analysis.frame
    chi_squared = -2 * plain(instance) - float(frame.log_normalization)
    assert chi_squared / frame.n_used == pytest.approx(1.0, abs=4 * np.sqrt(2 / frame.n_used))
    seen = jax.jit(pictures)(instance, frame)
    assert float(seen.log_likelihood) == pytest.approx(plain(instance), rel=1e-9)
    assert float(((np.asarray(seen.residual) * np.asarray(frame.weight)) ** 2).sum()) == pytest.approx(chi_squared, rel=1e-6)


def test_priors_on_centers_move_to_the_lens(image: Imaging) -> None:
    moved = LensAnalysis(replace(image, center=(0.3, -0.2)), recenter=True).modify_model(isothermal_model())
    model = isothermal_model()
    changed = {path for path in model.paths if moved.priors[path] != model.priors[path]}
    assert changed == {f"{stem}_{axis}" for stem in CENTERS for axis in "xy"}
    for stem in CENTERS:
        for axis, shift in (("_x", 0.3), ("_y", -0.2)):
            before, after = model.priors[stem + axis], moved.priors[stem + axis]
            assert isinstance(before, Normal)
            assert after == Normal(before.mean + shift, before.sigma)
    assert LensAnalysis(replace(image, center=(0.3, -0.2))).modify_model(model) == model


def test_centers_that_are_fixed_or_of_another_prior_stay(image: Imaging) -> None:
    analysis = LensAnalysis(replace(image, center=(0.3, -0.2)), recenter=True)
    model = isothermal_model().replace({"mass.center_x": 0.0})
    moved = analysis.modify_model(model)
    assert "mass.center_x" not in moved.paths
    assert moved.instance_from_vector(np.asarray(moved.prior_transform(np.full(20, 0.5))))["mass"].center_x == 0.0


def test_identity_is_content_and_decisions_but_not_the_name(image: Imaging) -> None:
    def of(dataset: Imaging, **options: Any) -> str:
        return digest(LensAnalysis(dataset, **options).identity())

    reference = of(image)
    assert of(replace(image, name="another")) == reference
    data = image.data.copy()
    data[35, 35] *= 1 + 1e-12
    mask = image.used.copy()
    mask[0, 0] = False
    others = [
        of(replace(image, data=data)),
        of(replace(image, mask=mask)),
        of(replace(image, noise=image.noise * 1.01)),
        of(replace(image, center=(0.08, 0.0))),
        of(replace(image, mask_radius=1.9)),
        of(image, recenter=True),
        # what only the latent variables see: they are stored with the result
        of(replace(image, redshift_lens=0.2, redshift_source=0.7)),
        of(replace(image, redshift_lens=0.2, redshift_source=0.8)),
        of(replace(image, magnitude_zero_point=25.0)),
        of(replace(image, position_angle_of_y=1.0)),
        of(replace(image, is_mirrored=True)),
    ]
    assert len({reference, *others}) == 12


def test_redshifts_that_contradict_each_other_are_refused_before_any_search(image: Imaging) -> None:
    with pytest.raises(DataError, match=r"the redshifts are 0\.7 of the lens and 0\.2 of the source"):
        LensAnalysis(replace(image, redshift_lens=0.7, redshift_source=0.2))


def test_latents_are_those_of_the_dataset_one_sample_or_many(image: Imaging, held_model: Model, theta: np.ndarray) -> None:
    """`test_latents` has the numbers."""
    n = len(theta)
    samples = Samples(
        paths=held_model.paths,
        parameters=theta,
        log_likelihood=np.zeros(n),
        log_prior=np.zeros(n),
        log_weight=np.full(n, -np.log(n)),
    ).with_model(held_model)
    analysis = LensAnalysis(image)
    latents = analysis.compute_latent_samples(samples, batch_size=2)
    assert latents is not None
    assert latents.paths == analysis.LATENT_KEYS
    assert "mass_in_einstein" not in latents.paths  # no redshifts
    assert np.isfinite(latents.parameters).all()
    assert analysis.held is None
    one = analysis.latents_of(theta[3], held_model)
    for key in ("einstein_radius_effective", "magnification", "chi2_per_pixel_arc"):
        assert float(one[key]) == pytest.approx(latents.column(key)[3], rel=1e-6)


def test_samples_without_a_model_are_refused(image: Imaging, theta: np.ndarray) -> None:
    zero = np.zeros(5)
    samples = Samples(paths=tuple("abcdefghijk"), parameters=theta, log_likelihood=zero, log_prior=zero, log_weight=zero - np.log(5))
    with pytest.raises(LinkError, match="compute_latent_samples needs samples that know their model"):
        LensAnalysis(image).compute_latent_samples(samples)


def test_the_effective_radius_of_an_isothermal_ellipse_is_its_einstein_radius(image: Imaging, held_model: Model) -> None:
    """On the intermediate axis, and without shear; a mass along y points north."""
    model = held_model.replace({"shear.gamma_1": 0.0, "shear.gamma_2": 0.0})
    values = dict.fromkeys(model.paths, 0.0) | {"mass.einstein_radius": 1.1, "mass.ellipticity_1": -0.2}
    instance = model.instance_from_vector(np.array([values[path] for path in model.paths]))
    assert isinstance(instance["mass"], Isothermal)
    latents = LensAnalysis(image).latents_of(np.array([values[path] for path in model.paths]), model)
    assert float(latents["einstein_radius_effective"]) == pytest.approx(1.1, rel=1e-6)
    assert float(latents["mass_axis_ratio"]) == pytest.approx(0.8 / 1.2)
    assert float(latents["mass_pa_e_of_n"]) % 180.0 == pytest.approx(0.0)
    assert np.isnan(float(latents["shear_pa_e_of_n"]))


def test_a_mass_without_a_critical_curve_has_no_radius(image: Imaging, held_model: Model) -> None:
    values = dict.fromkeys(held_model.paths, 0.0) | {"mass.einstein_radius": 1e-4}
    latents = LensAnalysis(image).latents_of(np.array([values[path] for path in held_model.paths]), held_model)
    assert np.isnan(float(latents["einstein_radius_effective"]))
    assert np.isfinite(float(latents["shear_magnitude"]))


def test_the_fit_for_pictures_is_traceable(image: Imaging, held_model: Model, truth: dict[str, float]) -> None:
    analysis = LensAnalysis(image)
    assert analysis.supports_jax_visualization
    instance = held_model.instance_from_vector(np.array([truth[path] for path in held_model.paths]))
    analysis.use_jax_for_visualization = True
    seen = analysis.fit_for_visualization(instance)
    left = seen.lens_light + seen.lensed_source + seen.sky + seen.residual
    assert np.asarray(left) == pytest.approx(np.asarray(analysis.frame.data))
    whitened = np.asarray(seen.residual) * np.asarray(analysis.frame.weight)
    assert np.sum(whitened**2) / analysis.frame.n_used == pytest.approx(1.0, abs=0.1)
