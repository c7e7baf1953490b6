"""Regions that an annotator points with, read as prompts: percent to pixels, signs, echoes.

An answer carries each prompt back with `meta`; `Echo` is what is written there. The next request
then brings the whole history along, so nobody has to remember it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Annotated, Literal, TypeAlias

import msgspec

from remask_core.errors import InputError
from remask_core.types import Box, Click
from remask_label_config.bodies import Region

__all__ = ["Echo", "Mark", "PercentBox", "PriorRef", "Sign", "marks_of"]

_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]

_MAX_PERCENT = 1e4
"""Drawing ends at the image's edge; what is far beyond is not a place."""


class Sign(Enum):
    """What a click says of its pixel; UNKNOWN where the editor no longer tells."""

    POSITIVE = True
    NEGATIVE = False
    UNKNOWN = None


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
    """

    rid: str | None = None
    n: _Count | None = None
    pos: bool | None = None
    t: float | None = None
    step: _Count | None = None
    box: PercentBox | None = None
    prior: PriorRef | None = None
    sign: Literal["unknown"] | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """A click or a box as it stands in a request.

    Attributes:
        region: The region that was sent.
        labels: Its labels.
        box: Geometry of a drawn rectangle or of the box that an anchor stands for; None: a click.
        echo: What an earlier answer wrote into its `meta`.
    """

    region: Region
    labels: tuple[str, ...]
    box: PercentBox | None
    echo: Echo

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
        """The click's sign as far as the region itself tells."""
        if self.echo.pos is not None:
            return Sign(self.echo.pos)
        positive = self.region.is_positive
        return Sign.UNKNOWN if positive is None else Sign(bool(positive))

    def to_click(self, shape_hw: tuple[int, int], *, positive: bool) -> Click:
        """Return the click on the pixel that was pointed at, the nearest one inside the image."""
        height, width = shape_hw
        value = self.region.value
        assert value.x is not None
        assert value.y is not None
        return Click(
            x=_pixel(value.x, width),
            y=_pixel(value.y, height),
            positive=positive,
        )


def marks_of(regions: Iterable[Region]) -> list[Mark]:
    """Return the clicks and boxes among `regions`, in their order, each id once.

    With `<Labels>` and plain `<KeyPoint>` or `<Rectangle>` the editor sends two entries of one
    id, one with the geometry and one with the labels; they become one mark. Regions that are
    neither point nor rectangle are left out.

    Raises:
        InputError: A point or rectangle lacks a coordinate, or it is far out of range.
    """
    marks: dict[str, Mark] = {}
    for region in regions:
        known = marks.get(region.id)
        if known is not None:
            if not known.labels:
                marks[region.id] = replace(known, labels=region.labels)
            continue
        echo = _echo(region)
        if region.type.startswith("keypoint"):
            _check(region, ("x", "y"))
            box = echo.box
        elif region.type.startswith("rectangle"):
            _check(region, ("x", "y", "width", "height"))
            box = _drawn(region)
        else:
            continue
        marks[region.id] = Mark(region=region, labels=region.labels, box=box, echo=echo)
    return list(marks.values())


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
        if percent is None or abs(percent) > _MAX_PERCENT:
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


def _pixel(percent: float, length: int) -> int:
    return math.floor(min(max(percent / 100 * length, 0.0), length - 1.0))


def _span(ends: list[float], length: int) -> tuple[float, float]:
    low = min(max(min(ends), 0.0), length - 1.0)
    high = min(max(*ends, low + 1.0), float(length))
    # Percent and back leaves a trace in the last digits, which would reach into the next pixel.
    return round(low, 6), round(high, 6)
