"""What somebody may have meant: the nearest known word, for faults that say how to mend them."""

from collections.abc import Iterable
from difflib import get_close_matches

from balancebot.domain.sentence import NO_SENTENCE, Sentence, sentence

_LONGEST = 200
"""No name is longer; comparing costs by length."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word nearest to `word`, letter case aside, or None when none is near."""
    if len(word) > _LONGEST:
        return None

    by_folded = {candidate.casefold(): candidate for candidate in known}
    found = get_close_matches(word.casefold(), by_folded, n=1)
    return by_folded[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> Sentence:
    """Return `; did you mean …?` to append to a fault, or nothing when no known word is near."""
    meant = nearest(word, known)
    return NO_SENTENCE if meant is None else sentence("; did you mean %(word)s?", word=meant)
