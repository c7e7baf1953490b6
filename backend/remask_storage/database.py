"""Where sessions are kept: SQLite by default, PostgreSQL by URL, one schema for both.

Label Studio owns tasks and annotations. This store owns what it does not keep: every click with
its time and what the model answered, and which annotation it ended up in.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from remask_core.errors import InputError

__all__ = ["Database", "annotation_table", "prompt_table", "region_table"]

BUSY_TIMEOUT_MS = 10_000
"""How long a writer waits for another process's transaction; ours take a few milliseconds."""

metadata = MetaData()

prompt_table = Table(
    "prompts",
    metadata,
    Column("project", String, primary_key=True),
    Column("task", BigInteger, primary_key=True, autoincrement=False),
    Column("prompt_id", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("positive", Boolean),
    Column("x", Float),
    Column("y", Float),
    Column("x1", Float),
    Column("y1", Float),
    Column("label", String),
    Column("item_index", Integer),
    Column("position", Integer, nullable=False),
    Column("step", Integer, nullable=False),
    Column("lane", String, nullable=False),
    Column("arrived_at", Float, nullable=False),
    Column("region_id", String, index=True),
    Column("outcome", String, nullable=False),
    Column("error_code", String),
    Column("model_version", String),
    Column("score", Float),
    Column("latency_ms", Float, nullable=False),
    Column("model_ms", Float),
)

annotation_table = Table(
    "annotations",
    metadata,
    Column("annotation_id", BigInteger, primary_key=True, autoincrement=False),
    Column("project", String),
    Column("task", BigInteger),
    Column("outcome", String, nullable=False),
    Column("completed_by", BigInteger),
    Column("lead_time_s", Float),
    Column("updated_at", Float, nullable=False),
    Column("received_at", Float, nullable=False),
)

region_table = Table(
    "annotation_regions",
    metadata,
    Column("annotation_id", BigInteger, primary_key=True, autoincrement=False),
    Column("region_id", String, primary_key=True, index=True),
    Column("kind", String, nullable=False),
)


class Database:
    """A database with the schema of this module."""

    def __init__(self, engine: Engine, *, place: str) -> None:
        self.engine = engine
        self.place = place

    @classmethod
    def open(cls, place: str | Path, *, metadata: MetaData = metadata) -> Database:
        """Return the store at `place`, made if it is not there.

        Args:
            place: Path of an SQLite file, or a URL as `postgresql+psycopg://user@host/remask`.
            metadata: Its tables; the click log's if none are named.

        Raises:
            InputError: The URL is not one, its driver is not installed, or the database cannot
                be opened or written.
        """
        text = str(place)
        try:
            url = make_url(text if "://" in text else f"sqlite:///{Path(text).absolute()}")
            shown = url.render_as_string(hide_password=True)
            if url.drivername.startswith("sqlite") and url.database:
                Path(url.database).parent.mkdir(parents=True, exist_ok=True)
                shown = url.database
            engine = create_engine(url, pool_pre_ping=not url.drivername.startswith("sqlite"))
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError, OSError) as error:
            raise InputError(f"`state` must be a file or a database URL: {error}") from error
        if engine.dialect.name == "sqlite":
            _make_sqlite_safe(engine)
        try:
            with engine.begin() as connection:
                metadata.create_all(connection)
        except SQLAlchemyError as error:
            engine.dispose()
            raise InputError(f"`state` at {shown} cannot be opened for writing: {error}") from error
        return cls(engine, place=shown)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a connection inside one transaction: all of the block is stored, or nothing."""
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection that takes no write lock."""
        with self.engine.connect() as connection:
            yield connection.execution_options(remask_reads=True)

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


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
