"""Every reason of the verdict can be given, and the limits belong to the side that the rule says."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from pipelines.lens.verdict import STAGES, BandMeasures, Measures, stage_to_blame, verdict_of

GOOD = Measures(
    n_images=4,
    inside_flux=0.4,
    explained=0.9,
    axis_ratio=0.8,
    shear=0.05,
    gap=1000.0,
    radius_spread=0.01,
    n_dissenters=0,
    significance=40.0,
    amplitudes=(1.0, 0.98),
    ellipticity_offset=0.05,
    center_offset=0.02,
    radius_error=0.01,
    lens_gain=0.3,
    used=0.95,
    drift=0.01,
)
SMALL = 1e-9


def changed(**change: Any) -> Measures:
    return dataclasses.replace(GOOD, **change)


def test_a_good_fit_is_accepted_without_reasons() -> None:
    assert verdict_of(GOOD) == ("accepted", [])
    assert verdict_of(changed(gap=np.inf)) == ("accepted", [])
    assert stage_to_blame([]) is None


@pytest.mark.parametrize(
    ("change", "verdict", "reason"),
    [
        ({"n_images": 1}, "failed", "source: it has 1 image; a lens has at least 2"),
        ({"n_images": 0}, "failed", "source: it has 0 image; a lens has at least 2"),
        ({"explained": 0.2}, "failed", "lens light: the source explains 20% of the arcs; below 40% it is not what made them"),
        ({"used": 0.5}, "review", "mask: 50% of the pixels within the mask radius are used; 60% is enough"),
        ({"shear": 0.25}, "review", "mask: the shear is 0.25; below 0.2 is usual: is there a mass beside the lens?"),
        ({"explained": 0.5}, "review", "lens light: the source explains 50% of the arcs; above 60% is usual"),
        ({"inside_flux": 0.02}, "review", "lens light: 2% of the lensed light is inside the Einstein radius; 3% to 75% is usual"),
        ({"inside_flux": 0.8}, "review", "lens light: 80% of the lensed light is inside the Einstein radius; 3% to 75% is usual"),
        ({"ellipticity_offset": 0.3}, "review", "lens light: the mass's ellipticity is 0.30 from the light's; below 0.25 is usual"),
        ({"center_offset": 0.15}, "review", "lens light: the mass lies 0.15 arcsec from the light; below 0.1 is usual"),
        ({"radius_error": 0.07}, "review", "source: the Einstein radius is uncertain by 7.0%; below 5% is a measurement"),
        ({"drift": 0.17}, "review", "source: the last stage moved the Einstein radius by 17.0%; below 5% it is the same solution"),
        ({"axis_ratio": 0.3}, "review", "lens light: the axis ratio of the mass is 0.30; above 0.4 is usual"),
        ({"significance": 3.0}, "review", "lens light: the images of the fainter side are seen at 3.0 sigma; 8 is clear"),
        (
            {"amplitudes": (0.5, 1.0)},
            "review",
            "source: its images inside and outside the critical curve are 0.50 and 1.00 times as bright as predicted; 0.8 to 1.25 is usual",
        ),
        ({"lens_gain": -0.1}, "review", "source: two galaxies that are not lensed fit better, by 10% of what the source is worth"),
        ({"radius_spread": 0.08}, "review", "source: models differ by 8.0% in the Einstein radius; below 5% they agree"),
        ({"n_dissenters": 2}, "review", "source: 2 of the panel's models prefer another Einstein radius"),
        ({"gap": 20.0}, "review", "source: another solution is only 20 worse; 50 is clear"),
        ({"at_bound": ("mass.slope", "shear.gamma_1")}, "review", "source: on a limit of the prior: mass.slope, shear.gamma_1"),
    ],
)
def test_each_reason(change: dict[str, Any], verdict: str, reason: str) -> None:
    assert verdict_of(changed(**change)) == (verdict, [reason])
    assert stage_to_blame([reason]) == reason.partition(":")[0]


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({"n_images": 2}, "accepted"),
        ({"explained": 0.4 - SMALL}, "failed"),
        ({"explained": 0.4}, "review"),
        ({"explained": 0.6}, "review"),
        ({"explained": 0.6 + SMALL}, "accepted"),
        ({"inside_flux": 0.03}, "review"),
        ({"inside_flux": 0.03 + SMALL}, "accepted"),
        ({"inside_flux": 0.75 - SMALL}, "accepted"),
        ({"inside_flux": 0.75}, "review"),
        ({"axis_ratio": 0.4}, "review"),
        ({"axis_ratio": 0.4 + SMALL}, "accepted"),
        ({"shear": 0.2 - SMALL}, "accepted"),
        ({"shear": 0.2}, "review"),
        ({"gap": 50.0 - SMALL}, "review"),
        ({"gap": 50.0}, "accepted"),
        ({"radius_spread": 0.05 - SMALL}, "accepted"),
        ({"radius_spread": 0.05}, "review"),
        ({"significance": 8.0 - SMALL}, "review"),
        ({"significance": 8.0}, "accepted"),
        ({"amplitudes": (0.8, 1.25)}, "accepted"),
        ({"amplitudes": (1.0, 0.8 - SMALL)}, "review"),
        ({"amplitudes": (1.25 + SMALL, 1.0)}, "review"),
        ({"ellipticity_offset": 0.25 - SMALL}, "accepted"),
        ({"ellipticity_offset": 0.25}, "review"),
        ({"drift": 0.05 - SMALL}, "accepted"),
        ({"drift": 0.05}, "review"),
        ({"center_offset": 0.1 - SMALL}, "accepted"),
        ({"center_offset": 0.1}, "review"),
        ({"radius_error": 0.05 - SMALL}, "accepted"),
        ({"radius_error": 0.05}, "review"),
        ({"lens_gain": 0.0}, "accepted"),
        ({"lens_gain": -SMALL}, "review"),
        ({"used": 0.6}, "accepted"),
        ({"used": 0.6 - SMALL}, "review"),
    ],
)
def test_values_on_the_limits(change: dict[str, Any], verdict: str) -> None:
    assert verdict_of(changed(**change))[0] == verdict


@pytest.mark.parametrize(
    "field",
    [
        "inside_flux",
        "explained",
        "axis_ratio",
        "shear",
        "gap",
        "radius_spread",
        "radius_error",
        "significance",
        "ellipticity_offset",
        "center_offset",
        "drift",
        "used",
        "lens_gain",
    ],
)
def test_what_could_not_be_measured_is_never_accepted(field: str) -> None:
    verdict, reasons = verdict_of(changed(**{field: float("nan")}))
    assert verdict == ("failed" if field == "explained" else "review")
    assert len(reasons) == 1
    assert verdict_of(changed(amplitudes=(1.0, float("nan"))))[0] == "review"


def test_fatal_reasons_come_first_and_the_earliest_stage_is_blamed() -> None:
    verdict, reasons = verdict_of(changed(shear=0.3, n_images=1, explained=0.1, gap=3.0))
    assert verdict == "failed"
    assert [reason.split(";")[0] for reason in reasons] == [
        "source: it has 1 image",
        "lens light: the source explains 10% of the arcs",
        "mask: the shear is 0.30",
        "source: another solution is only 3 worse",
    ]
    assert stage_to_blame(reasons) == "mask" == STAGES[0]
    assert stage_to_blame(reasons[:2]) == "lens light"


def test_a_further_band_is_to_agree() -> None:
    good = BandMeasures(name="B", explained=0.9, offset=1.0)
    assert verdict_of(changed(bands=(good,))) == ("accepted", [])
    assert verdict_of(changed(bands=(dataclasses.replace(good, explained=np.nan),))) == ("accepted", [])  # no arcs are seen there
    bad = BandMeasures(name="C", explained=0.3, offset=3.1)
    assert verdict_of(changed(bands=(good, bad), shear=0.25)) == (
        "review",
        [
            "mask: the shear is 0.25; below 0.2 is usual: is there a mass beside the lens?",
            "bands: in C the source explains 30% of the arcs; above 60% is usual",
            "bands: C lies 3.1 sigma of the prior from the first band; within 3 is usual: are the frames cut about the same point?",
        ],
    )
    assert stage_to_blame(["bands: in C the source explains 30% of the arcs; above 60% is usual"]) == "bands" == STAGES[-1]
    assert verdict_of(changed(bands=(dataclasses.replace(good, offset=np.nan),)))[0] == "review"
