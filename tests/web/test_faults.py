"""Whatever is wrong with what people write is said in their language, wherever it was found."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from openpyxl import Workbook

from balancebot.config import Language
from balancebot.domain.audit import Actor, Way
from balancebot.domain.balance import BalanceKey, Category, WalletName
from balancebot.domain.local_time import read_instant
from balancebot.domain.pattern import Pattern
from balancebot.domain.threshold import ThresholdRow
from balancebot.estimates.estimator import Estimator
from balancebot.estimates.planned_sends import PlannedSends
from balancebot.sheets import InputFault
from balancebot.store.database import Database
from balancebot.thresholds.sheet import import_sheet, read_limits
from balancebot.web.faults import FaultWords
from balancebot.web.phrases import PagePhrases
from tests.test_sheets import workbook
from tests.world import HandClock

KNOWN = (WalletName("acme/shop"), WalletName("acme/web"))
SHEETS = (
    "",
    "wallet\n",
    "wallet,category,warning\n",
    "wallet,wallet,category\n",
    "wallet,category\nacme/shop,foo\n",
    "wallet,category\nacme/shop,\n",
    "wallet,category\nacme/shop,industy\n",
    "wallet,category\nacme:voice,voice\n",
    "wallet,category\n,voice\n",
    "wallet,category\na/b/c,voice\n",
    "wallet,category\na?b,voice\n",
    "wallet,category\nacme/shop,*\nacme/shop,*\n",
    "wallet,category\nacme/shop,*,5\n",
    "wallet,category,warning_below\nacme/shp,*,5\nzzz,*,5\nnone/*,*,5\n",
    "wallet,category,warning_below,critical_below\nacme/*,*,5,10\nacme/shop,voice,,\n",
    "wallet,category,critical_days\nacme/shop,*,9\n",
    "wallet,category,warning_days\nacme/shop,*,1\n",
    *(
        f'wallet,category,{column}\nacme/shop,*,"{text}"\n'
        for column, text in (
            ("warning_below", "1.5"),
            ("warning_below", "1.000"),
            ("warning_below", "9%"),
            ("warning_below", "-3"),
            ("warning_below", "1E5"),
            ("warning_below", "many"),
            ("warning_below", "9" * 30),
            ("warning_days", "1,5"),
            ("warning_days", "0"),
            ("lead_time_days", "off"),
            ("lead_time_days", "400"),
            ("note", "x" * 1001),
            ("note", "a\x07b"),
        )
    ),
)


def _merged(book: Workbook) -> None:
    book.active.merge_cells("A1:B1")


def _twice(book: Workbook) -> None:
    for name in "ab":
        book.create_sheet(name).append(["wallet", "category"])


def found() -> Iterator[str]:
    """Yield faults as they are found, one of each kind."""
    before = [ThresholdRow(wallet="acme/shop", category=Category.VOICE, note="x", warning_below=7)]
    for text in SHEETS:
        rows, faults = read_limits(text.encode())
        edited = import_sheet(rows, before, KNOWN)
        for fault in (*faults, *edited.faults, *edited.warnings):
            yield fault.message
    for data in (b"\xd0\xcf\x11\xe0", b"PK\x03\x04", b"\xff\x00\xff", b'wallet,category\n"x'):
        for fault in read_limits(data)[1]:
            yield fault.message
    for fill in (_merged, _twice):
        for fault in read_limits(workbook(fill))[1]:
            yield fault.message
    for text in ("", "a:foo", "a:indstry", "a?"):
        yield str(Pattern.parse(text))
    for text in ("soon", "2026-03-29T02:30", "2026-10-25T02:30"):
        yield str(read_instant(text, ZoneInfo("Europe/Berlin")))


@pytest.fixture
def chinese() -> FaultWords:
    return FaultWords(Language.CHINESE, PagePhrases(Language.CHINESE))


def test_every_fault_of_sheets_forms_patterns_and_times_is_said_in_chinese(chinese: FaultWords) -> None:
    messages = sorted(set(found()))
    assert 35 <= len(messages)
    assert [] == [message for message in messages if chinese(message) == message]


def test_faults_of_announced_sends_are_said_in_chinese(chinese: FaultWords, database: Database) -> None:
    announce = PlannedSends(
        database=database,
        clock=HandClock(),
        known=lambda: KNOWN,
        estimator=Estimator(zone="UTC", confidence=0.75),
    )

    def refused(
        wallet: str = "acme/shop", messages: int = 5, hours: int = 1, note: str = "", year: int = 2026
    ) -> str:
        made = announce.announce(
            BalanceKey(WalletName(wallet), Category.VOICE),
            messages=messages,
            starts_at=datetime(year, 12, 1, tzinfo=UTC),
            over=timedelta(hours=hours),
            note=note,
            by=Actor(who="finance", way=Way.PAGE),
        )
        assert isinstance(made, str)
        return made

    faults = (
        refused(wallet="acme/shp"),
        refused(messages=0),
        refused(hours=0),
        refused(note="x" * 1001),
        refused(year=2020),
    )
    assert [] == [fault for fault in faults if chinese(fault) == fault]


def test_a_fault_inside_a_fault_and_the_names_of_columns_are_said_too(chinese: FaultWords) -> None:
    fault = InputFault(
        message="acme/shop:voice: critical_below 10 (from acme/*:*) is looser than warning_below 5 (built in), "
        "and 3 more",
        line=3,
        column="critical_below",
    )
    assert (
        "第 3 行, 严重余量：acme/shop:voice：严重余量 10（来自 acme/*:*）比预警余量 5（内置）更宽松，另有 3 项"
        == chinese.placed(fault)
    )


def test_what_is_not_recognised_is_shown_as_it_is_and_english_stays_english(chinese: FaultWords) -> None:
    assert "something new" == chinese("something new")
    english = FaultWords(Language.ENGLISH, PagePhrases(Language.ENGLISH))
    assert "line 2, Note: holds a control character" == english.placed(
        InputFault(message="holds a control character", line=2, column="note")
    )
