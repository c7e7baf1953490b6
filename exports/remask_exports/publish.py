"""Publishing a ranking in Label Studio, where the Data Manager sorts and filters by it.

Each task gets the columns of its worst instance (see `rank_columns`), and its prediction the
predicted IoU as score. The Data Manager's score column takes only predictions of the project's
model version: those keep their masks and get another score, and a task without one gets an empty
prediction for the score alone. Publishing again changes only what is different, and undoing brings
data, scores and settings back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, Protocol

import msgspec

from remask_core.errors import InputError, NotFound
from remask_exports.annotations import Found, campaign_instances, decode_task, instances_of
from remask_exports.rank_columns import (
    RANKS_KEY,
    RankedInstance,
    data_with_ranks,
    published_scores,
)
from remask_label_studio.api import ImportedPrediction
from remask_ranking.ranks import Ranks

__all__ = ["MODEL_VERSION", "WORST_FIRST", "Published", "RankBoard", "publish_ranks", "undo_ranks"]

MODEL_VERSION: Final = "remask ranks"
"""Of the empty predictions that hold a score, where the project has no model version of its own."""

WORST_FIRST: Final = "Worst first"
"""Title of the Data Manager's tab that is ordered so."""

_AT_ONCE: Final = 100
_THREADS: Final = 4

_NUMBERS: Final = ("predicted_iou", "rank", "uncertainty", "round")
_HIDDEN: Final = (
    "tasks:inner_id",
    "tasks:annotations_results",
    "tasks:annotations_ids",
    "tasks:predictions_results",
    "tasks:predictions_model_versions",
    "tasks:total_predictions",
    "tasks:cancelled_annotations",
    "tasks:file_upload",
    "tasks:storage_filename",
    "tasks:created_at",
    "tasks:updated_at",
    "tasks:updated_by",
    "tasks:avg_lead_time",
    "tasks:draft_exists",
    "tasks:completed_at",
    "tasks:data.remask",
    f"tasks:data.{RANKS_KEY}",
)


class RankBoard(Protocol):
    """What publishing asks of Label Studio; see `remask_label_studio.client.Connection`."""

    def task_page(
        self, project_id: int, *, page: int, page_size: int
    ) -> tuple[list[dict[str, Any]], int]:
        """Return a page of tasks with annotations and predictions, and how many tasks there are."""

    def model_version(self, project_id: int) -> str:
        """Return the version whose predictions the tasks open with; empty where none is set."""

    def show_model_version(self, project_id: int, model_version: str) -> None:
        """Have the tasks open with the predictions of this version."""

    def change_task_data(self, task_id: int, data: Mapping[str, Any]) -> None:
        """Give a task other data."""

    def change_score(self, prediction_id: int, score: float | None) -> None:
        """Give a prediction another score."""

    def import_predictions(
        self, project_id: int, predictions: Sequence[ImportedPrediction]
    ) -> None:
        """Store predictions and make their model version the one that is shown."""

    def delete_prediction(self, prediction_id: int) -> None:
        """Delete a prediction."""

    def put_tab(self, project_id: int, tab: Mapping[str, Any]) -> None:
        """Give the project's Data Manager a tab; one of the same title is replaced."""

    def delete_tab(self, project_id: int, title: str) -> None:
        """Delete the Data Manager's tabs of this title."""


@dataclass(frozen=True, slots=True)
class Published:
    """What publishing did in a project.

    Attributes:
        project: Label Studio's number.
        tasks: How many the project has.
        ranked: How many of them have ranks now.
        instances: How many ranked instances these hold.
        changed: How many tasks were changed.
    """

    project: int
    tasks: int
    ranked: int
    instances: int
    changed: int


