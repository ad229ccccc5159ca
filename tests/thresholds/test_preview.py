"""Before limits are changed: which alerts would open or close, and what they would have told in the last month."""

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
    """A month of the showcase, which no test changes."""
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


def look(world: World, row: ThresholdRow) -> PresentEffects:
    """Return what it would do if `row` stood instead of what stands."""
    return preview(world).ahead(book(world), ThresholdBook([row]), [row.scope], now=world.clock.now())


def look_back(world: World, row: ThresholdRow) -> PastEffects:
    return preview(world).back(book(world), ThresholdBook([row]), [row.scope], now=world.clock.now())


def shop(**limits: int) -> ThresholdRow:
    return ThresholdRow(wallet=SHOP, category=Category.INDUSTRY, **limits)  # type: ignore[arg-type]


def effects(prospect: PresentEffects) -> list[tuple[BalanceKey, Effect, Severity]]:
    return [(shift.balance, shift.effect, shift.after) for shift in prospect.shifts]


def watch(world: World, reading: int, **limits: float) -> None:
    world.configure(SHOP, WEB)
    if limits:
        world.limit(SHOP, "industry", **limits)
    world.shows(industry(reading), wallet=SHOP)
    world.shows(industry(reading), wallet=WEB)
    world.poll()


def test_a_tighter_limit_opens_an_alert_only_of_the_balance_it_applies_to(world: World) -> None:
    watch(world, 300)
    prospect = look(world, shop(warning_below=1000, critical_below=100))
    assert [(SHOP_INDUSTRY, Effect.OPENS, Severity.WARNING)] == effects(prospect)
    assert 1 == prospect.num_moved


def test_a_looser_limit_closes_it_only_past_the_margin(world: World) -> None:
    watch(world, 300, warning_below=1000)
    assert [(SHOP_INDUSTRY, Effect.CLOSES, Severity.OK)] == effects(look(world, shop(warning_below=200)))
    assert [] == effects(look(world, shop(warning_below=299)))


def test_an_open_alert_worsens_or_eases(world: World) -> None:
    watch(world, 300, warning_below=1000, critical_below=100)
    assert [(SHOP_INDUSTRY, Effect.WORSENS, Severity.CRITICAL)] == effects(
        look(world, shop(warning_below=1000, critical_below=500))
    )
    watched = World(world.database, clock=world.clock)
    watched.limit("acme/web", "industry", critical_below=500)
    watched.shows(industry(300), wallet=WEB)
    watched.poll()
    row = ThresholdRow(wallet="acme/web", category=Category.INDUSTRY, warning_below=500)
    eased = look(world, row)
    assert [(BalanceKey(WEB, Category.INDUSTRY), Effect.EASES, Severity.WARNING)] == effects(eased)


def test_what_cannot_be_read_now_is_not_guessed_at(world: World) -> None:
    watch(world, 300)
    world.clock.pass_by(minutes=31)
    assert [] == effects(look(world, shop(warning_below=1000)))


def test_the_look_back_puts_the_new_limits_next_to_those_of_today(world: World) -> None:
    world.limit(showcase.CHECKOUT, "industry", warning_days=-1, critical_days=-1, warning_below=5_000)
    showcase.fill(world)
    row = ThresholdRow(
        wallet=showcase.CHECKOUT,
        category=Category.INDUSTRY,
        warning_below=70_000,
        warning_days=OFF,
        critical_days=OFF,
    )
    (comparison,) = look_back(world, row).comparisons

    assert () == comparison.before
    bought, still = comparison.after
    assert (Ending.TOPPED_UP, Ending.STILL_OPEN) == (bought.ending, still.ending)
    # 70,000 at 9,500 a day, bought when about 40,000 were left
    assert bought.notice is not None
    assert timedelta(days=2) < bought.notice < timedelta(days=5)


def test_limits_in_days_are_looked_back_at_with_what_was_known_then(watched: World) -> None:
    row = ThresholdRow(wallet=showcase.CHECKOUT, category=Category.INDUSTRY, warning_days=14, critical_days=1)
    (comparison,) = look_back(watched, row).comparisons
    assert len(comparison.before) >= 1
    assert comparison.after[0].opened_at < comparison.before[0].opened_at


def test_steady_usage_opens_one_alert_each_time_it_runs_low_at_any_hour(watched: World) -> None:
    row = ThresholdRow(wallet=showcase.CHECKOUT, category=Category.INDUSTRY, warning_days=10, critical_days=4)
    (comparison,) = look_back(watched, row).comparisons
    assert [
        ([Severity.WARNING], Ending.TOPPED_UP),
        ([Severity.WARNING, Severity.CRITICAL], Ending.STILL_OPEN),
    ] == [([told.severity for told in day.notices], day.ending) for day in comparison.after]


def test_a_pattern_looks_back_at_the_balances_that_run_out_first(watched: World) -> None:
    row = ThresholdRow(wallet="*", warning_days=30)
    comparisons = look_back(watched, row).comparisons
    names = {str(comparison.balance) for comparison in comparisons}
    assert {"acme/checkout:industry", "acme/checkout:voice", "acme/营销活动:market"} <= names
    assert (20, 8) == (look(watched, row).num_moved, len(comparisons))
