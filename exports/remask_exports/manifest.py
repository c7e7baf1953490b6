"""The manifest of an export, and the lists of what was left out and of renamed images."""

from __future__ import annotations

import hashlib
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from remask_exports.annotations import LeftOut
from remask_exports.image_names import ImageNames
from remask_exports.instances import ImageRef
from remask_files.csv_rows import CsvWriter

__all__ = ["LeftOutLog", "Manifest", "digest_of", "digests_of"]


class Manifest(msgspec.Struct, kw_only=True, frozen=True):
    """The content of `manifest.json`.

    Attributes:
        format: Name of the format.
        made_at: UTC time in ISO 8601; None if nobody said.
        source: Name, size in bytes and SHA-256 of the Label Studio export.
        ranks: The same of the ranking; None without one.
        config: The same of the labelling configuration; None without one.
        assumed_images: Image tags whose key in the tasks' data only their names or numbers tell,
            for want of a labelling configuration, and these keys.
        selection: The conditions that were asked for.
        guarantee: The sentence that holds of the exported masks; None if nothing is promised.
        tasks: Tasks in the source.
        images: Images with at least one exported instance.
        instances: Exported instances.
        classes: Exported instances of each class.
        categories: Ids of the classes.
        left_out: How many were left out for each reason; `left_out.csv` names them.
        files: SHA-256 of each file, and of each folder with the number of its files.
        versions: Of remask and of this file's form.
    """

    format: str
    made_at: str | None
    source: dict[str, Any]
    ranks: dict[str, Any] | None
    config: dict[str, Any] | None = None
    assumed_images: dict[str, list[str]] = msgspec.field(default_factory=dict)
    selection: dict[str, Any]
    guarantee: str | None = None
    tasks: int
    images: int
    instances: int
    classes: dict[str, int]
    categories: dict[str, int]
    left_out: dict[str, int]
    files: dict[str, Any]
    versions: dict[str, str] = msgspec.field(
        default_factory=lambda: {"remask": version("remask"), "manifest": "1"}
    )

    def write(self, folder: Path) -> None:
        """Write `manifest.json`."""
        text = msgspec.json.format(msgspec.json.encode(self), indent=2)
        (folder / "manifest.json").write_bytes(text + b"\n")


class LeftOutLog:
    """`left_out.csv`: a line for each thing that was not exported."""

    def __init__(self, folder: Path) -> None:
        self.counts: Counter[str] = Counter()
        self._file = CsvWriter(folder / "left_out.csv", ("name", "reason", "detail"))

    def add(self, left_out: LeftOut) -> None:
        """Write one line."""
        self.counts[left_out.reason] += 1
        self._file.add((left_out.name, left_out.reason, left_out.detail))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class RenamedLog:
    """`renamed.csv`: a line for each image that has another name because several shared its own.

    The file appears with its first line.
    """

    def __init__(self, folder: Path, names: ImageNames) -> None:
        self._path = folder / "renamed.csv"
        self._names = names
        self._file: CsvWriter | None = None

    def add(self, image: ImageRef) -> None:
        """Write a line, if the image has another name than it would have alone."""
        plain = self._names.first_name(image.address)
        if image.file_name == plain:
            return
        if self._file is None:
            self._file = CsvWriter(self._path, ("name", "was", "address", "task"))
        self._file.add((image.file_name, plain, image.address, image.task))

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            self._file.close()


def digest_of(path: Path) -> dict[str, Any]:
    """Return name, size in bytes and SHA-256 of a file."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": digest.hexdigest()}


def digests_of(folder: Path) -> dict[str, Any]:
    """Return what is in `folder`: a SHA-256 for each file, and one for each folder as a whole.

    A folder's digest is that of the lines `<sha256>  <path>` of its files, sorted by path, as
    `sha256sum` prints them.
    """
    found: dict[str, Any] = {}
    for entry in sorted(folder.iterdir()):
        if entry.is_file():
            found[entry.name] = digest_of(entry)["sha256"]
            continue
        files = sorted(path for path in entry.rglob("*") if path.is_file())
        whole = hashlib.sha256()
        for path in files:
            line = f"{digest_of(path)['sha256']}  {path.relative_to(folder).as_posix()}\n"
            whole.update(line.encode())
        found[entry.name + "/"] = {"files": len(files), "sha256": whole.hexdigest()}
    return found
