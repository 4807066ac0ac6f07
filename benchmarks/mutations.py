"""Do the tests notice? Makes one error after the other in a copy of the sources, and runs the tests that must fail.

    python -m benchmarks.mutations                      all; kept in mutations.json, twelve minutes or so on one core
    python -m benchmarks.mutations latent evidence      those whose file or description has one of the words; the others' rows are kept
    python -m benchmarks.mutations --list               only names them

The list is in `benchmarks.mutated`. A mutation is "caught" when its tests fail, "survived" when they pass, "timed out" when they do not
end.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.mutated import MUTATIONS, Mutation

ROOT = Path(__file__).resolve().parent.parent
KEPT = Path(__file__).with_suffix(".json")
FOLDERS = ("fitcore", "tests", "docs", "benchmarks", "pyproject.toml", "README.md")


def copied(folder: Path) -> None:
    """The tracked files as they are in the working tree, those not yet committed included."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *FOLDERS],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target)


def command(folder: Path, *arguments: str) -> tuple[list[str], dict[str, Any]]:
    """A command of this Python in which the copy is what is imported."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return [sys.executable, *arguments], {"cwd": folder, "env": environment, "capture_output": True, "text": True}


def tested(folder: Path, tests: str, seconds: float) -> tuple[str, str]:
    """The outcome of some tests in the copy: "caught", "survived" or "timed out"; and the first test that failed."""
    marks = ("-x", "-q", "-p", "no:cacheprovider", "-m", "not slow", "--tb=no", "--no-header")
    line, settings = command(folder, "-m", "pytest", *tests.split(), *marks)
    try:
        done = subprocess.run(line, timeout=seconds, check=False, **settings)
    except subprocess.TimeoutExpired:
        return "timed out", ""
    if done.returncode == 0:
        return "survived", ""
    if done.returncode not in (1, 2):
        raise SystemExit(f"pytest {tests} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    failed = [row.split(" - ")[0] for row in done.stdout.splitlines() if row.startswith(("FAILED", "ERROR"))]
    return "caught", failed[0].split("/")[-1] if failed else done.stdout[-200:]


def mutated_text(mutation: Mutation, root: Path) -> str:
    """The file's text with the error in it; a `ValueError` where the old text does not occur exactly once."""
    text = (root / mutation.file).read_text(encoding="utf-8")
    if (n := text.count(mutation.old)) != 1:
        raise ValueError(f"{mutation.file}: {mutation.old!r} occurs {n} times; it must occur once. Mend benchmarks/mutated.")
    return text.replace(mutation.old, mutation.new)


def checked_copy(folder: Path, mutations: list[Mutation]) -> None:
    """A copy that is the one imported, and whose tests pass before anything is changed."""
    copied(folder)
    line, settings = command(folder, "-c", "import fitcore; print(fitcore.__file__)")
    seen = Path(subprocess.run(line, check=True, **settings).stdout.strip())
    if not seen.is_relative_to(folder):
        raise SystemExit(f"{seen} is imported and not the copy in {folder}")
    every = sorted({name for mutation in mutations for name in mutation.tests.split()})
    outcome, failed = tested(folder, " ".join(every), 1800.0)
    if outcome != "survived":
        raise SystemExit(f"without any mutation the tests do not pass: {outcome} {failed}")


def row_of(folder: Path, mutation: Mutation, seconds: float) -> dict[str, Any]:
    """Make the error, test, and undo it."""
    place = folder / mutation.file
    whole = place.read_text(encoding="utf-8")
    start = time.perf_counter()
    try:
        place.write_text(mutated_text(mutation, folder), encoding="utf-8")
        outcome, failed = tested(folder, mutation.tests, seconds)
    finally:
        place.write_text(whole, encoding="utf-8")
    row = {
        "file": mutation.file,
        "breaks": mutation.breaks,
        "outcome": outcome,
        "by": failed,
        "seconds": round(time.perf_counter() - start, 1),
    }
    return {**row, **({"equivalent": mutation.equivalent} if mutation.equivalent else {})}


def kept_rows() -> dict[tuple[str, str], dict[str, Any]]:
    """The rows of an earlier run, by file and description."""
    rows = json.loads(KEPT.read_text(encoding="utf-8"))["mutations"] if KEPT.exists() else []
    return {(row["file"], row["breaks"]): row for row in rows}


def main() -> None:
    """Run and print a row each; keep the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--seconds", type=float, default=240.0, help="time limit of one mutation's tests")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    chosen = [m for m in MUTATIONS if not options.words or any(word in f"{m.file} {m.breaks}" for word in options.words)]
    if options.list:
        print("\n".join(f"{m.file}: {m.breaks}" for m in chosen))
        return
    rows = kept_rows()
    with tempfile.TemporaryDirectory() as folder:
        checked_copy(Path(folder), chosen)
        for mutation in chosen:
            row = row_of(Path(folder), mutation, options.seconds)
            rows[mutation.file, mutation.breaks] = row
            print(f"{row['outcome']:9} {row['seconds']:6.1f} s  {row['file']}: {row['breaks']}  [{row['by']}]", flush=True)
            keep([rows[key] for m in MUTATIONS if (key := (m.file, m.breaks)) in rows])


def keep(rows: list[dict[str, Any]]) -> None:
    """Write the table, with what it was made by."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    counts = {outcome: sum(row["outcome"] == outcome for row in rows) for outcome in ("caught", "survived", "timed out")}
    found = {
        "command": "python -m benchmarks.mutations",
        "commit": commit,
        "python": platform.python_version(),
        **counts,
        "mutations": rows,
    }
    KEPT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
