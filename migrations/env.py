"""Run the migrations: within the program with its connection, or on the command line with `alembic -x url=…`.

The loggers aren't changed: Alembic's default environment would silence those of the program.
"""

from alembic import context
from sqlalchemy import Connection

from balancebot.store.database import Database
from balancebot.store.indices import metadata


def migrate(connection: Connection) -> None:
    """Run the requested migrations within the connection's transaction."""
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


of_program: Connection | None = context.config.attributes.get("connection")
if context.is_offline_mode():
    raise SystemExit("balancebot's migrations look at the database: run them without --sql")
if of_program is None:
    from_command_line()
else:
    migrate(of_program)
