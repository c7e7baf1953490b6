"""Where a training of readings starts: its data, the network that it builds on, its folder."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2

from remask_core.errors import InputError, WrongState
from remask_models.convnet.loading import WEIGHTS, load_network
from remask_models.weights_file import read_header
from remask_training.batches import find_folders, load_pool
from remask_training.memory import keep_memory
from remask_training.readings import ReadingsConfig, ReadingsReport, ReadingsRun, train_readings
from remask_training.samples import read_folder
from remask_training.start import HELD_OUT, drawn_order, mixed

__all__ = ["start_readings"]


def start_readings(
    data: Sequence[Path],
    *,
    out: Path,
    val: Sequence[Path] = (),
    init: Path | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    resume: bool = False,
    told: Callable[[ReadingsReport], None] = lambda report: None,
) -> Path:
    """Train the readings of a network that is trained already; return its weights file.

    Masks that answer boxes, later clicks and previous masks stay as they are, and so does the
    first candidate of a first click.

    Args:
        data: Data folders, or folders of data folders; see `read_folder` for the layouts.
        out: Folder for `weights.npz` and `checkpoint.pt`; made if it is not there.
        val: Folders to measure on, besides the held-out twentieth of `data`.
        init: Weights file to build on; None is the one that ships with remask.
        steps: Batches; None is what `ReadingsConfig` says.
        minutes: The training ends after so many, whatever is left of the batches; time before a
            resumed checkpoint counts. None is no limit.
        seed: Of every draw.
        resume: Go on from the checkpoint in `out` if there is one.
        told: Called with every report.

    Raises:
        NotFound: There is no data, or `init` does not exist.
        InputError: `steps` or `minutes` is not above 0, or `init` is something else.
        WrongState: `out` holds a checkpoint and `resume` is not set.
    """
    if steps is not None and steps < 1:
        raise InputError(f"`steps` must be at least 1; got {steps}")
    if minutes is not None and minutes <= 0:
        raise InputError(f"`minutes` must be above 0; got {minutes}")
    if (out / "checkpoint.pt").exists() and not resume:
        raise WrongState(
            f"`out` must be a folder without a checkpoint; {out} holds one: resume it, or name "
            "another folder"
        )
    config = ReadingsConfig() if steps is None else replace(ReadingsConfig(), steps=steps)
    keep_memory()
    # Crops are cut by a thread of ours; OpenCV's own would stand in its way.
    cv2.setNumThreads(1)
    weights = init or WEIGHTS
    net = load_network(weights)
    folders = find_folders(data)
    pool, kept = load_pool(folders, readings=True)
    checks = {HELD_OUT: drawn_order(kept)} if kept else {}
    checks.update({folder.name: mixed(read_folder(folder)) for folder in find_folders(val)})
    out.mkdir(parents=True, exist_ok=True)
    (out / "run.json").write_text(json.dumps({"command": sys.argv[1:]}, indent=1), encoding="utf-8")
    run = ReadingsRun(config, pool, checks, out, seed, read_header(weights), minutes)
    train_readings(run, net, resume=resume, told=told)
    return out / "weights.npz"
