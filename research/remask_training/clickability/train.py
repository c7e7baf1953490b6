"""Training the clickability model: the frozen encoder of `convnet`, a small decoder, one loss.

Source: RClicks (Antonov et al. 2024, arXiv 2410.11722), section 4: Kullback-Leibler divergence
from the smoothed clicks, a rate that rises over a tenth of the steps and falls along a cosine,
batches of 16, half of them mirrored, 20 epochs, the best one by similarity kept.
Differs: the softened error is part of the answer, so that only its shape must be learnt. The
    encoder is frozen, so that it sees every window once; what is mirrored are its maps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from remask_core.errors import InputError, NotFound
from remask_models.clickability.model import NET
from remask_models.clickability.network import ClickNet
from remask_models.convnet.loading import WEIGHTS, load_network
from remask_models.device import resolve_device
from remask_models.weights import digest, stamp
from remask_models.weights_file import write_weights
from remask_training.clickability.examples import ClickLesson, Target, target_of
from remask_training.memory import keep_memory
from remask_training.samples import held_out
from remask_training.tensors import image_tensor

__all__ = ["EPOCHS", "Epoch", "train_clickability"]

EPOCHS: Final = 20
_BATCH: Final = 16
_RATE: Final = 2e-3
_WARM_UP: Final = 0.1
_MIRRORED: Final = 0.5


@dataclass(frozen=True, slots=True)
class _Study:
    """A lesson as it is kept in memory, about 0.5 MB, most of it in half precision."""

    name: str
    clicks: int
    seen: tuple[Tensor, ...]
    planes: Tensor
    soft: Tensor
    wanted: Tensor


@dataclass(frozen=True, slots=True)
class Epoch:
    """How far training is.

    Attributes:
        number: From 1; 0 is before training, when the map is the softened error itself.
        loss: Mean divergence of the training batches, in nats; that of the held-out ones at 0.
        divergence: The same on the held-out lessons; of the training ones where none is held out.
        similarity: Shared mass of map and clicks on the same lessons, in [0, 1].
    """

    number: int
    loss: float
    divergence: float
    similarity: float


def train_clickability(
    lessons: Iterable[ClickLesson],
    *,
    out: Path,
    epochs: int = EPOCHS,
    seed: int = 0,
    device: str = "cpu",
    facts: Mapping[str, Any] | None = None,
    told: Callable[[Epoch], None] = lambda epoch: None,
) -> Path:
    """Train the model on clicked errors; return the path of its weights file.

    Args:
        lessons: Taken one by one; half a megabyte of each is kept. Those without a click near the
            error teach nothing and are passed over. One image in twenty is held out, by its name.
        out: Folder for `clickability.npz`; made if it is not there.
        epochs: Passes over the lessons.
        seed: Of order, mirroring and first weights.
        device: `cpu`, `cuda`, `cuda:N` or `auto`.
        facts: What else the weights file shall tell of its making, such as whose clicks they are.
        told: Called after every epoch, and once before the first.

    Raises:
        NotFound: No lesson is left to learn from.
        InputError: `epochs` is below 1, or the device is not there.
    """
    if epochs < 1:
        raise InputError(f"`epochs` must be at least 1; got {epochs}")
    place = resolve_device(device)
    keep_memory()
    torch.manual_seed(seed)
    net = ClickNet()
    net.see_like(load_network(WEIGHTS).state_dict())
    net.to(place).eval()
    studies = [
        _studied(net, target, place) for target in map(target_of, lessons) if target is not None
    ]
    judged = [study for study in studies if held_out(study.name)]
    taught = [study for study in studies if not held_out(study.name)]
    if not taught:
        raise NotFound("`lessons` must hold an error with clicks on it that is not held out")
    judged = judged or taught
    out.mkdir(parents=True, exist_ok=True)
    path = out / "clickability.npz"
    told_facts = {
        **(facts or {}),
        "encoder": stamp("convnet", digest(WEIGHTS)),
        "errors": len(taught),
        "errors_held_out": len(studies) - len(taught),
        "clicks": sum(study.clicks for study in taught),
        "seed": seed,
        "epochs": epochs,
    }
    told(_judge(net, judged, place, number=0, loss=None))
    best = -1.0
    for epoch in _epochs(net, taught, judged, place, epochs=epochs, seed=seed):
        if epoch.similarity > best:
            best = epoch.similarity
            arrays = {name: value.cpu().numpy() for name, value in net.state_dict().items()}
            write_weights(path, arrays, {**told_facts, "best": asdict(epoch)}, net=NET)
        told(epoch)
    return path


@torch.no_grad()
def _studied(net: ClickNet, target: Target, device: torch.device) -> _Study:
    sight = target.sight
    seen = net.see(image_tensor([sight.image], device))
    return _Study(
        name=target.name,
        clicks=target.clicks,
        seen=tuple(maps[0].half().cpu() for maps in seen),
        planes=torch.from_numpy(sight.planes).half(),
        soft=torch.from_numpy(sight.soft[None]).half(),
        wanted=torch.from_numpy(target.wanted[None]),
    )


def _epochs(
    net: ClickNet,
    taught: Sequence[_Study],
    judged: Sequence[_Study],
    device: torch.device,
    *,
    epochs: int,
    seed: int,
) -> Iterable[Epoch]:
    """Train `net` in place; yield after every epoch."""
    learners = [weight for weight in net.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(learners, lr=_RATE, weight_decay=0.01)
    steps = epochs * math.ceil(len(taught) / _BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps))
    for number in range(1, epochs + 1):
        rng = np.random.default_rng([seed, number])
        net.train()
        losses = []
        order = rng.permutation(len(taught))
        for first in range(0, len(order), _BATCH):
            batch = [taught[int(index)] for index in order[first : first + _BATCH]]
            loss = _divergences(net, batch, device, mirrored=rng.random() < _MIRRORED)[0].mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            losses.append(float(loss.detach()))
        yield _judge(net, judged, device, number=number, loss=float(np.mean(losses)))


def _rate(step: int, steps: int) -> float:
    """Return the learning rate as a share of its peak."""
    rise = max(1.0, _WARM_UP * steps)
    if step < rise:
        return (step + 1) / rise
    return 0.5 + 0.5 * math.cos(math.pi * min(1.0, (step - rise) / max(1.0, steps - rise)))


def _divergences(
    net: ClickNet, batch: Sequence[_Study], device: torch.device, *, mirrored: bool
) -> tuple[Tensor, Tensor]:
    """Return divergence and similarity of each answer, (N,) and (N,)."""
    given = [
        torch.stack(parts).to(device).float()
        for parts in zip(
            *((*study.seen, study.planes, study.soft, study.wanted) for study in batch),
            strict=True,
        )
    ]
    *seen, planes, soft, target = [tensor.flip(3) for tensor in given] if mirrored else given
    found = net.log_map(seen, planes, soft)
    wanted = target.flatten(1)
    terms = wanted * (wanted.clamp(min=1e-12).log() - found)
    shared = torch.minimum(found.detach().exp(), wanted)
    return terms.sum(1), shared.sum(1)


@torch.no_grad()
def _judge(
    net: ClickNet,
    judged: Sequence[_Study],
    device: torch.device,
    *,
    number: int,
    loss: float | None,
) -> Epoch:
    net.eval()
    parts = [
        _divergences(net, judged[first : first + _BATCH], device, mirrored=False)
        for first in range(0, len(judged), _BATCH)
    ]
    divergence, similarity = (
        float(torch.cat(list(scores)).mean()) for scores in zip(*parts, strict=True)
    )
    return Epoch(number, divergence if loss is None else loss, divergence, similarity)
