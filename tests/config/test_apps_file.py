"""An account's file of apps is loaded completely or refused completely, at the start and at every reload."""

from pathlib import Path

import pytest

from balancebot.config import AccountConfig, AppConfig, Secret, reread_apps

KEPT = AppConfig(name="checkout", app_key=Secret("k"), master_secret=Secret("s"))


@pytest.fixture
def reread(tmp_path: Path):
    def reread(data: bytes) -> AccountConfig | list[str]:
        path = tmp_path / "apps.csv"
        path.write_bytes(data)
        old = AppConfig(name="old", app_key=KEPT.app_key, master_secret=KEPT.master_secret, from_file=True)
        answer = reread_apps(
            AccountConfig(name="acme", apps=(KEPT, old), apps_file=path), environ={"S": "s2"}
        )
        return (
            answer
            if isinstance(answer, AccountConfig)
            else [str(fault).removeprefix(f"{path}: ") for fault in answer]
        )

    return reread


def test_the_apps_of_the_file_replace_its_earlier_apps_and_no_others(reread, tmp_path: Path) -> None:
    listed = AppConfig(name="注册", app_key=Secret("k2"), master_secret=Secret("s2"), from_file=True)
    data = "\ufeffapp_key, name,master_secret\r\n\r\nk2,注册,env:S\r\n,,\r\n".encode()
    assert AccountConfig(name="acme", apps=(KEPT, listed), apps_file=tmp_path / "apps.csv") == reread(data)


def test_every_fault_is_reported_with_its_line_and_column(reread) -> None:
    data = b'name,app_key,master_secret\n"a\nb",k,s\nsignup,,env:NO\ncheckout,k,s\nsignup,k,s\nlogin,k\n'
    assert [
        r"line 2, name: holds '\n': a name has letters, digits, space, '_', '.' and '-'",
        "line 4, app_key: is empty",
        "line 4, master_secret: the environment variable NO isn't set",
        "line 5, name: 'checkout' is already the name of an app in accounts[0].apps",
        "line 6, name: 'signup' is already the name of an app in line 4",
        "line 7: has 2 cells where the header has 3",
    ] == [line.replace("the configuration", "accounts[0].apps") for line in reread(data)]


def test_the_column_of_owners_is_optional_and_its_cells_may_be_empty(reread) -> None:
    account = reread("owner,name,app_key,master_secret\n门店,a,k,s\n,b,k,s\n".encode())
    assert isinstance(account, AccountConfig)
    assert [None, "门店", None] == [app.owner for app in account.apps]
    assert ["line 2, owner: is longer than 100 characters"] == reread(
        b"name,app_key,master_secret,owner\na,k,s," + b"x" * 101
    )


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "line 1: the columns must be name,app_key,master_secret, each once, and may have owner"),
        (
            b"name,app_key\n",
            "line 1: the columns must be name,app_key,master_secret, each once, and may have owner",
        ),
        (b"name,appkey,master_secret\n", "line 1: column 2 is unknown; did you mean app_key?"),
        (b"checkout,SECRET,SECRET\n", "line 1: column 1 is unknown"),
        (b"name,app_key,master_secret\na,k\n", "line 2: has 2 cells where the header has 3"),
        (b'name,app_key,master_secret\n\na,"k\n', "line 3: unexpected end of data"),
        (b"\xff\xfe", "isn't UTF-8 text"),
    ],
)
def test_a_file_that_is_not_a_table_of_apps_is_one_fault(reread, data: bytes, expected: str) -> None:
    assert [expected] == reread(data)


def test_an_account_without_a_file_is_unchanged() -> None:
    account = AccountConfig(name="acme", apps=(KEPT,))
    assert account is reread_apps(account, environ={})
