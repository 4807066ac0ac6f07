"""Models from results: matching by path, pooled ties, kept constraints, centered priors."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fitcore.errors import LinkError
from fitcore.model import Less, LogNormal, LogUniform, Model, Normal, Tied, TruncatedNormal, Uniform, centered, project, relative_widths
from fitcore.samples import Samples


def samples_of(**columns) -> Samples:
    parameters = np.stack([np.asarray(column, dtype=float) for column in columns.values()], axis=-1)
    n = len(parameters)
    return Samples(tuple(columns), parameters, np.zeros(n), np.zeros(n), np.zeros(n))


def test_structure_constraints_and_fixed_values_stay() -> None:
    model = Model({"a": Uniform(0, 1), "b": LogUniform(0.1, 10), "c": 3, "d": Tied("a")}, [Less("a", "b")])
    made = project(model, samples_of(b=[1, 2, 3], a=[0.4, 0.5, 0.6]))
    assert made.paths == model.paths
    assert made.constraints == model.constraints
    assert made.ties == model.ties
    assert made.priors["a"] == Uniform(0, 1).project([0.4, 0.5, 0.6], np.zeros(3))
    assert made.priors["b"].support == (0.1, 10)
    assert Model.from_dict(made.to_dict()) == made
    assert "ProbitNormal(Uniform(0, 1)" in made.describe()


def test_ties_that_the_samples_had_apart_are_pooled() -> None:
    apart = samples_of(x=[0.0, 1.0], y=[2.0, 3.0])
    made = project(Model({"x": Normal(0, 1), "y": Tied("x")}), apart)
    assert made.priors["x"] == Normal(0, 1).project([0.0, 1.0, 2.0, 3.0], np.zeros(4))


def test_a_tied_leaf_is_found_under_either_name() -> None:
    made = project(Model({"x": Normal(0, 1), "y": Tied("x")}), samples_of(y=[2.0, 4.0]))
    assert made.priors["x"] == Normal(3, 1)


def test_scale_reaches_every_prior() -> None:
    model, samples = Model({"a": Uniform(0, 1), "b": Normal(0, 1)}), samples_of(a=[0.4, 0.6], b=[1, 3])
    one, two = project(model, samples), project(model, samples, scale=2.0)
    for path in model.paths:
        assert two.priors[path].sigma == pytest.approx(2 * one.priors[path].sigma, rel=1e-11)  # type: ignore[attr-defined]


def test_a_missing_parameter_is_named() -> None:
    with pytest.raises(LinkError, match=r"The samples have no parameter 'center'.* Did you mean 'centre'"):
        project(Model({"center": Uniform(0, 1)}), samples_of(centre=[0.1, 0.2]))


def test_a_prior_that_cannot_be_projected_is_named() -> None:
    with pytest.raises(LinkError, match=r"^a: Uniform\(0, 1\): a sample at 3.0 lies outside the support"):
        project(Model({"a": Uniform(0, 1)}), samples_of(a=[0.1, 3.0]))


def test_the_same_samples_to_one_ulp_give_the_same_model() -> None:
    model = Model({"a": Uniform(0, 1), "b": LogUniform(0.1, 10), "c": TruncatedNormal(0, 1, -1, 2)})
    rng = np.random.default_rng(0)
    columns = {path: rng.uniform(0.2, 0.9, 50) for path in model.paths}
    moved = {path: np.nextafter(column, 2) for path, column in columns.items()}
    assert project(model, samples_of(**columns)) == project(model, samples_of(**moved))


def test_the_same_samples_to_one_ulp_give_the_same_model_where_the_mean_cancels() -> None:
    model, x = Model({"a": Uniform(0, 1), "b": Normal(0, 1), "c": LogUniform(0.1, 10)}), np.array([0.1, 0.3, 0.7, 0.9])
    columns = {"a": x, "b": x - 0.5, "c": 10.0 ** (2 * x - 1)}
    moved = {path: np.nextafter(column, 2) for path, column in columns.items()}
    assert project(model, samples_of(**columns)) == project(model, samples_of(**moved))


def test_relative_widths_have_a_floor() -> None:
    assert relative_widths({"a": -2.0, "b": 0.0, "c": 0.1, "d": 4.0}, 0.5, floor=0.2) == {"a": 1.0, "b": 0.2, "c": 0.2, "d": 2.0}


def test_centered_priors_end_where_the_old_ones_did() -> None:
    model = Model({"a": Uniform(0, 1), "b": Normal(0, 1), "c": LogNormal(0, 1)}, [Less("a", "c")])
    made = centered(model, {"a": 0.3, "b": 2.0, "c": 1.5}, {"a": 0.1, "b": 0.2, "c": 0.3})
    assert made.priors == {"a": TruncatedNormal(0.3, 0.1, 0, 1), "b": Normal(2, 0.2), "c": TruncatedNormal(1.5, 0.3, 0, math.inf)}
    assert made.constraints == model.constraints
    assert centered(Model({"b": Normal(0, 1)}), {"b": 1.0}, 0.5).priors["b"] == Normal(1, 0.5)


@pytest.mark.parametrize(
    ("values", "widths", "text"),
    [
        ({}, 0.1, "No center for 'a'"),
        ({"a": 2.0}, 0.1, r"a: the center 2.0 is outside \[0.0, 1.0\], the support of Uniform"),
        ({"a": 0.5}, 0.0, "a: the width is 0.0; it must be above 0. Give a floor"),
        ({"a": 0.5}, {"b": 1.0}, "a: the width is nan"),
    ],
)
def test_centers_that_give_no_sane_prior_are_refused(values, widths, text: str) -> None:
    with pytest.raises(LinkError, match=text):
        centered(Model({"a": Uniform(0, 1)}), values, widths)
