"""What stands around a click in its task: the annotator's own draft, and predicted masks.

A request brings the prompts that are on the screen, but no mask and no class of one. The draft
says what the annotator made of them: a mask that was given another class, or deleted, or made
read-only. Label Studio saves it up to five seconds after a change, so a change is seen late, but
never wrongly: a draft that is older than a prompt does not hold that prompt either.

A draft belongs to the annotator who asks. Annotations are everybody's, and nothing says which of
them is on the screen; they are read only for masks whose prompts the request itself brings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from remask_core.errors import InputError, NotFound, RemaskError
from remask_label_config.bodies import ResultHolder, Task, result_holders
from remask_label_config.labelling_config import STATE, ImageControls
from remask_label_config.prompts import Mark, PriorRef, Sign, marks_of
from remask_label_config.region_masks import has_mask, ls_rle_of_region
from remask_label_config.regions import Region
from remask_service.predict.object_history import Prior

__all__ = ["MaskState", "PriorLost", "TaskContext", "prior_digest"]


class PriorLost(NotFound):
    """The predicted mask that an object was built on is gone from the task, or changed."""

    code = "prior-lost"


@dataclass(frozen=True, slots=True)
class MaskState:
    """What an annotator made of a mask.

    Attributes:
        labels: Its class; empty where nothing that was saved holds it.
        deleted: Whether it was deleted and its prompts were left behind.
        readonly: Whether nobody may change it.
    """

    labels: tuple[str, ...] = ()
    deleted: bool = False
    readonly: bool = False


def prior_digest(ls_rle: bytes) -> str:
    """Return how a `PriorRef` names a mask."""
    return sha256(ls_rle).hexdigest()[:16]


class TaskContext:
    """A task's drafts and predictions, each looked into when first needed and once."""

    def __init__(self, task: Task, controls: ImageControls, *, shape_hw: tuple[int, int]) -> None:
        self._task = task
        self._controls = controls
        self._shape_hw = shape_hw

    def sign_of(self, mark: Mark) -> Sign:
        """Return a click's sign, if the region or a draft still tells it.

        Reloading the page takes the sign from a prompt that was not answered yet; the draft saved
        before keeps it.
        """
        if mark.sign is not Sign.UNKNOWN:
            return mark.sign
        return self._draft_signs.get(mark.id, Sign.UNKNOWN)

    def mask_state(self, rid: str) -> MaskState:
        """Return what became of the mask `rid`, by the draft or else the annotation that knows it.

        A draft that holds a mask's prompts was saved with the mask on the screen. If it lacks the
        mask, that was deleted, whatever prompts the editor still sends.
        """
        found = self._draft_states.get(rid)
        if found is None:
            found = self._annotation_states.get(rid)
        return found or MaskState()

    def is_orphan(self, mark: Mark) -> bool:
        """Whether a carried prompt has lost its mask because the annotator deleted that."""
        assert mark.echo.rid is not None
        if self.mask_state(mark.echo.rid).deleted:
            return True
        if mark.region.parent_id or self._draft_ids is None:
            return False
        return mark.echo.rid not in self._draft_ids

    def drafted_marks(self, item_index: int | None) -> list[Mark]:
        """Return the clicks and boxes of the newest draft, on one image of the task."""
        if not self._drafts:
            return []
        regions = (
            region
            for region in self._drafts[0].result
            if region.to_name == self._controls.image.name
            and (region.item_index or 0) == (item_index or 0)
        )
        return _readable_marks(regions)

    def drafted_mask(self, rid: str, readings: Mapping[str, int]) -> bytes | None:
        """Return the mask `rid` of the newest draft as brush RLE, if these prompts made it.

        None where the draft holds other prompts of that mask, and so an earlier or later one.

        Args:
            rid: The mask's region id.
            readings: The reading of each of its prompts, by the prompt's id.
        """
        region = self._draft_masks.get(rid)
        if region is None or self._draft_readings.get(rid) != readings:
            return None
        try:
            return ls_rle_of_region(region, shape_hw=self._shape_hw)
        except RemaskError:
            return None

    @property
    def drafted_notice(self) -> str | None:
        """The sentence that the draft shows on the page; None where it shows none."""
        for draft in self._drafts[:1]:
            for region in draft.result:
                if region.from_name == STATE and region.value.choices:
                    return region.value.choices[0]
        return None

    def predicted(
        self, labels: tuple[str, ...], item_index: int | None
    ) -> list[tuple[str, tuple[str, ...], Prior]]:
        """Return the predicted masks that a click may take over: region id, class and mask.

        Of several predictions the one that the draft shows to be on the screen, else the newest.
        A mask that the draft no longer holds was deleted; one that it holds is of the class there.

        Args:
            labels: Of the click; none at all: masks of any class.
            item_index: Which image of a task with several.
        """
        masks = self._prediction_masks
        if self._draft_ids is not None:
            shown = self._draft_ids
            masks = [(holder, region) for holder, region in masks if region.id in shown]
        if not masks:
            return []
        newest = max(_age(holder) for holder, _ in masks)
        found: list[tuple[str, tuple[str, ...], Prior]] = []
        for holder, region in masks:
            state = self.mask_state(region.id)
            named = state.labels or _labels_of(region, holder.result)
            alike = (
                _age(holder) == newest
                and (region.item_index or 0) == (item_index or 0)
                and (not labels or set(named) == set(labels))
                and not (state.readonly or region.readonly)
            )
            if alike and holder.id is not None:
                try:
                    ls_rle = ls_rle_of_region(region, shape_hw=self._shape_hw)
                except InputError:
                    # An import that the editor cannot draw either; no click can be meant for it.
                    continue
                digest = prior_digest(ls_rle)
                ref = PriorRef(prediction=holder.id, region=region.id, digest=digest)
                found.append((region.id, named, Prior(ref=ref, ls_rle=ls_rle)))
        return found

    def prior(self, ref: PriorRef) -> Prior:
        """Return the mask that `ref` names.

        Raises:
            PriorLost: It is gone, or is no longer the one that was built upon.
        """
        for holder, region in self._prediction_masks:
            if holder.id == ref.prediction and region.id == ref.region:
                try:
                    ls_rle = ls_rle_of_region(region, shape_hw=self._shape_hw)
                except RemaskError:
                    break
                if prior_digest(ls_rle) == ref.digest:
                    return Prior(ref=ref, ls_rle=ls_rle)
        raise PriorLost(
            f"region `{ref.region}` of prediction {ref.prediction} must still hold the mask "
            "that the object was built on; it is gone or was changed"
        )

    @cached_property
    def predicted_ids(self) -> frozenset[str]:
        """Ids of all regions that came with predictions."""
        holders = result_holders(self._task.predictions)
        return frozenset(region.id for holder in holders for region in holder.result)

    @cached_property
    def annotated_ids(self) -> frozenset[str]:
        """Ids of all regions of submitted annotations."""
        holders = result_holders(self._task.annotations)
        return frozenset(region.id for holder in holders for region in holder.result)

    def in_draft(self, region_id: str) -> bool:
        """Whether the annotator's newest draft holds the region."""
        return self._draft_ids is not None and region_id in self._draft_ids

    @cached_property
    def _drafts(self) -> list[ResultHolder]:
        drafts = result_holders(self._task.drafts)
        return sorted(drafts, key=lambda draft: draft.updated_at or "", reverse=True)

    @cached_property
    def _draft_ids(self) -> frozenset[str] | None:
        if not self._drafts:
            return None
        return frozenset(region.id for region in self._drafts[0].result)

    @cached_property
    def _draft_masks(self) -> dict[str, Region]:
        regions = self._drafts[0].result if self._drafts else ()
        return {region.id: region for region in regions if has_mask(region)}

    @cached_property
    def _draft_readings(self) -> dict[str, dict[str, int]]:
        readings: dict[str, dict[str, int]] = {}
        for mark in _readable_marks(self._drafts[0].result if self._drafts else ()):
            if mark.echo.rid is not None:
                readings.setdefault(mark.echo.rid, {})[mark.id] = mark.echo.reading
        return readings

    @cached_property
    def _draft_signs(self) -> dict[str, Sign]:
        signs: dict[str, Sign] = {}
        for draft in self._drafts:
            for region in draft.result:
                if region.is_positive is not None:
                    signs.setdefault(region.id, Sign(bool(region.is_positive)))
        return signs

    @cached_property
    def _prediction_masks(self) -> list[tuple[ResultHolder, Region]]:
        name = self._controls.image.name
        return [
            (holder, region)
            for holder in result_holders(self._task.predictions)
            for region in holder.result
            if region.to_name == name and has_mask(region)
        ]

    @cached_property
    def _draft_states(self) -> dict[str, MaskState]:
        return _states(self._drafts)

    @cached_property
    def _annotation_states(self) -> dict[str, MaskState]:
        holders = result_holders(self._task.annotations)
        stored = [holder for holder in holders if not holder.was_cancelled]
        return _states(sorted(stored, key=lambda holder: holder.updated_at or "", reverse=True))


