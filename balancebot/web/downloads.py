"""Lists as CSV files: every list that a page shows can be taken as one."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from starlette.responses import Response

from balancebot.sheet_writer import Cell, write_csv

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MAX_IN_CSV = 50_000
"""Rows of one file."""


def csv_file(table: Iterable[Sequence[Cell]], name: str) -> Response:
    """Send cells, the header first, as CSV that Excel and WPS open as they should and don't run."""
    return csv_response(write_csv(table), name)


def csv_response(text: str, name: str) -> Response:
    """Send CSV that was written."""
    return file_response(text.encode("utf-8-sig"), name, "text/csv; charset=utf-8")


def file_response(data: bytes, name: str, kind: str) -> Response:
    """Send a file that the browser saves under a name."""
    return Response(data, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def instant_cell(at: datetime | None) -> str:
    """Write an instant for machines; '' for none."""
    return "" if at is None else f"{at:%Y-%m-%dT%H:%M:%SZ}"
