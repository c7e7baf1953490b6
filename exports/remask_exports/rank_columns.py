"""Ranks in the data of Label Studio's tasks: what is written, read back and taken away.

The Data Manager shows each key of a task's data as a column. A published task has the columns
`predicted_iou`, `rank`, `uncertainty`, `outcome` and `round` of its worst instance, and under
`remask_ranks` the numbers of each of its instances and what the columns held before. With that the
data can be brought back exactly, and whatever reads tasks for another purpose reads them without
the columns (`own_data`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from remask_ranking.ranks import Rank

__all__ = [
    "COLUMNS",
    "RANKS_KEY",
    "RankedInstance",
    "data_with_ranks",
    "own_data",
    "published_ranks",
    "published_scores",
]

COLUMNS: Final = ("predicted_iou", "rank", "uncertainty", "outcome", "round")
RANKS_KEY: Final = "remask_ranks"

_DIGITS: Final = 4


class _Published(msgspec.Struct, kw_only=True, frozen=True):
    """What stands under `remask_ranks`.

    Attributes:
        instances: Name to predicted IoU, rank and uncertainty.
        before: What the columns held before they were written; without those that were missing.
        scores: Id of a prediction, as text, to the score that it had.
    """

    instances: dict[str, tuple[float, int, float | None]]
    before: dict[str, Any] = {}
    scores: dict[str, float | None] = {}


@dataclass(frozen=True, slots=True)
class RankedInstance:
    """An instance of a task, with what its columns say.

    Attributes:
        name: As in the ranking.
        rank: Of the ranking.
        outcome: How it left its last round, or where it stands.
        round: The last round it went through; None where nobody counted.
    """

    name: str
    rank: Rank
    outcome: str
    round: int | None


def own_data(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task's data as they are without published ranks; a copy where there are none."""
    published = _published(data)
    if published is None:
        return dict(data)
    rest = {key: value for key, value in data.items() if key not in (*COLUMNS, RANKS_KEY)}
    return rest | published.before


def published_ranks(data: Mapping[str, Any]) -> dict[str, Rank]:
    """Return the ranks that a task's data hold, by instance; empty where none are published."""
    published = _published(data)
    if published is None:
        return {}
    return {name: Rank(*numbers) for name, numbers in published.instances.items()}


def published_scores(data: Mapping[str, Any]) -> dict[int, float | None]:
    """Return the scores that a task's predictions had before ranks were published, by their ids."""
    published = _published(data)
    scores = {} if published is None else published.scores
    return {int(number): score for number, score in scores.items() if number.isdecimal()}


def data_with_ranks(
    data: Mapping[str, Any],
    ranked: list[RankedInstance],
    *,
    scores: Mapping[int, float | None] | None = None,
) -> dict[str, Any]:
    """Return a task's data with the columns of its worst instance.

    Args:
        data: Of the task, with or without earlier ranks.
        ranked: Its ranked instances; without any, the data are those of `own_data`.
        scores: Of the predictions whose score becomes the predicted IoU, by their ids. What is
            known of earlier scores goes before them.
    """
    own = own_data(data)
    if not ranked:
        return own
    worst = max(ranked, key=lambda instance: instance.rank.rank)
    uncertainty = worst.rank.uncertainty
    columns: dict[str, Any] = {
        "predicted_iou": round(worst.rank.predicted_iou, _DIGITS),
        "rank": worst.rank.rank,
        "uncertainty": None if uncertainty is None else round(uncertainty, _DIGITS),
        "outcome": worst.outcome,
        # In a round's project the column is the round that is open, which people go by.
        "round": own.get("round", worst.round),
    }
    kept = {**(scores or {}), **published_scores(data)}
    published = _Published(
        instances={instance.name: _numbers(instance.rank) for instance in ranked},
        before={name: own[name] for name in COLUMNS if name in own},
        scores={str(number): kept[number] for number in sorted(kept)},
    )
    plain = {name: value for name, value in columns.items() if value is not None}
    # As it comes back from Label Studio, to be compared with it.
    as_json = msgspec.json.decode(msgspec.json.encode(published))
    return own | plain | {RANKS_KEY: as_json}


def _numbers(rank: Rank) -> tuple[float, int, float | None]:
    unsure = None if rank.uncertainty is None else round(rank.uncertainty, _DIGITS)
    return (round(rank.predicted_iou, _DIGITS), rank.rank, unsure)


def _published(data: Mapping[str, Any]) -> _Published | None:
    """Return what stands under `remask_ranks`; None where it is not of `data_with_ranks`."""
    try:
        return msgspec.convert(data.get(RANKS_KEY), _Published)
    except msgspec.ValidationError:
        return None
