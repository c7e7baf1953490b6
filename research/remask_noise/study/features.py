"""What the frozen encoder sees in a box: a vector to tell the class by, a grid for the mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchvision.ops import roi_align

from remask_core.types import Box, RgbImage, check_image
from remask_models.convnet.loading import WEIGHTS, load_network
from remask_models.device import resolve_device
from remask_training.tensors import image_tensor

__all__ = ["GRID", "RoiEncoder", "RoiFeatures"]

GRID = 28
"""Cells of a mask per side, as in Mask R-CNN."""

_CLASS_GRID = 7
_VOC = 21  # class scores, the last channels of the deepest map
_STRIDES = (2, 4, 8, 16)


@dataclass(frozen=True, slots=True)
class RoiFeatures:
    """Features of n boxes.

    Attributes:
        vectors: (n, C) float32; the mean of the encoder's deepest map in each box.
        grids: (n, c, GRID, GRID) float16; colour, fine maps and coarse class scores in each cell,
            and the cell's place in the box.
    """

    vectors: npt.NDArray[np.float32]
    grids: npt.NDArray[np.float16]

    def __len__(self) -> int:
        return len(self.vectors)

    @classmethod
    def joined(cls, several: Sequence[RoiFeatures]) -> RoiFeatures:
        """Return the features of all of them, in order; there must be one at least."""
        return cls(
            np.concatenate([features.vectors for features in several]),
            np.concatenate([features.grids for features in several]),
        )


class RoiEncoder:
    """The bundled model's encoder, frozen, and the reading of boxes from its maps."""

    def __init__(self, *, image_px: int, device: str = "cpu") -> None:
        """Load the encoder.

        Args:
            image_px: Longer side to which images are brought, a multiple of 16.
            device: `cpu`, `cuda`, `cuda:1` or `auto`.
        """
        self._image_px = image_px
        self._device = resolve_device(device)
        self._encoder = load_network(WEIGHTS).encoder.eval().to(self._device)

    @torch.inference_mode()
    def __call__(self, image: RgbImage, boxes: Sequence[Box]) -> RoiFeatures:
        """Return the features of boxes, at least one, on an image.

        Boxes may reach beyond the image; there is nothing there.
        """
        check_image(image)
        height, width = image.shape[:2]
        scale = self._image_px / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        shrinks = scale < 1
        resized = cv2.resize(
            image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        )
        canvas = np.full((self._image_px, self._image_px, 3), 127, np.uint8)
        canvas[: size[1], : size[0]] = resized
        rgb = image_tensor([canvas], self._device)
        places = torch.tensor(
            [[box.x0 * scale, box.y0 * scale, box.x1 * scale, box.y1 * scale] for box in boxes],
            dtype=torch.float32,
            device=self._device,
        )
        maps = self._encoder(rgb)
        fine = [(rgb, 1), *zip(maps[:3], _STRIDES[:3], strict=True), (maps[3][:, -_VOC:], 16)]
        grids = torch.cat(
            [*(_read(plane, places, stride, GRID) for plane, stride in fine), _own_places(places)],
            1,
        )
        vectors = _read(maps[3], places, _STRIDES[3], _CLASS_GRID).mean((2, 3))
        return RoiFeatures(vectors.float().cpu().numpy(), grids.to(torch.float16).cpu().numpy())


def _read(features: Tensor, places: Tensor, stride: int, cells: int) -> Tensor:
    read: Tensor = roi_align(
        features, [places], cells, spatial_scale=1 / stride, sampling_ratio=2, aligned=True
    )
    return read


def _own_places(places: Tensor) -> Tensor:
    """Return (n, 2, GRID, GRID): x and y of every cell in its box, from -1 to 1."""
    line = torch.linspace(-1, 1, GRID, device=places.device)
    grid = torch.stack(torch.meshgrid(line, line, indexing="xy"))
    return grid[None].expand(len(places), -1, -1, -1)
