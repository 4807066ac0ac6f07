"""The documentation: its Python blocks run, its command lines are such as the program takes, its links lead somewhere, its pages build."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
NOTEBOOK = DOCS / "first_lens.ipynb"
USAGE_ERROR = typer.BadParameter.__mro__[1]  # typer's own click has no public name for it
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)
TEXTS = [*PAGES, ROOT / "README.md", ROOT / "SECURITY.md", ROOT / "deploy" / "README.md"]


def run(*words: Any, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"}
    words = (sys.executable, *words)
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=900, check=False)


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.stem)
def test_every_python_block_runs_in_the_order_of_the_page(page: Path, tmp_path: Path) -> None:
    done = run("-c", "\n".join(blocks(page, "python")), folder=tmp_path)
    assert done.returncode == 0, done.stderr


def commands(path: Path) -> list[list[str]]:
    """The words after ``fitcore`` of each command line in the bash blocks of a page."""
    found = []
    for block in blocks(path, "bash"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["fitcore"]:
                found.append(words[1:])
    return found


@pytest.fixture(scope="module")
def program() -> Any:
    from flows.cli import app

    return typer.main.get_command(app)


@pytest.mark.parametrize("page", [page for page in TEXTS if commands(page)], ids=lambda page: page.parent.name + "/" + page.stem)
def test_every_command_line_is_one_that_the_program_takes(page: Path, program: Any) -> None:
    for words in commands(page):
        parse(program, words)


def parse(command: Any, words: list[str]) -> None:
    """Raise `USAGE_ERROR` where the program would refuse these words before it does anything."""
    context = command.make_context("fitcore", list(words), resilient_parsing=False)
    rest = [*context._protected_args, *context.args] if hasattr(command, "resolve_command") else []
    if rest:
        _, inner, further = command.resolve_command(context, rest)
        parse(inner.whole() if hasattr(inner, "whole") else inner, further)


def test_a_mistyped_command_line_is_noticed(program: Any) -> None:
    for words in (["rnu", "lens"], ["run", "lens", "--stroe", "x"], ["server", "strat"]):
        with pytest.raises(USAGE_ERROR):
            parse(program, words)


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.parent.name + "/" + page.stem)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]
    missing = [target for target in targets if not (page.parent / target.partition("#")[0]).exists() and "figures/" not in target]
    assert missing == []
    drawn = {f"{name}.png" for name in re.findall(r"^def (\w+)\(\) -> Figure:", (DOCS / "figures.py").read_text(), re.MULTILINE)}
    assert {Path(target).name for target in targets if "figures/" in target} <= drawn


def test_the_pages_build_without_a_warning(tmp_path: Path) -> None:
    done = run("-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", DOCS, tmp_path / "html", folder=ROOT)
    assert done.returncode == 0, done.stderr
    assert not done.stderr.strip(), done.stderr
    for page in PAGES:
        assert (tmp_path / "html" / page.relative_to(DOCS)).with_suffix(".html").is_file()
    assert "log_likelihood_function" in (tmp_path / "html" / "api.html").read_text(encoding="utf-8")


def cells() -> list[dict[str, Any]]:
    return [cell for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]


def test_the_notebook_holds_code_and_no_outputs() -> None:
    for cell in cells():
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
        compile("".join(cell["source"]), str(NOTEBOOK), "exec")


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path) -> None:
    done = run("-c", "\n".join("".join(cell["source"]) for cell in cells()), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("accepted")
