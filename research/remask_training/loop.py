"""The training loop: encode once, prompt several times, learn from each answer."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.optim import AdamW

from remask_models.convnet.network import ConvNet, Features
from remask_models.weights_file import write_weights
from remask_training.batches import Batch, Pool, batches
from remask_training.config import TrainConfig
from remask_training.crops import Crop
from remask_training.losses import iou_of, loss_of
from remask_training.prompting import add_clicks, draw_prior
from remask_training.samples import Sample
from remask_training.tensors import image_tensor, plane_tensor
from remask_training.validation import validate

__all__ = ["Report", "Run", "train"]

_CLIP = 1.0  # largest norm of the gradient
_FORGET = 0.05  # share of passes that are not told the previous answer
_HARD = 0.2  # share of previous answers that come as a mask instead of probabilities
_MORE_CLICKS = (1, 1, 1, 2, 2, 3, 4)  # clicks between two passes, drawn evenly
_MEASURED = 8  # batches that the scale of the encoder's channels is measured on

_Gradients: TypeAlias = list[Tensor]


@dataclass(frozen=True, slots=True)
class Report:
    """One line of the curves.

    Attributes:
        step: Batches so far.
        loss: Mean since the last report.
        iou: Mean IoU per pass since the last report, first pass first.
        checks: Validation folder to its measures, see `validate`; empty between validations.
    """

    step: int
    loss: float
    iou: tuple[float, ...]
    checks: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """What a run is made of.

    Attributes:
        config: Sizes.
        pool: What it learns from.
        checks: Held-out samples by name of their folder.
        out: Folder of `checkpoint.pt` and `weights.npz`.
        seed: Of every draw.
        device: Where it runs.
        facts: What the weights file will tell of its making.
        minutes: Time after which it ends if the batches are not done yet; the learning rates fall
            by whichever of the two is further on. None is no limit.
    """

    config: TrainConfig
    pool: Pool
    checks: Mapping[str, tuple[Sample, ...]]
    out: Path
    seed: int
    device: torch.device
    facts: Mapping[str, Any]
    minutes: float | None = None


def train(
    run: Run,
    net: ConvNet,
    *,
    resume: bool,
    told: Callable[[Report], None],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Train `net` in place to the end of the run; its averaged weights are in `weights.npz`.

    Args:
        run: What to do.
        net: The network to start from.
        resume: Go on from `checkpoint.pt` in the run's folder if there is one.
        told: Called with a report every 10 batches and at each validation.
        clock: Seconds since some moment, for `run.minutes`.
    """
    config, device = run.config, run.device
    torch.manual_seed(run.seed)
    # The optimiser's many small operations in two threads wait for each other on a busy machine:
    # they took as long as all passes together.
    torch.set_num_threads(config.threads)
    net.to(device).train()
    teach_encoder = config.encoder_rate > 0
    net.encoder.requires_grad_(teach_encoder)
    checkpoint = run.out / "checkpoint.pt"
    saved: dict[str, Any] | None = None
    if resume and checkpoint.is_file():
        saved = torch.load(checkpoint, map_location=device, weights_only=True)
        net.load_state_dict(saved["net"])
    elif not bool(net.feature_mean.any()):
        _measure_features(net, run)
    average = {name: value.detach().clone() for name, value in net.state_dict().items()}
    decoder = [p for name, p in net.named_parameters() if _of_decoder(name)]
    groups = [{"params": decoder, "peak": config.rate}]
    if teach_encoder:
        groups.append({"params": list(net.encoder.parameters()), "peak": config.encoder_rate})
    optimiser = AdamW(groups, lr=config.rate, weight_decay=config.decay, betas=(0.9, 0.98))
    first = 0
    if saved is not None:
        average = saved["average"]
        optimiser.load_state_dict(saved["optimiser"])
        first = int(saved["step"])
    threads = ThreadPoolExecutor(
        config.shards, initializer=torch.set_num_threads, initargs=(config.threads,)
    )
    losses: list[float] = []
    reached: list[list[float]] = []
    drawn_batches = batches(
        run.pool,
        sides=config.sides,
        size=config.batch,
        seed=run.seed,
        first=first,
        last=config.steps,
        loaders=config.loaders,
    )
    begun = clock()
    for step, batch in enumerate(drawn_batches, first + 1):
        spent = 0.0 if run.minutes is None else (clock() - begun) / (60 * run.minutes)
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * _rate(step, config, spent=spent)
        for loss, iou in _learn(net, batch, optimiser, run, step, threads):
            losses.append(loss)
            reached.append([iou])
            _blend(average, net, min(config.ema, step / (step + 20)))
        at_end = step == config.steps or spent >= 1
        at_check = step % config.check_every == 0 or at_end
        if step % 10 == 0 or at_check:
            ious = np.array(reached).reshape(-1, config.passes).mean(0)
            checks = _check(net, average, run, threads) if at_check else {}
            told(Report(step, float(np.mean(losses)), tuple(float(v) for v in ious), checks))
            losses, reached = [], []
            if at_check:
                _save(run, net, average, optimiser, step, checks)
        if at_end:
            break


