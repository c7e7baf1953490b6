"""The command `remask`: the commands of every noun, and the exit code of every error.

Commands of the research packages are found by their entry points (`remask.commands` in
pyproject.toml), so that this package imports none of them. A team's own package adds commands in
the same way: an entry point names a noun and a `typer.Typer`; where the noun exists already, the
commands join it.
"""

from __future__ import annotations

import sys
from importlib.metadata import entry_points, version
from typing import Annotated

import typer

from remask_cli import (
    campaign,
    cluster,
    config,
    demo,
    doctor,
    export,
    log,
    masks,
    models,
    precompute,
    rank,
    report,
    serve,
)
from remask_core.errors import InputError, NotFound, RemaskError
from remask_core.extras import missing_extra

__all__ = ["app", "main"]

_GROUP = "remask.commands"


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"remask {version('remask')}")
        raise typer.Exit


def _assemble() -> typer.Typer:
    app = typer.Typer(
        name="remask",
        help="A Label Studio ML backend for instance masks: "
        "a box becomes a mask, a click mends it.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
    )

    @app.callback()
    def program(
        version: Annotated[
            bool,
            typer.Option(
                "--version", help="Print the version.", callback=_print_version, is_eager=True
            ),
        ] = False,
    ) -> None:
        pass

    for command in (serve, doctor, demo, report, precompute):
        command.register(app)
    nouns = {
        "config": config.app,
        "models": models.app,
        "masks": masks.app,
        "campaign": campaign.app,
        "cluster": cluster.app,
        "log": log.app,
        "rank": rank.app,
        "export": export.app,
    }
    for entry in sorted(entry_points(group=_GROUP), key=lambda entry: entry.name):
        commands = entry.load()
        if entry.name in nouns:
            nouns[entry.name].registered_commands += commands.registered_commands
        else:
            nouns[entry.name] = commands
    for name, noun in nouns.items():
        app.add_typer(noun, name=name)
    return app


app = _assemble()


def main() -> None:
    """Run the command line; exit 0 if all went well, 1 for our fault, 2 for the caller's."""
    try:
        app()
    except ModuleNotFoundError as error:
        missing = missing_extra(error, what=f"`{' '.join(['remask', *sys.argv[1:3]])}`")
        if missing is None:
            raise
        print(f"remask: {missing}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    except (InputError, NotFound) as error:
        print(f"remask: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    except RemaskError as error:
        print(f"remask: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(1)
