"""The models on this machine and the state of their weights, for people to read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from remask_models.hub import HUB_FILES, HubFile, read_source
from remask_models.weights import BUNDLED_CONVNET, CHECKPOINTS, default_model_dir, digest

__all__ = ["Row", "State", "catalogue"]

State: TypeAlias = Literal["verified", "missing", "wrong", "unverified", "bundled", "no weights"]


@dataclass(frozen=True, slots=True)
class Row:
    """One model and its weights.

    Attributes:
        name: What `--model` takes.
        state: `verified`: the published file, digest compared. `missing`: not there. `wrong`:
            another file under its name. `unverified`: a file of the Hub that was put there by
            hand, so no digest is known for it. `bundled`: comes with the package. `no weights`:
            needs none.
        licence: SPDX identifier of the weights' terms (of the program's, where there are none).
        path: Where the weights are or would be.
        size_bytes: Their length, as it is or would be.
        sha256: Digest of the file that is there.
        url: Official address of published weights, or of their page on the Hub.
        revision: Commit of the Hub's repository that the file was pulled from.
        trained_on: What follows for users from the pictures that the weights have learnt from.
    """

    name: str
    state: State
    licence: str
    path: Path | None = None
    size_bytes: int | None = None
    sha256: str | None = None
    url: str | None = None
    trained_on: str | None = None
    revision: str | None = None


def catalogue(model_dir: Path | None = None) -> list[Row]:
    """Return one row per model that ships with remask.

    Args:
        model_dir: Where published weights are looked for; None is the user's data folder.
    """
    folder = model_dir or default_model_dir()
    rows = [_bundled(), Row("grabcut", "no weights", "Apache-2.0")]
    for known in CHECKPOINTS.values():
        path = folder / known.file_name
        sha256 = digest(path) if path.is_file() else None
        state: State = "missing" if sha256 is None else "wrong"
        rows.append(
            Row(
                name=known.name,
                state="verified" if sha256 == known.sha256 else state,
                licence=known.licence,
                path=path,
                size_bytes=known.size_bytes if sha256 is None else path.stat().st_size,
                sha256=sha256,
                url=known.url,
            )
        )
    rows.extend(_hub_row(known, folder / known.file_name) for known in HUB_FILES.values())
    return rows


def _hub_row(known: HubFile, path: Path) -> Row:
    sha256 = digest(path) if path.is_file() else None
    source = read_source(path)
    if sha256 is None:
        state: State = "missing"
    elif source is None:
        state = "unverified"
    else:
        state = "verified" if source.sha256 == sha256 else "wrong"
    return Row(
        name=known.name,
        state=state,
        licence=known.licence,
        path=path,
        size_bytes=None if sha256 is None else path.stat().st_size,
        sha256=sha256,
        url=known.page,
        revision=None if source is None else source.revision,
    )


_CONVNET_TRAINED_ON = (
    "pictures some of which are for research or non-commercial use only, and some of terms "
    "that nobody has cleared (docs/model-card.md); a company that needs cleared terms trains its "
    "own weights with `remask train convnet`, or takes Segment Anything's"
)


def _bundled() -> Row:
    path = BUNDLED_CONVNET
    if not path.is_file():
        return Row("convnet", "missing", "Apache-2.0", path)
    return Row(
        name="convnet",
        state="bundled",
        licence="Apache-2.0",
        path=path,
        size_bytes=path.stat().st_size,
        sha256=digest(path),
        trained_on=_CONVNET_TRAINED_ON,
    )
