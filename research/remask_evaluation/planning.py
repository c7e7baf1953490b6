"""Plans against worst-first on simulated campaigns: what equal annotator time brings.

Each object goes through a campaign's rounds. Then two annotators, each on their own, go on with its
mask for three further visits, so that it is known what any choice of further visits would have
brought and taken. All orders know the truth of the same few objects, which take no part in the
comparison; each is followed until its time is spent.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from remask_core.errors import InputError
from remask_core.types import Segmenter
from remask_evaluation.datasets import Instance
from remask_evaluation.ranking import CREW, play_rounds, play_visit
from remask_evaluation.trials import generator
from remask_ranking.campaign_plan import rows_plan
from remask_ranking.judge import fit_rows, known_rows, rank_rows
from remask_ranking.table import Row
from remask_reports.estimate import Estimate
from remask_reports.intervals import mean_of
from remask_reports.page import Column, Table
from remask_simulation.annotators import Annotator, crew

__all__ = [
    "Comparison",
    "PlayedInstance",
    "compare_plans",
    "comparison_table",
    "play_instance",
    "play_instances",
    "read_played",
]

_CHAINS: Final = 2
_FURTHER: Final = 3
_BUDGETS: Final = (0.1, 0.2, 0.3)

Numbers: TypeAlias = npt.NDArray[np.float64]


class PlayedInstance(msgspec.Struct, frozen=True):
    """An object after its rounds.

    Attributes:
        rows: One per round, with the true IoU.
        chains: Further visits in their order, each with the state after it; one chain for each
            annotator who went on by themselves.
    """

    rows: tuple[Row, ...]
    chains: tuple[tuple[Row, ...], ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a share of the time brings, in mean true IoU of the masks whose truth is not known.

    Attributes:
        budget: Share of the time that a further visit to all of them would take.
        seconds: That time per mask.
        worst_first: Gain by `remask campaign reopen --worst`, in one round.
        worst_thrice: Gain by the same in three rounds of equal time, ranked anew before each.
        plan: Gain by `remask campaign plan`, planned anew after each of three rounds.
        more: Gain of the plan beyond `worst_first`, with the 95 % range of resampled objects.
        more_than_thrice: The same beyond `worst_thrice`.
    """

    budget: float
    seconds: float
    worst_first: Estimate
    worst_thrice: Estimate
    plan: Estimate
    more: Estimate
    more_than_thrice: Estimate


def play_instance(
    instance: Instance, segmenter: Segmenter, *, annotators: Sequence[Annotator], seed: int
) -> PlayedInstance | None:
    """Return an object after its rounds, with further visits; None if somebody skipped it.

    Args:
        instance: Object with its truth.
        segmenter: Makes the masks.
        annotators: One of them comes in each round, and others for the further visits.
        seed: Of boxes and clicks, together with the object's name.
    """
    played = play_rounds(instance, segmenter, annotators=annotators, seed=seed, word="plan")
    if played.outcome == "skipped":
        return None
    order = generator(seed, instance.key, "who").permutation(len(annotators)).tolist()
    chains = []
    for chain in range(_CHAINS):
        on, rows = played, []
        for number in range(_FURTHER):
            who = order[(chain * _FURTHER + number) % len(order)]
            rng = generator(seed, instance.key, "extra", str(chain), str(number))
            on = play_visit(on, instance, segmenter, annotators, who=who, rng=rng)
            rows.append(on.rows[-1])
        chains.append(tuple(rows))
    return PlayedInstance(tuple(played.rows), tuple(chains))


def play_instances(
    instances: Iterable[Instance],
    segmenter: Segmenter,
    *,
    seed: int = 0,
    path: Path,
    on_done: Callable[[], None] = lambda: None,
) -> list[PlayedInstance]:
    """Return every object that can be played; they are written to `path` as they are done.

    Objects that a campaign would leave out as too small are left out, and so are skipped ones. A
    run that was stopped goes on where it stopped.

    Args:
        instances: Objects with their truth.
        segmenter: Makes the masks.
        seed: Of everything.
        path: JSON lines: the name of an object, and what it was played to.
        on_done: Called after each object.
    """
    annotators = crew(CREW, rng=generator(seed, "crew"))
    done = dict(_read_lines(path)) if path.is_file() else {}
    with path.open("ab") as file:
        for instance in instances:
            if instance.key not in done:
                box = instance.load().box
                large = max(box.width, box.height) >= 80 and min(box.width, box.height) >= 40
                played = (
                    play_instance(instance, segmenter, annotators=annotators, seed=seed)
                    if large
                    else None
                )
                done[instance.key] = played
                file.write(msgspec.json.encode((instance.key, played)) + b"\n")
                file.flush()
            on_done()
    return [played for played in done.values() if played is not None]


def read_played(path: Path) -> list[PlayedInstance]:
    """Return the objects in a file of `play_instances`.

    Raises:
        InputError: A line cannot be read.
    """
    return [played for _, played in _read_lines(path) if played is not None]


