"""Training of the readings: the two further masks that a first click may mean.

The network itself is frozen, so that its own masks stay as they are to the last bit; only the head
of `remask_models.convnet.readings` learns. It sees first looks: one click, no box, no previous
mask, mostly a window as wide as the image.

Each truth of a crop teaches one reading (hard assignment, as in multiple choice learning,
Guzman-Rivera et al. 2012): one that is smaller than the network's own mask the smaller reading,
one that is larger the larger one; of two truths that the own mask misses the smaller teaches the
smaller. A truth that the own mask meets already teaches little. So the readings learn what the
own mask lacks.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.optim import AdamW

from remask_models.convnet.network import ConvNet
from remask_models.convnet.prompt_planes import POSITIVE
from remask_models.convnet.readings import climb
from remask_models.weights_file import write_weights
from remask_training.batches import Pool
from remask_training.crops import Crop, View, augmented_crop, plain_crop
from remask_training.families import Family, families_of
from remask_training.losses import iou_of
from remask_training.prompting import start_prompt
from remask_training.samples import Sample
from remask_training.tensors import image_tensor, plane_tensor

__all__ = ["ReadingsConfig", "ReadingsReport", "ReadingsRun", "assign", "check", "train_readings"]

_WHOLE = 0.75  # share of crops as wide as the picture; the others as batches have them
_CLICK_CONTEXT = (1.15, 9.0)
_ANYWHERE = 0.5
_MOST_TRUTHS = 3
_COVERED = 0.3  # an own mask that misses so much of a truth leaves it wholly to a reading
_LEAST_WEIGHT = 0.1
_JUDGE_SHARE = 0.3
_CLIP = 1.0

_Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ReadingsConfig:
    """Sizes of a run; the names are those of `TrainConfig`."""

    side: int = 256
    batch: int = 8
    steps: int = 2400
    rate: float = 1e-3
    warm_up: int = 40
    decay: float = 0.02
    ema: float = 0.998
    check_every: int = 200
    check_crops: int = 64
    half: bool = True


@dataclass(frozen=True, slots=True)
class ReadingsReport:
    """One line of the log: mean loss since the last one, and the checks if there were any."""

    step: int
    loss: float
    checks: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class ReadingsRun:
    """What a run is made of; see `remask_training.loop.Run`."""

    config: ReadingsConfig
    pool: Pool
    checks: Mapping[str, tuple[Sample, ...]]
    out: Path
    seed: int
    facts: Mapping[str, Any]
    minutes: float | None = None


@dataclass(frozen=True, slots=True)
class _Batch:
    crops: tuple[Crop, ...]
    drawn: tuple[_Floats, ...]
    truths: tuple[tuple[_Floats, ...], ...]


def train_readings(
    run: ReadingsRun,
    net: ConvNet,
    *,
    resume: bool,
    told: Callable[[ReadingsReport], None],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Train the readings of `net` in place; the averaged weights are in `weights.npz`.

    Args:
        run: What to do.
        net: A trained network; it is given the head if it has none.
        resume: Go on from `checkpoint.pt` in the run's folder if there is one.
        told: Called with a report every 10 batches.
        clock: Seconds since some moment, for `run.minutes`.
    """
    config = run.config
    torch.manual_seed(run.seed)
    torch.set_num_threads(1)
    if net.readings is None:
        net.start_readings()
    assert net.readings is not None
    head = net.readings
    net.requires_grad_(False).eval()
    head.requires_grad_(True).train()
    optimiser = AdamW(head.parameters(), lr=config.rate, weight_decay=config.decay)
    first, spent_before = 0, 0.0
    average = {name: value.detach().clone() for name, value in head.state_dict().items()}
    checkpoint = run.out / "checkpoint.pt"
    if resume and checkpoint.is_file():
        saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
        head.load_state_dict(saved["head"])
        optimiser.load_state_dict(saved["optimiser"])
        average, first, spent_before = saved["average"], saved["step"], saved["spent"]
    begun = clock()
    losses: list[float] = []
    made = _batches(run, first=first)
    for step, batch in enumerate(made, first + 1):
        used = spent_before + clock() - begun
        share = 0.0 if run.minutes is None else used / (60 * run.minutes)
        for group in optimiser.param_groups:
            group["lr"] = config.rate * _rate(step, share, config)
        loss = _loss(net, batch, half=config.half)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(head.parameters(), _CLIP)
        optimiser.step()
        losses.append(float(loss.detach()))
        state = head.state_dict()
        keep = min(config.ema, step / (step + 20))
        torch._foreach_lerp_([average[name] for name in state], list(state.values()), 1 - keep)
        at_end = step >= config.steps or share >= 1
        at_check = at_end or step % config.check_every == 0
        if at_check or step % 10 == 0:
            checks = _checked(net, average, run) if at_check else {}
            told(ReadingsReport(step, float(np.mean(losses)), checks))
            losses = []
            if at_check:
                _save(run, net, average, optimiser, step, used, checks)
        if at_end:
            break


