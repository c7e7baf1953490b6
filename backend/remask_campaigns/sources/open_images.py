"""Boxes of an Open Images CSV."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from os.path import isfile
from pathlib import Path

from remask_campaigns.sources.upload import SourceBox, SourceImage
from remask_core.errors import InputError
from remask_core.left_out import LeftOut, OnLeftOut, ignore_left_out
from remask_files.csv_rows import CsvRow, csv_columns, read_csv, read_csv_cells
from remask_label_config.prompts import PercentBox

__all__ = ["read_class_descriptions", "read_open_images"]

_YES = ("1", "1.0")
_EDGES = ("XMin", "XMax", "YMin", "YMax")
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def read_open_images(
    path: Path,
    *,
    class_names: Mapping[str, str] | None = None,
    folder: Path | None = None,
    left_out: OnLeftOut = ignore_left_out,
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
        InputError: It lacks a column, or is no CSV that can be read.
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
        SourceImage(_file_name(image, folder), None, tuple(own.values()))
        for image, own in boxes.items()
    ]


def read_class_descriptions(path: Path) -> dict[str, str]:
    """Return label to name from a `class-descriptions` CSV, two columns with or without a header.

    Raises:
        NotFound: There is no such file.
        InputError: A line has fewer than two columns, or it is no CSV that can be read.
    """
    names = {}
    for line, cells in read_csv_cells(path, name="class_descriptions"):
        if len(cells) < 2:
            raise InputError(
                f"`class_descriptions` must have two columns; {path}, line {line} has one"
            )
        label, name = cells[0].strip(), cells[1].strip()
        if label != "LabelName":
            names[label] = name or label
    return names


def _rows(path: Path) -> Iterator[CsvRow]:
    columns = csv_columns(path, name="open_images")
    before = "Box" if "BoxXMin" in columns else ""
    edges = [before + edge for edge in _EDGES]
    for row in read_csv(path, name="open_images", needed=("ImageID", "LabelName", *edges)):
        cells = {column: cell.strip() for column, cell in row.cells.items()}
        own = {edge: cells[column] for edge, column in zip(_EDGES, edges, strict=True)}
        yield CsvRow(row.line, cells | own)


def _box(row: Mapping[str, str], order: int, class_names: Mapping[str, str]) -> SourceBox | LeftOut:
    label = row["LabelName"]
    if not label:
        return LeftOut("", "no-class")
    if not row["ImageID"]:
        return LeftOut("", "no-image", "its `ImageID` is empty")
    if row.get("IsGroupOf") in _YES:
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
        # Not `Path.is_file`, which fails where a name is too long.
        return next((name for name in names if isfile(folder / name)), names[0])
    return names[0]
