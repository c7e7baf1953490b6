"""From a campaign to the next model: data, a short training, and the comparison."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from simulated_campaign import Thing, fill, mend
from typer.testing import CliRunner

from remask_cli.main import app
from remask_core.errors import InputError, WrongState
from remask_core.types import BoolMask, Box, Click
from remask_evaluation.datasets import open_set
from remask_evaluation.next_model import Comparison, compare_models
from remask_models.convnet.loading import WEIGHTS
from remask_simulation.annotators import crew
from remask_storage.campaign import Campaign, CampaignInstance
from remask_storage.campaign_store import CampaignStore
from remask_training import start
from remask_training.campaign_data import CampaignData, write_campaign_data
from remask_training.config import CONFIGS
from remask_training.samples import read_folder

SHAPE = (96, 120)
PICTURES = 20
TINY = replace(CONFIGS["fine"], sides=(64,), batch=2, steps=2, passes=2, warm_up=1, check_every=2)


def _things() -> list[Thing]:
    """One disk in each half of a picture."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    things = []
    for number in range(PICTURES):
        for x in (32, 88):
            truth = np.hypot(rows - 48, columns - x) < 20 + number % 4
            tight = [np.flatnonzero(truth.any(axis=axis)) for axis in (0, 1)]
            box = Box(
                float(tight[0][0]),
                float(tight[1][0]),
                float(tight[0][-1] + 1),
                float(tight[1][-1] + 1),
            )
            things.append(Thing(f"/photos/{number}.png", "disk", truth, box))
    return things


def _make_mask(thing: Thing, before: BoolMask | None, clicks: Sequence[Click]) -> BoolMask:
    """Half of the object at first, so that it needs a click."""
    if before is not None:
        return mend(thing, before, clicks)
    half = thing.truth.copy()
    half[48:] = False
    return half


def _fetch(instance: CampaignInstance) -> bytes:
    rng = np.random.default_rng(int(Path(instance.image).stem))
    image = rng.integers(0, 90, (*SHAPE, 3), dtype=np.uint8)
    for thing in _things():
        if thing.image == instance.image:
            image[thing.truth] += np.array([20, 90, 150], np.uint8)
    done, data = cv2.imencode(".png", image)
    assert done
    return bytes(data)


@pytest.fixture
def store(tmp_path: Path) -> CampaignStore:
    store = CampaignStore.open(tmp_path / "state" / "campaigns.db")
    campaign = Campaign("disks", source_project=1, created_at=0.0, long_side_px=1, short_side_px=1)
    fill(store, campaign, _things(), crew(2, rng=np.random.default_rng(1)), make_mask=_make_mask)
    return store


def _data(store: CampaignStore, folder: Path) -> CampaignData:
    return write_campaign_data(store, "disks", folder=folder, fetch_image=_fetch)


def test_no_picture_is_both_learnt_from_and_measured_on(
    store: CampaignStore, tmp_path: Path
) -> None:
    data = _data(store, tmp_path)

    learnt = {path.name for path in (data.learnt / "images").iterdir()}
    measured = {path.name for path in (data.measured / "images").iterdir()}
    assert not learnt & measured
    assert (len(learnt), len(measured)) == (data.learnt_pictures, data.measured_pictures)
    assert data.measured_pictures == 5
    assert len(open_set(data.measured_file)) == data.measured_objects
    samples = read_folder(data.learnt)
    assert len(samples) == data.learnt_objects
    assert any(sample.clicks for sample in samples)


def test_pictures_that_are_there_are_not_fetched_again(
    store: CampaignStore, tmp_path: Path
) -> None:
    first = _data(store, tmp_path)

    def fail(instance: CampaignInstance) -> bytes:
        raise AssertionError(f"{instance.image} was fetched again")

    assert write_campaign_data(store, "disks", folder=tmp_path, fetch_image=fail) == first


def test_truths_that_came_since_ask_for_a_new_folder(store: CampaignStore, tmp_path: Path) -> None:
    """Otherwise a picture that was learnt from might be measured on."""
    data = _data(store, tmp_path)
    content = json.loads(data.measured_file.read_text())
    content["images"] = content["images"][1:]
    data.measured_file.write_text(json.dumps(content))

    with pytest.raises(WrongState, match="`folder` must be new"):
        _data(store, tmp_path)


def test_a_campaign_with_too_few_truths_says_how_to_get_them(tmp_path: Path) -> None:
    store = CampaignStore.open(tmp_path / "campaigns.db")
    campaign = Campaign("disks", source_project=1, created_at=0.0, long_side_px=1, short_side_px=1)
    fill(store, campaign, _things(), crew(2, rng=np.random.default_rng(1)), truths=0.0)

    with pytest.raises(WrongState, match="at least 10 objects with a known truth"):
        _data(store, tmp_path)


def test_a_campaign_becomes_the_next_model_and_a_verdict(
    store: CampaignStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exit code, the words and the file say the same."""
    monkeypatch.setattr(start, "CONFIGS", CONFIGS | {"fine": TINY})
    out = tmp_path / "run"
    _data(store, out / "data")
    arguments = ["train", "campaign", "disks", "--out", str(out), "--device", "cpu"]
    arguments += ["--state", str(tmp_path / "state")]

    done = CliRunner().invoke(app, arguments)

    assert "Learning from" in done.output
    verdict = json.loads((out / "verdict.json").read_text())
    is_better = verdict["low"] > 0
    assert done.exit_code == (0 if is_better else 1)
    assert ("Take it: `remask serve --weights" in done.output) is is_better
    assert verdict["objects"] == 10
    assert len(verdict["miou_before"]) == 4
    assert verdict["low"] <= verdict["gain"] <= verdict["high"]
    assert Path(verdict["weights"]).is_file()
    rows = (out / "rows.jsonl").read_text()

    again = CliRunner().invoke(app, [*arguments, "--json"])
    assert json.loads(again.stdout)["gain"] == verdict["gain"]
    assert (out / "rows.jsonl").read_text() == rows


def test_weights_are_not_compared_with_themselves(store: CampaignStore, tmp_path: Path) -> None:
    data = _data(store, tmp_path)
    with pytest.raises(InputError, match="must be other weights"):
        compare_models(None, WEIGHTS, measured=data.measured_file, rows=tmp_path / "rows.jsonl")


@pytest.mark.parametrize(("low", "expected"), [(0.001, True), (0.0, False), (-0.01, False)])
def test_better_means_above_zero_with_confidence(low: float, *, expected: bool) -> None:
    found = Comparison(
        objects=40,
        before="convnet@a",
        after="convnet@b",
        miou_before=(0.8, 0.9),
        miou_after=(0.81, 0.92),
        gain=0.015,
        low=low,
        high=0.03,
        weights="weights.npz",
    )
    assert found.is_better is expected
    assert ("is better than" in found.sentence) is expected
