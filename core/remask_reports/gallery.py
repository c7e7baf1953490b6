"""A gallery: every mask small on one self-contained page, filtered and enlarged in the browser.

The page holds a small picture of each mask's surroundings, and the mask as an outline that the
browser draws over it, so that the mask can be taken away and enlarged without a second picture.
Only what is on the screen is drawn, so ten thousand masks scroll like a hundred. The page is
written as the masks come, in little memory.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Final, Literal, TypeAlias

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from remask_core.errors import InputError
from remask_core.types import BoolMask, RgbImage, check_image

__all__ = ["GalleryColumn", "GalleryMask", "GalleryValue", "outline_path", "write_gallery_page"]

GalleryValue: TypeAlias = str | float | None

_IN_PACK: Final = 200
_QUALITY: Final = 55


@dataclass(frozen=True, slots=True)
class GalleryColumn:
    """Something that is known of each mask.

    Attributes:
        name: For the page's script; one is called `image`.
        title: As people read it.
        kind: Whether its values are numbers.
        digits: After the point of a number.
        filter: Whether masks are filtered by it.
        caption: Line below the small picture that it stands in, 1 or 2; 0 for neither.
        short: Before a number in that line.
    """

    name: str
    title: str
    kind: Literal["text", "number"] = "text"
    digits: int = 0
    filter: bool = False
    caption: int = 0
    short: str = ""


@dataclass(frozen=True, slots=True)
class GalleryMask:
    """One mask of a gallery; all places are pixels of its picture.

    Attributes:
        name: Of the instance.
        picture: (H, W, 3) uint8 RGB of its surroundings, as large as it is to be stored.
        mask: Outline, of `outline_path`; empty without a mask.
        truth: The same of the truth; empty where it is not known.
        box: Left, top, width and height; None without one.
        clicks: Each `x, y, positive, round`, in order.
        values: One for each column.
    """

    name: str
    picture: RgbImage
    mask: str
    truth: str
    box: tuple[float, float, float, float] | None
    clicks: tuple[tuple[float, float, bool, int], ...]
    values: tuple[GalleryValue, ...]


def outline_path(mask: BoolMask, *, scale: float) -> str:
    """Return a mask's outlines as the path of an SVG, holes by the even-odd rule.

    Args:
        mask: (H, W) bool; an empty one gives an empty text.
        scale: Pixels of the picture for one of the mask. Corners are left out where the outline
            moves by less than half a pixel of the picture.
    """
    contours, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    parts = []
    for contour in contours:
        corners = cv2.approxPolyDP(contour, 0.5 / scale, closed=True)[:, 0]
        points = [f"{(x + 0.5) * scale:.1f} {(y + 0.5) * scale:.1f}" for x, y in corners.tolist()]
        parts.append(f"M{'L'.join(points)}Z")
    return "".join(parts)


def write_gallery_page(
    path: Path,
    masks: Iterable[GalleryMask],
    *,
    title: str,
    columns: Sequence[GalleryColumn],
    first_order: tuple[str, int],
    summary: str = "",
    made_by: str = "",
) -> int:
    """Write a gallery as one HTML file that loads nothing, and return how many masks it holds.

    The file appears when it is complete.

    Args:
        path: HTML file.
        masks: In any order; they are asked for as they are written.
        title: Heading and the browser's title.
        columns: What is known of the masks.
        first_order: Name of the column that masks are ordered by at first, and 1 or -1 for its
            lowest or highest value first. Without values in it they stay in the given order.
        summary: A sentence below the heading.
        made_by: The command that makes it again.

    Raises:
        InputError: `path` cannot be written, or a mask has not a value for each column.
    """
    environment = Environment(
        loader=PackageLoader("remask_reports", ""), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("gallery.html.j2").render(
        title=title,
        summary=summary,
        made_by=made_by,
        columns=Markup(_json([asdict(column) for column in columns])),
        first_order=first_order,
    )
    before, _, after = page.partition("<!--data-->")
    part = path.with_name(f".{path.name}.part")
    count = 0
    try:
        with part.open("w", encoding="utf-8") as file:
            file.write(before)
            for pack in _packs(masks):
                for mask in pack:
                    if len(mask.values) != len(columns):
                        raise InputError(
                            f"`values` of {mask.name} must be {len(columns)}; got "
                            f"{len(mask.values)}"
                        )
                rows = _json([_row(mask) for mask in pack])
                file.write(f'<script type="application/json" class="rows">{rows}</script>\n')
                count += len(pack)
            file.write(after)
        part.replace(path)
    except OSError as error:
        raise InputError(f"`{path}` must be writable: {error}") from error
    finally:
        part.unlink(missing_ok=True)
    return count


def _packs(masks: Iterable[GalleryMask]) -> Iterator[list[GalleryMask]]:
    rest = iter(masks)
    while pack := list(islice(rest, _IN_PACK)):
        yield pack


def _row(mask: GalleryMask) -> list[object]:
    height, width = mask.picture.shape[:2]
    clicks = [
        [round(x, 1), round(y, 1), int(positive), number] for x, y, positive, number in mask.clicks
    ]
    box = None if mask.box is None else [round(side, 1) for side in mask.box]
    picture = _webp(mask.picture)
    return [mask.name, width, height, mask.mask, mask.truth, box, clicks, picture, *mask.values]


def _json(value: object) -> str:
    # Nothing in it can end the script that it stands in.
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _webp(image: RgbImage) -> str:
    check_image(image)
    done, data = cv2.imencode(".webp", image[:, :, ::-1], [cv2.IMWRITE_WEBP_QUALITY, _QUALITY])
    assert done
    return base64.b64encode(data.tobytes()).decode()
