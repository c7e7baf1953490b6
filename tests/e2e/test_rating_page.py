"""A mask rated in the real editor: one click on a star, and the rating comes back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from e2e.editor import Editor
from studio import Studio

from remask_campaigns.rating.project import open_rating, read_ratings
from remask_core.rle_coco import encode_coco_counts
from remask_core.types import Box, RgbImage
from remask_storage.campaign import Campaign, CampaignInstance, Mask
from remask_storage.campaign_store import CampaignStore

CAMPAIGN = Campaign("rated by people", 1, 0.0)


def test_a_click_on_a_star_is_the_rating(
    annotator: Editor, studio: Studio, picture: tuple[str, RgbImage], tmp_path: Path
) -> None:
    name, image = picture
    shape_hw = (image.shape[0], image.shape[1])
    box = Box(150, 120, 350, 300)
    address = f"/data/local-files/?d=images/{name}"
    instance = CampaignInstance("cat_1", address, shape_hw, "cat", box, 1, "b")
    pixels = np.zeros(shape_hw, np.bool_)
    pixels[120:300, 150:350] = True
    store = CampaignStore.open(tmp_path / "campaigns.db")
    store.add_campaign(CAMPAIGN, [instance])
    store.put_masks(CAMPAIGN.name, [Mask("cat_1", 0, encode_coco_counts(pixels), 0.7, "toy@0")])
    connection = studio.connection
    project = open_rating(store, connection, CAMPAIGN.name, count=1)
    connection.serve_folder(project, studio.files_root / "images")

    annotator.open_stream(project)
    annotator.page.locator(".ant-rate-star").nth(7).click()
    annotator.submit()

    (rating,) = read_ratings(store, connection, CAMPAIGN.name)
    assert (rating.instance, rating.origin, rating.rating) == ("cat_1", "campaign", 8)
    store.close()
