"""Other readings of a first click: a smaller and a larger mask beside the network's own.

A single click may mean a part, a thing or a group. The network's own mask is its best guess. This
head answers what else may be meant: one mask that tends to be smaller than the guess, and one that
tends to be larger. It takes the coarsest maps of the decoder, which know where the click is, moves
them once for each reading, and brings each to full size through a way up of its own, a trained
copy of the decoder's. The rest of the network is not changed by it.

It also estimates the IoU of all three masks with what is meant. The network's own estimate cannot
choose between them: it says how well a mask fits *something*, and a part is often cut out well.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from remask_models.convnet.layers import WIDTHS, Attend, Join, Residual, double

__all__ = ["READINGS", "Readings", "Trunk", "climb", "facts_of"]

READINGS = 2
"""Masks besides the network's own: first the smaller reading, then the larger one."""

_OF_PAIR = 2  # facts about a mask beside the network's own


class Trunk(NamedTuple):
    """Maps of the decoder on N crops, from which a mask is made."""

    at16: Tensor
    look16: Tensor
    at8: Tensor
    look8: Tensor
    at4: Tensor
    look4: Tensor
    look2: Tensor
    drawn: Tensor  # prompts and colour evidence at stride 2


def climb(net: Any, trunk: Trunk) -> Tensor:
    """Return mask logits, (N, 1, S/2, S/2), by the layers `up8`, `up4`, `up2`, `out` of `net`."""
    up8 = net.up8(torch.cat([double(trunk.at16), trunk.at8, trunk.look8], 1))
    up4 = net.up4(torch.cat([double(up8), trunk.at4, trunk.look4], 1))
    logits: Tensor = net.out(net.up2(torch.cat([double(up4), trunk.look2, trunk.drawn], 1)))
    return logits


def facts_of(at16: Tensor, logits: Tensor) -> list[Tensor]:
    """Return what an estimate of a mask's IoU goes by: maps inside and outside, and sureness.

    Args:
        at16: (N, C, h, w), the decoder's coarsest maps.
        logits: (N, 1, H, W) of the mask.

    Returns:
        (N, C), (N, C) and four of (N, 1). Nothing is learnt through them: an estimate must not
        bend the mask.
    """
    probs = torch.sigmoid(logits.detach())
    sure = (2 * probs - 1).abs()
    mask = (probs > 0.5).to(probs)
    weight = F.adaptive_avg_pool2d(probs, at16.shape[-1])
    seen = at16.detach()
    inner = (seen * weight).sum((2, 3)) / (weight.sum((2, 3)) + 1)
    outer = (seen * (1 - weight)).sum((2, 3)) / ((1 - weight).sum((2, 3)) + 1)
    numbers = [
        probs.mean((1, 2, 3)),
        (probs * sure).sum((1, 2, 3)) / (probs.sum((1, 2, 3)) + 1),
        sure.mean((1, 2, 3)),
        # The soft IoU of the mask with a truth that the probabilities are right about.
        (probs * mask).sum((1, 2, 3)) / (probs.maximum(mask).sum((1, 2, 3)) + 1),
    ]
    return [inner, outer, *(number[:, None] for number in numbers)]


class Readings(nn.Module):
    """Two further masks for a first click, and estimates that compare all three."""

    def __init__(self, drawn: int) -> None:
        """Make the layers; `drawn` is the number of planes of prompts and colour evidence."""
        super().__init__()
        c2, c4, c8, c16 = WIDTHS
        self.ponder = nn.Sequential(
            Join(2 * c16 + drawn, c16, kernel=1), Attend(c16), Residual(c16)
        )
        self.move = nn.Conv2d(c16, READINGS * c16, 1)
        # At first a reading is the network's own mask.
        for weight in self.move.parameters():
            nn.init.zeros_(weight)
        self.up8 = nn.Sequential(Join(c16 + 2 * c8, c8, kernel=1), Residual(c8))
        self.up4 = nn.Sequential(Join(c8 + 2 * c4, c4, kernel=1), Residual(c4))
        self.up2 = nn.Sequential(Join(c4 + c2 + drawn, c2, kernel=1), Join(c2, c2))
        self.out = nn.Conv2d(c2, 1, 3, padding=1)
        self.judge = nn.Sequential(
            nn.Linear(2 * c16 + 4 + _OF_PAIR, 64), nn.ReLU(), nn.Linear(64, 1)
        )

    def forward(self, trunk: Trunk, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return the further masks and the estimates of all masks.

        Args:
            trunk: Of N crops.
            logits: (N, 1, S/2, S/2), the network's own mask.

        Returns:
            Logits, (N, 2, S/2, S/2), and logits of the IoU, (N, 3), the own mask's first.
        """
        shown = F.max_pool2d(trunk.drawn, 8)
        pondered = self.ponder(torch.cat([trunk.at16, trunk.look16, shown], 1))
        # Parts are cut out by slices: ONNX Runtime's export knows no other way for free sizes.
        count, channels = trunk.at16.shape[:2]
        move = self.move(pondered)
        moves = torch.cat([move[:, k * channels : (k + 1) * channels] for k in range(READINGS)])
        both = Trunk(*(torch.cat([level] * READINGS) for level in trunk))
        found = climb(self, both._replace(at16=F.relu(both.at16 + moves)))
        each = [found[k * count : (k + 1) * count] for k in range(READINGS)]
        masks = torch.cat(each, 1)
        estimates = [self._estimate(trunk.at16, mask, logits) for mask in (logits, *each)]
        return masks, torch.cat(estimates, 1)

    def _estimate(self, at16: Tensor, mask: Tensor, own: Tensor) -> Tensor:
        here, there = torch.sigmoid(mask.detach()), torch.sigmoid(own.detach())
        both = (here * there).sum((2, 3))
        either = (here + there - here * there).sum((2, 3))
        # The logarithm of how many times as large as the own mask it is.
        ratio = torch.log((here.sum((2, 3)) + 1) / (there.sum((2, 3)) + 1))
        facts = [*facts_of(at16, mask), (both + 1) / (either + 1), ratio / 2]
        estimate: Tensor = self.judge(torch.cat(facts, 1))
        return estimate
