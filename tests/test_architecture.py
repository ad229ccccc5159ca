"""What the house promises and no linter looks at: one place for the clock, one for SQL, files of one reason each."""

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parents[1] / "balancebot"
_FILES = sorted(_PACKAGE.rglob("*.py"))
_BANNED_NAMES = re.compile(r"util|helper|common|manager|processor|misc")


def _name(file: Path) -> str:
    return file.relative_to(_PACKAGE).as_posix()


@cache
def _nodes(file: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(file.read_text())))


def _imports(file: Path) -> set[str]:
    """Every module that a file imports, wherever in it."""
    found: set[str] = set()
    for node in _nodes(file):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def test_a_module_says_in_its_docstring_what_it_is_for() -> None:
    offenders = []
    for file in _FILES:
        module = _nodes(file)[0]
        assert isinstance(module, ast.Module)
        docstring = ast.get_docstring(module) or "nothing"
        if not (docstring[0].isupper() or docstring[0] == "`" or docstring.startswith("balancebot")):
            offenders.append(f"{_name(file)}: {docstring}")
    assert [] == offenders


def test_no_module_is_named_after_a_drawer() -> None:
    assert [] == [_name(file) for file in _FILES if _BANNED_NAMES.search(file.stem)]


def test_sql_is_written_in_storage_alone() -> None:
    """Others may name a Connection, and nothing else."""
    offenders = []
    for file in _FILES:
        if _name(file).startswith("store/"):
            continue
        for node in _nodes(file):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy"):
                offenders += [
                    f"{_name(file)}: {alias.name}" for alias in node.names if alias.name != "Connection"
                ]
            elif isinstance(node, ast.Import):
                offenders += [_name(file) for alias in node.names if alias.name.startswith("sqlalchemy")]
    assert [] == offenders


def test_aiohttp_is_used_for_what_is_outside_alone() -> None:
    users = {_name(file).partition("/")[0] for file in _FILES if "aiohttp" in _imports(file)}
    assert users <= {"jsms", "network.py", "notify"}


def test_httpx_fetches_balances_and_asks_the_sign_on_service_and_nothing_else() -> None:
    users = {_name(file) for file in _FILES if any(name.startswith("httpx") for name in _imports(file))}
    assert {"jsms/endpoint.py", "jsms/transport.py", "people/openid.py"} == users


def test_every_class_name_exists_once() -> None:
    names = Counter(
        node.name
        for file in _FILES
        for node in _nodes(file)
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert {} == {name: times for name, times in names.items() if times > 1}


def test_an_import_inside_a_function_says_why() -> None:
    """`# lazy: ...` on its line; all others stand at the top."""
    offenders = []
    for file in _FILES:
        lines = file.read_text().splitlines()
        for function in _nodes(file):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                offenders += [
                    f"{_name(file)}:{node.lineno}"
                    for node in ast.walk(function)
                    if isinstance(node, ast.Import | ast.ImportFrom)
                    and "# lazy: " not in lines[node.lineno - 1]
                ]
    assert [] == offenders


def test_nothing_is_left_to_be_done() -> None:
    # the brackets keep a search for such marks from finding this line
    marks = re.compile(r"\b(T[O]DO|F[I]XME|X{3}|H[A]CK)\b")
    assert [] == [_name(file) for file in _FILES if marks.search(file.read_text())]


def test_commands_print_what_may_come_from_outside_without_what_controls_a_terminal() -> None:
    # `show` cleans it; these print their own words, or JSON for programs
    own = {"__init__", "ask_daemon", "config", "demo", "output", "root", "run", "runway"}
    offenders = [
        f"{_name(file)}:{node.lineno}"
        for file in (_PACKAGE / "cli").glob("*.py")
        for node in _nodes(file)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
        if file.stem not in own
    ]
    assert [] == offenders
