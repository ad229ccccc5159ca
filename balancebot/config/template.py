"""The configuration that `balancebot init` writes: every key with its default and what it is for."""

from pathlib import Path


def template() -> str:
    """Return the commented configuration, ready to be filled in."""
    return Path(__file__).with_name("template.toml").read_text(encoding="utf-8")
