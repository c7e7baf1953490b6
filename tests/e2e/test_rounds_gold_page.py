"""A reference mask painted in the real editor: a stroke is enough, and comes back as the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from e2e.editor import Editor
from studio import Studio

from remask_campaigns.gold.painting import open_gold, read_gold
from remask_core.rle_coco import decode_coco_counts
from remask_core.types import Box, RgbImage
from remask_label_config.pages.painting import OTHER_CLASS
from remask_storage.campaign import Campaign, CampaignInstance
from remask_storage.campaign_store import CampaignStore

CAMPAIGN = Campaign("painted by hand", 1, 0.0, policies={"": "With the **tail**."})


def test_a_stroke_of_the_brush_is_the_truth_without_choosing_anything_first(
    annotator: Editor, studio: Studio, picture: tuple[str, RgbImage], tmp_path: Path
) -> None:
    name, image = picture
    shape_hw = (image.shape[0], image.shape[1])
    address = f"/data/local-files/?d=images/{name}"
    box = Box(150, 120, 350, 300)
    instance = CampaignInstance("cat_1", address, shape_hw, "cat", box, 1, "b")
    store = CampaignStore.open(tmp_path / "campaigns.db")
    store.add_campaign(CAMPAIGN, [instance])
    connection = studio.connection
    (project,) = open_gold(store, connection, CAMPAIGN.name, count=1, double=0).values()
    connection.serve_folder(project, studio.files_root / "images")

    annotator.open_stream(project)
    annotator.paint((180, 200, 320, 200))
    # A stroke begun anew, after everything was let go of, belongs to the same object.
    annotator.let_go()
    annotator.take_label("1", "Object")
    annotator.paint((250, 150, 250, 280))
    annotator.choose_option(OTHER_CLASS)
    annotator.submit()
    found = read_gold(store, connection, CAMPAIGN.name)

    assert (1, 1) == (found.instances, found.painted)
    truth = store.truths(CAMPAIGN.name)["cat_1"]
    assert OTHER_CLASS == truth.label
    mask = decode_coco_counts(truth.counts, shape_hw=shape_hw)
    assert mask[200, 185:315].all()
    assert mask[155:275, 250].all()
    assert not mask[100].any()
    assert not mask[:, 400].any()
    assert 140 <= np.count_nonzero(mask[200]) <= 200
    store.close()