def _rate(step: int, config: TrainConfig, *, spent: float) -> float:
    """Return the learning rate as a share of its peak; `spent` is the share of the run's time."""
    if step <= config.warm_up:
        return step / config.warm_up
    past = max(spent, (step - config.warm_up) / max(1, config.steps - config.warm_up))
    return 0.5 + 0.5 * math.cos(math.pi * min(past, 1.0))


class _Shard:
    """A part of a batch, taken through its passes by one thread."""

    def __init__(self, net: ConvNet, batch: Batch, part: slice, run: Run) -> None:
        device = run.device
        self.net, self.run, self.crops = net, run, batch.crops[part]
        self.truth = plane_tensor([crop.truth for crop in self.crops], device)
        self.known = plane_tensor([crop.known for crop in self.crops], device)
        self.drawn = [plane.copy() for plane in batch.drawn[part]]
        self.before: Tensor | None = None
        teach = run.config.encoder_rate > 0
        with torch.set_grad_enabled(teach), self._half():
            self.features = net.encode(image_tensor([crop.image for crop in self.crops], device))
        leaves = [level.detach().requires_grad_(teach) for level in self.features.maps]
        self.seen = Features(self.features.rgb, (leaves[0], leaves[1], leaves[2], leaves[3]))

    def _half(self) -> torch.autocast:
        return torch.autocast(self.run.device.type, torch.bfloat16, enabled=self.run.config.half)

    def learn(self, rng: np.random.Generator, *, last: bool) -> tuple[_Gradients, float, float]:
        """Return the gradients of one pass, its loss and mean IoU; prompt for the next one."""
        prompts = torch.from_numpy(np.stack(self.drawn)).to(self.run.device)
        with self._half():
            logits, judged = self.net.decode(self.seen, prompts)
        loss = loss_of(logits.float(), judged.float(), self.truth, self.known, before=self.before)
        weights = [p for name, p in self.net.named_parameters() if _of_decoder(name)]
        leaves = [leaf for leaf in self.seen.maps if leaf.requires_grad]
        found = list(torch.autograd.grad(loss, [*weights, *leaves]))
        for leaf, gradient in zip(leaves, found[len(weights) :], strict=True):
            # What every pass asks of the encoder is gathered, and asked once.
            leaf.grad = gradient if leaf.grad is None else leaf.grad + gradient
        found = found[: len(weights)]
        if last and leaves:
            found += torch.autograd.grad(
                self.features.maps,
                list(self.net.encoder.parameters()),
                [leaf.grad for leaf in leaves],
            )
        if not last:
            probs = torch.sigmoid(logits.detach().float())
            self.before = probs
            _prompt_again(self.drawn, probs, self.crops, rng)
        return (
            found,
            float(loss.detach()),
            float(iou_of(logits.detach(), self.truth, self.known).mean()),
        )


def _of_decoder(name: str) -> bool:
    # The head of `Readings` has a training of its own.
    return not name.startswith(("encoder.", "readings."))


