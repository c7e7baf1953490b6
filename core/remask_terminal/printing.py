"""Output of commands: tables for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import typer

if TYPE_CHECKING:
    from remask_core.left_out import LeftOutCounts
    from remask_reports.page import Table

R = TypeVar("R")

__all__ = ["made_by", "print_json", "print_left_out", "print_rows", "print_table"]


def made_by() -> str:
    """Return the line of a report that says which command made it."""
    import shlex
    import sys

    return f"Made by: remask {shlex.join(sys.argv[1:])}"


def print_json(data: object) -> None:
    """Print dataclasses, structs and plain data as indented JSON; paths as text."""
    import msgspec

    typer.echo(msgspec.json.format(msgspec.json.encode(data, enc_hook=str)).decode())


def print_left_out(left_out: LeftOutCounts) -> None:
    """Print what was left out of the input, a line per reason; standard output is the answer's."""
    for line in left_out.lines():
        typer.echo(line, err=True)


def print_table(table: Table) -> None:
    """Print a table of a report with its caption; nothing for a table without rows."""
    from rich.console import Console
    from rich.table import Table as Printed

    if not table.rows:
        return
    printed = Printed(title=table.caption or None, title_justify="left", box=None, pad_edge=False)
    for number, column in enumerate(table.columns):
        words = isinstance(table.rows[0][number], str)
        printed.add_column(column.title, justify="left" if words else "right")
    for row in table.words():
        printed.add_row(*row)
    # As wide as it needs to be: a table cut to the terminal loses its numbers.
    Console(width=400).print(printed, "")


def print_rows(rows: R, table_of: Callable[[R], Table], *, as_json: bool) -> None:
    """Print the rows themselves as JSON, or else the table that `table_of` makes of them."""
    if as_json:
        print_json(rows)
    else:
        print_table(table_of(rows))
