"""Where a run starts: its data, its weights, its folder."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from remask_core.errors import InputError, NotFound, WrongState
from remask_models.convnet.encoder import encoder_from_deeplab
from remask_models.convnet.loading import WEIGHTS, load_network
from remask_models.convnet.network import ConvNet
from remask_models.device import resolve_device
from remask_ranking.ranks import training_weights
from remask_training.batches import find_folders, load_pool, read_held_out
from remask_training.calibration import calibrate
from remask_training.click_logs import read_click_log
from remask_training.config import CONFIGS
from remask_training.curves import Curves
from remask_training.loop import Report, Run, train
from remask_training.mask_weights import Weighted
from remask_training.memory import keep_memory
from remask_training.samples import Sample, read_folder

__all__ = [
    "HELD_OUT",
    "calibrate_convnet",
    "drawn_order",
    "initial_network",
    "mixed",
    "train_convnet",
]

HELD_OUT = "held out"
"""Name of the set of pictures that are kept from training."""


def train_convnet(
    data: Sequence[Path],
    *,
    out: Path,
    val: Sequence[Path] = (),
    init: Path | None = None,
    config: str = "small",
    steps: int | None = None,
    minutes: float | None = None,
    clicks: Path | None = None,
    weights: Path | None = None,
    calibrated_on: int = 300,
    seed: int = 0,
    device: str = "cpu",
    resume: bool = False,
    told: Callable[[Report], None] = lambda report: None,
    played: Callable[[int, int], None] = lambda done, total: None,
    on_weighted: Callable[[Weighted], None] = lambda weighted: None,
) -> Path:
    """Train the bundled network and calibrate its score; return the path of its weights file.

    Args:
        data: Data folders, or folders of data folders; see `read_folder` for the layouts.
        out: Folder for `weights.npz`, `checkpoint.pt`, `curves.csv`, `curves.html`; made if it
            is not there.
        val: Folders to measure on while training, besides the held-out twentieth of `data`.
        init: Where to start from: a weights file of this network to fine-tune it, or the
            DeepLabv3 encoder (`.pt`). None is the weights that ship with remask.
        config: `small`, `fine` or `full`, see `CONFIGS`.
        steps: Batches; None is what the config says.
        minutes: The training ends after so many, whatever is left of the batches; on a busy
            machine the number of batches is anybody's guess. None is no limit.
        clicks: Click log of instances in `data`, see `read_click_log`; about half of the clicks
            that an instance is prompted with are then the annotators'.
        weights: Ranking of masks in `data` (`remask rank apply`); each mask is drawn as much more
            or less often as its `training_weight` says.
        calibrated_on: At most so many of the instances that were measured on; 0 leaves the score
            as the network gives it.
        seed: Of every draw. On one machine, equal seeds give equal batches and first prompts;
            later prompts answer the network, whose sums depend on the hardware.
        device: `cpu`, `cuda`, `cuda:N` or `auto`.
        resume: Go on from the checkpoint in `out` if there is one.
        told: Called with every report.
        played: Called while calibrating, with instances played and in all.
        on_weighted: Called with what `weights` were found for.

    Raises:
        NotFound: There is no data, or `init`, `clicks` or `weights` does not exist.
        InputError: The config is unknown, `steps` or `minutes` is not above 0, `init` is
            something else, no click of `clicks` is on an instance of `data`, or `weights` are no
            ranking of instances of `data`.
        WrongState: `out` holds a checkpoint and `resume` is not set.
    """
    if config not in CONFIGS:
        raise InputError(f"`config` must be one of {', '.join(CONFIGS)}; got {config!r}")
    if steps is not None and steps < 1:
        raise InputError(f"`steps` must be at least 1; got {steps}")
    if minutes is not None and minutes <= 0:
        raise InputError(f"`minutes` must be above 0; got {minutes}")
    if (out / "checkpoint.pt").exists() and not resume:
        raise WrongState(
            f"`out` must be a folder without a checkpoint; {out} holds one: resume it, or name "
            "another folder"
        )
    sizes = CONFIGS[config] if steps is None else replace(CONFIGS[config], steps=steps)
    keep_memory()
    # Crops are cut by threads of ours; OpenCV's own would stand in their way.
    cv2.setNumThreads(1)
    net = initial_network(init)
    folders = find_folders(data)
    weighted: list[Weighted] = []
    pool, kept = load_pool(
        folders,
        log=None if clicks is None else read_click_log(clicks),
        weights=None if weights is None else training_weights(weights),
        on_weighted=weighted.append,
    )
    for found in weighted:
        on_weighted(found)
    checks = {HELD_OUT: drawn_order(kept)} if kept else {}
    checks.update({folder.name: mixed(read_folder(folder)) for folder in find_folders(val)})
    out.mkdir(parents=True, exist_ok=True)
    facts = {
        "data": sorted(folder.name for folder in folders),
        "instances": sum(len(samples) for samples in pool.folders),
        "real_clicks": sum(len(sample.clicks) for samples in pool.folders for sample in samples),
        "weighted": sum(found.matched for found in weighted),
        "init": "bundled weights" if init is None else init.name,
    }
    run = Run(sizes, pool, checks, out, seed, resolve_device(device), facts, minutes)
    (out / "run.json").write_text(
        json.dumps({**facts, "command": sys.argv[1:]}, indent=1), encoding="utf-8"
    )
    curves = Curves(out, keep=resume)

    def note(report: Report) -> None:
        curves.add(report)
        told(report)

    train(run, net, resume=resume, told=note)
    trained = out / "weights.npz"
    if calibrated_on and checks:
        calibrate(
            trained,
            checks,
            out=trained,
            instances=calibrated_on,
            seed=seed,
            device=run.device,
            told=played,
        )
    return trained


def calibrate_convnet(
    data: Sequence[Path],
    *,
    out: Path,
    weights: Path | None = None,
    val: Sequence[Path] = (),
    instances: int = 300,
    seed: int = 0,
    device: str = "cpu",
    played: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Write a weights file whose scores can be read as IoU; return what its header says of them.

    Args:
        data: What the weights were trained on; the held-out twentieth of it is played.
        out: Weights file to write.
        weights: Weights file to calibrate; None is the one that ships with remask.
        val: Further folders that the weights have not learnt from.
        instances: At most so many are played.
        seed: Of the choice, the boxes and the clicks.
        device: `cpu`, `cuda`, `cuda:N` or `auto`.
        played: Called with instances played and in all.

    Raises:
        NotFound: There is no such file, or no held-out instance.
        InputError: It is no weights file of this network.
    """
    keep_memory()
    known = read_held_out(find_folders(data))
    sets = {HELD_OUT: known, **{folder.name: read_folder(folder) for folder in find_folders(val)}}
    return calibrate(
        weights or WEIGHTS,
        sets,
        out=out,
        instances=instances,
        seed=seed,
        device=resolve_device(device),
        told=played,
    )


