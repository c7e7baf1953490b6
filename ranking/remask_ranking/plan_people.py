"""The people of a plan: how fast they are, how much their visits gain, and who should do what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from remask_ranking.table import Row
from remask_ranking.visit_model import Expected, VisitModel, gain_of, pairs
from remask_reports.estimate import Estimate
from remask_reports.intervals import mean_of

__all__ = ["PersonRecord", "mean_pace", "people_of", "share_out"]

_STEADY: Final = 20.0
"""Visits after which a person's own record counts as much as everybody's."""


@dataclass(frozen=True, slots=True)
class PersonRecord:
    """How a person's visits compare with what was expected of them.

    Attributes:
        annotator: Label Studio's user id.
        visits: After an instance's first, that were compared.
        pace: Seconds over expected seconds; of few visits drawn towards 1.
        extra_gain: Gain less expected gain in the mean, with its range; nan where no truth is
            known.
        steady_gain: `extra_gain` drawn towards 0 where few visits are known; orders people.
        left_out: Why the person is given nothing; empty for those who are.
    """

    annotator: int
    visits: int
    pace: float
    extra_gain: Estimate
    steady_gain: float
    left_out: str = ""


def people_of(
    rows: Sequence[Row],
    model: VisitModel,
    predicted: Mapping[tuple[str, int], float],
) -> tuple[PersonRecord, ...]:
    """Return the record of each person who made a visit after an instance's first.

    Somebody whose visits gain less than expected beyond doubt, and nothing on the whole, is left
    out, unless that would leave nobody.

    Args:
        rows: All of a campaign.
        model: Of `fit_visits` with the same arguments.
        predicted: As for `fit_visits`.
    """
    known = [pair for pair in pairs(rows) if pair[1].annotator is not None]
    own: dict[int, list[tuple[Row, Expected]]] = defaultdict(list)
    expectations = model.expect(
        [before for before, _ in known],
        [predicted[before.instance, before.round] for before, _ in known],
    )
    for (_, row), expected in zip(known, expectations, strict=True):
        assert row.annotator is not None
        own[row.annotator].append((row, expected))
    records = [_record(annotator, visits) for annotator, visits in sorted(own.items())]
    if all(record.left_out for record in records):
        return tuple(_kept(record) for record in records)
    return tuple(records)


def mean_pace(people: Sequence[PersonRecord]) -> float:
    """Return seconds over expected seconds of people who work equally long; 1 for no one.

    Whoever is left out does not work.
    """
    speeds = [1.0 / person.pace for person in people if not person.left_out]
    return len(speeds) / sum(speeds) if speeds else 1.0


def share_out(
    visits: Sequence[Expected], people: Sequence[PersonRecord]
) -> list[PersonRecord | None]:
    """Return who should make each visit.

    Everybody gets the same working time, and the visits that gain most go to the people whose
    visits gain most.

    Args:
        visits: In any order.
        people: Those who are left out get nothing. No one: every visit is given to nobody.
    """
    workers = sorted(
        (person for person in people if not person.left_out),
        key=lambda person: (-person.steady_gain, person.annotator),
    )
    given: list[PersonRecord | None] = [None] * len(visits)
    if not workers:
        return given
    share_s = sum(visit.seconds for visit in visits) * mean_pace(workers) / len(workers)
    spent = dict.fromkeys(range(len(workers)), 0.0)
    worker = 0
    for place in sorted(range(len(visits)), key=lambda place: -visits[place].gain):
        time_s = visits[place].seconds * workers[worker].pace
        if spent[worker] + time_s / 2 > share_s and worker + 1 < len(workers):
            worker += 1
            time_s = visits[place].seconds * workers[worker].pace
        spent[worker] += time_s
        given[place] = workers[worker]
    return given


def _record(annotator: int, visits: Sequence[tuple[Row, Expected]]) -> PersonRecord:
    times = [(row.seconds, expected.seconds) for row, expected in visits if row.seconds is not None]
    ratio = sum(took for took, _ in times) / max(sum(expected for _, expected in times), 1e-9)
    trust = len(times) / (len(times) + _STEADY)
    gains = [
        (gain, gain - expected.gain)
        for row, expected in visits
        if (gain := gain_of(row)) is not None
    ]
    extra = mean_of(surplus for _, surplus in gains)
    steady = 0.0
    if gains:
        steady = extra.value * len(gains) / (len(gains) + _STEADY)
    useless = (
        len(gains) >= _STEADY
        and extra.has_range
        and extra.high < 0.0
        and sum(gain for gain, _ in gains) <= 0.0
    )
    return PersonRecord(
        annotator=annotator,
        visits=len(visits),
        pace=max((1.0 - trust) + trust * ratio, 0.1) if times else 1.0,
        extra_gain=extra,
        steady_gain=steady,
        left_out="their visits gained nothing" if useless else "",
    )


def _kept(record: PersonRecord) -> PersonRecord:
    return PersonRecord(
        record.annotator, record.visits, record.pace, record.extra_gain, record.steady_gain
    )
