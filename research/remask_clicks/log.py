"""Reading clicked errors from CSV files in the layout of RClicks and from click logs of campaigns.

A log is the CSV or Parquet of `remask log export`. Its columns `instance`, `round`, `positive`,
`x`, `y` and `mask_before` (with `height` and `width`) are read, and `counts` if it is there. The
objects are an export of the same campaign, which calls its instances what the log calls them. All
clicks of a round answer the mask that the round began with.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from remask_clicks.click_file import MeasuredClick, read_clicks
from remask_clicks.errors import ClickedError, ClickedErrors, clicked_errors
from remask_core.errors import InputError, NotFound
from remask_core.rle_coco import CocoRle, coco_rle
from remask_evaluation.datasets import Instance, open_set
from remask_files.csv_rows import csv_columns
from remask_masks.clickability import ClickType
from remask_training.click_rows import read_click_rows

__all__ = ["read_clicked_errors"]

_COLUMNS: Final = ("instance", "round", "positive", "x", "y", "height", "width", "mask_before")
_TRUTHS: Final = {"1": True, "true": True, "0": False, "false": False}


def read_clicked_errors(
    files: Sequence[Path], data: Sequence[Path], *, masks: Path | None = None
) -> ClickedErrors:
    """Return the errors that were clicked on, and how many clicks could not be used.

    Args:
        files: CSVs of either kind, the header tells which; Parquet is a log.
        data: The data sets that hold the objects, as `open_set` takes them.
        masks: Folder of the masks that later clicks of RClicks' layout answer, see
            `clicked_errors`. A log brings its own.

    Raises:
        NotFound: A file or a data set is not there.
        InputError: A column is missing, or a value is not what it must be; names the line.
    """
    named = [pair for folder in data for pair in _named(folder)]
    logs = [path for path in files if _is_log(path)]
    plain = [click for path in files if path not in logs for click in read_clicks(path)]
    found = clicked_errors(plain, [instance for _, instance in named], masks=masks)
    errors, left_out = list(found.errors), Counter(found.left_out)
    # Exports put the task before an instance's own id.
    known = {name.rpartition("/")[2]: instance for name, instance in named} | dict(named)
    for path in logs:
        errors += _read_log(path, known, left_out)
    return ClickedErrors(tuple(errors), dict(left_out))


def _is_log(path: Path) -> bool:
    if path.suffix == ".parquet":
        return True
    try:
        return {"instance", "round", "positive"} <= set(csv_columns(path, name=str(path)))
    except NotFound as error:
        raise NotFound(f"there are no clicks at {path}") from error


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of a log, checked only where it is looked at."""

    cells: Mapping[str, str | None]
    where: str

    def number(self, name: str) -> int:
        try:
            return int(float(str(self.cells[name])))
        except (ValueError, OverflowError):
            raise InputError(
                f"{self.where}: `{name}` must be a number; got {self.cells[name]!r}"
            ) from None

    def flag(self, name: str) -> bool:
        try:
            return _TRUTHS[str(self.cells[name]).strip().casefold()]
        except KeyError:
            raise InputError(
                f"{self.where}: `{name}` must be true or false; got {self.cells[name]!r}"
            ) from None


def _read_log(
    path: Path, known: Mapping[str, Instance], left_out: Counter[str]
) -> list[ClickedError]:
    """Return the errors of a log; what cannot be used is added to `left_out`."""
    clicks: defaultdict[tuple[str, int, ClickType], list[MeasuredClick]] = defaultdict(list)
    shown: dict[tuple[str, int, ClickType], CocoRle] = {}
    for line, cells in read_click_rows(path, needed=_COLUMNS):
        row = _Row(cells, f"{path}, line {line}")
        name = cells["instance"]
        if "counts" in cells and not row.flag("counts"):
            left_out["does not count"] += 1
        elif name not in known:
            left_out["no object"] += 1
        elif not cells["mask_before"]:
            left_out["no mask"] += 1
        else:
            kind: ClickType = "fn" if row.flag("positive") else "fp"
            key = name, row.number("round"), kind
            clicks[key].append(_click(row, known[name], kind))
            shape_hw = row.number("height"), row.number("width")
            shown[key] = coco_rle(cells["mask_before"], shape_hw=shape_hw)
    return [
        ClickedError(
            instance=known[name],
            kind=kind,
            name=f"{name}-{number}-{kind}",
            clicks=tuple(own),
            mask=shown[name, number, kind],
        )
        for (name, number, kind), own in clicks.items()
    ]


def _click(row: _Row, instance: Instance, kind: ClickType) -> MeasuredClick:
    height, width = row.number("height"), row.number("width")
    x = min(max(row.number("x"), 0), width - 1)
    y = min(max(row.number("y"), 0), height - 1)
    return MeasuredClick.on(
        instance,
        (x, y),
        kind=kind,
        shape_hw=(height, width),
        model=f"round{row.number('round')}",
    )


def _named(folder: Path) -> list[tuple[str, Instance]]:
    """Return the objects of a set with the names that an export of a campaign gives them."""
    return [(instance.exported_as or instance.name, instance) for instance in open_set(folder)]
