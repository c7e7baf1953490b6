"""Weak annotations: masks that a model makes from nothing but a box or a point of the true ones.

Source: COCO-WAN, "Spatial Noise Matters" (2024): easy from boxes, medium from box centres, hard
from centres and with 40 % class noise.
Differs: boxes are half-open and ids count from 1, where the published code leaves out the last
column and row and begins at 0, which pycocotools takes for unmatched; images are asked for one
after the other, so that each is encoded once.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np

from remask_core.errors import InputError, NotFound
from remask_core.geometry import box_of_mask
from remask_core.history import Step
from remask_core.left_out import LeftOut, LeftOutCounts
from remask_core.rle_coco import coco_rle, decode_coco_counts
from remask_core.types import Box, Click
from remask_files.coco import CocoFile, Id, Index
from remask_files.json_stream import ElementWriter
from remask_masks.mask_windows import read_segmentation, window_of
from remask_noise.annotation import fields_of
from remask_noise.apply import Watch
from remask_noise.operations import flip_class
from remask_worker.calls import Answer, Call, Engine, Lane, answer_of

__all__ = ["WeakCounts", "WeakPrompt", "make_weak"]

WeakPrompt: TypeAlias = Literal["box", "center"]

_AHEAD = 32  # calls the worker may have at once; fewer than its lane takes


@dataclass(slots=True)
class WeakCounts:
    """What was made.

    Attributes:
        annotations: All of them.
        images: Images that the model looked at.
        no_mask: Annotations without a mask to take a prompt from; they keep what they have.
        emptied: Masks of the model without a pixel.
        class_noise: Annotations with another class than before.
        model_version: What made the masks; None if there was nothing to make.
        left_out: Annotations whose mask cannot be read, and those that were copied as they are
            because they belong to no image or class of the file, or cannot be read.
    """

    annotations: int = 0
    images: int = 0
    no_mask: int = 0
    emptied: int = 0
    class_noise: int = 0
    model_version: str | None = None
    left_out: LeftOutCounts = field(default_factory=LeftOutCounts)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A mask to be made."""

    position: int
    step: Step


