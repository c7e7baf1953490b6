"""Clicks and boxes as Label Studio stores them, and the one reading of them in pixels.

`marks_of` finds the clicks and boxes among regions. A `Mark` says where a click is (`to_xy`,
`to_click`), what it means (`sign`) and when it was given (`time_s`). Live answers, campaigns,
exports and simulations all read clicks here, so that all of them agree.

An answer carries each prompt back with `meta`; `Echo` is what is written there. The next request
then brings the whole history along, so nobody has to remember it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Literal, TypeAlias

import msgspec

from remask_core.errors import InputError
from remask_core.types import Box, Click
from remask_label_config.labelling_config import DOT_MINUS, DOT_PLUS
from remask_label_config.regions import Region

__all__ = ["SIGN", "Echo", "Mark", "PercentBox", "PriorRef", "Sign", "marks_of"]

SIGN = "sign"
"""Name of the tag of a campaign's page whose labels, + and -, say what a click means."""

_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]

_MAX_PERCENT = 1e4
"""Drawing ends at the image's edge; what is far beyond is not a place."""

_EDGE_PX = 0.01
"""Distance from the far edges of a click on or beyond them: two decimals keep it in the image."""


class Sign(Enum):
    """What a click says of its pixel; UNKNOWN where the editor no longer tells."""

    POSITIVE = True
    NEGATIVE = False
    UNKNOWN = None


_POINTING = ("keypoint", "rectangle")
_SIGN_LABELS = {"+": Sign.POSITIVE, "-": Sign.NEGATIVE}


class PercentBox(msgspec.Struct, frozen=True, kw_only=True):
    """A rectangle as Label Studio stores it: percent of the image, turned about its corner."""

    x: float
    y: float
    width: float
    height: float
    rotation: float = 0.0

    @classmethod
    def of_box(cls, box: Box, shape_hw: tuple[int, int]) -> PercentBox:
        """Return an upright box in pixels as Label Studio stores it."""
        height, width = shape_hw
        return cls(
            x=100 * box.x0 / width,
            y=100 * box.y0 / height,
            width=100 * box.width / width,
            height=100 * box.height / height,
        )

    def to_box(self, shape_hw: tuple[int, int]) -> Box:
        """Return the upright box that encloses the rectangle, cut to the image, in pixels.

        A rectangle turned by `rotation` degrees (clockwise, about its top-left corner) is
        enclosed. At least one pixel wide and high, however thin the rectangle is.
        """
        height, width = shape_hw
        x, y = self.x / 100 * width, self.y / 100 * height
        across, down = self.width / 100 * width, self.height / 100 * height
        turn = math.radians(self.rotation % 360)
        cos, sin = math.cos(turn), math.sin(turn)
        corners = [(0.0, 0.0), (across, 0.0), (0.0, down), (across, down)]
        if self.rotation % 360:
            corners = [(a * cos - d * sin, a * sin + d * cos) for a, d in corners]
        x0, x1 = _span([x + a for a, _ in corners], width)
        y0, y1 = _span([y + d for _, d in corners], height)
        return Box(x0=x0, y0=y0, x1=x1, y1=y1)


class PriorRef(msgspec.Struct, frozen=True, kw_only=True):
    """Where the mask is that an object had before its first prompt, and what it was.

    Attributes:
        prediction: The prediction's id in Label Studio.
        region: The region's id in its result.
        digest: First 16 hex digits of the SHA-256 of its brush RLE.
    """

    prediction: int | str
    region: str
    digest: str


