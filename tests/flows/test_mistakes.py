"""What the program says to the mistakes of `mistakes`: the remedy, with the right exit code, and no traceback; `docs/mistakes.md` tells it.

``FITCORE_WRITE_DOCS=1`` writes the document anew. What takes processes is seen elsewhere: Ctrl-C and SIGTERM in ``test_early`` and
``test_interrupts``, a wrong password in ``test_flow_server``, a disk that is really full in ``tests/hostile/test_real_disks.py``.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

import pytest

import fitcore as fc
from flows import cli, early
from flows.server import password_refused

from . import mistakes
from .mistakes import MISTAKES, Mistake

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "mistakes.md"
TOLD: dict[str, str] = {}

HEAD = """# Mistakes, and what the program says

Written by `tests/flows/test_mistakes.py`, which makes each of them and fails where this page says something else. `BASE` is
a folder, `my_lens` a dataset in it. The exit code is 2, and nothing was begun, where nothing else is said.
"""

TAIL = """No mistakes, and said in the report: a PSF whose sum is not one (it is normalized), no redshifts (what needs them is left
out), pixels of huge or missing noise (they are masked and counted).
"""


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A dataset that is right, and a store with a finished chain, as far as its note goes."""
    base = tmp_path_factory.mktemp("places")
    store = fc.Store(base / "store")
    three = {"median": 1.0, "lower": 0.5, "upper": 1.5}
    outcome = {"name": "second", "digest": "0" * 64, "cached": False, "n_calls": 5, "log_evidence": 1.0, "log_evidence_error": 0.1}
    extra = {
        "summary": {"verdict": "accepted", "headline": "a", "reasons": [], "parameters": {"a": three}, "latents": {}},
        "outcomes": [{**outcome, "seconds": 1.0, "grade": "A"}],
        "seed": 0,
        "settings": {},
        "report": "",
        "dataset": "/data/that/is/gone",
    }
    for name in ("line", "gone"):
        store.record_run(name, "toy", {"second": "0" * 64}, extra)
    return {"lens": mistakes.write(base / "lens"), "store": store.path}


def said(mistake: Mistake, capsys: Any) -> tuple[int, str]:
    """Exit code and message."""
    if mistake.python is not None:
        with pytest.raises((fc.FitcoreError, TypeError)) as raised:
            mistake.python()
        return 2, str(raised.value)
    raise AssertionError


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.title)
@pytest.mark.filterwarnings("default::fitcore.store.StoreWarning")
def test_the_message_names_the_remedy(
    mistake: Mistake, places: Any, installed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("PREFECT_API_URL", "FITCORE_SETTINGS", "FITCORE_THREADS", "FITCORE_STORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("FITCORE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")
    known = {"base": str(tmp_path), **{name: str(path) for name, path in places.items()}}
    if mistake.make is not None:
        mistake.make(tmp_path, monkeypatch)
    if mistake.python is not None:
        _, message = said(mistake, capsys)
    else:
        for name, value in mistake.variables.items():
            monkeypatch.setenv(name, value.format(**known))
        monkeypatch.setattr("flows.supervisor.subprocess.Popen", forbidden)
        with pytest.raises(SystemExit) as ended:
            cli.app(shlex.split(mistake.words.format(**known)), prog_name="fitcore")
        output, message = capsys.readouterr()
        assert ended.value.code == mistake.code, message
        assert output == ""
    assert mistake.remedy.format(**known) in message
    assert "Traceback" not in message
    assert not (tmp_path / "new" / "results").exists()
    TOLD[mistake.title] = plain(message, tmp_path, places)


def forbidden(*words: Any, **more: Any) -> None:
    raise AssertionError("a process was started")


def plain(message: str, base: Path, places: dict[str, Path]) -> str:
    """A message without what differs between machines."""
    for path, name in ((base, "BASE"), (places["lens"], "BASE/my_lens"), (places["store"], "BASE/results")):
        message = message.replace(str(path), name)
    for text, words in (("['fork', 'lens', 'quick', 'toy']", "['lens', 'quick']"), ("tests.flows.mistakes.", "")):
        message = message.replace(text, words)
    return "\n".join(line for line in message.strip().splitlines() if line.strip() and not line.startswith(("Usage:", "warning:")))


def document() -> str:
    """The page, of what was said."""
    shown = []
    for mistake in MISTAKES:
        words = mistake.words.format(base="BASE", lens="BASE/my_lens", store="BASE/results")
        variables = "".join(f"{name}={value.format(base='BASE')} " for name, value in mistake.variables.items())
        shown.append((mistake.title, (f"$ {variables}fitcore {words}\n" if words else "") + TOLD[mistake.title]))
    shown += [
        ("Ctrl-C, SIGTERM or a closed terminal (exit code 75; a second Ctrl-C in a run: 130)", early.WORDS.decode().strip()),
        ("a wrong password of the Prefect server", password_refused("http://127.0.0.1:4200/api", 401)),
    ]
    parts = [f"## {number}. {title}\n\n```text\n{text}\n```\n" for number, (title, text) in enumerate(shown, 1)]
    return "\n".join([HEAD, *parts, TAIL])


def test_the_document_tells_what_was_said() -> None:
    if set(TOLD) != {mistake.title for mistake in MISTAKES}:
        pytest.skip("only some of the mistakes were made in this process")
    if os.environ.get("FITCORE_WRITE_DOCS"):
        DOCUMENT.write_text(document(), encoding="utf-8")
    assert DOCUMENT.read_text(encoding="utf-8") == document(), "FITCORE_WRITE_DOCS=1 pytest tests/flows/test_mistakes.py writes it anew"


def test_there_are_thirty_and_each_is_another() -> None:
    assert len(MISTAKES) >= 30
    assert len({mistake.title for mistake in MISTAKES}) == len(MISTAKES)
