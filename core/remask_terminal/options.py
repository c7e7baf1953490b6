"""Arguments and options that several commands have, each declared once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from remask_core.errors import InputError

__all__ = [
    "ApiKey",
    "DataSets",
    "EngineName",
    "Json",
    "Limit",
    "ModelDevice",
    "Name",
    "RayAddress",
    "State",
    "Url",
    "writable",
]


def writable(path: Path | None) -> Path | None:
    """Return the path of a file that a command writes at its end, checked before its work begins.

    The callback of such an option. None, for an option that was not given, is returned as it is.

    Raises:
        InputError: The path is a folder's, its folder is not there, or either cannot be written.
    """
    if path is None:
        return None
    if path.is_dir():
        raise InputError(f"`{path}` must be a file to write; it is a folder")
    if not path.parent.is_dir():
        raise InputError(f"`{path}` must lie in a folder that is there; {path.parent} is not")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise InputError(f"`{path}` must be writable; it is not")
    return path


Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]

Name = Annotated[str, typer.Argument(help="Name of the campaign.")]
State = Annotated[
    str | None,
    typer.Option(
        "--state",
        help="Folder of campaigns.db, or the URL of a database; where `remask serve` keeps its own "
        "if not given.",
    ),
]
Url = Annotated[str, typer.Option("--url", envvar="LABEL_STUDIO_URL", help="Of Label Studio.")]
ApiKey = Annotated[
    str,
    typer.Option(
        "--api-key",
        envvar="LABEL_STUDIO_API_KEY",
        help="Access token; best set in the variable.",
    ),
]

DataSets = Annotated[
    list[Path],
    typer.Option(
        "--data", help="Folder with index.csv, images/ and masks/, or a COCO JSON; may be repeated."
    ),
]
Limit = Annotated[
    int | None, typer.Option("--limit", min=1, help="Only so many objects of each set.")
]
ModelDevice = Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1 or auto.")]

EngineName = Annotated[
    str | None,
    typer.Option(
        "--engine", help="`child`: the model runs here. `ray`: on the cluster at --ray-address."
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray-address", help="HTTP address of the cluster, such as http://127.0.0.1:8000."
    ),
]
