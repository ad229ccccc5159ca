"""Changing thresholds, whole or not at all, by whichever way; every change is kept with who, when and what it was.

They take effect at the next reading: whoever judges reads them anew.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from balancebot.domain.audit import Act, Actor, AuditEntry, Picture
from balancebot.domain.balance import WalletName
from balancebot.domain.threshold import Scope, ThresholdBook, ThresholdRow
from balancebot.domain.threshold_cell import written
from balancebot.domain.threshold_edit import COLUMNS, Edited, EditFault, RowEdit, apply_edits, patch_row
from balancebot.domain.threshold_sheet import SheetRow, import_sheet
from balancebot.ports import Clock
from balancebot.storage import audit, thresholds
from balancebot.storage.database import Database

_Rows = tuple[ThresholdRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EditThresholds:
    """What people do to thresholds."""

    database: Database
    clock: Clock
    known: Callable[[], Sequence[WalletName]]
    """The wallets that are configured now."""

    def book(self) -> ThresholdBook:
        """Return the rows that stand, ready to be asked."""
        with self.database.read() as conn:
            return ThresholdBook(thresholds.load(conn))

    def set(self, scope: Scope, cells: Mapping[str, str], *, by: Actor) -> Edited:
        """Change only the columns of `cells`, as a person wrote them; faults mean that nothing was changed."""

        def decide(rows: _Rows) -> Edited:
            blank = ThresholdRow(wallet=scope.wallet, category=scope.category)
            patched = patch_row(next((row for row in rows if row.scope == scope), blank), cells)
            if isinstance(patched, tuple):
                return _refused(rows, patched)
            return apply_edits(rows, [RowEdit.put(patched)], self.known())

        return self._change(decide, by)

    def unset(self, scope: Scope, *, by: Actor) -> Edited:
        """Remove the row of `scope`; no change when there is none."""
        return self._change(
            lambda rows: apply_edits(rows, [RowEdit(scope=scope, row=None)], self.known()), by
        )

    def import_sheet(self, sheet: Sequence[SheetRow], *, by: Actor) -> Edited:
        """Put every row of a sheet; faults mean that none was."""
        return self._change(lambda rows: import_sheet(sheet, rows, self.known()), by)

    def preview_sheet(self, sheet: Sequence[SheetRow]) -> Edited:
        """Return what `import_sheet` would do, and do nothing."""
        with self.database.read() as conn:
            return import_sheet(sheet, thresholds.load(conn), self.known())

    def history(self, *, limit: int) -> tuple[AuditEntry, ...]:
        """Return the latest changes, the newest first."""
        with self.database.read() as conn:
            return audit.newest(conn, limit=limit, acts=(Act.SET_THRESHOLD, Act.REMOVE_THRESHOLD))

    def _change(self, decide: Callable[[_Rows], Edited], by: Actor) -> Edited:
        now = self.clock.now()
        with self.database.write() as conn:
            edited = decide(thresholds.load(conn))
            if edited.faults:
                return edited
            for change in edited.changes:
                if change.after is None:
                    thresholds.remove(conn, change.scope)
                else:
                    thresholds.put(conn, change.after, by=by.who, now=now)
            audit.record(
                conn,
                *(_entry(change.scope, change.before, change.after, by, now) for change in edited.changes),
            )
            return edited


def _refused(rows: _Rows, faults: tuple[EditFault, ...]) -> Edited:
    return Edited(rows=rows, changes=(), faults=faults, warnings=())


def _entry(
    scope: Scope, before: ThresholdRow | None, after: ThresholdRow | None, by: Actor, now: datetime
) -> AuditEntry:
    return AuditEntry(
        at=now,
        who=by.who,
        way=by.way,
        act=Act.REMOVE_THRESHOLD if after is None else Act.SET_THRESHOLD,
        subject=str(scope),
        before=_picture(before),
        after=_picture(after),
    )


def _picture(row: ThresholdRow | None) -> Picture | None:
    """Return what a row sets, as a person would write it."""
    if row is None:
        return None
    return {column: text for column in COLUMNS if (text := written(getattr(row, column)))}
