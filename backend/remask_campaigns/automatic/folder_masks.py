"""Automatic masks of a folder of images, as one COCO file, without a Label Studio.

Each image's masks are written to `FILE.part` as soon as they are there, one line of JSON an image,
and the file itself at the end; so a run that was stopped goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from remask_campaigns.automatic.image_calls import ImageJob, answers_in_order
from remask_campaigns.automatic.project_masks import AutomaticPlan
from remask_core.errors import InputError, NotFound, RemaskError
from remask_core.images import image_size
from remask_core.left_out import LeftOut, OnLeftOut, ignore_left_out
from remask_core.progress import OnProgress, no_progress
from remask_core.rle_coco import coco_rle
from remask_images.image_store import StoredImage
from remask_worker.calls import Answer, Call, Engine, Lane

__all__ = ["MaskedFolder", "mask_folder"]

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"})
_CLASS = "object"


class MaskedFolder(msgspec.Struct, kw_only=True):
    """What was made of a folder.

    Attributes:
        images: With their masks in the file.
        before: Of these, how many an earlier run had done.
        masks: In the file.
        left_out: Files that are no readable image, or that the model failed on.
    """

    images: int = 0
    before: int = 0
    masks: int = 0
    left_out: int = 0


class _Mask(msgspec.Struct):
    counts: str
    area_px: int
    box_xyxy: tuple[int, int, int, int]
    score: float
    stability: float | None
    point_xy: tuple[float, float]


class _Line(msgspec.Struct):
    """One image of the unfinished file."""

    model_version: str
    file_name: str
    image_id: str
    shape_hw: tuple[int, int]
    masks: list[_Mask]


def mask_folder(
    engine: Engine,
    folder: Path,
    out: Path,
    plan: AutomaticPlan,
    *,
    on_progress: OnProgress = no_progress,
    left_out: OnLeftOut = ignore_left_out,
) -> MaskedFolder:
    """Write the automatic masks of every image of a folder as a COCO file.

    Args:
        engine: Answers the calls.
        folder: Its images are read, those in folders below it as well.
        out: The file; an earlier one is replaced when the new one is whole.
        plan: What is asked for; its class is the name of the one category, `object` without one.
        on_progress: Called after each image.
        left_out: Called with each file without masks.

    Raises:
        InputError: The folder has no image, or the file cannot be written.
        NotFound: There is no such folder.
        Unavailable: The model cannot be had.
    """
    if not folder.is_dir():
        raise NotFound(f"`folder` must be a folder of images; there is none at {folder}")
    names = sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.suffix.lower() in _SUFFIXES and path.is_file()
    )
    if not names:
        raise InputError(f"`folder` must hold images; {folder} has none")
    part = out.with_name(f"{out.name}.part")
    known = {line.file_name: line for line in _read_lines(part, plan.model_version)}
    done = MaskedFolder(before=sum(_is_unchanged(folder, known.get(name)) for name in names))
    lines = {name: known[name] for name in names if _is_unchanged(folder, known.get(name))}
    todo = [name for name in names if name not in lines]
    try:
        with part.open("wb") as file:
            for line in lines.values():
                file.write(msgspec.json.encode(line) + b"\n")
            on_progress("automatic masks", len(lines), len(names))
            jobs = (
                ImageJob(name, fetch=partial(_stored, folder / name), call=partial(_call, plan))
                for name in todo
            )
            for result in answers_in_order(engine, jobs):
                if isinstance(result.answer, RemaskError):
                    done.left_out += 1
                    left_out(LeftOut(result.key, "no-masks", str(result.answer)))
                else:
                    assert result.image is not None
                    line = _line(result.key, result.image, result.answer, plan)
                    lines[result.key] = line
                    file.write(msgspec.json.encode(line) + b"\n")
                    file.flush()
                on_progress("automatic masks", len(lines) + done.left_out, len(names))
        _write_coco(out, [lines[name] for name in names if name in lines], plan)
    except OSError as error:
        raise InputError(f"`out` must be writable: {error}") from error
    part.unlink()
    done.images = len(lines)
    done.masks = sum(len(line.masks) for line in lines.values())
    return done


def _read_lines(part: Path, model_version: str) -> Iterator[_Line]:
    """Yield the lines of an unfinished run of the same plan; a last line cut short is passed over.

    Nothing is read of a run with another model or other settings.
    """
    try:
        text = part.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"`out` must be writable: {error}") from error
    for row in text.split(b"\n"):
        try:
            line = msgspec.json.decode(row, type=_Line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if line.model_version == model_version:
            yield line


def _is_unchanged(folder: Path, line: _Line | None) -> bool:
    if line is None:
        return False
    try:
        return _digest(folder / line.file_name) == line.image_id
    except OSError:
        return False


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _stored(path: Path) -> StoredImage:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"`folder` must hold readable files; {error}") from error
    return StoredImage(hashlib.sha256(data).hexdigest(), path.absolute(), image_size(data))


def _call(plan: AutomaticPlan, image: StoredImage) -> Call:
    return Call(
        image_id=image.image_id,
        image_path=str(image.path),
        steps=(),
        automatic=plan.settings,
        lane=Lane.BATCH,
        encoding="coco_rle",
    )


def _line(name: str, image: StoredImage, answer: Answer, plan: AutomaticPlan) -> _Line:
    found = answer.found
    if plan.best is not None:
        found = tuple(sorted(found, key=lambda mask: -mask.score)[: plan.best])
    return _Line(
        model_version=plan.model_version,
        file_name=name,
        image_id=image.image_id,
        shape_hw=answer.shape_hw,
        masks=[
            _Mask(
                counts=mask.mask.decode("ascii"),
                area_px=mask.area_px,
                box_xyxy=mask.box_xyxy,
                score=mask.score,
                stability=mask.stability,
                point_xy=mask.point_xy,
            )
            for mask in found
        ],
    )


def _write_coco(out: Path, lines: list[_Line], plan: AutomaticPlan) -> None:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, line in enumerate(lines, start=1):
        height, width = line.shape_hw
        images.append(
            {"id": image_id, "file_name": line.file_name, "height": height, "width": width}
        )
        for mask in line.masks:
            x0, y0, x1, y1 = mask.box_xyxy
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": 1,
                    "segmentation": coco_rle(mask.counts, shape_hw=line.shape_hw),
                    "area": mask.area_px,
                    "bbox": [x0, y0, x1 + 1 - x0, y1 + 1 - y0],
                    "iscrowd": 0,
                    "predicted_iou": mask.score,
                    "stability_score": mask.stability,
                    "point_coords": [list(mask.point_xy)],
                }
            )
    content = {
        "info": {"description": f"automatic masks of {plan.model_version}"},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": plan.label or _CLASS}],
    }
    aside = out.with_name(f"{out.name}.new")
    aside.write_bytes(msgspec.json.encode(content))
    os.replace(aside, out)
