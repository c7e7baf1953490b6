"""Weights files: which are published, where they lie, and whether they are the right ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import platformdirs

from remask_core.errors import InputError, NotFound

__all__ = [
    "BUNDLED_CONVNET",
    "CHECKPOINTS",
    "Checkpoint",
    "checkpoint",
    "default_model_dir",
    "digest",
    "locate",
    "stamp",
    "verify",
]

BUNDLED_CONVNET = Path(__file__).parent / "convnet" / "data" / "convnet.npz"
"""Where the weights of the bundled network lie inside the package."""

_SIDECAR_FROM_BYTES = 64 * 2**20
_SAM = "https://dl.fbaipublicfiles.com/segment_anything/"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A published weights file.

    Attributes:
        name: The model it belongs to.
        url: Its official address; the last part is its file name.
        size_bytes: Its exact length.
        sha256: Its digest, 64 hexadecimal digits.
        licence: SPDX identifier of its terms.
    """

    name: str
    url: str
    size_bytes: int
    sha256: str
    licence: str

    @property
    def file_name(self) -> str:
        """Name of the file, in the model folder as at its address."""
        return self.url.rsplit("/", 1)[-1]


# The six digits in the published file names begin the file's MD5, not its SHA-256.
CHECKPOINTS: Mapping[str, Checkpoint] = MappingProxyType(
    {
        checkpoint.name: checkpoint
        for checkpoint in (
            Checkpoint(
                name="sam_vit_b",
                url=_SAM + "sam_vit_b_01ec64.pth",
                size_bytes=375_042_383,
                sha256="ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
                licence="Apache-2.0",
            ),
            Checkpoint(
                name="sam_vit_l",
                url=_SAM + "sam_vit_l_0b3195.pth",
                size_bytes=1_249_524_607,
                sha256="3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
                licence="Apache-2.0",
            ),
            Checkpoint(
                name="sam_vit_h",
                url=_SAM + "sam_vit_h_4b8939.pth",
                size_bytes=2_564_550_879,
                sha256="a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
                licence="Apache-2.0",
            ),
        )
    }
)


def checkpoint(name: str) -> Checkpoint:
    """Return the published weights file of the model `name`.

    Raises:
        InputError: No file is published for it; the message lists the names that have one.
    """
    try:
        return CHECKPOINTS[name]
    except KeyError:
        known = ", ".join(CHECKPOINTS)
        raise InputError(
            f"`name` must be a model with published weights ({known}); got {name!r}"
        ) from None


def default_model_dir() -> Path:
    """Return the folder where weights are kept when none is named: the user's data folder."""
    return Path(platformdirs.user_data_dir("remask", appauthor=False)) / "models"


def stamp(name: str, sha256: str) -> str:
    """Return `Segmenter.version`: the name and the first 12 digits of a SHA-256."""
    return f"{name}@{sha256[:12]}"


def digest(path: Path, *, fresh: bool = False) -> str:
    """Return the SHA-256 of the file at `path`, 64 hexadecimal digits.

    Both the web process and the worker need the digest at every start, and hashing 2.5 GB takes
    seconds. So the digest of a large file is remembered beside it in `<file>.sha256.json`, and
    believed while the file's size and modification time are those it was taken at. That guards
    against a file that was replaced, not against somebody who may write in the folder and means
    harm: he could replace the program as well.

    Args:
        path: The file.
        fresh: Hash the file whatever is remembered.

    Raises:
        NotFound: There is no such file.
    """
    if not path.is_file():
        raise NotFound(f"`weights` must be an existing file; there is none at {path}")
    stat = path.stat()
    seen = {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    sidecar = path.with_name(path.name + ".sha256.json")
    large = stat.st_size >= _SIDECAR_FROM_BYTES
    if large and not fresh:
        remembered = _read_sidecar(sidecar)
        if {key: remembered.get(key) for key in seen} == seen:
            return str(remembered["sha256"])
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            sha256.update(block)
    if large:
        _write_sidecar(sidecar, {**seen, "sha256": sha256.hexdigest()})
    return sha256.hexdigest()


def _read_sidecar(path: Path) -> dict[str, object]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    whole = isinstance(content, dict) and isinstance(content.get("sha256"), str)
    return content if whole else {}


def _write_sidecar(path: Path, content: dict[str, object]) -> None:
    partial = path.with_name(path.name + ".part")
    try:
        partial.write_text(json.dumps(content), encoding="utf-8")
        partial.replace(path)
    except OSError:
        # A model folder that is mounted read-only costs time at each start, nothing else.
        return


def locate(name: str, *, weights: Path | None = None, model_dir: Path | None = None) -> Path:
    """Return the weights file of a model that has published weights.

    A file named by the caller may be any file, a fine-tuned one for example. A file found by name
    in the model folder must be the published one.

    Args:
        name: A name in `CHECKPOINTS`.
        weights: The file, named by the caller.
        model_dir: Where to look otherwise; None is `default_model_dir()`.

    Raises:
        NotFound: The file is not there; the message says how to get it.
        InputError: The file in the model folder is not the published one.
    """
    if weights is not None:
        if not weights.is_file():
            raise NotFound(f"`weights` must be an existing file; there is none at {weights}")
        return weights
    known = checkpoint(name)
    path = (model_dir or default_model_dir()) / known.file_name
    if not path.is_file():
        raise NotFound(
            f"The weights of {name} are not at {path}. Run `remask models pull {name}`, or fetch "
            f"{known.url} by hand and put it there"
        )
    _check(path, known, digest(path))
    return path


def verify(path: Path, *, name: str | None = None) -> Checkpoint | None:
    """Return the published checkpoint that the file at `path` is, after reading all of it.

    Args:
        path: The file.
        name: The model whose published file it must be; None tells it by its digest.

    Returns:
        None when no published file has this digest.

    Raises:
        NotFound: There is no such file.
        InputError: `name` is given and the file is not that model's published one.
    """
    sha256 = digest(path, fresh=True)
    if name is not None:
        _check(path, checkpoint(name), sha256)
    return next((known for known in CHECKPOINTS.values() if known.sha256 == sha256), None)


def _check(path: Path, known: Checkpoint, sha256: str) -> None:
    if sha256 != known.sha256:
        raise InputError(
            f"{path} must be the published {known.file_name} with SHA-256 {known.sha256}; its "
            f"SHA-256 is {sha256}. Fetch it again with `remask models pull {known.name}`; "
            "fine-tuned weights are taken when their path is given as `weights`"
        )
