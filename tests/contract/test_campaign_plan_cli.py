"""`remask campaign plan` and `reopen --plan`: from a store to a round."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from campaign_data import NAME, SHAPE, counts, instance, square, visit
from typer.testing import CliRunner, Result

from remask_cli.main import app
from remask_core.errors import InputError, NotFound
from remask_ranking.campaign_plan import read_plan
from remask_storage.campaign import Campaign, Mask, Round, Truth
from remask_storage.campaign_store import CampaignStore

N = 24


@pytest.fixture
def store(tmp_path: Path):
    """Two closed rounds; mask `n` lacks `n` of 40 columns and gets half of them back a round."""
    store = CampaignStore.open(tmp_path / "campaigns.db")
    instances = [instance(number) for number in range(N)]
    store.add_campaign(Campaign(NAME, 3, 1000.0, rounds=2), instances)
    masks, visits = [], []
    for number, made in enumerate(instances):
        for round_ in (0, 1, 2):
            lacking = number >> round_
            masks.append(Mask(made.id, round_, counts(square(10, 50 - lacking)), 0.5, "toy@1"))
        visits += [
            replace(visit(number, round_, annotator=7 + number % 2), lead_time_s=8.0 + number)
            for round_ in (1, 2)
        ]
    visits[1] = replace(visits[1], outcome="skipped", clicks=())
    visits[-1] = replace(visits[-1], outcome="painted", painted=counts(square(10, 40)))
    for round_ in (1, 2):
        store.put_round(NAME, Round(round_, "closed", 10 + round_, "toy@1", 1.0, 2.0))
        store.replace_visits(NAME, round_, None, [own for own in visits if own.round == round_])
    store.put_masks(NAME, masks)
    store.put_truths(
        NAME, [Truth(made.id, counts(square(10, 50)), "file") for made in instances[::2]]
    )
    store.put_person(NAME, 7, name="Ada", qualified=None)
    assert SHAPE == (60, 80)
    yield store
    store.close()


def run(tmp_path: Path, *arguments: str | Path) -> Result:
    command = ["campaign", *map(str, arguments), "--state", str(tmp_path)]
    result = CliRunner().invoke(app, command)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_a_plan_is_made_written_and_put_to_work(store: CampaignStore, tmp_path: Path) -> None:
    path = tmp_path / "plan.csv"

    said = run(tmp_path, "plan", NAME, "--hours", "0.05", "--out", path, "--processes", "1")

    assert said.exit_code == 0, said.output
    assert "hours raise the mean IoU of the 23 masks" in said.stdout
    assert "Ada" in said.stdout
    assert f"Next: remask campaign reopen {NAME} --plan" in said.stdout
    lines = list(csv.DictReader(path.read_text().splitlines()))
    assert [int(line["place"]) for line in lines] == list(range(1, len(lines) + 1))
    assert {line["name"] for line in lines} <= {"Ada", ""}
    named = {line["instance"] for line in lines}
    assert instance(0).id not in named  # skipped
    assert instance(N - 1).id not in named  # painted
    assert named

    sent = run(tmp_path, "reopen", NAME, "--plan", path)

    assert f"{len(named)} instances are sent back" in sent.stdout
    assert set(store.campaign(NAME).reopened[3]) == named


def test_programs_read_the_plan_and_people_the_past(store: CampaignStore, tmp_path: Path) -> None:
    told = json.loads(run(tmp_path, "plan", NAME, "--json", "--processes", "1").stdout)
    said = run(tmp_path, "plan", NAME, "--past", "--target", "0.9", "--processes", "1").stdout

    assert told["masks"] == 23
    assert told["truths"] == 11
    assert told["iou_now"]["low"] < told["iou_now"]["value"] < told["iou_now"]["high"]
    assert {group["by"] for group in told["groups"]} >= {"all", "class", "size", "round"}
    for words in ("predicted IoU", "cat", "dog", "known gains"):
        assert words in said


def test_what_cannot_be_planned_is_said(store: CampaignStore, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        run(tmp_path, "plan", "dogs")
    with pytest.raises(InputError, match="`hours` or `target`"):
        run(tmp_path, "plan", NAME, "--hours", "1", "--target", "0.9", "--processes", "1")


def test_a_campaign_is_reopened_by_a_plan_or_by_a_ranking(
    store: CampaignStore, tmp_path: Path
) -> None:
    (tmp_path / "plan.csv").write_text("instance\n")
    with pytest.raises(InputError, match="one of `--plan` and `--ranks`"):
        run(tmp_path, "reopen", NAME)
    with pytest.raises(InputError, match="`--worst` needs"):
        run(tmp_path, "reopen", NAME, "--plan", tmp_path / "plan.csv", "--worst", "10")
    with pytest.raises(InputError, match="names none"):
        read_plan(tmp_path / "plan.csv")
    with pytest.raises(NotFound):
        read_plan(tmp_path / "none.csv")
    (tmp_path / "plan.csv").write_text("gain;instance\n1;b\n2;a\n3;b\n")
    assert read_plan(tmp_path / "plan.csv") == ["b", "a"]
