"""Boxes of an Open Images CSV."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TextIO

from remask_campaigns.sources.boxes import LeftOut
from remask_campaigns.sources.upload import SourceBox, SourceImage
from remask_core.errors import InputError, NotFound
from remask_label_config.prompts import PercentBox

__all__ = ["read_class_descriptions", "read_open_images"]

_EDGES = ("XMin", "XMax", "YMin", "YMax")
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def read_open_images(
    path: Path,
    *,
    class_names: Mapping[str, str] | None = None,
    folder: Path | None = None,
    left_out: Callable[[LeftOut], None] = lambda _one: None,
) -> list[SourceImage]:
    """Return the images of an Open Images box file with their boxes, in its order.

    Args:
        path: CSV with `ImageID`, `LabelName` and the edges `XMin`, `XMax`, `YMin`, `YMax` in
            [0, 1] (in this order in the published files), or the same with `Box` before them as
            in the segmentation files. Boxes around groups (`IsGroupOf` 1) are left out. Without a
            `BoxID` a box is named by its label and its place among the image's boxes.
        class_names: Label to the name that people read; None or a label it does not have: the
            label itself.
        folder: Of the images. An image is `<ImageID>.jpg` there, or another kind of image file;
            None: `<ImageID>.jpg`.
        left_out: Called with each row that is not used.

    Raises:
        NotFound: There is no such file.
        InputError: It lacks a column.
    """
    boxes: dict[str, dict[str, SourceBox]] = {}
    seen: dict[str, int] = {}
    for line, row in _rows(path):
        image = row["ImageID"]
        order = seen[image] = seen.get(image, -1) + 1
        found = _box(row, order, class_names or {})
        if isinstance(found, SourceBox) and found.id in boxes.get(image, {}):
            found = LeftOut(found.id, "twice")
        if isinstance(found, LeftOut):
            left_out(LeftOut(f"line {line}", found.reason, found.detail))
        else:
            boxes.setdefault(image, {})[found.id] = found
    return [
        SourceImage(_file_name(image, folder), None, tuple(some.values()))
        for image, some in boxes.items()
    ]


def read_class_descriptions(path: Path) -> dict[str, str]:
    """Return label to name from a `class-descriptions` CSV, two columns with or without a header.

    Raises:
        NotFound: There is no such file.
        InputError: A line has fewer than two columns.
    """
    with _opened(path, "class_descriptions") as file:
        rows = [row for row in csv.reader(file) if row]
    if any(len(row) < 2 for row in rows):
        raise InputError(f"`class_descriptions` must have two columns; {path} has not")
    return {row[0]: row[1].strip() for row in rows if row[0] != "LabelName"}


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    with _opened(path, "open_images") as file:
        reader = csv.DictReader(file)
        columns = set(reader.fieldnames or ())
        before = "Box" if "BoxXMin" in columns else ""
        edges = [before + edge for edge in _EDGES]
        missing = {"ImageID", "LabelName", *edges} - columns
        if missing:
            raise InputError(f"`open_images` must have columns {sorted(missing)}; {path} has not")
        for row in reader:
            yield (
                reader.line_num,
                row | {edge: row[name] for edge, name in zip(_EDGES, edges, strict=True)},
            )


def _opened(path: Path, name: str) -> TextIO:
    try:
        return path.open(newline="", encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise NotFound(f"`{name}` must be a file; {path} does not exist") from error
    except OSError as error:
        raise InputError(f"`{name}` must be readable: {error}") from error


def _box(row: Mapping[str, str], order: int, class_names: Mapping[str, str]) -> SourceBox | LeftOut:
    label = row["LabelName"]
    if not label:
        return LeftOut("", "no-class")
    if row.get("IsGroupOf") == "1":
        return LeftOut("", "group")
    try:
        x0, x1, y0, y1 = (float(row[edge]) for edge in _EDGES)
    except (TypeError, ValueError):
        return LeftOut("", "unreadable", "an edge of the box is not a number")
    if not all(map(math.isfinite, (x0, x1, y0, y1))) or not (x0 < x1 and y0 < y1):
        return LeftOut("", "unreadable", f"the box is from ({x0}, {y0}) to ({x1}, {y1})")
    return SourceBox(
        id=row.get("BoxID") or f"{label.replace('/', '')}-{order}",
        label=class_names.get(label, label),
        place=PercentBox(x=100 * x0, y=100 * y0, width=100 * (x1 - x0), height=100 * (y1 - y0)),
    )


def _file_name(image: str, folder: Path | None) -> str:
    names = [image + suffix for suffix in _SUFFIXES]
    if folder is not None:
        return next((name for name in names if (folder / name).is_file()), names[0])
    return names[0]
