"""Lists as CSV files: every list of a page can be downloaded."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from starlette.responses import Response

from balancebot.sheet_writer import Cell, write_csv

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MAX_IN_CSV = 50_000
"""The most rows of one file."""


def csv_file(table: Iterable[Sequence[Cell]], name: str) -> Response:
    """Send cells, the header first, as CSV that Excel and WPS open correctly and in which formulas don't run."""
    return csv_response(write_csv(table), name)


def csv_response(text: str, name: str) -> Response:
    """Send text that is CSV already."""
    return file_response(text.encode("utf-8-sig"), name, "text/csv; charset=utf-8")


def file_response(data: bytes, name: str, kind: str) -> Response:
    """Send a file that the browser saves under `name`."""
    return Response(data, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def instant_cell(at: datetime | None) -> str:
    """Return an instant for machines; '' for None."""
    return "" if at is None else f"{at:%Y-%m-%dT%H:%M:%SZ}"
