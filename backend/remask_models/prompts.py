"""What every segmenter asks of a prompt before it answers."""

from __future__ import annotations

from remask_core.errors import ClickOutsideImage, InputError
from remask_core.types import Prompt, check_mask

__all__ = ["check_prompt"]


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
