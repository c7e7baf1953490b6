"""Tables of rows to rank: one row per instance and finished round, as CSV or as JSON lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import msgspec
import numpy as np

from remask_core.errors import InputError, NotFound
from remask_core.overlap import iou
from remask_core.rle_coco import decode_coco_rle
from remask_core.types import Box, Click
from remask_files.csv_rows import CsvWriter, read_csv
from remask_ranking.features import FEATURES, Features, features, in_crop

__all__ = [
    "OFFERED",
    "ClickPlace",
    "Row",
    "RowVisit",
    "columns_of",
    "feature_rows",
    "last_rounds",
    "read_rows",
    "with_box",
    "write_rows",
]

Share: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Round: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]
Weight: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0)]
Positive: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0)]
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]


class Row(msgspec.Struct, kw_only=True, frozen=True):
    """What is known of an instance after a finished round.

    Attributes:
        instance: Unique name of the instance.
        round: Number of the round, from 1.
        features: In the order of `FEATURES`; the unit of the distances is the table's own, and
            the same in all its rows.
        true_iou: IoU of the mask with its truth; None where nobody knows the truth.
        score: The segmenter's own estimate of that IoU.
        weight: How much the row counts in training.
        label: Class of the instance.
        annotator: Who visited it; Label Studio's id.
        seconds: Time that the visit took.
        box_px: Longer side of the instance's box, in pixels of the image.
        box_ratio: Shorter over longer side of the box.
        filled: Area of the mask over that of the box.
        score_before: `score` of the mask that was clicked on.
        true_iou_before: `true_iou` of that mask.
        clicks_before: Clicks of all earlier rounds.

    Attributes from `label` on are None where nobody knows them; the paper's ranking does not look
    at them. `--features all` and the forecast of a campaign do.
    """

    instance: str
    round: Round
    features: tuple[float, float, float, float, float]
    true_iou: Share | None = None
    score: float | None = None
    weight: Weight = 1.0
    label: str | None = None
    annotator: int | None = None
    seconds: Positive | None = None
    box_px: Positive | None = None
    box_ratio: Positive | None = None
    filled: Positive | None = None
    score_before: float | None = None
    true_iou_before: Share | None = None
    clicks_before: Count | None = None


class ClickPlace(msgspec.Struct, kw_only=True, frozen=True):
    """A click in pixels of the image."""

    x: float
    y: float
    positive: bool


class RowVisit(msgspec.Struct, kw_only=True, frozen=True):
    """An instance's round with its masks: what a row is computed from.

    Attributes:
        instance: As in `Row`, and so for `round` and all that is not said here.
        previous_mask: COCO RLE of the mask that was clicked on.
        mask: COCO RLE of the mask after the round.
        clicks: Those of the round.
        box: `x0, y0, x1, y1` in pixels, if there was one.
        truth: COCO RLE of the true mask; instead of `true_iou`.
    """

    instance: str
    round: Round
    previous_mask: dict[str, Any]
    mask: dict[str, Any]
    clicks: tuple[ClickPlace, ...] = ()
    box: tuple[float, float, float, float] | None = None
    truth: dict[str, Any] | None = None
    true_iou: Share | None = None
    score: float | None = None
    weight: Weight = 1.0
    label: str | None = None
    annotator: int | None = None
    seconds: Positive | None = None
    score_before: float | None = None
    clicks_before: Count | None = None

    def to_row(self) -> Row:
        """Return the row of this visit, distances in pixels of a crop where there is a box.

        Raises `InputError` as `features` and the RLE codec do.
        """
        mask, before = decode_coco_rle(self.mask), decode_coco_rle(self.previous_mask)
        truth = None if self.truth is None else decode_coco_rle(self.truth)
        box = None if self.box is None else Box(*self.box)
        found = features(
            before,
            mask,
            [Click(click.x, click.y, click.positive) for click in self.clicks],
            round_index=self.round,
            box=box,
        )
        if box is not None:
            found = in_crop(found, box)
        row = Row(
            instance=self.instance,
            round=self.round,
            features=tuple(found.tolist()),
            true_iou=self.true_iou if truth is None else iou(mask, truth),
            true_iou_before=None if truth is None else iou(before, truth),
            **{name: getattr(self, name) for name in _TAKEN_OVER},
        )
        return row if box is None else with_box(row, box, area_px=int(np.count_nonzero(mask)))


_TAKEN_OVER: Final = (
    "score", "weight", "label", "annotator", "seconds", "score_before", "clicks_before",
)  # fmt: skip
_KNOWN: Final = tuple(
    name for name in Row.__struct_fields__ if name not in ("instance", "round", "features")
)
_COLUMNS: Final = ("instance", "round", *FEATURES, *_KNOWN)
_ROW: Final = msgspec.json.Decoder(Row)
_VISIT: Final = msgspec.json.Decoder(RowVisit)


def with_box(row: Row, box: Box, *, area_px: int) -> Row:
    """Return the row with what its box says.

    Args:
        row: Of a visit.
        box: Of the instance, in pixels of the image.
        area_px: Pixels of the mask after the visit.
    """
    longer, shorter = max(box.width, box.height), min(box.width, box.height)
    return msgspec.structs.replace(
        row, box_px=longer, box_ratio=shorter / longer, filled=area_px / (longer * shorter)
    )


def feature_rows(rows: Sequence[Row]) -> Features:
    """Return the features of `rows` as (n, 5) float64."""
    return np.array([row.features for row in rows], np.float64).reshape(len(rows), len(FEATURES))


OFFERED: Final = (
    "score",
    "score_before",
    "clicks_before",
    "box_px",
    "box_ratio",
    "filled",
    "seconds",
)
"""Attributes of a `Row` that a ranking may look at beyond `FEATURES`."""


def columns_of(rows: Sequence[Row], names: Sequence[str]) -> Features:
    """Return features of `rows` by name, (n, k) float64; nan where one is not known.

    Args:
        rows: Any.
        names: `FEATURES`, then some of `OFFERED`.
    """
    more = [
        [
            np.nan if (value := getattr(row, name)) is None else value
            for name in names[len(FEATURES) :]
        ]
        for row in rows
    ]
    extra = np.array(more, np.float64).reshape(len(rows), len(names) - len(FEATURES))
    return np.column_stack([feature_rows(rows), extra])


def last_rounds(rows: Iterable[Row]) -> list[Row]:
    """Return the row of the latest round of each instance, in order of first appearance."""
    latest: dict[str, Row] = {}
    for row in rows:
        if row.instance not in latest or row.round > latest[row.instance].round:
            latest[row.instance] = row
    return list(latest.values())


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a table.

    Args:
        path: `.csv` with columns `instance`, `round`, those of `FEATURES` and, where known,
            the other attributes of a `Row`; or `.jsonl` with a `Row` or a `RowVisit` on each line.
            Masks of visits are decoded one at a time.

    Raises:
        NotFound: There is no such file.
        InputError: Another suffix, or a line that cannot be read; the message names it. The same
            round of an instance twice.
    """
    readers = {".csv": _read_csv, ".jsonl": _read_jsonl}
    reader = readers.get(path.suffix)
    if reader is None:
        raise InputError(f"`{path}` must end in .csv or .jsonl")
    rows: dict[tuple[str, int], Row] = {}
    try:
        for number, row in reader(path):
            if (row.instance, row.round) in rows:
                raise InputError(
                    f"`{path}` line {number}: round {row.round} of {row.instance!r} comes twice"
                )
            rows[row.instance, row.round] = row
    except FileNotFoundError as error:
        raise NotFound(f"no table at {path}") from error
    except OSError as error:
        raise InputError(f"`{path}` must be a readable table: {error}") from error
    return list(rows.values())


