"""What a result used, as BibTeX: the table of libraries and methods of fitcore itself, and which of them a recorded request names.

What a science adds (profiles, data) is told by its pipeline in the same form. Every entry was compared with the publication's own page, or
with what its authors ask to be cited; what could not be checked was left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Reference:
    """One BibTeX entry.

    Parameters
    ----------
    key : by which a text cites it.
    kind : of the entry, such as ``article``.
    fields : by name.
    why : what it was used for, in a few words.
    """

    key: str
    kind: str
    fields: tuple[tuple[str, str], ...]
    why: str = ""

    def because(self, why: str) -> Reference:
        """The same entry with another reason."""
        return Reference(key=self.key, kind=self.kind, fields=self.fields, why=why)

    def bibtex(self) -> str:
        """The entry."""
        width = max(len(name) for name, _ in self.fields)
        lines = ",\n".join(f"  {name:<{width}} = {{{value}}}" for name, value in self.fields)
        return f"@{self.kind}{{{self.key},\n{lines}\n}}\n"


def reference(key: str, kind: str = "article", **fields: str) -> Reference:
    """A reference of its fields."""
    return Reference(key=key, kind=kind, fields=tuple(fields.items()))


JAX = reference(
    "jax2018github",
    "software",
    author="James Bradbury and Roy Frostig and Peter Hawkins and Matthew James Johnson and Chris Leary and Dougal Maclaurin and "
    "George Necula and Adam Paszke and Jake Vander{P}las and Skye Wanderman-{M}ilne and Qiao Zhang",
    title="{JAX}: composable transformations of {P}ython+{N}um{P}y programs",
    url="http://github.com/jax-ml/jax",
    year="2018",
)
NUMPY = reference(
    "harris2020array",
    author="Harris, Charles R. and Millman, K. Jarrod and van der Walt, St{\\'e}fan J. and Gommers, Ralf and Virtanen, Pauli and others",
    title="Array programming with {NumPy}",
    journal="Nature",
    volume="585",
    number="7825",
    pages="357--362",
    year="2020",
    doi="10.1038/s41586-020-2649-2",
)
SCIPY = reference(
    "virtanen2020scipy",
    author="Virtanen, Pauli and Gommers, Ralf and Oliphant, Travis E. and Haberland, Matt and Reddy, Tyler and others",
    title="{SciPy} 1.0: Fundamental Algorithms for Scientific Computing in {P}ython",
    journal="Nature Methods",
    volume="17",
    pages="261--272",
    year="2020",
    doi="10.1038/s41592-019-0686-2",
)
H5PY = reference(
    "collette2013python",
    "book",
    author="Collette, Andrew",
    title="Python and {HDF5}: Unlocking Scientific Data",
    publisher="O'Reilly Media",
    year="2013",
)
PREFECT = reference(
    "prefect", "software", author="{Prefect Technologies, Inc.}", title="{Prefect}", url="https://github.com/PrefectHQ/prefect"
)
FITCORE = reference(
    "fitcore",
    "software",
    author="{The fitcore authors}",
    title="{fitcore}: chained nested-sampling searches as crash-safe workflows",
    year="2026",
)
NAUTILUS = reference(
    "lange2023nautilus",
    author="Lange, Johannes U.",
    title="nautilus: boosting {Bayesian} importance nested sampling with deep learning",
    journal="Monthly Notices of the Royal Astronomical Society",
    volume="525",
    number="2",
    pages="3181--3194",
    year="2023",
    doi="10.1093/mnras/stad2441",
)
SCIKIT_LEARN = reference(
    "pedregosa2011scikit",
    author="Pedregosa, F. and Varoquaux, G. and Gramfort, A. and Michel, V. and Thirion, B. and others",
    title="Scikit-learn: Machine Learning in {P}ython",
    journal="Journal of Machine Learning Research",
    volume="12",
    pages="2825--2830",
    year="2011",
)
OWEN_ZHOU = reference(
    "owen2000safe",
    author="Owen, Art and Zhou, Yi",
    title="Safe and Effective Importance Sampling",
    journal="Journal of the American Statistical Association",
    volume="95",
    number="449",
    pages="135--143",
    year="2000",
    doi="10.1080/01621459.2000.10473909",
)
PSIS = reference(
    "vehtari2024pareto",
    author="Vehtari, Aki and Simpson, Daniel and Gelman, Andrew and Yao, Yuling and Gabry, Jonah",
    title="Pareto Smoothed Importance Sampling",
    journal="Journal of Machine Learning Research",
    volume="25",
    number="72",
    pages="1--58",
    year="2024",
)
DYNESTY = reference(
    "speagle2020dynesty",
    author="Speagle, Joshua S.",
    title="dynesty: a dynamic nested sampling package for estimating {Bayesian} posteriors and evidences",
    journal="Monthly Notices of the Royal Astronomical Society",
    volume="493",
    number="3",
    pages="3132--3158",
    year="2020",
    doi="10.1093/mnras/staa278",
)
SKILLING = reference(
    "skilling2006nested",
    author="Skilling, John",
    title="Nested sampling for general {Bayesian} computation",
    journal="Bayesian Analysis",
    volume="1",
    pages="833--860",
    year="2006",
    doi="10.1214/06-BA127",
)
BLACKJAX = reference(
    "cabezas2024blackjax",
    "misc",
    author="Cabezas, Alberto and Corenflos, Adrien and Lao, Junpeng and Louf, R{\\'e}mi",
    title="{BlackJAX}: Composable {Bayesian} inference in {JAX}",
    year="2024",
    eprint="2402.10797",
    archivePrefix="arXiv",
    primaryClass="cs.MS",
)
NO_U_TURN = reference(
    "hoffman2014nuts",
    author="Hoffman, Matthew D. and Gelman, Andrew",
    title="The {No-U-Turn} Sampler: Adaptively Setting Path Lengths in {Hamiltonian} {Monte} {Carlo}",
    journal="Journal of Machine Learning Research",
    volume="15",
    number="47",
    pages="1593--1623",
    year="2014",
)

SEARCHES: dict[str, tuple[Reference, ...]] = {
    "Nautilus": (
        NAUTILUS.because("nested sampling by neural networks: the search Nautilus"),
        SCIKIT_LEARN.because("the networks of nautilus"),
        SKILLING.because("nested sampling"),
    ),
    "Importance": (),
    "Dynesty": (DYNESTY.because("the search Dynesty"), SKILLING.because("nested sampling")),
    "NUTS": (BLACKJAX.because("the search NUTS"), NO_U_TURN.because("the sampler of the search NUTS")),
}
"""By the name of a search, what it is made of; those that end by importance sampling are in `BY_IMPORTANCE`."""
BY_IMPORTANCE = ("Importance", "Nautilus", "MultiStart")


def names_in(spec: Any) -> set[str]:
    """Names of classes in a recorded request, ``module:Class`` or the short name of a search, whatever its form is like."""
    found: set[str] = set()
    waiting = [spec]
    while waiting:
        form = waiting.pop()
        if not isinstance(form, list):
            continue
        if len(form) > 1 and form[0] == "object" and isinstance(form[1], str):
            found.add(form[1])
        if len(form) == 2 and form[0] in (["str", "class"], ["str", "search"]) and isinstance(form[1], list) and form[1][:1] == ["str"]:
            found.add(str(form[1][-1]))
        waiting += form
    return found


def references_of(spec: Any, provenance: Mapping[str, Any]) -> list[Reference]:
    """What fitcore itself used for a result: libraries, and what the recorded search is made of.

    Parameters
    ----------
    spec : the canonical form of what was asked, as the store keeps it.
    provenance : of the result; only the versions in it are looked at.
    """
    versions = provenance.get("versions", {})
    versions = versions if isinstance(versions, Mapping) else {}
    names = names_in(spec)
    found = [
        FITCORE.because(_versioned("the fit", versions.get("fitcore"))),
        NUMPY.because(_versioned("arrays", versions.get("numpy"))),
        JAX.because(_versioned("compiled likelihoods and gradients", versions.get("jax"))),
        SCIPY.because(_versioned("special functions and linear algebra", versions.get("scipy"))),
        H5PY.because(_versioned("the files of results, h5py", versions.get("h5py"))),
        PREFECT.because("the chain as a workflow"),
    ]
    for search in sorted(names & set(SEARCHES)):
        found += SEARCHES[search]
    if names & set(BY_IMPORTANCE):
        found += [
            OWEN_ZHOU.because("importance sampling from a mixture that contains the prior"),
            PSIS.because("the grade of importance samples, by their Pareto k"),
        ]
    return found


def bibliography(found: Iterable[Reference]) -> str:
    """BibTeX of the references, each once, each under a comment that says why; sorted as they came."""
    whys: dict[str, list[str]] = {}
    entries: dict[str, Reference] = {}
    for item in found:
        entries.setdefault(item.key, item)
        reasons = whys.setdefault(item.key, [])
        if item.why and item.why not in reasons:
            reasons.append(item.why)
    return "\n".join(f"% {'; '.join(whys[key])}\n{entry.bibtex()}" for key, entry in entries.items())


def _versioned(what: str, version: Any) -> str:
    """A reason with a version, where that is one."""
    is_plain = isinstance(version, str) and len(version) <= 32 and all(letter.isalnum() or letter in ".+-" for letter in version)
    return f"{what}, version {version}" if is_plain and version.isascii() else what
