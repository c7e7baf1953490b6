"""Timings beside something else on the same machine, each as rows and as the table to print."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from remask_bench import cluster, codec, sam, scheduling, service
from remask_reports.page import Cell, Column, Page, Section, Table, Text

__all__ = [
    "Timing",
    "time_cluster",
    "time_codec",
    "time_sam",
    "time_scheduling",
    "time_service",
    "timings_page",
    "write_timings",
]


@dataclass(frozen=True, slots=True)
class Timing:
    """One comparison.

    Attributes:
        title: What is compared.
        about: How, in a few sentences.
        rows: Dataclasses with every number.
        tables: What a person reads, with the ratios.
    """

    title: str
    about: str
    rows: Sequence[object]
    tables: tuple[Table, ...]

    @property
    def all_right(self) -> bool:
        """Whether no request of a load was answered wrongly, or not at all."""
        loads = (row for row in self.rows if isinstance(row, service.LoadRow))
        return all(row.wrong == 0 and row.failed == 0 for row in loads)


def time_codec(*, seed: int = 0) -> Timing:
    """Time our codec of Label Studio's brush RLE beside the one of its SDK."""
    rows = codec.compare_codecs(rng=np.random.default_rng(seed))
    columns = (
        Column("direction"),
        Column("outline"),
        Column("height x width"),
        Column("bytes"),
        Column("ours, ms", 2),
        Column("SDK, ms", 1),
        Column("times faster", 0),
    )
    cells: list[tuple[Cell, ...]] = [
        (
            row.direction,
            row.outline,
            f"{row.shape_hw[0]} x {row.shape_hw[1]}",
            row.n_bytes,
            row.ours_ms,
            row.sdk_ms,
            row.ratio,
        )
        for row in rows
    ]
    return Timing(
        title="Brush RLE",
        about="Both codecs between a mask and Label Studio's list of numbers, equal masks and "
        "equal bytes checked; the shortest of several runs.",
        rows=rows,
        tables=(Table(columns=columns, rows=tuple(cells)),),
    )


def time_cluster(*, seed: int = 0, replicas: int = 2, port: int = 8000) -> Timing:
    """Time a cluster on this machine beside a worker, load it, and kill parts of it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        added = cluster.added_by_cluster(folder, replicas=replicas, port=port)
        clicks, mixed, losses = cluster.cluster_under_load(
            folder, rng=np.random.default_rng(seed), replicas=replicas, port=port
        )
    return Timing(
        title="Cluster",
        about=f"Ray with {replicas} replicas on this machine and the stand-ins of `remask bench "
        "scheduling`, over HTTP.",
        rows=[*added, *clicks, mixed, *losses],
        tables=(
            _latencies("Calls to a model that takes no time", added),
            _latencies("Click on a known image, with 10 ms of work", clicks),
            Table(
                columns=(
                    Column("calls"),
                    Column("images"),
                    Column("encoded"),
                    Column("wrong"),
                    Column("per second", 0),
                ),
                rows=((mixed.calls, mixed.images, mixed.encoded, mixed.wrong, mixed.per_s),),
                caption="Mixed calls by 16 clients, every mask compared",
            ),
            Table(
                columns=(Column("killed"), Column("answered after, s", 1)),
                rows=tuple((row.killed, row.answered_after_s) for row in losses),
                caption="Killed by signal 9 while eight new images are encoded; until all answers "
                "are there",
            ),
        ),
    )


def time_scheduling(*, seed: int = 0) -> Timing:
    """Time clicks under a batch job, calls through the scheduler, and a killed worker."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        under = scheduling.click_under_batch(folder, rng=np.random.default_rng(seed))
        added = scheduling.added_per_call(folder)
        killed = scheduling.recovery(folder)
    titles = ("Click on a known image", "Calls to a model that takes no time")
    return Timing(
        title="Scheduling",
        about="A stand-in for Segment Anything on a GPU: an encoder of 300 ms in twelve slices, "
        "a decoder of 10 ms, both asleep, so that the scheduling is measured and not the "
        "machine's arithmetic.",
        rows=[*under, *added, *killed],
        tables=(
            *(_latencies(t, rows) for t, rows in zip(titles, (under, added), strict=True)),
            Table(
                columns=(
                    Column("killed while"),
                    Column("answered after, s", 2),
                    Column("slowest health, ms", 1),
                ),
                rows=tuple(
                    (row.killed_during, row.answered_after_s, row.slowest_health_ms)
                    for row in killed
                ),
                caption="Worker killed by signal 9 in mid-call",
            ),
        ),
    )


