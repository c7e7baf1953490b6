"""The network behind `convnet`: features of a crop once, then a mask for every set of prompts.

A frozen or finely tuned encoder sees the image alone. A lean decoder joins its features with the
prompts, at half the crop's resolution and again at each coarser level, so that a further click
costs one pass of the decoder only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from remask_models.convnet.encoder import PYRAMID_CHANNELS, Encoder
from remask_models.convnet.layers import WIDTHS, Attend, Join, Residual, likeness
from remask_models.convnet.readings import Readings, Trunk, climb, facts_of

__all__ = ["PROMPT_CHANNELS", "ConvNet", "Features", "TorchNetwork", "colour_evidence"]

PROMPT_CHANNELS = 6
"""Positive clicks, negative clicks, box, prior probability, whether there is a prior, inside."""

_BINS = 10  # colour bins per axis


class Features(NamedTuple):
    """What the prompts are joined with; all that a further click needs of the image."""

    rgb: Tensor  # (N, 3, S/2, S/2) in [-1, 1]
    maps: tuple[Tensor, Tensor, Tensor, Tensor]


def colour_evidence(rgb: Tensor, weight: Tensor, inside: Tensor) -> Tensor:
    """Return for each pixel how much its colour speaks for the object, in [-1, 1].

    Two smoothed colour histograms, one weighted with `weight`, one with its complement, give a
    log-likelihood ratio; this is GrabCut's colour model without its iterations.

    Args:
        rgb: (N, 3, H, W) in [-1, 1].
        weight: (N, 1, H, W) in [0, 1]; how likely each pixel is to be the object.
        inside: (N, 1, H, W); 1 on the image, 0 beyond its border.
    """
    n, _, h, w = rgb.shape
    level = ((rgb + 1) * (_BINS / 2)).clamp(0.0, _BINS - 1e-3).long()
    bins = ((level[:, 0] * _BINS + level[:, 1]) * _BINS + level[:, 2]).flatten(1)
    votes = torch.stack([weight * inside, (1 - weight) * inside], 1).reshape(n, 2, h * w)
    both = bins[:, None].expand(n, 2, h * w)
    counts = votes.new_zeros(n, 2, _BINS**3).scatter_add_(2, both, votes)
    cube = counts.reshape(n * 2, 1, _BINS, _BINS, _BINS)
    kernel = cube.new_tensor([0.25, 0.5, 0.25])
    for shape in ((1, 1, 3, 1, 1), (1, 1, 1, 3, 1), (1, 1, 1, 1, 3)):
        padding = tuple(side // 2 for side in shape[2:])
        cube = F.conv3d(cube, kernel.reshape(shape), padding=padding)
    share = cube.reshape(n, 2, -1)
    share = share / (share.sum(2, keepdim=True) + 1)
    ratio = torch.log((share[:, 0] + 1e-4) / (share[:, 1] + 1e-4))
    return torch.tanh(ratio.gather(1, bins).reshape(n, 1, h, w) / 3) * inside


class ConvNet(nn.Module):
    """Image crop and prompts to mask logits and the mask's own IoU estimate.

    Args:
        readings: Whether it has the head that gives further masks for a first click.
    """

    feature_mean: Tensor
    feature_scale: Tensor

    def __init__(self, *, readings: bool = False) -> None:
        super().__init__()
        c2, c4, c8, c16 = WIDTHS
        p2, p4, p8, p16 = PYRAMID_CHANNELS
        self.encoder = Encoder()
        # The encoder's channels differ in scale by a factor of a hundred: brought to one.
        self.register_buffer("feature_mean", torch.zeros(sum(PYRAMID_CHANNELS)))
        self.register_buffer("feature_scale", torch.ones(sum(PYRAMID_CHANNELS)))
        # The prompts as the convolutions see them; a training may show them otherwise.
        self.shown: nn.Module = nn.Identity()
        drawn = PROMPT_CHANNELS + 1  # and the colour evidence
        self.look2 = nn.Conv2d(p2 + 3, c2, 1)
        self.look4 = nn.Conv2d(p4, c4, 1)
        self.look8 = nn.Conv2d(p8, c8, 1)
        self.look16 = nn.Conv2d(p16, c16, 1)
        self.draw4 = Join(drawn, c4, stride=2)
        # Sources are first mixed place by place: a 3 x 3 over all of them doubles the arithmetic
        # of the whole decoder.
        self.join4 = nn.Sequential(Join(2 * c4, c4, kernel=1), Join(c4, c4))
        self.down8 = Join(c4, c8, stride=2)
        self.join8 = nn.Sequential(Join(2 * c8 + 4 + drawn, c8, kernel=1), Residual(c8))
        self.down16 = Join(c8, c16, stride=2)
        self.join16 = nn.Sequential(
            Join(2 * c16 + 4 + drawn, c16, kernel=1),
            Attend(c16),
            Residual(c16),
            Attend(c16),
            Residual(c16),
        )
        self.up8 = nn.Sequential(Join(c16 + 2 * c8, c8, kernel=1), Residual(c8))
        self.up4 = nn.Sequential(Join(c8 + 2 * c4, c4, kernel=1), Residual(c4))
        self.up2 = nn.Sequential(Join(c4 + c2 + drawn, c2, kernel=1), Join(c2, c2))
        self.out = nn.Conv2d(c2, 1, 3, padding=1)
        self.judge = nn.Sequential(nn.Linear(2 * c16 + 4, 64), nn.ReLU(), nn.Linear(64, 1))
        self.readings: Readings | None = Readings(drawn) if readings else None

    def forward(self, image: Tensor, prompts: Tensor) -> tuple[Tensor, Tensor]:
        """Return `decode` of what `encode` makes of `image`."""
        return self.decode(self.encode(image), prompts)

    def encode(self, image: Tensor, pause: Callable[[], None] | None = None) -> Features:
        """Return the features of `image`, (N, 3, S, S) in [-1, 1], S a multiple of 32."""
        maps = self.encoder(image, pause)
        means = torch.split(self.feature_mean, list(PYRAMID_CHANNELS))
        scales = torch.split(self.feature_scale, list(PYRAMID_CHANNELS))
        even = [
            (feature_map - mean[:, None, None]) * scale[:, None, None]
            for feature_map, mean, scale in zip(maps, means, scales, strict=True)
        ]
        return Features(F.avg_pool2d(image, 2), (even[0], even[1], even[2], even[3]))

    def decode(self, features: Features, prompts: Tensor) -> tuple[Tensor, Tensor]:
        """Return mask logits and the logit of their IoU.

        Args:
            features: Of N crops.
            prompts: (N, 6, S/2, S/2) in [0, 1]; see `PROMPT_CHANNELS`.

        Returns:
            (N, 1, S/2, S/2) and (N,).
        """
        trunk = self.trunk(features, prompts)
        logits = climb(self, trunk)
        return logits, self.judge_mask(trunk.at16, logits)

    def start_readings(self) -> None:
        """Give the network the head of `Readings`, which starts with copies of its own way up."""
        self.readings = Readings(PROMPT_CHANNELS + 1)
        for name in ("up8", "up4", "up2", "out"):
            getattr(self.readings, name).load_state_dict(getattr(self, name).state_dict())

    def read(self, image: Tensor, prompts: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return what `forward` does, and the readings of the first crop alone.

        Returns:
            (N, 1, S/2, S/2), (N,), then `Readings` of one crop: (1, 2, S/2, S/2) and (1, 3).
        """
        assert self.readings is not None
        trunk = self.trunk(self.encode(image), prompts)
        logits = climb(self, trunk)
        first = Trunk(*(level[:1] for level in trunk))
        return logits, self.judge_mask(trunk.at16, logits), *self.readings(first, logits[:1])

    def trunk(self, features: Features, prompts: Tensor) -> Trunk:
        """Return the maps of the decoder from which masks are made; see `decode`."""
        f2, f4, f8, f16 = features.maps
        believed = _belief(prompts)
        colour = colour_evidence(features.rgb, believed, prompts[:, 5:])
        drawn = torch.cat([self.shown(prompts), colour], 1)
        weights = torch.cat([prompts[:, :2], believed, (1 - believed) * prompts[:, 5:]], 1)
        look8, look16 = self.look8(f8), self.look16(f16)
        look4 = self.look4(f4)
        at4 = self.join4(torch.cat([look4, self.draw4(drawn)], 1))
        at8 = self.join8(torch.cat([self.down8(at4), look8, *_pooled(drawn, weights, look8, 4)], 1))
        at16 = self.join16(
            torch.cat([self.down16(at8), look16, *_pooled(drawn, weights, look16, 8)], 1)
        )
        look2 = self.look2(torch.cat([f2, features.rgb], 1))
        return Trunk(at16, look16, at8, look8, at4, look4, look2, drawn)

    def judge_mask(self, at16: Tensor, logits: Tensor) -> Tensor:
        """Return the logit of each mask's IoU, (N,), as the network estimates it."""
        estimate: Tensor = self.judge(torch.cat(facts_of(at16, logits), 1))
        return estimate[:, 0]


