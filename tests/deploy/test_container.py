"""The container recipe, read without building it: what it copies is there, what it installs is the lock, and nothing runs as root."""

from __future__ import annotations

import fnmatch
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RECIPE = (ROOT / "deploy" / "Containerfile").read_text()
IGNORED = (ROOT / ".containerignore").read_text()


def instructions(text: str) -> list[tuple[str, str]]:
    """Each instruction and its arguments, lines that go on joined."""
    whole = re.sub(r"\\\n", " ", "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#")))
    return [(words[0], words[1]) for line in whole.splitlines() if len(words := line.split(maxsplit=1)) == 2]


def of(kind: str, text: str = RECIPE) -> list[str]:
    return [arguments for name, arguments in instructions(text) if name == kind]


def pip_words(text: str) -> list[list[str]]:
    """The arguments of every call of pip."""
    return [re.split(r"\s+", call.strip()) for call in re.findall(r"-m pip ([^&\n]*)", re.sub(r"\\\n", " ", text))]


def copied(text: str = RECIPE) -> list[str]:
    return [source for words in of("COPY", text) if not words.startswith("--from") for source in words.split()[:-1]]


def is_ignored(path: str, rules: str = IGNORED) -> bool:
    """By the last rule that fits it or a folder that it is in."""
    parts = path.split("/")
    above = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    ignored = False
    for rule in rules.splitlines():
        pattern = rule.removeprefix("!").removeprefix("**/")
        names = parts if rule.removeprefix("!").startswith("**/") else above
        if rule and not rule.startswith("#") and any(fnmatch.fnmatchcase(name, pattern) for name in names):
            ignored = not rule.startswith("!")
    return ignored


def test_what_is_copied_is_there_and_not_ignored() -> None:
    assert copied()
    for source in copied():
        assert (ROOT / source).exists(), source
        assert not is_ignored(source), source


@pytest.mark.parametrize("path", [".git", "tests", "results", ".venv/bin/python", "example/lens", "flows/__pycache__/x.pyc", "keys"])
def test_nothing_else_goes_into_the_build(path: str) -> None:
    assert is_ignored(path)


def test_what_the_package_is_made_of_is_copied() -> None:
    packages = {pattern.rstrip("*") for pattern in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]}
    files = {"pyproject.toml", "requirements.lock", PROJECT["project"]["readme"], *PROJECT["project"]["license-files"]}
    assert set(copied()) == packages | files


def test_the_lock_is_installed_as_the_makefile_does() -> None:
    def of_lock(text: str) -> list[list[str]]:
        return [sorted(words) for words in pip_words(text) if words[0] == "install" and "requirements.lock" in words]

    assert of_lock(RECIPE) == of_lock((ROOT / "Makefile").read_text()) != []
    assert "--require-hashes" in of_lock(RECIPE)[0]


def test_nothing_is_installed_that_is_not_in_the_lock() -> None:
    installs = [words for words in pip_words(RECIPE) if words[0] == "install"]
    assert len(installs) == 2
    assert installs[1] == ["install", "--quiet", "--no-deps", "--no-build-isolation", "."]
    for word in ("index-url", "find-links", "trusted-host", "http", "apt-get", "curl", "wget", "ADD "):
        assert word not in RECIPE.replace("https://", "http"), word


def test_the_tools_of_developers_are_taken_out() -> None:
    removed = {word for words in pip_words(RECIPE) if words[0] == "uninstall" for word in words if not word.startswith("-")} - {"uninstall"}
    developers = {re.split(r"[\[>=<]", item)[0] for item in PROJECT["dependency-groups"]["dev"]}
    assert developers | {"pip"} <= removed
    locked = set(re.findall(r"^([a-z0-9.-]+)==", (ROOT / "requirements.lock").read_text(), re.M))
    assert removed - {"pip"} <= locked


def test_the_last_stage_runs_as_nobody_special() -> None:
    last = RECIPE[RECIPE.rindex("\nFROM ") :]
    assert of("USER", last) == ["1000:1000"]
    assert [name for name, _ in instructions(last)].index("USER") > [name for name, _ in instructions(last)].index("RUN")
    assert "ENTRYPOINT" not in last.replace("# No entry point", "")
    assert "pip" not in last


def test_versions_are_those_of_the_project() -> None:
    version = re.search(r'image\.version="([^"]*)"', RECIPE)
    assert version is not None
    assert version[1] == PROJECT["project"]["version"]
    assert of("ARG") == ["BASE=docker.io/library/python:3.11-slim"]
    assert "fitcore:0.1.0" in (ROOT / "deploy" / "spot.yaml").read_text()