def make_weak(
    source: Path,
    images: Path,
    out: Path,
    *,
    engine: Engine,
    prompt: WeakPrompt,
    class_share: float = 0.0,
    seed: int = 1,
    watch: Watch = lambda done, total: None,
) -> WeakCounts:
    """Write a copy of a COCO file with every mask made anew by a model.

    Segmentation, `bbox` and `area` are the new mask's; `boundary_type` says what it was made from.
    The same model version, file and seed give the same bytes.

    Args:
        source: COCO or LVIS JSON file.
        images: Folder of its images, by `file_name` (in LVIS the last part of `coco_url`).
        out: File to write.
        engine: Answers one call per annotation, in the lane of batch work.
        prompt: What the model is told: the tight box of the true mask, or a click in its middle,
            which may lie beside the object.
        class_share: Share of annotations that get another class, drawn from all others.
        seed: Seed of the class noise.
        watch: Told how many masks are made.

    Raises:
        NotFound: The file or an image is missing.
        InputError: Something in it is not as it must be; the message says where.
        Unavailable: The model cannot be loaded, or its worker is lost.
    """
    opened = CocoFile(source)
    index = opened.index()
    counts = WeakCounts()
    asked, classes = _prompts(opened, index, prompt, counts.left_out)
    made: dict[int, dict[str, Any]] = {}
    names = {key: image.file_name for key, image in index.images.items()}
    if nameless := [key for key in asked if not names[key]]:
        raise InputError(f"the image with id {nameless[0]} must have a `file_name`")
    shapes_hw = index.shapes_hw()
    total = sum(map(len, asked.values()))
    for position, image_id, answer in _answers(asked, images, names, engine):
        shape_hw = shapes_hw[image_id]
        if answer.shape_hw != shape_hw:
            raise InputError(
                f"the image {names[image_id]} must be {shape_hw[0]} x {shape_hw[1]}, as the file "
                f"says; it is {answer.shape_hw[0]} x {answer.shape_hw[1]}"
            )
        made[position] = _fields(answer, prompt)
        counts.model_version = answer.model_version
        watch(len(made), total)
    counts.images = len(asked)
    part = out.with_name(out.name + ".part")
    try:
        with part.open("wb") as file, closing(opened.elements()) as elements:
            writer = ElementWriter(file)
            for element in elements:
                raw = element.raw
                is_annotation = element.key == "annotations" and element.place is not None
                counts.annotations += is_annotation
                if is_annotation and element.place in classes:
                    assert element.place is not None
                    fields = made.get(element.place)
                    rng = np.random.default_rng([seed, element.place])
                    raw = _changed(
                        raw,
                        element.place,
                        classes[element.place],
                        fields,
                        index,
                        class_share,
                        rng,
                        counts,
                    )
                writer.write(element.key, element.place, raw)
            writer.close()
        part.replace(out)
    except OSError as error:
        raise InputError(f"`out` must be a writable file: {error}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return counts


def _prompts(
    file: CocoFile, index: Index, prompt: WeakPrompt, left_out: LeftOutCounts
) -> tuple[dict[Id, list[_Asked]], dict[int, Id]]:
    """Return what is to be asked, by image, and the classes of all annotations that are usable.

    Classes are by place in the list; what is not there is copied as it is.
    """
    asked: dict[Id, list[_Asked]] = {}
    classes: dict[int, Id] = {}
    for usable in file.usable_annotations(index, left_out=left_out.add):
        classes[usable.place] = usable.category_id
        mask_json = usable.annotation.mask_json
        if mask_json is None:
            continue
        try:
            window, _ = window_of(read_segmentation(mask_json), shape_hw=usable.shape_hw)
        except InputError as error:
            left_out.add(LeftOut(usable.name, "no-mask", str(error)))
            continue
        box = None if window is None else window.box()
        if box is not None:
            asks = _Asked(usable.place, _step(box, prompt))
            asked.setdefault(usable.image_id, []).append(asks)
    return asked, classes


def _step(box: Box, prompt: WeakPrompt) -> Step:
    if prompt == "box":
        return Step(box=box)
    middle = Click((box.x0 + box.x1 - 1) / 2, (box.y0 + box.y1 - 1) / 2, positive=True)
    return Step(clicks=(middle,))


def _answers(
    asked: dict[Id, list[_Asked]], folder: Path, names: dict[Id, str], engine: Engine
) -> Iterator[tuple[int, Id, Answer]]:
    """Yield position, image and answer of every mask, image after image."""
    waiting: deque[tuple[int, Id, Call, Future[Answer]]] = deque()
    for image_id, asks in asked.items():
        path = (folder / names[image_id]).absolute()
        try:
            content = sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise NotFound(f"the image {path} cannot be read: {error}") from error
        for ask in asks:
            if len(waiting) >= _AHEAD:
                position, asked_id, earlier, future = waiting.popleft()
                yield position, asked_id, _answer(engine, earlier, future, names[asked_id])
            call = Call(
                image_id=content,
                image_path=str(path),
                steps=(ask.step,),
                lane=Lane.BATCH,
                encoding="coco_rle",
            )
            waiting.append((ask.position, image_id, call, engine.submit(call)))
    for position, asked_id, earlier, future in waiting:
        yield position, asked_id, _answer(engine, earlier, future, names[asked_id])


def _answer(engine: Engine, call: Call, future: Future[Answer], name: str) -> Answer:
    try:
        return answer_of(engine, call, future, clock=time.time, wait=time.sleep)
    except InputError as error:
        raise InputError(f"the image {name}: {error}") from error


def _fields(answer: Answer, prompt: WeakPrompt) -> dict[str, Any]:
    box = box_of_mask(decode_coco_counts(answer.mask, shape_hw=answer.shape_hw))
    return {
        "segmentation": coco_rle(answer.mask, shape_hw=answer.shape_hw),
        "bbox": [0, 0, 0, 0] if box is None else [box.x0, box.y0, box.width, box.height],
        "area": answer.area_px,
        "boundary_type": prompt,
    }


def _changed(
    raw: bytes,
    place: int,
    category_id: Id,
    fields: dict[str, Any] | None,
    index: Index,
    class_share: float,
    rng: np.random.Generator,
    counts: WeakCounts,
) -> bytes:
    """Return one annotation with its new mask, class and id."""
    parts = fields_of(raw)
    ids = list(index.categories)
    number = ids.index(category_id)
    flipped = flip_class(number, share=class_share, rng=rng, n_classes=len(ids))
    counts.class_noise += flipped != number
    counts.no_mask += fields is None
    counts.emptied += fields is not None and not fields["area"]
    parts |= {"id": place + 1, "category_id": ids[flipped], "class_noise": flipped != number}
    parts |= fields or {"boundary_type": "none"}
    return msgspec.json.encode(parts)
