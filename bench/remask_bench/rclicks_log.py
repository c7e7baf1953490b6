"""The click log of a campaign read as measured clicks.

The log is the CSV that `remask log export` writes: a row per click with at least the columns
`instance`, `round`, `positive`, `x` and `y`. The objects are an export of the same campaign
(`remask export`, as COCO or PNG), which names its instances as the log does. Every click of a
round answers the mask that the round began with: `<instance>-<round>.png` in the folder of masks.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from remask_bench.datasets import Instance, open_set
from remask_bench.rclicks_file import MeasuredClick, read_clicks
from remask_core.errors import InputError, NotFound

__all__ = ["is_click_log", "read_any_clicks"]

_COLUMNS: Final = ("instance", "round", "positive", "x", "y")
_SIGNS: Final = {"1": True, "true": True, "0": False, "false": False}


def is_click_log(path: Path) -> bool:
    """Return whether the header of a CSV file is that of a click log.

    Raises:
        NotFound: There is no such file.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            return set(_COLUMNS) <= set(next(csv.reader(file), []))
    except FileNotFoundError as error:
        raise NotFound(f"there are no clicks at {path}") from error


def read_any_clicks(path: Path, data: Sequence[Path]) -> list[MeasuredClick]:
    """Return the clicks of a CSV file, in the layout of RClicks or of remask's click log.

    Clicks of a log become clicks of kind `fn` or `fp` by their sign, named `<instance>-<round>`.
    Those on instances that no set of `data` holds are left out.

    Args:
        path: The file.
        data: The data sets that hold the objects, as `open_set` takes them. Only a log needs
            them here.

    Raises:
        NotFound: There is no such file, or a data set is not there.
        InputError: A column is missing, or a value is not what it must be; names the line.
    """
    if not is_click_log(path):
        return read_clicks(path)
    known: dict[str, Instance] = {}
    for folder in data:
        for name, instance in _named(folder):
            known[name] = instance
            # Exports put the task before the instance's own id.
            known.setdefault(name.rpartition("/")[2], instance)
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        return list(_clicks(rows, known, path=path))


def _clicks(rows: Any, known: Mapping[str, Instance], *, path: Path) -> Iterable[MeasuredClick]:
    shapes: dict[str, tuple[int, int]] = {}
    for row in rows:
        name = row["instance"]
        if name not in known:
            continue
        where = f"{path}, line {rows.line_num}"
        if name not in shapes:
            height, width = known[name].load().truth.shape
            shapes[name] = height, width
        height, width = shapes[name]
        xy = (
            min(max(_number(row, "x", where), 0), width - 1),
            min(max(_number(row, "y", where), 0), height - 1),
        )
        number = _number(row, "round", where)
        click = MeasuredClick.on(
            known[name],
            xy,
            kind="fn" if _sign(row, where) else "fp",
            shape_hw=(height, width),
            model=f"round{number}",
        )
        yield replace(click, full_stem=f"{name}-{number}")


def _number(row: Mapping[str, str | None], name: str, where: str) -> int:
    try:
        return int(float(str(row[name])))
    except (ValueError, OverflowError):
        raise InputError(f"{where}: `{name}` must be a number; got {row[name]!r}") from None


def _sign(row: Mapping[str, str | None], where: str) -> bool:
    try:
        return _SIGNS[str(row["positive"]).strip().casefold()]
    except KeyError:
        raise InputError(f"{where}: `positive` must be 1 or 0; got {row['positive']!r}") from None


def _named(folder: Path) -> list[tuple[str, Instance]]:
    """Return the objects of an export with the names that it gives them."""
    instances = open_set(folder)
    if folder.suffix == ".json":
        content = json.loads(folder.read_text(encoding="utf-8"))
        rows = [row for row in content["annotations"] if not row.get("iscrowd", 0)]
        names = [str(row.get("instance", row["id"])) for row in rows]
    else:
        with (folder / "index.csv").open(newline="", encoding="utf-8") as file:
            names = [row.get("name") or "" for row in csv.DictReader(file)]
    return [
        (name or instance.name, instance) for name, instance in zip(names, instances, strict=True)
    ]
