"""Pictures of where people click: maps of an object under each rule, and masks of ten groups.

Source: RClicks (arXiv 2410.11722), figures 4, 6 and 9 to 13 (maps of an object and the clicks that
    were measured on it), 15 and 16 (the mean mask of a model over the clicking groups).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from remask_clicks.benchmark import BASE, Crowd
from remask_clicks.errors import ClickedError
from remask_clicks.maps import map_makers
from remask_clicks.saliency import MapFiles
from remask_core.errors import NotFound
from remask_core.history import replay
from remask_core.types import BoolMask, RgbImage
from remask_evaluation.contestants import Contestant
from remask_evaluation.datasets import Instance
from remask_evaluation.trials import Trial
from remask_masks.clickability import Points
from remask_models.clickability.model import Clickability
from remask_reports.page import Block, Gallery, Page, Picture, Section, Text

__all__ = ["GroupMasks", "clicks_page", "heat_picture", "mean_group_masks", "points_picture"]

_HEIGHT_PX: Final = 220
_CLICK = (20, 170, 60)
_WHITE = (255, 255, 255)


def heat_picture(
    image: RgbImage, heat: npt.NDArray[np.floating], truth: BoolMask, *, height_px: int = _HEIGHT_PX
) -> RgbImage:
    """Return the image in grey under a map, dark where it is 0, with the object outlined.

    Args:
        image: (H, W, 3) uint8 RGB.
        heat: (H, W), at least 0; only its shape matters.
        truth: (H, W) bool.
        height_px: Of the picture.
    """
    shares = np.asarray(heat, np.float32) / max(1e-12, float(heat.max()))
    colours = cv2.applyColorMap((255 * shares).astype(np.uint8), cv2.COLORMAP_INFERNO)[:, :, ::-1]
    grey = image.mean(axis=2, keepdims=True).repeat(3, axis=2)
    mixed = (0.3 * grey + 0.7 * colours).astype(np.uint8)
    return _outlined(mixed, truth, height_px)


def points_picture(
    image: RgbImage, points_xy: Points, truth: BoolMask, *, height_px: int = _HEIGHT_PX
) -> RgbImage:
    """Return the image with a green dot for each click, (n, 2) `x, y`, and the object outlined."""
    picture = _outlined(image, truth, height_px)
    scale = height_px / image.shape[0]
    for x, y in points_xy:
        place = (round((float(x) + 0.5) * scale), round((float(y) + 0.5) * scale))
        cv2.circle(picture, place, 4, _WHITE, -1, cv2.LINE_AA)
        cv2.circle(picture, place, 3, _CLICK, -1, cv2.LINE_AA)
    return picture


@dataclass(frozen=True, slots=True)
class GroupMasks:
    """Masks of one model on one object, averaged over the groups of people.

    Attributes:
        clicks: After so many clicks of each.
        mean: (H, W) float32, the share of the groups whose mask holds a pixel.
        iou: Mean IoU of the groups' masks.
        iou_sd: Its standard deviation over the groups.
    """

    clicks: int
    mean: npt.NDArray[np.float32]
    iou: float
    iou_sd: float


def mean_group_masks(
    instance: Instance,
    contestant: Contestant,
    crowd: Crowd,
    *,
    after: Sequence[int],
    seed: int = 0,
) -> list[GroupMasks]:
    """Return the mean masks of the crowd's groups after each number of clicks of `after`.

    Args:
        instance: The object.
        contestant: The model.
        crowd: Who clicks; its baseline clicker is left out.
        after: Numbers of clicks, from 1 to `crowd.rounds`.
        seed: Of the people.
    """
    wanted = tuple(what for what, (group, _) in crowd.people().items() if group != BASE)
    rows = crowd.play(Trial(instance, contestant, contestant.version, wanted, seed))
    segmenter = contestant.load()
    embedding = segmenter.embed(instance.load().image)
    sums = {clicks: np.zeros(embedding.shape_hw, np.float32) for clicks in after}
    for row in rows:
        answers = replay(segmenter, embedding, row.steps()[: max(after)])
        for clicks in after:
            # A mask that became perfect gets no more clicks and stays.
            sums[clicks] += answers[min(clicks, len(answers)) - 1].mask
    return [
        GroupMasks(
            clicks,
            (sums[clicks] / np.float32(len(rows))).astype(np.float32),
            float(np.mean([row.ious[clicks] for row in rows])),
            float(np.std([row.ious[clicks] for row in rows])),
        )
        for clicks in after
    ]


def clicks_page(
    errors: Sequence[ClickedError],
    *,
    objects: int = 6,
    model: Clickability | None = None,
    files: Sequence[MapFiles] = (),
    sigmas: Sequence[float],
    contestants: Sequence[Contestant] = (),
    crowd: Crowd,
    seed: int = 0,
    made_by: str = "",
) -> Page:
    """Return a page of the objects with the most first clicks: clicks, maps, and mean masks.

    Args:
        errors: See `remask_clicks.errors.clicked_errors`; first clicks are shown.
        objects: How many objects.
        model: A learned model of clicks, to be shown too.
        files: Maps of other methods, to be shown too.
        sigmas: Blurs of the map that is made from the measured clicks.
        contestants: Models whose mean masks over the groups are shown.
        crowd: The groups; means are shown after one click and after `crowd.rounds`.
        seed: Of the groups.
        made_by: The command, for the foot of the page.

    Raises:
        NotFound: There is no first click.
    """
    first = sorted(
        (error for error in errors if error.kind == "first"), key=lambda error: -len(error.clicks)
    )[:objects]
    if not first:
        raise NotFound("`clicks` has no first click on an object of `data`")
    sections = [
        Section(
            "How to read this",
            (
                Text(
                    "Green dots are the clicks that were measured, the white line is the object. "
                    "Each map says how likely a pixel is to be clicked: bright is likely. "
                    "`other people` is made of the clicks themselves."
                ),
            ),
        )
    ]
    makers = map_makers(model, files, sigmas)
    for error in first:
        lesson = error.load()
        pictures = [
            Picture(
                points_picture(lesson.image, lesson.points_xy, lesson.truth),
                f"{len(lesson.points_xy)} clicks",
            )
        ]
        for name, make in makers.items():
            heat = make(error, lesson, lesson.points_xy)
            words = name.replace("other people", "other people (these clicks)")
            pictures.append(Picture(heat_picture(lesson.image, heat, lesson.truth), words))
        blocks: list[Block] = [Gallery(tuple(pictures))]
        after = tuple(dict.fromkeys((1, crowd.rounds)))
        for contestant in contestants:
            means = mean_group_masks(error.instance, contestant, crowd, after=after, seed=seed)
            shown = tuple(
                Picture(
                    heat_picture(lesson.image, each.mean, lesson.truth),
                    f"{_clicks(each.clicks)}: IoU {each.iou:.3f} ± {each.iou_sd:.3f}",
                )
                for each in means
            )
            blocks.append(
                Gallery(shown, f"{contestant.label}: mean mask over {crowd.groups} groups.")
            )
        sections.append(Section(error.instance.key, tuple(blocks)))
    return Page(
        title="Where people click",
        summary=f"{len(first)} objects with the most of the first clicks.",
        sections=tuple(sections),
        made_by=made_by,
    )


def _clicks(count: int) -> str:
    return "1 click" if count == 1 else f"{count} clicks"


def _outlined(image: RgbImage, truth: BoolMask, height_px: int) -> RgbImage:
    height, width = image.shape[:2]
    size = (max(1, round(width * height_px / height)), height_px)
    shrink = cv2.INTER_AREA if height_px < height else cv2.INTER_LINEAR
    picture: RgbImage = cv2.resize(image, size, interpolation=shrink).astype(np.uint8)
    small = cv2.resize(truth.view(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    outlines, _ = cv2.findContours(small, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, outlines, -1, _WHITE, 1, cv2.LINE_AA)
    return picture
