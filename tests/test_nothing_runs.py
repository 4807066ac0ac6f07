"""Nothing that is read is run: no default path unpickles, evaluates, imports by a name from a file, or starts a shell.

The source is read with the names that imports give. What may run something may not even be mentioned, so that another name for it, or
handing it to `map`, does not hide it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("fitcore", "pipelines", "flows", "deploy")
SOURCES = sorted(path.relative_to(ROOT).as_posix() for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

UNPICKLERS = {
    "pickle",
    "_pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "joblib",
    "shelve",
    "marshal",
    "jsonpickle",
    "copyreg",
    "sklearn.externals",
}
# Modules that are for running code, or for finding it by a name; none is imported but where it is said below.
RUNNING_MODULES = {
    "builtins",
    "code",
    "codeop",
    "imp",
    "importlib.machinery",
    "importlib.util",
    "pdb",
    "pty",
    "pydoc",
    "runpy",
    "timeit",
    "zipimport",
}
RUNNERS = {"eval", "exec", "compile", "__import__", "__builtins__", "__loader__", "execfile", "input", "breakpoint", "globals"}
# Ends of names that are looked for whatever they hang on.
UNSAFE_ENDS = {
    "read_pickle",
    "fnunpickle",
    "unsafe_load",
    "create_subprocess_shell",
    "deserialize_and_load",
    "resolve_name",
    "spec_from_file_location",
    "SourceFileLoader",
    "EntryPoint",
    "LoadLibrary",
    "Unpickler",
    "sympify",
}
UNSAFE = re.compile(
    r"os\.(system|popen|exec\w+|spawn\w+|posix_spawn\w*)|subprocess\.get\w*output|yaml\.(?!safe_load$|safe_dump$|SafeLoader$|YAMLError$|AliasEvent$)\w+"
    r"|sys\.modules|logging\.config\..*|multiprocessing\.(connection|managers).*|numpy\.(lib\.npyio|lib\.format\.read_array).*"
)
SHELLS = {"sh", "bash", "dash", "zsh", "cmd", "cmd.exe", "powershell"}
MAY_ALL_THE_SAME = {
    "fitcore/fitting.py": {"dill", "dill.dumps"},
    "fitcore/hooks.py": {"dill", "dill.loads"},  # on trust only, and after the signature; see `Store.read_internal`
    "fitcore/precision.py": {"sys.modules"},  # asks whether JAX is there
    "fitcore/testing.py": {"pickle", "pickle.loads", "pickle.dumps"},  # an examiner reads back what it wrote a moment before
    "flows/deploying.py": {"os.execve"},  # this interpreter with a module of ours, and a path as one word of a list: no shell
    "flows/worker_start.py": {"runpy"},  # a module of ours, by a name that is written there
}
MAY_IMPORT_BY_NAME = {"fitcore/handover.py"}  # names of optional packages that are written in that file


def aliases(tree: ast.Module) -> dict[str, str]:
    """What the names that are imported, or given to a module or function anew, stand for."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {
                alias.asname or alias.name.split(".")[0]: alias.name if alias.asname else alias.name.split(".")[0] for alias in node.names
            }
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and node.value.id in found:
            found |= {target.id: found[node.value.id] for target in node.targets if isinstance(target, ast.Name)}
    return found


def full_name(node: ast.AST, known: Mapping[str, str]) -> str:
    """The dotted name that an expression stands for; empty for anything else."""
    if isinstance(node, ast.Name):
        return known.get(node.id, {"np": "numpy", "pd": "pandas"}.get(node.id, node.id))
    if isinstance(node, ast.Attribute):
        above = full_name(node.value, known)
        return f"{above}.{node.attr}" if above else f"?.{node.attr}"
    return ""


def is_within(name: str, modules: set[str]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def unsafe_calls(name: str, tree: ast.Module) -> list[str]:
    """Everything that could run what was read, with its line: imports, names that are only mentioned, and calls."""
    known, allowed = aliases(tree), MAY_ALL_THE_SAME.get(name, set())
    found = []
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Name | ast.Attribute):
            names = [full_name(node, known)]
            if isinstance(node, ast.Attribute) and node.attr == "__dict__" and ast.unparse(node.value) in imported_modules(known):
                names.append("__builtins__")  # what the module holds, by names that may be computed
        is_import = isinstance(node, ast.Import | ast.ImportFrom)
        is_unsafe = any(is_unsafe_name(text, is_import=is_import) and text not in allowed for text in names)
        if is_unsafe or (isinstance(node, ast.Call) and is_unsafe_call(name, node, known)):
            found.append(f"line {node.lineno}: {ast.unparse(node)[:80]}")  # type: ignore[attr-defined]
    return found


def is_unsafe_name(text: str, *, is_import: bool) -> bool:
    """Whether a name may not even be mentioned; to write a pickle is no danger."""
    end = text.rpartition(".")[2]
    if is_within(text, UNPICKLERS):
        return is_import or (end not in ("dumps", "dump", "HIGHEST_PROTOCOL") and "." in text)
    return (
        text in RUNNERS
        or end in UNSAFE_ENDS
        or (is_within(text, RUNNING_MODULES) and (is_import or "." in text) and text != "runpy.run_module")
        or bool(UNSAFE.fullmatch(text))
    )


