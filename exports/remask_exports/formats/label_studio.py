"""Label Studio's own JSON with ranks: tasks to import again, sorted by what they are worth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from remask_exports.formats.writer import Categories, Format
from remask_exports.instances import Instance

__all__ = ["LABEL_STUDIO", "LABEL_STUDIO_ANNOTATIONS", "LabelStudioWriter", "encode"]

_MADE_BY: Final = "remask export"


def encode(instances: Sequence[Instance], *, as_annotation: bool) -> bytes:
    """Return a task that shows the instances of one image, as Label Studio imports it.

    Its data are those it had, and in addition `predicted_iou` and `rank` of its worst instance,
    which the Data Manager sorts by, and `instances`, their number. Masks and prompts stand as they
    stood, with their ids; a mask's score is its predicted IoU, and all that is known of it is in
    its `meta`.

    Args:
        instances: In their order.
        as_annotation: The masks are an annotation, not a prediction.
    """
    image = instances[0].image
    predicted = [
        instance.predicted_iou for instance in instances if instance.predicted_iou is not None
    ]
    ranks = [instance.rank for instance in instances if instance.rank is not None]
    worst = min(predicted, default=None)
    data = {
        **image.data,
        "predicted_iou": worst,
        "rank": max(ranks, default=None),
        "instances": len(instances),
    }
    result = list(_regions(instances))
    if as_annotation:
        return msgspec.json.encode({"data": data, "annotations": [{"result": result}]})
    prediction = {"model_version": _MADE_BY, "score": worst, "result": result}
    return msgspec.json.encode({"data": data, "predictions": [prediction]})


class LabelStudioWriter:
    """Writes `tasks.json`, one array of tasks; one task for each image."""

    def __init__(self, folder: Path, categories: Categories) -> None:
        del categories
        self._file = (folder / "tasks.json").open("wb")
        self._first = True

    def add(self, encoded: bytes) -> None:
        """Write one task."""
        self._file.write((b"[\n" if self._first else b",\n") + encoded)
        self._first = False

    def close(self) -> None:
        """End the array and close the file."""
        self._file.write(b"[]\n" if self._first else b"\n]\n")
        self._file.close()


LABEL_STUDIO: Final = Format("labelstudio", partial(encode, as_annotation=False), LabelStudioWriter)
"""Tasks with the masks as predictions, from which annotators start; see `encode`."""

LABEL_STUDIO_ANNOTATIONS: Final = Format(
    "labelstudio-annotations", partial(encode, as_annotation=True), LabelStudioWriter
)
"""Tasks with the masks as finished annotations."""


def _regions(instances: Sequence[Instance]) -> Iterator[dict[str, Any]]:
    for instance in instances:
        known = {
            "instance": instance.name,
            "predicted_iou": instance.predicted_iou,
            "rank": instance.rank,
            "score": instance.score,
            "round": instance.round,
            "outcome": instance.outcome,
            "annotator": instance.annotator,
            "n_clicks": len(instance.clicks),
        }
        facts = {name: value for name, value in known.items() if value is not None}
        for region in instance.regions:
            row = _filled(region)
            if bytes(region.value.rle):
                row["value"]["format"] = "rle"
            if bytes(region.value.rle) or region.value.image_data_url:
                row["meta"] = {**(region.meta or {}), **facts}
                score = instance.predicted_iou
                row["score"] = instance.score if score is None else score
            yield row


def _filled(struct: msgspec.Struct) -> dict[str, Any]:
    """Return the fields of `struct` that say something, named as Label Studio names them."""
    row = {}
    for field in msgspec.structs.fields(struct):
        value = getattr(struct, field.name)
        if isinstance(value, msgspec.Struct):
            row[field.encode_name] = _filled(value)
        elif value is not None and not (isinstance(value, msgspec.Raw) and not bytes(value)):
            row[field.encode_name] = value
    return row
