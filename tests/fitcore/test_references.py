"""What a result used, as BibTeX: every entry is whole, is told once, and is named by a request that used it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from fitcore import __version__, canonical, references
from fitcore.references import Reference, bibliography, names_in, reference, references_of

ROOT = Path(__file__).resolve().parents[2]
TABLE = {key: value for key, value in vars(references).items() if isinstance(value, Reference)}
NEEDED = {
    "article": {"author", "title", "journal", "year"},
    "book": {"author", "title", "publisher", "year"},
    "misc": {"author", "title", "eprint"},
}


@pytest.mark.parametrize("name", TABLE)
def test_every_entry_is_whole(name: str) -> None:
    entry = TABLE[name]
    fields = dict(entry.fields)
    assert NEEDED.get(entry.kind, {"author", "title"}) <= set(fields)
    text = entry.bibtex()
    assert text.isascii()
    assert text.count("{") == text.count("}")
    assert re.match(rf"@{entry.kind}\{{{entry.key},\n  author", text)
    if "doi" in fields:
        assert re.fullmatch(r"10\.\d{4,}/\S+", fields["doi"])


def test_keys_are_distinct() -> None:
    assert len({entry.key for entry in TABLE.values()}) == len(TABLE)


@pytest.mark.parametrize(
    ("search", "there", "not_there"),
    [
        ("Nautilus", {"lange2023nautilus", "skilling2006nested", "owen2000safe"}, {"speagle2020dynesty"}),
        ("Importance", {"owen2000safe", "vehtari2024pareto"}, {"lange2023nautilus"}),
        ("NUTS", {"hoffman2014nuts", "cabezas2024blackjax"}, {"owen2000safe"}),
        ("Dynesty", {"speagle2020dynesty", "skilling2006nested"}, {"cabezas2024blackjax"}),
    ],
)
def test_a_search_names_what_it_is_made_of(search: str, there: set[str], not_there: set[str]) -> None:
    spec = canonical({"search": {"search": search, "version": 4}, "model": 3})
    keys = {entry.key for entry in references_of(spec, {"versions": {"jax": "0.10.2", "numpy": "\x1b{"}})}
    assert there <= keys
    assert not not_there & keys
    assert {"fitcore", "jax2018github", "harris2020array", "prefect"} <= keys


def test_versions_are_told_where_they_are_some() -> None:
    told = {entry.key: entry.why for entry in references_of([], {"versions": {"jax": "0.10.2", "numpy": "\x1b}", "scipy": 3}})}
    assert told["jax2018github"].endswith("version 0.10.2")
    assert told["harris2020array"] == "arrays"
    assert told["virtanen2020scipy"] == "special functions and linear algebra"
    assert references_of("no form at all", {"versions": "x"})


def test_names_are_found_in_any_form() -> None:
    spec = canonical({"analysis": {"class": "a.b:C", "identity": {"mass": [1, 2]}}, "search": {"search": "Nautilus"}})
    assert {"a.b:C", "Nautilus"} <= names_in(spec)
    assert names_in([["object", "x:Y", []], 3, None, [[["object"]]]]) == {"x:Y"}


def test_an_entry_is_told_once_with_all_its_reasons() -> None:
    one = reference("k", author="A", year="1")
    text = bibliography([one.because("this"), one.because("that"), one.because("this")])
    assert text == "% this; that\n@article{k,\n  author = {A},\n  year   = {1}\n}\n"


def test_the_citation_file_is_of_this_version() -> None:
    """With what the Citation File Format 1.2 asks for, and nothing that contradicts the package."""
    told = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(told)
    assert told["cff-version"] == "1.2.0"
    assert str(told["version"]) == __version__
    assert told["license"] == "MIT"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", str(told["date-released"]))
    assert told["title"] == dict(references.FITCORE.fields)["title"].replace("{", "").replace("}", "")
    nautilus = dict(references.NAUTILUS.fields)
    assert told["references"][0]["doi"] == nautilus["doi"]
    assert f"{told['references'][0]['start']}--{told['references'][0]['end']}" == nautilus["pages"]
