"""Edits of thresholds are applied completely or refused completely, with every reason."""

from dataclasses import replace

from balancebot.domain.balance import Category, WalletName
from balancebot.domain.sentence import Sentence
from balancebot.domain.threshold import OFF, ThresholdRow
from balancebot.sheets import InputFault
from balancebot.thresholds.edit import Edited, RowChange, RowEdit, apply_edits, patch_row


def in_english(edited: Edited) -> Edited:
    """Return `edited` with its faults and warnings as English text."""
    faults, warnings = (
        tuple(replace(fault, message=Sentence(str(fault.message))) for fault in found)
        for found in (edited.faults, edited.warnings)
    )
    return replace(edited, faults=faults, warnings=warnings)


KNOWN = [WalletName(name) for name in ("acme", "acme/checkout", "acme/signup")]
VOICE = Category.VOICE


def test_an_edit_replaces_all_limits_of_its_row_and_no_other_row() -> None:
    other = ThresholdRow(wallet="acme", warning_below=5)
    before = ThresholdRow(wallet="acme/checkout", category=VOICE, warning_below=10, note="call sales")
    after = ThresholdRow(wallet="acme/checkout", category=VOICE, critical_below=4)
    assert Edited(
        rows=(other, after),
        changes=(RowChange(scope=after.scope, before=before, after=after),),
        faults=(),
        warnings=(),
    ) == apply_edits([other, before], [RowEdit.put(after)], KNOWN)


def test_a_change_names_the_columns_that_differ() -> None:
    before = ThresholdRow(wallet="acme", warning_below=10, note="a")
    after = ThresholdRow(wallet="acme", warning_below=20, note="a", lead_time_days=0)
    assert ("warning_below", "lead_time_days") == RowChange(
        scope=before.scope, before=before, after=after
    ).columns
    assert ("warning_below", "note") == RowChange(scope=before.scope, before=None, after=before).columns


def test_an_unknown_wallet_is_refused_with_the_nearest_at_every_line_that_names_it() -> None:
    edits = [
        RowEdit.put(ThresholdRow(wallet="acme/chekout", category=VOICE, warning_below=1), line=2),
        RowEdit.put(ThresholdRow(wallet="acme/chekout", warning_below=1), line=5),
    ]
    assert {
        "line 2, wallet: no wallet acme/chekout is configured; did you mean acme/checkout?",
        "line 5, wallet: no wallet acme/chekout is configured; did you mean acme/checkout?",
    } == {str(fault) for fault in apply_edits([], edits, KNOWN).faults}


def test_a_misspelt_wallet_is_refused_even_in_a_row_without_limits() -> None:
    edits = [
        RowEdit.put(ThresholdRow(wallet="acme/chekout"), line=2),
        RowEdit.put(ThresholdRow(wallet="acme"), line=3),
    ]
    assert [2] == [fault.line for fault in apply_edits([], edits, KNOWN).faults]


def test_the_row_of_a_removed_wallet_may_stay_or_be_removed() -> None:
    gone = ThresholdRow(wallet="acme/old", warning_below=1)
    assert () == apply_edits([gone], [RowEdit.put(gone)], KNOWN).faults
    removed = apply_edits([gone], [RowEdit(scope=gone.scope, row=None)], KNOWN)
    assert ((), ()) == (removed.rows, removed.faults)


def test_a_pattern_that_matches_nothing_is_a_warning() -> None:
    row = ThresholdRow(wallet="other/*", warning_below=1)
    assert Edited(
        rows=(row,),
        changes=(RowChange(scope=row.scope, before=None, after=row),),
        faults=(),
        warnings=(
            InputFault(
                message=Sentence("other/* matches no configured wallet"),
                line=3,
                column="wallet",
            ),
        ),
    ) == in_english(apply_edits([], [RowEdit.put(row, line=3)], KNOWN))


