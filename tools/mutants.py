"""`python tools/mutants.py balancebot/domain/silence.py tests/domain/test_silence.py ...`: do tests notice small
faults?

Makes one fault at a time in a copy of the package (a comparison, an operator, a number, a condition, a returned value),
runs the tests against the copy, and prints each fault that no test noticed. Exits with 1 below 85 %. A folder stands for
all its files: `balancebot/forecast tests/forecast --every 16` tries a sample of their faults, `--first 7` another one. The
tests run in the given order, up to the first that notices the fault.
"""

import argparse
import ast
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

_WANTED = 0.85
_PATIENCE = 5
"""Tests that need this many times the CPU of tests without any fault have noticed one: it is in an endless loop."""
_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
}  # fmt: skip
_STEADY = "steady"
"""The module, written beside the tests, that makes them independent of chance and of how busy the machine is."""


def breakable(source: str) -> list[int]:
    """Return the numbers of the nodes that a fault can be put into."""
    tree = ast.parse(source)
    declarations = {id(node) for node in _declarations(tree)}
    return [
        number
        for number, node in enumerate(list(ast.walk(tree)))
        if id(node) not in declarations and _break(node)
    ]


def fault(source: str, number: int) -> tuple[int, str, str]:
    """Return the line of the fault in one node, its description, and the source with the fault."""
    tree = ast.parse(source)
    node = list(ast.walk(tree))[number]
    assert isinstance(node, ast.expr)
    before = ast.unparse(node)
    _break(node)
    return node.lineno, f"{before} -> {ast.unparse(node)}", ast.unparse(tree)


def _declarations(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of annotations and decorators, where no test can notice a fault."""
    for parent in ast.walk(tree):
        for declared in (
            getattr(parent, "annotation", None),
            getattr(parent, "returns", None),
            *getattr(parent, "decorator_list", ()),
        ):
            if declared is not None:
                yield from ast.walk(declared)


def _break(node: ast.AST) -> bool:
    """Put a fault into a node; return whether that is possible."""
    match node:
        case ast.Compare(ops=[first, *_]) if type(first) in _COMPARISONS:
            node.ops[0] = _COMPARISONS[type(first)]()
        case ast.BinOp(op=operator) if type(operator) in _OPERATORS:
            node.op = _OPERATORS[type(operator)]()
        case ast.BoolOp():
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        case ast.UnaryOp(op=ast.Not()):
            node.op = ast.UAdd()
        case ast.Constant(value=bool() as value):
            node.value = not value
        case ast.Constant(value=int() | float() as value):
            node.value = value + 1
        case ast.IfExp():
            node.body, node.orelse = node.orelse, node.body
        case _:
            return False
    return True


def main() -> int:
    """Try every fault of one file or folder, or a share of them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("path", type=Path)
    parser.add_argument("tests", nargs="+")
    parser.add_argument("--every", type=int, default=1, help="try each n-th fault only")
    parser.add_argument("--first", type=int, default=0, help="the first fault of these")
    options = parser.parse_args()
    files = sorted(options.path.glob("*.py")) if options.path.is_dir() else [options.path]
    sources = {file: file.read_text() for file in files}
    tried = [(file, number) for file, source in sources.items() for number in breakable(source)]
    tried = tried[options.first :: options.every]
    survivors = 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        for name in ("balancebot", "tests", "templates", "migrations"):
            shutil.copytree(name, Path(folder, name), ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy("pyproject.toml", folder)
        Path(folder, f"{_STEADY}.py").write_text(
            'from hypothesis import settings\n\nsettings.register_profile("steady", deadline=None, derandomize=True)\n'
            'settings.load_profile("steady")\n'
        )
        seconds = _cpu_seconds(folder, options.tests, limit=600)
        if seconds is None:
            sys.exit("the tests fail without any fault")
        limit = math.ceil(_PATIENCE * seconds)
        for file, number in tried:
            line, what, faulty = fault(sources[file], number)
            Path(folder, file).write_text(faulty)
            stages = [_named_after(file, options.tests), *([tests] for tests in options.tests)]
            if all(_cpu_seconds(folder, stage, limit=limit) is not None for stage in stages if stage):
                survivors += 1
                print(f"{file}:{line}: {what}", flush=True)
            Path(folder, file).write_text(sources[file])
    noticed = 1 - survivors / max(1, len(tried))
    print(f"{len(tried)} faults, {len(tried) - survivors} noticed, {noticed:.0%}")
    return 0 if noticed >= _WANTED else 1


def _named_after(file: Path, tests: Sequence[str]) -> list[str]:
    """Return the test files that are named after a file: they notice most of its faults, and run first."""
    return [str(found) for folder in tests for found in sorted(Path(folder).glob(f"test_{file.stem}*.py"))]


def _cpu_seconds(folder: str, tests: Sequence[str], *, limit: int) -> float | None:
    """Run the tests; return their CPU seconds, or None if they fail or need more than `limit` of these."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "--noconftest",
        "-p",
        "no:cacheprovider",
        "-p",
        _STEADY,
        *tests,
    ]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command,
        check=False,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (limit, limit)),
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        return None
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    sys.exit(main())