def assign(
    own: npt.NDArray[np.float64], areas: npt.NDArray[np.float64], own_area: float
) -> list[tuple[int, int, float]]:
    """Return which truth teaches which reading, as (truth, reading, weight).

    Args:
        own: (T,) IoU of the network's own mask with each truth.
        areas: (T,) areas of the truths, in any unit.
        own_area: Area of the own mask, in the same unit.

    Returns:
        At most one entry for each reading (0 the smaller one, 1 the larger one).
    """
    weights = np.clip((1 - own) / _COVERED, _LEAST_WEIGHT, 1.0)
    order = np.argsort(-weights, kind="stable")
    missed = [int(truth) for truth in order if weights[truth] >= 1.0][:2]
    if len(missed) == 2:
        small, large = sorted(missed, key=lambda truth: areas[truth])
        return [(small, 0, 1.0), (large, 1, 1.0)]
    truth = int(order[0])
    return [(truth, 0 if areas[truth] < own_area else 1, float(weights[truth]))]


def _loss(net: ConvNet, batch: _Batch, *, half: bool) -> Tensor:
    assert net.readings is not None
    device = torch.device("cpu")
    prompts = torch.from_numpy(np.stack(batch.drawn))
    known = plane_tensor([crop.known for crop in batch.crops], device)
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        with torch.no_grad():
            image = image_tensor([crop.image for crop in batch.crops], device)
            trunk = net.trunk(net.encode(image), prompts)
            own = climb(net, trunk)
        masks, estimates = net.readings(trunk, own)
    own, masks, estimates = own.float(), masks.float(), estimates.float()
    losses: list[Tensor] = []
    for row, planes in enumerate(batch.truths):
        truths = torch.from_numpy(np.stack(planes))[:, None]
        seen = known[row : row + 1].expand_as(truths)
        met = iou_of(own[row : row + 1].expand_as(truths), truths, seen)
        area = float(((own[row] > 0) * known[row]).sum())
        areas = (truths * seen).flatten(1).sum(1)
        for truth, reading, weight in assign(met.double().numpy(), areas.double().numpy(), area):
            losses.append(weight * _mask_loss(masks[row, reading], truths[truth, 0], known[row, 0]))
    meant = plane_tensor([planes[0] for planes in batch.truths], device)
    reached = torch.stack(
        [iou_of(mask.detach(), meant, known) for mask in (own, masks[:, :1], masks[:, 1:])],
        1,
    )
    judged = F.binary_cross_entropy_with_logits(estimates, reached)
    return torch.stack(losses).sum() / len(batch.crops) + _JUDGE_SHARE * judged