def _latencies(caption: str, rows: Sequence[scheduling.LatencyRow]) -> Table:
    columns = (
        Column("situation"),
        Column("calls"),
        Column("p50, ms", 2),
        Column("p95, ms", 2),
        Column("max, ms", 2),
        Column("times the first", 2),
    )
    cells = tuple(
        (row.situation, row.n, row.p50_ms, row.p95_ms, row.max_ms, row.p50_ms / rows[0].p50_ms)
        for row in rows
    )
    return Table(columns=columns, rows=cells, caption=caption)


def time_service(
    *,
    seed: int = 0,
    requests: int = 2000,
    kill: bool = False,
    on_done: Callable[[], None] = lambda: None,
) -> Timing:
    """Time a `remask serve` with one client and under a crowd that checks every mask."""
    with tempfile.TemporaryDirectory() as name:
        rows = service.measure_service(
            Path(name), seed=seed, requests=requests, kill=kill, on_done=on_done
        )
    columns = (
        Column("situation"),
        Column("request"),
        Column("requests"),
        Column("wrong"),
        Column("failed"),
        Column("p50, ms", 1),
        Column("p95, ms", 1),
        Column("max, ms", 1),
    )
    cells: list[tuple[Cell, ...]] = [
        (r.situation, r.kind, r.requests, r.wrong, r.failed, r.p50_ms, r.p95_ms, r.max_ms)
        for r in rows
    ]
    return Timing(
        title="Service",
        about="A real service over HTTP, with a model that takes next to no time and whose every "
        "mask is known beforehand. What one client waits for beyond the first row is the "
        "service. Clients and service share the machine.",
        rows=rows,
        tables=(Table(columns=columns, rows=tuple(cells)),),
    )


def time_sam(*, seed: int = 0, clicks: int = 3) -> Timing:
    """Time a click on a known image with and without an embedding cache."""
    rows = sam.compare_sam(seed=seed, clicks=clicks)
    columns = (
        Column("way"),
        Column("clicks"),
        Column("p50, s", 3),
        Column("max, s", 3),
        Column("same masks"),
        Column("times faster", 0),
    )
    cells = tuple(
        (row.way, row.clicks, row.p50_s, row.max_s, row.same, rows[0].p50_s / row.p50_s)
        for row in rows
    )
    return Timing(
        title="Segment Anything",
        about="Clicks on images seen before, another image each time. ViT-B with seeded random "
        "weights: the work is the real model's, the masks mean nothing but must agree.",
        rows=rows,
        tables=(Table(columns=columns, rows=cells),),
    )


def timings_page(timings: Sequence[Timing], *, made_by: str) -> Page:
    """Return one report of all timings."""
    return Page(
        title="Timings",
        summary="Each table compares ways on one machine in one run; ratios travel, "
        "milliseconds do not.",
        sections=tuple(
            Section(title=timing.title, blocks=(Text(timing.about), *timing.tables))
            for timing in timings
        ),
        made_by=made_by,
    )


def write_timings(timings: Sequence[Timing], out: Path, *, made_by: str) -> Path:
    """Write `timings.json`, every number, and `timings.html`; return the path of the latter."""
    out.mkdir(parents=True, exist_ok=True)
    rows = {timing.title: timing.rows for timing in timings}
    (out / "timings.json").write_bytes(msgspec.json.format(msgspec.json.encode(rows)))
    report = out / "timings.html"
    report.write_text(timings_page(timings, made_by=made_by).to_html(), encoding="utf-8")
    return report