def write_rows(rows: Iterable[Row], path: Path) -> int:
    """Write `rows` to a `.csv` that `read_rows` reads, and return how many there were.

    Raises:
        InputError: `path` cannot be written.
    """
    count = 0
    try:
        with closing(CsvWriter(path, _COLUMNS)) as file:
            for row in rows:
                known = (getattr(row, name) for name in _KNOWN)
                file.add((row.instance, row.round, *row.features, *known))
                count += 1
    except OSError as error:
        raise InputError(f"`{path}` must be writable: {error}") from error
    return count


def _read_jsonl(path: Path) -> Iterator[tuple[int, Row]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                has_masks = "mask" in msgspec.json.decode(line, type=dict[str, msgspec.Raw])
                yield number, _VISIT.decode(line).to_row() if has_masks else _ROW.decode(line)
            except (msgspec.DecodeError, InputError, UnicodeDecodeError) as error:
                raise InputError(f"`{path}` line {number}: {error}") from error


def _read_csv(path: Path) -> Iterator[tuple[int, Row]]:
    needed = ("instance", "round", *FEATURES)
    for line, cells in read_csv(path, name="table", needed=needed):
        values = {
            "instance": cells["instance"],
            "round": cells["round"],
            "features": [cells[name] for name in FEATURES],
            **{name: cells[name] for name in _KNOWN if cells.get(name)},
        }
        try:
            yield line, msgspec.convert(values, Row, strict=False)
        except msgspec.ValidationError as error:
            raise InputError(f"`{path}` line {line}: {error}") from error
