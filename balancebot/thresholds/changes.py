"""Changes of thresholds, all or nothing, with who made them, when, and the values before.

The latest readings are judged by the new limits in the same transaction: `_change` -> `JudgeLimits` -> alerts and
outbox.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

from balancebot.domain.audit import Act, Actor, AuditEntry, Picture
from balancebot.domain.balance import Category, WalletName
from balancebot.domain.threshold import Scope, ThresholdBook, ThresholdRow
from balancebot.domain.threshold_cell import written
from balancebot.poll.judge import JudgeLimits
from balancebot.ports import Clock
from balancebot.sheets import InputFault, SheetRow
from balancebot.store import audit, thresholds, types
from balancebot.store.database import Database
from balancebot.thresholds.edit import COLUMNS, Edited, RowChange, RowEdit, apply_edits, patch_row
from balancebot.thresholds.preview import touched_wallets
from balancebot.thresholds.sheet import import_sheet

_Rows: TypeAlias = tuple[ThresholdRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Another user has changed the row meanwhile: nothing was overwritten. `current` is the present row."""

    scope: Scope
    current: ThresholdRow | None
    """None: the row was removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outdated:
    """The preview is outdated: nothing was done. `edited` has the changes that would be made now."""

    edited: Edited


_NotDone = TypeVar("_NotDone", bound=Conflict | Outdated)


@dataclass(frozen=True, slots=True, kw_only=True)
class EditThresholds:
    """The changes that users make to thresholds."""

    database: Database
    clock: Clock
    known: Callable[[], Sequence[WalletName]]
    """Returns the wallets that are configured now."""
    judge_limits: JudgeLimits

    def book(self) -> ThresholdBook:
        """Return the present rows as a book."""
        with self.database.read() as conn:
            return ThresholdBook(thresholds.load(conn))

    def set(self, scope: Scope, cells: Mapping[str, str], *, by: Actor) -> Edited:
        """Change only the columns of `cells`, which are as a user typed them; with faults nothing is changed."""
        return self._change(lambda rows: self._patched(rows, scope, cells), by)

    def look(self, scope: Scope) -> ThresholdRow | None:
        """Return the present row of `scope`."""
        with self.database.read() as conn:
            return _row_of(thresholds.load(conn), scope)

    def replace(self, scope: Scope, cells: Mapping[str, str], *, seen: str, by: Actor) -> Edited | Conflict:
        """Like `set`, if the row is still the one that the user saw: `seen` is its `edit_token`."""

        def decide(rows: _Rows) -> Edited | Conflict:
            current = _row_of(rows, scope)
            if edit_token(current) != seen:
                return Conflict(scope=scope, current=current)
            return self._patched(rows, scope, cells)

        return self._change(decide, by)

    def put(
        self,
        scope: Scope,
        cells: Mapping[str, str],
        *,
        seen: Callable[[ThresholdRow | None], bool],
        by: Actor,
    ) -> Edited | Conflict:
        """Replace the row of `scope` by the given columns, if `seen` returns true for the present row."""

        def decide(rows: _Rows) -> Edited | Conflict:
            current = _row_of(rows, scope)
            return self._put(rows, scope, cells) if seen(current) else Conflict(scope=scope, current=current)

        return self._change(decide, by)

    def remove(
        self, scope: Scope, *, seen: Callable[[ThresholdRow | None], bool], by: Actor
    ) -> Edited | Conflict:
        """Like `unset`, if `seen` returns true for the present row."""

        def decide(rows: _Rows) -> Edited | Conflict:
            current = _row_of(rows, scope)
            if not seen(current):
                return Conflict(scope=scope, current=current)
            return apply_edits(rows, [RowEdit(scope=scope, row=None)], self.known())

        return self._change(decide, by)

    def preview_put(self, scope: Scope, cells: Mapping[str, str]) -> Edited:
        """Return what `put` would do; change nothing."""
        with self.database.read() as conn:
            return self._put(thresholds.load(conn), scope, cells)

    def preview(self, scope: Scope, cells: Mapping[str, str]) -> Edited:
        """Return what `set` would do; change nothing."""
        with self.database.read() as conn:
            return self._patched(thresholds.load(conn), scope, cells)

    def undo(self, entry: AuditEntry, *, by: Actor, seen: str | None = None) -> Edited | Conflict | None:
        """Restore the row that a scope had before the change `entry`; None if the entry isn't a change of a row.

        If the scope was changed again since, that is a conflict, unless `seen` is the `edit_token` of the present row.
        """
        scope = _scope_of(entry)
        if scope is None:
            return None

        def decide(rows: _Rows) -> Edited | Conflict:
            current = _row_of(rows, scope)
            is_expected = (
                edit_token(current) == seen if seen is not None else _picture(current) == entry.after
            )
            if not is_expected:
                return Conflict(scope=scope, current=current)
            edit = _restoring(entry, scope)
            return (
                _refused(rows, edit) if isinstance(edit, tuple) else apply_edits(rows, [edit], self.known())
            )

        return self._change(decide, by)

    def unset(self, scope: Scope, *, by: Actor) -> Edited:
        """Remove the row of `scope`; without a row nothing changes."""
        return self._change(
            lambda rows: apply_edits(rows, [RowEdit(scope=scope, row=None)], self.known()), by
        )

    def preview_many(self, scopes: Sequence[Scope], cells: Mapping[str, str]) -> Edited:
        """Return the changes if the columns of `cells` were set in the row of each scope."""
        with self.database.read() as conn:
            rows = thresholds.load(conn)
        by_scope = {row.scope: row for row in rows}
        edits = []
        for scope in scopes:
            blank = ThresholdRow(wallet=scope.wallet, category=scope.category)
            patched = patch_row(by_scope.get(scope, blank), cells)
            if isinstance(patched, tuple):
                return _refused(rows, patched)
            edits.append(RowEdit.put(patched))
        return apply_edits(rows, edits, self.known())

    def undo_all(
        self, entries: Sequence[AuditEntry], *, by: Actor, skip_changed: bool = False
    ) -> Edited | Outdated:
        """Restore the row that each scope had before its change, all or none.

        If some were changed again since, nothing is done, unless `skip_changed` leaves these as they are.
        """

        def decide(rows: _Rows) -> Edited | Outdated:
            by_scope = {row.scope: row for row in rows}
            edits: list[RowEdit] = []
            num_changed = 0
            for entry in entries:
                scope = _scope_of(entry)
                if scope is None or _picture(by_scope.get(scope)) != entry.after:
                    num_changed += 1
                    continue
                edit = _restoring(entry, scope)
                if isinstance(edit, tuple):
                    return _refused(rows, edit)
                edits.append(edit)
            edited = apply_edits(rows, edits, self.known())
            return edited if skip_changed or not num_changed else Outdated(edited=edited)

        return self._change(decide, by)

    def import_sheet(self, sheet: Sequence[SheetRow], *, by: Actor, prune: bool = False) -> Edited:
        """Store every row of a sheet; with `prune` remove all others. With faults nothing is changed."""
        return self._change(lambda rows: import_sheet(sheet, rows, self.known(), prune=prune), by)

    def import_seen(self, sheet: Sequence[SheetRow], *, seen: str, by: Actor) -> Edited | Outdated:
        """Like `import_sheet`, if the changes are still those that the user saw: `seen` is their `changes_token`."""

        def decide(rows: _Rows) -> Edited | Outdated:
            edited = import_sheet(sheet, rows, self.known())
            return edited if changes_token(edited) == seen else Outdated(edited=edited)

        return self._change(decide, by)

    def preview_sheet(self, sheet: Sequence[SheetRow], *, prune: bool = False) -> Edited:
        """Return what `import_sheet` would do; change nothing."""
        with self.database.read() as conn:
            return import_sheet(sheet, thresholds.load(conn), self.known(), prune=prune)

    def history(self, *, limit: int) -> tuple[AuditEntry, ...]:
        """Return the latest changes, the newest first."""
        with self.database.read() as conn:
            return audit.newest(conn, limit=limit, acts=(Act.SET_THRESHOLD, Act.REMOVE_THRESHOLD))

    def _put(self, rows: _Rows, scope: Scope, cells: Mapping[str, str]) -> Edited:
        row = patch_row(ThresholdRow(wallet=scope.wallet, category=scope.category), cells)
        if isinstance(row, tuple):
            return _refused(rows, row)
        return apply_edits(rows, [RowEdit.put(row)], self.known())

    def _patched(self, rows: _Rows, scope: Scope, cells: Mapping[str, str]) -> Edited:
        blank = ThresholdRow(wallet=scope.wallet, category=scope.category)
        patched = patch_row(_row_of(rows, scope) or blank, cells)
        if isinstance(patched, tuple):
            return _refused(rows, patched)
        return apply_edits(rows, [RowEdit.put(patched)], self.known())

    def _change(self, decide: Callable[[_Rows], Edited | _NotDone], by: Actor) -> Edited | _NotDone:
        now = self.clock.now()
        with self.database.write() as conn:
            types.take_lock(conn, types.THRESHOLDS)
            rows = thresholds.load(conn)
            edited = decide(rows)
            if isinstance(edited, Conflict | Outdated) or edited.faults:
                return edited
            put = [change.after for change in edited.changes if change.after is not None]
            thresholds.put(conn, put, by=by.name, now=now)
            thresholds.remove(conn, [change.scope for change in edited.changes if change.after is None])
            audit.record_changes(conn, by, map(_as_change, edited.changes), now=now)
            notified = self.judge_limits.judge(
                conn,
                touched_wallets(conn, [change.scope for change in edited.changes]),
                before=ThresholdBook(rows),
                after=ThresholdBook(edited.rows),
                now=now,
            )
            return replace(edited, notified=notified)


def edit_token(row: ThresholdRow | None) -> str:
    """Return a token for a row in a form, so that no user overwrites a row that they haven't seen."""
    picture = json.dumps(_picture(row), ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(picture.encode()).hexdigest()[:16]


def changes_token(edited: Edited) -> str:
    """Return a token for changes that a user has seen."""
    changes = [
        [str(change.scope), _picture(change.before), _picture(change.after)] for change in edited.changes
    ]
    return hashlib.sha256(json.dumps(changes, ensure_ascii=False, default=dict).encode()).hexdigest()[:16]


def _row_of(rows: _Rows, scope: Scope) -> ThresholdRow | None:
    return next((row for row in rows if row.scope == scope), None)


def _scope_of(entry: AuditEntry) -> Scope | None:
    if entry.act not in {Act.SET_THRESHOLD, Act.REMOVE_THRESHOLD}:
        return None
    wallet, _, category = entry.subject.rpartition(":")
    return Scope(wallet, None if category == "*" else Category(category))


def _restoring(entry: AuditEntry, scope: Scope) -> RowEdit | tuple[InputFault, ...]:
    """Return the edit that restores the row from before a change."""
    if entry.before is None:
        return RowEdit(scope=scope, row=None)
    blank = ThresholdRow(wallet=scope.wallet, category=scope.category)
    row = patch_row(blank, {column: str(text) for column, text in entry.before.items()})
    return row if isinstance(row, tuple) else RowEdit.put(row)


def _refused(rows: _Rows, faults: tuple[InputFault, ...]) -> Edited:
    return Edited(rows=rows, changes=(), faults=faults, warnings=())


def _as_change(change: RowChange) -> audit.Change:
    act = Act.REMOVE_THRESHOLD if change.after is None else Act.SET_THRESHOLD
    return act, str(change.scope), _picture(change.before), _picture(change.after)


def _picture(row: ThresholdRow | None) -> Picture | None:
    """Return the values of a row as a user would type them."""
    if row is None:
        return None
    return {column: text for column in COLUMNS if (text := written(getattr(row, column)))}
