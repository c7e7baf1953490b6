"""Building blocks of the decoder of `convnet`."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

__all__ = ["WIDTHS", "Attend", "Join", "Residual", "double", "likeness"]

WIDTHS = (16, 32, 64, 128)
"""Channels of the decoder at strides 2, 4, 8, 16."""

_HEADS = 4


class Join(nn.Module):
    """Convolution, group norm, ReLU."""

    def __init__(self, c_in: int, c_out: int, *, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.GroupNorm(max(1, c_out // 8), c_out)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, c_out, H / stride, W / stride) of `x`, (N, c_in, H, W)."""
        return F.relu(self.norm(self.conv(x)))


class Residual(nn.Module):
    """Two convolutions around which the input is carried."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = Join(channels, channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.GroupNorm(channels // 8, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, H, W) of `x`, (N, C, H, W)."""
        return F.relu(x + self.norm(self.second(self.first(x))))


class Attend(nn.Module):
    """Every place looks at every other: how a click reaches the object's far end."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        # A gate that opens in training: at first the block is the identity.
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, H, W) of `x`, (N, C, H, W)."""
        n, c, h, w = x.shape
        qkv = self.qkv(self.norm(x)).reshape(n, 3, _HEADS, c // _HEADS, h * w)
        q, k, v = (part.transpose(-1, -2) for part in qkv.unbind(1))
        mixed = F.scaled_dot_product_attention(q, k, v)
        return x + cast(Tensor, self.out(mixed.transpose(-1, -2).reshape(n, c, h, w)))


def likeness(features: Tensor, weights: Tensor) -> Tensor:
    """Return the cosine of each place with the mean feature under each of K weights.

    (N, C, H, W) and (N, K, H, W) give (N, K, H, W); a weight of nothing gives zeros.
    """
    unit = F.normalize(features, dim=1).flatten(2)
    flat = weights.flatten(2)
    means = F.normalize(torch.bmm(flat, unit.transpose(1, 2)), dim=2)
    return torch.bmm(means, unit).reshape(weights.shape)


def double(x: Tensor) -> Tensor:
    """Return `x`, (N, C, H, W), at twice its height and width."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
