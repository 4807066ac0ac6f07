"""The model as a parameter vector: paths, ties, constraints, replacement, subtrees, identity."""

from __future__ import annotations

import json
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitcore.errors import ModelError
from fitcore.identity import digest
from fitcore.model import Leaf, Less, LogUniform, Model, Normal, Tied, TruncatedNormal, Uniform, component, leaf


@component
class Gaussian:
    center: Leaf
    sigma: Leaf = leaf(lower=0)
    kind: str = "plain"

    def __call__(self, x):
        return jnp.exp(-0.5 * ((x - self.center) / self.sigma) ** 2)


@pytest.fixture
def model() -> Model:
    return Model(
        {
            "line": Gaussian(center=Uniform(0, 100), sigma=LogUniform(0.5, 25)),
            "blend": Gaussian(center=Tied("line.center"), sigma=TruncatedNormal(5, 5, 0, 30)),
            "sky": Normal(0, 1),
            "fixed": [2, (Tied("sky"),)],
        },
        constraints=[Less("line.sigma", "blend.sigma")],
    )


def test_parameters_are_the_priors_in_order(model: Model) -> None:
    assert model.paths == ("line.center", "line.sigma", "blend.sigma", "sky")
    assert list(model.priors) == list(model.paths)
    assert model.priors["sky"] == Normal(0, 1)
    assert model.n_dim == 4
    assert model.leaf_paths == ("line.center", "line.sigma", "blend.center", "blend.sigma", "sky", "fixed.0", "fixed.1.0")
    assert model.ties == {"line.center": ("line.center", "blend.center"), "sky": ("sky", "fixed.1.0")}


