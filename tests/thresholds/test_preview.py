"""The preview of changed limits: alerts that would open or close, and those of the last month."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from balancebot.domain.balance import BalanceKey, Category
from balancebot.domain.threshold import OFF, ThresholdBook, ThresholdRow
from balancebot.domain.verdict import Severity
from balancebot.forecast.backtest import Ending
from balancebot.store import thresholds
from balancebot.store.database import Database
from balancebot.thresholds.preview import Backtest, Effect, PastEffects, PresentEffects, PreviewLimits
from tests.web import showcase
from tests.world import SHOP, WEB, World, industry

SHOP_INDUSTRY = BalanceKey(SHOP, Category.INDUSTRY)


@pytest.fixture
def world(sqlite_url: str) -> World:
    return World(Database(sqlite_url))


@pytest.fixture(scope="module")
def watched(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A month of the showcase; tests must not change it."""
    file = tmp_path_factory.mktemp("watched") / "balancebot.db"
    shutil.copyfile(sqlite_template, file)
    world = World(Database(f"sqlite:///{file}"))
    showcase.fill(world)
    return world


def preview(world: World) -> PreviewLimits:
    return PreviewLimits(
        database=world.database,
        backtest=Backtest(zone="Asia/Shanghai", confidence=0.75, margin=0.05),
        stale_after=timedelta(minutes=30),
    )


def book(world: World) -> ThresholdBook:
    with world.database.read() as conn:
        return ThresholdBook(thresholds.load(conn))


def present_effects(world: World, row: ThresholdRow) -> PresentEffects:
    """Return the effects of replacing the present row by `row`."""
    return preview(world).ahead(book(world), ThresholdBook([row]), [row.scope], now=world.clock.now())


def past_effects(world: World, row: ThresholdRow) -> PastEffects:
    return preview(world).back(book(world), ThresholdBook([row]), [row.scope], now=world.clock.now())


def shop(**limits: int) -> ThresholdRow:
    return ThresholdRow(wallet=SHOP, category=Category.INDUSTRY, **limits)  # type: ignore[arg-type]


def effects(present: PresentEffects) -> list[tuple[BalanceKey, Effect, Severity]]:
    return [(shift.balance, shift.effect, shift.after) for shift in present.shifts]


def watch(world: World, reading: int, **limits: float) -> None:
    world.configure(SHOP, WEB)
    if limits:
        world.limit(SHOP, "industry", **limits)
    world.shows(industry(reading), wallet=SHOP)
    world.shows(industry(reading), wallet=WEB)
    world.poll()


def test_a_tighter_limit_opens_an_alert_only_of_the_balance_it_applies_to(world: World) -> None:
    watch(world, 300)
    present = present_effects(world, shop(warning_below=1000, critical_below=100))
    assert [(SHOP_INDUSTRY, Effect.OPENS, Severity.WARNING)] == effects(present)
    assert 1 == present.num_moved


def test_a_looser_limit_closes_an_alert_only_beyond_the_margin(world: World) -> None:
    watch(world, 300, warning_below=1000)
    assert [(SHOP_INDUSTRY, Effect.CLOSES, Severity.OK)] == effects(
        present_effects(world, shop(warning_below=200))
    )
    assert [] == effects(present_effects(world, shop(warning_below=299)))


def test_the_preview_shows_that_an_open_alert_worsens_or_eases(world: World) -> None:
    watch(world, 300, warning_below=1000, critical_below=100)
    assert [(SHOP_INDUSTRY, Effect.WORSENS, Severity.CRITICAL)] == effects(
        present_effects(world, shop(warning_below=1000, critical_below=500))
    )
    watched = World(world.database, clock=world.clock)
    watched.limit("acme/web", "industry", critical_below=500)
    watched.shows(industry(300), wallet=WEB)
    watched.poll()
    row = ThresholdRow(wallet="acme/web", category=Category.INDUSTRY, warning_below=500)
    eased = present_effects(world, row)
    assert [(BalanceKey(WEB, Category.INDUSTRY), Effect.EASES, Severity.WARNING)] == effects(eased)


def test_a_wallet_that_cannot_be_read_now_has_no_preview(world: World) -> None:
    watch(world, 300)
    world.clock.pass_by(minutes=31)
    assert [] == effects(present_effects(world, shop(warning_below=1000)))


def test_the_backtest_compares_the_new_limits_with_the_present_ones(world: World) -> None:
    world.limit(showcase.CHECKOUT, "industry", warning_days=-1, critical_days=-1, warning_below=5_000)
    showcase.fill(world)
    row = ThresholdRow(
        wallet=showcase.CHECKOUT,
        category=Category.INDUSTRY,
        warning_below=70_000,
        warning_days=OFF,
        critical_days=OFF,
    )
    (comparison,) = past_effects(world, row).comparisons

    assert () == comparison.before
    bought, still = comparison.after
    assert (Ending.TOPPED_UP, Ending.STILL_OPEN) == (bought.ending, still.ending)
    # 70,000 bought with about 40,000 left, at a usage of 9,500 a day
    assert bought.notice is not None
    assert timedelta(days=2) < bought.notice < timedelta(days=5)


def test_limits_in_days_are_backtested_with_the_runways_of_that_time(watched: World) -> None:
    row = ThresholdRow(wallet=showcase.CHECKOUT, category=Category.INDUSTRY, warning_days=14, critical_days=1)
    (comparison,) = past_effects(watched, row).comparisons
    assert len(comparison.before) >= 1
    assert comparison.after[0].opened_at < comparison.before[0].opened_at


def test_steady_usage_opens_one_alert_each_time_the_balance_runs_low(watched: World) -> None:
    row = ThresholdRow(wallet=showcase.CHECKOUT, category=Category.INDUSTRY, warning_days=10, critical_days=4)
    (comparison,) = past_effects(watched, row).comparisons
    assert [
        ([Severity.WARNING], Ending.TOPPED_UP),
        ([Severity.WARNING, Severity.CRITICAL], Ending.STILL_OPEN),
    ] == [([notice.severity for notice in day.notices], day.ending) for day in comparison.after]


def test_the_backtest_of_a_pattern_covers_the_balances_that_run_out_first(watched: World) -> None:
    row = ThresholdRow(wallet="*", warning_days=30)
    comparisons = past_effects(watched, row).comparisons
    names = {str(comparison.balance) for comparison in comparisons}
    assert {"acme/checkout:industry", "acme/checkout:voice", "acme/营销活动:market"} <= names
    assert (20, 8) == (present_effects(watched, row).num_moved, len(comparisons))
