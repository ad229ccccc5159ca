"""The rows of thresholds as tables, JSON and differences show them."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from balancebot.cli.as_json import instant
from balancebot.cli.table import Column
from balancebot.wording import number

if TYPE_CHECKING:
    from balancebot.domain.audit import AuditEntry
    from balancebot.domain.threshold import ThresholdRow
    from balancebot.usecases.limits.edit_thresholds import EditThresholds

COLUMNS = (
    Column("wallet"),
    Column("category"),
    Column("warning below", is_number=True),
    Column("critical below", is_number=True),
    Column("warning days", is_number=True),
    Column("critical days", is_number=True),
    Column("lead time", is_number=True),
    Column("note"),
)


def rows_of(editing: "EditThresholds") -> "Iterable[ThresholdRow]":
    """Return the rows that are set, by wallet and category."""
    return sorted(editing.book().rows, key=lambda row: (row.wallet, row.category or ""))


def effective_rows(editing: "EditThresholds") -> "Iterable[ThresholdRow]":
    """Yield what holds for each balance, as if it had a row of its own."""
    from balancebot.domain.balance import Category
    from balancebot.domain.threshold import ThresholdRow

    book = editing.book()
    for wallet in editing.known():
        for category in Category:
            holds = book.effective(wallet, category)
            yield ThresholdRow(
                wallet=wallet,
                category=category,
                warning_below=holds.limits.warning_below,
                critical_below=holds.limits.critical_below,
                warning_days=holds.limits.warning_days,
                critical_days=holds.limits.critical_days,
                lead_time_days=holds.lead_time_days,
                note=holds.note,
            )


def row_cells(row: "ThresholdRow") -> Sequence[str]:
    """Return the cells of a row under `COLUMNS`."""
    from balancebot.domain.threshold_cell import written

    limits = (row.warning_below, row.critical_below, row.warning_days, row.critical_days, row.lead_time_days)
    return (
        row.wallet,
        row.category or "*",
        *(number(limit) if isinstance(limit, int) else written(limit) for limit in limits),
        row.note.replace("\n", " / "),
    )


def row_as_json(row: "ThresholdRow") -> dict[str, object]:
    """Return a row as `thresholds list --json` shows it."""
    from balancebot.domain.threshold import Off

    def limit(value: object) -> object:
        return value.value if isinstance(value, Off) else value

    return {
        "wallet": row.wallet,
        "category": row.category or "*",
        "warning_below": limit(row.warning_below),
        "critical_below": limit(row.critical_below),
        "warning_days": limit(row.warning_days),
        "critical_days": limit(row.critical_days),
        "lead_time_days": row.lead_time_days,
        "note": row.note,
        "updated_at": instant(row.updated_at),
        "updated_by": row.updated_by or None,
    }


def change_as_json(entry: "AuditEntry") -> dict[str, object]:
    """Write a change; `before` and `after` hold the cells that were set, as a sheet writes them; null = no row."""
    wallet, _, category = entry.subject.rpartition(":")
    return {
        "at": instant(entry.at),
        "who": entry.who,
        "way": entry.way,
        "wallet": wallet,
        "category": category,
        "before": None if entry.before is None else dict(entry.before),
        "after": None if entry.after is None else dict(entry.after),
    }


def difference(entry: "AuditEntry") -> str:
    """Say what a change of a row was."""
    before, after = dict(entry.before or {}), dict(entry.after or {})
    if not after:
        return "removed " + ", ".join(f"{column} {value}" for column, value in before.items())
    return ", ".join(
        f"{column} {before.get(column, 'inherit')} -> {after.get(column, 'inherit')}"
        for column in dict.fromkeys((*before, *after))
        if before.get(column) != after.get(column)
    )
