"""Logs of real clicks, and the instances that they were given on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit

from remask_core.errors import InputError
from remask_core.types import Click
from remask_training.click_rows import read_click_rows
from remask_training.samples import Sample, click_at

__all__ = ["ClickLog", "read_click_log", "with_clicks"]

ClickLog: TypeAlias = Mapping[tuple[str, str], tuple[Click, ...]]
"""Clicks in their order, by the picture's name and the instance's."""

_NEEDED = ("image", "instance", "x", "y", "positive")
_SIGNS = {"true": True, "1": True, "false": False, "0": False}


def read_click_log(path: Path) -> ClickLog:
    """Return the clicks of a table, CSV or Parquet, as `remask log export` writes it.

    Columns: `image`, the image's address or file name; `instance`, its name in the data (or what
    follows the last slash of it: exports put the task before an instance's id); `x` and `y`,
    distances from the image's left and upper edge in pixels; `positive`, true or false. `round`
    and `position` give the order where they are there, else the file does. A row whose `counts` is
    false is left out. Further columns are not looked at.

    Raises:
        NotFound: There is no such file.
        InputError: It is no such table, lacks a column, or a row is not a click.
    """
    found: dict[tuple[str, str], list[tuple[tuple[int, int], Click]]] = defaultdict(list)
    for line, row in read_click_rows(path, needed=_NEEDED):
        if row.get("counts") == "false":
            continue
        try:
            found[_stem(row["image"]), row["instance"]].append(_click(row))
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise InputError(f"{path}, line {line}, must be a click: {error!r}") from error
    return {
        key: tuple(click for _, click in sorted(placed, key=lambda numbered: numbered[0]))
        for key, placed in found.items()
    }


def _click(row: Mapping[str, str]) -> tuple[tuple[int, int], Click]:
    """Return a click and its place in the order."""
    place = int(row.get("round") or 0), int(row.get("position") or 0)
    sign = _SIGNS[row["positive"].strip().lower()]
    return place, click_at(float(row["x"]), float(row["y"]), positive=sign)


def with_clicks(samples: Sequence[Sample], log: ClickLog) -> tuple[list[Sample], int]:
    """Return the samples with the clicks of the log, and how many of them the log knows.

    A sample that it does not know keeps the clicks that it has.
    """
    known = [_clicks_on(sample, log) for sample in samples]
    named = [
        replace(sample, clicks=clicks) if clicks else sample
        for sample, clicks in zip(samples, known, strict=True)
    ]
    return named, sum(map(bool, known))


def _clicks_on(sample: Sample, log: ClickLog) -> tuple[Click, ...]:
    picture = sample.picture.name
    return log.get((picture, sample.name)) or log.get((picture, _id(sample.name))) or ()


def _id(name: str) -> str:
    return name.rpartition("/")[2]


def _stem(address: str) -> str:
    """Return the file's name without its ending; of Label Studio's local files, that of `?d=`."""
    parts = urlsplit(address)
    below = parse_qs(parts.query).get("d", [""])[0]
    return PurePosixPath(below or unquote(parts.path)).stem