def initial_network(init: Path | None) -> ConvNet:
    """Return the network to start from, see `train_convnet`; on the CPU.

    Raises:
        NotFound: `init` does not exist.
        InputError: It is neither weights of this network nor the encoder.
    """
    if init is None or init.suffix == ".npz":
        return load_network(init or WEIGHTS)
    if not init.is_file():
        raise NotFound(f"`init` must be an existing file; there is none at {init}")
    stored = torch.load(init, map_location="cpu", weights_only=True)
    if not isinstance(stored, dict) or not {"spec", "state"} <= stored.keys():
        raise InputError(f"`init` must be weights of convnet or the DeepLabv3 encoder; got {init}")
    net = ConvNet()
    net.encoder = encoder_from_deeplab(stored["spec"], stored["state"])
    return net


def mixed(samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """Return the samples in an order that any first few of them stand for all.

    Without annotators' clicks: measures of all data come from the same simulated ones.
    """
    order = np.random.default_rng(0).permutation(len(samples))
    return tuple(replace(samples[int(number)], clicks=()) for number in order)


def drawn_order(samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """Return the samples in an order as if drawn one after the other by their weights.

    Any first few of them stand for what training draws, so that no folder of thousands of small
    instances rules the measure. Without annotators' clicks, as in `mixed`.
    """
    rng = np.random.default_rng(0)
    # The least of exponential waiting times is drawn by weight (Efraimidis and Spirakis 2006).
    waits = rng.exponential(size=len(samples)) / np.array([sample.weight for sample in samples])
    return tuple(replace(samples[int(number)], clicks=()) for number in np.argsort(waits))
