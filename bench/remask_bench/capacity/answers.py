"""How many hosts and GPUs annotators need, and what their masks cost; as rows and as a report."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from remask_bench.capacity.costs import Costs, Prices
from remask_bench.capacity.measure import Agreement
from remask_bench.capacity.people import Behaviour
from remask_bench.capacity.simulation import Outcome, Setup, simulate
from remask_core.errors import InputError
from remask_reports.charts import LineChart, Series
from remask_reports.page import Block, Column, Figure, Page, Section, Table, Text, table_of

__all__ = [
    "Answer",
    "agreement_table",
    "answer_table",
    "capacity_page",
    "needed",
    "p95_by_gpus",
    "sizes",
]

_MOST_GPUS = 512
_GPU_BUSY = 0.8
"""Share of its time that a GPU may work; a busier one has no room when its neighbour fails."""

_WEB_BUSY = 0.6
"""Share of its time that a web process may compute; beyond, requests wait for each other."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What so many annotators need.

    Attributes:
        outcome: Of the smallest setup that keeps the limit.
        cost_per_h: Of all machines.
        cost_per_million: Of a million masks, the annotators' work left out.
        days: Until all images are done, of 8 hours with everybody at work.
        cache_mb: Of each GPU, so that an image stays encoded while it is worked on.
        images_tb: Size of all image files, TB.
    """

    outcome: Outcome
    cost_per_h: float
    cost_per_million: float
    days: float
    cache_mb: float
    images_tb: float


def sizes(annotators: int) -> list[int]:
    """Return the numbers of annotators to be answered for: round ones, up to the one asked for."""
    return [*(size for size in (10, 50, 200, 1000) if size < annotators), annotators]


def needed(
    annotators: int,
    costs: Costs,
    behaviour: Behaviour,
    *,
    images: int = 5_000_000,
    megapixels: float = 1.0,
    p95_ms: float = 500.0,
    prices: Prices = Prices(),
    seconds: float = 60.0,
    seed: int = 0,
) -> Answer:
    """Return the fewest GPUs, and web hosts, with which 95 % of the clicks take at most `p95_ms`.

    Each image belongs to one GPU, as with a cluster's router. The GPUs' caches hold twice the
    images that are open. No GPU works for more than 80 % of the time, no web process for 60 %.

    Args:
        annotators: At work at the same time.
        costs: Of each step.
        behaviour: Of the annotators.
        images: Of the whole campaign.
        megapixels: Of each.
        p95_ms: The limit.
        prices: Of the machines.
        seconds: Simulated for each setup.
        seed: Of everything that is drawn.

    Raises:
        InputError: A click takes longer than the limit when nothing delays it, or not even 512
            GPUs suffice.
    """
    alone_ms = 1000 * (costs.decode_s + costs.prompt_s + costs.web_s + costs.store_s)
    if alone_ms >= p95_ms:
        raise InputError(
            f"`p95_ms` must be longer than a click takes that nothing delays, {alone_ms:.0f} ms; "
            f"got {p95_ms:.0f}"
        )
    gpus = max(1, math.ceil(annotators * _load(costs, behaviour) / _GPU_BUSY))
    hosts = max(1, math.ceil(annotators * _click_rate(behaviour) * costs.web_cpu_s / _WEB_BUSY))
    while gpus <= _MOST_GPUS:
        setup = Setup(
            annotators,
            hosts=hosts,
            gpus=gpus,
            megapixels=megapixels,
            cache_mb=_cache_mb(annotators, gpus, costs),
            seconds=seconds,
        )
        outcome = simulate(setup, costs, behaviour, seed=seed)
        if outcome.p95_ms <= p95_ms and outcome.gpu_busy <= _GPU_BUSY:
            return _answer(outcome, costs, images, prices)
        gpus += max(1, gpus // 8)
    raise InputError(
        f"`p95_ms` must be a time that workers can keep; with {_MOST_GPUS} of them 95 % of the "
        f"clicks take {outcome.p95_ms:.0f} ms; got {p95_ms:.0f}"
    )


def p95_by_gpus(
    answer: Answer, costs: Costs, behaviour: Behaviour, *, seed: int = 0
) -> list[tuple[str, list[Outcome]]]:
    """Return what fewer and more GPUs would do, and what a small cache or no router would.

    Args:
        answer: Of `needed`.
        costs: Of each step.
        behaviour: Of the annotators.
        seed: Of everything that is drawn.
    """
    enough = answer.outcome.setup
    numbers = sorted({max(1, round(enough.gpus * share)) for share in (0.75, 1, 1.25, 1.5, 2)})
    ways: list[tuple[str, Callable[[int], Setup]]] = [
        ("each image on one GPU", lambda gpus: replace(enough, gpus=gpus)),
        (
            "each host with a GPU of its own",
            # Each of them needs room for everybody's images.
            lambda gpus: replace(
                enough,
                gpus=gpus,
                hosts=gpus,
                routes_by_image=False,
                cache_mb=_cache_mb(enough.annotators, 1, costs),
            ),
        ),
        ("the default cache, 256 MB", lambda gpus: replace(enough, gpus=gpus, cache_mb=256.0)),
    ]
    return [
        (name, [simulate(setup_of(gpus), costs, behaviour, seed=seed) for gpus in numbers])
        for name, setup_of in ways
    ]


def answer_table(answers: Sequence[Answer]) -> Table:
    """Return one row for each number of annotators."""
    return table_of(
        answers,
        [
            (Column("annotators"), lambda row: row.outcome.setup.annotators),
            (Column("GPUs"), lambda row: row.outcome.setup.gpus),
            (Column("web hosts"), lambda row: row.outcome.setup.hosts),
            (Column("clicks/s", 1), lambda row: row.outcome.clicks_per_s),
            (Column("p50, ms", 0), lambda row: row.outcome.p50_ms),
            (Column("p95, ms", 0), lambda row: row.outcome.p95_ms),
            (Column("GPU busy, %", 0), lambda row: 100 * row.outcome.gpu_busy),
            (Column("web busy, %", 0), lambda row: 100 * row.outcome.web_busy),
            (Column("cache per GPU, MB", 0), lambda row: row.cache_mb),
            (Column("images, MB/s", 1), lambda row: row.outcome.network_mb_s),
            (Column("masks/h", 0), lambda row: row.outcome.objects_per_h),
            (Column("days of 8 h", 0), lambda row: row.days),
            (Column("cost per million masks", 0), lambda row: row.cost_per_million),
        ],
    )


def agreement_table(rows: Sequence[Agreement]) -> Table:
    """Return what was measured beside what was simulated."""
    return table_of(
        rows,
        [
            (Column("situation"), lambda row: row.situation),
            (Column("figure"), lambda row: row.figure),
            (Column("measured", 1), lambda row: row.measured),
            (Column("simulated", 1), lambda row: row.simulated),
            (Column("off, %", 0), lambda row: row.off_percent),
        ],
    )


def capacity_page(
    answers: Sequence[Answer],
    curves: Sequence[tuple[str, Sequence[Outcome]]],
    agreements: Sequence[Agreement],
    *,
    costs: Costs,
    behaviour: Behaviour,
    prices: Prices,
    p95_ms: float,
    made_by: str,
) -> Page:
    """Return the report: what is needed, how it changes with the GPUs, and from which costs."""
    last = answers[-1].outcome.setup
    blocks: list[Block] = [
        Text(
            f"The fewest GPUs with which 95 % of the clicks take at most {p95_ms:.0f} ms and no "
            f"GPU works for more than {100 * _GPU_BUSY:.0f} % of the time. "
            f"Annotators: {behaviour.source}; {behaviour.objects_per_image:.1f} objects per image. "
            f"Prices per hour: GPU {prices.gpu:.2f}, web host {prices.host:.2f}, database "
            f"{prices.database:.2f}; the annotators' work is not counted."
        ),
        answer_table(answers),
    ]
    chart = LineChart(
        series=tuple(
            Series(
                name,
                tuple(float(outcome.setup.gpus) for outcome in outcomes),
                # Beyond the chart every queue is too long; its height says nothing more.
                tuple(min(outcome.p95_ms, 6 * p95_ms) for outcome in outcomes),
            )
            for name, outcomes in curves
        ),
        x_label="GPUs",
        y_label="p95 of a click, ms",
        y_range=(0.0, 6 * p95_ms),
    )
    caption = f"{last.annotators} annotators; what lies at the upper edge is longer"
    sections = [
        Section("What is needed", tuple(blocks)),
        Section(
            "More GPUs, another cache, no router",
            (Figure(chart, caption), _curve_table(curves)),
        ),
        Section("Costs", (Text(f"{costs.source}."), _cost_table(costs))),
    ]
    if agreements:
        sections.append(Section("Simulated and measured here", (agreement_table(agreements),)))
    return Page(
        title="Capacity on paper",
        sections=tuple(sections),
        summary="Annotators, hosts and GPUs simulated with the costs below; no GPU was asked.",
        made_by=made_by,
    )


def _answer(outcome: Outcome, costs: Costs, images: int, prices: Prices) -> Answer:
    setup = outcome.setup
    per_h = prices.gpu * setup.gpus + prices.host * setup.hosts + prices.database
    return Answer(
        outcome=outcome,
        cost_per_h=per_h,
        cost_per_million=1e6 * per_h / outcome.objects_per_h,
        days=images / outcome.images_per_h / 8,
        cache_mb=setup.cache_mb,
        images_tb=images * setup.megapixels * costs.image_mb_per_mp / 1e6,
    )


def _cache_mb(annotators: int, gpus: int, costs: Costs) -> float:
    """Return room for twice the images that a GPU's annotators have open, at least 16."""
    return costs.embedding_mb * max(16, math.ceil(2 * annotators / gpus))


