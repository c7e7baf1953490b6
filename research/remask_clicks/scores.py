"""Scores of a model on realistic clicks, and how much they depend on who clicks.

Source: RClicks (arXiv 2410.11722), section 5 and the notebook that made its tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from remask_clicks.benchmark import BASE, RclicksRow
from remask_core.errors import InputError
from remask_evaluation.interactive.measures import area_under, clicks_to_reach

__all__ = ["Gaps", "RclicksSummary", "areas", "gaps", "noise_to_signal", "per_object", "summarise"]

TARGET = 0.90

_Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Gaps:
    """One measure over all people, and the gaps between them.

    Attributes:
        base: The baseline clicker's mean.
        mean: Of all groups and objects.
        sd: Standard deviation over the groups, of one object, averaged over objects.
        sample_base: ΔSB, all groups against the baseline.
        groups: ΔGR, the least against the most likely clicks.
        halves: ΔHH as the paper defines it: the less likely half of the groups, averaged, against
            the likelier half.
        halves_as_published: ΔHH as its code computes it: group k against group k + 5, one by one,
            then averaged. Equal to `halves` unless the gaps are relative.
    """

    base: float
    mean: float
    sd: float
    sample_base: float
    groups: float
    halves: float
    halves_as_published: float


def gaps(groups: _Numbers, base: _Numbers, *, relative: bool) -> Gaps:
    """Return mean, spread and gaps of one measure.

    Args:
        groups: (g, n) of g groups, an even number, on n objects.
        base: (n,) of the baseline clicker.
        relative: Gaps as shares of what is subtracted, object by object, then averaged; else
            plain differences. An object whose reference is 0 is left out of a relative gap.

    Raises:
        InputError: The shapes do not fit, or there is an odd number of groups.
    """
    count, objects = groups.shape
    if base.shape != (objects,) or count % 2 or not objects:
        raise InputError(
            "`groups` and `base` must have shapes (g, n) and (n,), g even and n at least 1; got "
            f"{groups.shape} and {base.shape}"
        )

    def gap(of: _Numbers, to: _Numbers) -> float:
        apart = of - to
        if not relative:
            return float(apart.mean())
        known = to != 0.0
        return float((apart[known] / to[known]).mean()) if known.any() else float("nan")

    low, high = groups[: count // 2], groups[count // 2 :]
    return Gaps(
        base=float(base.mean()),
        mean=float(groups.mean()),
        sd=float(groups.std(axis=0).mean()),
        sample_base=gap(groups.mean(axis=0), base),
        groups=gap(groups[0], groups[-1]),
        halves=gap(low.mean(axis=0), high.mean(axis=0)),
        halves_as_published=gap(low, high),
    )


def noise_to_signal(values: _Numbers) -> float:
    """Return NSR: standard deviation over mean of each column, averaged over the columns.

    Args:
        values: (k, n), k clicks or groups of each of n objects, at least 0. A column of zeros
            has no noise.
    """
    return float((values.std(axis=0) / (values.mean(axis=0) + 1e-9)).mean())


@dataclass(frozen=True, slots=True)
class RclicksSummary:
    """What the benchmark says of one model on one set.

    Attributes:
        dataset: Name of the set.
        model: As tables call it.
        version: Of the model.
        clicks_from: `ClickSource.label`.
        objects: How many.
        noc: Clicks to IoU 0.90, at most all of them; gaps relative.
        nof: Objects that never reached it, one number per group; gaps absolute.
        nof_as_published: As `nof`, but counting those that reached it with the very last click.
        auc: Area under the curve of IoU against clicks; gaps absolute.
        nsr: Noise-to-signal ratio of the areas over the groups.
        miou_base: Mean IoU after 0, 1, 2 ... clicks of the baseline clicker.
        miou_groups: The same of each group, from the least to the most likely clicks.
    """

    dataset: str
    model: str
    version: str
    clicks_from: str
    objects: int
    noc: Gaps
    nof: Gaps
    nof_as_published: Gaps
    auc: Gaps
    nsr: float
    miou_base: tuple[float, ...]
    miou_groups: tuple[tuple[float, ...], ...]


def per_object(
    rows: Sequence[RclicksRow],
) -> tuple[list[str], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return objects, curves of the groups and curves of the baseline.

    Args:
        rows: Of one model on one set, all of them.

    Returns:
        Names of the n objects; (g, runs, n, clicks + 1) IoUs; (n, clicks + 1) IoUs.
    """
    objects = list(dict.fromkeys(row.instance for row in rows))
    found = {(row.group, row.run, row.instance): row.ious for row in rows}
    groups = sorted({row.group for row in rows} - {BASE})
    runs = sorted({row.run for row in rows})
    curves = [[[found[group, run, name] for name in objects] for run in runs] for group in groups]
    return objects, np.array(curves), np.array([found[BASE, 1, name] for name in objects])


def summarise(rows: Sequence[RclicksRow], *, target: float = TARGET) -> list[RclicksSummary]:
    """Return one summary per set and model, in the order in which they first appear.

    With several runs, measures are averaged over the runs of a group before groups are compared.
    """
    parts: dict[tuple[str, str], list[RclicksRow]] = {}
    for row in rows:
        parts.setdefault((row.dataset, row.version), []).append(row)
    return [_summary(part, target) for part in parts.values()]


def _summary(rows: Sequence[RclicksRow], target: float) -> RclicksSummary:
    objects, curves, base = per_object(rows)
    last = curves.shape[-1] - 1
    noc, base_noc = _clicks_needed(curves, target), _clicks_needed(base, target)
    failed, base_failed = curves[..., 1:].max(-1) < target, base[..., 1:].max(-1) < target
    return RclicksSummary(
        dataset=rows[0].dataset,
        model=rows[0].model,
        version=rows[0].version,
        clicks_from=next(row.clicks_from for row in rows if row.clicks_from),
        objects=len(objects),
        noc=gaps(noc.mean(axis=1), base_noc, relative=True),
        nof=_counted(failed, base_failed),
        nof_as_published=_counted(noc == last, base_noc == last),
        auc=gaps(areas(curves).mean(axis=1), areas(base), relative=False),
        nsr=noise_to_signal(areas(curves).mean(axis=1)),
        miou_base=tuple(base.mean(axis=0).tolist()),
        miou_groups=tuple(tuple(curve) for curve in curves.mean(axis=(1, 2)).tolist()),
    )


def _counted(groups: npt.NDArray[np.bool_], base: npt.NDArray[np.bool_]) -> Gaps:
    """Return the gaps of counts: (g, runs, n) and (n,) of what is counted."""
    counts = groups.sum(axis=2).mean(axis=1, keepdims=True).astype(np.float64)
    return gaps(counts, np.array([float(base.sum())]), relative=False)


def _clicks_needed(curves: _Numbers, target: float) -> _Numbers:
    return np.apply_along_axis(
        lambda ious: float(clicks_to_reach(ious.tolist(), target, from_box=False).noc), -1, curves
    )


def areas(curves: _Numbers) -> _Numbers:
    """Return the area under each curve: (..., clicks + 1) IoUs to (...)."""
    return np.apply_along_axis(lambda ious: area_under(ious.tolist()), -1, curves)
