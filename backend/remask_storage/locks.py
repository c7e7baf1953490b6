"""Locks that hold between the hosts of one PostgreSQL database.

SQLite has one writer at a time and lives on one machine: within a transaction nothing is needed,
and commands keep each other out with a locked file. On PostgreSQL two hosts write at once, so what
is read and then written in one transaction needs a lock of the server's own. These are
PostgreSQL's advisory locks, which the server releases when the transaction or the connection that
holds them ends.
"""

from __future__ import annotations

from hashlib import blake2s

from sqlalchemy import Connection, func, select

__all__ = ["serialise", "try_to_hold"]


def serialise(connection: Connection, name: str) -> None:
    """Wait until no other transaction holds `name`, then hold it until this one ends.

    Args:
        connection: In a writing transaction. On SQLite that alone keeps others out.
        name: Any text; equal names exclude each other.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_number(name))))


def try_to_hold(connection: Connection, name: str) -> bool:
    """Hold `name` for as long as the connection lives; return False if another one holds it.

    Args:
        connection: To PostgreSQL, in no transaction.
        name: Any text; a name held by `serialise` excludes it, too.
    """
    return bool(connection.execute(select(func.pg_try_advisory_lock(_number(name)))).scalar_one())


def _number(name: str) -> int:
    """Return the signed number of 64 bits that PostgreSQL knows a name by."""
    return int.from_bytes(blake2s(name.encode(), digest_size=8).digest(), "big", signed=True)
