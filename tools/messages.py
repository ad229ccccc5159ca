"""Collects the sentences of code and templates into the catalogues, and compiles them: `make messages`.

`--check` writes nothing and fails if a catalogue doesn't match the sources, has a sentence that is untranslated, fuzzy
or has other figures than the English, or if the compiled file doesn't match the catalogue.
"""

import io
import re
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).parents[1]
LOCALE = ROOT / "balancebot" / "locale"
DOMAIN = "balancebot"
SOURCES = {
    "balancebot": [("**.py", "python")],
    "templates": [("**.j2", "jinja2")],
}
KEYWORDS = DEFAULT_KEYWORDS | {"sentence": None}
_JINJA = {"trimmed": "true", "silent": "false"}
_FIGURE = re.compile(r"%\((\w+)\)[sd]|%%|%")


def collected() -> Catalog:
    """Return the sentences of the sources, without translations."""
    found = Catalog(domain=DOMAIN, charset="utf-8")
    for folder, methods in SOURCES.items():
        # Babel warns of every f-string among the arguments; ruff's INT rules check the first argument, the only one
        # that matters.
        with redirect_stderr(io.StringIO()):
            extracted = sorted(_extracted(folder, methods), key=lambda extract: extract[:2])
        for name, _, message, comments, context in extracted:
            found.add(message, None, [(f"{folder}/{name}", 1)], auto_comments=comments, context=context)
    return found


def _extracted(folder: str, methods: list[tuple[str, str]]) -> Iterator[tuple[str, int, Any, list[str], Any]]:
    return extract_from_dir(
        ROOT / folder,
        method_map=methods,
        options_map={pattern: _JINJA for pattern, method in methods if method == "jinja2"},
        keywords=KEYWORDS,
    )


def updated(po: Path, sources: Catalog) -> Catalog:
    """Return the catalogue of one language, updated from the sources: new sentences are empty, old ones removed."""
    catalogue = read_po(io.BytesIO(po.read_bytes()), domain=DOMAIN)
    catalogue.update(sources, no_fuzzy_matching=True, update_creation_date=False)
    catalogue.obsolete.clear()
    return catalogue


def body(catalogue: Catalog) -> bytes:
    """Return a .po file without its header. Sentences name their files, not their lines, which change daily."""
    text = io.BytesIO()
    write_po(text, catalogue, width=120, include_lineno=False, sort_output=True)
    return text.getvalue().partition(b"\n\n")[2].lstrip()


def is_current(po: Path, catalogue: Catalog) -> bool:
    """Return whether the files of a language equal its updated catalogue; the version of Babel doesn't matter."""
    mo = po.with_suffix(".mo")
    return (
        po.read_bytes().partition(b"\n\n")[2] == body(catalogue)
        and mo.is_file()
        and _translations(catalogue) == _translations(read_mo(io.BytesIO(mo.read_bytes())))
    )


def _translations(catalogue: Catalog) -> dict[object, object]:
    return {
        (message.id if isinstance(message.id, str) else tuple(message.id), _text(message.context)): (
            message.string if isinstance(message.string, str) else tuple(message.string or ())
        )
        for message in catalogue
        if message.id
    }


def _text(context: str | bytes | None) -> str | None:
    # Babel 2.18.0 reads bytes from .mo files
    return context.decode() if isinstance(context, bytes) else context


def faults(catalogue: Catalog) -> Iterator[str]:
    """Yield the faults of the translations."""
    for message in catalogue:
        if not message.id:
            continue
        texts = [message.string] if isinstance(message.string, str) else list(message.string or ())
        if message.fuzzy:
            yield f"fuzzy: {message.id!r}"
        elif not texts or not all(texts):
            yield f"untranslated: {message.id!r}"
        elif any(
            not figures(str(text)) <= allowed(message)
            or not allowed(message, least=True) <= figures(str(text))
            for text in texts
        ):
            yield f"other figures: {message.id!r} = {message.string!r}"


def figures(text: str) -> set[str]:
    """Return the names in `%(names)s`; a lone `%` counts as a name, because formatting it would fail."""
    return {found[1] or found[0] for found in _FIGURE.finditer(text) if found[0] != "%%"}


def allowed(message: Message, *, least: bool = False) -> set[str]:
    """Return the figures of the English; of its plural forms the one with the most or, with `least`, the fewest."""
    forms = [figures(form) for form in ([message.id] if isinstance(message.id, str) else message.id)]
    return min(forms, key=len) if least else max(forms, key=len)


def catalogues() -> list[Path]:
    """Return the .po files, one per language."""
    return sorted(LOCALE.glob(f"*/LC_MESSAGES/{DOMAIN}.po"))


def main() -> int:
    """Update and compile the catalogues, or check them."""
    checks, wrong = "--check" in sys.argv[1:], 0
    sources = collected()
    for po in catalogues():
        catalogue = updated(po, sources)
        if not checks:
            po.write_bytes(po.read_bytes().partition(b"\n\n")[0] + b"\n\n" + body(catalogue))
            with po.with_suffix(".mo").open("wb") as file:
                write_mo(file, catalogue)
        elif not is_current(po, catalogue):
            wrong += 1
            print(f"{po.relative_to(ROOT)} is behind the sources: run `make messages`")
        for fault in faults(catalogue):
            wrong += 1
            print(f"{po.relative_to(ROOT)}: {fault}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
