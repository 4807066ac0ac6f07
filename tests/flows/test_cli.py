"""The table of commands, help, completion in a shell, and what is not imported for them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from fitcore.store.layout import Layout
from flows import catalogue, cli, completion

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = Path(__file__).resolve().parent / "plugin"
HEAVY = ("jax", "prefect", "astropy", "matplotlib", "h5py", "numpy", "scipy", "rich", "httpx")

HELP = """
import sys
from flows import cli
try:
    cli.app(sys.argv[1:], prog_name="fitcore")
except SystemExit as end:
    assert not end.code, end.code
print("HEAVY", *sorted({name.split(".")[0] for name in sys.modules}))
"""


def heavy_after(*words: str, **environment: str) -> tuple[list[str], str]:
    answer = subprocess.run(
        [sys.executable, "-c", HELP, *words],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": "/nowhere", "PYTHONPATH": f"{ROOT}:{PLUGIN}", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    text, _, names = answer.stdout.rpartition("HEAVY ")
    return [name for name in HEAVY if name in names.split()], text


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("run", "--help"), ("plan", "--help"), ("server", "start", "--help")])
def test_help_imports_nothing_heavy(words: tuple[str, ...]) -> None:
    heavy, text = heavy_after(*words)
    assert heavy == []
    assert "fitcore" in text


@pytest.fixture(params=list(cli.COMMANDS))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def test_the_table_tells_what_the_command_tells(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = cli.Deferred(name=name, help=cli.COMMANDS[name]).whole()
    assert command.name == name
    told = " ".join((command.help or "").split())
    assert told.startswith(cli.COMMANDS[name].removesuffix(".")), told
    for words in [[name], *([name, inner] for inner in getattr(command, "commands", {}))]:
        with pytest.raises(SystemExit) as ended:
            cli.app([*words, "--help"])
        assert not ended.value.code
        output = capsys.readouterr().out
        if not getattr(command, "commands", {}) or len(words) > 1:
            assert f"Example: {'eval' if words[-1] == 'env' else f'fitcore {words[0]}'}" in output
        assert all(len(line) <= 100 for line in output.splitlines())


def test_every_module_of_commands_is_in_the_table() -> None:
    modules = {path.stem.replace("_", "-") for path in (ROOT / "flows" / "commands").glob("[!_]*.py")}
    assert modules == set(cli.COMMANDS)


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        cli.app(list(words), prog_name="fitcore")
    output, errors = capsys.readouterr()
    assert (ended.value.code, output) == (2, "")
    return errors


def test_the_nearest_command_and_option_are_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    assert "No such command 'plann'. Did you mean 'plan'?" in refused(capsys, "plann")
    assert "No such option: --sed (Possible options: --seed, --set, --store)" in refused(capsys, "run", "x", "--sed", "1")
    assert "No such command 'stat'. Did you mean 'start', 'status'?" in refused(capsys, "server", "stat")


def completed(line: str, shell: str = "bash", **environment: str) -> list[str]:
    """What bash is offered for the last word of a line, in a process of its own as the shell starts one."""
    words = line.split(" ")
    told = {"_FITCORE_COMPLETE": f"complete_{shell}", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1), **environment}
    heavy, text = heavy_after(**told)
    if "--set" not in words:
        assert heavy == []
    return text.split()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """As much of a store as completion reads."""
    for name, stages in {"J0252+0039": ["basin", "power_law"], "J0728+3835": ["basin"]}.items():
        folder = tmp_path / "store" / "runs" / name
        folder.mkdir(parents=True)
        (folder / "lens.json").write_text(json.dumps({"stages": [[stage, "0" * 64] for stage in stages]}))
    (tmp_path / "store" / "runs" / "J0728+3835" / "odd.json").write_text("[")
    return tmp_path / "store"


def test_a_shell_is_offered_commands_options_and_names(store: Path) -> None:
    assert completed("fitcore wh") == ["why-miss"]
    assert "--seed" in completed("fitcore run --se")
    assert completed("fitcore run --pipeline to") == ["toy"]
    assert completed(f"fitcore show --store {store} J0") == ["J0252+0039", "J0728+3835"]
    assert completed("fitcore report J02", FITCORE_STORE=str(store)) == ["J0252+0039"]
    assert completed(f"fitcore show J0252+0039 --store {store} --stage p") == ["power_law"]
    assert completed("fitcore run --pipeline toy --set second.n_e") == ["second.n_eff="]
    assert completed("fitcore show J", FITCORE_STORE="/nowhere") == []
    assert completed("fitcore show J", FITCORE_SETTINGS="/nowhere") == []
    assert completed("fitcore run --set x", FITCORE_SETTINGS="/nowhere") == []


def test_completion_knows_the_names_of_others(tmp_path: Path) -> None:
    assert Layout(tmp_path).runs == tmp_path / completion.RUNS
    assert catalogue.GROUP == completion.GROUP


def test_what_a_store_holds_is_no_command_of_the_shell(tmp_path: Path) -> None:
    (tmp_path / "runs" / "a\x1b[2J").mkdir(parents=True)
    (tmp_path / "runs" / "ab").mkdir()
    context: Any = typer.Context(typer.main.get_command(cli.app))
    context.params = {"store": str(tmp_path)}
    assert completion.results(context, "a") == ["ab"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_of_a_shell_is_shown(shell: str) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", HELP],
        cwd=ROOT,
        env={**os.environ, "_FITCORE_COMPLETE": f"source_{shell}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"complete_{shell}" in answer.stdout


def test_no_color_and_quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.console import Display, output

    monkeypatch.setenv("FORCE_COLOR", "1")
    assert output(no_color=True).no_color
    assert Display(quiet=True, no_color=True).console.no_color
