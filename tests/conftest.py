"""What every test may ask for."""

import pytest

pytest_plugins = (
    "tests.databases",
    "tests.web.browser",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the switch that writes golden files anew."""
    parser.addoption(
        "--update-golden", action="store_true", help="write the golden files anew: look at their difference"
    )
