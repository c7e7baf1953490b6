"""`remask bench capacity`: the simulation, held against what was measured, and the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click_log_data import CLICK
from typer.testing import CliRunner

from remask_bench.capacity.answers import needed
from remask_bench.capacity.costs import Costs, read_costs, write_costs
from remask_bench.capacity.measure import simulate_callers
from remask_bench.capacity.people import PAPER, behaviour_of_log
from remask_bench.capacity.simulation import Setup, simulate
from remask_bench.commands import app
from remask_core.errors import InputError
from remask_storage.click_rows import store_prompts
from remask_storage.database import Database

SMALL = Setup(annotators=20, seconds=200.0)

# Without the model a request of the prototype took 2.5 ms, on two quiet cores.
PROTOTYPE = Costs(web_s=0.0020, web_cpu_s=0.0015, store_s=0.0)


@pytest.mark.parametrize(
    ("callers", "images", "measured_per_s"), [(1, 1, 80), (4, 1, 149), (16, 1, 254), (16, 16, 97)]
)
def test_requests_per_second_are_those_that_were_measured(
    callers: int, images: int, measured_per_s: float
) -> None:
    """docs/capacity.md has the measurement: two cores, the stand-in behind a web process."""
    times = simulate_callers(PROTOTYPE, 0.0005, callers, images, 10.0)

    assert len(times) / 10 == pytest.approx(measured_per_s, rel=0.2)


def test_a_click_under_a_batch_job_waits_as_long_as_was_measured() -> None:
    """docs/benchmarks.md has the measurement: p50 22.6 ms, p95 35.1 ms."""
    bare = Costs(web_s=0.0007, web_cpu_s=0.0, store_s=0.0)
    times = simulate_callers(bare, 0.1, 1, 1, 60.0, window=8)

    p50, p95 = 1000 * np.percentile(times, [50, 95])
    assert p50 == pytest.approx(22.6, rel=0.2)
    assert p95 == pytest.approx(35.1, rel=0.2)


def test_equal_seeds_give_equal_outcomes() -> None:
    first, again, other = (simulate(SMALL, Costs(), PAPER, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_a_cache_that_is_too_small_encodes_images_again_and_again() -> None:
    enough = simulate(SMALL, Costs(), PAPER)
    small = simulate(replace(SMALL, cache_mb=10.0), Costs(), PAPER)

    assert enough.encodings_per_image < 1.5
    assert small.encodings_per_image > 3 * enough.encodings_per_image


def test_hosts_with_a_gpu_each_encode_an_image_on_every_host() -> None:
    """A proxy gives the clicks on an image to all of them in turn."""
    routed = simulate(replace(SMALL, hosts=2, gpus=2), Costs(), PAPER)
    apart = simulate(replace(SMALL, hosts=2, gpus=2, routes_by_image=False), Costs(), PAPER)

    assert apart.encodings_per_image > 1.5 * routed.encodings_per_image


def test_a_batch_job_takes_what_clicks_leave_and_hardly_slows_them() -> None:
    alone = simulate(SMALL, Costs(), PAPER)
    beside = simulate(replace(SMALL, batch_window=8), Costs(), PAPER)

    assert beside.batch_per_h > 5000
    assert beside.gpu_busy > 0.95
    assert beside.p95_ms < alone.p95_ms + 100


def test_more_annotators_need_more_gpus_and_the_limit_is_kept() -> None:
    slow = Costs(encode_s=2.0)
    few, many = (needed(count, slow, PAPER, seconds=20.0) for count in (10, 60))

    assert few.outcome.setup.gpus < many.outcome.setup.gpus
    assert max(few.outcome.p95_ms, many.outcome.p95_ms) <= 500
    assert many.outcome.gpu_busy <= 0.8


def test_a_limit_that_no_gpu_keeps_is_refused() -> None:
    with pytest.raises(InputError, match="p95_ms"):
        needed(2, Costs(decode_s=1.0), PAPER, p95_ms=10.0, seconds=1.0)


def test_people_work_as_their_click_log_says(tmp_path: Path) -> None:
    """Three clicks on each object, two seconds apart, six seconds from object to object."""
    rows = [
        replace(
            CLICK,
            task=task,
            prompt_id=f"{task}-{number}-{click}",
            region_id=f"object-{task}-{number}",
            arrived_at=1000.0 * task + 10 * number + 2 * click,
        )
        for task in range(10)
        for number in range(5)
        for click in range(3)
    ]
    database = Database.open(tmp_path / "sessions.db")
    with database.writing() as connection:
        store_prompts(connection, rows)
    behaviour = behaviour_of_log(database)
    empty = Database.open(tmp_path / "empty.db")
    with pytest.raises(InputError, match="100 clicks"):
        behaviour_of_log(empty)
    for opened in (database, empty):
        opened.close()

    assert set(behaviour.clicks) == {3}
    assert set(behaviour.first_s) == {6.0}
    assert set(behaviour.next_s) == {2.0}
    assert behaviour.objects_per_image == 5
    rng = np.random.default_rng(0)
    assert behaviour.pauses(rng) == [6.0, 2.0, 2.0]


def test_costs_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "costs.json"
    write_costs(Costs(source="here", encode_s=1.5), path)
    assert read_costs(path) == Costs(source="here", encode_s=1.5)

    for text in ("{", '{"encode_s": -1}', '{"gpu_s": 1}', '{"encode_steps": 0}'):
        path.write_text(text)
        with pytest.raises(InputError, match="costs"):
            read_costs(path)
    with pytest.raises(InputError, match="costs"):
        read_costs(tmp_path / "none.json")


def test_the_command_prints_an_answer_and_writes_the_report(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run = CliRunner().invoke(
        app, ["capacity", "--annotators", "5", "--images", "100", "--out", str(out)]
    )
    assert run.exit_code == 0, run.output
    assert "cost per million masks" in run.output
    assert "not measured on a GPU" in run.output
    page = (out / "capacity.html").read_text()
    assert "<svg" in page
    assert "each host with a GPU of its own" in page

    run = CliRunner().invoke(app, ["capacity", "--annotators", "5", "--json"])
    answers = json.loads(run.output)["answers"]
    assert [answer["outcome"]["setup"]["annotators"] for answer in answers] == [5]


@pytest.mark.parametrize(
    "words",
    [
        ["--model", "convnet"],
        ["--costs", "a.json", "--measure", "b.json"],
        ["--click-log", "nowhere.db"],
    ],
)
def test_options_that_do_not_go_together_are_refused(words: list[str]) -> None:
    run = CliRunner().invoke(app, ["capacity", *words])
    assert isinstance(run.exception, InputError)
    assert "`--" in str(run.exception)
