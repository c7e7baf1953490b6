"""Write the generated pages: commands, settings, the floor plan. With --check, compare them."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator
from inspect import cleandoc
from pathlib import Path
from typing import Any

import typer.main

from remask_cli.main import app
from remask_service.settings import settings_markdown

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
CLI_HEAD = """\
# Commands

Written by `make docs` from the commands themselves. Every command exits with 0 when all went well,
1 when remask is at fault and 2 when the call is.
"""


def cli_markdown() -> str:
    """Return the page of all commands, in the order of `remask --help`."""
    # Typer brings its own copy of click or uses the installed one; both look like this.
    root: Any = typer.main.get_command(app)
    return "\n".join([CLI_HEAD, *_sections("remask", root)])


def _sections(name: str, command: Any) -> Iterator[str]:
    if name != "remask":
        yield f"## {name}\n\n{_help(command)}\n"
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    children = getattr(command, "commands", {})
    if not children:
        usage = [name, *(["[OPTIONS]"] if options else []), *(_metavar(a) for a in arguments)]
        yield f"```\n{' '.join(usage)}\n```\n"
    if not children and (arguments or options):
        yield "| option | meaning | default |\n|---|---|---|"
        for parameter in (*arguments, *options):
            yield _row(parameter)
        yield ""
    for child_name, child in children.items():
        yield from _sections(f"{name} {child_name}", child)


def _help(command: Any) -> str:
    text = cleandoc(command.help or "")
    if command.epilog:
        text += "\n\n" + cleandoc(command.epilog)
    # \b keeps click from filling a paragraph; a page shows such a paragraph as code.
    return "\n\n".join(
        f"```\n{paragraph.lstrip(chr(8)).strip()}\n```" if paragraph.startswith("\b") else paragraph
        for paragraph in text.split("\n\n")
    )


def _row(parameter: Any) -> str:
    is_argument = parameter.param_type_name == "argument"
    names = _metavar(parameter) if is_argument else ", ".join(parameter.opts)
    shown = "required" if parameter.required else _shown(parameter.default)
    meaning = (parameter.help or "").replace("|", "\\|")
    return f"| `{names}` | {meaning} | {shown} |"


def _shown(default: Any) -> str:
    """Return a default as it would be typed; nothing where there is none to type."""
    if callable(default) or default is None or default is False:
        return ""
    if isinstance(default, (list, tuple)):
        return ", ".join(_shown(item) for item in default)
    # Some versions of typer hold the member of an enumeration, others its value.
    return f"`{getattr(default, 'value', default)}`"


def _metavar(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def floors(pyproject: str) -> list[list[str]]:
    """Return the packages of each floor, the top floor first, as import-linter reads them."""
    layers = re.search(r"^layers = \[(.*?)^\]", pyproject, re.DOTALL | re.MULTILINE)
    assert layers is not None
    return [floor.split(" | ") for floor in re.findall(r'"([^"]+)"', layers.group(1))]


def floor_plan(pyproject: str) -> str:
    """Return a table of every package, its wing and what it is, one floor after the other."""
    wheel = re.search(r"^packages = \[(.*?)^\]", pyproject, re.DOTALL | re.MULTILINE)
    assert wheel is not None
    wings = {path.split("/")[1]: path.split("/")[0] for path in re.findall(r'"([^"]+)"', wheel[1])}
    rows = ["| floor | wing | package | what it is |", "|---|---|---|---|"]
    plan = floors(pyproject)
    for number, packages in enumerate(plan):
        for package in packages:
            about = cleandoc(importlib.import_module(package).__doc__ or "").split("\n")[0]
            floor = len(plan) - 1 - number
            rows.append(f"| {floor} | `{wings[package]}` | `{package}` | {about} |")
    return "\n".join(rows) + "\n"


def architecture_markdown() -> str:
    """Return docs/architecture/README.md with its floor plan written anew."""
    page = (DOCS / "architecture" / "README.md").read_text()
    plan = floor_plan((ROOT / "pyproject.toml").read_text())
    start, end = "<!-- floor plan: written by `make docs` -->\n", "<!-- end of floor plan -->"
    before, _, rest = page.partition(start)
    _, _, after = rest.partition(end)
    return f"{before}{start}{plan}{end}{after}"


PAGES: dict[str, Callable[[], str]] = {
    "cli.md": cli_markdown,
    "settings.md": settings_markdown,
    "architecture/README.md": architecture_markdown,
}


def main(arguments: list[str]) -> int:
    stale = []
    for name, compose in PAGES.items():
        page, text = DOCS / name, compose()
        if page.is_file() and page.read_text() == text:
            continue
        if "--check" in arguments:
            stale.append(f"docs/{name}")
        else:
            page.write_text(text)
            print(f"wrote docs/{name}")
    if stale:
        print(f"{' and '.join(stale)}: not what the code says; run `make docs`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
