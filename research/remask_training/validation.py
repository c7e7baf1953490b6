"""A quick look at held-out crops while training: box, then rounds of clicks; clicks alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from remask_models.convnet.network import ConvNet
from remask_training.crops import Crop, plain_crop
from remask_training.losses import iou_of
from remask_training.prompting import add_clicks, draw_prior, start_prompt
from remask_training.samples import Sample
from remask_training.tensors import image_tensor, plane_tensor

__all__ = ["validate"]

_BOX_CONTEXT = 1.45
_CLICK_CONTEXT = 2.0
_ROUNDS, _CLICKS_PER_ROUND = 3, 3
_CLICKS_ALONE = 5


def validate(
    net: ConvNet, samples: Sequence[Sample], *, side: int, batch: int, device: torch.device
) -> dict[str, float]:
    """Return mean IoU in crops at half resolution.

    Args:
        net: In evaluation mode.
        samples: Held-out instances, at least one.
        side: Of the crops, in pixels.
        batch: Crops at a time.
        device: Where the network is.

    Returns:
        `mb` after the box, `r1` to `r3` after rounds of three clicks, `c1` to `c5` after so many
        clicks without a box.
    """
    means: dict[str, list[float]] = {}
    for first in range(0, len(samples), batch):
        part = samples[first : first + batch]
        for context, names, count in (
            (_BOX_CONTEXT, ["mb", *(f"r{n + 1}" for n in range(_ROUNDS))], _CLICKS_PER_ROUND),
            (_CLICK_CONTEXT, [f"c{n + 1}" for n in range(_CLICKS_ALONE)], 1),
        ):
            crops = [plain_crop(sample, side=side, context=context) for sample in part]
            values = _rounds(net, crops, names[0] == "mb", len(names), count, device)
            for name, value in zip(names, values, strict=True):
                means.setdefault(name, []).extend(value)
    return {name: float(np.mean(values)) for name, values in means.items()}


@torch.inference_mode()
def _rounds(
    net: ConvNet,
    crops: Sequence[Crop],
    with_box: bool,
    rounds: int,
    clicks: int,
    device: torch.device,
) -> list[list[float]]:
    """Return the IoU of each crop after each round."""
    rngs = [np.random.default_rng(number) for number in range(len(crops))]
    drawn = [
        start_prompt(crop, with_box=with_box, clicks=0 if with_box else 1, rng=rng)
        for crop, rng in zip(crops, rngs, strict=True)
    ]
    features = net.encode(image_tensor([crop.image for crop in crops], device))
    truth = plane_tensor([crop.truth for crop in crops], device)
    known = plane_tensor([crop.known for crop in crops], device)
    reached: list[list[float]] = []
    for number in range(rounds):
        logits, _ = net.decode(features, torch.from_numpy(np.stack(drawn)).to(device))
        reached.append(iou_of(logits, truth, known).tolist())
        if number + 1 < rounds:
            probs = torch.sigmoid(logits)[:, 0].cpu().numpy()
            for prompt, prob, crop, rng in zip(drawn, probs, crops, rngs, strict=True):
                add_clicks(prompt, prob, crop, count=clicks, rng=rng)
                draw_prior(prompt, prob)
    return reached
