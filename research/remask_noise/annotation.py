"""One annotation, made noisy: first its class, then its outline."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from remask_core.errors import InputError
from remask_core.left_out import LeftOut, LeftOutCounts
from remask_files.coco import CocoImage, Index, UsableAnnotation, read_annotation
from remask_files.json_stream import Element
from remask_masks.mask_windows import (
    Outlines,
    Runs,
    empty_window,
    has_outline,
    read_segmentation,
    window_of,
)
from remask_noise.operations import (
    NoiseLevel,
    Operation,
    apply_operation,
    choose_operation,
    flip_class,
)

__all__ = ["Counts", "NoiseOptions", "Noiser", "fields_of"]

_PUBLISHED = {"localisation": "localization", "scale": "rand"}
_MARGIN_PX = 1  # background around the object, so that outlines close within the window


@dataclass(frozen=True, slots=True)
class NoiseOptions:
    """What is done to a data set.

    Attributes:
        level: Shares and strengths.
        seed: Seed of all chance; annotation `i` draws from `default_rng([seed, i])`.
        asymmetric: Confuse a class only with those of its supercategory.
        as_published: Do as the authors' code where it differs from their paper: draw the new class
            from all, the true one included, leave `bbox` and `area` as they were, and use their
            names of the operations.
        holes: Keep holes, which the published operations fill.
        operation: Do this to every mask, as strongly as `level` says; None draws one operation or
            none for each.
    """

    level: NoiseLevel
    seed: int
    asymmetric: bool = False
    as_published: bool = False
    holes: bool = False
    operation: Operation | None = None


@dataclass(slots=True)
class Counts:
    """What happened to some annotations.

    Attributes:
        annotations: All of them.
        operations: By operation, those that got it; `none` has those that were drawn to keep their
            mask.
        class_noise: Those with another class than before.
        no_mask: Those that have no mask to change, whatever was drawn for them: the segmentation
            is missing, empty or cannot be read, or all its outlines have fewer than three points.
            They keep what they have, apart from their class.
        short_outlines: Outlines of fewer than three points, left out of masks that were changed.
        empty_before: Masks without a pixel; an operation leaves them so.
        emptied: Masks without a pixel afterwards that had some before.
        crowds: Annotations of crowds; they are treated like all others.
        id_zero: Annotations with the id 0, which pycocotools takes for unmatched.
        left_out: Those of `no_mask`, and those that were copied as they are because they belong to
            no image or class of the file, or cannot be read.
    """

    annotations: int = 0
    operations: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("approximation", "localisation", "scale", "none"), 0)
    )
    class_noise: int = 0
    no_mask: int = 0
    short_outlines: int = 0
    empty_before: int = 0
    emptied: int = 0
    crowds: int = 0
    id_zero: int = 0
    left_out: LeftOutCounts = field(default_factory=LeftOutCounts)

    def add(self, other: Counts) -> None:
        """Count what another counted."""
        for name, count in other.operations.items():
            self.operations[name] = self.operations.get(name, 0) + count
        self.left_out.add_all(other.left_out)
        for name in self.__dataclass_fields__:
            if name not in ("operations", "left_out"):
                setattr(self, name, getattr(self, name) + getattr(other, name))


_PARTS = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Noiser:
    """Makes annotations of one data set noisy; keeps nothing between them, and can be pickled."""

    def __init__(self, options: NoiseOptions, index: Index) -> None:
        self._options = options
        # Names of files are of no use here, and every process gets a copy.
        self._index = Index(
            {key: CocoImage(image.shape_hw) for key, image in index.images.items()},
            index.categories,
        )
        self._ids = tuple(index.categories)
        self._number = {category: number for number, category in enumerate(self._ids)}
        groups = [category.group for category in index.categories.values()]
        members: dict[str, list[int]] = {}
        for number, group in enumerate(groups):
            members.setdefault(group, []).append(number)
        self._similar: list[list[int] | None] = [None] * len(self._ids)
        if options.asymmetric:
            if "" in members:
                nameless = self._ids[members[""][0]]
                raise InputError(
                    "asymmetric class noise needs the `supercategory` of every class; the class "
                    f"with id {nameless} has none"
                )
            self._similar = [members[group] for group in groups]

    def __call__(self, raw: bytes, position: int, counts: Counts) -> bytes:
        """Return the annotation at `position` of the list as it is after noise, as JSON.

        Fields that noise does not touch keep their bytes. One that cannot be read, or belongs to
        no image or class of the file, is returned as it is.

        Raises:
            InputError: It is no JSON.
        """
        counts.annotations += 1
        annotation = read_annotation(Element("annotations", position, raw, 0))
        if isinstance(annotation, LeftOut):
            counts.left_out.add(annotation)
            return raw
        usable = self._index.usable(annotation, position)
        if isinstance(usable, LeftOut):
            counts.left_out.add(usable)
            return raw
        try:
            parts = fields_of(raw)
        except UnicodeEncodeError as error:
            counts.left_out.add(LeftOut(usable.name, "unreadable", str(error)))
            return raw
        self._change(usable, parts, counts)
        return msgspec.json.encode(parts)

    def _change(self, usable: UsableAnnotation, parts: dict[str, Any], counts: Counts) -> None:
        options, annotation = self._options, usable.annotation
        number = self._number[usable.category_id]
        rng = np.random.default_rng([options.seed, usable.place])
        flipped = flip_class(
            number,
            share=options.level.class_share,
            rng=rng,
            n_classes=len(self._ids),
            similar=self._similar[number],
            as_published=options.as_published,
        )
        operation = options.operation or choose_operation(options.level, rng=rng)
        try:
            if annotation.mask_json is None:
                raise InputError("it has no segmentation")
            segmentation = read_segmentation(annotation.mask_json)
            if not has_outline(segmentation):
                raise InputError("no outline of it has three points")
            if operation != "none":
                self._redraw(segmentation, operation, usable.shape_hw, parts, rng, counts)
            counts.operations[operation] = counts.operations.get(operation, 0) + 1
        except InputError as error:
            operation = "none"
            counts.no_mask += 1
            counts.left_out.add(LeftOut(usable.name, "no-mask", str(error)))
        if flipped != number:
            parts["category_id"] = self._ids[flipped]
        parts["boundary_type"] = (
            _PUBLISHED.get(operation, operation) if options.as_published else operation
        )
        parts["class_noise"] = flipped != number
        counts.class_noise += flipped != number
        counts.crowds += annotation.is_crowd
        counts.id_zero += annotation.id == 0

    def _redraw(
        self,
        segmentation: Outlines | Runs,
        operation: Operation,
        shape_hw: tuple[int, int],
        parts: dict[str, Any],
        rng: np.random.Generator,
        counts: Counts,
    ) -> None:
        """Put the noisy mask into `parts`.

        Raises:
            InputError: The mask cannot be read; nothing is changed then.
        """
        options = self._options
        window, left_out = window_of(
            segmentation, shape_hw=shape_hw, margin_px=options.level.reach_px + _MARGIN_PX
        )
        counts.short_outlines += left_out
        if window is None:
            counts.empty_before += 1
            noisy = empty_window(shape_hw)
        else:
            noisy = window.with_mask(
                apply_operation(
                    window.mask, operation, level=options.level, rng=rng, holes=options.holes
                )
            )
        area_px = noisy.area_px
        counts.emptied += window is not None and not area_px
        parts["segmentation"] = noisy.to_rle()
        if not options.as_published:
            box = noisy.box()
            parts["bbox"] = [0, 0, 0, 0] if box is None else [box.x0, box.y0, box.width, box.height]
            parts["area"] = area_px


def fields_of(raw: bytes) -> dict[str, Any]:
    """Return the fields of an annotation as they are written.

    Raises:
        UnicodeEncodeError: The name of one cannot be written, half a pair of surrogates.
    """
    try:
        return dict(_PARTS.decode(raw))
    except (msgspec.DecodeError, UnicodeDecodeError):
        # NaN, which Python writes and reads.
        fields = json.loads(raw).items()
        for name, _ in fields:
            name.encode()
        return {name: msgspec.Raw(json.dumps(value).encode()) for name, value in fields}