class Echo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an answer writes into the `meta` of a prompt.

    Attributes:
        rid: Id of the mask's region; None on a prompt that no answer has carried yet.
        n: Place in the object's history, from 0.
        pos: Sign of a click.
        t: When the prompt first arrived, server time, Unix seconds.
        step: Number of the step; prompts of equal number were given in one go.
        box: The box that an anchor point stands for.
        prior: The mask that the object had before its first prompt.
        sign: `unknown` where the editor had lost the sign and the click was taken as positive.
        reading: Which of the model's candidates was taken, best first from 0; left out for that.
    """

    rid: str | None = None
    n: _Count | None = None
    pos: bool | None = None
    t: float | None = None
    step: _Count | None = None
    box: PercentBox | None = None
    prior: PriorRef | None = None
    sign: Literal["unknown"] | None = None
    reading: _Count = 0


@dataclass(frozen=True, slots=True)
class Mark:
    """A click or a box as it stands in a request.

    Attributes:
        region: The region that was sent.
        labels: Its labels.
        box: Geometry of a drawn rectangle or of the box that an anchor stands for; None: a click.
        echo: What an earlier answer wrote into its `meta`.
        sign_label: What the label of a campaign's page says it means; UNKNOWN elsewhere.
    """

    region: Region
    labels: tuple[str, ...]
    box: PercentBox | None
    echo: Echo
    sign_label: Sign = Sign.UNKNOWN

    @property
    def id(self) -> str:
        """The region's id."""
        return self.region.id

    @property
    def drawn_box(self) -> bool:
        """Whether it is a rectangle on the screen, not a point."""
        return self.region.type.startswith("rectangle")

    @property
    def sign(self) -> Sign:
        """What a click means, as far as the region itself says.

        In this order: the label of a campaign's page, what an earlier answer noted, what the
        editor sent, and what predictions of older versions wrote into `meta`.
        """
        if self.sign_label is not Sign.UNKNOWN:
            return self.sign_label
        noted = (self.region.meta or {}).get("is_positive")
        for positive in (self.echo.pos, self.region.is_positive):
            if positive is not None:
                return Sign(bool(positive))
        if self.region.from_name in (DOT_PLUS, DOT_MINUS):
            return Sign(self.region.from_name == DOT_PLUS)
        return Sign(noted) if isinstance(noted, bool) else Sign.UNKNOWN

    @property
    def time_s(self) -> float | None:
        """When the service first received it, Unix seconds; None where nobody noted it."""
        return self.echo.t

    def is_at(self, other: Mark, shape_hw: tuple[int, int]) -> bool:
        """Whether a click lies on the dot of another prompt; on a box's corner, for a box."""
        there = self.region.value
        here = other.region.value
        if other.drawn_box or None in (there.x, there.y, here.x, here.y):
            return False
        assert there.x is not None
        assert there.y is not None
        assert here.x is not None
        assert here.y is not None
        height, width = shape_hw
        away = math.hypot((there.x - here.x) / 100 * width, (there.y - here.y) / 100 * height)
        return away <= (there.width or 0.0) / 100 * width

    def to_xy(self, shape_hw: tuple[int, int]) -> tuple[float, float]:
        """Return the place that was pointed at, in pixels, not rounded to a pixel.

        A place on the image's right or lower edge, or outside the image, becomes the nearest one
        inside: its whole part is always a column and row of the image.
        """
        height, width = shape_hw
        value = self.region.value
        assert value.x is not None
        assert value.y is not None
        return _inside(value.x, width), _inside(value.y, height)

    def to_click(self, shape_hw: tuple[int, int], *, positive: bool) -> Click:
        """Return the click on the pixel that was pointed at, the nearest one inside the image."""
        x, y = self.to_xy(shape_hw)
        return Click(x=math.floor(x), y=math.floor(y), positive=positive)


def marks_of(regions: Iterable[Region]) -> list[Mark]:
    """Return the clicks and boxes among `regions`, in their order, each id once.

    With `<Labels>` and plain `<KeyPoint>` or `<Rectangle>` the editor sends two entries of one
    id, one with the geometry and one with the labels; they become one mark. Regions that are
    neither point nor rectangle are left out.

    Raises:
        InputError: A point or rectangle lacks a coordinate, or it is far out of range.
    """
    by_id: dict[str, list[Region]] = {}
    for region in regions:
        by_id.setdefault(region.id, []).append(region)
    return [mark for same in by_id.values() if (mark := _mark(same)) is not None]


def _mark(same: Sequence[Region]) -> Mark | None:
    """Return the click or box that the entries of one id are; None where they are neither."""
    region = next((region for region in same if _is_pointing(region)), None)
    if region is None:
        return None
    echo = _echo(region)
    if not region.type.startswith("rectangle"):
        _check(region, ("x", "y"))
        box = echo.box
    else:
        _check(region, ("x", "y", "width", "height"))
        box = _drawn(region)
    labels = region.labels or next((other.labels for other in same if other.labels), ())
    signs = [label for other in same if other.from_name == SIGN for label in other.labels]
    sign = next((_SIGN_LABELS[label] for label in signs if label in _SIGN_LABELS), Sign.UNKNOWN)
    return Mark(region=region, labels=labels, box=box, echo=echo, sign_label=sign)


def _is_pointing(region: Region) -> bool:
    """Whether an entry is a click or a box.

    A mask that was accepted while a class of points was chosen has a second entry that calls
    itself a point. What calls itself an ellipse and carries an echo is a click in the colour of
    its sign.
    """
    if bytes(region.value.rle) or region.value.image_data_url:
        return False
    if region.type.startswith("ellipse"):
        return bool((region.meta or {}).get("rid"))
    return region.type.startswith(_POINTING)


def _echo(region: Region) -> Echo:
    if not region.meta:
        return Echo()
    try:
        return msgspec.convert(region.meta, Echo)
    except msgspec.ValidationError:
        # Anybody may put anything into `meta`; what is not ours is not an echo.
        return Echo()


def _check(region: Region, needed: tuple[str, ...]) -> None:
    for name in needed:
        percent = getattr(region.value, name)
        if percent is None or not abs(percent) <= _MAX_PERCENT:
            raise InputError(
                f"`value.{name}` of region `{region.id}` must be a percentage; got {percent}"
            )


def _drawn(region: Region) -> PercentBox:
    value = region.value
    assert value.x is not None
    assert value.y is not None
    assert value.width is not None
    assert value.height is not None
    return PercentBox(
        x=value.x,
        y=value.y,
        width=value.width,
        height=value.height,
        rotation=value.rotation or 0.0,
    )


def _inside(percent: float, length: int) -> float:
    # Percent and back leaves a trace in the last digits, which would reach into the next pixel.
    return min(max(round(percent / 100 * length, 6), 0.0), length - _EDGE_PX)


def _span(ends: list[float], length: int) -> tuple[float, float]:
    low = min(max(min(ends), 0.0), length - 1.0)
    high = min(max(*ends, low + 1.0), float(length))
    # Percent and back leaves a trace in the last digits, which would reach into the next pixel.
    return round(low, 6), round(high, 6)
