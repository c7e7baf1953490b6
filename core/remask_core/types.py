"""The nouns: image, mask, click, box, prompt, candidate; and the `Segmenter` protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from remask_core.errors import ClickOutsideImage, InputError, ShapeMismatch

__all__ = [
    "BoolMask",
    "Box",
    "Candidate",
    "Click",
    "Embedding",
    "LabelMap",
    "Logits",
    "Pause",
    "Probs",
    "Prompt",
    "RgbImage",
    "Segmenter",
    "check_image",
    "check_mask",
    "check_prompt",
    "no_pause",
]

BoolMask: TypeAlias = npt.NDArray[np.bool_]
Probs: TypeAlias = npt.NDArray[np.float32]
Logits: TypeAlias = npt.NDArray[np.float32]
RgbImage: TypeAlias = npt.NDArray[np.uint8]
LabelMap: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

Pause: TypeAlias = Callable[[], None]


def no_pause() -> None:
    """Go on at once: the pause of a caller with nothing more urgent to do."""


@dataclass(frozen=True, slots=True)
class Click:
    """One point with a sign.

    `x` is the column and `y` the row of the clicked pixel, (0, 0) the top-left pixel of the image.
    `positive` says that the pixel belongs to the object.
    """

    x: float
    y: float
    positive: bool


@dataclass(frozen=True, slots=True)
class Box:
    """A half-open rectangle in pixels: columns `x0 <= x < x1`, rows `y0 <= y < y1`."""

    x0: float
    y0: float
    x1: float
    y1: float

    def __post_init__(self) -> None:
        if not (self.x0 < self.x1 and self.y0 < self.y1):
            raise InputError(
                "`box` must have x0 < x1 and y0 < y1; got "
                f"({self.x0}, {self.y0}, {self.x1}, {self.y1})"
            )

    @property
    def width(self) -> float:
        """Width in pixels."""
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        """Height in pixels."""
        return self.y1 - self.y0


@dataclass(frozen=True, slots=True)
class Prompt:
    """All that a segmenter knows about one object in one call.

    Attributes:
        clicks: All clicks so far, oldest first.
        box: The object's box, if one was drawn.
        prior_logits: `Candidate.logits` of the same segmenter's previous answer for this object,
            in that segmenter's own frame. None on the first call.
        prior_mask: (H, W) bool of the image: a mask of this object that was made elsewhere
            (it came with the task). Ignored when `prior_logits` is given.
    """

    clicks: tuple[Click, ...] = ()
    box: Box | None = None
    prior_logits: Logits | None = None
    prior_mask: BoolMask | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of the masks that a segmenter offers.

    Attributes:
        mask: (H, W) bool, the size of the image.
        score: The segmenter's own estimate of the IoU of `mask` with the object, in [0, 1].
        logits: What to hand back as `Prompt.prior_logits` with the next click; None when the
            segmenter keeps no such thing.
    """

    mask: BoolMask
    score: float
    logits: Logits | None = None


@dataclass(frozen=True, slots=True)
class Embedding:
    """Encoder output for one image: a cache entry, never truth.

    Attributes:
        shape_hw: Height and width of the image in pixels.
        arrays: What the segmenter needs to answer prompts; its own business.
    """

    shape_hw: tuple[int, int]
    arrays: Mapping[str, npt.NDArray[Any]] = field(repr=False)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the arrays take."""
        return sum(array.nbytes for array in self.arrays.values())


class Segmenter(Protocol):
    """A model that encodes an image once and then turns prompts into candidates."""

    @property
    def name(self) -> str:
        """The name it is chosen by, for example `convnet`."""

    @property
    def version(self) -> str:
        """Name and weights digest, as `convnet@3f9a1c0b77de`; equal version, equal answers."""

    def embed(self, image: RgbImage, *, pause: Pause = no_pause) -> Embedding:
        """Return the embedding of `image`, (H, W, 3) uint8 RGB.

        `pause` is called between slices of the work (the encoder's blocks). It may itself call
        `predict` on other embeddings, so an implementation keeps no half-done state in `self`.
        """

    def predict(self, embedding: Embedding, prompt: Prompt) -> list[Candidate]:
        """Return at least one candidate, best first.

        Raises:
            InputError: The prompt is empty, or a click lies outside the image.
        """

    def predict_batch(
        self, embedding: Embedding, prompts: Sequence[Prompt]
    ) -> list[list[Candidate]]:
        """Return the candidates of several prompts on one image, as `predict` would one by one."""


def check_mask(
    mask: npt.NDArray[Any], *, name: str, shape_hw: tuple[int, int] | None = None
) -> BoolMask:
    """Return `mask` unchanged after checking that it is (H, W) bool.

    Raises:
        InputError: It is not a two-dimensional bool array.
        ShapeMismatch: `shape_hw` is given and differs.
    """
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.ndim != 2:
        came = (
            f"{mask.dtype} of shape {mask.shape}"
            if isinstance(mask, np.ndarray)
            else type(mask).__name__
        )
        raise InputError(f"`{name}` must be a two-dimensional bool array; got {came}")
    if shape_hw is not None and mask.shape != tuple(shape_hw):
        raise ShapeMismatch(f"`{name}` must have shape {tuple(shape_hw)}; got {mask.shape}")
    return mask


def check_image(image: npt.NDArray[Any], *, name: str = "image") -> RgbImage:
    """Return `image` unchanged after checking that it is (H, W, 3) uint8 with H, W >= 1."""
    ok = (
        isinstance(image, np.ndarray)
        and image.dtype == np.uint8
        and image.ndim == 3
        and image.shape[2] == 3
        and image.size > 0
    )
    if not ok:
        came = (
            f"{image.dtype} of shape {image.shape}"
            if isinstance(image, np.ndarray)
            else type(image).__name__
        )
        raise InputError(f"`{name}` must be (H, W, 3) uint8 RGB, not empty; got {came}")
    return image


def check_prompt(prompt: Prompt, *, shape_hw: tuple[int, int]) -> Prompt:
    """Return `prompt` unchanged after checking it against an image of `shape_hw` pixels.

    A prior alone is no prompt: it says what was answered before, not what is asked now.

    Raises:
        InputError: Neither click nor box is given, or the box does not touch the image.
        ClickOutsideImage: A click is not on the image; `0 <= x < W` and `0 <= y < H` is needed.
        ShapeMismatch: `prior_mask` is not of the image's size.
    """
    height, width = shape_hw
    if not prompt.clicks and prompt.box is None:
        raise InputError("`prompt` must hold a click or a box; it is empty")
    for number, click in enumerate(prompt.clicks):
        # Written so that NaN fails as well.
        if not (0 <= click.x < width and 0 <= click.y < height):
            raise ClickOutsideImage(
                f"`clicks[{number}]` must lie on the image, 0 <= x < {width} and "
                f"0 <= y < {height}; got ({click.x}, {click.y})"
            )
    box = prompt.box
    if box is not None and not (box.x0 < width and box.y0 < height and box.x1 > 0 and box.y1 > 0):
        raise InputError(
            f"`box` must touch the image of {width} x {height} px; got "
            f"({box.x0}, {box.y0}, {box.x1}, {box.y1})"
        )
    if prompt.prior_mask is not None:
        check_mask(prompt.prior_mask, name="prior_mask", shape_hw=shape_hw)
    return prompt
