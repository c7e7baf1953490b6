"""A task of Label Studio's JSON export, read into instances, with a reason for each exception."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard, cast, get_args

import msgspec

from remask_core.errors import InputError, NotFound
from remask_core.geometry import box_of_mask
from remask_core.types import Box
from remask_exports.image_keys import ImageKeys
from remask_exports.image_names import ImageNames
from remask_exports.instances import ExportedOutcome, ImageRef, Instance, PlacedClick
from remask_exports.rank_columns import own_data
from remask_label_config.bodies import WebhookAnnotation
from remask_label_config.prompts import Mark, PercentBox, Sign, marks_of
from remask_label_config.region_masks import has_mask, mask_of_region
from remask_label_config.regions import Region
from remask_label_config.round_regions import is_frame

__all__ = [
    "ExportedTask",
    "Found",
    "ImageLookup",
    "LeftOut",
    "campaign_instances",
    "decode_task",
    "instances_of",
    "original_file_name",
]


class ExportedTask(msgspec.Struct, kw_only=True):
    """A task as Label Studio exports it; everything that is not needed here is passed over."""

    id: int
    data: dict[str, Any]
    annotations: list[WebhookAnnotation] = []


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that does not become an instance.

    Attributes:
        name: The instance, or the task or annotation if there is none.
        reason: A short slug that counts are kept by.
        detail: One sentence.
    """

    name: str
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ImageLookup:
    """How the images of an export are found and named.

    Attributes:
        keys: Which value of a task's data is the image of a mask.
        names: File names.
    """

    keys: ImageKeys = field(default_factory=ImageKeys)
    names: ImageNames = field(default_factory=ImageNames)


@dataclass(frozen=True, slots=True)
class Found:
    """An instance whose mask has not been decoded: cheap to hold, to filter and to count.

    `region` is where the mask stands and `siblings` are all regions of its annotation, prompts
    among them; the other fields are those of `Instance`.
    """

    name: str
    image: ImageRef
    label: str
    region: Region
    siblings: Sequence[Region]
    round: int | None
    annotator: int | None
    source_id: str | None = None

    @property
    def marks(self) -> list[Mark]:
        """The clicks and boxes of the instance, in the order in which they were given."""
        return _prompts(self.siblings, rid=self.region.id)

    @property
    def outcome(self) -> ExportedOutcome:
        """What a campaign says, or else what the mask and the clicks of the last round say."""
        return self._outcome(self.marks)

    def _outcome(self, marks: Sequence[Mark]) -> ExportedOutcome:
        if self.region.origin == "prediction-changed":
            return "painted"
        said = _meta(self.region).get("outcome")
        if said in _OUTCOMES:
            return cast("ExportedOutcome", said)
        clicks = [mark for mark in marks if mark.box is None]
        if self.round is not None and any(_round(mark.region) is not None for mark in clicks):
            clicks = [mark for mark in clicks if _round(mark.region) == self.round]
        return "corrected" if clicks else "accepted"

    def decode(self) -> Instance:
        """Return the instance with its mask.

        Raises:
            InputError: The mask is malformed, of another size than it says, or empty.
        """
        mask = mask_of_region(self.region, shape_hw=self.image.shape_hw)
        tight = box_of_mask(mask)
        if tight is None:
            raise InputError(f"`value` of region `{self.region.id}` must hold a mask; it is empty")
        marks = self.marks
        boxes = [mark.box for mark in marks if mark.box is not None]
        return Instance(
            name=self.name,
            image=self.image,
            label=self.label,
            mask=mask,
            tight=tight,
            box=_drawn_box(boxes[-1], self.image.shape_hw) if boxes else None,
            clicks=tuple(self._clicks(marks)),
            score=_score(self.region),
            round=self.round,
            outcome=self._outcome(marks),
            annotator=self.annotator,
            source_id=self.source_id,
            regions=tuple(
                region
                for region in self.siblings
                if region.id == self.region.id or any(region is mark.region for mark in marks)
            ),
        )

    def _clicks(self, marks: Sequence[Mark]) -> Iterator[PlacedClick]:
        for order, mark in enumerate(marks):
            if mark.box is None:
                x, y = mark.to_xy(self.image.shape_hw)
                yield PlacedClick(
                    x=x,
                    y=y,
                    positive=mark.sign is not Sign.NEGATIVE,
                    order=order,
                    round=_round(mark.region),
                    time_s=mark.time_s,
                )