@pytest.mark.parametrize("xp", [np, jnp])
def test_vectors_single_batched_and_batch_of_one(model: Model, xp) -> None:
    u = np.random.default_rng(0).random((7, 4))
    theta = np.asarray(model.prior_transform(xp.asarray(u)))
    assert theta.shape == (7, 4)
    for i, prior in enumerate(model.priors.values()):
        np.testing.assert_allclose(theta[:, i], prior.transform(u[:, i]), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(model.prior_transform(xp.asarray(u[2])), theta[2], rtol=1e-13)
    np.testing.assert_allclose(model.prior_transform(xp.asarray(u[2:3])), theta[2:3], rtol=1e-13)
    np.testing.assert_allclose(model.inverse_transform(xp.asarray(theta)), u, atol=1e-12)
    z = model.probit(xp.asarray(theta))
    np.testing.assert_allclose(model.from_probit(z), theta, rtol=1e-11)
    log_prior = model.log_prior(xp.asarray(theta))
    assert log_prior.shape == (7,)
    expected = sum(prior.log_prob(theta[:, i]) for i, prior in enumerate(model.priors.values()))
    np.testing.assert_allclose(log_prior, expected, rtol=1e-12)
    assert np.shape(model.log_prior(xp.asarray(theta[0]))) == ()


def test_instances_hold_numbers_with_ties_followed(model: Model) -> None:
    instance = model.instance_from_vector(np.array([50.0, 2.0, 4.0, 0.1]))
    assert isinstance(instance["line"], Gaussian)
    assert instance["blend"].center == instance["line"].center == 50.0
    assert isinstance(instance["blend"].center, float)
    assert instance["blend"].kind == "plain"
    assert instance["fixed"] == [2.0, (0.1,)]
    assert model.leaf_values(np.array([50.0, 2.0, 4.0, 0.1]))["fixed.1.0"] == 0.1


def test_instances_are_traceable(model: Model) -> None:
    def value(theta):
        instance = model.instance_from_vector(theta)
        return instance["line"](40.0) + instance["blend"](40.0) + instance["fixed"][1][0]

    theta = jnp.array([50.0, 2.0, 4.0, 0.1])
    gradient = jax.jit(jax.vmap(jax.grad(value)))(theta[None])
    assert gradient.shape == (1, 4)
    numeric = (value(theta + jnp.array([1e-6, 0, 0, 0])) - value(theta - jnp.array([1e-6, 0, 0, 0]))) / 2e-6
    assert float(gradient[0, 0]) == pytest.approx(float(numeric), rel=1e-6)


def test_the_root_may_be_a_component_or_a_list() -> None:
    assert Model(Gaussian(center=Uniform(0, 1), sigma=1)).paths == ("center",)
    assert Model([Uniform(0, 1), (Normal(0, 1), 3)]).paths == ("0", "1.0")


def test_a_model_without_parameters() -> None:
    model = Model({"a": 1.0})
    assert model.prior_transform(np.zeros((3, 0))).shape == (3, 0)
    assert model.log_prior(np.zeros((3, 0))).shape == (3,)
    assert model.instance_from_vector(np.zeros(0)) == {"a": 1.0}


def test_equal_priors_are_separate_parameters() -> None:
    prior = Uniform(0, 1)
    assert Model({"a": prior, "b": prior}).n_dim == 2


@pytest.mark.parametrize("xp", [np, jnp])
def test_constraints_hold_for_single_points_and_batches(model: Model, xp) -> None:
    theta = xp.asarray([[50.0, 2.0, 4.0, 0.1], [50.0, 4.0, 2.0, 0.1], [50.0, 2.0, 2.0, 0.1]])
    np.testing.assert_array_equal(model.is_allowed(theta), [True, False, False])
    assert bool(model.is_allowed(theta[0]))
    assert np.shape(model.is_allowed(theta[0])) == ()
    free = Model({"a": Uniform(0, 1)})
    np.testing.assert_array_equal(free.is_allowed(xp.zeros((2, 1))), [True, True])


def test_a_single_constraint_needs_no_list() -> None:
    assert Model({"a": 1}, Less("a", 2)).constraints == (Less("a", 2),)  # type: ignore[arg-type]


def test_constraints_may_speak_of_fixed_and_tied_leaves() -> None:
    model = Model({"a": Uniform(0, 1), "b": 0.5, "c": Tied("a")}, [Less("c", "b")])
    np.testing.assert_array_equal(model.is_allowed(np.array([[0.4], [0.6]])), [True, False])
    always = Model({"a": Uniform(0, 1), "b": 0.5}, [Less("b", 0.7)])
    np.testing.assert_array_equal(always.is_allowed(np.array([[0.4], [0.6]])), [True, True])


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Model({"a": Tied("b")}), r"a: Tied\('b'\) is not a leaf"),
        (lambda: Model({"center": 1.0, "b": Tied("centre")}), r"b: Tied\('centre'\) is not a leaf. Did you mean 'center'"),
        (lambda: Model({"a": {"b": 1}, "c": Tied("a")}), r"c: Tied\('a'\) is not a leaf"),
        (lambda: Model({"a": Tied("b"), "b": Tied("a")}), "the ties a -> b -> a go round in a circle"),
        (lambda: Model({"a": Tied("a")}), "the ties a -> a go round in a circle"),
        (
            lambda: Model({"a": Uniform(0, 1), "b": Tied("a")}, [Less("a", "b")]),
            "a < b can never hold: its two leaves are tied to one value",
        ),
        (
            lambda: Model({"g": Gaussian(center=0, sigma=Tied("x")), "x": Normal(0, 1)}),
            "g.sigma, tied to x: Normal.* reaches outside the domain",
        ),
        (lambda: Model({"g": Gaussian(center=0, sigma=Tied("x")), "x": -2}), "g.sigma, tied to x: -2.0 is outside the domain"),
        (lambda: Model(Uniform(0, 1)), "must be a component, dict, list or tuple. Wrap a leaf in a dict"),
        (lambda: Model(Model({"a": 1})), "got a Model; give its .tree"),
        (lambda: Model({"a": 1}, [Less("a", "b")]), "The constraint a < b speaks of 'b', which is not a leaf"),
        (lambda: Model({"a": 1}, ["a < b"]), "A constraint is 'a < b'; give Less"),
    ],
)
def test_wrong_models_are_refused_when_made(make, text: str) -> None:
    with pytest.raises(ModelError, match=text):
        make()


@pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 2, 4), ()])
def test_wrong_shapes_are_refused(model: Model, shape) -> None:
    with pytest.raises(ModelError, match=r"theta has shape .*; it must be \(4,\) or \(n, 4\)"):
        model.log_prior(np.zeros(shape))


def test_replace_leaves_and_subtrees(model: Model) -> None:
    changed = model.replace({"line.sigma": 3, "sky": Uniform(-1, 1), "fixed.0": Tied("blend.sigma")})
    assert changed.paths == ("line.center", "blend.sigma", "sky")
    assert changed.priors["sky"] == Uniform(-1, 1)
    assert changed.constraints == model.constraints
    assert model.paths[1] == "line.sigma"
    whole = model.replace({"blend": {"sigma": Uniform(0, 1)}})
    assert whole.paths == ("line.center", "line.sigma", "blend.sigma", "sky")


