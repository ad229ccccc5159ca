"""`python tools/mutants.py balancebot/domain/silence.py tests/domain/test_silence.py ...`: do tests notice small
faults?

Makes one fault at a time in a copy of the package (a comparison, an operator, a number, a condition, a returned value),
runs the tests against the copy, and prints each fault that no test noticed. Exits with 1 below 85 %.
"""

import argparse
import ast
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

_WANTED = 0.85
_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
}  # fmt: skip


def faults(source: str) -> Iterator[tuple[int, str, str]]:
    """Yield the line of each fault, its description, and the source with the fault."""
    for number in range(sum(1 for _ in ast.walk(ast.parse(source)))):
        tree = ast.parse(source)
        node = list(ast.walk(tree))[number]
        before = ast.unparse(node) if isinstance(node, ast.expr) else ""
        if _is_declaration(tree, node) or not _break(node):
            continue
        yield node.lineno, f"{before} -> {ast.unparse(node)}", ast.unparse(tree)  # type: ignore[attr-defined]


def _is_declaration(tree: ast.AST, node: ast.AST) -> bool:
    """Return whether a node is part of an annotation or a decorator, where no test can notice a fault."""
    return any(
        node in ast.walk(declared)
        for parent in ast.walk(tree)
        for declared in (
            getattr(parent, "annotation", None),
            getattr(parent, "returns", None),
            *getattr(parent, "decorator_list", ()),
        )
        if declared is not None
    )


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
    """Try every fault of one file, or a share of them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("tests", nargs="+")
    parser.add_argument("--every", type=int, default=1, help="try each n-th fault only")
    options = parser.parse_args()
    source = options.file.read_text()
    tried = list(faults(source))[:: options.every]
    survivors = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        for name in ("balancebot", "tests", "templates", "migrations"):
            shutil.copytree(name, Path(folder, name), ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy("pyproject.toml", folder)
        environment = os.environ | {"PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-x",
            "-q",
            "--noconftest",
            "-p",
            "no:cacheprovider",
            *options.tests,
        ]
        for line, what, faulty in [(0, "no fault at all", source), *tried]:
            Path(folder, options.file).write_text(faulty)
            try:
                found = subprocess.run(
                    command, check=False, cwd=folder, env=environment, capture_output=True, timeout=60
                )
                passed = found.returncode == 0
            except subprocess.TimeoutExpired:
                passed = False
            if line == 0 and not passed:
                sys.exit("the tests fail without any fault")
            if line and passed:
                survivors.append(line)
                print(f"{options.file}:{line}: {what}", flush=True)
    killed = 1 - len(survivors) / max(1, len(tried))
    print(f"{len(tried)} faults, {killed:.0%} noticed")
    return 0 if killed >= _WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
