"""The bench of exports and of the ranking, on very little."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bench_data import write_folder

from remask_bench.exports import compare_exports, table_of
from remask_evaluation.contestants import Contestant
from remask_evaluation.datasets import open_set
from remask_evaluation.ranking import ranking_report, study_ranking
from remask_ranking.table import read_rows


# Of modules that the SDK's converter imports, and of how it reads files.
@pytest.mark.filterwarnings("ignore")
def test_both_exports_are_timed_on_one_file_and_ours_has_every_mask(tmp_path: Path) -> None:
    timing = compare_exports(
        tmp_path,
        rng=np.random.default_rng(0),
        masks=3,
        shape_hw=(60, 80),
        ours_repeats=1,
        sdk_repeats=1,
    )

    assert timing.masks == timing.same_masks == 3
    assert (tmp_path / "sdk-0" / "result_coco.json").exists()
    assert "60 x 80" in table_of([timing]).words()[0]


def test_a_simulated_campaign_becomes_a_table_and_a_judgement(tmp_path: Path) -> None:
    instances = open_set(write_folder(tmp_path / "tiny"))
    segmenter = Contestant("remask_bench.checkable:load_checkable").load()
    rows, judgement = study_ranking(instances, segmenter, table=tmp_path / "rows.csv")

    assert read_rows(tmp_path / "rows.csv") == rows
    assert {row.instance for row in rows} <= {instance.key for instance in instances}
    assert all(1 <= row.round <= 3 for row in rows)
    assert all(row.true_iou is not None for row in rows)
    assert judgement.instances <= len(instances)
    html = ranking_report(rows, judgement, model="toy").to_html()
    assert "simulated campaign with toy" in html


def test_a_campaign_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    instances = open_set(write_folder(tmp_path / "tiny"))
    segmenter = Contestant("remask_bench.checkable:load_checkable").load()

    first, second = (study_ranking(instances, segmenter, seed=3)[0] for _ in range(2))

    assert first == second
