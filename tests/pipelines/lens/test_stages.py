"""The chain as a description: models built from what earlier stages found, links told, settings replaced."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fitcore.errors import ConfigError
from fitcore.identity import round_linked
from fitcore.model import Normal, TruncatedNormal, Uniform
from pipelines.lens.analysis import LensAnalysis
from pipelines.lens.basin import PARAMETERS, RADIUS_RANGE, Basin
from pipelines.lens.inadequacy import Inadequacy
from pipelines.lens.mass import PowerLaw
from pipelines.lens.stages import LIGHT_SHAPE, SECOND_SHAPE, isothermal_model, lens_pipeline

NOTED = {
    "light_ellipticity_1": 0.21,
    "light_ellipticity_2": -0.48,
    "lens_light_inadequacy": 0.02,
    "source_inadequacy": 0.3,
    "misfit_cell": 4,
}
BEST = dict(zip(PARAMETERS, np.linspace(-0.1, 0.1, 21).tolist(), strict=True))


def basin_result(radius: float = 1.2, **changes: Any) -> Any:
    best = {**BEST, "mass.einstein_radius": radius, **changes}
    model = isothermal_model()
    summary = SimpleNamespace(
        by_path=lambda what: {"best": best}[what], diagnostics={**NOTED, **{f"misfit_at.{path}": value for path, value in BEST.items()}}
    )
    return SimpleNamespace(samples_summary=summary, model=model)


def second(result: Any) -> Any:
    return lens_pipeline().stage("isothermal").build_model({"basin": result})


def test_three_stages_each_after_the_one_before() -> None:
    pipeline = lens_pipeline()
    assert pipeline.stage_names == ("basin", "isothermal", "power_law")
    assert [stage.needs for stage in pipeline] == [(), ("basin",), ("basin", "isothermal")]
    assert [stage.proposal for stage in pipeline] == [None, "basin", "isothermal"]


def test_the_first_model_is_the_one_that_the_basin_search_knows() -> None:
    model = isothermal_model()
    assert model.paths == PARAMETERS
    middle = model.instance_from_vector(np.asarray(model.prior_transform(np.full(21, 0.5))))
    first, other = middle["lens_light"]["first"], middle["lens_light"]["second"]
    assert (float(first.center_x), float(first.center_y)) == (float(other.center_x), float(other.center_y))
    assert (first.n, other.n, middle["source"]["main"].n) == (18, 10, 10)
    assert model.priors["mass.einstein_radius"] == Uniform(*RADIUS_RANGE)


def test_later_stages_say_what_they_take_and_why() -> None:
    stages = list(lens_pipeline())
    assert stages[0].links == ()
    for stage in stages[1:]:
        assert "proposal" in {link.kind for link in stage.links}
        assert "fixed" in {link.kind for link in stage.links}
        for link in stage.links:
            assert link.source in stage.needs
            assert len(link.what) > 10
            assert len(link.why) > 10
    assert {link.kind for link in stages[1].links} == {"fixed", "priors", "proposal"}
    assert any("25%" in link.what for link in stages[1].links)


def test_the_second_stage_holds_the_lights_shape_and_cuts_the_radius() -> None:
    model = second(basin_result())
    assert model.paths == tuple(path for path in PARAMETERS if path not in (*LIGHT_SHAPE, *SECOND_SHAPE))
    light = model.instance_from_vector(np.asarray(model.prior_transform(np.full(11, 0.5))))["lens_light"]
    for path in LIGHT_SHAPE:
        _, which, name = path.split(".")
        assert float(getattr(light[which], name)) == pytest.approx(BEST[path], rel=1e-11)
    assert (light["second"].center_x, light["second"].center_y) == (light["first"].center_x, light["first"].center_y)
    assert model.priors["mass.einstein_radius"].support == pytest.approx((0.9, 1.5))
    before = isothermal_model()
    assert all(model.priors[path] == before.priors[path] for path in model.paths if not path.startswith("mass."))


def test_the_mass_lies_about_the_light() -> None:
    """About its center, and about its ellipticity, which is cut where the mass's own limits are near; widths as the search's penalties."""
    priors = second(basin_result()).priors
    assert priors["mass.center_x"] == Normal(round_linked(BEST["lens_light.first.center_x"]), Basin().center_sigma)
    assert priors["mass.center_y"] == Normal(round_linked(BEST["lens_light.first.center_y"]), Basin().center_sigma)
    assert priors["mass.ellipticity_1"] == TruncatedNormal(0.21, Basin().ellipticity_sigma, -0.5, 0.5)
    assert priors["mass.ellipticity_2"] == TruncatedNormal(-0.45, Basin().ellipticity_sigma, -0.5, 0.5)


@pytest.mark.parametrize(("radius", "limits"), [(0.3, (0.25, 0.375)), (3.0, (2.25, 3.3)), (2.0, (1.5, 2.5))])
def test_the_radius_stays_in_the_first_priors_limits(radius: float, limits: tuple[float, float]) -> None:
    assert second(basin_result(radius)).priors["mass.einstein_radius"].support == pytest.approx(limits)


def test_the_last_digits_of_a_best_fit_do_not_make_another_model() -> None:
    path = LIGHT_SHAPE[0]
    same = second(basin_result(1.2 * (1 + 1e-15), **{path: BEST[path] * (1 + 1e-15)}))
    assert same == second(basin_result())
    assert second(basin_result(1.2 * (1 + 1e-9))) != same


def test_the_third_stage_frees_the_slope_alone() -> None:
    before = second(basin_result())
    model = lens_pipeline().stage("power_law").build_model({"isothermal": SimpleNamespace(model=before)})  # pyright: ignore[reportArgumentType]
    assert set(model.paths) == {*before.paths, "mass.slope"}
    assert model.priors["mass.slope"] == TruncatedNormal(2.0, 0.2, 1.4, 2.7)
    assert all(model.priors[path] == before.priors[path] for path in before.paths)
    theta = np.asarray(model.prior_transform(np.full(12, 0.5)))
    assert type(model.instance_from_vector(theta)["mass"]) is PowerLaw


def test_only_the_first_stage_moves_the_priors_to_the_lens(ring: SimpleNamespace) -> None:
    dataset = ring.make()
    analyses = [stage.build_analysis(dataset, {"basin": basin_result()}) for stage in lens_pipeline()]
    assert all(isinstance(analysis, LensAnalysis) for analysis in analyses)
    assert [analysis.recenter for analysis in analyses] == [True, False, False]  # pyright: ignore[reportAttributeAccessIssue]
    inadequacies = [analysis.misfit and analysis.misfit.inadequacy for analysis in analyses]  # pyright: ignore[reportAttributeAccessIssue]
    assert inadequacies == [None, *2 * [Inadequacy(lens_light=0.02, source=0.3, cell=4)]]


def test_settings_of_searches_are_replaced() -> None:
    pipeline = lens_pipeline({"basin": {"n_random": 3}, "power_law": {"n_eff": 77}})
    assert pipeline.stage("basin").search.n_random == 3  # pyright: ignore[reportAttributeAccessIssue]
    assert pipeline.stage("power_law").search.n_eff == 77  # pyright: ignore[reportAttributeAccessIssue]
    assert pipeline.stage("isothermal").search == lens_pipeline().stage("isothermal").search
    assert [stage.links for stage in pipeline] == [stage.links for stage in lens_pipeline()]


def test_a_setting_that_a_search_does_not_have_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"Importance of stage 'isothermal' has no setting 'n_ef'.*Did you mean 'n_eff'\?"):
        lens_pipeline({"isothermal": {"n_ef": 5}})


def test_a_stage_that_the_chain_does_not_have_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"no stage 'isotermal'.*Did you mean 'isothermal'\?"):
        lens_pipeline({"isotermal": {"n_eff": 5}})
