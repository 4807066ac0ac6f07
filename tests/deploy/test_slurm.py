"""The batch scripts for Slurm, run by stand-ins for `sbatch` and `scontrol` that hold options and requests strictly against the manual."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fitcore import Store

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((ROOT / "deploy" / "slurm").glob("*.sbatch"))
FIT, EXECUTE = ROOT / "deploy" / "slurm" / "fit.sbatch", ROOT / "deploy" / "slurm" / "execute.sbatch"
STAND_INS = Path(__file__).parent / "slurm"
ODD = 'it\'s "a" lens; $HOME *'
MINUTES = 900.0
# Told to end at once, it ends with the code that is given; then, called again, with 0.
TOLD = """#!/bin/bash
printf '%s\\0' "$@" >> "$STANDIN_FOLDER/words"
env > "$STANDIN_FOLDER/environment"
[ -e "$STANDIN_FOLDER/once" ] && exit 0
{once}
trap 'exit {code}' TERM
touch "$STANDIN_TELL"
while :; do sleep 0.05; done
"""


@dataclass
class Slurm:
    """`sbatch` of the stand-in, with programs in the place of those that the scripts call."""

    folder: Path
    environment: dict[str, str]

    @property
    def tell(self) -> Path:
        return self.folder / "tell"

    def put(self, name: str, text: str) -> None:
        program = self.folder / "bin" / name
        program.write_text(text)
        program.chmod(0o755)

    def start(self, *words: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(STAND_INS / "sbatch"), *map(str, words)],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __call__(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        process = self.start(*words)
        try:
            output, errors = process.communicate(timeout=MINUTES)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return subprocess.CompletedProcess(words, process.returncode, output, errors)

    def words(self) -> list[str]:
        return (self.folder / "words").read_text().split("\0")[:-1]

    def log(self) -> str:
        return "".join(path.read_text() for path in sorted(self.folder.glob("*.log")))


@pytest.fixture
def slurm(fitcore: Any, tmp_path: Path) -> Iterator[Slurm]:
    folder = tmp_path / "slurm"
    (folder / "bin").mkdir(parents=True)
    (folder / "tmp").mkdir()
    environment = {
        **fitcore.environment,
        "PATH": f"{folder / 'bin'}{os.pathsep}{STAND_INS}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{fitcore.environment['PYTHONPATH']}",
        "TMPDIR": str(folder / "tmp"),
        "STANDIN_FOLDER": str(folder),
        "STANDIN_TELL": str(folder / "tell"),
        "FITCORE_TEST_MARK": str(folder),
    }
    del environment["FITCORE_CACHE"], environment["FITCORE_THREADS"]
    yield Slurm(folder, environment)
    for pid in fitcore.processes_of(str(folder)):
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def lenses(slurm: Slurm) -> Path:
    """A list of two datasets."""
    path = slurm.folder / "lenses of mine.txt"
    path.write_text(f"/data/plain\n/data/{ODD}\n")
    return path


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_good_bash(script: Path) -> None:
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    found = subprocess.run(["shellcheck", script], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("--requeue", "--requeu", "unrecognized option '--requeu'"),
        ("B:TERM@120", "TERM:B@120", "invalid --signal specification 'TERM:B@120'"),
        ("=append", "=apend", "invalid --open-mode specification 'apend'"),
        ("04:00:00", "4h", "invalid --time specification '4h'"),
    ],
)
def test_a_typo_in_an_option_is_caught(slurm: Slurm, script: Path, old: str, new: str, told: str) -> None:
    text = script.read_text()
    assert old in text
    broken = slurm.folder / "broken.sbatch"
    broken.write_text(text.replace(old, new))
    answer = slurm(broken)
    assert (answer.returncode, answer.stderr) == (1, f"sbatch: error: {told}\n")


def test_each_task_has_its_dataset_whatever_its_name(slurm: Slurm, lenses: Path) -> None:
    slurm.put("fitcore", TOLD.format(code=75, once=""))
    (slurm.folder / "once").touch()
    answer = slurm("--array=1-2", FIT, lenses, "/my results", "--pipeline", "lens", "--set", "a.b=1 2")
    assert answer.returncode == 0, answer.stderr + slurm.log()
    options = ["run", "--pipeline", "lens", "--set", "a.b=1 2", "--store", "/my results", "--"]
    assert slurm.words() == [*options, "/data/plain", *options, f"/data/{ODD}"]
    environment = dict(line.split("=", 1) for line in (slurm.folder / "environment").read_text().splitlines() if "=" in line)
    assert environment["FITCORE_THREADS"] == "2"
    assert environment["FITCORE_CACHE"] == str(slurm.folder / "tmp" / f"fitcore-{os.getuid()}")
    assert (slurm.folder / "tmp" / f"fitcore-{os.getuid()}").stat().st_mode & 0o777 == 0o700


def test_a_cache_that_another_user_may_have_made_is_refused(slurm: Slurm, lenses: Path) -> None:
    slurm.put("fitcore", TOLD.format(code=75, once=""))
    (slurm.folder / "tmp" / f"fitcore-{os.getuid()}").symlink_to(slurm.folder)
    assert slurm("--array=1", FIT, lenses, "store").returncode == 2
    assert "belongs to somebody else" in slurm.log()
    assert not (slurm.folder / "words").exists()


def test_a_task_that_is_interrupted_is_queued_again(slurm: Slurm, lenses: Path) -> None:
    slurm.put("fitcore", TOLD.format(code=75, once='touch "$STANDIN_FOLDER/once"'))
    answer = slurm("--array=1-2", FIT, lenses, "store")
    assert answer.returncode == 0, answer.stderr + slurm.log()
    assert answer.stdout.splitlines() == ["7001_1 ended with 75, queued again", "7001_1 ended with 0, over", "7001_2 ended with 0, over"]


def test_not_for_ever(slurm: Slurm, lenses: Path) -> None:
    slurm.put("fitcore", TOLD.format(code=75, once=""))
    slurm.environment["FITCORE_MOST_RESTARTS"] = "2"
    answer = slurm("--array=1", FIT, lenses, "store")
    assert answer.returncode == 75
    assert [line.split()[-2:] for line in answer.stdout.splitlines()] == [["queued", "again"], ["queued", "again"], ["75,", "over"]]
    assert "started again 2 times, which is all that FITCORE_MOST_RESTARTS allows" in slurm.log()


@pytest.mark.parametrize("code", [1, 2, 137])
def test_a_failure_is_not_tried_again(slurm: Slurm, lenses: Path, code: int) -> None:
    slurm.put("fitcore", f"#!/bin/bash\nexit {code}\n")
    answer = slurm("--array=2", FIT, lenses, "store")
    assert answer.stdout == f"7001_2 ended with {code}, over\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--array=3", FIT, "lenses of mine.txt", "store"), "lenses of mine.txt has no line 3: give --array=1-N"),
        ((FIT, "lenses of mine.txt", "store"), "usage: sbatch --array=1-N fit.sbatch LIST STORE"),
        (("--array=1", FIT, "lenses of mine.txt"), "usage: sbatch --array=1-N fit.sbatch LIST STORE"),
        (("--array=1", FIT, "absent.txt", "store"), "absent.txt"),
        ((EXECUTE,), "usage: sbatch execute.sbatch ID-OF-A-FLOW-RUN"),
    ],
)
def test_wrong_usage(slurm: Slurm, lenses: Path, words: tuple[str | Path, ...], told: str) -> None:
    slurm.put("fitcore", TOLD.format(code=75, once=""))
    answer = slurm(*words)
    assert answer.returncode == 2
    assert told in slurm.log()
    assert not (slurm.folder / "words").exists()


def test_a_run_of_a_deployment_that_is_told_to_end_is_executed_again(slurm: Slurm) -> None:
    slurm.put("prefect", TOLD.format(code=0, once='touch "$STANDIN_FOLDER/once"'))
    answer = slurm(EXECUTE, "7f3c")
    assert answer.stdout.splitlines() == ["7001 ended with 0, queued again", "7001 ended with 0, over"], slurm.log()
    assert slurm.words() == ["flow-run", "execute", "7f3c"] * 2
    assert "PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR=reschedule\n" in (slurm.folder / "environment").read_text()


def test_a_run_of_a_deployment_not_for_ever(slurm: Slurm) -> None:
    slurm.put("prefect", TOLD.format(code=0, once=""))
    slurm.environment["FITCORE_MOST_RESTARTS"] = "1"
    answer = slurm(EXECUTE, "7f3c")
    assert answer.stdout.splitlines() == ["7001 ended with 0, queued again", "7001 ended with 75, over"]


def calls_so_far(store: Path, digests: list[str]) -> int:
    return sum(attempt.n_calls for digest in digests for attempt in Store(store).attempts(digest)) if store.is_dir() else 0


@pytest.mark.slow
def test_a_fit_that_is_told_to_end_goes_on_to_the_same_bytes(slurm: Slurm, fitcore: Any, finished: Any) -> None:
    dataset, store = slurm.folder / ODD, slurm.folder / "store"
    dataset.mkdir()
    points = json.loads((finished[0] / "points.json").read_text())
    (dataset / "points.json").write_text(json.dumps({**points, "pause": 0.01}))
    (slurm.folder / "list").write_text(f"{dataset}\n")
    slurm.put("fitcore", f'#!/bin/bash\nexec "{sys.executable}" -m flows.cli "$@"\n')
    digests = [stage["digest"] for stage in json.loads(finished[2].stdout)["stages"]]
    process = slurm.start("--array=1", "--cpus-per-task=1", FIT, "list", store, "--pipeline", "toy", "--json")
    fitcore.wait_for(lambda: calls_so_far(store, digests) >= 200 or process.poll() is not None, "200 calls", MINUTES)
    slurm.tell.touch()
    output, errors = process.communicate(timeout=MINUTES)
    assert output.splitlines() == ["7001_1 ended with 75, queued again", "7001_1 ended with 0, over"], errors + slurm.log()
    for digest in digests:
        assert Store(store).read(digest).path.read_bytes() == Store(finished[1]).read(digest).path.read_bytes()
    rows = [json.loads(line) for line in slurm.log().splitlines() if line.startswith("{")]
    assert [row["status"] for row in rows] == ["interrupted", "done"]
    assert [attempt.ended for attempt in Store(store).attempts(digests[0])] == ["interrupted", "done"]
    assert not [finding for finding in Store(store).verify() if finding.is_damage]
