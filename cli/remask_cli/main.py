"""The command `remask`: every noun's commands, and how errors leave the program."""

from __future__ import annotations

import sys

import typer

from remask_cli import (
    bench,
    campaign,
    clicks,
    config,
    demo,
    evaluate,
    export,
    log,
    models,
    noise,
    rank,
    report,
    serve,
    train,
)
from remask_core.errors import InputError, RemaskError

__all__ = ["app", "main"]

app = typer.Typer(
    name="remask",
    help="A Label Studio ML backend for instance masks: a box becomes a mask, a click mends it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
serve.register(app)
demo.register(app)
report.register(app)
app.add_typer(config.app, name="config")
app.add_typer(models.app, name="models")
app.add_typer(noise.app, name="noise")
app.add_typer(evaluate.app, name="eval")
app.add_typer(train.app, name="train")
app.add_typer(bench.app, name="bench")
app.add_typer(clicks.app, name="clicks")
app.add_typer(campaign.app, name="campaign")
app.add_typer(log.app, name="log")
app.add_typer(rank.app, name="rank")
app.add_typer(export.app, name="export")


def main() -> None:
    """Run the command line; exit 0 if all went well, 1 for our fault, 2 for the caller's."""
    try:
        app()
    except InputError as error:
        print(f"remask: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    except RemaskError as error:
        print(f"remask: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(1)
