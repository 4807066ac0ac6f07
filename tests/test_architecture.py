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
    "flows/settings.py",
    "flows/server.py",
)
MAY_READ_ENVIRONMENT = ("flows/settings.py",)
MAY_JIT = ("fitcore/evaluation.py",)
MAY_IMPORT_PREFECT = ("flows/",)
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


UNPICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle"}
RUNNERS = {"eval", "exec", "compile", "__import__", "execfile", "input", "breakpoint"}
UNSAFE = {
    "builtins.eval",
    "builtins.exec",
    "os.execv",
    "os.execve",
    "os.execvp",
    "os.popen",
    "os.spawnl",
    "os.spawnv",
    "os.system",
    "runpy.run_path",
    "subprocess.getoutput",
    "subprocess.getstatusoutput",
    "yaml.full_load",
    "yaml.full_load_all",
    "yaml.load",
    "yaml.load_all",
    "yaml.unsafe_load",
    "yaml.unsafe_load_all",
}
MAY_UNPICKLE = {
    "fitcore/fit.py": {"dill.dumps"},
    "fitcore/hooks.py": {"dill.loads"},  # on trust only, and after the signature; see `Store.read_internal`
    "fitcore/testing.py": {"pickle.loads", "pickle.dumps"},  # an examiner reads back what it wrote a moment before
}
MAY_IMPORT_BY_NAME = {"fitcore/handover.py"}  # names of optional packages that are written in that file


def unsafe_calls(name: str, tree: ast.Module) -> list[str]:
    """Every call that could run what was read, with its line."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in UNPICKLERS | {"runpy"}:
            names = {alias.name for alias in node.names} & {"load", "loads", "Unpickler", "run_path", "run_module"}
            found += [f"line {node.lineno}: from {node.module} import {', '.join(sorted(names))}"] if names else []
        if not isinstance(node, ast.Call):
            continue
        call = ast.unparse(node.func)
        keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        is_allowed = call in MAY_UNPICKLE.get(name, set())
        is_unsafe = (
            call in RUNNERS | UNSAFE
            or (call.split(".")[0] in UNPICKLERS and call.rpartition(".")[2] in ("load", "loads", "Unpickler", "open"))
            or call.rpartition(".")[2] in ("read_pickle", "unsafe_load", "create_subprocess_shell")
            or (call in ("np.load", "numpy.load") and keywords.get("allow_pickle") != "False")
            or keywords.get("allow_pickle") == "True"
            or (call.split(".")[0] in ("subprocess", "asyncio", "Popen", "run") and keywords.get("shell", "False") != "False")
            or (
                call in ("importlib.import_module", "import_module", "runpy.run_module")
                and name not in MAY_IMPORT_BY_NAME
                and not is_of_ours(node)
            )
            or (call in ("h5py.File", "File") and not is_of_bytes(node))
        )
        if is_unsafe and not is_allowed:
            found.append(f"line {node.lineno}: {ast.unparse(node)[:80]}")
    return found


def is_of_ours(call: ast.Call) -> bool:
    """An import by a name that is written in the source, or that is of a module of ours whatever its last part is."""
    name = call.args[0]
    if isinstance(name, ast.JoinedStr):
        name = name.values[0]
        return isinstance(name, ast.Constant) and str(name.value).startswith(tuple(f"{package}." for package in PACKAGES))
    return isinstance(name, ast.Constant)


def is_of_bytes(call: ast.Call) -> bool:
    """`h5py.File` on bytes in memory: a buffer of ours, or an image of bytes that were read and verified."""
    return bool(call.args) and ast.unparse(call.args[0]).startswith(("buffer", "h5py.h5f.open_file_image("))


def test_nothing_runs_what_it_reads(source: tuple[str, ast.Module]) -> None:
    name, tree = source
    assert unsafe_calls(name, tree) == [], name


@pytest.mark.parametrize(
    "line",
    [
        "pickle.load(f)",
        "pickle.loads(b)",
        "pickle.Unpickler(f)",
        "dill.load(f)",
        "dill.loads(b)",
        "cloudpickle.loads(b)",
        "joblib.load(p)",
        "shelve.open(p)",
        "marshal.loads(b)",
        "yaml.load(t)",
        "yaml.load(t, Loader=yaml.SafeLoader)",
        "yaml.unsafe_load(t)",
        "np.load(p)",
        "np.load(p, allow_pickle=True)",
        "np.load(p, allow_pickle=flag)",
        "numpy.load(p)",
        "eval(t)",
        "exec(t)",
        "compile(t, '', 'exec')",
        "importlib.import_module(name)",
        "__import__(name)",
        "os.system(c)",
        "os.popen(c)",
        "subprocess.run(c, shell=True)",
        "subprocess.Popen(c, shell=flag)",
        "h5py.File(path)",
        "h5py.File(path, 'r', locking=False)",
        "h5py.File(str(p))",
        "pd.read_pickle(p)",
        "from pickle import loads",
        "import_module(name)",
        "importlib.import_module(f'{x}.fitcore.y')",
        "runpy.run_path(p)",
        "runpy.run_module(name)",
        "subprocess.getoutput(c)",
    ],
)
def test_what_would_run_something_is_found(line: str) -> None:
    assert unsafe_calls("flows/x.py", ast.parse(line)) != []


@pytest.mark.parametrize(
    "line",
    [
        "np.load(buffer, allow_pickle=False)",
        "h5py.File(buffer, 'w')",
        "h5py.File(h5py.h5f.open_file_image(data))",
        "yaml.safe_load(t)",
        "subprocess.run(['a', 'b'])",
        "json.loads(t)",
        "re.compile(t)",
        "evaluation.compiled(f)",
        "pickle.dumps(x)",
        "importlib.import_module('dynesty')",
        "importlib.import_module(f'fitcore.search.{name}')",
        "Draws(shell=3)",
    ],
)
def test_what_is_harmless_passes(line: str) -> None:
    assert unsafe_calls("flows/x.py", ast.parse(line)) == []