def _learn(
    net: ConvNet,
    batch: Batch,
    optimiser: AdamW,
    run: Run,
    step: int,
    threads: ThreadPoolExecutor,
) -> Iterator[tuple[float, float]]:
    """Take one optimiser step per pass over the batch; yield loss and mean IoU of each."""
    count = run.config.shards
    parts = [slice(n, None, count) for n in range(count)]
    shards = list(threads.map(lambda part: _Shard(net, batch, part, run), parts))
    for number in range(run.config.passes):
        last = number + 1 == run.config.passes
        rngs = [np.random.default_rng([run.seed, step, number, n]) for n in range(count)]
        passes = [
            threads.submit(shard.learn, rng, last=last)
            for shard, rng in zip(shards, rngs, strict=True)
        ]
        answers = [future.result() for future in passes]
        decoder = [p for name, p in net.named_parameters() if _of_decoder(name)]
        learners = [*decoder, *net.encoder.parameters()]
        optimiser.zero_grad()
        for gradients in zip(*(answer[0] for answer in answers), strict=True):
            weight = learners.pop(0)
            weight.grad = torch.stack(gradients).mean(0)
        torch.nn.utils.clip_grad_norm_(net.parameters(), _CLIP)
        optimiser.step()
        yield (
            sum(answer[1] for answer in answers) / count,
            sum(answer[2] for answer in answers) / count,
        )


def _prompt_again(
    drawn: list[npt.NDArray[np.float32]],
    probs: Tensor,
    crops: Sequence[Crop],
    rng: np.random.Generator,
) -> None:
    """Add clicks on what the answers have wrong, and the answers themselves, in place."""
    for prompt, plane, crop in zip(drawn, probs[:, 0].cpu().numpy(), crops, strict=True):
        add_clicks(prompt, plane, crop, count=int(rng.choice(_MORE_CLICKS)), rng=rng)
        told = (plane > 0.5).astype(np.float32) if rng.random() < _HARD else plane
        draw_prior(prompt, None if rng.random() < _FORGET else told)


@torch.no_grad()
def _measure_features(net: ConvNet, run: Run) -> None:
    """Set the mean and scale of the encoder's channels from the first crops."""
    sums: Tensor | float = 0.0
    squares: Tensor | float = 0.0
    config = run.config
    for batch in batches(
        run.pool,
        sides=config.sides,
        size=config.batch,
        seed=run.seed,
        first=0,
        last=_MEASURED,
        loaders=1,
    ):
        maps = net.encoder(image_tensor([crop.image for crop in batch.crops], run.device))
        flat = [level.transpose(0, 1).flatten(1).double() for level in maps]
        sums = sums + torch.cat([channels.mean(1) for channels in flat]) / _MEASURED
        squares = squares + torch.cat([(channels**2).mean(1) for channels in flat]) / _MEASURED
    assert isinstance(sums, Tensor)
    assert isinstance(squares, Tensor)
    net.feature_mean.copy_(sums)
    net.feature_scale.copy_(1 / (squares - sums**2).clamp(min=1e-4).sqrt())


@torch.no_grad()
def _blend(average: dict[str, Tensor], net: ConvNet, keep: float) -> None:
    state = net.state_dict()
    torch._foreach_lerp_([average[name] for name in state], list(state.values()), 1 - keep)


def _check(
    net: ConvNet, average: Mapping[str, Tensor], run: Run, threads: ThreadPoolExecutor
) -> dict[str, dict[str, float]]:
    """Return the validation measures of the network with the averaged weights.

    The sets are measured side by side by the threads that train, for the reason that shards are.
    """
    averaged = deepcopy(net).eval()
    averaged.load_state_dict(average)
    config = run.config
    measures = {
        name: threads.submit(
            validate,
            averaged,
            samples[: config.check_crops],
            side=config.sides[0],
            batch=config.batch,
            device=run.device,
        )
        for name, samples in run.checks.items()
    }
    return {name: measure.result() for name, measure in measures.items()}


def _save(
    run: Run,
    net: ConvNet,
    average: Mapping[str, Tensor],
    optimiser: AdamW,
    step: int,
    checks: Mapping[str, Mapping[str, float]],
) -> None:
    run.out.mkdir(parents=True, exist_ok=True)
    arrays = {name: value.cpu().numpy() for name, value in average.items()}
    facts = {
        **run.facts,
        "config": asdict(run.config),
        "seed": run.seed,
        "step": step,
        "checks": checks,
    }
    write_weights(run.out / "weights.npz", arrays, facts)
    partial = run.out / "checkpoint.pt.part"
    torch.save(
        {
            "net": net.state_dict(),
            "average": dict(average),
            "optimiser": optimiser.state_dict(),
            "step": step,
        },
        partial,
    )
    partial.replace(run.out / "checkpoint.pt")
