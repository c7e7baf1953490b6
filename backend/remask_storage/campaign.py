"""The nouns of a campaign: instances that go from round to round, visits, clicks and masks.

A campaign takes boxes to masks as Benenson et al. (2019, section 4) did: the model draws a mask
for each box, annotators give a few corrective clicks or none, the masks are computed anew from the
box and all clicks so far, and what was corrected goes on to the next round.

Label Studio owns tasks and annotations. Everything here but the masks can be read from it again,
and the masks follow from the clicks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2s
from typing import Literal, TypeAlias

from remask_core.errors import InputError
from remask_core.history import Step
from remask_core.types import Box, Click

__all__ = [
    "Campaign",
    "CampaignInstance",
    "CampaignMode",
    "InstanceOutcome",
    "Mask",
    "PlacedClick",
    "Qualification",
    "Round",
    "RoundState",
    "Truth",
    "Visit",
    "VisitOutcome",
    "Whole",
    "classes_of",
    "instance_id",
    "outcome_of",
    "standing_visits",
    "steps_of",
]

CampaignMode: TypeAlias = Literal["batch", "live"]
"""`batch`: masks are computed when a round closes. `live`: each click is answered at once."""

RoundState: TypeAlias = Literal["opening", "open", "closed"]

VisitOutcome: TypeAlias = Literal["corrected", "accepted", "skipped", "painted"]
"""What an annotator did with an instance: gave clicks, gave none because the mask is good, said
that no mask should be made, or painted the mask by hand."""

InstanceOutcome: TypeAlias = Literal["open", "corrected", "accepted", "skipped", "painted"]
"""Where an instance stands: `open` while it is owed a visit, `corrected` after clicks in the last
round, otherwise how it left the campaign."""


@dataclass(frozen=True, slots=True)
class Qualification:
    """The test that annotators take before their clicks count; METHOD's proposal by default.

    Attributes:
        project: Label Studio's project with the gold instances; None before it is made.
        min_mean_iou: Over the test's instances, of the masks that the person's clicks lead to.
        max_median_s: Longest median time for an instance, in seconds.
        min_instances: Fewest instances that a verdict can rest on.
        required: Whether clicks of people who have not passed are left out.
    """

    project: int | None = None
    min_mean_iou: float = 0.80
    max_median_s: float = 20.0
    min_instances: int = 10
    required: bool = True


@dataclass(frozen=True, slots=True)
class Campaign:
    """What a campaign is; settled when it is created.

    Attributes:
        name: Unique in the store; the titles of its projects begin with it.
        source_project: Label Studio's project whose boxes it started from.
        created_at: Unix time in seconds.
        rounds: How often an instance is visited at most.
        clicks_per_round: Most clicks of a visit; further ones are not used.
        long_side_px: An object must be at least this long in one direction ...
        short_side_px: ... and this in the other; smaller ones are left out.
        mode: See `CampaignMode`.
        model: Name of the model, as `remask serve --model` takes it.
        per_task: Most instances of one image that share a task.
        policies: Class to Markdown shown beside the image; under the empty class what holds for
            every class.
        crop: Objects of large images are shown in crops whose sides are this many times as long as
            the longer side of the box; None: always in the whole image.
        qualification: The test, if there is one.
        results_project: Label Studio's project with the final masks; None before the last round
            is closed.
        reopened: Number of an extra round, after the last, to the ids of the instances that were
            sent back for it.
        archived: Whether it has been put away: neither listed nor advanced.
    """

    name: str
    source_project: int
    created_at: float
    rounds: int = 3
    clicks_per_round: int = 4
    long_side_px: int = 80
    short_side_px: int = 40
    mode: CampaignMode = "batch"
    model: str = "convnet"
    per_task: int = 1
    policies: Mapping[str, str] = field(default_factory=dict)
    crop: float | None = None
    qualification: Qualification | None = None
    results_project: int | None = None
    reopened: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    archived: bool = False

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise InputError("`name` must not be empty")
        for name in ("rounds", "clicks_per_round", "per_task"):
            if getattr(self, name) < 1:
                raise InputError(f"`{name}` must be at least 1; got {getattr(self, name)}")
        if self.crop is not None and not 1 <= self.crop < math.inf:
            raise InputError(f"`crop` must be a finite number of at least 1; got {self.crop}")

    def wants(self, box: Box) -> bool:
        """Whether an object with this box is large enough."""
        long, short = max(box.width, box.height), min(box.width, box.height)
        return long >= self.long_side_px and short >= self.short_side_px


@dataclass(frozen=True, slots=True)
class Whole:
    """The image that a crop was cut from, and where.

    Attributes:
        address: Of the image, as the source task has it.
        shape_hw: Its height and width in pixels, EXIF applied.
        x0: Column of the crop's first pixel.
        y0: Row of the crop's first pixel.
    """

    address: str
    shape_hw: tuple[int, int]
    x0: int
    y0: int


@dataclass(frozen=True, slots=True)
class CampaignInstance:
    """One object of one image, or of a crop of it.

    Box, clicks and masks of an instance are in pixels of what annotators are shown: the image, or
    the crop. Only what leaves a campaign is brought back to the whole image, by `crops`.

    Attributes:
        id: Unique in the campaign; also the id of its mask region in Label Studio.
        image: Address of the image, as the source task has it, or of the crop.
        shape_hw: Height and width of that image in pixels, EXIF applied.
        label: Its class.
        box: The box it started from, in pixels.
        source_task: Label Studio's task that the box came from.
        source_id: The box's name where it came from: region id, COCO annotation id or Open
            Images' BoxID.
        whole: What the crop was cut from; None where the image is whole.
    """

    id: str
    image: str
    shape_hw: tuple[int, int]
    label: str
    box: Box
    source_task: int
    source_id: str
    whole: Whole | None = None

    @property
    def whole_image(self) -> str:
        """Address of the image that was not cut."""
        return self.image if self.whole is None else self.whole.address


@dataclass(frozen=True, slots=True)
class Round:
    """One round and its project in Label Studio.

    Attributes:
        number: From 1.
        state: `opening` until every task is imported.
        project: Label Studio's id; None until the project exists.
        model_version: Of the masks that are shown.
        opened_at: Unix time in seconds; None while it opens.
        closed_at: The same for its end.
    """

    number: int
    state: RoundState
    project: int | None = None
    model_version: str | None = None
    opened_at: float | None = None
    closed_at: float | None = None


@dataclass(frozen=True, slots=True)
class PlacedClick:
    """A corrective click in pixels of the image, not rounded.

    Attributes:
        id: Label Studio's region id, unique for each click.
        x: Distance from the image's left edge.
        y: Distance from its upper edge.
        positive: Whether the place belongs to the object.
        at: When the server first heard of it, Unix seconds; None where nobody was listening.
    """

    id: str
    x: float
    y: float
    positive: bool
    at: float | None = None

    @property
    def pixel(self) -> Click:
        """The click on the whole pixel that holds its place: what models are asked about."""
        return Click(float(int(self.x)), float(int(self.y)), self.positive)


@dataclass(frozen=True, slots=True)
class Visit:
    """What one annotation says of one instance in one round.

    Attributes:
        instance: `CampaignInstance.id`.
        round: From 1.
        annotation: Label Studio's id; negative once the round's project has been deleted, for
            Label Studio may give the id again.
        task: Label Studio's task in the round's project; negative likewise.
        outcome: See `VisitOutcome`.
        annotator: Label Studio's user id; None if unknown.
        lead_time_s: Seconds by the browser's clock, for this instance; None if unknown.
        updated_at: Unix time by Label Studio's clock.
        clicks: In the order they were given, at most the campaign's `clicks_per_round`.
        painted: COCO RLE counts of the mask that was painted, or answered live, in this visit;
            None when the mask is the one that was shown.
    """

    instance: str
    round: int
    annotation: int
    task: int
    outcome: VisitOutcome
    annotator: int | None
    lead_time_s: float | None
    updated_at: float
    clicks: tuple[PlacedClick, ...] = ()
    painted: bytes | None = None


@dataclass(frozen=True, slots=True)
class Mask:
    """The mask of an instance after a round; round 0 is the box alone.

    Attributes:
        instance: `CampaignInstance.id`.
        round: From 0.
        counts: COCO RLE counts, compressed; its size is the image's.
        score: The model's own IoU estimate; None for a mask made by hand.
        model_version: Who made it; `painted` for a mask made by hand.
        history_digest: Of the history that it follows from, as `mask_jobs.history_digest` gives it;
            a mask whose digest is no longer that of its instance's history is made anew.
    """

    instance: str
    round: int
    counts: bytes
    score: float | None
    model_version: str
    history_digest: str = ""


@dataclass(frozen=True, slots=True)
class Truth:
    """What an instance really covers, as far as anybody knows.

    Attributes:
        instance: `CampaignInstance.id`.
        counts: COCO RLE counts, compressed.
        source: Where it came from: `file`, `painted`, or `by 7` for what person 7 painted, whether
            it became the truth or not.
        label: What it really is; None where nobody has said.
    """

    instance: str
    counts: bytes
    source: str
    label: str | None = None


def instance_id(source_task: int, source_id: str) -> str:
    """Return the id of the instance that a box starts; equal boxes give equal ids."""
    return f"ins_{blake2s(f'{source_task}/{source_id}'.encode(), digest_size=6).hexdigest()}"


def standing_visits(
    visits: Iterable[Visit], *, qualified: frozenset[int] | None = None
) -> dict[int, Visit]:
    """Return the visit that counts in each round of one instance, by round.

    Of several annotations of a round the one changed last counts.

    Args:
        visits: Of one instance.
        qualified: Only these annotators count; None: everybody does.
    """
    latest: dict[int, Visit] = {}
    for visit in sorted(visits, key=lambda visit: (visit.updated_at, visit.annotation)):
        if qualified is None or (visit.annotator is not None and visit.annotator in qualified):
            latest[visit.round] = visit
    return latest


def outcome_of(
    standing: Mapping[int, Visit], *, rounds: int, again: Sequence[int] = ()
) -> InstanceOutcome:
    """Return where an instance stands after the rounds that it was visited in.

    The first visit without corrections decides. A round without a visit is passed over: its
    manager closed it with the instance unanswered, and the next one asks again.

    Args:
        standing: Of `standing_visits`.
        rounds: Of the campaign.
        again: Extra rounds that the instance was sent back for, in order; the last one decides.
    """
    if again:
        last = standing.get(again[-1])
        return "open" if last is None else last.outcome
    for number in range(1, rounds + 1):
        visit = standing.get(number)
        if visit is not None and visit.outcome != "corrected":
            return visit.outcome
    return "corrected" if rounds in standing else "open"


def steps_of(box: Box, standing: Mapping[int, Visit], *, upto: int) -> tuple[Step, ...]:
    """Return the history that leads to the mask after round `upto`: the box, then each round.

    Clicks are brought to whole pixels, which is what a model is asked about.
    """
    steps = [Step(box=box)]
    for number in range(1, upto + 1):
        clicks = standing[number].clicks if number in standing else ()
        if clicks:
            steps.append(Step(clicks=tuple(click.pixel for click in clicks)))
    return tuple(steps)


def classes_of(instances: Sequence[CampaignInstance]) -> list[str]:
    """Return the classes that occur, in alphabetical order."""
    return sorted({instance.label for instance in instances})
