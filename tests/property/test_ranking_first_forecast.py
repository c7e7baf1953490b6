"""What a campaign is forecast to take and bring before anybody has worked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from campaign_data import fill
from typer.testing import CliRunner

from remask_cli.main import app
from remask_core.errors import InputError
from remask_ranking.first_forecast import PastVisit, Sized, forecast_campaign, past_visits

BOXES = [Sized("cat", 150.0)] * 60 + [Sized("dog", 300.0)] * 40


def test_without_logs_the_published_figures_are_taken() -> None:
    found = forecast_campaign(BOXES, rounds=3)

    # 10.8, 11.7 and 11.9 s, of which 95.2 % and 90.6 % reach the second and third.
    assert found.visits == pytest.approx(100 * (1 + 0.952 + 0.952**2))
    seconds = found.hours.value * 3600 / 100
    assert seconds == pytest.approx(10.8 + 0.952 * 11.7 + 0.952**2 * 11.9, abs=0.01)
    assert found.hours.low == pytest.approx(found.hours.value * 8.7 / 11.4)
    assert found.hours.high == pytest.approx(found.hours.value * 12.7 / 11.4)
    assert "published" in found.basis[0]
    assert [row[:2] for row in found.classes] == [("cat", 60), ("dog", 40)]


def test_quality_follows_the_sizes_and_the_rounds() -> None:
    found = forecast_campaign(BOXES, rounds=3)

    assert found.iou.value == pytest.approx(0.6 * 0.882 + 0.4 * 0.924)
    assert found.iou_first.value < forecast_campaign(BOXES, rounds=1).iou.value < found.iou.value
    assert forecast_campaign(BOXES, rounds=9).iou == found.iou
    assert [row[:2] for row in found.sizes] == [("100 to 200 px", 60), ("200 to 400 px", 40)]
    assert forecast_campaign([Sized("cat", None)], rounds=1).sizes[0][1] == 1
    assert forecast_campaign([Sized("cat", 400.0)], rounds=1).sizes[0][0] == "400 px and more"


def test_logs_of_other_campaigns_say_more() -> None:
    past = [PastVisit("cat", 1, number % 2 == 0, 20.0) for number in range(30)]
    past += [PastVisit("dog", 1, True, 5.0)] * 10

    found = forecast_campaign(BOXES, rounds=2, past=past)

    # 25 of 40 visits went on. A dog has too few visits of its own: the mean of all, 16.25 s.
    assert found.visits == pytest.approx(100 * (1 + 25 / 40))
    assert {label: hours for label, _, hours in found.classes} == {
        "cat": pytest.approx(60 * 1.625 * 20.0 / 3600),
        "dog": pytest.approx(40 * 1.625 * 16.25 / 3600),
    }
    assert found.hours.low < found.hours.value < found.hours.high
    assert found.basis[0] == "Time: 40 visits of other campaigns in this store."
    few = forecast_campaign(BOXES, rounds=2, past=past[:19])
    assert "published" in few.basis[0]


def test_the_visits_of_a_store_are_found(tmp_path: Path) -> None:
    store = fill(tmp_path / "campaigns.db")

    found = past_visits(store)

    assert len(found) == 5
    assert sum(visit.goes_on for visit in found) == 3
    assert {visit.seconds for visit in found} == {8.5}
    store.close()


def test_nothing_cannot_be_forecast() -> None:
    with pytest.raises(InputError, match="a box and a round"):
        forecast_campaign([], rounds=3)


def test_the_command_makes_nothing(tmp_path: Path) -> None:
    """Neither Label Studio nor an access token is needed for boxes in a file."""
    coco = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 640, "height": 480}],
        "annotations": [
            {"id": n, "image_id": 1, "category_id": 1, "bbox": [10, 10, side, 60]}
            for n, side in enumerate((30, 120, 250))
        ],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (tmp_path / "boxes.json").write_text(json.dumps(coco))
    command = ["campaign", "create", "cats", "--coco", str(tmp_path / "boxes.json"), "--forecast"]
    command += ["--image-prefix", "https://example.org/", "--state", str(tmp_path / "state")]

    said = CliRunner().invoke(app, command)
    told = CliRunner().invoke(app, [*command, "--json"])

    assert said.exit_code == 0, said.output
    assert "2 instances, 3 rounds: about 6 visits" in said.output
    assert "published figures" in said.output
    assert json.loads(told.stdout)["instances"] == 2
