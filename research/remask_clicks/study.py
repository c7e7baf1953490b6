"""The study `remask bench rclicks`: settings, jobs and report."""

from __future__ import annotations

from remask_clicks.benchmark import Crowd, RclicksRow
from remask_clicks.report import rclicks_page, rclicks_tables
from remask_clicks.scores import summarise
from remask_core.errors import InputError
from remask_evaluation.contestants import BOX
from remask_evaluation.interactive.studies import (
    Result,
    Setting,
    Watch,
    field_of,
    rows_of,
    write_page,
)

__all__ = ["study_rclicks"]


def study_rclicks(setting: Setting, crowd: Crowd, *, watch: Watch) -> Result:
    """Run the benchmark of realistic clicks, or what is left of it, and write its report.

    The box as mask heeds no click and is refused.
    """
    instances, contestants = field_of(setting)
    if any(contestant.name == BOX for contestant in contestants):
        raise InputError("`model` must be one that heeds clicks; got box")
    rows = rows_of(
        setting,
        instances,
        contestants,
        lambda contestant: tuple(crowd.people()),
        crowd.play,
        RclicksRow,
        watch=watch,
    )
    summaries = summarise(rows)
    page = rclicks_page(
        rows, instances, contestants, crowd, made_by=setting.made_by, pictured=setting.pictured
    )
    return Result(summaries, rclicks_tables(summaries), write_page(page, setting.out))