def test_replace_by_a_model_brings_its_ties_and_constraints(model: Model) -> None:
    part = Model({"sigma": Uniform(0, 1), "other": Tied("sigma"), "third": Uniform(1, 2)}, [Less("sigma", "third")])
    changed = model.replace({"blend": part})
    assert changed.paths == ("line.center", "line.sigma", "blend.sigma", "blend.third", "sky")
    assert changed.ties["blend.sigma"] == ("blend.sigma", "blend.other")
    assert changed.constraints == (Less("line.sigma", "blend.sigma"), Less("blend.sigma", "blend.third"))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"line.centre": 1}, "The model has no 'line.centre'. Did you mean 'line.center'"),
        ({"line.sigma": Normal(0, 1)}, "Gaussian.sigma: Normal.* reaches outside the domain"),
        ({"line": {"center": 1}}, "The constraint line.sigma < blend.sigma speaks of 'line.sigma'"),
        ({"": 1}, "replace\\(\\) got an empty path"),
        ({"line.kind": "x"}, "The model has no 'line.kind'"),
    ],
)
def test_wrong_replacements_are_refused(model: Model, changes, text: str) -> None:
    with pytest.raises(ModelError, match=text):
        model.replace(changes)


def test_subtree_counts_paths_from_itself_and_keeps_what_is_inside(model: Model) -> None:
    blend = model.subtree("blend")
    assert blend.paths == ("center", "sigma")
    assert blend.priors["center"] == Uniform(0, 100)
    assert blend.constraints == ()
    inside = {"a": Uniform(0, 1), "b": Uniform(0, 1), "c": Tied("in.a")}
    outer = Model({"in": inside, "d": Uniform(0, 2), "e": {"x": Tied("d"), "y": Tied("d")}}, [Less("in.a", "in.b")])
    inner = outer.subtree("in")
    assert inner.ties == {"a": ("a", "c")}
    assert inner.constraints == (Less("a", "b"),)
    twice = outer.subtree("e")
    assert twice.paths == ("x",)
    assert twice.ties == {"x": ("x", "y")}
    with pytest.raises(ModelError, match=r"'d' is a leaf, .*; subtree\(\) needs a component"):
        outer.subtree("d")
    with pytest.raises(ModelError, match="The model has no 'f'"):
        outer.subtree("f")


def test_stored_form_loses_nothing(model: Model) -> None:
    again = Model.from_dict(json.loads(json.dumps(model.to_dict(), allow_nan=False, sort_keys=True)))
    assert again == model
    assert again.paths == model.paths
    assert again.describe() == model.describe()
    assert digest(again) == digest(model)
    with pytest.raises(ModelError, match="The stored model has form 99; this version of fitcore reads form 1"):
        Model.from_dict({**model.to_dict(), "form": 99})


def test_models_are_equal_and_hashed_by_value(model: Model) -> None:
    same = Model(model.tree, model.constraints)
    assert same == model
    assert hash(same) == hash(model)
    assert model.replace({"sky": Normal(0, 2)}) != model
    assert Model(model.tree) != model
    assert Model({"a": Uniform(0, 1), "b": 1}, [Less("a", "b"), Less(0, "a")]) == Model(
        {"a": Uniform(0, 1), "b": 1}, [Less(0, "a"), Less("a", "b")]
    )
    assert model != "model"


def test_models_do_not_change_with_the_users_dict() -> None:
    tree = {"a": Uniform(0, 1)}
    model = Model(tree)
    tree["b"] = Uniform(0, 1)
    assert model.paths == ("a",)
    with pytest.raises(AttributeError):
        model.tree = {}  # type: ignore[misc]


def test_a_model_can_be_sent_to_another_process(model: Model) -> None:
    assert pickle.loads(pickle.dumps(model)) == model


def test_description_is_a_text_tree() -> None:
    model = Model({"g": Gaussian(center=Uniform(0, 100), sigma=2), "t": Tied("g.center")}, [Less("g.sigma", "g.center")])
    assert model.describe() == (
        "dict: 1 free parameter\n"
        "├── g: Gaussian(kind='plain')\n"
        "│   ├── center  Uniform(0, 100)\n"
        "│   └── sigma   2\n"
        "└── t  = g.center\n"
        "where g.sigma < g.center"
    )
    assert str(model) == model.describe()
    assert repr(model) == "<Model of 1 parameters: g.center>"


def test_html_is_escaped() -> None:
    html = Model({"g": Gaussian(center=1, sigma=1, kind="<script>")})._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
