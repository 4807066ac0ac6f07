"""Components: construction, errors, domains, pytrees."""

from __future__ import annotations

import math
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitcore.errors import ModelError
from fitcore.model import Leaf, LogNormal, Normal, Tied, TruncatedNormal, Uniform, component, leaf
from fitcore.model.component import Domain, component_class, is_component, layout


@component
class Gaussian:
    center: Leaf
    sigma: Leaf = leaf(lower=0, open_lower=True, default=1.0)
    label: str = "g"
    powers: tuple[float, ...] = (1.0, 2.0)

    def __call__(self, x):
        return jnp.exp(-0.5 * ((x - self.center) / self.sigma) ** 2)


@component
class Pair:
    left: Gaussian
    right: Gaussian | None
    n: int | None = None


def test_fields_are_leaves_parts_or_constants_by_their_annotation() -> None:
    assert layout(Gaussian).data == ("center", "sigma")
    assert layout(Gaussian).static == ("label", "powers")
    assert layout(Pair).data == ("left", "right")
    assert layout(Pair).static == ("n",)
    assert is_component(Gaussian(center=0))
    assert not is_component(3)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Gaussian(centre=1), "Gaussian has no field 'centre'. Did you mean 'center'\\? Valid fields: 'center', 'sigma'"),
        (Gaussian, "Gaussian lacks 'center'. Give all of its fields: center, sigma, label, powers"),
        (lambda: Gaussian(1.0), "Gaussian takes no positional arguments; name its fields"),
        (lambda: Gaussian(center=1, sigma=0), r"Gaussian.sigma: 0 is outside the domain \(0, inf\). Give a number inside it"),
        (lambda: Gaussian(center=1, sigma=-1.0), "Gaussian.sigma: -1.0 is outside the domain"),
        (lambda: Gaussian(center=1, sigma=Normal(0, 1)), r"Normal\(0, 1\) reaches outside .* use TruncatedNormal or LogNormal"),
        (lambda: Gaussian(center="line.center"), r"give a prior, a number, or Tied\('line.center'\)"),
        (lambda: Gaussian(center=1, label=Uniform(0, 1)), "Gaussian.label is a constant and cannot hold Uniform"),
        (lambda: leaf(lower=1, upper=1), "the lower limit must be below the upper one"),
        (lambda: Tied(""), "the path must be the name of a leaf"),
        (lambda: component_class("x:Gausian"), "The component class 'x:Gausian' is not known"),
    ],
)
def test_mistakes_are_named_where_they_are_made(make, text: str) -> None:
    with pytest.raises(ModelError, match=text):
        make()


@pytest.mark.parametrize(
    "sigma", [Uniform(0, 1), LogNormal(0, 1), TruncatedNormal(0, 1, 0, math.inf), Tied("other"), 2, np.float64(2), jnp.asarray(-1.0)]
)
def test_what_may_be_a_leaf(sigma) -> None:
    assert Gaussian(center=0, sigma=sigma).sigma is sigma


def test_domain_ends_are_open_or_closed() -> None:
    Domain(lower=0, upper=1).check(0.0, "x")
    Domain(lower=0, upper=1).check(1.0, "x")
    with pytest.raises(ModelError, match=r"x: 1.0 is outside the domain \[0, 1\)"):
        Domain(lower=0, upper=1, open_upper=True).check(1.0, "x")
    Domain(lower=0, open_lower=True).check(Uniform(0, 1), "x")  # takes the value 0 with probability zero
    with pytest.raises(ModelError, match="nan is outside"):
        Domain(lower=0).check(math.nan, "x")


def test_components_are_frozen_and_equal_by_value() -> None:
    assert Gaussian(center=Uniform(0, 1)) == Gaussian(center=Uniform(0.0, 1.0))
    assert Gaussian(center=1) != Gaussian(center=2)
    with pytest.raises(AttributeError):
        Gaussian(center=1).center = 2  # type: ignore[misc]


def test_components_are_pytrees_whose_constants_are_structure() -> None:
    pair = Pair(left=Gaussian(center=1.0, sigma=2.0), right=Gaussian(center=3.0, label="r"), n=4)
    leaves, structure = jax.tree_util.tree_flatten(pair)
    assert leaves == [1.0, 2.0, 3.0, 1.0]
    assert jax.tree_util.tree_unflatten(structure, leaves) == pair
    names = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_flatten_with_path(pair)[0]]
    assert names == [".left.center", ".left.sigma", ".right.center", ".right.sigma"]
    assert jax.tree_util.tree_structure(pair) != jax.tree_util.tree_structure(Pair(left=pair.left, right=pair.right, n=5))


def test_a_component_passes_through_transformations() -> None:
    value, gradient = jax.value_and_grad(lambda g: g(0.5))(Gaussian(center=0.0, sigma=2.0))
    assert float(value) == pytest.approx(math.exp(-0.03125))
    assert float(gradient.center) == pytest.approx(0.125 * math.exp(-0.03125))
    batch = jax.vmap(lambda c: Gaussian(center=c, sigma=1.0))(jnp.arange(3.0))
    assert batch.center.shape == (3,)


def test_a_component_can_be_sent_to_another_process() -> None:
    gaussian = Gaussian(center=Uniform(0, 1), label="x")
    assert pickle.loads(pickle.dumps(gaussian)) == gaussian


def test_leaf_defaults() -> None:
    assert Gaussian(center=0).sigma == 1.0
