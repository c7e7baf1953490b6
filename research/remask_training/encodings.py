"""How clicks are shown to the network: disks, Gaussians or a distance map, compared in training.

Disks are what ships. The other two are redrawn from the disks just before the convolutions; what
the network computes from clicks (colour and likeness) sees disks in all three, so that the planes
alone differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from remask_models.convnet.prompt_planes import CLICK_RADIUS, NEGATIVE, POSITIVE
from remask_models.device import resolve_device
from remask_models.weights_file import read_header
from remask_training.batches import find_folders, load_pool
from remask_training.config import CONFIGS
from remask_training.curves import Curves
from remask_training.loop import Report, Run, train
from remask_training.memory import keep_memory
from remask_training.samples import read_folder
from remask_training.start import HELD_OUT, drawn_order, initial_network, mixed

__all__ = ["ENCODINGS", "Outcome", "Redrawn", "compare_encodings", "distance_to_click"]

# Small crops, and an average that forgets soon: what a run of a few minutes can afford.
_SHORT: Mapping[str, Any] = MappingProxyType(
    {"sides": (128,), "batch": 8, "warm_up": 20, "ema": 0.99}
)

_Plane: TypeAlias = npt.NDArray[np.float32]

_SIGMA = 3.0  # drawn pixels, as the disks' radius
_REACH = 32.0  # drawn pixels at which the distance map has fallen to nothing


def _gaussian(distance: _Plane) -> _Plane:
    fallen: _Plane = np.exp(-(distance**2) / (2 * _SIGMA**2)).astype(np.float32)
    return fallen


def _distance_map(distance: _Plane) -> _Plane:
    return np.clip(1 - distance / _REACH, 0, 1).astype(np.float32)


_FALLS: Mapping[str, Callable[[_Plane], _Plane]] = MappingProxyType(
    {"gaussian": _gaussian, "distance": _distance_map}
)
"""What a plane holds at each distance to the nearest click."""

ENCODINGS = ("disk", *_FALLS)
"""Names of the encodings; the first is the one that ships."""


def distance_to_click(disks: _Plane) -> _Plane:
    """Return how far each pixel is from the middle of the nearest disk, to within a pixel.

    Args:
        disks: (h, w) float32, disks of `CLICK_RADIUS` in which the plane is 1.

    Returns:
        (h, w) float32 in drawn pixels; very large everywhere when there is no disk.
    """
    inside = (disks > 0.5).astype(np.uint8)
    if not inside.any():
        return np.full(disks.shape, 1e6, np.float32)
    away = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
    # Padded, so that a disk at the plane's edge is as deep as any other.
    around = cv2.copyMakeBorder(inside, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    depth = cv2.distanceTransform(around, cv2.DIST_L2, 5)[1:-1, 1:-1]
    # The deepest pixel is a disk's middle.
    return np.where(inside > 0, depth.max() - depth, away + CLICK_RADIUS).astype(np.float32)


class Redrawn(nn.Module):
    """Takes the place of `ConvNet.shown`: click planes in another encoding than disks."""

    def __init__(self, encoding: str) -> None:
        super().__init__()
        self.encoding = encoding

    def forward(self, prompts: Tensor) -> Tensor:
        """Return (N, 6, h, w) with the two click planes redrawn."""
        fall = _FALLS[self.encoding]
        shown = prompts.clone()
        for number, planes in enumerate(prompts[:, [POSITIVE, NEGATIVE]].cpu().numpy()):
            for channel, plane in zip((POSITIVE, NEGATIVE), planes, strict=True):
                redrawn = torch.from_numpy(fall(distance_to_click(plane)))
                shown[number, channel] = redrawn.to(shown)
        return shown


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a short training with one encoding came to: validation set to its measures."""

    encoding: str
    steps: int
    checks: Mapping[str, Mapping[str, float]]


def compare_encodings(
    data: Sequence[Path],
    *,
    out: Path,
    init: Path,
    val: Sequence[Path] = (),
    steps: int = 200,
    seed: int = 0,
    device: str = "cpu",
    told: Callable[[str, Report], None] = lambda encoding, report: None,
) -> list[Outcome]:
    """Return how three short trainings end that differ in the encoding of clicks alone.

    All three start from the same encoder, which stays as it is, and the same untaught decoder, and
    see the same pictures with the same first prompts; later prompts answer each network's own
    errors. They are far too short to say what either encoding could come to.

    Args:
        data: Data folders, see `train_convnet`.
        out: Folder; each run has a folder of its own in it, and goes on where it stopped.
        init: The DeepLabv3 encoder (`.pt`).
        val: Folders to measure on at the end, besides the held-out twentieth of `data`.
        steps: Batches of each run.
        seed: Of every draw, and of the untaught decoder.
        device: `cpu`, `cuda`, `cuda:N` or `auto`.
        told: Called with encoding and report.

    Raises:
        NotFound: There is no data, or `init` does not exist.
        InputError: `init` is no encoder.
    """
    keep_memory()
    cv2.setNumThreads(1)
    folders = find_folders(data)
    pool, kept = load_pool(folders)
    checks = {HELD_OUT: drawn_order(kept)} if kept else {}
    checks |= {folder.name: mixed(read_folder(folder)) for folder in find_folders(val)}
    config = replace(CONFIGS["small"], **_SHORT, steps=steps, check_every=steps)
    outcomes = []
    for encoding in ENCODINGS:
        torch.manual_seed(seed)
        net = initial_network(init)
        if encoding in _FALLS:
            net.shown = Redrawn(encoding)
        folder = out / encoding
        folder.mkdir(parents=True, exist_ok=True)
        facts = {"encoding": encoding, "data": sorted(folder.name for folder in folders)}
        run = Run(config, pool, checks, folder, seed, resolve_device(device), facts)
        curves = Curves(folder, keep=True)

        def note(report: Report, encoding: str = encoding, curves: Curves = curves) -> None:
            curves.add(report)
            told(encoding, report)

        train(run, net, resume=True, told=note)
        made = read_header(folder / "weights.npz")
        outcomes.append(Outcome(encoding, made["step"], made["checks"]))
    return outcomes
