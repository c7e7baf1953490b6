"""The network behind the clickability model: how likely each place of an error is to be clicked.

The encoder of `convnet` is taken as it is and never trained; a small decoder joins its features
with the planes of `error_window`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from remask_models.clickability.error_window import PLANES
from remask_models.convnet.encoder import PYRAMID_CHANNELS, Encoder

__all__ = ["ClickNet"]

_LOOKS = (8, 12, 16, 24)  # channels kept of the encoder's maps at strides 2, 4, 8, 16
_WIDTHS = (16, 24, 32, 48)  # decoder channels at the same strides
_FLOOR = 1e-4
"""Softened error below which a place counts as outside; keeps the logarithm finite."""


class ClickNet(nn.Module):
    """Window of the image and planes to the logarithm of a map."""

    feature_mean: Tensor
    feature_scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        look2, look4, look8, look16 = _LOOKS
        c2, c4, c8, c16 = _WIDTHS
        self.encoder = Encoder().requires_grad_(False)
        # The encoder's channels differ in scale by a factor of a hundred: brought to one.
        self.register_buffer("feature_mean", torch.zeros(sum(PYRAMID_CHANNELS)))
        self.register_buffer("feature_scale", torch.ones(sum(PYRAMID_CHANNELS)))
        self.looks = nn.ModuleList(
            nn.Conv2d(wide, narrow, 1)
            for wide, narrow in zip(PYRAMID_CHANNELS, _LOOKS, strict=True)
        )
        self.at2 = _join(PLANES + look2, c2)
        self.at4 = _join(c2 + look4, c4)
        self.at8 = _join(c4 + look8, c8)
        self.at16 = nn.Sequential(_join(c8 + look16, c16), _join(c16, c16))
        self.up8 = _join(c16 + c8, c8)
        self.up4 = _join(c8 + c4, c4)
        self.up2 = _join(c4 + c2, c2)
        self.out = nn.Conv2d(c2, 1, 3, padding=1)
        # At first the map is the softened error itself.
        nn.init.zeros_(self.out.weight)

    def see_like(self, convnet: Mapping[str, Tensor]) -> None:
        """Take over the encoder and its scale from the state of a `ConvNet`."""
        shared = ("encoder.", "feature_mean", "feature_scale")
        self.load_state_dict(
            {name: value for name, value in convnet.items() if name.startswith(shared)},
            strict=False,
        )

    @torch.no_grad()
    def see(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return the encoder's maps of `image`, each channel brought to mean 0 and scale 1.

        `image` is (N, 3, S, S) in [-1, 1], S a multiple of 32; the maps have strides 2 to 16.
        """
        maps = self.encoder(image)
        means = torch.split(self.feature_mean, list(PYRAMID_CHANNELS))
        scales = torch.split(self.feature_scale, list(PYRAMID_CHANNELS))
        return tuple(
            (features - mean[:, None, None]) * scale[:, None, None]
            for features, mean, scale in zip(maps, means, scales, strict=True)
        )

    def forward(self, seen: Sequence[Tensor], planes: Tensor) -> Tensor:
        """Return what is to be added to the logarithm of the softened error.

        Args:
            seen: The maps of N windows, see `see`.
            planes: (N, PLANES, S/2, S/2), see `ErrorWindow`.

        Returns:
            (N, 1, S/2, S/2).
        """
        look2, look4, look8, look16 = (
            look(features) for look, features in zip(self.looks, seen, strict=True)
        )
        at2 = self.at2(torch.cat([planes, look2], 1))
        at4 = self.at4(torch.cat([F.avg_pool2d(at2, 2), look4], 1))
        at8 = self.at8(torch.cat([F.avg_pool2d(at4, 2), look8], 1))
        at16 = self.at16(torch.cat([F.avg_pool2d(at8, 2), look16], 1))
        up8 = self.up8(torch.cat([_double(at16), at8], 1))
        up4 = self.up4(torch.cat([_double(up8), at4], 1))
        return cast(Tensor, self.out(self.up2(torch.cat([_double(up4), at2], 1))))

    def log_map(self, seen: Sequence[Tensor], planes: Tensor, soft: Tensor) -> Tensor:
        """Return the logarithm of the map, (N, S/2 * S/2), whose exponentials sum to 1.

        `soft` is (N, 1, S/2, S/2), the softened error.
        """
        logits = self(seen, planes) + soft.clamp(min=_FLOOR).log()
        return F.log_softmax(logits.flatten(1), 1)


def _join(c_in: int, c_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, 3, padding=1, bias=False),
        nn.GroupNorm(c_out // 8, c_out),
        nn.ReLU(),
    )


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
