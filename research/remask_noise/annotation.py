"""One annotation, made noisy: first its class, then its outline."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from remask_core.errors import InputError
from remask_files.coco import Id, Index
from remask_masks.mask_windows import SEGMENTATION, Outlines, Runs, empty_window, window_of
from remask_noise.operations import (
    NoiseLevel,
    Operation,
    apply_operation,
    choose_operation,
    flip_class,
)

__all__ = ["Counts", "NoiseOptions", "Noiser"]

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
    """

    level: NoiseLevel
    seed: int
    asymmetric: bool = False
    as_published: bool = False
    holes: bool = False


@dataclass(slots=True)
class Counts:
    """What happened to some annotations.

    Attributes:
        annotations: All of them.
        operations: By operation, those that got it; `none` has those that kept their mask.
        class_noise: Those with another class than before.
        no_mask: Of `none`, those that have no mask to change: the segmentation is missing or
            empty, or all its outlines have fewer than three points.
        short_outlines: Outlines of fewer than three points, left out of masks that were changed.
        empty_before: Masks without a pixel; an operation leaves them so.
        emptied: Masks without a pixel afterwards that had some before.
        crowds: Annotations of crowds; they are treated like all others.
        id_zero: Annotations with the id 0, which pycocotools takes for unmatched.
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

    def add(self, other: Counts) -> None:
        """Count what another counted."""
        for name, count in other.operations.items():
            self.operations[name] += count
        for name in self.__dataclass_fields__:
            if name != "operations":
                setattr(self, name, getattr(self, name) + getattr(other, name))


class _Fields(msgspec.Struct):
    """The fields of an annotation that noise looks at; the others are carried along."""

    id: Id
    image_id: Id
    category_id: Id
    iscrowd: int | bool | None = None


_FIELDS = msgspec.json.Decoder(_Fields)
_PARTS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_SEGMENTATION = msgspec.json.Decoder(SEGMENTATION)


class Noiser:
    """Makes annotations of one data set noisy; keeps nothing between them, and can be pickled."""

    def __init__(self, options: NoiseOptions, index: Index) -> None:
        self._options = options
        self._shapes_hw = index.shapes_hw
        self._ids = index.categories.ids
        self._number = {category: number for number, category in enumerate(self._ids)}
        members: dict[str, list[int]] = {}
        for number, group in enumerate(index.categories.groups):
            members.setdefault(group, []).append(number)
        self._similar: list[list[int] | None] = [None] * len(self._ids)
        if options.asymmetric:
            if "" in members:
                nameless = self._ids[members[""][0]]
                raise InputError(
                    "asymmetric class noise needs the `supercategory` of every class; the class "
                    f"with id {nameless} has none"
                )
            self._similar = [members[group] for group in index.categories.groups]

    def __call__(self, raw: bytes, position: int, counts: Counts) -> bytes:
        """Return the annotation at `position` of the list as it is after noise, as JSON.

        Fields that noise does not touch keep their bytes.

        Raises:
            InputError: It is not an annotation of this data set; the message has its position and,
                if it could be read, its id.
        """
        where = f"annotation at position {position}"
        try:
            known = _FIELDS.decode(raw)
            where += f" (id {known.id})"
            parts: dict[str, Any] = _PARTS.decode(raw)
            self._change(known, parts, position, counts)
        except (msgspec.DecodeError, RecursionError) as error:
            raise InputError(f"{where} is not as it must be: {error}") from error
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
        return msgspec.json.encode(parts)

    def _change(self, known: _Fields, parts: dict[str, Any], position: int, counts: Counts) -> None:
        options = self._options
        number = self._number.get(known.category_id)
        shape_hw = self._shapes_hw.get(known.image_id)
        if number is None:
            raise InputError(
                f"`category_id` must be one of the categories; got {known.category_id}"
            )
        if shape_hw is None:
            raise InputError(f"`image_id` must be one of the images; got {known.image_id}")
        rng = np.random.default_rng([options.seed, position])
        flipped = flip_class(
            number,
            share=options.level.class_share,
            rng=rng,
            n_classes=len(self._ids),
            similar=self._similar[number],
            as_published=options.as_published,
        )
        operation = choose_operation(options.level, rng=rng)
        if operation != "none":
            found = _SEGMENTATION.decode(parts.get("segmentation", b"null"))
            if not self._redraw(found, operation, shape_hw, parts, rng, counts):
                operation = "none"
                counts.no_mask += 1
        if flipped != number:
            parts["category_id"] = self._ids[flipped]
        parts["boundary_type"] = (
            _PUBLISHED.get(operation, operation) if options.as_published else operation
        )
        parts["class_noise"] = flipped != number
        counts.annotations += 1
        counts.operations[operation] += 1
        counts.class_noise += flipped != number
        counts.crowds += bool(known.iscrowd)
        counts.id_zero += known.id == 0

    def _redraw(
        self,
        segmentation: Outlines | Runs | None,
        operation: Operation,
        shape_hw: tuple[int, int],
        parts: dict[str, Any],
        rng: np.random.Generator,
        counts: Counts,
    ) -> bool:
        """Put the noisy mask into `parts`; return False if there is no mask to begin with."""
        if not segmentation:
            return False
        options = self._options
        window, left_out = window_of(
            segmentation, shape_hw=shape_hw, margin_px=options.level.reach_px + _MARGIN_PX
        )
        if isinstance(segmentation, list) and left_out == len(segmentation):
            return False
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
        return True
