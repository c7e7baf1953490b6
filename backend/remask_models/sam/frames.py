"""The square that a Segment Anything network sees, and where an image lies in it.

SAM 1 and HQ-SAM scale an image until its longer side fills the square and pad the rest; SAM 2,
EdgeTAM and SAM 3 stretch it over the whole square. Clicks, boxes, prior masks and the network's
masks go through the same frame, so that all four agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional
from torchvision.transforms.v2.functional import resize

from remask_core.types import BoolMask, Logits, RgbImage

__all__ = ["Frame", "packed", "unpack_bits", "unpacked"]

_PRIOR_LOGIT = 10.0  # sigmoid(10) = 0.99995; SAM 2's own code turns given masks into the same


@dataclass(frozen=True, slots=True)
class Frame:
    """The square that a network sees.

    Attributes:
        side_px: Its side in pixels, 1024 for SAM 1 and SAM 2, 1008 for SAM 3.
        pads: Whether an image keeps its proportions and is padded right and below; else it is
            stretched over the whole square.
        mean: Of each channel, 0..255; subtracted before the network.
        std: Of each channel, 0..255; divided by before the network.
    """

    side_px: int
    pads: bool
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def inner_hw(self, shape_hw: tuple[int, int]) -> tuple[int, int]:
        """Return height and width (at least 1) of an image of `shape_hw` inside the square."""
        if not self.pads:
            return self.side_px, self.side_px
        scale = self.side_px / max(shape_hw)
        return max(1, int(shape_hw[0] * scale + 0.5)), max(1, int(shape_hw[1] * scale + 0.5))

    def coordinates(
        self, points_xy: Sequence[Sequence[float]], shape_hw: tuple[int, int]
    ) -> npt.NDArray[np.float64]:
        """Return points of an image, or corners of boxes in a row, in the frame's pixels.

        Args:
            points_xy: (N, 2k): x and y in turn, in the image's pixels.
            shape_hw: Of the image.

        Returns:
            (N, 2k) float64. The pixel grid's origin stays in place: 0 is 0.
        """
        inner_h, inner_w = self.inner_hw(shape_hw)
        points = np.array(points_xy, dtype=float)
        points[:, 0::2] *= inner_w / shape_hw[1]
        points[:, 1::2] *= inner_h / shape_hw[0]
        return points

    def pixels(self, image: RgbImage, *, device: torch.device) -> torch.Tensor:
        """Return the network's input for an image, (1, 3, side, side) float32.

        The image is moved as bytes, from pinned memory to a GPU, and scaled there: bilinear with
        antialiasing, rounded to bytes, as the models were trained. What is padded is 0 after the
        channels are normalised.
        """
        channels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        if device.type == "cuda":
            channels = channels.pin_memory().to(device, non_blocking=True)
        inner_hw = self.inner_hw((image.shape[0], image.shape[1]))
        scaled = resize(channels, list(inner_hw), antialias=True).float()
        mean = torch.tensor(self.mean, device=device)[:, None, None]
        std = torch.tensor(self.std, device=device)[:, None, None]
        pad = (0, self.side_px - inner_hw[1], 0, self.side_px - inner_hw[0])
        return functional.pad((scaled - mean) / std, pad)[None]

    def prior_logits(self, mask: BoolMask, *, low_hw: tuple[int, int]) -> Logits:
        """Return a mask as the low-resolution logits that a network takes as a prompt.

        The mask is scaled as the image is. Then each of the `low_hw` cells gets the share of it
        that the mask covers, and a share of 0 becomes -10, a half 0, all of it +10.

        Args:
            mask: (H, W) bool.
            low_hw: What the prompt encoder takes, (256, 256) for SAM 1 and SAM 2.

        Returns:
            `low_hw` float32.
        """
        shape_hw = (mask.shape[0], mask.shape[1])
        height, width = self.inner_hw(shape_hw)
        square = np.zeros((self.side_px, self.side_px), dtype=np.float32)
        shrinks = height < shape_hw[0] or width < shape_hw[1]
        square[:height, :width] = cv2.resize(
            mask.astype(np.float32),
            (width, height),
            interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
        )
        share = cv2.resize(square, low_hw[::-1], interpolation=cv2.INTER_AREA)
        logits: Logits = (_PRIOR_LOGIT * (2 * share - 1)).astype(np.float32)
        return logits

    def full_logits(self, low: torch.Tensor, shape_hw: tuple[int, int]) -> torch.Tensor:
        """Return low-resolution logits at the image's size.

        Args:
            low: (N, h, w) float logits of the whole square.
            shape_hw: Of the image.

        Returns:
            (N, H, W), bilinear, as each network's own code enlarges them: padded ones through
            the frame's size, stretched ones in one go.
        """
        full = low[None].float()
        if self.pads:
            full = _enlarged(full, (self.side_px, self.side_px))
            height, width = self.inner_hw(shape_hw)
            full = full[..., :height, :width]
        return _enlarged(full, shape_hw)[0]


def _enlarged(maps: torch.Tensor, shape_hw: tuple[int, int]) -> torch.Tensor:
    return functional.interpolate(maps, shape_hw, mode="bilinear", align_corners=False)


def unpacked(masks: torch.Tensor) -> npt.NDArray[np.bool_]:
    """Return masks of a device as an array, moved as one bit per pixel.

    Args:
        masks: (N, H, W) bool, on any device.

    Returns:
        (N, H, W) bool. From a GPU an eighth of the bytes travels; on the CPU nothing does.
    """
    if masks.device.type == "cpu":
        array: npt.NDArray[np.bool_] = masks.numpy()
        return array
    return unpack_bits(
        packed(masks).cpu().numpy(), (masks.shape[0], masks.shape[1], masks.shape[2])
    )


def packed(masks: torch.Tensor) -> torch.Tensor:
    """Return (N, H, W) bool masks as (N, ceil(H * W / 8)) uint8, first pixel in the highest bit."""
    flat = masks.flatten(1)
    flat = functional.pad(flat.to(torch.uint8), (0, -flat.shape[1] % 8))
    weights = torch.tensor([128, 64, 32, 16, 8, 4, 2, 1], dtype=torch.uint8, device=masks.device)
    return (flat.view(flat.shape[0], -1, 8) * weights).sum(-1, dtype=torch.uint8)


def unpack_bits(
    bits: npt.NDArray[np.uint8], shape_nhw: tuple[int, int, int]
) -> npt.NDArray[np.bool_]:
    """Return the (N, H, W) bool masks that `packed` made (N, ceil(H * W / 8)) uint8 of."""
    count, height, width = shape_nhw
    flat = np.unpackbits(bits, axis=1, count=height * width)
    return flat.view(np.bool_).reshape(count, height, width)
