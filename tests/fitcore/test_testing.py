"""The examiner of priors: it passes ours and the one of the docs, and for every clause it catches a prior that breaks it."""

from __future__ import annotations

import itertools
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import jax.numpy as jnp
import numpy as np
import pytest

from fitcore.errors import PriorError
from fitcore.model import LogNormal, LogUniform, Normal, Prior, ProbitNormal, TruncatedNormal, Uniform
from fitcore.model.special import floats
from fitcore.testing import CLAUSES, check_prior

DOCS = Path(__file__).parents[2] / "docs" / "priors.md"
PLAIN = [
    Uniform(1e8, 1e8 + 0.1),
    LogUniform(1e-6, 1e6),
    LogUniform(1.0, 1.0001),
    Normal(1e8 + 0.1, 1e-3),
    LogNormal(-20, 3),
    TruncatedNormal(0, 1, 12, np.inf),
    TruncatedNormal(0, 1, 40, 41),
    TruncatedNormal(5, 1, -np.inf, 0),
    TruncatedNormal(1e8, 2, 1e8, 1e8 + 0.5),
    ProbitNormal(TruncatedNormal(0, 1, 12, 13), 1, 0.5),
    ProbitNormal(Uniform(0, 10), -0.475, 0.179),
]
COMPILED = [Uniform(-3, 7.5), LogUniform(49, 1000), Normal(2.5, 0.3), LogNormal(1, 0.5), TruncatedNormal(0, 1, 12, 13)]


@pytest.mark.parametrize("prior", [*COMPILED, ProbitNormal(LogNormal(0, 1), 1.5, 1.3)], ids=str)
def test_our_own_priors_pass(prior: Prior) -> None:
    check_prior(prior)


@pytest.mark.parametrize("prior", PLAIN, ids=str)
def test_our_own_priors_pass_at_extreme_numbers(prior: Prior) -> None:
    check_prior(prior, skip=["jax"])


@dataclass(frozen=True)
class Right(Prior):
    """Uniform on [0, width]; what is wrong is derived from it."""

    width: float

    def transform(self, u):
        return floats(u)[1] * self.width

    def inverse(self, x):
        xp, x = floats(x)
        return xp.clip(x / self.width, 0.0, 1.0)

    def log_prob(self, x):
        xp, x = floats(x)
        inside = xp.where(xp.isnan(x), np.nan, -np.log(self.width))
        return xp.where((x < 0.0) | (x > self.width), -np.inf, inside)

    @property
    def support(self):
        return 0.0, self.width


class Undecorated(Right):
    pass


@dataclass(frozen=True, eq=False)
class Unequal(Right):
    __hash__ = object.__hash__


@dataclass(frozen=True)
class Leaving(Right):
    def transform(self, u):
        return floats(u)[1] * self.width + 1e-15 * self.width


@dataclass(frozen=True)
class Infinite(Right):
    def transform(self, u):
        return np.where(np.asarray(u) == 0.0, -np.inf, Right.transform(self, u))


@dataclass(frozen=True)
class UnevenEnd(Right):
    def inverse(self, x):
        return np.where(np.asarray(x) >= self.width, 0.999, Right.inverse(self, x))


@dataclass(frozen=True)
class Falling(Right):
    def transform(self, u):
        return self.width * (1.0 - floats(u)[1])


@dataclass(frozen=True)
class Flattened(Right):
    def transform(self, u):
        return np.ravel(Right.transform(self, u))


@dataclass(frozen=True)
class Ranked(Right):
    def inverse(self, x):
        return Right.inverse(self, x) + 0.01 * (np.ndim(x) > 0)


@dataclass(frozen=True)
class OneWay(Right):
    def inverse(self, x):
        return Right.inverse(self, x) ** 2


@dataclass(frozen=True)
class OtherProbit(Right):
    def from_probit(self, z):
        return Right.from_probit(self, 1.1 * floats(z)[1])

    def probit(self, x):
        return Right.probit(self, x) / 1.1


@dataclass(frozen=True)
class Unnormalized(Right):
    def log_prob(self, x):
        return Right.log_prob(self, x) + np.log(2.0)


@dataclass(frozen=True)
class OtherDensity(Right):
    def log_prob(self, x):
        xp, x = floats(x)
        tilt = xp.log(xp.clip(2.0 * x / self.width, 1e-300, 2.0))
        return Right.log_prob(self, x) + tilt


@dataclass(frozen=True)
class Endless(Right):
    def log_prob(self, x):
        return 0.0 * floats(x)[1] - np.log(self.width)


@dataclass(frozen=True)
class Deaf(Right):
    def log_prob(self, x):
        return np.where(np.isnan(x), 0.0, Right.log_prob(self, x))


@dataclass(frozen=True)
class NumpyOnly(Right):
    def transform(self, u):
        return np.clip(np.asarray(u, dtype=np.float64) * self.width, 0.0, self.width)


@dataclass(frozen=True)
class Single(Right):
    def transform(self, u):
        return (floats(u)[1] * self.width).astype(jnp.float32)


@dataclass(frozen=True)
class OtherUnderJax(Right):
    def inverse(self, x):
        xp, _ = floats(x)
        return Right.inverse(self, x) + (0.0 if xp is np else 1e-6)


@dataclass(frozen=True)
class Unguarded(Right):
    def transform(self, u):
        xp, u = floats(u)
        return xp.where(u >= 0.0, self.width * u, xp.sqrt(-u))


