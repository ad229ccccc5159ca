"""`thresholds`: shows and changes limits; the latest readings are judged again at once."""

from pathlib import Path
from typing import Annotated

import typer

from balancebot.answers import ThresholdsAnswer, preview_answer, threshold_answer
from balancebot.cli.context import CommandError, RefusedError, command_group, context_of
from balancebot.cli.output import Column, faint, show, show_error, show_json, text_table
from balancebot.cli.threshold_output import (
    COLUMNS,
    change_as_json,
    difference,
    effective_rows,
    for_people,
    row_cells,
    rows_of,
)
from balancebot.domain.audit import Via
from balancebot.domain.local_time import local_time
from balancebot.domain.sentence import Sentence
from balancebot.domain.threshold import Scope, ThresholdBook
from balancebot.domain.threshold_cell import read_category, read_column, read_wallet
from balancebot.i18n import Wording
from balancebot.sheet_writer import write_csv
from balancebot.sheets import SheetRow
from balancebot.thresholds.changes import EditThresholds
from balancebot.thresholds.edit import Edited
from balancebot.thresholds.sheet import cells_of, cells_of_all, in_language, read_limits, write_limits

commands = command_group()

_LIMIT = "a number, off or inherit"
_Wallet = Annotated[str, typer.Argument(metavar="WALLET", help="a wallet, or a pattern such as 'acme/*'")]
_Category = Annotated[
    str, typer.Argument(metavar="CATEGORY", help="universal, voice, industry, market or '*'")
]
_WarningBelow = Annotated[str | None, typer.Option(metavar="N", help=f"messages: {_LIMIT}")]
_CriticalBelow = Annotated[str | None, typer.Option(metavar="N", help=f"messages: {_LIMIT}")]
_WarningDays = Annotated[str | None, typer.Option(metavar="DAYS", help=f"of runway: {_LIMIT}")]
_CriticalDays = Annotated[str | None, typer.Option(metavar="DAYS", help=f"of runway: {_LIMIT}")]


@commands.callback()
def thresholds() -> None:
    """Show and change limits."""


@commands.command("list")
def list_rows(
    context: typer.Context,
    effective: Annotated[
        bool, typer.Option("--effective", help="the effective limits of every balance instead")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Show the rows that are set, or the effective limits."""
    editing = _editing(context)
    rows = list(effective_rows(editing) if effective else rows_of(editing))
    if as_json:
        show_json(ThresholdsAnswer(thresholds=[threshold_answer(row) for row in rows]))
        return
    if not rows:
        show("No row is set: warning at 7 days of runway and critical at 3 days apply to every balance.")
        return
    show(text_table(COLUMNS, map(row_cells, rows)))
    if not effective:
        show(faint("Built in below all rows: warning at 7 days, critical at 3, a lead time of 3; no counts."))


@commands.command("set", no_args_is_help=True)
def set_row(
    context: typer.Context,
    wallet: _Wallet,
    category: _Category,
    warning_below: _WarningBelow = None,
    critical_below: _CriticalBelow = None,
    warning_days: _WarningDays = None,
    critical_days: _CriticalDays = None,
    lead_time_days: Annotated[
        str | None, typer.Option(metavar="DAYS", help="how long a purchase takes, or inherit")
    ] = None,
    note: Annotated[str | None, typer.Option(help="who acts and what to do; every alert shows it")] = None,
) -> None:
    """Change the given columns of one row, and no others."""
    cells = _given(
        warning_below=warning_below,
        critical_below=critical_below,
        warning_days=warning_days,
        critical_days=critical_days,
        lead_time_days=lead_time_days,
        note=note,
    )
    _show_result(_editing(context).set(_scope(wallet, category), cells, by=context_of(context).actor()))


@commands.command("unset", no_args_is_help=True)
def unset_row(context: typer.Context, wallet: _Wallet, category: _Category) -> None:
    """Remove one row, so that less specific ones apply again."""
    _show_result(_editing(context).unset(_scope(wallet, category), by=context_of(context).actor()))


@commands.command(no_args_is_help=True)
def preview(
    context: typer.Context,
    wallet: _Wallet,
    category: _Category,
    warning_below: _WarningBelow = None,
    critical_below: _CriticalBelow = None,
    warning_days: _WarningDays = None,
    critical_days: _CriticalDays = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Show what `set` would open now, and which alerts there would have been in the last 30 days."""

    cells = _given(
        warning_below=warning_below,
        critical_below=critical_below,
        warning_days=warning_days,
        critical_days=critical_days,
    )
    command = context_of(context)
    editing = _editing(context)
    edited = editing.preview(_scope(wallet, category), cells)
    _refuse(edited)
    app = command.app
    books = (editing.book(), ThresholdBook(edited.rows), [change.scope for change in edited.changes])
    now = app.clock.now()
    ahead = app.preview_limits.ahead(*books, now=now)
    back = app.preview_limits.back(*books, now=now)
    if as_json:
        show_json(preview_answer(ahead, back))
    else:
        show(for_people(edited.changes, ahead, back, Wording(zone=command.settings.timezone)))


@commands.command("import", no_args_is_help=True)
def import_file(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False)],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="print the difference and change nothing")
    ] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="remove the rows that the file doesn't name")
    ] = False,
) -> None:
    """Replace each row that a CSV or XLSX file names, whole, and leave the others alone."""
    sheet = _read(file)
    editing = _editing(context)
    edited = (
        editing.preview_sheet(sheet, prune=prune)
        if dry_run
        else editing.import_sheet(sheet, by=context_of(context).actor(Via.SHEET), prune=prune)
    )
    _show_result(edited, source=f"{file}: ", changes_nothing=dry_run)


