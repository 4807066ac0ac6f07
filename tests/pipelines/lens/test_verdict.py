"""Every reason of the verdict can be given, and the limits belong to the side that the rule says."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pipelines.lens.verdict import Measures, verdict_of

GOOD = Measures(n_images=4, inside_flux=0.4, explained=0.9, axis_ratio=0.8, shear=0.05, gap=1000.0)
SMALL = 1e-9


def test_a_good_fit_is_accepted_without_reasons() -> None:
    assert verdict_of(GOOD) == ("accept", [])
    assert verdict_of(dataclasses.replace(GOOD, gap=np.inf)) == ("accept", [])


@pytest.mark.parametrize(
    ("change", "verdict", "reason"),
    [
        ({"n_images": 1}, "reject", "the source has 1 image; a lens has at least 2"),
        ({"n_images": 0}, "reject", "the source has 0 image; a lens has at least 2"),
        ({"explained": 0.2}, "reject", "the source explains 20% of the arcs; below 40% it is not what made them"),
        ({"explained": 0.5}, "review", "the source explains 50% of the arcs; above 60% is usual"),
        ({"inside_flux": 0.05}, "review", "5% of the lensed light is inside the Einstein radius; 10% to 75% is usual"),
        ({"inside_flux": 0.8}, "review", "80% of the lensed light is inside the Einstein radius; 10% to 75% is usual"),
        ({"axis_ratio": 0.3}, "review", "the axis ratio of the mass is 0.30; above 0.4 is usual"),
        ({"shear": 0.25}, "review", "the shear is 0.25; below 0.2 is usual"),
        ({"gap": 20.0}, "review", "another solution is only 20 worse; 200 is clear"),
        ({"at_bound": ("mass.slope", "shear.gamma_1")}, "review", "on a limit of the prior: mass.slope, shear.gamma_1"),
    ],
)
def test_each_reason(change: dict, verdict: str, reason: str) -> None:
    assert verdict_of(dataclasses.replace(GOOD, **change)) == (verdict, [reason])


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({"n_images": 2}, "accept"),
        ({"explained": 0.4 - SMALL}, "reject"),
        ({"explained": 0.4}, "review"),
        ({"explained": 0.6}, "review"),
        ({"explained": 0.6 + SMALL}, "accept"),
        ({"inside_flux": 0.1}, "review"),
        ({"inside_flux": 0.1 + SMALL}, "accept"),
        ({"inside_flux": 0.75 - SMALL}, "accept"),
        ({"inside_flux": 0.75}, "review"),
        ({"axis_ratio": 0.4}, "review"),
        ({"axis_ratio": 0.4 + SMALL}, "accept"),
        ({"shear": 0.2 - SMALL}, "accept"),
        ({"shear": 0.2}, "review"),
        ({"gap": 200.0 - SMALL}, "review"),
        ({"gap": 200.0}, "accept"),
    ],
)
def test_values_on_the_limits(change: dict, verdict: str) -> None:
    assert verdict_of(dataclasses.replace(GOOD, **change))[0] == verdict


@pytest.mark.parametrize("field", ["inside_flux", "explained", "axis_ratio", "shear", "gap"])
def test_what_could_not_be_measured_is_never_accepted(field: str) -> None:
    verdict, reasons = verdict_of(dataclasses.replace(GOOD, **{field: float("nan")}))
    assert verdict == ("reject" if field == "explained" else "review")
    assert len(reasons) == 1


def test_fatal_reasons_come_first() -> None:
    verdict, reasons = verdict_of(dataclasses.replace(GOOD, shear=0.3, n_images=1, explained=0.1))
    assert verdict == "reject"
    assert [reason.split(";")[0] for reason in reasons] == [
        "the source has 1 image",
        "the source explains 10% of the arcs",
        "the shear is 0.30",
    ]
