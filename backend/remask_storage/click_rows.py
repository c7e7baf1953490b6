"""The rows of the click log: prompts, what became of annotations, and how both are stored.

Everything may arrive twice: the second time changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from sqlalchemy import Connection, and_, delete, insert, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from remask_storage.click_tables import annotation_table, prompt_table, region_table
from remask_storage.database import Database

__all__ = [
    "AnnotationEvent",
    "JoinedPrompt",
    "PromptRow",
    "joined_prompts",
    "store_annotation",
    "store_prompts",
]


@dataclass(frozen=True, slots=True)
class PromptRow:
    """One prompt, as it was when it first arrived, and the answer that it got.

    Attributes:
        project: Label Studio's project id; empty when it sent none.
        task: Label Studio's task id; 0 when it sent none.
        prompt_id: The region id of the prompt: the same for as long as the prompt exists.
        kind: `click` or `box`.
        positive: The click's sign; None for a box, or a click whose sign was lost.
        x: Column of the click, or left edge of the box, in pixels.
        y: Row of the click, or upper edge of the box, in pixels.
        x1: Right edge of a box.
        y1: Lower edge of a box.
        label: The class the prompt was drawn with.
        item_index: Which image of a task with several.
        position: Place of the prompt in its object's history, from 0.
        step: Number of the step it belongs to; prompts of one step were answered together.
        lane: Who waited: `click`, `opened` or `batch`.
        arrived_at: Unix time in seconds, the server's clock.
        region_id: The mask that the prompt made or mended; None if it was not answered.
        outcome: `answered`, `kept_previous`, `empty` or `failed`.
        error_code: Why it was not answered.
        model_version: Model and weights that answered.
        score: The model's own IoU estimate of the mask after this prompt.
        latency_ms: From the request's arrival to its answer.
        model_ms: The part of it in which the model worked.
    """

    project: str
    task: int
    prompt_id: str
    kind: Literal["click", "box"]
    positive: bool | None
    x: float | None
    y: float | None
    x1: float | None
    y1: float | None
    label: str | None
    item_index: int | None
    position: int
    step: int
    lane: str
    arrived_at: float
    region_id: str | None
    outcome: str
    error_code: str | None
    model_version: str | None
    score: float | None
    latency_ms: float
    model_ms: float | None


@dataclass(frozen=True, slots=True)
class AnnotationEvent:
    """What became of an annotation, as one webhook tells it.

    Attributes:
        annotation_id: Label Studio's id.
        project: Project id; None when the event does not say (deletion).
        task: Task id; None likewise.
        outcome: `submitted`, `skipped` or `deleted`.
        completed_by: Label Studio's id of the annotator.
        lead_time_s: Seconds of work by the browser's clock.
        updated_at: Unix time by Label Studio's clock; an older event never undoes a newer one.
        received_at: Unix time by ours.
        regions: (region id, Label Studio's type) of everything in the annotation; masks and
            echoed prompts alike, they are what joins an annotation to its clicks.
    """

    annotation_id: int
    project: str | None
    task: int | None
    outcome: Literal["submitted", "skipped", "deleted"]
    completed_by: int | None
    lead_time_s: float | None
    updated_at: float
    received_at: float
    regions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class JoinedPrompt:
    """A prompt with the annotation that it ended up in, if it did."""

    prompt: PromptRow
    annotation_id: int | None
    annotation_outcome: str | None
    completed_by: int | None
    lead_time_s: float | None


def joined_prompts(database: Database, *, project: str | None = None) -> Iterator[JoinedPrompt]:
    """Yield the stored prompts in order of arrival, each with its annotation; flat in memory.

    A prompt belongs to an annotation that holds the prompt itself (echoed) or the mask it
    led to. If several do, the one that was updated last is given.
    """
    belongs = or_(
        region_table.c.region_id == prompt_table.c.prompt_id,
        region_table.c.region_id == prompt_table.c.region_id,
    )
    latest = (
        select(annotation_table.c.annotation_id)
        .join(
            region_table,
            region_table.c.annotation_id == annotation_table.c.annotation_id,
        )
        .where(belongs, annotation_table.c.task == prompt_table.c.task)
        .order_by(annotation_table.c.updated_at.desc(), annotation_table.c.annotation_id.desc())
        .limit(1)
        .correlate(prompt_table)
        .scalar_subquery()
    )
    query = (
        select(
            prompt_table,
            annotation_table.c.annotation_id,
            annotation_table.c.outcome.label("annotation_outcome"),
            annotation_table.c.completed_by,
            annotation_table.c.lead_time_s,
        )
        .select_from(prompt_table)
        .outerjoin(annotation_table, annotation_table.c.annotation_id == latest)
        .order_by(prompt_table.c.arrived_at, prompt_table.c.position)
    )
    if project is not None:
        query = query.where(prompt_table.c.project == project)
    names = [column.name for column in prompt_table.columns]
    with database.reading() as connection:
        for row in connection.execution_options(yield_per=500).execute(query).mappings():
            yield JoinedPrompt(
                prompt=PromptRow(**{name: row[name] for name in names}),
                annotation_id=row["annotation_id"],
                annotation_outcome=row["annotation_outcome"],
                completed_by=row["completed_by"],
                lead_time_s=row["lead_time_s"],
            )


def store_prompts(connection: Connection, prompts: Sequence[PromptRow]) -> None:
    """Insert the prompts; one that is known changes only if it is answered at last.

    They are stored in the order of their keys: two hosts that store the same ones, each in an order
    of its own, would wait for each other.
    """
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(prompt_table)
    answer = ("region_id", "outcome", "error_code", "model_version", "score", "model_ms")
    ordered = sorted(prompts, key=lambda row: (row.project, row.task, row.prompt_id))
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["project", "task", "prompt_id"],
            set_={name: statement.excluded[name] for name in answer},
            where=and_(
                prompt_table.c.outcome != "answered", statement.excluded.outcome == "answered"
            ),
        ),
        [asdict(prompt) for prompt in ordered],
    )


def store_annotation(connection: Connection, event: AnnotationEvent) -> None:
    """Store what an event says of an annotation; an older one never undoes a newer one.

    Two events of one annotation may arrive at two hosts at once, so one statement decides.
    """
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    fields = {name: value for name, value in asdict(event).items() if name != "regions"}
    statement = dialect.insert(annotation_table).values(**fields)
    # A deletion names only the id: what was known of the annotation stays.
    is_deletion = event.outcome == "deleted"
    changed = ("outcome", "received_at") if is_deletion else tuple(fields)
    is_news = and_(
        annotation_table.c.outcome != "deleted",
        annotation_table.c.updated_at <= statement.excluded.updated_at,
    )
    stored = connection.execute(
        statement.on_conflict_do_update(
            index_elements=["annotation_id"],
            set_={name: statement.excluded[name] for name in changed},
            where=None if is_deletion else is_news,
        ).returning(annotation_table.c.annotation_id)
    ).first()
    if stored is None or is_deletion:
        return
    here = region_table.c.annotation_id == event.annotation_id
    connection.execute(delete(region_table).where(here))
    rows = [
        {"annotation_id": event.annotation_id, "region_id": region_id, "kind": kind}
        for region_id, kind in dict(event.regions).items()
    ]
    if rows:
        connection.execute(insert(region_table), rows)
