"""The CSV file of measured clicks, in the layout that RClicks was published in.

One row per click. Stems are file names without their ending; the object's stem is its value in
the mask file, or empty where an image has one object. Coordinates are pixels of an image that was
`w` by `h`, which may differ from the size of the file at hand.

Source: RClicks (arXiv 2410.11722), its published data and the code that reads them.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Final, Literal, get_args

import numpy as np

from remask_core.errors import InputError
from remask_evaluation.datasets import Instance
from remask_files.csv_rows import read_csv
from remask_masks.clickability import ClickType, Points

__all__ = [
    "Device",
    "MeasuredClick",
    "measured",
    "object_stem",
    "points_of",
    "read_clicks",
    "write_clicks",
]

Device = Literal["pc", "mobile"]

_SEPARATOR: Final = "_______"


@dataclass(frozen=True, slots=True)
class MeasuredClick:
    """One click of a person; the fields are the columns, in their order.

    Attributes:
        dataset: Name of the data set.
        image_stem: Name of the image file without its ending.
        object_stem: The object's value in the mask, or empty if it is the only one.
        model_type: Whose mask was to be corrected; empty for the first click on an object.
        click_type: What the click answers.
        full_stem: Unique per object, click type and model.
        device: What it was given on.
        x: Column of the clicked pixel.
        y: Row of the clicked pixel.
        w: Width of the image, at least 1.
        h: Height of the image, at least 1.
    """

    dataset: str
    image_stem: str
    object_stem: str
    model_type: str
    click_type: ClickType
    full_stem: str
    device: Device
    x: int
    y: int
    w: int
    h: int

    @classmethod
    def first(
        cls,
        instance: Instance,
        xy: tuple[int, int],
        *,
        shape_hw: tuple[int, int],
        device: Device = "pc",
    ) -> MeasuredClick:
        """Return a first click on an object."""
        return cls.on(instance, xy, kind="first", shape_hw=shape_hw, device=device)

    @classmethod
    def on(
        cls,
        instance: Instance,
        xy: tuple[int, int],
        *,
        kind: ClickType,
        shape_hw: tuple[int, int],
        model: str = "",
        device: Device = "pc",
    ) -> MeasuredClick:
        """Return a click of any kind on an object, or on an error of a mask by `model`."""
        stem, value = instance.image_path.stem, object_stem(instance)
        ending = "" if kind == "first" else f"_{model}_{kind}"
        return cls(
            dataset=instance.dataset,
            image_stem=stem,
            object_stem=value,
            model_type=model,
            click_type=kind,
            full_stem=f"{stem}{_SEPARATOR}{value}{ending}",
            device=device,
            x=xy[0],
            y=xy[1],
            w=shape_hw[1],
            h=shape_hw[0],
        )

    def is_on(self, instance: Instance) -> bool:
        """Whether the click was given on this object; case of the set's name does not matter."""
        return (
            self.image_stem == instance.image_path.stem
            and self.object_stem in ("", object_stem(instance))
            and self.dataset.casefold() == instance.dataset.casefold()
        )


_COLUMNS: Final = tuple(field.name for field in fields(MeasuredClick))
_NUMBERS: Final = ("x", "y", "w", "h")


def read_clicks(path: Path) -> list[MeasuredClick]:
    """Return the clicks of a CSV file in its order; other columns are ignored.

    Coordinates may be written with decimals, which are cut off, and may lie outside the image;
    the nearest pixel is taken, as the published code does.

    Raises:
        NotFound: There is no such file.
        InputError: A column is missing, or a value is not what it must be; names the line.
    """
    return [
        _read_row(row.cells, path=path, line=row.line)
        for row in read_csv(path, name="clicks", needed=_COLUMNS)
    ]


def _read_row(row: dict[str, str], *, path: Path, line: int) -> MeasuredClick:
    words = {name: row[name] for name in _COLUMNS}
    for name, allowed in (("click_type", get_args(ClickType)), ("device", get_args(Device))):
        if words[name] not in allowed:
            raise InputError(
                f"{path}, line {line}: `{name}` must be one of {allowed}; got {words[name]!r}"
            )
    numbers = {}
    for name in _NUMBERS:
        try:
            numbers[name] = int(float(words[name]))
        except (ValueError, OverflowError):
            raise InputError(
                f"{path}, line {line}: `{name}` must be a number; got {words[name]!r}"
            ) from None
    if min(numbers["w"], numbers["h"]) < 1:
        raise InputError(f"{path}, line {line}: `w` and `h` must be at least 1")
    numbers["x"] = min(max(numbers["x"], 0), numbers["w"] - 1)
    numbers["y"] = min(max(numbers["y"], 0), numbers["h"] - 1)
    return MeasuredClick(**{**words, **numbers})  # type: ignore[arg-type]


def write_clicks(path: Path, clicks: Iterable[MeasuredClick]) -> None:
    """Write the clicks to a CSV file that `read_clicks` and the published code can read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows(astuple(click) for click in clicks)


def object_stem(instance: Instance) -> str:
    """Return the object's value in its mask file, or its annotation's id in COCO JSON."""
    return str(instance.mask[1]) if isinstance(instance.mask, tuple) else instance.name


def measured(
    clicks: Sequence[MeasuredClick],
    instance: Instance,
    *,
    shape_hw: tuple[int, int],
    kind: ClickType = "first",
) -> Points:
    """Return (n, 2) the clicks of one kind on one object, in pixels of an image of `shape_hw`.

    See `MeasuredClick.is_on`. Empty when there are none.
    """
    own = [click for click in clicks if click.click_type == kind and click.is_on(instance)]
    return points_of(own, shape_hw=shape_hw)


def points_of(clicks: Iterable[MeasuredClick], *, shape_hw: tuple[int, int]) -> Points:
    """Return (n, 2) where the clicks lie, in pixels of an image of `shape_hw`."""
    height, width = shape_hw
    found = [(click.x * width // click.w, click.y * height // click.h) for click in clicks]
    return np.array(found, dtype=np.int64).reshape(-1, 2)
