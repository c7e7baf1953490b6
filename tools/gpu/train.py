"""Train `convnet` on a GPU in one piece: `python -m tools.gpu.train pack.npz --out DIR`.

Pictures, augmentation, boxes and clicks are all on the device, so that nothing waits for the CPU.
The run ends after so many minutes, its learning rate falling in time; `weights.npz` is written
now and then and at the end, in half precision. Its score is calibrated afterwards, by
`remask train calibrate`.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from tools.gpu.crops import Stock
from tools.gpu.pack import unpack
from tools.gpu.prompts import go_on, start
from torch import Tensor

from remask_models.convnet.network import ConvNet
from remask_models.weights_file import write_weights
from remask_training.losses import iou_of, loss_of
from remask_training.start import initial_network

_SAVED_EVERY_S = 120.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """A run on a device; see `TrainConfig` for what the names mean."""

    sides: tuple[int, ...] = (256, 256, 320)
    batch: int = 96
    passes: int = 4
    rate: float = 1.2e-3
    encoder_rate: float = 2.5e-4
    decay: float = 0.02
    ema: float = 0.999
    warm_up: int = 200


def train(
    stock: Stock,
    net: ConvNet,
    *,
    sizes: Sizes,
    minutes: float,
    steps: int | None,
    seed: int,
    out: Path,
    told: Callable[[str], None] = print,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Train `net` until the minutes or the steps are over; return how many steps were made.

    The averaged weights are in `out / "weights.npz"`.
    """
    torch.manual_seed(seed)
    device = stock.device
    net.to(device).train()
    encoder = list(net.encoder.parameters())
    others = [p for name, p in net.named_parameters() if not name.startswith("encoder.")]
    groups = [
        {"params": others, "peak": sizes.rate},
        {"params": encoder, "peak": sizes.encoder_rate},
    ]
    optimiser = torch.optim.AdamW(
        groups, lr=sizes.rate, weight_decay=sizes.decay, betas=(0.9, 0.98)
    )
    average = {name: value.detach().clone() for name, value in net.state_dict().items()}
    begun, saved, step = clock(), clock(), 0
    spent = 0.0
    while spent < 1 and (steps is None or step < steps):
        step += 1
        spent = (clock() - begun) / (60 * minutes)
        done = spent if steps is None else max(spent, step / steps)
        rate = min(1.0, step / sizes.warm_up) * (0.5 + 0.5 * math.cos(math.pi * min(done, 1.0)))
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * rate
        side = sizes.sides[int(torch.randint(len(sizes.sides), (1,)))]
        loss, iou = _learn(stock, net, optimiser, sizes, side)
        state = net.state_dict()
        keep = min(sizes.ema, step / (step + 20))
        torch._foreach_lerp_([average[name] for name in state], list(state.values()), 1 - keep)
        if step % 50 == 0:
            told(f"{step} {clock() - begun:.0f} s loss {loss.item():.3f} IoU {iou.item():.3f}")
        if clock() - saved > _SAVED_EVERY_S:
            saved = clock()
            _save(out, average, step, seed)
    _save(out, average, step, seed)
    return step


def _learn(
    stock: Stock, net: ConvNet, optimiser: torch.optim.AdamW, sizes: Sizes, side: int
) -> tuple[Tensor, Tensor]:
    """Take one step over all passes of a new batch; return loss and IoU of the last pass."""
    with torch.no_grad():
        crops = stock.draw(sizes.batch, side=side)
        drawn = start(crops)
    half = torch.autocast(stock.device.type, torch.bfloat16)
    with half:
        features = net.encode(crops.image)
    total = torch.zeros((), device=stock.device)
    before: Tensor | None = None
    loss = iou = total
    for number in range(sizes.passes):
        with half:
            logits, judged = net.decode(features, drawn.clone())
        logits = logits.float()
        loss = loss_of(logits, judged.float(), crops.truth, crops.known, before=before)
        total = total + loss / sizes.passes
        before = torch.sigmoid(logits.detach())
        iou = iou_of(logits.detach(), crops.truth, crops.known).mean()
        if number + 1 < sizes.passes:
            with torch.no_grad():
                go_on(drawn, before, crops)
    optimiser.zero_grad()
    total.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimiser.step()
    return loss.detach(), iou


def _save(out: Path, average: dict[str, Tensor], step: int, seed: int) -> None:
    out.mkdir(parents=True, exist_ok=True)
    arrays = {name: value.cpu().numpy() for name, value in average.items()}
    write_weights(out / "weights.npz", arrays, {"step": step, "seed": seed, "on": "device"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pack", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--init", type=Path)
    parser.add_argument("--minutes", type=float, default=7.5)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--batch", type=int, default=Sizes().batch)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda")
    asked = parser.parse_args()
    stock = Stock(unpack(asked.pack), torch.device(asked.device))
    net = initial_network(asked.init)
    steps = train(
        stock,
        net,
        sizes=Sizes(batch=asked.batch),
        minutes=asked.minutes,
        steps=asked.steps,
        seed=asked.seed,
        out=asked.out,
    )
    print(f"{steps} steps, {asked.out / 'weights.npz'}")


if __name__ == "__main__":
    main()
