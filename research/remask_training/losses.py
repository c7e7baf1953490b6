"""What the network is told off for."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

__all__ = ["iou_of", "loss_of"]

_JUDGE_SHARE = 0.2
_MISSED = 2.0  # further weight of a pixel in what the previous answer had missed
_LARGE = 0.2  # share of the object from which on what was missed weighs more


def iou_of(logits: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """Return the IoU of each thresholded mask with its truth, (N,); 1 if both are empty."""
    mask, real = (logits > 0) & (known > 0), (truth > 0.5) & (known > 0)
    both = (mask & real).flatten(1).sum(1).float()
    either = (mask | real).flatten(1).sum(1).float()
    return torch.where(either > 0, both / either.clamp(min=1), torch.ones_like(both))


def loss_of(
    logits: Tensor,
    judged: Tensor,
    truth: Tensor,
    known: Tensor,
    *,
    before: Tensor | None = None,
) -> Tensor:
    """Return the mean loss of a batch.

    Cross entropy keeps the probabilities honest, soft IoU pulls towards what is measured, and the
    judge learns the IoU that was really reached. Where the previous answer had missed a large part
    of the object, that part weighs more: a click on it shall fill it, not paint a blob.

    Args:
        logits: (N, 1, h, w).
        judged: (N,) logit of the network's estimate of its own IoU.
        truth: (N, 1, h, w) in [0, 1].
        known: (N, 1, h, w), 0 where the truth says nothing.
        before: (N, 1, h, w) probabilities of the previous answer; None at the first pass.
    """
    bits = F.binary_cross_entropy_with_logits(logits, truth, reduction="none") * known
    entropy = bits.flatten(1).sum(1) / known.flatten(1).sum(1).clamp(min=1)
    if before is not None:
        missed = ((truth > 0.5) & (before <= 0.5)).to(bits) * known
        share = missed.flatten(1).sum(1) / (truth * known).flatten(1).sum(1).clamp(min=1)
        weight = _MISSED * (share > _LARGE).to(bits)
        extra = (bits * missed).flatten(1).sum(1) / known.flatten(1).sum(1).clamp(min=1)
        entropy = entropy + weight * extra
    probs = torch.sigmoid(logits) * known
    real = truth * known
    both = (probs * real).flatten(1).sum(1)
    either = (probs + real - probs * real).flatten(1).sum(1)
    soft_iou = (both + 1) / (either + 1)
    reached = iou_of(logits.detach(), truth, known)
    estimate = F.binary_cross_entropy_with_logits(judged, reached)
    return (2 * entropy + (1 - soft_iou)).mean() + _JUDGE_SHARE * estimate