def _belief(prompts: Tensor) -> Tensor:
    """Return (N, 1, H, W): where the object is thought to be before the network has looked.

    The prior if there is one, else the box, else the positive clicks.
    """
    positive, negative, box, prior, has_prior = torch.unbind(prompts[:, :5, None], 1)
    has_box = box.amax((2, 3), keepdim=True)
    told = has_prior * prior + (1 - has_prior) * (has_box * box + (1 - has_box) * positive)
    believed: Tensor = told.maximum(positive) * (1 - negative)
    return believed


def _pooled(drawn: Tensor, weights: Tensor, look: Tensor, by: int) -> Sequence[Tensor]:
    """Return the prompts and their likeness maps at the size of `look`."""
    return F.max_pool2d(drawn, by), likeness(look, F.avg_pool2d(weights, by))


_Floats = npt.NDArray[np.float32]


class TorchNetwork:
    """`ConvNet` on a device of torch."""

    def __init__(self, net: ConvNet, device: torch.device) -> None:
        self._net = net.eval().to(device)
        self._device = device
        self.has_readings = net.readings is not None

    @torch.inference_mode()
    def look(self, image: _Floats, prompts: _Floats) -> tuple[_Floats, _Floats]:
        """See `Network.look`."""
        seen, drawn = (torch.from_numpy(array).to(self._device) for array in (image, prompts))
        logits, judged = self._net(seen, drawn)
        return logits.cpu().numpy(), judged.cpu().numpy()

    @torch.inference_mode()
    def read(self, image: _Floats, prompts: _Floats) -> tuple[_Floats, _Floats, _Floats, _Floats]:
        """See `ReadingNetwork.read`."""
        seen, drawn = (torch.from_numpy(array).to(self._device) for array in (image, prompts))
        logits, judged, readings, estimates = self._net.read(seen, drawn)
        return (
            logits.cpu().numpy(),
            judged.cpu().numpy(),
            readings.cpu().numpy(),
            estimates.cpu().numpy(),
        )
