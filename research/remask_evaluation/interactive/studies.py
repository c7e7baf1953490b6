"""A benchmark from its settings to its report: what the command line calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias, TypeVar

from remask_core.left_out import LeftOutCounts
from remask_evaluation.contestants import BOX, Contestant
from remask_evaluation.datasets import Instance, open_sets
from remask_evaluation.interactive import noc, points, rounds
from remask_evaluation.interactive.designs import BASE, DESIGNS, QUESTIONS, BoxKind
from remask_evaluation.interactive.noc_report import noc_page, noc_table
from remask_evaluation.interactive.rounds_report import question_table, rounds_page, rounds_table
from remask_evaluation.trials import Row, Trial, plan, read_rows, run
from remask_reports.page import Page, Table

__all__ = [
    "Result",
    "Setting",
    "Watch",
    "field_of",
    "rows_of",
    "study_noc",
    "study_points",
    "study_rounds",
    "write_page",
]

R = TypeVar("R", bound=Row)

Watch: TypeAlias = Callable[[int], AbstractContextManager[Callable[[], None]]]
"""Given the number of trials, gives a function to call after each: a progress bar."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What is measured, and where the rows and the report go.

    Attributes:
        data: Data sets, see `remask_evaluation.datasets.open_set`.
        models: `NAME` or `NAME=WEIGHTS`, also `box`.
        out: Folder of `rows.jsonl` and `report.html`.
        limit: Only so many objects of each set.
        jobs: Processes; the results do not depend on it.
        seed: Of boxes and clicks.
        device: For the models.
        pictured: Objects drawn per model, as examples and as worst cases.
        made_by: The command, for the foot of the report.
        on_opened: Called with what of the data sets is left out, before anything is measured.
    """

    data: tuple[Path, ...]
    models: tuple[str, ...]
    out: Path
    limit: int | None = None
    jobs: int = 1
    seed: int = 0
    device: str = "cpu"
    pictured: int = 4
    made_by: str = ""
    on_opened: Callable[[LeftOutCounts], None] = lambda left_out: None


@dataclass(frozen=True, slots=True)
class Result:
    """Summaries (dataclasses), the tables that show them, and where the report lies."""

    summaries: Sequence[object]
    tables: tuple[Table, ...]
    report: Path


def study_noc(setting: Setting, *, watch: Watch, readings: bool = False) -> Result:
    """Run the click benchmark, or what is left of it, and write its report.

    With `readings`, also with a choice among the candidates of the first click.
    """
    instances, contestants = field_of(setting)
    wanted = partial(noc.starts, readings=readings)
    rows = rows_of(setting, instances, contestants, wanted, noc.play_noc, noc.NocRow, watch=watch)
    summaries = noc.summarise(rows)
    kinds = [noc.FROM_CLICKS, *([noc.FROM_READINGS] if readings else []), noc.FROM_BOX]
    tables = [noc_table(summaries, start) for start in kinds]
    page = noc_page(
        rows, instances, contestants, made_by=setting.made_by, pictured=setting.pictured
    )
    return Result(summaries, tuple(tables), write_page(page, setting.out))


def study_points(setting: Setting, *, watch: Watch) -> Result:
    """Run the point benchmark, or what is left of it, and write its report."""
    instances, contestants = field_of(setting)
    rows = rows_of(
        setting,
        instances,
        contestants,
        points.first_points,
        points.play_points,
        points.PointsRow,
        watch=watch,
    )
    page = points.points_page(
        rows, instances, contestants, made_by=setting.made_by, pictured=setting.pictured
    )
    return Result(rows, (points.points_table(rows),), write_page(page, setting.out))


def study_rounds(setting: Setting, *, box: BoxKind, questions: bool, watch: Watch) -> Result:
    """Run the campaign benchmark, or what is left of it, and write its report.

    With `questions`, every design is measured, not the base alone; for the box as mask the base
    is enough, because it heeds no click.
    """
    instances, contestants = field_of(setting)
    names = tuple(DESIGNS) if questions else (BASE,)

    def wanted(contestant: Contestant) -> tuple[str, ...]:
        own = (BASE,) if contestant.name == BOX else names
        return rounds.wanted_designs(own, box=box)

    rows = rows_of(
        setting, instances, contestants, wanted, rounds.play_rounds, rounds.RoundsRow, watch=watch
    )
    summaries = rounds.summarise(rows)
    tables = [rounds_table(summaries)]
    if questions:
        tables += [question_table(summaries, question) for question in QUESTIONS]
    page = rounds_page(
        rows, instances, contestants, made_by=setting.made_by, pictured=setting.pictured
    )
    return Result(summaries, tuple(tables), write_page(page, setting.out))


def field_of(setting: Setting) -> tuple[list[Instance], list[Contestant]]:
    """Return the objects and the models of a setting."""
    left_out = LeftOutCounts()
    instances = open_sets(setting.data, limit=setting.limit, left_out=left_out.add)
    setting.on_opened(left_out)
    return instances, [Contestant.parse(spec, device=setting.device) for spec in setting.models]


def rows_of(
    setting: Setting,
    instances: Sequence[Instance],
    contestants: Sequence[Contestant],
    wanted: Callable[[Contestant], Sequence[str]],
    play: Callable[[Trial], list[R]],
    row_type: type[R],
    *,
    watch: Watch,
) -> list[R]:
    """Return the rows of this setting alone, whatever else its file holds."""
    path = setting.out / "rows.jsonl"
    whole = plan(instances, contestants, wanted, seed=setting.seed)
    done = {row.key for row in read_rows(path, row_type)}
    trials = plan(instances, contestants, wanted, seed=setting.seed, done=done)
    with watch(len(trials)) as on_done:
        run(trials, play, path=path, jobs=setting.jobs, on_done=on_done)
    rows = {row.key: row for row in read_rows(path, row_type)}
    return [rows[trial.key(what)] for trial in whole for what in trial.wanted]


def write_page(page: Page, folder: Path) -> Path:
    """Write a page as `report.html` in a folder, made if it is not there; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "report.html"
    path.write_text(page.to_html(), encoding="utf-8")
    return path