def test_an_inversion_is_refused_once_per_pair_of_rows_with_an_example() -> None:
    rows = [ThresholdRow(wallet="acme/*", warning_below=100)]
    edit = RowEdit.put(ThresholdRow(wallet="*", critical_below=500), line=2)
    assert (
        InputFault(
            message=Sentence(
                "acme/checkout:universal: critical_below 500 (from *:*) is looser than warning_below 100 "
                "(from acme/*:*), and 7 more"
            ),
            line=2,
            column="critical_below",
        ),
    ) == in_english(apply_edits(rows, [edit], KNOWN)).faults


def test_removing_a_row_can_uncover_an_inversion_and_is_refused() -> None:
    rows = [
        ThresholdRow(wallet="*", critical_below=500),
        ThresholdRow(wallet="acme", warning_below=100, critical_below=50),
        ThresholdRow(wallet="acme", category=VOICE, warning_below=600),
    ]
    edits = [RowEdit.put(ThresholdRow(wallet="acme", warning_below=100), line=9)]
    assert ["acme:universal", "9"] == [
        part
        for fault in apply_edits(rows, edits, KNOWN).faults
        for part in (str(fault.message).split(": ")[0], str(fault.line))
    ]


def test_an_existing_inversion_does_not_refuse_another_edit() -> None:
    rows = [ThresholdRow(wallet="acme", warning_below=1, critical_below=2)]
    edit = RowEdit.put(ThresholdRow(wallet="*", note="who acts"))
    assert () == apply_edits(rows, [edit], KNOWN).faults


def test_edits_are_checked_together() -> None:
    rows = [ThresholdRow(wallet="acme", warning_below=10, critical_below=5)]
    edits = [
        RowEdit.put(ThresholdRow(wallet="acme", category=VOICE, critical_below=50)),
        RowEdit.put(ThresholdRow(wallet="acme", warning_below=100)),
    ]
    assert () == apply_edits(rows, edits, KNOWN).faults


def test_a_row_without_limits_counts_as_removed() -> None:
    row = ThresholdRow(wallet="acme", warning_below=10)
    edited = apply_edits([row], [RowEdit.put(ThresholdRow(wallet="acme"))], KNOWN)
    assert ((), (RowChange(scope=row.scope, before=row, after=None),)) == (edited.rows, edited.changes)


def test_a_patch_changes_only_the_columns_given() -> None:
    row = ThresholdRow(wallet="acme", warning_below=10, critical_below=5, note="call sales")
    assert ThresholdRow(
        wallet="acme", warning_below=1000, critical_below=OFF, warning_days=1.5, note=""
    ) == patch_row(
        row, {"warning_below": "1,000", "critical_below": "off", "warning_days": "1.5", "note": "inherit"}
    )


def test_an_invalid_patch_names_every_faulty_column() -> None:
    row = ThresholdRow(wallet="acme")
    patched = patch_row(row, {"warning_below": "-1", "warning_days": "2", "critical_days": "soon"})
    assert isinstance(patched, tuple)
    assert [
        "warning_below: '-1' is below 0",
        "critical_days: must be a number, `off` or `inherit`, not 'soon'",
    ] == [str(fault) for fault in patched]


def test_a_change_is_shown_as_one_line() -> None:
    row = ThresholdRow(
        wallet="acme", category=VOICE, warning_below=1000, critical_days=OFF, note="call\nsales"
    )
    new = ThresholdRow(wallet="acme", category=VOICE, warning_below=2000, critical_days=OFF)
    lines = [
        str(RowChange(scope=row.scope, before=before, after=after))
        for before, after in ((None, row), (row, new), (new, None))
    ]
    assert [
        '+ acme:voice  warning_below 1000, critical_days off, note "call / sales"',
        '~ acme:voice  warning_below 1000 -> 2000, note "call / sales" -> inherit',
        "- acme:voice  warning_below 2000, critical_days off",
    ] == lines