# Text such as "3.5" becomes a number where a number is needed.
_TASK = msgspec.json.Decoder(ExportedTask, strict=False)
_ANY_IMAGES = ImageLookup()
_OUTCOMES = get_args(ExportedOutcome)


def decode_task(text: bytes) -> ExportedTask:
    """Return one task of an export; its data are without published ranks, see `own_data`.

    Raises:
        InputError: It lacks its id, its data, or an annotation lacks its id.
    """
    try:
        task = _TASK.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"`tasks` must be as Label Studio exports them: {error}") from error
    task.data = own_data(task.data)
    return task


def instances_of(
    task: ExportedTask, images: ImageLookup | None = _ANY_IMAGES
) -> Iterator[Found | LeftOut]:
    """Yield the instances of a task's newest annotation, and what else there was.

    Of several annotations the one that was changed last stands for the task; skipped ones count
    only when there is no other. Each mask region is one instance, however many parts it has. In a
    task of a campaign, an instance without a mask was skipped.

    Args:
        task: Of an export.
        images: How images are found and named. None leaves their addresses and names empty, where
            only the regions matter.
    """
    name = str(task.id)
    if not task.annotations:
        yield LeftOut(name, "not-annotated")
        return
    by_time = sorted(task.annotations, key=lambda found: (found.updated_at or "", found.id))
    finished = [annotation for annotation in by_time if not annotation.was_cancelled]
    for annotation in by_time:
        if finished and annotation is finished[-1]:
            continue
        reason = "skipped" if annotation.was_cancelled else "older-annotation"
        yield LeftOut(f"{name}/{annotation.id}", reason)
    if finished:
        yield from _of_annotation(task, finished[-1], images)


def _of_annotation(
    task: ExportedTask, annotation: WebhookAnnotation, images: ImageLookup | None
) -> Iterator[Found | LeftOut]:
    read = annotation.read()
    regions = read.regions
    for bad in read.unreadable:
        yield LeftOut(f"{task.id}/{bad.name}", "unreadable-region", str(bad))
    masks = [region for region in regions if has_mask(region) and not is_frame(region)]
    expected = campaign_instances(task.data)
    if not masks and not expected and not read.unreadable:
        yield LeftOut(f"{task.id}/{annotation.id}", "no-mask")
    named = {region.id: region.labels for region in regions if region.labels}
    taken: set[str] = set()
    for region in masks:
        name = _name(region)
        # A region that was copied in the editor brings the name of the first one along.
        if name is None or name in taken:
            name = f"{task.id}/{region.id}"
        taken.add(name)
        labels = region.labels or named.get(region.id, ())
        shape_hw = _shape(region)
        if shape_hw is None:
            yield LeftOut(name, "no-size", "original_width and original_height are missing")
        elif not labels:
            yield LeftOut(name, "no-class")
        else:
            try:
                image = _image(task, region, shape_hw, images)
            except NotFound as error:
                yield LeftOut(name, "no-image", str(error))
                continue
            own, person = _round(region), _meta(region).get("annotator")
            for label in labels[1:]:
                detail = f"the mask is exported as `{labels[0]}` alone"
                yield LeftOut(f"{name}/{label}", "further-label", detail)
            yield Found(
                name=name,
                image=image,
                label=labels[0],
                region=region,
                siblings=regions,
                round=_as_round(task.data.get("round")) if own is None else own,
                annotator=person if _is_int(person) else annotation.annotator,
                source_id=_text(expected.get(name, {}).get("source_id")),
            )
    for name, row in expected.items():
        if name not in taken:
            is_skipped = row.get("outcome", "skipped") == "skipped"
            yield LeftOut(name, "skipped" if is_skipped else "no-mask")


