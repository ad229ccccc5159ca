"""A file of apps is reloaded when it changes, and a broken new version changes nothing."""

import logging
import os

import pytest

from balancebot.config import AppsWatch, Secret, load

HEADER = "name,app_key,master_secret\n"


@pytest.fixture
def apps(tmp_path):
    path = tmp_path / "apps.csv"
    path.write_text(HEADER + "shop,k1,s1\n")
    return path


@pytest.fixture
def watch(apps, tmp_path):
    config = tmp_path / "balancebot.toml"
    config.write_text('[[accounts]]\nname = "acme"\napps_file = "apps.csv"\n')
    settings = load(config, environ={}, resolve_secrets=True)
    return AppsWatch(settings.accounts, environ={"SECRET": "s2"})


def checked_twice(watch):
    """Return the result of checking twice: a version is loaded when it is unchanged between two checks."""
    first, second = watch.check(), watch.check()
    assert first is None
    return second


def names(accounts):
    return None if accounts is None else [app.name for account in accounts for app in account.apps]


def test_the_watch_reports_no_change_after_the_start(watch):
    assert [None, None] == [watch.check(), watch.check()]


def test_a_changed_file_is_loaded_once(watch, apps):
    apps.write_text(HEADER + "shop,k1,s1\nbilling,k2,env:SECRET\n")
    (account,) = checked_twice(watch)
    assert ["shop", "billing"] == [app.name for app in account.apps]
    assert Secret("s2") == account.apps[1].master_secret
    assert watch.check() is None


def test_a_file_that_is_still_being_written_is_not_loaded(watch, apps):
    for size in (1, 2, 3):
        apps.write_text(HEADER + "".join(f"a{number},k,s\n" for number in range(size)))
        assert watch.check() is None
    assert ["a0", "a1", "a2"] == names(watch.check())


def test_a_file_that_lost_many_apps_is_loaded_after_a_minute_unless_they_come_back(apps, tmp_path, caplog):
    def write(count):
        apps.write_text(HEADER + "".join(f"app{number},k{number},s\n" for number in range(count)))

    write(20)
    config = tmp_path / "balancebot.toml"
    config.write_text('[[accounts]]\nname = "acme"\napps_file = "apps.csv"\n')
    settings = load(config, environ={}, resolve_secrets=True)
    now = [0.0]
    watch = AppsWatch(settings.accounts, environ={}, seconds=lambda: now[0])
    write(10)  # the first half of a file that is written slowly
    for _ in range(6):
        assert watch.check() is None
        now[0] += 1
    write(20)
    assert [None, None, None] == [watch.check() for _ in range(3)]
    write(10)
    assert checked_twice(watch) is None
    now[0] += 61
    assert 10 == len(names(watch.check()))
    assert ["apps_file.shrinks"] * 2 == [line.message for line in caplog.records]
    write(8)  # two of ten: loaded immediately
    assert 8 == len(names(checked_twice(watch)))


def test_a_file_that_lost_a_few_apps_and_ends_within_a_line_is_loaded_after_a_minute(apps, tmp_path):
    rows = [f"app{number},k{number},secret{number}\n" for number in range(20)]
    apps.write_text(HEADER + "".join(rows))
    config = tmp_path / "balancebot.toml"
    config.write_text('[[accounts]]\nname = "acme"\napps_file = "apps.csv"\n')
    settings = load(config, environ={}, resolve_secrets=True)
    now = [0.0]
    watch = AppsWatch(settings.accounts, environ={}, seconds=lambda: now[0])
    apps.write_text(HEADER + "".join(rows[:18])[:-4])
    for _ in range(6):
        assert watch.check() is None
        now[0] += 1
    now[0] += 61
    assert 18 == len(names(watch.check()))


def test_a_rotated_secret_of_the_same_length_is_a_change(watch, apps):
    os.utime(apps, (1, 1))
    checked_twice(watch)
    apps.write_text(HEADER + "shop,k1,s9\n")
    (account,) = checked_twice(watch)
    assert Secret("s9") == account.apps[0].master_secret


def test_a_broken_new_version_keeps_the_old_one_and_is_logged_once_with_row_and_column(watch, apps, caplog):
    apps.write_text(HEADER + "shop,k1,s1\nshop,k2,s2\n")
    with caplog.at_level(logging.INFO):
        assert [None, None, None] == [watch.check() for _ in range(3)]
    (record,) = caplog.records
    expected = f"{apps}: line 3, name: 'shop' is already the name of an app in line 2"
    assert ("apps_file.refused", "acme", 1, expected) == (
        record.message,
        record.account,
        record.kept_apps,
        record.faults,
    )


def test_a_missing_file_keeps_the_old_version_until_the_file_is_back(watch, apps, caplog):
    apps.unlink()
    assert [None, None, None] == [watch.check() for _ in range(3)]
    assert ["apps_file.refused"] == caplog.messages
    apps.write_text(HEADER + "other,k1,s1\n")
    assert ["other"] == names(checked_twice(watch))


def test_a_repaired_version_is_used_after_a_broken_one(watch, apps):
    apps.write_text(HEADER + "shop,k1\n")
    checked_twice(watch)
    apps.write_text(HEADER + "billing,k1,s1\n")
    assert ["billing"] == names(checked_twice(watch))
