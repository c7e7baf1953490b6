"""Crops as tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from remask_core.types import RgbImage

__all__ = ["image_tensor", "plane_tensor"]


def image_tensor(images: Sequence[RgbImage], device: torch.device) -> Tensor:
    """Return (N, 3, S, S) float32 in [-1, 1] from N images (S, S, 3) uint8."""
    stacked = torch.from_numpy(np.stack(images)).to(device)
    return stacked.permute(0, 3, 1, 2).float().div_(127.5).sub_(1).contiguous()


def plane_tensor(planes: Sequence[npt.NDArray[np.float32]], device: torch.device) -> Tensor:
    """Return (N, 1, h, w) float32 from N planes (h, w)."""
    return torch.from_numpy(np.stack(planes)[:, None]).to(device)
