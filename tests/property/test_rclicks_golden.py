"""The benchmark's numbers against the notebook that made the published tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from remask_clicks.benchmark import BASE, RclicksRow
from remask_clicks.scores import Gaps, RclicksSummary, gaps, noise_to_signal, summarise

Curves = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def facts(shared: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((shared / "golden/rclicks/rclicks.json").read_text())
    return found


@pytest.fixture(scope="module")
def arrays(shared: Path) -> dict[str, Curves]:
    return dict(np.load(shared / "golden/rclicks/rclicks.npz"))


@pytest.fixture(scope="module")
def summary(arrays: dict[str, Curves]) -> RclicksSummary:
    curves = [arrays["agg_base"], *arrays["agg_groups"]]
    rows = [
        RclicksRow(
            key=f"{group}-{number}",
            dataset="golden",
            instance=str(number),
            model="golden",
            version="golden@000000000000",
            clicks_from="" if group == BASE else "golden",
            group=group,
            run=1,
            ious=[0.0, *ious],
            clicks=[],
        )
        for group, objects in enumerate(curves)
        for number, ious in enumerate(objects.tolist())
    ]
    (found,) = summarise(rows)
    return found


def assert_theirs(facts: dict[str, float], found: Gaps, *, kind: str) -> None:
    assert facts["Base"] == pytest.approx(found.base, abs=1e-5)
    assert facts["Sample_mean"] == pytest.approx(found.mean, abs=1e-5)
    assert facts["Sample_std"] == pytest.approx(found.sd, abs=1e-5)
    assert facts[f"dSB_{kind}"] == pytest.approx(found.sample_base, abs=1e-5)
    assert facts[f"dGR_{kind}"] == pytest.approx(found.groups, abs=1e-5)
    assert facts[f"dHH_{kind}"] == pytest.approx(found.halves_as_published, abs=1e-5)


def test_clicks_to_iou_090_are_theirs(facts: dict[str, Any], summary: RclicksSummary) -> None:
    assert_theirs(facts["benchmark_aggregation"]["NoC"], summary.noc, kind="rel")


def test_areas_are_theirs(facts: dict[str, Any], summary: RclicksSummary) -> None:
    assert_theirs(facts["benchmark_aggregation"]["IoU_AuC"], summary.auc, kind="abs")


def test_failures_as_published_are_theirs(facts: dict[str, Any], summary: RclicksSummary) -> None:
    assert_theirs(facts["benchmark_aggregation"]["NoF"], summary.nof_as_published, kind="abs")


def test_relative_gaps_of_areas_are_theirs(
    facts: dict[str, Any], arrays: dict[str, Curves]
) -> None:
    groups, base = (
        (arrays[name][..., 1:] + arrays[name][..., :-1]).mean(axis=-1) / 2
        for name in ("agg_groups", "agg_base")
    )

    assert_theirs(
        facts["benchmark_aggregation"]["IoU_AuC"], gaps(groups, base, relative=True), kind="rel"
    )


def test_noise_to_signal_is_theirs(
    facts: dict[str, Any], arrays: dict[str, Curves], summary: RclicksSummary
) -> None:
    published = facts["benchmark_aggregation"]["NSR_IoU_mean"]

    assert published == pytest.approx(summary.nsr, abs=1e-5)
    assert facts["user_at1"]["nsr"] == pytest.approx(
        noise_to_signal(arrays["user_iou1"].T), abs=1e-5
    )
