"""Boxes and clicks drawn on the device: the counterpart of `remask_training.prompting`."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from tools.gpu.crops import Crops
from torch import Tensor

from remask_models.convnet.prompt_planes import (
    BOX,
    CLICK_RADIUS,
    HAS_PRIOR,
    INSIDE,
    NEGATIVE,
    POSITIVE,
    PRIOR,
)

_CORNER_NOISE, _CAREFUL, _MIN_BOX_IOU, _TRIES = 0.12, 0.25, 0.7, 8
_CENTRAL, _SLIP, _MIN_DEPTH = 0.5, 0.8, 1.0
_DEEPEST = 24  # drawn pixels; what lies deeper counts as this deep
_FIRST_ODDS = (0.7, 0.12, 0.0, 0.12, 0.0, 0.0, 0.06)  # of 0, 1, … clicks at once
_MORE_ODDS = (0.0, 3.0, 2.0, 1.0, 1.0)  # of clicks between two passes
_FORGET, _HARD = 0.05, 0.2


def start(crops: Crops) -> Tensor:
    """Return the prompts that the objects begin with, (N, 6, S/2, S/2)."""
    count, _, height, width = crops.truth.shape
    drawn = crops.truth.new_zeros(count, 6, height, width)
    drawn[:, INSIDE] = crops.inside[:, 0]
    boxes = _boxes(crops.truth[:, 0] > 0.5)
    y = torch.arange(height, device=drawn.device)[None, :, None]
    x = torch.arange(width, device=drawn.device)[None, None, :]
    x0, y0, x1, y1 = (edge[:, None, None] for edge in boxes.round().unbind(1))
    filled = (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
    drawn[:, BOX] = (filled & crops.with_box[:, None, None]).float()
    clicks = _drawn_count(_FIRST_ODDS, count, drawn.device) + (~crops.with_box).long()
    _click(drawn, drawn[:, BOX], crops, clicks)
    return drawn


def go_on(drawn: Tensor, probs: Tensor, crops: Crops) -> None:
    """Add clicks on what the answers, (N, 1, h, w), have wrong, and the answers, in place."""
    count = len(drawn)
    _click(drawn, probs[:, 0], crops, _drawn_count(_MORE_ODDS, count, drawn.device))
    hard = torch.rand(count, 1, 1, device=drawn.device) < _HARD
    told = torch.where(hard, (probs[:, 0] > 0.5).float(), probs[:, 0])
    kept = (torch.rand(count, 1, 1, device=drawn.device) >= _FORGET).float()
    drawn[:, PRIOR] = told * kept
    drawn[:, HAS_PRIOR] = kept


def _drawn_count(odds: tuple[float, ...], count: int, device: torch.device) -> Tensor:
    return torch.multinomial(torch.tensor(odds, device=device), count, replacement=True)


def _boxes(truth: Tensor) -> Tensor:
    """Return hasty boxes `x0, y0, x1, y1` around the masks, (N, 4)."""
    count = len(truth)
    edges = []
    for axis in (1, 2):  # rows are gone: columns; columns are gone: rows
        along = truth.any(axis).float()
        first = along.argmax(1)
        last = along.shape[1] - along.flip(1).argmax(1)
        edges += [first, torch.where(along.any(1), last, first)]
    tight = torch.stack([edges[0], edges[2], edges[1], edges[3]], 1).float()
    sides = (tight[:, 2:] - tight[:, :2]).repeat(1, 2)
    careful = torch.rand(count, 1, 1, device=truth.device) < _CAREFUL
    reach = _CORNER_NOISE * torch.where(careful, 0.3, 1.0)
    tried = tight[:, None] + sides[:, None] * reach * (
        2 * torch.rand(count, _TRIES, 4, device=truth.device) - 1
    )
    inner = torch.minimum(tried[..., 2:], tight[:, None, 2:]) - torch.maximum(
        tried[..., :2], tight[:, None, :2]
    )
    both = inner.clamp(min=0).prod(-1)
    union = (tried[..., 2:] - tried[..., :2]).prod(-1) + sides[:, :2].prod(-1)[:, None] - both
    good = both >= _MIN_BOX_IOU * union
    chosen = tried.gather(1, good.float().argmax(1)[:, None, None].expand(-1, 1, 4))[:, 0]
    return torch.where(good.any(1)[:, None], chosen, tight)


def _click(drawn: Tensor, probs: Tensor, crops: Crops, clicks: Tensor) -> None:
    """Draw up to `clicks` clicks per crop on what `probs`, (N, h, w), have wrong, in place."""
    truth, mask = crops.truth[:, 0] > 0.5, probs > 0.5
    known = (crops.known[:, 0] > 0) & (crops.inside[:, 0] > 0)
    errors = torch.stack([truth & ~mask & known, mask & ~truth & known], 1).float()
    depths = _depth(errors)
    count, _, height, width = depths.shape
    y = torch.arange(height, device=drawn.device)[None, :, None]
    x = torch.arange(width, device=drawn.device)[None, None, :]
    every = torch.arange(count, device=drawn.device)
    for number in range(int(clicks.max())):
        tops = depths.flatten(2).max(2).values
        positive = tops[:, 0] >= tops[:, 1]
        kind = torch.where(positive, 0, 1)
        depth = depths[every, kind]
        top = tops.max(1).values
        given = (clicks > number) & (top >= _MIN_DEPTH)
        # Innermost: ties are broken by chance. Else anywhere well inside.
        chance = torch.rand_like(depth)
        central = (torch.rand(count, device=drawn.device) < _CENTRAL)[:, None, None]
        inside = (depth > 0.3 * top[:, None, None]).float()
        order = torch.where(central, depth + 0.5 * chance, inside * (1 + chance))
        place = order.flatten(1).argmax(1)
        row, column = (place // width)[:, None, None], (place % width)[:, None, None]
        slip = (_SLIP * torch.randn(2, count, 1, 1, device=drawn.device)).round()
        at_y = (row + slip[0]).clamp(0, height - 1)
        at_x = (column + slip[1]).clamp(0, width - 1)
        disk = ((y - at_y) ** 2 + (x - at_x) ** 2 <= CLICK_RADIUS**2) & given[:, None, None]
        for own, other, wanted in ((POSITIVE, NEGATIVE, positive), (NEGATIVE, POSITIVE, ~positive)):
            new = (disk & wanted[:, None, None]).float()
            drawn[:, own] = torch.maximum(drawn[:, own], new)
            drawn[:, other] = drawn[:, other] * (1 - new)
        spoken = (1.2 * top).clamp(min=3)[:, None, None]
        covered = (y - row) ** 2 + (x - column) ** 2 <= spoken**2
        depths[every, kind] = depth * (~covered)


def _depth(errors: Tensor) -> Tensor:
    """Return how deep each pixel lies in its error, in drawn pixels along the axes.

    Counted by eroding; beyond the border nothing is wrong.
    """
    depth = torch.zeros_like(errors)
    left = errors
    for _ in range(_DEEPEST):
        depth = depth + left
        left = -F.max_pool2d(-F.pad(left, (1, 1, 1, 1)), 3, 1)
    return depth