def _mask_loss(logits: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """Return the loss of one mask, all (h, w); cross entropy and soft IoU as in `loss_of`."""
    bits = F.binary_cross_entropy_with_logits(logits, truth, reduction="none") * known
    probs, real = torch.sigmoid(logits) * known, truth * known
    both, either = (probs * real).sum(), (probs + real - probs * real).sum()
    return 2 * bits.sum() / known.sum().clamp(min=1) + 1 - (both + 1) / (either + 1)


def _rate(step: int, share: float, config: ReadingsConfig) -> float:
    if step <= config.warm_up:
        return step / config.warm_up
    past = max(share, (step - config.warm_up) / max(1, config.steps - config.warm_up))
    return 0.5 + 0.5 * math.cos(math.pi * min(past, 1.0))


def _batches(run: ReadingsRun, *, first: int) -> Iterator[_Batch]:
    """Yield the batches from number `first` on; each follows from seed and number alone."""
    families = [families_of(samples) for samples in run.pool.folders]
    with ThreadPoolExecutor(1) as thread:
        ahead: deque[Future[_Batch]] = deque()
        for number in range(first, run.config.steps + 2):
            if number < run.config.steps:
                ahead.append(thread.submit(_make, run, families, number))
            if number >= first + 2 and ahead:
                yield ahead.popleft().result()


def _make(run: ReadingsRun, families: Sequence[Mapping[int, Family]], number: int) -> _Batch:
    rng = np.random.default_rng([run.seed, number])
    pool = run.pool
    crops, drawn, truths = [], [], []
    for _ in range(run.config.batch):
        folder = int(rng.choice(len(pool.folders), p=pool.shares))
        samples = pool.folders[folder]
        place = int(rng.choice(len(samples), p=pool.odds[folder]))
        _, others = pool.draw(rng)
        crop = augmented_crop(
            samples[place],
            others,
            side=run.config.side,
            view=_view_of(rng),
            rng=rng,
            relatives=families[folder].get(place, ()),
        )
        prompt = start_prompt(crop, with_box=False, clicks=1, rng=rng)
        meant = [plane for plane in crop.relatives if _clicked(prompt, plane)]
        crops.append(crop)
        drawn.append(prompt)
        truths.append((crop.truth, *meant)[:_MOST_TRUTHS])
    return _Batch(tuple(crops), tuple(drawn), tuple(truths))


def _view_of(rng: np.random.Generator) -> View:
    if rng.random() < _WHOLE:
        return View(context=None, anywhere=False)
    low, high = np.log(_CLICK_CONTEXT)
    context = float(np.exp(rng.uniform(low, high)))
    return View(context=context, anywhere=rng.random() < _ANYWHERE)


def _clicked(drawn: _Floats, truth: _Floats) -> bool:
    """Return whether most of what the click covers is the truth."""
    disk = drawn[POSITIVE] > 0
    return bool(disk.any()) and float(truth[disk].mean()) > 0.5


def _checked(
    net: ConvNet, average: Mapping[str, Tensor], run: ReadingsRun
) -> dict[str, dict[str, float]]:
    assert net.readings is not None
    now = {name: value.detach().clone() for name, value in net.readings.state_dict().items()}
    net.readings.load_state_dict(average)
    found = {
        name: check(net, samples[: run.config.check_crops], side=run.config.side)
        for name, samples in run.checks.items()
    }
    net.readings.load_state_dict(now)
    return found


@torch.no_grad()
def check(net: ConvNet, samples: Sequence[Sample], *, side: int) -> dict[str, float]:
    """Return mean IoU after one click in crops as wide as the picture.

    Returns:
        `own`, `smaller`, `larger` of the three masks; `chosen` of the one with the best estimate;
        `oracle` of the best one.
    """
    assert net.readings is not None
    device = torch.device("cpu")
    rows = []
    for number, sample in enumerate(samples):
        box = sample.box
        height, width = sample.labels.shape
        whole = max(height, width) / max(box.width, box.height)
        crop = plain_crop(sample, side=side, context=whole)
        rng = np.random.default_rng(number)
        prompts = torch.from_numpy(start_prompt(crop, with_box=False, clicks=1, rng=rng)[None])
        own, _, masks, estimates = net.read(image_tensor([crop.image], device), prompts)
        truth, known = plane_tensor([crop.truth], device), plane_tensor([crop.known], device)
        reached = [float(iou_of(mask, truth, known)) for mask in (own, masks[:, :1], masks[:, 1:])]
        rows.append((*reached, reached[int(estimates[0].argmax())], max(reached)))
    names = ("own", "smaller", "larger", "chosen", "oracle")
    return dict(zip(names, np.mean(rows, 0).round(4).tolist(), strict=True))


def _save(
    run: ReadingsRun,
    net: ConvNet,
    average: Mapping[str, Tensor],
    optimiser: AdamW,
    step: int,
    spent: float,
    checks: Mapping[str, Mapping[str, float]],
) -> None:
    assert net.readings is not None
    run.out.mkdir(parents=True, exist_ok=True)
    arrays = {
        name: value.numpy()
        for name, value in net.state_dict().items()
        if not name.startswith("readings.")
    }
    arrays.update({f"readings.{name}": value.numpy() for name, value in average.items()})
    made = {"config": asdict(run.config), "seed": run.seed, "step": step, "checks": checks}
    write_weights(run.out / "weights.npz", arrays, {**run.facts, "readings": made})
    partial = run.out / "checkpoint.pt.part"
    torch.save(
        {
            "head": net.readings.state_dict(),
            "average": dict(average),
            "optimiser": optimiser.state_dict(),
            "step": step,
            "spent": spent,
        },
        partial,
    )
    partial.replace(run.out / "checkpoint.pt")