def publish_ranks(
    connection: RankBoard,
    project_id: int,
    ranks: Ranks,
    *,
    states: Mapping[str, tuple[str, int]] | None = None,
    worst_first: bool = False,
    on_page: Callable[[int, int], None] = lambda _done, _total: None,
) -> Published:
    """Write ranks into a project's tasks, where the Data Manager sorts and filters by them.

    An instance that the ranking does not know has no place in it, and a task without any ranked
    instance loses the ranks of an earlier publication. It may be cut off and done again.

    Args:
        connection: To Label Studio.
        project_id: Label Studio's number.
        ranks: By instance, named as exports of the project name them.
        states: Of a campaign: instance to outcome and last round. They go before what the
            annotations say, and are all there is where nobody has answered yet.
        worst_first: Also give the Data Manager a tab that is ordered so, by numbers.
        on_page: Called with the tasks so far and in all.

    Raises:
        NotFound: There is no such project.
        InputError: `ranks` is empty or is of none of the project's instances, or Label Studio
            refuses the change.
        Unavailable: Label Studio does not answer.
    """
    if not ranks:
        raise InputError("`ranks` must hold at least one instance; got none")
    done = _bring(connection, project_id, ranks, states or {}, on_page)
    if not done.instances:
        raise InputError(
            f"`ranks` must be of instances of project {project_id}; it holds none of the "
            f"{len(ranks)}, for example {next(iter(ranks))!r}"
        )
    if not connection.model_version(project_id):
        # An earlier run was cut off after its predictions; Label Studio wants these to be there.
        connection.show_model_version(project_id, MODEL_VERSION)
    if worst_first:
        connection.put_tab(project_id, worst_first_tab())
    return done


def undo_ranks(
    connection: RankBoard,
    project_id: int,
    *,
    on_page: Callable[[int, int], None] = lambda _done, _total: None,
) -> Published:
    """Take published ranks away: data, scores, model version and tab are as they were before.

    A project without ranks stays as it is. Arguments and errors are those of `publish_ranks`.
    """
    done = _bring(connection, project_id, {}, {}, on_page)
    if connection.model_version(project_id) == MODEL_VERSION:
        connection.show_model_version(project_id, "")
    connection.delete_tab(project_id, WORST_FIRST)
    return done


def worst_first_tab() -> dict[str, Any]:
    """Return a tab of the Data Manager that shows the ranks, the worst task first.

    Label Studio compares a task's data as text unless the tab says that they are numbers.
    """
    return {
        "title": WORST_FIRST,
        "type": "list",
        "target": "tasks",
        "ordering": ["-tasks:data.rank"],
        "columnsDisplayType": {f"tasks:data.{name}": "Number" for name in _NUMBERS},
        "hiddenColumns": {"explore": list(_HIDDEN), "labeling": list(_HIDDEN)},
    }


@dataclass(frozen=True, slots=True)
class _Change:
    """A task with the data and the score that it is to have.

    Attributes:
        task: As Label Studio has it.
        data: What its data become.
        score: What its score becomes; None to bring back the one before.
        version: Of the predictions that the score column takes.
    """

    task: dict[str, Any]
    data: dict[str, Any]
    score: float | None
    version: str

    @property
    def is_published(self) -> bool:
        """Whether the task carries ranks, so that an empty prediction may be one of ours."""
        return RANKS_KEY in self.task["data"]

    def own_prediction(self) -> dict[str, Any] | None:
        """Return the empty prediction that publishing has given the task; None without one."""
        known = published_scores(self.task["data"])
        for prediction in self.task["predictions"]:
            is_empty = not prediction["result"] and prediction["id"] not in known
            if (
                self.is_published
                and is_empty
                and prediction["model_version"] in (self.version, MODEL_VERSION)
            ):
                return dict(prediction)
        return None

    def shown(self) -> list[dict[str, Any]]:
        """Return the predictions of the project's version that were not made for a score."""
        own = self.own_prediction()
        return [
            prediction
            for prediction in self.task["predictions"]
            if prediction["model_version"] == self.version
            and (own is None or prediction["id"] != own["id"])
        ]


def _bring(
    connection: RankBoard,
    project_id: int,
    ranks: Ranks,
    states: Mapping[str, tuple[str, int]],
    on_page: Callable[[int, int], None],
) -> Published:
    """Bring the tasks of a project to these ranks; none takes all ranks away."""
    version = connection.model_version(project_id) or MODEL_VERSION
    ranked = instances = changed = seen = total = 0
    with ThreadPoolExecutor(_THREADS) as threads:
        for tasks, total in _pages(connection, project_id):
            changes = []
            for task in tasks:
                known = _ranked_in(task, ranks, states)
                ranked, instances = ranked + bool(known), instances + len(known)
                change = _change(task, known, version)
                if change is not None:
                    changes.append(change)
            changed += _carry_out(connection, project_id, changes, threads)
            seen += len(tasks)
            on_page(seen, total)
    return Published(project_id, total, ranked, instances, changed)