def _click_rate(behaviour: Behaviour) -> float:
    """Return clicks per second of one annotator who never waits."""
    return _clicks_per_image(behaviour) / _seconds_per_image(behaviour)


def _load(costs: Costs, behaviour: Behaviour) -> float:
    """Return the share of a GPU that one annotator takes who never waits."""
    clicks = _clicks_per_image(behaviour)
    work_s = costs.encode_s + (clicks + 1) * (costs.decode_s + costs.prompt_s)
    return work_s / _seconds_per_image(behaviour)


def _clicks_per_image(behaviour: Behaviour) -> float:
    return behaviour.objects_per_image * float(np.mean(behaviour.clicks))


def _seconds_per_image(behaviour: Behaviour) -> float:
    clicks = np.array(behaviour.clicks)
    first, further = float(np.mean(behaviour.first_s)), float(np.mean(behaviour.next_s))
    each = np.where(clicks > 0, first + further * (clicks - 1), first / 2)
    return behaviour.objects_per_image * float(each.mean()) + behaviour.change_s


def _curve_table(curves: Sequence[tuple[str, Sequence[Outcome]]]) -> Table:
    rows = [(name, outcome) for name, outcomes in curves for outcome in outcomes]
    return table_of(
        rows,
        [
            (Column("images and caches"), lambda row: row[0]),
            (Column("GPUs"), lambda row: row[1].setup.gpus),
            (Column("p50, ms", 0), lambda row: row[1].p50_ms),
            (Column("p95, ms", 0), lambda row: row[1].p95_ms),
            (Column("GPU busy, %", 0), lambda row: 100 * row[1].gpu_busy),
            (Column("encodings per image", 2), lambda row: row[1].encodings_per_image),
            (Column("masks/h", 0), lambda row: row[1].objects_per_h),
        ],
    )


def _cost_table(costs: Costs) -> Table:
    values = msgspec.structs.asdict(costs)
    return table_of(
        [name for name in values if name != "source"],
        [
            (Column("cost"), lambda name: name),
            (Column("value", 4), lambda name: values[name]),
        ],
    )
