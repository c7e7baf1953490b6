"""The tables of the click log, of SQLite and PostgreSQL alike, and text that both can hold."""

from __future__ import annotations

import re

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Float,
    MetaData,
    String,
    Table,
    TypeDecorator,
)

__all__ = ["Text", "annotation_table", "metadata", "prompt_table", "region_table"]

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class Text(TypeDecorator[str]):
    """Text that every database takes: what UTF-8 or PostgreSQL cannot hold becomes U+FFFD."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the text without NUL and lone surrogates."""
        return None if value is None else _UNSTORABLE.sub("\ufffd", value)


metadata = MetaData()

prompt_table = Table(
    "prompts",
    metadata,
    Column("project", Text, primary_key=True),
    Column("task", BigInteger, primary_key=True, autoincrement=False),
    Column("prompt_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("positive", Boolean),
    Column("x", Float),
    Column("y", Float),
    Column("x1", Float),
    Column("y1", Float),
    Column("label", Text),
    Column("item_index", BigInteger),
    Column("position", BigInteger, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("lane", Text, nullable=False),
    Column("arrived_at", Float, nullable=False),
    Column("region_id", Text, index=True),
    Column("outcome", Text, nullable=False),
    Column("error_code", Text),
    Column("model_version", Text),
    Column("score", Float),
    Column("latency_ms", Float, nullable=False),
    Column("model_ms", Float),
)

annotation_table = Table(
    "annotations",
    metadata,
    Column("annotation_id", BigInteger, primary_key=True, autoincrement=False),
    Column("project", Text),
    Column("task", BigInteger),
    Column("outcome", Text, nullable=False),
    Column("completed_by", BigInteger),
    Column("lead_time_s", Float),
    Column("updated_at", Float, nullable=False),
    Column("received_at", Float, nullable=False),
)

region_table = Table(
    "annotation_regions",
    metadata,
    Column("annotation_id", BigInteger, primary_key=True, autoincrement=False),
    Column("region_id", Text, primary_key=True, index=True),
    Column("kind", Text, nullable=False),
)
