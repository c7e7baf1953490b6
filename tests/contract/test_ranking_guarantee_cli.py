"""A promise goes from a campaign's store into an export's manifest."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from simulated_campaign import Thing, fill
from typer.testing import CliRunner

from remask_campaigns.gold.instances import random_order
from remask_cli.rank import app
from remask_core.errors import InputError, NotFound
from remask_core.types import Box
from remask_exports.selection import Selection
from remask_ranking.campaign_rows import campaign_rows
from remask_ranking.promises import read_promise, rows_guarantee
from remask_simulation.annotators import Annotator
from remask_storage.campaign import Campaign
from remask_storage.campaign_store import CampaignStore

MASKS = 120


def thing(number: int) -> Thing:
    truth = np.zeros((40, 40), np.bool_)
    size = 14 + number % 12
    truth[5 : 5 + size, 6 : 6 + size] = True
    truth[5 : 5 + number % 7, 6:12] = False
    return Thing(f"/data/{number}.png", "cat", truth, Box(4, 3, 8 + size, 7 + size))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    store = CampaignStore.open(tmp_path / "campaigns.db")
    careful = Annotator(skip_share=0.0, slip_share=0.0, noise_px=0.0, min_area_px=1)
    fill(
        store,
        Campaign(name="cats", source_project=1, created_at=0.0),
        [thing(number) for number in range(MASKS)],
        [careful],
    )
    store.close()
    return tmp_path


def run(state: Path, *words: str) -> tuple[int, str]:
    arguments = ["guarantee", "cats", "--state", str(state), "--processes", "1", *words]
    result = CliRunner().invoke(app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


def test_masks_that_are_good_are_promised_and_exports_take_the_file(
    state: Path, tmp_path: Path
) -> None:
    out = tmp_path / "guarantee.json"

    code, said = run(state, "--min-iou", "0.6", "--out", str(out))

    assert code == 0, said
    assert "With 95 % confidence, at most 5 % of these" in said
    promise = read_promise(out)
    assert promise.sentence in said
    assert json.loads(out.read_text())["truths"] == MASKS
    assert Selection(promised=frozenset(promise.instances)).promised


def test_what_nobody_reaches_is_not_promised(state: Path, tmp_path: Path) -> None:
    out = tmp_path / "guarantee.json"

    code, said = run(state, "--min-iou", "1.0", "--bad", "0.1", "--out", str(out))

    assert code == 1
    assert "paint at least" in said or "No set of masks" in said
    with pytest.raises(InputError, match="promises nothing"):
        read_promise(out)


def test_truths_of_a_chosen_sample_promise_nothing(state: Path) -> None:
    store = CampaignStore.open(state / "campaigns.db")
    rows = list(campaign_rows(store, "cats"))
    store.close()
    chosen = set(random_order({row.instance for row in rows})[MASKS // 2 :])
    partly = [row if row.instance in chosen else replace(row, true_iou=None) for row in rows]

    with pytest.raises(InputError, match="random draw"):
        rows_guarantee(partly)


def test_a_part_of_a_promised_set_is_not_promised() -> None:
    with pytest.raises(InputError, match="the only condition"):
        Selection(promised=frozenset({"a"}), classes=frozenset({"cat"}))


def test_a_missing_file_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="remask rank guarantee"):
        read_promise(tmp_path / "none.json")
