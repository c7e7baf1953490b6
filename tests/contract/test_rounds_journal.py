"""What leaves a campaign visit by visit: the read_visits, the click log and the rows to rank."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from campaign_data import NAME, SHAPE, fill, instance, square, visit
from typer.testing import CliRunner

from remask_campaigns.visit_records import read_visits
from remask_cli.main import app
from remask_core.errors import InputError, NotFound, Unavailable
from remask_core.overlap import iou
from remask_core.parallel import map_in_order
from remask_core.rle_coco import decode_coco_rle
from remask_exports.click_table import click_rows, write_clicks
from remask_ranking.campaign_rows import campaign_rows
from remask_ranking.features import features, in_crop
from remask_ranking.table import read_rows
from remask_storage.campaign import Qualification
from remask_storage.campaign_store import CampaignStore


@pytest.fixture
def store(tmp_path: Path):
    store = fill(tmp_path / "campaigns.db")
    yield store
    store.close()


def by_place(rows) -> dict[tuple[str, int, int], object]:
    return {(row.instance, row.round, row.position): row for row in rows}


def test_every_visit_has_the_masks_before_and_after_it(store: CampaignStore) -> None:
    told = [
        (
            entry.visit.instance,
            entry.visit.round,
            entry.before and entry.before.round,
            entry.after and entry.after.round,
        )
        for entry in read_visits(store, NAME)
    ]

    ids = [instance(number).id for number in range(4)]
    assert told == [
        (ids[0], 1, 0, 1),
        (ids[0], 2, 1, 2),
        (ids[1], 1, 0, 0),  # accepted: the mask that was shown
        (ids[2], 1, 0, None),  # skipped: no mask
        (ids[3], 1, 0, 1),
    ]
    with pytest.raises(NotFound):
        next(read_visits(store, "dogs"))


def test_of_two_annotations_only_the_newest_counts(store: CampaignStore) -> None:
    older = visit(0, 1, annotation=999, updated_at=1.0, n=1)
    store.replace_visits(NAME, 1, [1], [])
    store.replace_visits(NAME, 1, [10], [visit(0, 1), older])

    first = [entry for entry in read_visits(store, NAME) if entry.visit.round == 1][:2]
    assert {entry.visit.annotation: entry.is_valid for entry in first} == {100: True, 999: False}
    assert {entry.visit.annotation: entry.after is None for entry in first} == {
        100: False,
        999: True,
    }
    assert len(list(click_rows(store, NAME))) + 1 == len(
        list(click_rows(store, NAME, all_visits=True))
    )


def test_clicks_of_people_who_have_not_passed_do_not_count(tmp_path: Path) -> None:
    store = fill(tmp_path / "campaigns.db", qualification=Qualification(5))
    assert list(click_rows(store, NAME)) == []
    assert list(campaign_rows(store, NAME)) == []

    store.put_person(NAME, 7, name="Ada", qualified=True)
    assert len(list(click_rows(store, NAME))) == 6
    store.change_campaign(
        replace(store.campaign(NAME), qualification=Qualification(5, required=False))
    )
    assert len(list(click_rows(store, NAME))) == 6
    store.close()


def test_a_click_has_its_visit_and_what_it_changed(store: CampaignStore) -> None:
    rows = by_place(click_rows(store, NAME))
    one = instance(0)

    row = rows[one.id, 1, 0]
    assert (row.campaign, row.image, row.label, row.source_id) == (NAME, one.image, "cat", "b0")
    assert (row.annotation_id, row.annotator, row.outcome, row.lead_time_s) == (
        100,
        7,
        "corrected",
        8.5,
    )
    assert (row.x, row.y, row.positive, row.at, row.click_id) == (
        46.5,
        30.25,
        True,
        9.0,
        "k0_1_0_0",
    )
    assert row.iou_with_previous == pytest.approx(30 / 35)
    assert (row.true_iou_before, row.true_iou_after) == (0.75, 0.875)
    # The click lies on the missing right quarter, 10 columns of 40.
    assert row.error_area_px == 400
    size = {"size": list(SHAPE)}
    assert np.array_equal(decode_coco_rle({**size, "counts": row.mask_before}), square(10, 40))
    assert np.array_equal(decode_coco_rle({**size, "counts": row.mask_after}), square(10, 45))
    # A negative click there puts nothing right.
    assert rows[one.id, 1, 1].error_area_px == 0


def test_what_nobody_knows_is_left_open(store: CampaignStore) -> None:
    store.drop_masks(NAME, [(instance(0).id, 2)])
    rows = by_place(click_rows(store, NAME))

    without_truth = rows[instance(3).id, 1, 0]
    assert without_truth.error_area_px is without_truth.true_iou_after is None
    assert without_truth.iou_with_previous is not None
    open_round = rows[instance(0).id, 2, 0]
    assert open_round.mask_after is open_round.iou_with_previous is None
    assert open_round.error_area_px == 200


def test_rows_to_rank_are_those_of_finished_rounds(store: CampaignStore) -> None:
    rows = {(row.instance, row.round): row for row in campaign_rows(store, NAME)}
    ids = [instance(number).id for number in range(4)]

    assert list(rows) == [(ids[0], 1), (ids[0], 2), (ids[1], 1), (ids[3], 1)]
    clicks = [click.pixel for click in visit(0, 2).clicks]
    expected = features(square(10, 45), square(10, 50), clicks, round_index=2)
    assert rows[ids[0], 2].features == tuple(in_crop(expected, instance(0).box))
    assert (rows[ids[0], 2].true_iou, rows[ids[0], 2].score) == (1.0, 0.875)
    second = rows[ids[0], 2]
    assert (second.label, second.annotator, second.seconds) == ("cat", 7, visit(0, 2).lead_time_s)
    assert second.clicks_before == len(visit(0, 1).clicks)
    assert second.true_iou_before == rows[ids[0], 1].true_iou
    assert second.score_before == rows[ids[0], 1].score
    assert rows[ids[1], 1].features == (0, 1, 1, 0, 0)
    assert rows[ids[1], 1].true_iou == iou(square(10, 40), square(10, 50))
    assert rows[ids[3], 1].true_iou is None


def test_what_was_skipped_in_a_later_round_is_not_ranked(store: CampaignStore) -> None:
    """It has no mask in the end, so nothing may be promised of it."""
    dropped = replace(visit(0, 2), outcome="skipped", clicks=(), painted=None)
    store.replace_visits(NAME, 2, None, [dropped])

    assert instance(0).id not in {row.instance for row in campaign_rows(store, NAME)}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_log_is_the_same_from_any_number_of_processes(tmp_path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    store = fill(tmp_path / "campaigns.db", n=400)
    files = [tmp_path / f"{processes}{suffix}" for processes in (1, 2)]
    written = [
        write_clicks(store, NAME, path, processes=processes)
        for processes, path in enumerate(files, start=1)
    ]
    assert written == [600, 600]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert list(campaign_rows(store, NAME, processes=2)) == list(campaign_rows(store, NAME))
    store.close()


def test_a_table_reads_back_as_it_was_written(store: CampaignStore, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    write_clicks(store, NAME, tmp_path / "clicks.parquet")
    write_clicks(store, NAME, tmp_path / "clicks.csv")
    rows = [asdict(row) for row in click_rows(store, NAME)]

    assert parquet.read_table(tmp_path / "clicks.parquet").to_pylist() == rows
    lines = list(csv.DictReader((tmp_path / "clicks.csv").read_text().splitlines()))
    assert list(lines[0]) == list(rows[0])
    assert [line["positive"] for line in lines][:2] == ["true", "false"]
    assert [line["error_area_px"] for line in lines][-1] == ""


def test_a_damaged_mask_is_an_error_that_stops_the_log(store: CampaignStore, tmp_path) -> None:
    [before] = [mask for mask in dict(store.masks(NAME))[instance(0).id].values() if not mask.round]
    store.put_masks(NAME, [replace(before, counts=b"\xff")])

    with pytest.raises(InputError):
        write_clicks(store, NAME, tmp_path / "clicks.csv")
    assert [path.name for path in tmp_path.glob("*clicks*")] == []
    with pytest.raises(InputError, match="csv or"):
        write_clicks(store, NAME, tmp_path / "clicks.xlsx")


def fail(here: int, item: int) -> int:
    if os.getpid() == here:
        return item
    raise InputError(f"`item` must not be; got {item}")


def die(here: int, item: int) -> int:
    if os.getpid() == here:
        return item
    os._exit(1)


def test_an_error_in_another_process_is_the_callers() -> None:
    with pytest.raises(InputError, match="got 8"):
        list(map_in_order(fail, range(20), shared=os.getpid(), processes=2))


def test_a_process_that_dies_is_said_to_have_died() -> None:
    with pytest.raises(Unavailable, match="died"):
        list(map_in_order(die, range(20), shared=os.getpid(), processes=2))


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_from_the_command_line_to_a_ranking(tmp_path: Path) -> None:
    fill(tmp_path / "campaigns.db", n=40).close()
    state = ("--state", tmp_path)
    clicks, rows, model = (tmp_path / name for name in ("clicks.csv", "rows.csv", "ranker.npz"))

    assert "60 rows" in run("log", "export", NAME, "--out", clicks, *state)
    said = json.loads(run("rank", "rows", NAME, "--out", rows, "--json", *state))
    assert said == {"out": str(rows), "rows": 40}
    assert len(read_rows(rows)) == 40
    run("rank", "train", rows, "--out", model)
    run("rank", "apply", rows, "--model", model, "--out", tmp_path / "ranks.csv")
    assert len((tmp_path / "ranks.csv").read_text().splitlines()) == 1 + 30


def test_a_log_is_of_a_campaign_or_live(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--live"):
        run("log", "export", "--out", tmp_path / "a.csv", "--state", tmp_path)
    with pytest.raises(InputError, match="--live"):
        run("log", "export", NAME, "--live", "--out", tmp_path / "a.csv", "--state", tmp_path)
