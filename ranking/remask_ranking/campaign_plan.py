"""Plans of further visits: from a campaign's log to a file that `remask campaign reopen` takes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from remask_campaigns.rounds.instance_state import instance_states
from remask_core.errors import InputError
from remask_files.csv_rows import CsvWriter, read_csv
from remask_ranking.campaign_rows import campaign_rows
from remask_ranking.iou_estimate import estimate_ious
from remask_ranking.plan import MOST_ROUNDS, Plan, Uncertainty, make_plan
from remask_ranking.plan_people import people_of
from remask_ranking.table import Row, last_rounds
from remask_ranking.visit_groups import visit_groups
from remask_ranking.visit_model import fit_visits
from remask_storage.campaign_store import CampaignStore

__all__ = ["PLAN_COLUMNS", "campaign_plan", "read_plan", "rows_plan", "write_plan"]

PLAN_COLUMNS: Final = (
    "place",
    "round",
    "instance",
    "label",
    "iou",
    "gain",
    "clicks",
    "seconds",
    "annotator",
    "name",
)


def campaign_plan(
    store: CampaignStore,
    name: str,
    *,
    hours: float | None = None,
    target: float | None = None,
    rounds: int = MOST_ROUNDS,
    processes: int = 1,
) -> Plan:
    """Return which masks of a campaign should get another visit; see `rows_plan`.

    Skipped instances have no mask, and masks painted by hand are not sent back.

    Args:
        store: Where the campaign is kept.
        name: Of the campaign.
        hours: As for `make_plan`.
        target: As for `make_plan`.
        rounds: As for `make_plan`.
        processes: How many measure masks.

    Raises:
        NotFound: There is no such campaign.
        InputError: As `rows_plan`.
    """
    campaign = store.campaign(name)
    states = instance_states(store, campaign)
    painted = {state.instance.id for state in states if state.outcome == "painted"}
    rows = list(campaign_rows(store, name, processes=processes))
    return rows_plan(rows, hours=hours, target=target, rounds=rounds, settled=painted)


def rows_plan(
    rows: Sequence[Row],
    *,
    hours: float | None = None,
    target: float | None = None,
    rounds: int = MOST_ROUNDS,
    settled: Collection[str] = (),
) -> Plan:
    """Return which masks should get another visit, what that brings and costs.

    Gains are learned from the visits after the first whose masks have a known truth, see
    `visit_model`; the IoU of the others is predicted, see `estimate_ious`.

    Args:
        rows: Of `campaign_rows` or `read_rows`, one per instance and finished round.
        hours: As for `make_plan`.
        target: As for `make_plan`.
        rounds: As for `make_plan`.
        settled: Instances that are not to be visited again.

    Raises:
        InputError: Too few truths or times are known to learn from, see `estimate_ious` and
            `fit_visits`; or a number is out of range.
    """
    predicted, error = estimate_ious(rows)
    model = fit_visits(rows, predicted)
    final = last_rounds(rows)
    uncertainty = Uncertainty(
        gain=model.gain_residual,
        gain_share=model.share_error / model.share,
        seconds=model.seconds.residual,
        mean_seconds=model.seconds.mean_error,
        iou=float(error.std()),
        mean_iou=float(error.std()) / float(np.sqrt(len(error))),
    )
    plan = make_plan(
        model.expect(final, [predicted[row.instance, row.round] for row in final]),
        uncertainty,
        hours=hours,
        target=target,
        rounds=rounds,
        people=people_of(rows, model, predicted),
        may_visit=[row.instance not in settled for row in final],
    )
    return replace(plan, groups=tuple(visit_groups(rows, predicted)), truths=len(error))


def write_plan(plan: Plan, path: Path, *, names: Mapping[int, str] | None = None) -> None:
    """Write a line for each planned visit, the most urgent first.

    Args:
        plan: To be written.
        path: CSV.
        names: Of the annotators, by Label Studio's id.

    Raises:
        InputError: `path` cannot be written.
    """
    called = names or {}
    try:
        with closing(CsvWriter(path, PLAN_COLUMNS)) as file:
            for visit in plan.visits:
                file.add(
                    (
                        visit.place,
                        visit.round,
                        visit.instance,
                        visit.label,
                        f"{visit.iou:.4f}",
                        f"{visit.gain:.4f}",
                        f"{visit.clicks:.1f}",
                        f"{visit.seconds:.1f}",
                        visit.annotator,
                        "" if visit.annotator is None else called.get(visit.annotator, ""),
                    )
                )
    except OSError as error:
        raise InputError(f"`{path}` must be writable: {error}") from error


def read_plan(path: Path) -> list[str]:
    """Return the instances of a file of `write_plan`, the most urgent first.

    Lines may have been removed from it or sorted; only the column `instance` is read.

    Raises:
        NotFound: There is no such file.
        InputError: It has no such column, or names no instance.
    """
    instances = [
        cells["instance"] for _, cells in read_csv(path, name="plan", needed=("instance",))
    ]
    if not instances:
        raise InputError(f"`plan` must name at least one instance; {path} names none")
    return list(dict.fromkeys(instances))
