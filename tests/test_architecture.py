"""The rules of the house, read from the source: who imports whom, who touches files, who compiles, who reads the environment."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("fitcore", "pipelines", "flows", "deploy")
RANK = {name: rank for rank, name in enumerate(PACKAGES)}
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
MAY_WRITE = (
    "fitcore/store/",
    "pipelines/lens/simulate",
    "pipelines/lens/report",
    "pipelines/lens/export_fits",  # FITS files in memory; `flows.exporting` puts them on the disk
    "flows/settings.py",
    "flows/server.py",
    "flows/lasting.py",
)
MAY_READ_ENVIRONMENT = ("flows/settings.py", "fitcore/precision.py")  # the second sets JAX's own variable
MAY_JIT = ("fitcore/evaluation.py",)
MAY_IMPORT_PREFECT = ("flows/", "deploy/")
WRITERS = {"write_text", "write_bytes", "mkdir", "unlink", "rename", "replace_file", "makedirs", "savez", "writeto", "mkdtemp"}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.AST) -> Iterator[tuple[str, ast.stmt]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, node


@pytest.fixture(params=SOURCES, ids=name_of)
def source(request: pytest.FixtureRequest) -> tuple[str, ast.Module]:
    return name_of(request.param), tree_of(request.param)


def test_there_are_sources() -> None:
    assert len(SOURCES) > 30


def test_imports_point_one_way(source: tuple[str, ast.Module]) -> None:
    name, tree = source
    own = RANK[name.split("/")[0]]
    for module, _ in imported(tree):
        top = module.split(".")[0]
        if top in RANK:
            assert RANK[top] <= own, f"{name} imports {module}: imports point deploy -> flows -> pipelines -> fitcore"


def test_prefect_and_jax_stay_where_they_belong(source: tuple[str, ast.Module]) -> None:
    name, tree = source
    for module, _ in imported(tree):
        top = module.split(".")[0]
        if top == "prefect":
            assert name.startswith(MAY_IMPORT_PREFECT), f"{name} imports prefect"
        if top in ("jax", "jaxlib"):
            assert not name.startswith("flows/"), f"{name} imports jax"


def test_no_import_inside_a_function(source: tuple[str, ast.Module]) -> None:
    name, tree = source
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inside = [ast.unparse(item) for item in ast.walk(node) if isinstance(item, ast.Import | ast.ImportFrom)]
            assert not inside, f"{name}: {inside} inside {node.name}"


def test_only_the_settings_read_the_environment(source: tuple[str, ast.Module]) -> None:
    name, tree = source
    if name in MAY_READ_ENVIRONMENT:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "environb"):
            raise AssertionError(f"{name} line {node.lineno} reads the environment")


def test_only_the_evaluation_compiles(source: tuple[str, ast.Module]) -> None:
    name, tree = source
    if name in MAY_JIT:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in ("jit", "pmap", "pjit"):
            raise AssertionError(f"{name} line {node.lineno} compiles; use fitcore.evaluation.compiled")


def test_only_the_writers_write(source: tuple[str, ast.Module]) -> None:
    name, tree = source
    if name.startswith(MAY_WRITE):
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if node.args and ast.unparse(node.args[0]) == "buffer":  # bytes in memory
            continue
        if isinstance(node.func, ast.Attribute) and node.func.attr in WRITERS:
            raise AssertionError(f"{name} line {node.lineno} writes: {ast.unparse(node)[:80]}")
        if isinstance(node.func, ast.Name) and node.func.id == "open":
            modes = [a.value for a in node.args[1:2] if isinstance(a, ast.Constant)]
            modes += [k.value.value for k in node.keywords if k.arg == "mode" and isinstance(k.value, ast.Constant)]
            assert not any(set(str(mode)) & set("wax+") for mode in modes), f"{name} line {node.lineno} opens a file for writing"


def test_no_global_random_generator(source: tuple[str, ast.Module]) -> None:
    name, tree = source
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("np.random", "numpy.random"):
            allowed = ("default_rng", "Generator", "SeedSequence", "Philox", "PCG64", "BitGenerator", "RandomState")
            assert node.attr in allowed, f"{name} line {node.lineno} uses the global generator: {ast.unparse(node)}"


def test_no_file_is_too_long() -> None:
    long = {name_of(path): n for path in SOURCES if (n := len(path.read_text(encoding="utf-8").splitlines())) > 400}
    assert not long, f"files over 400 lines: {long}"
