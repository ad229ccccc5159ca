"""Rules of the architecture that no linter checks: one place for the clock, one for SQL, a purpose for every file."""

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
    """Return every module that a file imports, also inside functions."""
    found: set[str] = set()
    for node in _nodes(file):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def test_every_module_has_a_docstring_with_its_purpose() -> None:
    offenders = []
    for file in _FILES:
        module = _nodes(file)[0]
        assert isinstance(module, ast.Module)
        docstring = ast.get_docstring(module) or "nothing"
        if not (docstring[0].isupper() or docstring[0] == "`" or docstring.startswith("balancebot")):
            offenders.append(f"{_name(file)}: {docstring}")
    assert [] == offenders


def test_no_module_has_a_generic_name() -> None:
    assert [] == [_name(file) for file in _FILES if _BANNED_NAMES.search(file.stem)]


def test_sql_is_only_in_the_store() -> None:
    """Other modules may only use the type Connection."""
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


def test_aiohttp_is_only_used_to_reach_other_systems() -> None:
    users = {_name(file).partition("/")[0] for file in _FILES if "aiohttp" in _imports(file)}
    assert users <= {"jsms", "network.py", "notify"}


def test_httpx_is_only_used_for_balances_and_sign_on() -> None:
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


def test_an_import_inside_a_function_has_a_reason() -> None:
    """The line ends with `# lazy: ...`; all other imports are at the top of the file."""
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


def test_no_file_has_an_open_task() -> None:
    # the brackets keep this test from finding its own line
    marks = re.compile(r"\b(T[O]DO|F[I]XME|X{3}|H[A]CK)\b")
    assert [] == [_name(file) for file in _FILES if marks.search(file.read_text())]


def test_commands_print_text_from_outside_without_control_characters() -> None:
    # `show` removes control characters; these modules print only their own text, or JSON for programs
    own = {"__init__", "ask_daemon", "config", "demo", "output", "root", "run", "runway"}
    offenders = [
        f"{_name(file)}:{node.lineno}"
        for file in (_PACKAGE / "cli").glob("*.py")
        for node in _nodes(file)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
        if file.stem not in own
    ]
    assert [] == offenders
