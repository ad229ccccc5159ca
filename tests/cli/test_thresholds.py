"""`thresholds`: finance's limits; a change is applied completely or not at all, and has a history. No secret is needed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Outcome

Run = Callable[..., Outcome]
pytestmark = pytest.mark.usefixtures("config")


def _listed(balancebot: Run) -> list[dict[str, Any]]:
    outcome = balancebot("thresholds", "list", "--json")
    assert (0, "") == (outcome.status, outcome.err)
    rows: list[dict[str, Any]] = json.loads(outcome.out)["thresholds"]
    for row in rows:
        assert row.pop("updated_at").endswith("Z")
        assert row.pop("updated_by")
    return rows


def test_set_changes_only_the_columns_it_is_given(balancebot: Run) -> None:
    balancebot("thresholds", "set", "acme/*", "industry", "--warning-below", "20,000", "--note", "call sales")
    outcome = balancebot("thresholds", "set", "acme/*", "industry", "--critical-days", "off")
    assert (0, "~ acme/*:industry  critical_days inherit -> off\n") == (outcome.status, outcome.out)
    assert [
        {
            "wallet": "acme/*",
            "category": "industry",
            "warning_below": 20000,
            "critical_below": None,
            "warning_days": None,
            "critical_days": "off",
            "lead_time_days": None,
            "note": "call sales",
        }
    ] == _listed(balancebot)


def test_unset_removes_a_row_and_the_second_time_changes_nothing(balancebot: Run) -> None:
    balancebot("thresholds", "set", "acme", "*", "--warning-days", "10")
    assert "- acme:*  warning_days 10\n" == balancebot("thresholds", "unset", "acme", "*").out
    assert (0, "Nothing to change.\n") == (
        (again := balancebot("thresholds", "unset", "acme", "*")).status,
        again.out,
    )
    assert [] == _listed(balancebot)


def test_an_unknown_wallet_is_refused_with_the_nearest(balancebot: Run) -> None:
    outcome = balancebot("thresholds", "set", "acme/chekout", "voice", "--warning-days", "5")
    assert 1 == outcome.status
    assert "no wallet acme/chekout is configured; did you mean acme/checkout?" in outcome.err
    assert [] == _listed(balancebot)


def test_a_critical_limit_looser_than_the_warning_is_refused(balancebot: Run) -> None:
    outcome = balancebot(
        "thresholds", "set", "acme", "voice", "--warning-below", "10", "--critical-below", "20"
    )
    assert 1 == outcome.status
    assert "acme:voice: critical_below 20 (from acme:voice) is looser than warning_below 10" in outcome.err


@pytest.mark.parametrize(
    "words",
    [
        ("acme", "fax", "--warning-days", "5"),
        ("acme:voice", "voice", "--warning-days", "5"),
        ("acme", "voice"),
    ],
    ids=["category", "wallet", "no column"],
)
def test_wrong_usage_is_status_2(words: tuple[str, ...], balancebot: Run) -> None:
    assert 2 == balancebot("thresholds", "set", *words).status


def test_all_invalid_numbers_are_listed_as_wrong_usage(balancebot: Run) -> None:
    outcome = balancebot(
        "thresholds", "set", "acme", "voice", "--warning-below", "many", "--critical-days", "0"
    )
    assert (2, "") == (outcome.status, outcome.out)
    assert [
        "--warning-below: must be a number, `off` or `inherit`, not 'many'",
        "--critical-days: must be above 0 days; `off` means no limit",
    ] == outcome.err.splitlines()


def test_importing_an_export_changes_nothing(balancebot: Run, tmp_path: Path) -> None:
    balancebot("thresholds", "set", "acme/结账", "market", "--critical-below", "5", "--note", "=1+1")
    assert 0 == balancebot("thresholds", "export", "sheet.csv").status
    assert (
        "wallet,category,warning_below,critical_below,warning_days,critical_days,lead_time_days,note\n"
        "acme/结账,market,,5,,,,'=1+1\n"
    ) == (tmp_path / "sheet.csv").read_text()
    assert "Nothing to change.\n" == balancebot("thresholds", "import", "sheet.csv").out


def test_importing_an_exported_workbook_changes_nothing(balancebot: Run, tmp_path: Path) -> None:
    balancebot("thresholds", "set", "acme/结账", "market", "--critical-below", "5", "--note", "=1+1")
    assert 0 == balancebot("thresholds", "export", "sheet.XLSX").status
    assert (tmp_path / "sheet.XLSX").read_bytes().startswith(b"PK")
    assert "Nothing to change.\n" == balancebot("thresholds", "import", "sheet.XLSX").out
    balancebot("thresholds", "unset", "acme/结账", "market")
    assert (
        '+ acme/结账:market  critical_below 5, note "=1+1"\n'
        == balancebot("thresholds", "import", "sheet.XLSX").out
    )


def test_an_effective_export_has_every_balance_with_its_limits(balancebot: Run) -> None:
    balancebot("thresholds", "set", "acme/*", "voice", "--warning-below", "100")
    lines = balancebot("thresholds", "export", "-", "--all").out.splitlines()
    assert 1 + 1 + 3 * 4 == len(lines)
    assert "acme/checkout,voice,,,,,,,100,,7,3,3," in lines


def test_a_dry_run_shows_the_difference_and_changes_nothing(balancebot: Run, tmp_path: Path) -> None:
    (tmp_path / "sheet.csv").write_text("wallet,category,warning_below\nacme,*,100\n")
    outcome = balancebot("thresholds", "import", "sheet.csv", "--dry-run")
    assert (0, "+ acme:*  warning_below 100\n") == (outcome.status, outcome.out)
    assert [] == _listed(balancebot)
    assert 0 == balancebot("thresholds", "import", "sheet.csv").status
    assert ["acme"] == [row["wallet"] for row in _listed(balancebot)]


def test_a_faulty_sheet_is_refused_completely_with_every_fault_and_its_place(
    balancebot: Run, tmp_path: Path
) -> None:
    (tmp_path / "sheet.csv").write_text(
        "wallet,category,warning_below\nacme,voice,100\nacme,fax,1\nacme/nobody,voice,x\n"
    )
    outcome = balancebot("thresholds", "import", "sheet.csv")
    assert (1, "") == (outcome.status, outcome.out)
    assert [
        "sheet.csv: line 3, category: there is no category 'fax': write one of universal, voice, industry, market, "
        "or * for all",
        "sheet.csv: line 4, wallet: no wallet acme/nobody is configured",
        "sheet.csv: line 4, warning_below: must be a number, `off` or `inherit`, not 'x'",
        "Nothing was changed.",
    ] == outcome.err.splitlines()
    assert [] == _listed(balancebot)


def test_history_lists_every_change_newest_first(balancebot: Run, tmp_path: Path) -> None:
    (tmp_path / "sheet.csv").write_text("wallet,category,warning_below\nacme,voice,100\n")
    balancebot("thresholds", "import", "sheet.csv")
    balancebot("thresholds", "set", "acme", "voice", "--warning-below", "50")
    balancebot("thresholds", "unset", "acme", "voice")
    lines = balancebot("thresholds", "history").out.splitlines()[1:]
    texts = [line.split("acme:voice")[1].strip() for line in lines]
    assert [
        "removed warning_below 50",
        "warning_below 100 -> 50",
        "warning_below inherit -> 100",
    ] == texts
    assert ["cli", "cli", "sheet"] == [line.split("acme:voice")[0].split()[-1] for line in lines]


def test_a_faulty_configuration_is_refused_with_all_its_faults(balancebot: Run, config: Path) -> None:
    config.write_text('zone = "UTC"\n[[accounts]]\nname = "acme"\ndev_kee = "x"\n')
    outcome = balancebot("thresholds", "list")
    assert (2, "") == (outcome.status, outcome.out)
    assert 2 <= len(outcome.err.splitlines())
    assert "Traceback" not in outcome.err


def test_a_database_that_cannot_be_opened_is_reported_in_one_line(balancebot: Run, config: Path) -> None:
    config.write_text(config.read_text() + '[database]\nurl = "sqlite:///nowhere/here.db"\n')
    outcome = balancebot("thresholds", "list")
    assert (1, "", 1) == (outcome.status, outcome.out, len(outcome.err.splitlines()))


def test_the_history_as_json_has_every_change(balancebot: Run) -> None:
    balancebot("thresholds", "set", "acme", "voice", "--warning-days", "10")
    balancebot("thresholds", "unset", "acme", "voice")
    removed, made = json.loads(balancebot("thresholds", "history", "--json").out)["changes"]
    assert made.pop("at").endswith("Z")
    assert made.pop("who")
    row = {"warning_days": "10"}
    assert {"way": "cli", "wallet": "acme", "category": "voice", "before": None, "after": row} == made
    assert (row, None) == (removed["before"], removed["after"])


def test_diff_shows_how_the_rows_differ_from_a_file_and_import_with_prune_makes_them_equal(
    balancebot: Run, tmp_path: Path
) -> None:
    balancebot("thresholds", "set", "acme", "*", "--warning-days", "10")
    balancebot("thresholds", "set", "acme/checkout", "voice", "--warning-below", "1000")
    file = tmp_path / "limits.csv"
    file.write_text("wallet,category,warning_below,note\nacme/checkout,voice,5万,call sales\n*,market,20k,\n")
    changes = (
        "+ *:market  warning_below 20000\n"
        "- acme:*  warning_days 10\n"
        '~ acme/checkout:voice  warning_below 1000 -> 50000, note inherit -> "call sales"\n'
    )
    different = balancebot("thresholds", "diff", str(file))
    assert (1, changes, "") == (different.status, different.out, different.err)

    dry_run = balancebot("thresholds", "import", "--prune", "--dry-run", str(file))
    assert (0, changes) == (dry_run.status, dry_run.out)
    assert "3 rows would change; nothing was changed." in dry_run.err
    assert 1 == balancebot("thresholds", "diff", str(file)).status

    made = balancebot("thresholds", "import", "--prune", str(file))
    assert (0, changes) == (made.status, made.out)
    equal = balancebot("thresholds", "diff", str(file))
    assert (0, "No difference.\n") == (equal.status, equal.out)
    assert ["*", "acme/checkout"] == [row["wallet"] for row in _listed(balancebot)]
    latest = json.loads(balancebot("thresholds", "history", "--json").out)["changes"]
    assert {"sheet"} == {change["way"] for change in latest[:3]}
    assert [None] == [change["after"] for change in latest[:3] if change["wallet"] == "acme"]


def test_import_without_prune_keeps_other_rows_and_an_export_does_not_differ(
    balancebot: Run, tmp_path: Path
) -> None:
    balancebot("thresholds", "set", "acme", "*", "--warning-days", "10")
    file = tmp_path / "limits.csv"
    file.write_text("wallet,category,warning_below\nacme,voice,500\n")
    balancebot("thresholds", "import", str(file))
    assert 2 == len(_listed(balancebot))
    for name, every in (
        ("rows.csv", ()),
        ("rows.xlsx", ()),
        ("all.csv", ("--all",)),
        ("all.xlsx", ("--all",)),
    ):
        balancebot("thresholds", "export", str(tmp_path / name), *every)
        assert (0, "No difference.\n") == (
            (equal := balancebot("thresholds", "diff", str(tmp_path / name))).status,
            equal.out,
        )


def test_diff_of_a_faulty_file_names_its_faults(balancebot: Run, tmp_path: Path) -> None:
    file = tmp_path / "limits.csv"
    file.write_text("wallet,category,warning_below\nacme,voice,many\n")
    outcome = balancebot("thresholds", "diff", str(file))
    assert (1, "") == (outcome.status, outcome.out)
    assert "line 2, warning_below: must be a number" in outcome.err