def _states(holders: Iterable[ResultHolder]) -> dict[str, MaskState]:
    """Return the state of each mask by its id; the first of `holders` that knows it decides."""
    states: dict[str, MaskState] = {}
    for holder in holders:
        here: dict[str, MaskState] = {}
        for region in holder.result:
            rid = (region.meta or {}).get("rid")
            if isinstance(rid, str):
                here.setdefault(rid, MaskState(deleted=True))
        for region in holder.result:
            if has_mask(region) and not here.get(region.id, MaskState()).labels:
                labels = _labels_of(region, holder.result)
                here[region.id] = MaskState(labels=labels, readonly=bool(region.readonly))
        states = {**here, **states}
    return states


def _labels_of(region: Region, result: Iterable[Region]) -> tuple[str, ...]:
    """Return the class of a mask; a plain <Brush> keeps it in a second entry of the same id."""
    if region.labels:
        return region.labels
    return next((other.labels for other in result if other.id == region.id and other.labels), ())


def _readable_marks(regions: Iterable[Region]) -> list[Mark]:
    by_id: dict[str, list[Region]] = {}
    for region in regions:
        by_id.setdefault(region.id, []).append(region)
    marks: list[Mark] = []
    for same in by_id.values():
        try:
            marks += marks_of(same)
        except InputError:
            # A region that somebody imported; no prompt of ours.
            continue
    return marks


def _age(holder: ResultHolder) -> tuple[int, str]:
    return (holder.id, "") if isinstance(holder.id, int) else (-1, holder.id or "")
