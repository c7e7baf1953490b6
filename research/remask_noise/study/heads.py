"""Two light heads on frozen features: masks class by class, and classes; trained from a seed.

Source: the heads of Mask R-CNN (He et al. 2017) in small: a mask is learnt in the channel of its
class, so that a wrong class spoils masks too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from remask_models.device import resolve_device
from remask_noise.study.features import RoiFeatures

__all__ = ["ClassLoss", "HeadConfig", "predict_classes", "predict_masks", "symmetric_cross_entropy"]

ClassLoss: TypeAlias = Literal["ce", "sce"]
"""Cross-entropy, or symmetric cross-entropy."""

_Labels: TypeAlias = npt.NDArray[np.int64]
_Floats: TypeAlias = npt.NDArray[np.float32]

_SCE_ALPHA, _SCE_BETA, _LOG_ZERO = 0.1, 1.0, -4.0
_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class HeadConfig:
    """How the heads are built and trained.

    Attributes:
        width: Channels inside the mask head.
        hidden: Units inside the class head; enough to learn wrong classes by heart.
        mask_epochs: Times that every object is seen by the mask head.
        class_epochs: The same for the class head.
        batch: Objects per step.
        learning_rate: Of Adam at its height; it rises and falls once.
        device: `cpu`, `cuda`, `cuda:1` or `auto`.
    """

    width: int = 32
    hidden: int = 256
    mask_epochs: int = 10
    class_epochs: int = 20
    batch: int = 8
    learning_rate: float = 3e-3
    device: str = "cpu"


def symmetric_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return 0.1 times cross-entropy plus reverse cross-entropy, the mean over a batch.

    Args:
        logits: (n, K).
        labels: (n,) int64.

    Source: Wang et al. 2019 (arXiv 1908.06112), with their weights for CIFAR-10 and log 0 := -4.
    """
    probs = logits.softmax(1)
    wrong = 1 - probs.gather(1, labels[:, None])[:, 0]
    reverse = -_LOG_ZERO * wrong.mean()
    return _SCE_ALPHA * F.cross_entropy(logits, labels) + _SCE_BETA * reverse


def predict_classes(
    train: RoiFeatures,
    labels: _Labels,
    test: RoiFeatures,
    *,
    n_classes: int,
    loss: ClassLoss,
    config: HeadConfig,
    seed: int,
) -> _Floats:
    """Train a class head and return what it says of other objects: (m, n_classes) float32.

    Args:
        train: n objects.
        labels: (n,) their classes, right or wrong, from 0.
        test: m objects.
        n_classes: How many classes there are.
        loss: What is minimised.
        config: See there.
        seed: Of the head's beginning and of the order of objects.
    """
    device = resolve_device(config.device)
    scaler = _Scaler(torch.from_numpy(train.vectors).to(device), axes=(0,))
    n_in = train.vectors.shape[1]
    head = _seeded(
        lambda: nn.Sequential(
            nn.Linear(n_in, config.hidden), nn.ReLU(), nn.Linear(config.hidden, n_classes)
        ),
        seed,
    ).to(device)
    inputs, wanted = torch.from_numpy(train.vectors), torch.from_numpy(labels)
    measure = F.cross_entropy if loss == "ce" else symmetric_cross_entropy

    def loss_of(rows: Tensor) -> Tensor:
        return measure(head(scaler(inputs[rows].to(device))), wanted[rows].to(device))

    _train(head, loss_of, len(train), config.class_epochs, config, seed)
    with torch.inference_mode():
        logits = head(scaler(torch.from_numpy(test.vectors).to(device)))
        return cast(_Floats, logits.softmax(1).cpu().numpy())


def predict_masks(
    train: RoiFeatures,
    masks: _Floats,
    labels: _Labels,
    test: RoiFeatures,
    *,
    n_classes: int,
    config: HeadConfig,
    seed: int,
) -> _Floats:
    """Train a mask head and return its masks of other objects, one for every class.

    Args:
        train: n objects.
        masks: (n, GRID, GRID) in [0, 1]: how much of each cell the mask covers.
        labels: (n,) their classes, from 0: the channel in which the mask is learnt.
        test: m objects.
        n_classes: How many classes there are.
        config: See `HeadConfig`.
        seed: Of the head's beginning and of the order of objects.

    Returns:
        (m, n_classes, GRID, GRID) float32 in [0, 1].
    """
    device = resolve_device(config.device)
    some = torch.from_numpy(train.grids[: 4 * _AT_ONCE]).float().to(device)
    scaler = _Scaler(some, axes=(0, 2, 3))
    c_in, width = train.grids.shape[1], config.width
    head = _seeded(
        lambda: nn.Sequential(
            nn.Conv2d(c_in, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 5, padding=2, groups=width, bias=False),
            nn.Conv2d(width, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, n_classes, 1),
        ),
        seed,
    ).to(device)
    inputs = torch.from_numpy(train.grids)
    wanted, channels = torch.from_numpy(masks), torch.from_numpy(labels)

    def loss_of(rows: Tensor) -> Tensor:
        every = head(scaler(inputs[rows].float().to(device)))
        own = every[torch.arange(len(rows), device=device), channels[rows].to(device)]
        return F.binary_cross_entropy_with_logits(own, wanted[rows].to(device))

    _train(head, loss_of, len(train), config.mask_epochs, config, seed)
    head.eval()
    with torch.inference_mode():
        return np.concatenate(
            [
                torch.sigmoid(head(scaler(part.float().to(device)))).cpu().numpy()
                for part in torch.split(torch.from_numpy(test.grids), _AT_ONCE)
            ]
        )


class _Scaler:
    """Brings every channel to mean 0 and deviation 1, as it is on the objects trained on."""

    def __init__(self, features: Tensor, *, axes: tuple[int, ...]) -> None:
        self._mean = features.mean(axes, keepdim=True)
        self._scale = features.std(axes, keepdim=True, correction=0) + 1e-3

    def __call__(self, features: Tensor) -> Tensor:
        return (features - self._mean) / self._scale


def _seeded(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Return a new module with weights drawn from a seed, leaving the global chance alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def _train(
    head: nn.Module,
    loss_of: Callable[[Tensor], Tensor],
    n: int,
    epochs: int,
    config: HeadConfig,
    seed: int,
) -> None:
    steps = epochs * -(-n // config.batch)
    optimiser = torch.optim.Adam(head.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=config.learning_rate, total_steps=steps
    )
    for rows in _batches(n, epochs, config.batch, seed):
        optimiser.zero_grad(set_to_none=True)
        loss_of(rows).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()


def _batches(n: int, epochs: int, batch: int, seed: int) -> Iterator[Tensor]:
    order = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        yield from torch.split(torch.randperm(n, generator=order), batch)
