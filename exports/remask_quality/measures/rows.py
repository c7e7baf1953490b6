"""The rows that a report is written from: one for each instance, visit and click, no masks."""

from __future__ import annotations

from dataclasses import dataclass

from remask_campaigns.drift import Drift
from remask_masks.error_kinds import MaskError
from remask_storage.campaign import Campaign, InstanceOutcome, Round, VisitOutcome

__all__ = ["Aim", "InstanceRow", "NoiseRow", "Quality", "Twice", "VisitRow"]


@dataclass(frozen=True, slots=True)
class Aim:
    """What a click was meant for.

    Attributes:
        positive: Its sign.
        error: Number of the error region that it lies on, 0 the largest; None if it lies on none.
        area_px: Of that region; 0 if there is none.
    """

    positive: bool
    error: int | None
    area_px: int


@dataclass(frozen=True, slots=True)
class VisitRow:
    """One visit that counts.

    Attributes:
        instance: `CampaignInstance.id`.
        label: Its class.
        round: From 1.
        annotator: Label Studio's user id; None if unknown.
        outcome: What the annotator did.
        seconds: Spent on this instance; None if unknown.
        aims: What the clicks were meant for, in order; empty before the round has its masks.
        n_clicks: How many clicks were given.
        error_areas_px: Of the regions that could have been clicked, largest first.
        by_truth: Whether errors were found by the truth; otherwise they are what the new mask
            changed.
        iou_before: Of the mask that was shown; None without truth.
        iou_after: Of the mask after the round; None without truth or mask.
        kept: IoU of the masks before and after, low where the visit changed much; None before the
            round has its masks.
    """

    instance: str
    label: str
    round: int
    annotator: int | None
    outcome: VisitOutcome
    seconds: float | None
    n_clicks: int
    aims: tuple[Aim, ...] = ()
    error_areas_px: tuple[int, ...] = ()
    by_truth: bool = False
    iou_before: float | None = None
    iou_after: float | None = None
    kept: float | None = None


@dataclass(frozen=True, slots=True)
class InstanceRow:
    """One instance of the campaign.

    Attributes:
        id: `CampaignInstance.id`.
        image: Address of its image.
        label: Its class.
        outcome: Where it stands.
        due: Rounds that it belongs to, whether visited or not.
        last_round: The last round it was visited in; 0 before the first.
        annotator: Who made the last visit; None if unknown.
        n_clicks: In all rounds.
        seconds: After rounds 0, 1, ...: spent on it so far; None from the first visit of unknown
            length on.
        ious: After rounds 0, 1, ...: IoU of its mask with the truth. An instance that has left
            keeps its mask. Ends with the last round whose mask is known; empty without truth or
            mask.
        settled: As `ious`, but with the last mask in place of the truth.
        score: The model's own estimate for the last mask; None if painted or without mask.
        predicted_iou: By the ranking model; None if not ranked.
        has_mask: Whether there is a mask that would be delivered.
        true_label: What it really is, by its truth; None where nobody has said.
    """

    id: str
    image: str
    label: str
    outcome: InstanceOutcome
    due: tuple[int, ...]
    last_round: int
    annotator: int | None
    n_clicks: int
    seconds: tuple[float | None, ...]
    ious: tuple[float, ...]
    settled: tuple[float, ...]
    score: float | None
    predicted_iou: float | None
    has_mask: bool
    true_label: str | None = None

    @property
    def true_iou(self) -> float | None:
        """IoU of the mask that would be delivered; None without truth, or if there is no mask."""
        return self.ious[-1] if self.ious and self.has_mask else None

    @property
    def is_done(self) -> bool:
        """Whether no further visit is owed."""
        return self.outcome != "open"


@dataclass(frozen=True, slots=True)
class NoiseRow:
    """What is wrong with an instance's masks, by a reference.

    Attributes:
        instance: `CampaignInstance.id`.
        label: Its class.
        first: Error of the mask from the box alone.
        last: Error of the mask that would be delivered; None where that is the reference.
    """

    instance: str
    label: str
    first: MaskError
    last: MaskError | None


@dataclass(frozen=True, slots=True)
class Twice:
    """Two annotators on one instance in one round, or two who painted a reference of it.

    Attributes:
        instance: `CampaignInstance.id`.
        annotators: Label Studio's user ids, the lower one first.
        same_outcome: Whether they said the same of it: clicks, good, no mask, or painted. None for
            two reference masks.
        error: How the second one's mask differs from the first one's, if both painted.
    """

    instance: str
    annotators: tuple[int, int]
    same_outcome: bool | None
    error: MaskError | None


@dataclass(frozen=True, slots=True)
class Quality:
    """All that a report is written from; no masks, so of modest size for any campaign.

    Attributes:
        campaign: What it is.
        rounds: Its rounds so far.
        people: Name and verdict of each annotator.
        drifts: Whose work on gold has become worse.
        by_hand: Annotators whose verdict a manager has given, and not the test.
        instances: In the campaign's order.
        visits: Those that count, by instance and round.
        noise: Of a sample of the instances, by truth where any is known.
        noise_by_truth: Whether `noise` is by truth; otherwise the last mask is the reference.
        twice: What two annotators said of one instance in one round, each pair of them once.
    """

    campaign: Campaign
    rounds: tuple[Round, ...]
    people: dict[int, tuple[str, bool | None]]
    instances: tuple[InstanceRow, ...]
    visits: tuple[VisitRow, ...]
    noise: tuple[NoiseRow, ...]
    noise_by_truth: bool
    twice: tuple[Twice, ...]
    by_hand: frozenset[int] = frozenset()
    drifts: tuple[Drift, ...] = ()

    def name_of(self, annotator: int | None) -> str:
        """Return how an annotator is called."""
        if annotator is None:
            return "unknown"
        return self.people.get(annotator, ("", None))[0] or f"user {annotator}"