def compare_plans(
    played: Sequence[PlayedInstance],
    *,
    truths: int = 30,
    draws: int = 20,
    budgets: Sequence[float] = _BUDGETS,
    seed: int = 0,
    on_done: Callable[[], None] = lambda: None,
) -> list[Comparison]:
    """Return what both orders bring, for each share of the time.

    Args:
        played: Objects, of which at least ten more than `truths`.
        truths: So many objects, drawn at random, have a truth that both orders may learn from.
        draws: How often they are drawn; results are means over the draws.
        budgets: Shares of the time that a visit to each of the others would take, in (0, 1].
        seed: Of the draws.
        on_done: Called after each draw.

    Raises:
        InputError: There are too few objects.
    """
    if len(played) < truths + 10:
        raise InputError(
            f"`played` must hold at least ten objects more than `truths`; got {len(played)} and "
            f"{truths}"
        )
    gains = np.zeros((3, len(budgets), len(played)))
    present = np.zeros(len(played))
    usual_s = float(
        np.mean([chain[0].seconds or 0.0 for own in played for chain in own.chains[:1]])
    )
    rng = np.random.default_rng(seed)
    for draw in range(draws):
        known = np.zeros(len(played), np.bool_)
        known[rng.choice(len(played), truths, replace=False)] = True
        present[~known] += 1
        for number, budget in enumerate(budgets):
            time_s = budget * usual_s * float((~known).sum())
            for which, (policy, rounds) in enumerate(
                ((_worst_first, 1), (_worst_first, 3), (_planned, 3))
            ):
                field = _Field(played, known, chain=draw)
                field.spend(time_s, policy, rounds=rounds)
                gains[which, number] += field.gains()
        on_done()
    per_object = gains / np.maximum(present, 1)
    return [
        Comparison(
            budget=budget,
            seconds=budget * usual_s,
            worst_first=mean_of(once.tolist()),
            worst_thrice=mean_of(thrice.tolist()),
            plan=mean_of(planned.tolist()),
            more=mean_of((planned - once).tolist()),
            more_than_thrice=mean_of((planned - thrice).tolist()),
        )
        for budget, once, thrice, planned in zip(budgets, *per_object, strict=True)
    ]


Policy: TypeAlias = Callable[[Sequence[Row], Collection[str], float, int], list[str]]
"""Instances to visit in a round, from rows, settled instances, seconds left and rounds left."""


class _Field:
    """Objects that are being visited; the truth of some is known, and these are left alone."""

    def __init__(
        self, played: Sequence[PlayedInstance], known: npt.NDArray[np.bool_], *, chain: int
    ) -> None:
        self._rows = {own.rows[0].instance: list(own.rows) for own in played}
        self._ahead = {
            own.rows[0].instance: list(own.chains[chain % len(own.chains)]) for own in played
        }
        self._before = {name: rows[-1].true_iou or 0.0 for name, rows in self._rows.items()}
        self._known = {
            own.rows[0].instance for own, flag in zip(played, known.tolist(), strict=True) if flag
        }

    def spend(self, time_s: float, policy: Policy, *, rounds: int) -> None:
        """Visit what the policy says, round by round, until the time is spent."""
        left_s = time_s
        for left in range(rounds, 0, -1):
            rows = [
                row if name in self._known else _without_truth(row)
                for name, own in self._rows.items()
                for row in own
            ]
            done = {name for name, ahead in self._ahead.items() if not ahead} | self._known
            for name in policy(rows, done, left_s, left):
                took = self._ahead[name][0].seconds or 0.0
                if took > left_s:
                    return
                left_s -= took
                self._rows[name].append(self._ahead[name].pop(0))

    def gains(self) -> Numbers:
        """Return by how much the true IoU of each object has risen, (n,)."""
        return np.array(
            [(rows[-1].true_iou or 0.0) - self._before[name] for name, rows in self._rows.items()]
        )


def comparison_table(found: Sequence[Comparison], *, objects: int, truths: int) -> Table:
    """Return the comparison as a table."""
    titles = (
        "time",
        "seconds a mask",
        "worst first",
        "worst first in 3 rounds",
        "plan",
        "plan beyond worst first",
        "plan beyond 3 rounds",
    )
    return Table(
        columns=tuple(map(Column, titles)),
        rows=tuple(
            (
                f"{row.budget:.0%}",
                f"{row.seconds:.1f}",
                row.worst_first.words(digits=4),
                row.worst_thrice.words(digits=4),
                row.plan.words(digits=4),
                row.more.words(digits=4),
                row.more_than_thrice.words(digits=4),
            )
            for row in found
        ),
        caption=f"Gain in mean IoU by further visits; {objects} objects, truths of {truths}",
    )


def _worst_first(
    rows: Sequence[Row], settled: Collection[str], left_s: float, rounds: int
) -> list[str]:
    """Return instances as `remask rank train`, `apply` and `reopen --worst` order them.

    As many as their part of the time is expected to be enough for.
    """
    ranked = rank_rows(fit_rows(known_rows(rows), seed=0), rows)
    names = [place.row.instance for place in reversed(ranked) if place.row.instance not in settled]
    if rounds == 1:
        return names
    usual_s = float(np.mean([row.seconds for row in rows if row.seconds is not None]))
    return names[: max(1, round(left_s / rounds / usual_s))]


def _planned(
    rows: Sequence[Row], settled: Collection[str], left_s: float, rounds: int
) -> list[str]:
    """Return the instances of a plan's first round; in the last one, of all that it would visit."""
    plan = rows_plan(rows, hours=left_s / 3600.0, rounds=rounds, settled=settled)
    return [visit.instance for visit in plan.visits if visit.round == 1]


def _without_truth(row: Row) -> Row:
    return msgspec.structs.replace(row, true_iou=None, true_iou_before=None)


def _read_lines(path: Path) -> list[tuple[str, PlayedInstance | None]]:
    decoder = msgspec.json.Decoder(tuple[str, PlayedInstance | None])
    found = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            found.append(decoder.decode(line))
        except msgspec.DecodeError as error:
            raise InputError(f"`{path}` line {number}: {error}") from error
    return found