def _pages(connection: RankBoard, project_id: int) -> Iterator[tuple[list[dict[str, Any]], int]]:
    seen = 0
    for number in count(1):
        try:
            tasks, total = connection.task_page(project_id, page=number, page_size=_AT_ONCE)
        except NotFound:
            if number == 1:
                raise
            return
        if tasks:
            yield tasks, total
        seen += len(tasks)
        if seen >= total or not tasks:
            return


def _ranked_in(
    task: Mapping[str, Any], ranks: Ranks, states: Mapping[str, tuple[str, int]]
) -> list[RankedInstance]:
    """Return the instances of a task that the ranking knows."""
    if not ranks:
        return []
    try:
        exported = decode_task(msgspec.json.encode(task))
    except InputError:
        # Exports leave it out and say so.
        return []
    known: dict[str, tuple[str, int | None]] = {
        name: states[name] for name in campaign_instances(exported.data) if name in states
    }
    for found in instances_of(exported, images=None):
        if isinstance(found, Found) and found.name in ranks and found.name not in known:
            known[found.name] = states.get(found.name, (found.outcome, found.round))
    return [
        RankedInstance(name, ranks[name], outcome, number)
        for name, (outcome, number) in known.items()
        if name in ranks
    ]


def _change(task: dict[str, Any], known: list[RankedInstance], version: str) -> _Change | None:
    """Return what is to be done with a task; None if it is as it should be."""
    before = _Change(task, {}, None, version)
    scores = {prediction["id"]: prediction["score"] for prediction in before.shown()}
    data = data_with_ranks(task["data"], known, scores=scores if known else None)
    score = data["predicted_iou"] if known else None
    change = _Change(task, data, score, version)
    return None if data == task["data"] and not _scores_to_change(change) else change


def _scores_to_change(change: _Change) -> bool:
    if change.score is None:
        return change.is_published
    own, shown = change.own_prediction(), change.shown()
    if not shown:
        return own is None or own["score"] != change.score
    return own is not None or any(entry["score"] != change.score for entry in shown)


def _carry_out(
    connection: RankBoard,
    project_id: int,
    changes: Sequence[_Change],
    threads: ThreadPoolExecutor,
) -> int:
    """Change tasks and return how many; what is needed to undo a score is written before it."""
    restored = [change for change in changes if change.score is None]
    # Scores first where they are taken back: the data say which ones they were.
    _all(threads, _restore_scores, [(connection, change) for change in restored])
    _all(
        threads,
        connection.change_task_data,
        [
            (change.task["id"], change.data)
            for change in changes
            if change.data != change.task["data"]
        ],
    )
    wanted = [change for change in changes if change.score is not None]
    _all(threads, _write_scores, [(connection, change) for change in wanted])
    missing = [
        ImportedPrediction(change.task["id"], (), change.score, change.version)
        for change in wanted
        if change.score is not None and not change.shown() and change.own_prediction() is None
    ]
    if missing:
        connection.import_predictions(project_id, missing)
    return len(changes)


def _all(
    threads: ThreadPoolExecutor, call: Callable[..., None], arguments: Sequence[tuple[Any, ...]]
) -> None:
    """Make calls at the same time; the first error is raised after all are done."""
    futures = [threads.submit(call, *given) for given in arguments]
    for future in futures:
        future.result()


def _write_scores(connection: RankBoard, change: _Change) -> None:
    own, shown = change.own_prediction(), change.shown()
    if own is not None and shown:
        connection.delete_prediction(own["id"])
    for prediction in shown or ([] if own is None else [own]):
        if prediction["score"] != change.score:
            connection.change_score(prediction["id"], change.score)


def _restore_scores(connection: RankBoard, change: _Change) -> None:
    own = change.own_prediction()
    if own is not None:
        connection.delete_prediction(own["id"])
    before = published_scores(change.task["data"])
    for prediction in change.task["predictions"]:
        number = prediction["id"]
        if number in before and prediction["score"] != before[number]:
            connection.change_score(number, before[number])
