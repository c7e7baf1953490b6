"""Teaches the network's IoU estimate honesty: plays boxes and clicks, and fits a curve to them.

What is played goes through the segmenter itself, with its windows, mirror and obedience: the curve
mends the score that callers see, not the one that training saw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from scipy.special import expit

from remask_core.errors import NotFound
from remask_core.overlap import iou
from remask_core.types import BoolMask, Click, Prompt, Segmenter
from remask_models.convnet.loading import load_network
from remask_models.convnet.network import TorchNetwork
from remask_models.convnet.score_curve import ScoreCurve, logit
from remask_models.convnet.segmenter import ConvNetSegmenter
from remask_models.weights_file import read_weights, write_weights
from remask_simulation.boxes import jittered_box
from remask_simulation.clicks import baseline_click, region_clicks
from remask_training.reliability import reliability
from remask_training.samples import Sample

__all__ = ["Answer", "calibrate", "choose", "fit_curve", "play"]

_ROUNDS, _CLICKS_PER_ROUND = 3, 3
_CLICKS_ALONE = 5
_FOLDS = 5
_TRUST = 1.0  # how many answers' worth the network's own estimate is, before any is seen

_Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the network: to how many clicks, its own IoU estimate, and the true IoU."""

    picture: str
    clicks: int
    estimate: float
    iou: float


def choose(
    sets: Mapping[str, Sequence[Sample]], *, instances: int, rng: np.random.Generator
) -> dict[str, list[Sample]]:
    """Return up to so many samples in all, in equal shares of the sets as far as they reach.

    Within a set large instances are likelier, as in training.
    """
    chosen: dict[str, list[Sample]] = {}
    left = instances
    # The smallest set first: what it lacks, the others give.
    order = sorted((name for name in sets if sets[name]), key=lambda name: len(sets[name]))
    for number, name in enumerate(order):
        samples = sets[name]
        weights = np.array([sample.weight for sample in samples])
        size = min(len(samples), left // (len(order) - number))
        picks = rng.choice(len(samples), size, replace=False, p=weights / weights.sum())
        chosen[name] = [samples[int(pick)] for pick in picks]
        left -= size
    return chosen


def play(segmenter: Segmenter, sample: Sample, *, rng: np.random.Generator) -> list[Answer]:
    """Return the answers to a hasty box and three rounds of clicks, and to five clicks alone."""
    truth, valid = sample.mask(), ~sample.ignored()
    height, width = truth.shape
    embedding = segmenter.embed(sample.picture.image)
    answers: list[Answer] = []

    def ask(prompt: Prompt) -> tuple[BoolMask, Prompt]:
        told = segmenter.predict(embedding, prompt)[0]
        reached = iou(truth, told.mask, ignore=~valid)
        answers.append(Answer(sample.picture.name, len(prompt.clicks), told.score, reached))
        return told.mask, replace(prompt, prior_logits=told.logits)

    box = jittered_box(sample.box, shape_hw=(height, width), rng=rng)
    mask, prompt = ask(Prompt(box=box))
    for _ in range(_ROUNDS):
        more = region_clicks(truth, mask, _CLICKS_PER_ROUND, rng=rng, valid=valid)
        if not more:
            break
        mask, prompt = ask(_clicked(prompt, *more))
    mask, prompt = np.zeros_like(truth), Prompt()
    for _ in range(_CLICKS_ALONE):
        click = baseline_click(truth, mask, taken=prompt.clicks, valid=valid)
        mask, prompt = ask(_clicked(prompt, click))
    return answers


def fit_curve(answers: Sequence[Answer]) -> ScoreCurve:
    """Return the curve under which the scores are likeliest; without answers one of no effect.

    Logistic regression of the IoU, which lies in [0, 1], on the log odds of the estimate and on
    the clicks (Papke and Wooldridge 1996); its scores have no bias on the answers it is fitted to.
    A weak prior holds it to the estimate itself, so that few answers move it little.
    """
    facts, reached = _facts(answers), np.array([answer.iou for answer in answers])
    start = np.array([1.0, 0.0, 0.0])

    def loss(curve: _Numbers) -> tuple[float, _Numbers]:
        height, away = facts @ curve, curve - start
        entropy = np.logaddexp(0, height) - reached * height
        slope = facts.T @ (expit(height) - reached) + _TRUST * away
        return float(entropy.sum() + _TRUST / 2 * away @ away), slope

    found = minimize(loss, start, jac=True, method="BFGS").x
    return ScoreCurve(*(float(value) for value in found))


def calibrate(
    weights: Path,
    sets: Mapping[str, Sequence[Sample]],
    *,
    out: Path,
    instances: int,
    seed: int,
    device: torch.device,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Write the weights with a score curve fitted on the sets; return what the header says of it.

    Args:
        weights: Weights file; a curve that it has is replaced.
        sets: Samples that the weights have not learnt from, by the name of their set.
        out: File to write; may be `weights`.
        instances: At most so many are played, nine answers each.
        seed: Of the choice, the boxes and the clicks.
        device: Where the network answers.
        told: Called with instances played and in all.

    Returns:
        `curve`; `instances` per set; `answers` in all; `before` and `after`, see `Reliability`.
        `after` judges each fifth of the pictures by a curve fitted on the others.

    Raises:
        NotFound: There is no such file, or the sets are empty.
        InputError: It is no weights file of this network.
    """
    facts, arrays = read_weights(weights)
    chosen = choose(sets, instances=instances, rng=np.random.default_rng([seed, 0]))
    samples = [sample for part in chosen.values() for sample in part]
    if not samples:
        raise NotFound("`data` must hold held-out instances to calibrate on; there is none")
    network = TorchNetwork(load_network(weights), device)
    segmenter = ConvNetSegmenter(network, version="uncalibrated")
    answers: list[Answer] = []
    for number, sample in enumerate(samples, 1):
        answers += play(segmenter, sample, rng=np.random.default_rng([seed, number]))
        told(number, len(samples))
    ious = [answer.iou for answer in answers]
    score = {
        "curve": asdict(fit_curve(answers)),
        "instances": {name: len(part) for name, part in chosen.items()},
        "answers": len(answers),
        "before": asdict(reliability([answer.estimate for answer in answers], ious)),
        "after": asdict(reliability(list(_judged_by_others(answers)), ious)),
    }
    write_weights(out, arrays, {**facts, "score": score})
    return score


def _judged_by_others(answers: Sequence[Answer]) -> Iterator[float]:
    """Yield each answer's score by a curve that has not seen its picture."""
    numbers = {name: number for number, name in enumerate(sorted({a.picture for a in answers}))}
    folds = [numbers[answer.picture] % _FOLDS for answer in answers]
    curves = [
        fit_curve([answer for answer, own in zip(answers, folds, strict=True) if own != fold])
        for fold in range(_FOLDS)
    ]
    for answer, fold in zip(answers, folds, strict=True):
        yield curves[fold].score(answer.estimate, clicks=answer.clicks)


def _facts(answers: Sequence[Answer]) -> _Numbers:
    """Return what the score is computed from, (N, 3): log odds, one, log of one plus clicks."""
    rows = [(logit(answer.estimate), 1.0, float(np.log1p(answer.clicks))) for answer in answers]
    return np.array(rows, dtype=np.float64).reshape(-1, 3)


def _clicked(prompt: Prompt, *more: Click) -> Prompt:
    return replace(prompt, clicks=(*prompt.clicks, *more))