@dataclass(frozen=True)
class Rippled(Right):
    def from_probit(self, z):
        xp, z = floats(z)
        return Right.from_probit(self, z) + (0.0 if xp is np else 1e-12 * xp.sin(1e9 * z))


@dataclass(frozen=True)
class Lossy(Right):
    def to_dict(self):
        return {**super().to_dict(), "width": round(self.width, 2)}


@dataclass(frozen=True)
class NotStrict(Right):
    def to_dict(self):
        return {**super().to_dict(), "width": float("nan")}


_count = itertools.count()


@dataclass(frozen=True)
class Restless(Right):
    def identity(self):
        return {"width": self.width, "count": next(_count)}


def local() -> Prior:
    @dataclass(frozen=True)
    class Local(Right):
        pass

    return Local(1.5)


@dataclass(frozen=True)
class ForgetsItsSupport(Right):
    def project(self, samples, log_weight, *, scale=1.0):
        return Normal(0.5 * self.width, self.width)


@dataclass(frozen=True)
class IgnoresTheSamples(Right):
    def project(self, samples, log_weight, *, scale=1.0):
        return ProbitNormal(Right(self.width), -3.0, 0.1)


@dataclass(frozen=True)
class Twice(Unnormalized, UnevenEnd):
    pass


WRONG: list[tuple[str, Prior, str]] = [
    ("dataclass", Undecorated(1.5), "Undecorated is not a dataclass: decorate it"),
    ("dataclass", Unequal(1.5), "two instances with the same numbers are not equal"),
    ("support", Right(-1.5), r"support is \(0.0, -1.5\); the lower end must be below"),
    ("support", Leaving(1.5), r"transform\(1.0\) is 1.50000000000000\d+; it must be finite and within"),
    ("support", Infinite(1.5), r"transform\(0.0\) is -inf; it must be finite"),
    ("support", UnevenEnd(1.5), r"inverse\(1.5\) is 0.999 at that end of the support; it must be 1.0"),
    ("rising", Falling(1.5), r"transform falls from"),
    ("shapes", Flattened(1.5), r"transform of shape \(\) has shape \(1,\); it must be the same"),
    ("shapes", Ranked(1.5), r"inverse gives 0.3 for one point and 0.31 for the same"),
    ("round trip", OneWay(1.5), r"inverse\(transform\(.*\)\) is"),
    ("round trip", OtherProbit(1.5), r"from_probit\(z\) is not transform\(Phi\(z\)\)"),
    ("density", Unnormalized(1.5), r"the integral of exp\(log_prob\) over the support is 2; it must be 1"),
    ("density", OtherDensity(1.5), "log_prob is not the density of transform"),
    ("outside", Endless(1.5), r"log_prob\(-1.0\), outside the support, is -0.40\d+; it must be -inf"),
    ("outside", Deaf(1.5), r"log_prob\(NaN\) is a number"),
    ("jax", NumpyOnly(1.5), "TracerArrayConversionError"),
    ("jax", Single(1.5), "transform gives float32 under JAX"),
    ("jax", OtherUnderJax(1.5), "with NumPy and .* with compiled JAX"),
    ("jax", Unguarded(1.5), r"the gradient of transform at 1e-16 is nan; it must be finite"),
    ("jax", Rippled(1.5), r"the gradient of from_probit at .*; by log_prob it must be"),
    ("stored form", Lossy(1.2345), r"from_dict\(to_dict\(\)\) is Lossy\(width=1.23\)"),
    ("stored form", NotStrict(1.5), "ValueError"),
    ("digest", Restless(1.5), "the digest of the same numbers is not always the same"),
    ("other processes", local(), "Can't (pickle|get) local object"),
    ("projection", ForgetsItsSupport(1.5), r"has the support \(-inf, inf\)"),
    ("projection", IgnoresTheSamples(1.5), "has its median at u = 0.00135"),
]


@pytest.mark.parametrize(("clause", "prior", "text"), WRONG, ids=[f"{clause}-{type(prior).__name__}" for clause, prior, _ in WRONG])
def test_a_wrong_prior_is_caught(clause: str, prior: Prior, text: str) -> None:
    with pytest.raises(PriorError, match=f"(?m)^- {clause}: .*{text}"):
        check_prior(prior, skip=[] if clause == "jax" else ["jax"])


def test_every_clause_has_a_wrong_prior_and_a_line_in_the_docs() -> None:
    assert {clause for clause, _, _ in WRONG} == set(CLAUSES)
    assert re.findall(r"(?m)^\| ([a-z ]+) \|", DOCS.read_text(encoding="utf-8"))[1:] == list(CLAUSES)


def test_what_is_right_passes_and_all_that_is_wrong_is_listed_at_once() -> None:
    check_prior(Right(1.5), skip=["jax"])
    with pytest.raises(PriorError, match=r"Twice: 2 violations .*\n- support: .*\n- density: the integral") as caught:
        check_prior(Twice(1.5), skip=["jax"])
    assert str(caught.value).count("\n- ") == 2


def test_unknown_clauses_cannot_be_skipped() -> None:
    with pytest.raises(PriorError, match=r"skip names \['jaxx'\], which are no clauses; the clauses are dataclass, support"):
        check_prior(Right(1.5), skip=["jaxx"])


def test_the_prior_of_the_docs_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), flags=re.DOTALL)
    module = ModuleType("docs_priors")  # a class can be pickled only from a module
    monkeypatch.setitem(sys.modules, "docs_priors", module)
    exec(code, module.__dict__)  # runs check_prior
    assert module.model.n_dim == 1
