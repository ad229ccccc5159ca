"""Days that are over are packed: one compressed value per wallet and day in place of a row per reading or hour.

On the way up the program packs what there is, a piece at a time while it runs; on the way down every row comes back.
"""

import zlib
from collections.abc import Iterator, Sequence
from itertools import repeat

import msgspec
import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_CATEGORIES = ("universal", "voice", "industry", "market")
_OF_HOURS = ("used", "exposure", "topped_up", "transferred", "refunded", "moved_out", "after")
_PACKED = (
    ("packed_snapshots", "snapshots", "observed_at", 86_400, _CATEGORIES),
    (
        "packed_hours",
        "hourly_use",
        "hour",
        24,
        tuple(
            name
            for category in _CATEGORIES
            for name in (category, *(f"{category}_{column}" for column in _OF_HOURS))
        ),
    ),
)


def upgrade() -> None:
    """Make the tables."""
    for name, *_ in _PACKED:
        op.create_table(
            name,
            sa.Column("day", sa.Integer(), nullable=False),
            sa.Column("wallet_id", sa.Integer(), nullable=False),
            sa.Column("num_rows", sa.Integer(), nullable=False),
            sa.Column("data", sa.LargeBinary(), nullable=False),
            sa.PrimaryKeyConstraint("day", "wallet_id", name=f"pk_{name}"),
        )


def downgrade() -> None:
    """Unpack every day into rows where there is none yet, and drop the tables."""
    connection = op.get_bind()
    for name, table, time, per_day, columns in _PACKED:
        names = ", ".join(columns)
        values = ", ".join(f":{column}" for column in columns)
        insert = sa.text(
            f"INSERT INTO {table} ({time}, wallet_id, {names}) VALUES (:{time}, :wallet_id, {values}) "  # noqa: S608 -- our own names
            "ON CONFLICT DO NOTHING"
        )
        days = connection.execute(sa.text(f"SELECT DISTINCT day FROM {name}")).scalars().all()  # noqa: S608 -- our own names
        for day in days:
            packed = sa.text(f"SELECT wallet_id, data FROM {name} WHERE day = :day")  # noqa: S608 -- our own names
            for wallet_id, data in connection.execute(packed, {"day": day}).all():
                rows = _rows(bytes(data), day * per_day, columns)
                connection.execute(
                    insert,
                    [
                        {time: at, "wallet_id": wallet_id, **dict(zip(columns, row, strict=True))}
                        for at, row in rows
                    ],
                )
        op.drop_table(name)


def _rows(data: bytes, begin: int, names: Sequence[str]) -> Iterator[tuple[int, tuple[int | None, ...]]]:
    """Yield the time and the columns of each row: times and readings were kept as differences, in lists by column."""
    times, *columns = msgspec.msgpack.decode(zlib.decompress(data))
    values = [
        repeat(None, len(times))
        if column is None
        else _sums(column, 0)
        if name in _CATEGORIES
        else iter(column)
        for name, column in zip(names, columns, strict=True)
    ]
    for at, *row in zip(_sums(times, begin), *values, strict=True):
        assert at is not None  # noqa: S101 -- a time is always there
        yield at, tuple(row)


def _sums(steps: Sequence[int | None], value: int) -> Iterator[int | None]:
    for step in steps:
        if step is None:
            yield None
        else:
            value += step
            yield value
