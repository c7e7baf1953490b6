"""The network's eye: MobileNetV2 with the DeepLab head, as a feature pyramid.

The layers are those of the DeepLabv3 model that remask starts from (Chen et al. 2018, Sandler et
al. 2018), batch norm folded into the convolutions. Only its feature maps are used, its class
scores as one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from remask_core.errors import InputError

__all__ = ["PYRAMID_CHANNELS", "Encoder", "encoder_from_deeplab"]

# Expansion, output channels, stride, dilation of each inverted residual block.
_BLOCKS = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 24, 1, 1),
    (6, 32, 2, 1),
    (6, 32, 1, 1),
    (6, 32, 1, 1),
    (6, 64, 2, 1),
    (6, 64, 1, 1),
    (6, 64, 1, 1),
    (6, 64, 1, 1),
    (6, 96, 1, 1),
    (6, 96, 1, 1),
    (6, 96, 1, 1),
    (6, 160, 1, 1),
    (6, 160, 1, 2),
    (6, 160, 1, 2),
    (6, 320, 1, 2),
)
_STEM = 32
_HEAD = 256
_CLASSES = 21

PYRAMID_CHANNELS = (16, 24, 32, 64 + 96 + 320 + _HEAD + _CLASSES)
"""Channels of the feature maps at strides 2, 4, 8 and 16."""


class _Conv(nn.Module):
    """A convolution padded as TensorFlow's SAME: on even sides only the far border at stride 2."""

    def __init__(self, c_in: int, c_out: int, *, kernel: int, stride: int, dilation: int) -> None:
        super().__init__()
        groups = c_in if kernel > 1 and c_in == c_out else 1
        self.far_only = stride == 2
        padding = 0 if self.far_only else dilation * (kernel // 2)
        self.conv = nn.Conv2d(
            c_in, c_out, kernel, stride=stride, padding=padding, dilation=dilation, groups=groups
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.far_only:
            x = F.pad(x, (0, 1, 0, 1))
        return cast(Tensor, self.conv(x))


class _Block(nn.Module):
    """An inverted residual block: widen, filter each channel, narrow."""

    def __init__(self, c_in: int, expansion: int, c_out: int, stride: int, dilation: int) -> None:
        super().__init__()
        wide = c_in * expansion
        self.residual = stride == 1 and c_in == c_out
        self.widen = None if expansion == 1 else _Conv(c_in, wide, kernel=1, stride=1, dilation=1)
        self.filter = _Conv(wide, wide, kernel=3, stride=stride, dilation=dilation)
        self.narrow = _Conv(wide, c_out, kernel=1, stride=1, dilation=1)

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.widen is None else F.relu6(self.widen(x))
        y = self.narrow(F.relu6(self.filter(y)))
        return x + y if self.residual else cast(Tensor, y)


class Encoder(nn.Module):
    """Image to feature maps at strides 2, 4, 8 and 16."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _Conv(3, _STEM, kernel=3, stride=2, dilation=1)
        blocks, c_in = [], _STEM
        for expansion, c_out, stride, dilation in _BLOCKS:
            blocks.append(_Block(c_in, expansion, c_out, stride, dilation))
            c_in = c_out
        self.blocks = nn.ModuleList(blocks)
        self.aspp = nn.Conv2d(c_in, _HEAD, 1)
        self.aspp_pool = nn.Conv2d(c_in, _HEAD, 1)
        self.mix = nn.Conv2d(2 * _HEAD, _HEAD, 1)
        self.classes = nn.Conv2d(_HEAD, _CLASSES, 1)

    def forward(
        self, image: Tensor, pause: Callable[[], None] | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the pyramid of `image`, (N, 3, S, S) in [-1, 1], S a multiple of 16.

        `pause` is called between blocks.
        """
        x = F.relu6(self.stem(image))
        maps: dict[int, Tensor] = {}
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in (0, 2, 5, 9, 12):
                maps[number] = x
            if pause is not None:
                pause()
        pooled = F.relu(self.aspp_pool(x.mean((2, 3), keepdim=True)))
        near = F.relu(self.aspp(x))
        head = F.relu(self.mix(torch.cat([pooled.expand_as(near), near], 1)))
        deep = torch.cat([maps[9], maps[12], x, head, self.classes(head)], 1)
        return maps[0], maps[2], maps[5], deep


def encoder_from_deeplab(spec: Sequence[Mapping[str, Any]], state: Mapping[str, Tensor]) -> Encoder:
    """Return an Encoder with the weights of the dequantised DeepLabv3.

    Args:
        spec: The model's operations in order; those with a weight name it in `w`, its bias in `b`.
        state: The tensors by name.

    Raises:
        InputError: The operations are not those of DeepLabv3 with MobileNetV2.
    """
    encoder = Encoder()
    convs = [module for module in encoder.modules() if isinstance(module, nn.Conv2d)]
    named = [(op["w"], op["b"]) for op in spec if "w" in op]
    shapes = [tuple(state[w].shape) for w, _ in named]
    # Encoder lists its convolutions in the order of the operations, the pooled branch of the
    # head aside: `near` comes before `pooled` in both.
    if shapes != [tuple(conv.weight.shape) for conv in convs]:
        raise InputError(
            "`spec` must list the convolutions of DeepLabv3 with MobileNetV2; got others"
        )
    with torch.no_grad():
        for conv, (w, b) in zip(convs, named, strict=True):
            assert conv.bias is not None
            conv.weight.copy_(state[w])
            conv.bias.copy_(state[b])
    return encoder