def _name(region: Region) -> str | None:
    """Return the name that a campaign gave the instance of this region."""
    name = _meta(region).get("instance")
    return name if isinstance(name, str) and name else None


def original_file_name(data: Mapping[str, Any]) -> str | None:
    """Return what a task's image is called in the file that its campaign was made from."""
    campaign = data.get("remask")
    return _text(campaign.get("file_name")) if isinstance(campaign, dict) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def campaign_instances(data: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what a task of a campaign says of the instances that it holds, by their names.

    The task of a round does not say it; there, whoever takes the mask away skips the instance.
    """
    campaign = data.get("remask")
    listed = campaign.get("instances") if isinstance(campaign, dict) else None
    rows = [row for row in listed or () if isinstance(row, dict)]
    return {row["id"]: row for row in rows if isinstance(row.get("id"), str)}


def _prompts(regions: Sequence[Region], *, rid: str) -> list[Mark]:
    """Return the prompts of the mask `rid` among `regions`, in the order they were given."""
    known: dict[str, Mark] = {}
    for region in regions:
        # In keep-label mode the editor adds mask entries that call themselves key points.
        if bytes(region.value.rle) or rid not in (region.parent_id, _meta(region).get("rid")):
            continue
        try:
            marks = marks_of([region])
        except InputError:
            continue
        for mark in marks:
            if _owner(mark) == rid:
                known.setdefault(mark.id, mark)
    return sorted(known.values(), key=lambda mark: (mark.echo.step or 0, mark.echo.n or 0))


def _owner(mark: Mark) -> str | None:
    return mark.echo.rid or mark.region.parent_id


def _image(
    task: ExportedTask, region: Region, shape_hw: tuple[int, int], images: ImageLookup | None
) -> ImageRef:
    """Return the image that a region was drawn on; raises `NotFound` as `ImageKeys.find` does."""
    index = region.item_index
    image = ImageRef(
        key=str(task.id) if index is None else f"{task.id}-{index}",
        file_name="",
        address="",
        shape_hw=shape_hw,
        task=task.id,
        data=task.data,
    )
    if images is None:
        return image
    place = images.keys.find(task.data, region.to_name, index)
    return replace(
        image,
        address=place.address,
        file_name=images.names.name(place.address),
        has_own_stem=images.names.has_own_stem(place.address),
        assumed=(region.to_name, place.key) if place.is_assumed else None,
    )


def _shape(region: Region) -> tuple[int, int] | None:
    height, width = region.original_height, region.original_width
    if not height or not width or height < 1 or width < 1:
        return None
    return round(height), round(width)


def _meta(region: Region) -> Mapping[str, Any]:
    return region.meta or {}


def _round(region: Region) -> int | None:
    return _as_round(_meta(region).get("round"))


def _as_round(value: object) -> int | None:
    return value if _is_int(value) and value >= 0 else None


def _score(region: Region) -> float | None:
    # A mask that was painted over is no longer what the score was given to.
    if region.origin == "prediction-changed":
        return None
    # Behind a campaign's own word: other programs put other things into a region's score.
    score = _meta(region).get("score", region.score)
    return float(score) if _is_int(score) or isinstance(score, float) else None


def _is_int(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _drawn_box(box: PercentBox, shape_hw: tuple[int, int]) -> Box | None:
    """Return a drawn box in pixels; None if it has no area, or none of it lies on the image."""
    is_off = not box.rotation % 360 and (
        box.x >= 100 or box.y >= 100 or box.x + box.width <= 0 or box.y + box.height <= 0
    )
    if is_off or box.width <= 0 or box.height <= 0:
        return None
    pixels = box.to_box(shape_hw)
    return Box(float(pixels.x0), float(pixels.y0), float(pixels.x1), float(pixels.y1))
