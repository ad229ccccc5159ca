"""Patterns select balances: `acme/checkout:industry`, `acme/*:market`, `*:voice`, `acme/*`.

`*` matches any characters, also none and `/`; everything else matches itself, case-sensitively. A pattern without `:`
matches every category and the alerts of the wallet as a whole; one with `:` matches balances only.
"""

import re
import unicodedata
from dataclasses import dataclass, field

from balancebot.domain.balance import Category, WalletName
from balancebot.domain.sentence import Sentence, did_you_mean, sentence

MAX_NAME = 64
"""The longest name of an account or an app, in characters."""
MAX_WALLET = 2 * MAX_NAME + 1
"""The longest name of a wallet, and the longest pattern of names, in characters."""
_MAX_CATEGORY = 16
MAX_PATTERN = MAX_WALLET + 1 + _MAX_CATEGORY
"""The longest pattern of balances, in characters."""
_SHOWN_PARTS = 3
_PLAIN = re.compile(r"[A-Za-z0-9 _.-]*")


def name_fault(name: str) -> str | None:
    """Return what is wrong with the name of an account or an app, or None if it is valid.

    Valid are 1-64 characters: letters of any script with their combining marks, digits, space and `_ . -`.
    """
    if not name:
        return "is empty: a name has 1 to 64 characters"
    if len(name) > MAX_NAME:
        return f"has {len(name)} characters: a name has 1 to 64"
    if name in {".", ".."}:
        return f"is {name!r}, which browsers take for a step in an address"
    strange = _strange_character(name)
    if strange is not None:
        return f"holds {strange}: a name has letters, digits, space, '_', '.' and '-'"
    return None


def _strange_character(text: str) -> str | None:
    if _PLAIN.fullmatch(text):  # nearly all are
        return None
    for character in text:
        if (
            character not in " _.-"
            and unicodedata.category(character)[0] not in "LM"
            and not character.isdecimal()
        ):
            return repr(character)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletPattern:
    """A wallet's name, or, if it contains a `*`, a pattern of names."""

    text: str
    _pieces: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_pieces", tuple(self.text.split("*")))

    @classmethod
    def parse(cls, text: str) -> "WalletPattern | Sentence":
        """Read a wallet's name or a pattern of names; return what is wrong."""
        if not text:
            return sentence("is empty: write a wallet such as acme/checkout, or * for all")
        if len(text) > MAX_WALLET:
            return sentence(
                "has %(count)s characters: at most %(most)s are allowed", count=len(text), most=MAX_WALLET
            )
        strange = _strange_character(text.replace("*", "").replace("/", ""))
        if strange is not None:
            return sentence("contains %(character)s, which no name has", character=strange)
        if text.count("/") > 1 and "*" not in text:
            return sentence("has more than one '/': an app is written account/app")
        return cls(text=text)

    @property
    def is_exact(self) -> bool:
        """Whether it is a name without a `*`."""
        return len(self._pieces) == 1

    @property
    def prefix(self) -> str:
        """The text before the first `*`, with which every matching name begins."""
        return self._pieces[0]

    @property
    def rank(self) -> tuple[int, int, str]:
        """Sort key, the most specific first.

        An exact name comes before a pattern; of two patterns the one with more characters other than `*`, then the
        alphabetically first.
        """
        return (0 if self.is_exact else 1, -sum(map(len, self._pieces)), self.text)

    def matches(self, name: str) -> bool:
        """Return whether `name` matches. Takes time linear in both lengths, with any number of `*`."""
        first, *between, last = (*self._pieces, "") if self.is_exact else self._pieces
        if self.is_exact:
            return name == first
        start, end = len(first), len(name) - len(last)
        if start > end or not name.startswith(first) or not name.endswith(last):
            return False
        for piece in between:
            start = name.find(piece, start, end)
            if start < 0:
                return False
            start += len(piece)
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """What a route, a silence or a filter applies to: wallets, and all or some of their categories."""

    wallet: WalletPattern
    categories: frozenset[Category] | None
    """None: every category and the wallet's own kinds of alert."""
    text: str
    """As it was written."""

    @classmethod
    def parse(cls, text: str) -> "Pattern | Sentence":
        """Read a pattern; return what is wrong, with the nearest category for a misspelt one."""
        text = text.strip()
        name, colon, category = text.partition(":")
        wallet = WalletPattern.parse(name)
        if isinstance(wallet, Sentence):
            return wallet
        if not colon:
            return cls(wallet=wallet, categories=None, text=text)
        wanted = WalletPattern(text=category)
        categories = frozenset(known for known in Category if wanted.matches(known.value))
        if not categories or len(category) > _MAX_CATEGORY:
            if hint := did_you_mean(category, Category):
                return sentence("there is no category %(text)s%(hint)s", text=repr(category), hint=hint)
            return sentence(
                "there is no category %(text)s: write one of %(names)s",
                text=repr(category),
                names=", ".join(Category),
            )
        return cls(wallet=wallet, categories=categories, text=text)

    def matches(self, wallet: WalletName, category: Category | None) -> bool:
        """Return whether a balance matches, or with `category` None the wallet as a whole.

        A pattern with `:` never matches a wallet as a whole.
        """
        if self.categories is not None and category not in self.categories:
            return False
        return self.wallet.matches(wallet)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Patterns:
    """Several patterns used as one: an account with its apps, the alerts of a group."""

    parts: tuple[Pattern, ...]

    @property
    def text(self) -> str:
        """All patterns if they are few, otherwise the first ones and the number of all."""
        texts = [part.text for part in self.parts]
        if len(texts) > _SHOWN_PARTS:
            return f"{', '.join(texts[: _SHOWN_PARTS - 1])} … ({len(texts)})"
        return ", ".join(texts)

    def matches(self, wallet: WalletName, category: Category | None) -> bool:
        """Return whether any of them matches a balance, or with `category` None a wallet as a whole."""
        return any(part.matches(wallet, category) for part in self.parts)

    def __str__(self) -> str:
        return self.text


def names_one_wallet(pattern: Pattern | Patterns) -> bool:
    """Return whether a pattern is the exact name of one wallet, with or without categories."""
    parts = pattern.parts if isinstance(pattern, Patterns) else (pattern,)
    return len({part.wallet.text for part in parts}) == 1 and all(part.wallet.is_exact for part in parts)
