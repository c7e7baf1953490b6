"""A campaign as training data: its masks to learn from, and pictures with truth to measure on."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2s
from pathlib import Path
from typing import Any

from remask_campaigns.visit_records import VisitRecord, read_visits
from remask_core.errors import WrongState
from remask_core.rle_coco import coco_rle
from remask_files.text import read_text
from remask_storage.campaign import CampaignInstance, PlacedClick
from remask_storage.campaign_store import CampaignStore

__all__ = ["FEWEST_MEASURED", "CampaignData", "write_campaign_data"]

FEWEST_MEASURED = 10
"""Of fewer objects no comparison of two models can be believed."""

_MOST_MEASURED = 0.25
"""At most so large a part of the pictures is kept from training."""

_COCO_FILE = "instances.json"


@dataclass(frozen=True, slots=True)
class CampaignData:
    """Two data folders, as `remask train` and `remask bench` read them; no picture is in both.

    Attributes:
        learnt: Folder with the campaign's masks and clicks.
        measured: Folder with the truths of other pictures.
        learnt_objects: Masks in `learnt`.
        learnt_pictures: Pictures of them.
        measured_objects: Truths in `measured`.
        measured_pictures: Pictures of them.
        left_out: Objects in neither folder, by the reason.
    """

    learnt: Path
    measured: Path
    learnt_objects: int
    learnt_pictures: int
    measured_objects: int
    measured_pictures: int
    left_out: Mapping[str, int]

    @property
    def measured_file(self) -> Path:
        """The COCO file of `measured`."""
        return self.measured / _COCO_FILE


def write_campaign_data(
    store: CampaignStore,
    name: str,
    *,
    folder: Path,
    fetch_image: Callable[[CampaignInstance], bytes],
    on_picture: Callable[[int, int], None] = lambda _done, _total: None,
) -> CampaignData:
    """Write what a campaign knows as two data folders.

    Pictures that hold a truth are measured on, at most a quarter of all, chosen by their names.
    Everything else is learnt from: the last mask of each object that somebody corrected, accepted
    or painted, with the clicks that were given. Pictures that are there already are not fetched
    again.

    Args:
        store: Where the campaign is kept.
        name: Of the campaign.
        folder: Gets the folders `learnt` and `measured`.
        fetch_image: Returns the file of an instance's image.
        on_picture: Called with the pictures that are written, and with how many there are.

    Raises:
        NotFound: There is no such campaign, or an image.
        WrongState: Too few objects have a truth on pictures that can be spared, or none has a
            mask that was looked at. Or `folder` holds other pictures to measure on, because truths
            have come since.
    """
    instances = {instance.id: instance for instance in store.instances(name)}
    truths = store.truths(name)
    masks, clicks = _final(read_visits(store, name))
    measured_images = _measured_images(instances.values(), truths)
    measured = [instances[key] for key in truths if instances[key].image in measured_images]
    if len(measured) < FEWEST_MEASURED:
        raise WrongState(
            f"campaign `{name}` must have at least {FEWEST_MEASURED} objects with a known truth on "
            f"a quarter of its pictures, to measure a model on; it has {len(measured)}: "
            f"`remask campaign gold {name}` has more painted"
        )
    learnt = [
        record
        for key, record in masks.items()
        if instances[key].image not in measured_images and record.after is not None
    ]
    if not learnt:
        raise WrongState(
            f"campaign `{name}` must have masks that somebody has looked at, on pictures that are "
            "not measured on; it has none"
        )
    data = CampaignData(
        learnt=folder / "learnt",
        measured=folder / "measured",
        learnt_objects=len(learnt),
        learnt_pictures=len({record.instance.image for record in learnt}),
        measured_objects=len(measured),
        measured_pictures=len({instance.image for instance in measured}),
        left_out=_left_out(instances.values(), masks, measured_images, truths),
    )
    _check_split(data, {_file_name(instance.image) for instance in measured})
    pictures = _Pictures(fetch_image, on_picture, data.learnt_pictures + data.measured_pictures)
    pictures.write(
        data.learnt,
        [
            (record.instance, record.after.counts, clicks[record.instance.id])
            for record in learnt
            if record.after is not None
        ],
    )
    pictures.write(
        data.measured, [(instance, truths[instance.id].counts, ()) for instance in measured]
    )
    return data


def _final(
    records: Iterable[VisitRecord],
) -> tuple[dict[str, VisitRecord], dict[str, list[PlacedClick]]]:
    """Return the last visit of each object that counts, and the clicks of all that count."""
    last: dict[str, VisitRecord] = {}
    clicks: dict[str, list[PlacedClick]] = {}
    for record in records:
        # A visit of an open round has no mask yet.
        if record.is_valid and (record.after is not None or record.visit.outcome == "skipped"):
            last[record.instance.id] = record
            clicks.setdefault(record.instance.id, []).extend(record.visit.clicks)
    return last, clicks


def _measured_images(
    instances: Iterable[CampaignInstance], truths: Mapping[str, Any]
) -> frozenset[str]:
    images = {instance.image for instance in instances}
    # The first quarter in an order that no wish has a part in, and that stays when truths come.
    spared = math.ceil(_MOST_MEASURED * len(images))
    known = sorted({instance.image for instance in instances if instance.id in truths}, key=_digest)
    return frozenset(known[:spared])


def _left_out(
    instances: Iterable[CampaignInstance],
    masks: Mapping[str, VisitRecord],
    measured_images: frozenset[str],
    truths: Mapping[str, Any],
) -> dict[str, int]:
    reasons: Counter[str] = Counter()
    for instance in instances:
        record = masks.get(instance.id)
        if instance.image in measured_images:
            if instance.id not in truths:
                reasons["without truth, on a picture that is measured on"] += 1
        elif record is None:
            reasons["not looked at by anybody"] += 1
        elif record.after is None:
            reasons["skipped"] += 1
    return dict(reasons)


def _check_split(data: CampaignData, measured: set[str]) -> None:
    """Refuse a folder whose model may have learnt from what would now be measured on."""
    if data.measured_file.exists():
        content = json.loads(read_text(data.measured_file, name="folder"))
        if {image["file_name"] for image in content["images"]} != measured:
            raise WrongState(
                f"`folder` must be new, because other pictures have a truth now; {data.measured} "
                "holds the earlier ones"
            )


def _file_name(address: str) -> str:
    return f"{_digest(address)}.img"


def _digest(address: str) -> str:
    return blake2s(address.encode(), digest_size=8).hexdigest()


class _Pictures:
    """Writes data folders, and tells of every picture."""

    def __init__(
        self,
        fetch_image: Callable[[CampaignInstance], bytes],
        on_picture: Callable[[int, int], None],
        total: int,
    ) -> None:
        self._fetch_image = fetch_image
        self._on_picture = on_picture
        self._total = total
        self._done = 0

    def write(
        self,
        folder: Path,
        objects: Sequence[tuple[CampaignInstance, bytes, Sequence[PlacedClick]]],
    ) -> None:
        (folder / "images").mkdir(parents=True, exist_ok=True)
        numbers: dict[str, int] = {}
        labels = sorted({instance.label for instance, _, _ in objects})
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for instance, counts, clicks in objects:
            file_name = _file_name(instance.image)
            if instance.image not in numbers:
                numbers[instance.image] = len(numbers) + 1
                self._picture(folder / "images" / file_name, instance)
                height, width = instance.shape_hw
                images.append(
                    {
                        "id": numbers[instance.image],
                        "file_name": file_name,
                        "height": height,
                        "width": width,
                    }
                )
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": numbers[instance.image],
                    "category_id": labels.index(instance.label) + 1,
                    "segmentation": coco_rle(counts, shape_hw=instance.shape_hw),
                    "instance": instance.id,
                    "clicks": [
                        {"x": click.x, "y": click.y, "positive": click.positive, "order": order}
                        for order, click in enumerate(clicks)
                    ],
                }
            )
        categories = [{"id": n, "name": label} for n, label in enumerate(labels, 1)]
        content = {"images": images, "annotations": annotations, "categories": categories}
        part = folder / f"{_COCO_FILE}.part"
        part.write_text(json.dumps(content), encoding="utf-8")
        part.replace(folder / _COCO_FILE)

    def _picture(self, path: Path, instance: CampaignInstance) -> None:
        if not path.exists():
            part = path.with_suffix(".part")
            part.write_bytes(self._fetch_image(instance))
            part.replace(path)
        self._done += 1
        self._on_picture(self._done, self._total)
