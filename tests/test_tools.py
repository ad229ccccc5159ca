"""The programs in tools/ work with the present code."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PATIENCE

_ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_every_flow_is_counted() -> None:
    command = [sys.executable, str(_ROOT / "tools" / "flows.py"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "" == done.stderr
    found = json.loads(done.stdout)

    assert [
        "calm poll of one wallet",
        "poll that opens an alert",
        "Slack delivery",
        "Slack button (acknowledge)",
        "threshold edit (web)",
        "wallet page (web)",
    ] == list(found["flows"])
    assert [] == [
        name
        for name, flow in found["flows"].items()
        if not (flow["sql_statements"] and flow["transactions"] and flow["files_entered"])
    ]
    assert 0 < found["package"]["python_files"] < found["package"]["lines"]
    at_most = {"calm poll of one wallet": 22, "Slack button (acknowledge)": 8}
    assert {} == {
        name: found["flows"][name]["sql"]
        for name, bound in at_most.items()
        if found["flows"][name]["sql_statements"] > bound
    }


def test_the_newcomer_check_uses_the_commands_of_the_readme() -> None:
    command = [sys.executable, str(_ROOT / "tools" / "walk.py"), "--list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    readme = (_ROOT / "README.md").read_text()
    assert [] == [line for line in listed if line not in readme]
    assert ["python3 -m venv", "pip install .", "balancebot simulate --port"] == [
        " ".join(line.split()[:3]) for line in listed[:3]
    ]
    assert "balancebot run" == listed[-1]


def test_the_site_has_every_page_and_no_broken_link(tmp_path: Path) -> None:
    subprocess.run([sys.executable, _ROOT / "tools" / "site.py", tmp_path], check=True, timeout=PATIENCE)
    pages = {page.relative_to(tmp_path).as_posix() for page in tmp_path.rglob("*.md")}
    listed = re.findall(r"^ +- .*: (\S+\.md)$", (_ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(pages) == sorted(listed)
    for page in pages:
        for link in re.findall(r"\]\((?![a-z]+:|#)([^)#\s]+)", (tmp_path / page).read_text()):
            assert (tmp_path / page).parent.joinpath(link).exists(), f"{page}: {link}"
