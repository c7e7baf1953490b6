"""A Cityscapes folder as a stream of COCO annotations.

Masks are taken from `*_gtFine_instanceIds.png`: they are what Cityscapes' own evaluation reads,
exact to the pixel and with occlusion resolved, where the polygons of `*_polygons.json` overlap and
must be painted in order first.

Source: the Cityscapes scripts' table of labels. As there, ids below 1000 of a class with instances
are groups (`iscrowd`), and caravans and trailers are not evaluated and so left out.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import numpy.typing as npt

from remask_core.errors import InputError, NotFound
from remask_core.images import image_size
from remask_files.coco import Category, CocoImage, Index
from remask_files.json_stream import Element
from remask_masks.mask_windows import MaskWindow

__all__ = ["CityscapesFolder"]

_SUFFIX = "_gtFine_instanceIds.png"
_CLASSES = {
    24: ("person", "human"),
    25: ("rider", "human"),
    26: ("car", "vehicle"),
    27: ("truck", "vehicle"),
    28: ("bus", "vehicle"),
    31: ("train", "vehicle"),
    32: ("motorcycle", "vehicle"),
    33: ("bicycle", "vehicle"),
}
_FIRST_INSTANCE = 1000


class CityscapesFolder:
    """Every `*_gtFine_instanceIds.png` below a folder, in the order of their names.

    Images are called `<city>/<frame>_leftImg8bit.png`, as below `leftImg8bit/<split>`. Annotation
    and image ids count from 1.
    """

    def __init__(self, path: Path) -> None:
        self._files = sorted(path.rglob(f"*{_SUFFIX}"))
        if not self._files:
            raise NotFound(f"there is no file *{_SUFFIX} below {path}")

    @property
    def total(self) -> int:
        """The number of images."""
        return len(self._files)

    def index(self) -> Index:
        """See `Source.index`."""
        return Index(
            {number: CocoImage(_size(path)) for number, path in enumerate(self._files, start=1)},
            {number: Category(name, group) for number, (name, group) in _CLASSES.items()},
        )

    def elements(self) -> Generator[Element, None, None]:
        """See `Source.elements`."""
        for place, (number, (name, group)) in enumerate(_CLASSES.items()):
            category = {"id": number, "name": name, "supercategory": group}
            yield _element("categories", place, category, 0)
        for place, path in enumerate(self._files):
            height, width = _size(path)
            name = f"{path.parent.name}/{path.name.removesuffix(_SUFFIX)}_leftImg8bit.png"
            image = {"id": place + 1, "file_name": name, "height": height, "width": width}
            yield _element("images", place, image, 0)
        place = -1
        for done, path in enumerate(self._files, start=1):
            for annotation in _annotations(path):
                place += 1
                known = {"id": place + 1, "image_id": done}
                yield _element("annotations", place, known | annotation, done)
        if place < 0:
            yield Element("annotations", None, b"[]", len(self._files))


def _element(key: str, place: int, value: object, done: int) -> Element:
    return Element(key, place, msgspec.json.encode(value), done)


def _size(path: Path) -> tuple[int, int]:
    try:
        return image_size(path.read_bytes())
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _annotations(path: Path) -> Iterator[dict[str, Any]]:
    values = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.ndim != 2:
        raise InputError(f"{path} must be a greyscale PNG of instance ids")
    present = np.unique(values)
    for value in present[present >= min(_CLASSES)].tolist():
        number = value // _FIRST_INSTANCE if value >= _FIRST_INSTANCE else value
        if number not in _CLASSES:
            continue
        window = _window(values == value)
        box = window.box()
        assert box is not None
        yield {
            "category_id": number,
            "iscrowd": int(value < _FIRST_INSTANCE),
            "segmentation": window.to_rle(),
            "area": window.area_px,
            "bbox": [box.x0, box.y0, box.width, box.height],
        }


def _window(mask: npt.NDArray[np.bool_]) -> MaskWindow:
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    part = mask[y : y + height, x : x + width]
    return MaskWindow(part, x, y, (mask.shape[0], mask.shape[1]))