@commands.command("diff", no_args_is_help=True)
def compare_file(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False)],
) -> None:
    """Show what `import --prune` would change; exit 1 where the rows differ from a CSV or XLSX file."""
    edited = _editing(context).preview_sheet(_read(file), prune=True)
    _refuse(edited, source=f"{file}: ")
    if edited.changes:
        show(*edited.changes, sep="\n")
    else:
        show("No difference.")
    if edited.changes:
        raise typer.Exit(1)


@commands.command("export", no_args_is_help=True)
def export_file(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="- is stdout")],
    every: Annotated[
        bool, typer.Option("--all", help="every known balance, with its effective limits")
    ] = False,
) -> None:
    """Write the rows as a CSV file, or XLSX by its name, that `import` takes back."""

    editing = _editing(context)
    book = editing.book()
    app, is_workbook = context_of(context).app, file.suffix.lower() == ".xlsx"
    views = app.latest.read(now=app.clock.now()).views if every and is_workbook else None
    cells = cells_of_all(book, editing.known(), views) if every else cells_of(book.rows)
    if str(file) == "-":
        show(write_csv(cells), end="")
        return
    try:
        if is_workbook:
            file.write_bytes(write_limits(in_language(cells, context_of(context).settings.language)))
        else:
            file.write_text(write_csv(cells), encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{file}: can't be written: {error.strerror}") from None
    show_error(f"wrote {file}")


@commands.command("history")
def show_history(
    context: typer.Context,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=1_000_000, help="how many of the latest changes")
    ] = 50,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Show who changed what, when, and from where; the newest first."""
    entries = _editing(context).history(limit=limit)
    if as_json:
        show_json({"changes": [change_as_json(entry) for entry in entries]})
        return
    if not entries:
        show("Nothing was changed yet.")
        return
    zone = context_of(context).settings.timezone
    show(
        text_table(
            (Column("when"), Column("who"), Column("by"), Column("row"), Column("change")),
            (
                (
                    f"{local_time(entry.at, zone):%Y-%m-%d %H:%M:%S}",
                    entry.actor,
                    entry.via.value,
                    entry.subject,
                    difference(entry),
                )
                for entry in entries
            ),
        )
    )


def _editing(context: typer.Context) -> EditThresholds:
    return context_of(context).app.edit_thresholds


def _scope(wallet: str, category: str) -> Scope:
    name, kind = read_wallet(wallet), read_category(category)
    if isinstance(name, Sentence):
        raise RefusedError(f"WALLET {name}")
    if isinstance(kind, Sentence):
        raise RefusedError(f"CATEGORY: {kind}")
    return Scope(name, kind)


def _read(file: Path) -> tuple[SheetRow, ...]:

    try:
        sheet, faults = read_limits(file.read_bytes())
    except OSError as error:
        raise CommandError(f"{file}: can't be read: {error.strerror}") from None
    if faults:
        raise CommandError(*(f"{file}: {fault}" for fault in faults))
    return sheet


def _show_result(edited: Edited, *, source: str = "", changes_nothing: bool = False) -> None:
    """Print what was changed."""
    _refuse(edited, source=source)
    for change in edited.changes:
        show(change)
    if not edited.changes:
        show("Nothing to change.")
    elif changes_nothing:
        show_error(f"{len(edited.changes)} rows would change; nothing was changed.")
    for notified in edited.notified:
        show_error(Wording().done_to_alert(notified.reason, notified.severity, notified.subject))


def _refuse(edited: Edited, *, source: str = "") -> None:
    """Raise `CommandError` if there are faults; otherwise print the warnings."""
    if edited.faults:
        raise CommandError(*(f"{source}{fault}" for fault in edited.faults), "Nothing was changed.")
    for warning in edited.warnings:
        show_error(f"{source}{warning}")


def _given(**columns: str | None) -> dict[str, str]:
    """Return the columns that were given, at least one, after checking their values."""
    cells = {column: text for column, text in columns.items() if text is not None}
    if not cells:
        raise typer.BadParameter("name at least one column, such as --warning-below 1000")
    faults = [
        f"--{column.replace('_', '-')}: {value}"
        for column, text in cells.items()
        if isinstance(value := read_column(column, text), Sentence)
    ]
    if faults:
        raise RefusedError(*faults)
    return cells
