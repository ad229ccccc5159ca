"""What is wrong with what people write, in the reader's language.

Faults are worded in English where they are found. Here each is recognised by its form and said again; what no form fits
is shown as it is, so nothing is ever left unsaid.
"""

from balancebot.config import Language
from balancebot.forms import forms_of, say_again
from balancebot.sheets import InputFault
from balancebot.web.phrases import PagePhrases

COLUMN_LABELS = {
    "wallet": "Wallet or pattern",
    "category": "Category",
    "warning_below": "Warning below",
    "critical_below": "Critical below",
    "warning_days": "Warning days",
    "critical_days": "Critical days",
    "lead_time_days": "Lead time, days",
    "note": "Note",
}
"""What pages call the columns of thresholds."""


class FaultWords:
    """Says faults in one language."""

    def __init__(self, language: Language, phrases: PagePhrases) -> None:
        self._phrases = phrases
        self._forms = forms_of("faults", language)

    def __call__(self, message: str) -> str:
        """Say one fault."""
        return say_again(message, self._forms, self._figure)

    def placed(self, fault: InputFault) -> str:
        """Say a fault with the line and column that it stands at."""
        place = [
            *([self._phrases("line {line}", line=fault.line)] if fault.line is not None else []),
            *([self._column(fault.column)] if fault.column else []),
        ]
        if not place:
            return self(fault.message)
        return self._phrases("{place}: {fault}", place=", ".join(place), fault=self(fault.message))

    def _figure(self, name: str, text: str) -> str:
        if name == "fault":
            return self(text)
        return self._column(text) if name.startswith("column") else text

    def _column(self, name: str) -> str:
        label = COLUMN_LABELS.get(name)
        return name if label is None else self._phrases(label)
