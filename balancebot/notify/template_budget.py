"""The sandbox for an operator's templates, with limits of time and memory.

A template is an untrusted program. Each iteration of a loop and each macro checks the clock. Whatever makes a value
(operators, filters, calls, lists) refuses large ones, and what makes one huge value of two is refused before it runs. If
a template blocks in code that isn't Python's, its thread is abandoned, and the message is sent without the template.
"""

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from time import monotonic
from typing import Any, Final, TypeVar

from jinja2 import Template, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_SECONDS: Final = 2.0
MAX_CHARACTERS: Final = 256 * 1024
_MAX_BITS: Final = 10_000
"""Of a whole number."""
_MAX_SEPARATOR: Final = 100
"""In characters: a list may have hundreds of thousands of members."""
_MULTIPLYING: Final = frozenset({"translate"})
"""Methods of texts that no template needs and that can make a huge text of two short ones."""
_MAX_WIDTH: Final = 10_000
_WIDE: Final = re.compile(r"[0-9]{4,}|\*")
_PADDING: Final = ("center", "indent", "wordwrap", "batch", "slice", "format")
"""The filters that can turn a short text into a very long one."""
_CHECKED_TAGS: Final = frozenset({"for", "macro", "call"})
_CHECK: Final = "check_budget"
_of_thread = threading.local()

T = TypeVar("T")


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


class _BoundedCode(CodeGenerator):
    """Passes each text that `~` makes, and each list, tuple and dictionary, through `BudgetedEnvironment.bounded`."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802 -- as Jinja names it
        self._bounded(super().visit_Concat, node, frame)

    def visit_List(self, node: nodes.List, frame: Frame) -> None:  # noqa: N802 -- as Jinja names it
        self._bounded(super().visit_List, node, frame)

    def visit_Dict(self, node: nodes.Dict, frame: Frame) -> None:  # noqa: N802 -- as Jinja names it
        self._bounded(super().visit_Dict, node, frame)

    def visit_Tuple(self, node: nodes.Tuple, frame: Frame) -> None:  # noqa: N802 -- as Jinja names it
        if node.ctx == "load":
            self._bounded(super().visit_Tuple, node, frame)
        else:
            super().visit_Tuple(node, frame)

    def _bounded(self, visit: Callable[[Any, Frame], None], node: nodes.Node, frame: Frame) -> None:
        self.write("environment.bounded(")
        visit(node, frame)
        self.write(")")


class BudgetedEnvironment(ImmutableSandboxedEnvironment):
    """The sandbox with limits."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})
    code_generator_class = _BoundedCode

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "extensions": [*options.get("extensions", ()), _TimeChecks]})
        self.globals[_CHECK] = _check_budget
        self.globals.pop("lipsum", None)
        for name, function in self.filters.items():
            self.filters[name] = self._with_bounds(name, function)

    def bounded(self, value: T) -> T:
        """Return a value, which is not too large when it is written out."""
        left, rest = MAX_CHARACTERS, [value]
        while rest:
            match rest.pop():
                case str() as text:
                    left -= len(text)
                case dict() as mapping:
                    rest += [*mapping, *mapping.values()]
                case list() | tuple() | set() | frozenset() as many:
                    _refuse_more(len(many))
                    rest += many
            left -= 1
            if left < 0:
                _refuse_more(MAX_CHARACTERS + 1)
        return value

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Refuse methods that multiply, besides those that the sandbox refuses."""
        is_multiplying = isinstance(obj, str) and attr in _MULTIPLYING
        return not is_multiplying and super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Refuse widths such as `"{:1000000000}".format(1)`."""
        wrapped = super().wrap_str_format(value)
        if wrapped is not None:
            _refuse_wide(f":{value.__self__}")
        return wrapped

    def call(self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Refuse widths such as `"".ljust(10**9)`."""
        _refuse_wide(*args, *kwargs.values())
        text = getattr(__obj, "__self__", None)
        if isinstance(text, str):
            _refuse_multiplying(__obj.__name__, text, args)
        return self.bounded(super().call(__context, __obj, *args, **kwargs))

    def _with_bounds(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def bounded(*args: Any, **kwargs: Any) -> Any:
            given = [*args, *kwargs.values()]
            if name in _PADDING:
                _refuse_wide(*given)
            texts = [argument for argument in given if isinstance(argument, str)]
            if name == "join":
                _refuse_multiplying(name, max(texts, key=len, default=""), ())
            elif name == "replace" and texts:
                _refuse_multiplying(name, texts[0], texts[1:])
            return self.bounded(function(*args, **kwargs))

        return bounded

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Refuse operations that make a huge value."""
        match operator, left, right:
            case "*", (str() | list() | tuple()) as many, int() as times:
                _refuse_more(len(many) * times)
            case "*", int() as times, (str() | list() | tuple()) as many:
                _refuse_more(len(many) * times)
            case "%", str() as pattern, _ if _WIDE.search(pattern):
                raise TemplateBudgetError("pads with a great width")
            case "**", int() as base, int() as exponent if base.bit_length() * abs(exponent) > _MAX_BITS:
                raise TemplateBudgetError("takes too high a power")
            case "*", int(), int() if left.bit_length() + right.bit_length() > _MAX_BITS:
                raise TemplateBudgetError("makes too large a number")
        return self.bounded(super().call_binop(context, operator, left, right))


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


def _refuse_wide(*arguments: object) -> None:
    for argument in arguments:
        is_wide = isinstance(argument, str) and ":" in argument and _WIDE.search(argument)
        if is_wide or (isinstance(argument, int) and argument > _MAX_WIDTH):
            raise TemplateBudgetError("pads with a great width")


def _refuse_multiplying(name: str, text: str, arguments: Sequence[Any]) -> None:
    """Refuse a method or filter of a text that repeats another text too often."""
    if name == "join" and len(text) > _MAX_SEPARATOR:
        raise TemplateBudgetError("joins with a long text")
    if name == "replace" and len(arguments) > 1:
        _refuse_more((len(text) + 1) * max(len(str(arguments[1])), 1))


def _refuse_more(characters: int) -> None:
    if characters > MAX_CHARACTERS:
        raise TemplateBudgetError(f"makes more than {MAX_CHARACTERS:,} characters")
