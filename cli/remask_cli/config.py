"""`remask config`: labelling configurations of Label Studio."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from remask_core.errors import InputError
from remask_files.text import read_text

__all__ = ["app"]

app = typer.Typer(
    help="Write and check Label Studio labelling configurations.", no_args_is_help=True
)


@app.callback()
def group() -> None:
    """Write and check Label Studio labelling configurations."""


@app.command()
def write(
    classes: Annotated[
        list[str], typer.Option("--class", help="Name of a class; give it once per class.")
    ],
    bitmask: Annotated[
        bool, typer.Option("--bitmask", help="Store masks as bitmasks, not as brush strokes.")
    ] = False,
    policy: Annotated[
        Path | None,
        typer.Option(help="Text file with the class policy, shown beside the image."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="File to write; without it the XML is printed.")
    ] = None,
) -> None:
    """Write a labelling configuration for boxes, clicks and masks.

    Paste it into Label Studio under Settings, Labelling Interface, Code.

    Example: `remask config write --class cat --class dog --policy policy.txt --out live.xml`
    """
    from remask_label_config.pages.live import write_labelling_config

    xml = write_labelling_config(
        classes,
        kind="bitmask" if bitmask else "brush",
        policy=None if policy is None else read_text(policy, name="--policy"),
    )
    if out is None:
        typer.echo(xml, nl=False)
    else:
        _write(out, xml)
        typer.echo(f"wrote {out}")


@app.command()
def extend(
    file: Annotated[Path, typer.Argument(help="File with the labelling configuration.")],
    out: Annotated[
        Path | None, typer.Option(help="File to write; without it the XML is printed.")
    ] = None,
) -> None:
    """Add the parts of the live page to a labelling configuration of your own; the rest stays.

    One list of classes whose class stays chosen, the wands, dots in the colour of their sign, and
    sentences that say what is missing or failed.

    Example: `remask config extend existing.xml --out live.xml`
    """
    from remask_label_config.pages.extend import extend_labelling_config

    xml = extend_labelling_config(read_text(file, name="FILE"))
    if out is None:
        typer.echo(xml, nl=False)
    else:
        _write(out, xml)
        typer.echo(f"wrote {out}")


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="File with the labelling configuration.")],
    json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Check that remask can work with a labelling configuration, and say what is missing.

    Example: `remask config check live.xml`
    """
    import msgspec

    from remask_label_config import parse_labelling_config

    config = parse_labelling_config(read_text(file, name="FILE"))
    if json:
        typer.echo(msgspec.json.encode(config))
        return
    for controls in config.images:
        prompts = [c.name for c in (controls.rectangles, controls.keypoints) if c is not None]
        typer.echo(
            f"image `{controls.image.name}`: masks in `{controls.mask.name}` "
            f"({controls.mask.kind}), prompts from {' and '.join(f'`{name}`' for name in prompts)}"
        )
    for sentence in config.advice:
        typer.echo(f"advice: {sentence}")


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"`{file}` must be writable: {error}") from error
