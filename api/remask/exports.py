"""Exports: annotations fetched from Label Studio and written in the formats of the field."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator

from remask_exports.export import export
from remask_exports.formats.coco import COCO
from remask_exports.formats.label_studio import LABEL_STUDIO, LABEL_STUDIO_ANNOTATIONS
from remask_exports.formats.open_images import OPEN_IMAGES
from remask_exports.formats.parquet import PARQUET
from remask_exports.formats.png import BINARY_PNG, PNG
from remask_exports.formats.writer import Format, Writer
from remask_exports.formats.yolo import YOLO
from remask_exports.instances import ExportedOutcome, ImageRef, Instance
from remask_exports.manifest import Manifest
from remask_exports.selection import Selection

__all__ = [
    "BINARY_PNG",
    "COCO",
    "LABEL_STUDIO",
    "LABEL_STUDIO_ANNOTATIONS",
    "OPEN_IMAGES",
    "PARQUET",
    "PNG",
    "YOLO",
    "Format",
    "ImageRef",
    "Instance",
    "Manifest",
    "Selection",
    "Writer",
    "export",
    "pull",
]


def pull(
    project: int,
    *,
    top: float | None = None,
    bottom: float | None = None,
    min_iou: float | None = None,
    max_iou: float | None = None,
    classes: Collection[str] = (),
    rounds: Collection[int] = (),
    annotators: Collection[int] = (),
    outcomes: Collection[ExportedOutcome] = (),
    url: str | None = None,
    api_key: str | None = None,
) -> Iterator[Instance]:
    """Yield masks of a Label Studio project, straight from there and without a file between.

    Args:
        project: Label Studio's number.
        top: Only the best so many per cent, by the ranks that `remask rank publish` wrote.
        bottom: Only the worst so many per cent, likewise.
        min_iou: Lowest predicted IoU.
        max_iou: Highest predicted IoU.
        classes: Only these; none for all.
        rounds: Only masks whose last round is one of these.
        annotators: Only of these people, by Label Studio's ids.
        outcomes: Only masks that left their last round so.
        url: Of Label Studio; None for what `LABEL_STUDIO_URL` says, or else port 8080 here.
        api_key: Access token; None for what `LABEL_STUDIO_API_KEY` says.

    Raises:
        NotFound: There is no such project.
        InputError: A condition is out of range, the token is missing or refused, or ranks are
            needed and none are published.
        Unavailable: Label Studio does not answer.
    """
    # Label Studio's SDK takes a second to import, which nothing else here needs.
    from remask_exports.pull import pull_instances
    from remask_label_studio.client import connect

    selection = Selection(
        top_percent=top,
        bottom_percent=bottom,
        min_iou=min_iou,
        max_iou=max_iou,
        classes=frozenset(classes),
        rounds=frozenset(rounds),
        annotators=frozenset(annotators),
        outcomes=frozenset(outcomes),
    )
    address = url or os.environ.get("LABEL_STUDIO_URL", "http://localhost:8080")
    key = os.environ.get("LABEL_STUDIO_API_KEY", "") if api_key is None else api_key
    with connect(address, key) as connection:
        yield from pull_instances(connection, project, selection=selection)
