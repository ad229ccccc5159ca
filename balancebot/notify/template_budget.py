"""The sandbox for an operator's templates, with limits of time and memory.

A template is an untrusted program. Each iteration of a loop and each macro checks the clock. Operators that could make
a huge value are refused. If a template blocks in code that isn't Python's, its thread is abandoned, and the message is
sent without the template.
"""

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from time import monotonic
from typing import Any, Final

from jinja2 import Template
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_SECONDS: Final = 2.0
MAX_CHARACTERS: Final = 256 * 1024
_MAX_EXPONENT: Final = 64
_MAX_WIDTH: Final = 10_000
_WIDE: Final = re.compile(r"[0-9]{4,}|\*")
_PADDING: Final = ("center", "indent", "wordwrap", "batch", "slice", "format")
"""The filters that can turn a short text into a very long one."""
_CHECKED_TAGS: Final = frozenset({"for", "macro", "call"})
_CHECK: Final = "check_budget"
_of_thread = threading.local()


class TemplateBudgetError(Exception):
    """A template took more time or memory than allowed."""


def _check_budget() -> str:
    if monotonic() > getattr(_of_thread, "until", float("inf")):
        raise TemplateBudgetError(f"takes longer than {MAX_SECONDS:g} seconds")
    return ""


class _TimeChecks(Extension):
    """Checks the clock at the beginning of each iteration of a loop and of each macro."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        """Insert a call of the check after each tag that opens a loop or a macro."""
        tag, before = "", ""
        for token in stream:
            yield token
            if before == "block_begin" and token.type == "name":
                tag = token.value
            elif token.type == "block_end":
                if tag in _CHECKED_TAGS:
                    call = ("variable_begin", "name", "lparen", "rparen", "variable_end")
                    yield from (Token(token.lineno, kind, _CHECK) for kind in call)
                tag = ""
            before = token.type


class BudgetedEnvironment(ImmutableSandboxedEnvironment):
    """The sandbox with limits."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "extensions": [*options.get("extensions", ()), _TimeChecks]})
        self.globals[_CHECK] = _check_budget
        self.globals.pop("lipsum", None)
        for name in _PADDING:
            self.filters[name] = _with_bounded_width(self.filters[name])

    def call(self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Refuse widths such as `"".ljust(10**9)`."""
        _refuse_wide(*args, *kwargs.values())
        return super().call(__context, __obj, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Refuse operations that make a huge value."""
        match operator, left, right:
            case "*", (str() | list() | tuple()) as many, int() as times:
                _refuse_more(len(many) * times)
            case "*", int() as times, (str() | list() | tuple()) as many:
                _refuse_more(len(many) * times)
            case "%", str() as pattern, _ if _WIDE.search(pattern):
                raise TemplateBudgetError("pads with a great width")
            case "**", _, int() | float() as exponent if abs(exponent) > _MAX_EXPONENT:
                raise TemplateBudgetError("takes too high a power")
        return super().call_binop(context, operator, left, right)


def render_within_budget(template: Template, context: Mapping[str, object]) -> str:
    """Render an operator's template. Raises `TemplateBudgetError`, or any exception of the template."""
    outcome: list[str | Exception] = []
    thread = threading.Thread(
        target=_work, args=(lambda: _generated(template, context), outcome), name="template", daemon=True
    )
    thread.start()
    thread.join(MAX_SECONDS * 2)
    match outcome:
        case [str() as text]:
            return text
        case [Exception() as fault]:
            raise fault
    raise TemplateBudgetError(f"takes longer than {MAX_SECONDS:g} seconds")


def _work(render: Callable[[], str], outcome: list[str | Exception]) -> None:
    _of_thread.until = monotonic() + MAX_SECONDS
    try:
        outcome.append(render())
    except Exception as fault:  # noqa: BLE001 -- raised again by `render_within_budget`
        outcome.append(fault)


def _generated(template: Template, context: Mapping[str, object]) -> str:
    pieces, size = [], 0
    for piece in template.generate(context):
        size += len(piece)
        _refuse_more(size)
        pieces.append(piece)
    return "".join(pieces)


def _with_bounded_width(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def bounded(*args: Any, **kwargs: Any) -> Any:
        _refuse_wide(*args, *kwargs.values())
        return function(*args, **kwargs)

    return bounded


def _refuse_wide(*arguments: object) -> None:
    for argument in arguments:
        is_wide = isinstance(argument, str) and ":" in argument and _WIDE.search(argument)
        if is_wide or (isinstance(argument, int) and argument > _MAX_WIDTH):
            raise TemplateBudgetError("pads with a great width")


def _refuse_more(characters: int) -> None:
    if characters > MAX_CHARACTERS:
        raise TemplateBudgetError(f"makes more than {MAX_CHARACTERS:,} characters")
