"""The record of an answer, for the request log and the click log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["AnswerOutcome", "AnswerRecord", "PromptRecord"]

AnswerOutcome: TypeAlias = Literal["answered", "kept_previous", "empty", "failed"]


@dataclass(frozen=True, slots=True)
class PromptRecord:
    """One prompt of an object's history.

    Attributes:
        id: The region's id in Label Studio, unique per click.
        n: Place in the object's history, from 0.
        step: Number of the step it belongs to.
        arrived: When it first arrived, Unix seconds.
        fresh: Whether this request is the first to bring it.
        click_xy: Column and row of a click in pixels; None for a box.
        positive: A click's sign as it was used; None for a box.
        sign_known: False where the editor had lost the sign and the click was taken as positive.
        box_xyxy: A box in pixels; None for a click.
    """

    id: str
    n: int
    step: int
    arrived: float
    fresh: bool
    click_xy: tuple[float, float] | None = None
    positive: bool | None = None
    sign_known: bool = True
    box_xyxy: tuple[float, float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """What became of one object's prompts in one request.

    Attributes:
        answer_id: Unique per record.
        time: When the request arrived, server time, Unix seconds.
        project: The project's number as Label Studio sends it.
        task: The task's number.
        item_index: Which image of a task with several.
        labels: The object's labels.
        region: The mask's region id; None when no object was found for the prompts.
        prompts: The object's history in order, this request's prompts last.
        lane: `click`, `opened` or `batch`.
        outcome: `answered`; `kept_previous`: it failed and the annotator keeps the mask there was;
            `empty`: nothing was asked, or nothing that can be answered; `failed`: there is no mask.
        model_version: Of the answer.
        score: The model's own IoU estimate.
        latency_ms: From the arrival of the request to the answer.
        model_ms: That the model worked; 0 when the answer was remembered.
        error: Code of the error that spoiled the answer.
        detail: Its message.
    """

    answer_id: str
    time: float
    project: str | None
    task: int | None
    item_index: int | None
    labels: tuple[str, ...]
    region: str | None
    prompts: tuple[PromptRecord, ...]
    lane: str
    outcome: AnswerOutcome
    model_version: str | None = None
    score: float | None = None
    latency_ms: float = 0.0
    model_ms: float = 0.0
    error: str | None = None
    detail: str = ""
