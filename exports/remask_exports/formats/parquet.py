"""Parquet: one table with a row for each instance, its mask as packed COCO RLE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from remask_core.rle_coco import encode_coco_rle
from remask_core.types import Box
from remask_exports.formats.writer import Categories, Format
from remask_exports.instances import Instance, PlacedClick
from remask_exports.tables import ParquetTable, columns_of

__all__ = ["PARQUET", "InstanceLine", "ParquetWriter", "encode"]

_ROWS_IN_A_GROUP: Final = 2000


@dataclass(frozen=True, slots=True)
class InstanceLine:
    """A row of the table; fields that nobody knows are None.

    Attributes:
        instance: Name of the instance.
        task: Label Studio's task id.
        image: File name of the image.
        address: Where Label Studio has it.
        height: Of the image in pixels.
        width: The same.
        label: Class.
        box: Of the mask, half-open, in pixels.
        area: Pixels of the mask.
        drawn_box: The box that was drawn.
        counts: The mask, packed COCO RLE; its size is height and width.
        predicted_iou: What the ranking model expects.
        rank: From 1, the best.
        score: The model's own estimate.
        round: The last one.
        outcome: How the instance left it.
        annotator: Label Studio's id.
        n_clicks: How many clicks there are.
        clicks: In their order.
    """

    instance: str
    task: int
    image: str
    address: str
    height: int
    width: int
    label: str
    box: Box
    area: int
    drawn_box: Box | None
    counts: str
    predicted_iou: float | None
    rank: int | None
    score: float | None
    round: int | None
    outcome: str
    annotator: int | None
    n_clicks: int
    clicks: tuple[PlacedClick, ...]


def encode(instances: Sequence[Instance]) -> list[dict[str, Any]]:
    """Return a row for each instance."""
    return [asdict(_line(instance)) for instance in instances]


class ParquetWriter:
    """Writes `instances.parquet`.

    Raises:
        InputError: pyarrow is not installed.
    """

    def __init__(self, folder: Path, categories: Categories) -> None:
        del categories
        self._table = ParquetTable(folder / "instances.parquet", columns_of(InstanceLine))
        self._rows: list[dict[str, Any]] = []

    def add(self, encoded: list[dict[str, Any]]) -> None:
        """Take the rows of an image; a few thousand are written at a time."""
        self._rows += encoded
        if len(self._rows) >= _ROWS_IN_A_GROUP:
            self._flush()

    def close(self) -> None:
        """Write what is left and close the table."""
        self._flush()
        self._table.close()

    def _flush(self) -> None:
        if self._rows:
            self._table.add(self._rows)
        self._rows = []


PARQUET: Final = Format("parquet", encode, ParquetWriter)
"""One table; see `InstanceLine`."""


def _line(instance: Instance) -> InstanceLine:
    image = instance.image
    tight = instance.tight
    return InstanceLine(
        instance=instance.name,
        task=image.task,
        image=image.file_name,
        address=image.address,
        height=image.shape_hw[0],
        width=image.shape_hw[1],
        label=instance.label,
        box=tight,
        area=instance.area,
        drawn_box=instance.box,
        counts=encode_coco_rle(instance.mask, box=tight)["counts"],
        predicted_iou=instance.predicted_iou,
        rank=instance.rank,
        score=instance.score,
        round=instance.round,
        outcome=instance.outcome,
        annotator=instance.annotator,
        n_clicks=len(instance.clicks),
        clicks=instance.clicks,
    )
