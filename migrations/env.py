"""Runs the migrations: inside the program with the connection it hands over, else with `alembic -x url=…`.

It leaves the loggers alone: Alembic's stock environment would silence the program's.
"""

from alembic import context
from sqlalchemy import Connection

from balancebot.store.database import Database
from balancebot.store.indices import metadata


def migrate(connection: Connection) -> None:
    """Run what was asked for within the connection's transaction."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def from_command_line() -> None:
    """Open the database that `-x url=…` names."""
    url = context.get_x_argument(as_dictionary=True).get("url")
    if url is None:
        raise SystemExit("say which database: alembic -x url=sqlite:///FILE …")
    database = Database(url)
    with database.migrating() as connection:
        migrate(connection)
    database.dispose()


handed_over: Connection | None = context.config.attributes.get("connection")
if context.is_offline_mode():
    raise SystemExit("balancebot's migrations look at the database: run them without --sql")
if handed_over is None:
    from_command_line()
else:
    migrate(handed_over)
