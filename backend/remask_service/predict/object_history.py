"""Objects as their histories: what was prompted, in which order, and on top of which mask.

A history is rebuilt from every request, from the prompts that earlier answers carried back; it is
never remembered here (docs/decisions/0050-the-annotation-carries-the-history.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from remask_core.history import Step
from remask_core.types import Box
from remask_label_config.prompts import Echo, Mark, PriorRef
from remask_service.predict.records import PromptRecord

__all__ = ["ObjectHistory", "Prior", "Prompted", "echoed_histories"]


@dataclass(frozen=True, slots=True)
class Prompted:
    """A mark in its place in a history; see `PromptRecord` and `Echo` for the words."""

    mark: Mark
    n: int
    step: int
    arrived: float
    positive: bool = True
    sign_known: bool = True
    fresh: bool = False
    reading: int = 0

    def record(self, shape_hw: tuple[int, int] | None) -> PromptRecord:
        """Return what the logs keep; without a shape, without the place."""
        click_xy = box_xyxy = None
        is_box = self.mark.box is not None
        if shape_hw is not None and self.mark.box is not None:
            box = self.mark.box.to_box(shape_hw)
            box_xyxy = (box.x0, box.y0, box.x1, box.y1)
        elif shape_hw is not None:
            click = self.mark.to_click(shape_hw, positive=self.positive)
            click_xy = (click.x, click.y)
        return PromptRecord(
            id=self.mark.id,
            n=self.n,
            step=self.step,
            arrived=self.arrived,
            fresh=self.fresh,
            click_xy=click_xy,
            positive=None if is_box else self.positive,
            sign_known=self.sign_known,
            box_xyxy=box_xyxy,
        )


@dataclass(frozen=True, slots=True)
class Prior:
    """The mask that an object had before its first prompt, and where it is to be found again."""

    ref: PriorRef
    ls_rle: bytes


@dataclass(frozen=True, slots=True)
class ObjectHistory:
    """An object: its region id and everything that was ever prompted for it, oldest first."""

    rid: str
    prompts: tuple[Prompted, ...] = ()
    prior: Prior | None = None

    @property
    def touched(self) -> float:
        """When the last prompt arrived; 0 when there is none."""
        return max((prompt.arrived for prompt in self.prompts), default=0.0)

    def box(self, shape_hw: tuple[int, int]) -> Box | None:
        """Return the box that holds for the object, the last one given, in pixels."""
        boxes = [prompt.mark.box for prompt in self.prompts if prompt.mark.box is not None]
        return boxes[-1].to_box(shape_hw) if boxes else None

    def grown(self, prompts: Iterable[Prompted]) -> ObjectHistory:
        """Return the history with `prompts` added at its end, each as a step of its own."""
        n = max((prompt.n for prompt in self.prompts), default=-1)
        step = max((prompt.step for prompt in self.prompts), default=-1)
        added = tuple(
            replace(prompt, n=n + place, step=step + place)
            for place, prompt in enumerate(prompts, start=1)
        )
        return replace(self, prompts=self.prompts + added)

    def repeats_last(self, prompt: Prompted, shape_hw: tuple[int, int]) -> bool:
        """Whether a click is given on the dot of the last prompt, with the same sign."""
        if not self.prompts or prompt.mark.box is not None:
            return False
        last = self.prompts[-1]
        is_alike = prompt.positive if last.mark.box else prompt.positive is last.positive
        return is_alike and prompt.mark.is_at(last.mark, shape_hw)

    def reread(self) -> ObjectHistory:
        """Return the history with the model's next candidate taken for its last prompt."""
        *earlier, last = self.prompts
        return replace(self, prompts=(*earlier, replace(last, reading=last.reading + 1)))

    def read_before(self) -> ObjectHistory:
        """Return the history as it was before `reread`."""
        *earlier, last = self.prompts
        return replace(self, prompts=(*earlier, replace(last, reading=last.reading - 1)))

    def shortened(self) -> ObjectHistory:
        """Return the history as it was before its last prompt."""
        return replace(self, prompts=self.prompts[:-1])

    def steps(self, shape_hw: tuple[int, int]) -> tuple[Step, ...]:
        """Return the steps to replay; empty when there is nothing yet to make a mask from.

        An object cannot begin with a negative click alone: such clicks wait for the first step
        that says where the object is, unless it had a mask before.
        """
        steps: list[Step] = []
        begun = self.prior is not None
        for _, together in groupby(self.prompts, key=lambda prompt: prompt.step):
            step = _step(list(together), shape_hw)
            begins = step.box is not None or any(click.positive for click in step.clicks)
            if not begun and steps:
                step = replace(step, clicks=steps.pop().clicks + step.clicks)
            steps.append(step)
            begun = begun or begins
        return tuple(steps) if begun else ()

    def echo(self, prompt: Prompted) -> Echo:
        """Return what the answer writes into the prompt's `meta`."""
        is_box = prompt.mark.box is not None
        return Echo(
            rid=self.rid,
            n=prompt.n,
            pos=None if is_box else prompt.positive,
            t=round(prompt.arrived, 3),
            step=prompt.step,
            box=prompt.mark.box,
            prior=None if self.prior is None else self.prior.ref,
            sign=None if prompt.sign_known else "unknown",
            reading=prompt.reading,
        )


def echoed_histories(
    marks: Sequence[Mark],
    *,
    prompted: Callable[[Mark], Prompted],
    prior_of: Callable[[PriorRef], Prior],
) -> list[ObjectHistory]:
    """Return the objects whose prompts earlier answers carried, in the order of their first.

    Args:
        marks: Those with an echo.
        prompted: Gives a mark its sign and time; place and step are set here.
        prior_of: Finds the mask that an object had before its first prompt.
    """
    groups: dict[str, list[tuple[int, Mark]]] = {}
    for order, mark in enumerate(marks):
        if mark.echo.rid is not None:
            groups.setdefault(mark.echo.rid, []).append((order, mark))
    histories: list[ObjectHistory] = []
    for rid, group in groups.items():
        placed: list[Prompted] = []
        for order, mark in group:
            n = order if mark.echo.n is None else mark.echo.n
            step = n if mark.echo.step is None else mark.echo.step
            placed.append(replace(prompted(mark), n=n, step=step, reading=mark.echo.reading))
        placed.sort(key=lambda prompt: (prompt.step, prompt.n))
        refs = [mark.echo.prior for _, mark in group if mark.echo.prior is not None]
        prior = prior_of(refs[0]) if refs else None
        histories.append(ObjectHistory(rid=rid, prompts=tuple(placed), prior=prior))
    return histories


def _step(prompts: Sequence[Prompted], shape_hw: tuple[int, int]) -> Step:
    boxes = [prompt.mark.box for prompt in prompts if prompt.mark.box is not None]
    clicks = tuple(
        prompt.mark.to_click(shape_hw, positive=prompt.positive)
        for prompt in prompts
        if prompt.mark.box is None
    )
    box = boxes[-1].to_box(shape_hw) if boxes else None
    return Step(clicks=clicks, box=box, reading=prompts[-1].reading)
