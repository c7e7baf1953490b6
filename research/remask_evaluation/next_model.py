"""The model after a campaign: trained on its masks, and offered only where it is better.

Between two campaigns the model is trained on what the first has brought, as Segment Anything's
data engine does between its stages (Kirillov et al. 2023, section 4). Whether it has gained is
measured on pictures of the campaign that it has not seen, with the same boxes and clicks before
both models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from remask_core.errors import InputError
from remask_evaluation.contestants import Contestant
from remask_evaluation.datasets import open_set
from remask_evaluation.interactive.designs import BASE
from remask_evaluation.interactive.rounds import RoundsRow, play_rounds, wanted_designs
from remask_evaluation.trials import plan, read_rows, run
from remask_reports.intervals import mean_of
from remask_training.campaign_data import CampaignData

if TYPE_CHECKING:
    from remask_training.loop import Report

__all__ = ["Comparison", "compare_models", "next_model"]

_MODEL = "convnet"


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two models on the same objects, with the same boxes and clicks.

    Attributes:
        objects: How many objects.
        before: Version of the old model.
        after: Version of the new one.
        miou_before: Mean IoU of the old model's mask of the box and after each round.
        miou_after: The same of the new one.
        gain: Mean over the objects of the difference of IoU, over the box and all rounds.
        low: Lower end of the 95 % bootstrap range of `gain`.
        high: Upper end.
        weights: File of the new model.
    """

    objects: int
    before: str
    after: str
    miou_before: tuple[float, ...]
    miou_after: tuple[float, ...]
    gain: float
    low: float
    high: float
    weights: str

    @property
    def is_better(self) -> bool:
        """Whether the new model's gain is above zero with 95 % confidence."""
        return self.low > 0

    @property
    def sentence(self) -> str:
        """What was found, for people."""
        found = "better" if self.is_better else "not better for sure"
        return (
            f"{self.after} is {found} than {self.before}: IoU {self.gain:+.3f} in the mean of the "
            f"box and three rounds of three clicks (95 %: {self.low:+.3f} to {self.high:+.3f}), on "
            f"{self.objects} objects that it has not learnt from"
        )


def next_model(
    data: CampaignData,
    *,
    out: Path,
    init: Path | None = None,
    config: str = "fine",
    steps: int | None = None,
    minutes: float | None = None,
    weights: Path | None = None,
    seed: int = 0,
    device: str = "cpu",
    on_report: Callable[[Report], None] = lambda _report: None,
    on_object: Callable[[int, int], None] = lambda _done, _total: None,
) -> Comparison:
    """Train on a campaign's masks, compare with the weights before, and write `verdict.json`.

    A run that was stopped goes on where it stopped.

    Args:
        data: From `write_campaign_data`.
        out: Folder for `model/weights.npz`, the rows of the comparison and the verdict.
        init: Weights of the model before; None for the bundled ones.
        config: As for `train_convnet`, and so `steps`, `minutes` and `weights`.
        steps: Batches.
        minutes: The training ends after so many.
        weights: Ranking whose `training_weight` says how much each mask counts.
        seed: Of every draw.
        device: `cpu`, `cuda`, `cuda:N` or `auto`.
        on_report: Called while training.
        on_object: Called with the trials played, and with how many there are.

    Raises:
        RemaskError: As from `train_convnet` and from `compare_models`.
    """
    from remask_training.start import train_convnet

    model = out / "model"
    trained = train_convnet(
        [data.learnt],
        out=model,
        init=init,
        config=config,
        steps=steps,
        minutes=minutes,
        weights=weights,
        seed=seed,
        device=device,
        resume=(model / "checkpoint.pt").exists(),
        told=on_report,
    )
    found = compare_models(
        init,
        trained,
        measured=data.measured_file,
        rows=out / "rows.jsonl",
        seed=seed,
        device=device,
        on_object=on_object,
    )
    verdict = msgspec.json.format(msgspec.json.encode(found))
    (out / "verdict.json").write_bytes(verdict + b"\n")
    return found


def compare_models(
    before: Path | None,
    after: Path,
    *,
    measured: Path,
    rows: Path,
    seed: int = 0,
    device: str = "cpu",
    on_object: Callable[[int, int], None] = lambda _done, _total: None,
) -> Comparison:
    """Play three rounds of three clicks with both weights on every object, and compare.

    Args:
        before: Weights of the bundled network; None for those that ship with remask.
        after: Weights of the same network.
        measured: Data set with truths, as `open_set` reads it.
        rows: File of results; objects whose results it holds are not played again.
        seed: Of boxes and clicks; both models get the same boxes.
        device: `cpu`, `cuda`, `cuda:N` or `auto`.
        on_object: Called with the trials played, and with how many there are.

    Raises:
        NotFound: A file does not exist.
        InputError: `measured` holds no object, or both weights are the same.
    """
    objects = open_set(measured)
    if not objects:
        raise InputError(f"`measured` must hold objects with a truth; {measured} holds none")
    both = [Contestant(_MODEL, weights, device) for weights in (before, after)]
    versions = [contestant.version for contestant in both]
    if versions[0] == versions[1]:
        raise InputError(f"`after` must be other weights than `before`; both are {versions[0]}")
    done = {row.key for row in read_rows(rows, RoundsRow)}
    wanted = wanted_designs([BASE], box="noisy")
    trials = plan(objects, both, lambda _: wanted, seed=seed, done=done)
    played = 0

    def note() -> None:
        nonlocal played
        played += 1
        on_object(played, len(trials))

    run(trials, play_rounds, path=rows, on_done=note)
    found = _paired(read_rows(rows, RoundsRow), versions)
    gains = mean_of(float(np.mean(new) - np.mean(old)) for old, new in found)
    low, high = gains.low, gains.high
    return Comparison(
        objects=len(found),
        before=versions[0],
        after=versions[1],
        miou_before=tuple(np.mean([old for old, _ in found], axis=0).tolist()),
        miou_after=tuple(np.mean([new for _, new in found], axis=0).tolist()),
        gain=gains.value,
        low=-1.0 if low is None else low,
        high=1.0 if high is None else high,
        weights=str(after),
    )


def _paired(
    rows: Sequence[RoundsRow], versions: Sequence[str]
) -> list[tuple[list[float], list[float]]]:
    """Return the IoUs of each object before both models, where both have played it."""
    old, new = (
        {row.instance: row.ious for row in rows if row.version == version} for version in versions
    )
    return [(ious, new[name]) for name, ious in old.items() if name in new]
