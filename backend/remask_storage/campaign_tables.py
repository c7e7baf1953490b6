"""The tables that campaigns are kept in, of SQLite and PostgreSQL alike."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    LargeBinary,
    MetaData,
    Table,
    inspect,
)
from sqlalchemy.dialects import postgresql, sqlite

from remask_storage.click_tables import Text

__all__ = [
    "add_later_columns",
    "campaigns_table",
    "clicks_table",
    "instances_table",
    "masks_table",
    "metadata",
    "people_table",
    "rounds_table",
    "truths_table",
    "upsert",
    "visits_table",
]

metadata = MetaData()


def _key(name: str, kind: Any = Text) -> Column[Any]:
    return Column(name, kind, primary_key=True, autoincrement=False)


campaigns_table = Table("campaigns", metadata, _key("name"), Column("settings", LargeBinary))

instances_table = Table(
    "instances",
    metadata,
    _key("campaign"),
    _key("id"),
    Column("position", BigInteger, nullable=False),
    Column("image", Text, nullable=False),
    Column("height", BigInteger, nullable=False),
    Column("width", BigInteger, nullable=False),
    Column("label", Text, nullable=False),
    Column("x0", Float, nullable=False),
    Column("y0", Float, nullable=False),
    Column("x1", Float, nullable=False),
    Column("y1", Float, nullable=False),
    Column("source_task", BigInteger, nullable=False),
    Column("source_id", Text, nullable=False),
    Column("whole", LargeBinary),
)

rounds_table = Table(
    "rounds",
    metadata,
    _key("campaign"),
    _key("number", BigInteger),
    Column("state", Text, nullable=False),
    Column("project", BigInteger, index=True),
    Column("model_version", Text),
    Column("opened_at", Float),
    Column("closed_at", Float),
)

visits_table = Table(
    "visits",
    metadata,
    _key("campaign"),
    _key("instance"),
    _key("round", BigInteger),
    _key("annotation", BigInteger),
    Column("task", BigInteger, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("annotator", BigInteger),
    Column("lead_time_s", Float),
    Column("updated_at", Float, nullable=False),
    Column("painted", LargeBinary),
)

clicks_table = Table(
    "clicks",
    metadata,
    _key("campaign"),
    _key("instance"),
    _key("round", BigInteger),
    _key("annotation", BigInteger),
    _key("position", BigInteger),
    Column("id", Text, nullable=False),
    Column("x", Float, nullable=False),
    Column("y", Float, nullable=False),
    Column("positive", Boolean, nullable=False),
    Column("at", Float),
)

masks_table = Table(
    "masks",
    metadata,
    _key("campaign"),
    _key("instance"),
    _key("round", BigInteger),
    Column("counts", LargeBinary, nullable=False),
    Column("score", Float),
    Column("model_version", Text, nullable=False),
    Column("history", Text, nullable=False),
)

truths_table = Table(
    "truths",
    metadata,
    _key("campaign"),
    _key("instance"),
    _key("source"),
    Column("counts", LargeBinary, nullable=False),
    Column("label", Text),
)

people_table = Table(
    "people",
    metadata,
    _key("campaign"),
    _key("annotator", BigInteger),
    Column("name", Text, nullable=False),
    Column("qualified", Boolean),
    Column("by_hand", Boolean),
)

_LATER = (instances_table.c.whole, truths_table.c.label, people_table.c.by_hand)
"""Columns that databases made by an earlier version lack."""


def add_later_columns(connection: Connection) -> None:
    """Give the tables of an older database the columns that have come since; empty in every row.

    To be called in a writing transaction, so that two processes do not both find one missing.
    """
    inspector = inspect(connection)
    for column in _LATER:
        table = column.table.name
        if column.name not in {known["name"] for known in inspector.get_columns(table)}:
            kind = column.type.compile(connection.dialect)
            unless = "IF NOT EXISTS " if connection.dialect.name == "postgresql" else ""
            connection.exec_driver_sql(
                f"ALTER TABLE {table} ADD COLUMN {unless}{column.name} {kind}"
            )


def upsert(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert rows; one whose key is there is replaced."""
    if not rows:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table)
    keys = [column.name for column in table.primary_key]
    others = {
        column.name: statement.excluded[column.name]
        for column in table.columns
        if column.name not in keys
    }
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=others), rows)
