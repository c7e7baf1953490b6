"""Progress bars of the commands, on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress

    from remask_core.progress import OnProgress

__all__ = ["progress", "progress_bars", "progress_count", "repeatable"]

_INTERRUPTED = 130
"""Exit code of a program that Ctrl+C has stopped."""


@contextmanager
def progress() -> Iterator[Progress]:
    """Give a display for bars, each with its words, a count and the time that is left."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (
        "{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=Console(stderr=True)) as display:
        yield display


@contextmanager
def progress_bars() -> Iterator[OnProgress]:
    """Give a `OnProgress` that draws one bar for each thing under way."""
    bars: dict[str, Any] = {}
    with progress() as display:

        def on_progress(what: str, done: int, total: int) -> None:
            if what not in bars:
                bars[what] = display.add_task(what, total=total)
            display.update(bars[what], completed=done, total=total)

        yield on_progress


@contextmanager
def progress_count(what: str, total: int | None = None) -> Iterator[Callable[[], None]]:
    """Give what is to be called after each of `total` things; None where their number is open."""
    with progress() as display:
        bar = display.add_task(what, total=total)
        yield lambda: display.advance(bar)
        display.update(bar, total=display.tasks[0].completed)


@contextmanager
def repeatable() -> Iterator[None]:
    """Say how to go on when Ctrl+C stops a command that may be given again; exit code 130."""
    import typer

    try:
        yield
    except KeyboardInterrupt:
        typer.echo(
            "Stopped. What was done is kept: give the same command again to go on.", err=True
        )
        raise typer.Exit(_INTERRUPTED) from None