def is_unsafe_call(name: str, node: ast.Call, known: Mapping[str, str]) -> bool:
    """Whether a call is one that runs what it is given, by its arguments."""
    call = full_name(node.func, known)
    keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    first = node.args[0] if node.args else None
    if call in ("getattr", "vars") and first is not None:  # by a name that is computed, of a module: anything may come out
        is_module = isinstance(first, ast.Name) and first.id in imported_modules(known)
        return is_module and not (len(node.args) > 1 and isinstance(node.args[1], ast.Constant))
    if call in ("importlib.import_module", "import_module", "runpy.run_module"):
        return name not in MAY_IMPORT_BY_NAME and not is_of_ours(node)
    if is_within(call, {"subprocess", "asyncio"}) or call in ("Popen", "run"):
        words = first.elts if isinstance(first, ast.List | ast.Tuple) else []
        program = words[0].value if words and isinstance(words[0], ast.Constant) else ""
        is_shell = str(program).rpartition("/")[2] in SHELLS or keywords.get("shell", "False") != "False"
        return is_shell or (call.startswith("subprocess.") and isinstance(first, ast.Constant | ast.JoinedStr | ast.BinOp))
    return (
        (call == "numpy.load" and keywords.get("allow_pickle") != "False")
        or keywords.get("allow_pickle", "False") != "False"
        or (call.startswith("ctypes.") and call.endswith("DLL") and not (isinstance(first, ast.Constant) and first.value is None))
        or (call in ("h5py.File", "File", "h5py._hl.files.File") and not is_of_bytes(node))
    )


def imported_modules(known: Mapping[str, str]) -> set[str]:
    """Local names of modules of others; by those of ours nothing foreign is reached."""
    return {local for local, whole in known.items() if whole.split(".")[0] not in PACKAGES and local[:1].islower()}


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


@pytest.mark.parametrize("name", SOURCES)
def test_nothing_runs_what_it_reads(name: str) -> None:
    assert unsafe_calls(name, ast.parse((ROOT / name).read_text(encoding="utf-8"))) == []


def test_there_are_sources() -> None:
    assert len(SOURCES) > 100


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
        "import pickle as p; p.loads(b)",
        "import pickle",
        "from dill import load",
        "from dill import load as read; read(f)",
        "import dill as d; f = d.loads",
        "from numpy import load; load(p)",
        "from numpy import load as read; read(p, allow_pickle=True)",
        "import numpy; numpy.load(p, allow_pickle=1)",
        "f = eval",
        "map(eval, texts)",
        "__builtins__['eval'](t)",
        "globals()['ev' + 'al'](t)",
        "import builtins; builtins.exec(t)",
        "from builtins import eval as f",
        "import os; getattr(os, name)(c)",
        "import pickle; getattr(pickle, 'loads')(b)",
        "import importlib as i; i.import_module(name)",
        "from importlib import import_module as find; find(open(p).read())",
        "import importlib.util; importlib.util.spec_from_file_location(n, p)",
        "from importlib.machinery import SourceFileLoader",
        "from importlib.metadata import EntryPoint; EntryPoint(n, v, g).load()",
        "import pkgutil; pkgutil.resolve_name(n)",
        "import pydoc; pydoc.locate(n)",
        "import sys; sys.modules[n]",
        "from os import system; system(c)",
        "from os import system as s; s(c)",
        "import os as o; o.popen(c)",
        "os.execlp('sh', c)",
        "os.posix_spawn(p, a, e)",
        "from subprocess import run; run(c, shell=True)",
        "import subprocess as s; s.run(['sh', '-c', c])",
        "subprocess.run(('/bin/bash', '-c', c))",
        "subprocess.run(f'x {c}')",
        "subprocess.check_output('x ' + c)",
        "import asyncio; asyncio.create_subprocess_shell(c)",
        "from yaml import load, Loader; load(t, Loader)",
        "yaml.load_all(t, yaml.FullLoader)",
        "import yaml as y; y.unsafe_load(t)",
        "class L(yaml.UnsafeLoader): pass",
        "import yaml.constructor as c; c.FullConstructor()",
        "import joblib",
        "import sklearn; from joblib import load",
        "from jax.experimental.serialize_executable import deserialize_and_load",
        "from astropy.io.misc import fnunpickle",
        "numpy.lib.format.read_array(f)",
        "multiprocessing.connection.Client(a)",
        "logging.config.fileConfig(p)",
        "from h5py import File; File(p)",
        "import h5py as h; h.File(p)",
        "ctypes.CDLL(p)",
        "import marshal",
        "import os; vars(os)['sys' + 'tem'](c)",
        "import os; os.__dict__['sys' + 'tem'](c)",
        "import os; m = os; m.system(c)",
        "import yaml; y = yaml; y.load(t)",
        "import shelve as s",
        "import code",
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
        "import subprocess; subprocess.run([sys.executable, '-m', 'x'])",
        "import yaml\nclass L(yaml.SafeLoader): pass",
        "import importlib.metadata",
        "from importlib.metadata import entry_points",
        "import os; getattr(os, 'O_NOFOLLOW', 0)",
        "getattr(prior, method)(u)",
        "ctypes.CDLL(None)",
        "import concurrent.futures",
        "importlib.import_module('dynesty')",
        "importlib.import_module(f'fitcore.search.{name}')",
        "Draws(shell=3)",
    ],
)
def test_what_is_harmless_passes(line: str) -> None:
    assert unsafe_calls("flows/x.py", ast.parse(line)) == []
