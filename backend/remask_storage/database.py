"""The database of a service: SQLite by default, PostgreSQL by URL, one schema for both.

Label Studio owns tasks and annotations. This store owns what it does not keep: every click with
its time and what the model answered, and which annotation it ended up in.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import (
    URL,
    BigInteger,
    Connection,
    Engine,
    MetaData,
    create_engine,
    event,
    inspect,
    make_url,
)
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    NoSuchModuleError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from remask_core.errors import InputError, Unavailable, WrongState
from remask_storage.click_tables import metadata
from remask_storage.locks import serialise, try_to_hold
from remask_storage.private_files import make_private_file, make_private_folder

__all__ = [
    "Database",
    "DatabaseDamaged",
    "DatabaseUnavailable",
    "find_damage",
]

BUSY_TIMEOUT_MS = 10_000
"""How long a writer waits for another process's transaction; ours take a few milliseconds."""

_DAMAGE = ("malformed", "not a database", "invalid page in block", "could not read block")
"""What SQLite and PostgreSQL say of files that cannot be read any more."""


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached, or not be written, for the moment."""

    code = "database-unavailable"


class DatabaseDamaged(Unavailable):
    """The database's files cannot be read any more; trying again does not help."""

    code = "database-damaged"


class Database:
    """A database with the schema of this module, or with another's.

    Attributes:
        engine: SQLAlchemy's.
        place: Path or URL, without a password.
    """

    def __init__(
        self, engine: Engine, *, place: str, metadata: MetaData = metadata, remedy: str = ""
    ) -> None:
        self.engine = engine
        self.place = place
        self._metadata = metadata
        self._remedy = remedy
        self._file = _identity(place) if engine.dialect.name == "sqlite" else None

    @classmethod
    def open(
        cls,
        place: str | Path,
        *,
        metadata: MetaData = metadata,
        remedy: str = "`remask log repair` saves what can be read",
    ) -> Database:
        """Return the database at `place`, made if it is not there.

        Args:
            place: Path of an SQLite file, or a URL as `postgresql+psycopg://user@host/remask`.
            metadata: Its tables; the click log's if none are named.
            remedy: What to do about a damaged file, for messages.

        Raises:
            InputError: The URL is not one, its driver is not installed, or the database cannot
                be opened or written.
        """
        text = str(place)
        try:
            url = make_url(text if "://" in text else f"sqlite:///{Path(text).absolute()}")
            shown = url.render_as_string(hide_password=True)
            if url.drivername.startswith("sqlite") and url.database:
                shown = url.database
                if url.database != ":memory:":
                    make_private_folder(Path(url.database).parent)
                    make_private_file(Path(url.database))
            engine = create_engine(url, **_pool_options(url))
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError, OSError) as error:
            raise InputError(f"`state` must be a file or a database URL: {error}") from error
        if engine.dialect.name == "sqlite":
            _make_sqlite_safe(engine)
        try:
            with engine.begin() as connection:
                # Two hosts that start at once would both find the tables missing.
                serialise(connection, "remask: tables")
                metadata.create_all(connection)
                _widen_integers(connection, metadata)
        except SQLAlchemyError as error:
            engine.dispose()
            advice = f"; {remedy}" if _is_damage(error) else ""
            raise InputError(
                f"`state` at {shown} cannot be opened for writing: {_reason(error)}{advice}"
            ) from error
        return cls(engine, place=shown, metadata=metadata, remedy=remedy)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a connection inside one transaction: all of the block is stored, or nothing.

        Raises:
            DatabaseUnavailable: The database cannot be reached or written now.
            DatabaseDamaged: Its files cannot be read any more.
        """
        with self._translated(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that takes no write lock; errors as `writing`."""
        with self._translated(), self.engine.connect() as connection:
            yield connection.execution_options(remask_reads=True)

    @property
    def is_shared(self) -> bool:
        """Whether several machines may use it: PostgreSQL, not a file of this machine."""
        return self.engine.dialect.name == "postgresql"

    @contextmanager
    def alone(self, name: str, *, otherwise: str) -> Iterator[None]:
        """Hold `name` among everything that uses a PostgreSQL database, while the block lasts.

        One connection is kept for it; the server releases the name when the process dies.

        Args:
            name: Any text; equal names exclude each other.
            otherwise: What to say if it is held already.

        Raises:
            WrongState: Another process holds it, on whichever host.
            DatabaseUnavailable: The database cannot be reached now.
        """
        with ExitStack() as stack:
            with self._translated():
                connection = stack.enter_context(self.engine.connect())
                held = connection.execution_options(isolation_level="AUTOCOMMIT")
                if not try_to_hold(held, name):
                    raise WrongState(otherwise)
            # The pool would keep the connection, and the connection the name.
            stack.callback(held.invalidate)
            yield

    def begin_anew_if_removed(self) -> bool:
        """Make the file and its tables again, where somebody has removed or replaced the file.

        Returns whether that was so.

        SQLite would go on writing to what no longer has a name, without a word.
        """
        if self._file is None or _identity(self.place) == self._file:
            return False
        self.engine.dispose()
        with suppress(OSError):
            # Where it cannot be made, the next line says why.
            make_private_file(Path(self.place))
        with self.writing() as connection:
            self._metadata.create_all(connection)
        self._file = _identity(self.place)
        return True

    def check_file(self) -> None:
        """Look through the file of an SQLite database, by a connection without a cache.

        Raises:
            DatabaseDamaged: It cannot be read any more.
        """
        problem = None if self._file is None else find_damage(Path(self.place))
        if problem is not None:
            raise self._damaged(problem)

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def _damaged(self, reason: str) -> DatabaseDamaged:
        return DatabaseDamaged(
            f"the database {self.place} is damaged ({reason.strip()}): {self._remedy}"
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn what the database cannot help into one sentence; what we did wrong stays a bug."""
        try:
            yield
        except DBAPIError as error:
            if _is_damage(error):
                raise self._damaged(_reason(error)) from error
            if isinstance(error, (OperationalError, InterfaceError)):
                raise DatabaseUnavailable(
                    f"the database {self.place} cannot be used now: {_reason(error)}"
                ) from error
            raise
        except PoolTimeout as error:
            raise DatabaseUnavailable(
                f"the database {self.place} is slow: all connections to it are in use"
            ) from error


def find_damage(path: Path) -> str | None:
    """Return what is wrong with an SQLite file; None if nothing is, or it cannot be read now."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as direct:
            problem = str(direct.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError:
        # Busy or out of reach: the next write tells.
        return None
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if problem == "ok" else problem


def _identity(place: str) -> tuple[int, int] | None:
    """Return what tells one file from another at the same path; None where there is none."""
    try:
        found = Path(place).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _is_damage(error: SQLAlchemyError) -> bool:
    return any(words in str(getattr(error, "orig", error)) for words in _DAMAGE)


def _reason(error: SQLAlchemyError) -> str:
    """Return what the database said, on one line."""
    return " ".join(str(getattr(error, "orig", None) or error).split())


def _widen_integers(connection: Connection, metadata: MetaData) -> None:
    """Give the columns of an older PostgreSQL database the 64 bits that SQLite always had."""
    if connection.dialect.name != "postgresql":
        return
    inspector = inspect(connection)
    for table in metadata.sorted_tables:
        wide = {column.name for column in table.columns if isinstance(column.type, BigInteger)}
        for column in inspector.get_columns(table.name):
            if column["name"] in wide and not isinstance(column["type"], BigInteger):
                name = connection.dialect.identifier_preparer.quote(column["name"])
                connection.exec_driver_sql(
                    f"ALTER TABLE {table.name} ALTER COLUMN {name} TYPE BIGINT"
                )


def _pool_options(url: URL) -> dict[str, Any]:
    """Return how connections are made and kept.

    A PostgreSQL that has gone away without a word, as a machine that loses its power does, would
    otherwise hold a request for minutes.
    """
    if url.drivername.startswith("sqlite"):
        return {}
    options: dict[str, Any] = {"pool_pre_ping": True, "pool_timeout": 5.0}
    if url.drivername.startswith("postgresql"):
        bounds = {"connect_timeout": 3, "tcp_user_timeout": 10_000, "keepalives_idle": 5}
        options["connect_args"] = {
            name: value for name, value in bounds.items() if name not in url.query
        }
    return options


def _make_sqlite_safe(engine: Engine) -> None:
    """Take the write lock at the start of a transaction and keep readers out of its way.

    With Python's own deferred BEGIN, two processes that read and then write fail at once with
    "database is locked", whatever the busy timeout.
    """

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        for pragma in (
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "foreign_keys=ON",
        ):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        reads = connection.get_execution_options().get("remask_reads", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
