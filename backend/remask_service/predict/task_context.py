"""What stands around a click in its task: predicted masks, and the annotator's own draft.

Annotations are never read for masks: they are everybody's, and which of them is on the screen is
not told. A draft belongs to the annotator who asks.
"""

from __future__ import annotations

from functools import cached_property
from hashlib import sha256

from remask_core.errors import InputError, NotFound, RemaskError
from remask_label_config.bodies import ResultHolder, Task, result_holders
from remask_label_config.labelling_config import ImageControls
from remask_label_config.prompts import Mark, PriorRef, Sign
from remask_label_config.region_masks import has_mask, ls_rle_of_region
from remask_label_config.regions import Region
from remask_service.predict.object_history import Prior

__all__ = ["PriorLost", "TaskContext", "prior_digest"]


class PriorLost(NotFound):
    """The predicted mask that an object was built on is gone from the task, or changed."""

    code = "prior-lost"


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

    def is_orphan(self, mark: Mark) -> bool:
        """Whether a carried prompt has lost its mask because the annotator deleted that.

        The editor then moves the prompt out from under the mask.
        """
        if mark.region.parent_id or self._draft_ids is None:
            return False
        return mark.echo.rid not in self._draft_ids

    def predicted(self, labels: tuple[str, ...], item_index: int | None) -> list[tuple[str, Prior]]:
        """Return the predicted masks that a click with `labels` may take over, by region id.

        Of several predictions the one that the draft shows to be on the screen, else the newest.
        A mask that the draft no longer holds was deleted.
        """
        masks = self._prediction_masks
        if self._draft_ids is not None:
            shown = self._draft_ids
            masks = [(holder, region) for holder, region in masks if region.id in shown]
        if not masks:
            return []
        newest = max(_age(holder) for holder, _ in masks)
        found: list[tuple[str, Prior]] = []
        for holder, region in masks:
            alike = (
                _age(holder) == newest
                and (region.item_index or 0) == (item_index or 0)
                and set(self._labels_of(holder, region)) == set(labels)
            )
            if alike and holder.id is not None:
                try:
                    ls_rle = ls_rle_of_region(region, shape_hw=self._shape_hw)
                except InputError:
                    # An import that the editor cannot draw either; no click can be meant for it.
                    continue
                digest = prior_digest(ls_rle)
                ref = PriorRef(prediction=holder.id, region=region.id, digest=digest)
                found.append((region.id, Prior(ref=ref, ls_rle=ls_rle)))
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

    def _labels_of(self, holder: ResultHolder, region: Region) -> tuple[str, ...]:
        if region.labels:
            return region.labels
        # A plain <Brush> keeps its labels in a second entry of the same id.
        return next((one.labels for one in holder.result if one.id == region.id and one.labels), ())


def _age(holder: ResultHolder) -> tuple[int, str]:
    return (holder.id, "") if isinstance(holder.id, int) else (-1, holder.id or "")
