"""The likelihood of several bands: a sum of those of one image, each moved; its model, its identity, its latent variables."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fitcore.errors import LinkError
from fitcore.evaluation import BatchedLikelihood
from fitcore.identity import digest
from fitcore.model import Normal
from fitcore.samples import Samples
from pipelines.lens.analysis import LensAnalysis
from pipelines.lens.bands import Bands
from pipelines.lens.inadequacy import Misfit
from pipelines.lens.joint_analysis import OF_EACH_BAND, OFFSET_SIGMA, JointAnalysis
from pipelines.lens.linear import band_of, masses_of, traced
from pipelines.lens.stages import isothermal_model


@pytest.fixture(scope="module")
def joint(two_bands: SimpleNamespace, joint_chain: SimpleNamespace) -> SimpleNamespace:
    """The analysis at the noise alone; the misfits that the last stage had in its noise; its model, best fit and samples."""
    last = joint_chain.results["power_law"]
    return SimpleNamespace(
        analysis=JointAnalysis(two_bands.dataset),
        misfits=[Misfit.of(joint_chain.results["bands"], band) for band in (None, "B")],
        model=last.model,
        instance=last.max_log_likelihood_instance,
        samples=last.samples,
    )


def test_each_further_band_has_an_offset_and_a_lens_light_of_its_own(two_bands: SimpleNamespace) -> None:
    plain = isothermal_model()
    model = JointAnalysis(two_bands.dataset).modify_model(plain)
    own = [path for path in model.paths if path not in plain.paths]
    assert len(own) == 8
    assert all(path.startswith("bands.B.") for path in own)
    assert model.priors["bands.B.offset_x"] == Normal(0.0, OFFSET_SIGMA)
    assert {path: model.priors[path] for path in plain.paths} == plain.priors
    light = "lens_light.first.center_x"
    assert model.priors[f"bands.B.{light}"] == model.priors[light]
    assert set(model.ties[f"bands.B.{light}"]) == {f"bands.B.{light}", "bands.B.lens_light.second.center_x"}
    assert JointAnalysis(two_bands.dataset).modify_model(model) is model


def test_log_likelihoods_add_and_the_reference_is_seen_as_alone(joint: SimpleNamespace, two_bands: SimpleNamespace) -> None:
    first, second = (LensAnalysis(image) for image in two_bands.dataset.images)
    one = float(first.log_likelihood_function({key: part for key, part in joint.instance.items() if key != "bands"}))
    two = float(second.log_likelihood_function(band_of(joint.instance, "B")))
    assert float(joint.analysis.log_likelihood_function(joint.instance)) == pytest.approx(one + two, rel=1e-12)


def test_a_band_s_rays_are_the_reference_s_moved_by_the_offset(joint: SimpleNamespace, two_bands: SimpleNamespace) -> None:
    band = band_of(joint.instance, "B")
    x, y = np.array([0.3, -1.2]), np.array([0.9, 0.4])
    d_x, d_y = (float(shift) for shift in band["offset"])
    assert (d_x, d_y) == pytest.approx(tuple(two_bands.offset), abs=3e-3)
    np.testing.assert_allclose(traced(band, x + d_x, y + d_y), traced(joint.instance, x, y), rtol=1e-12)
    assert len(masses_of(band)) == len(masses_of(joint.instance)) == 2


def test_the_offset_is_seen_in_the_likelihood(joint: SimpleNamespace) -> None:
    """0.02 arcsec the other way cost much, or the offset does not reach the rays."""
    band = joint.instance["bands"]["B"]
    turned = {**joint.instance, "bands": {"B": {**band, "offset_x": -band["offset_x"], "offset_y": -band["offset_y"]}}}
    first, second = (float(joint.analysis.log_likelihood_function(instance)) for instance in (joint.instance, turned))
    assert first - second > 500.0


def test_held_columns_give_the_same_likelihood_in_each_band(joint: SimpleNamespace) -> None:
    held: Any = joint.analysis.modify_before_fit(None, joint.model)
    assert all(child.held is not None for child in held.children)
    assert held.children[0].held.rows.shape == (28, held.children[0].frame.target.shape[0])
    assert not np.array_equal(held.children[0].held.gram, held.children[1].held.gram)
    u = np.asarray(joint.model.inverse_transform(joint.samples.parameters[:4]))
    got = []
    for analysis in (held, joint.analysis):
        likelihood = BatchedLikelihood(analysis, joint.model, n_batch=4, n_threads=1)
        got.append(likelihood(u))
        likelihood.close()
    np.testing.assert_allclose(got[0], got[1], rtol=1e-11)
    likelihood = BatchedLikelihood(joint.analysis.with_misfits(joint.misfits), joint.model, n_batch=4, n_threads=1)
    np.testing.assert_allclose(likelihood(u), joint.samples.log_likelihood[:4], rtol=1e-11)
    likelihood.close()
    assert not np.allclose(got[0], joint.samples.log_likelihood[:4], rtol=1e-3)


def test_nothing_is_held_where_the_light_is_free(two_bands: SimpleNamespace) -> None:
    analysis = JointAnalysis(two_bands.dataset)
    free: Any = analysis.modify_before_fit(None, analysis.modify_model(isothermal_model()))
    assert [child.held for child in free.children] == [None, None]


def test_the_identity_is_of_every_band_its_name_and_the_start(two_bands: SimpleNamespace) -> None:
    first, second = two_bands.dataset.members
    brighter = replace(second, data=second.data * (1 + 1e-12))

    def known(names: tuple[str, ...], members: tuple[Any, ...], start: Any = None) -> str:
        return digest(JointAnalysis(Bands(name="x", names=names, members=members), start=start).identity())

    ways = [
        known(("A", "B"), (first, second)),
        known(("A", "B"), (first, brighter)),
        known(("A", "C"), (first, second)),
        known(("B", "A"), (second, first)),
        known(("A", "B"), (first, second), {"mass.center_x": 0.1}),
    ]
    assert len(set(ways)) == len(ways)
    assert known(("A", "B"), (replace(first, name="other"), second)) == ways[0]


def test_latent_variables_are_the_reference_s_and_fluxes_of_the_others(joint_chain: SimpleNamespace, ring: SimpleNamespace) -> None:
    latents = joint_chain.results["power_law"].latent_samples
    alone = LensAnalysis(joint_chain.dataset.reference).LATENT_KEYS
    assert latents.paths == (*alone, *(f"B.{key}" for key in OF_EACH_BAND if "magnitude" not in key))
    assert np.median(latents.column("einstein_radius_effective")) == pytest.approx(1.1, rel=0.01)
    ratio = np.median(latents.column("B.source_flux") / latents.column("source_flux"))
    assert ratio == pytest.approx(1.5, rel=0.03)
    # lens_flux is not compared: in a mask of 2 arcsec the Gaussian of 3.6 is traded against the sky, in each band by its own noise
    assert np.isfinite(latents.column("B.lens_flux")).all()


def test_latent_variables_need_a_model(two_bands: SimpleNamespace, joint: SimpleNamespace) -> None:
    bare = Samples.from_arrays(joint.samples.to_arrays())
    with pytest.raises(LinkError, match="samples that know their model"):
        JointAnalysis(two_bands.dataset).compute_latent_samples(bare)
