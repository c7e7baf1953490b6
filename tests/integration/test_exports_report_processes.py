"""A report measured by several processes, and by the example in the guide."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from simulated_campaign import Thing, fill

from remask_core.types import Box
from remask_quality.measures.campaign import measure
from remask_simulation.annotators import Annotator
from remask_storage.campaign import Campaign
from remask_storage.campaign_store import CampaignStore

GUIDE = Path(__file__).parent.parent.parent / "docs" / "report.md"


def filled(place: Path, n: int) -> CampaignStore:
    truth = np.zeros((50, 60), np.bool_)
    truth[10:40, 15:40] = True
    truth[10:20, 15:25] = False
    things = [
        Thing("/a.jpg", f"class {number % 3}", truth, Box(10, 8, 45, 44)) for number in range(n)
    ]
    store = CampaignStore.open(place)
    fill(store, Campaign("cats", 7, 0.0), things, (Annotator(), Annotator(pace=0.5)), truths=0.5)
    return store


@pytest.mark.timeout(300)
def test_the_number_of_processes_changes_nothing(tmp_path: Path) -> None:
    store = filled(tmp_path / "campaigns.db", 260)

    assert measure(store, "cats") == measure(store, "cats", processes=2)


def test_the_guides_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "state").mkdir()
    filled(tmp_path / "state" / "campaigns.db", 6).close()
    [example] = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "example.py").write_text(example, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    runpy.run_path("example.py")

    assert "Campaign cats" in (tmp_path / "report.html").read_text(encoding="utf-8")
