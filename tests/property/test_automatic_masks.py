"""Automatic masks: the authors' numbers, and the authors' generator on the same weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from segment_anything import SamAutomaticMaskGenerator
from segment_anything.modeling import Sam
from tiny_sam import golden, golden_sam

from remask_core.rle_coco import coco_rle, decode_coco_rle, encode_coco_rle
from remask_masks.automatic.filters import kept_by_nms, mask_box, stability
from remask_masks.automatic.generate import AutomaticSettings, automatic_masks
from remask_masks.automatic.grids import Crop, crops_of, layer_grids, leaves_crop, point_grid
from remask_masks.automatic.small_regions import clean, fill_holes, remove_islands
from remask_models.sam.segment_anything import SamSegmenter

NAMES = {
    "points_per_side": "points_per_side",
    "pred_iou_thresh": "min_score",
    "stability_score_thresh": "min_stability",
    "stability_score_offset": "stability_offset",
    "box_nms_thresh": "box_nms",
    "crop_n_layers": "crop_layers",
    "crop_nms_thresh": "crop_nms",
    "crop_n_points_downscale_factor": "crop_downscale",
    "min_mask_region_area": "min_region_px",
}
"""The authors' name of each setting, and ours."""


@pytest.fixture(scope="module")
def utils(shared: Path) -> dict[str, Any]:
    return json.loads((shared / "golden" / "sam" / "amg_utils.json").read_text())


@pytest.fixture(scope="module")
def image(shared: Path) -> np.ndarray:
    with Image.open(shared / "golden" / "sam" / "image_240x320.png") as file:
        return np.array(file.convert("RGB"))


@pytest.fixture(scope="module")
def sam(shared: Path) -> Sam:
    return golden_sam(shared)


def settings_of(params: dict[str, Any]) -> AutomaticSettings:
    return AutomaticSettings(**{NAMES[name]: value for name, value in params.items()})


# ---- grids and crops


def test_point_grids_are_the_authors(utils: dict[str, Any]) -> None:
    for side, points in utils["build_point_grid"].items():
        np.testing.assert_allclose(point_grid(int(side)), points, atol=1e-12)
    grid = point_grid(32)
    first = utils["build_point_grid_32"]["first"]
    np.testing.assert_allclose(grid[: len(first)], first, atol=1e-12)
    np.testing.assert_allclose(grid[-1], utils["build_point_grid_32"]["last"], atol=1e-12)
    for scale, sizes in utils["all_layer_grid_sizes(32,2,scale)"].items():
        grids = layer_grids(32, crop_layers=2, downscale=int(scale))
        assert sizes == [len(grid) for grid in grids]


def test_crops_are_the_authors(utils: dict[str, Any]) -> None:
    for name, (boxes, layers) in utils["generate_crop_boxes"].items():
        size, _, last = name.partition("_L")
        height, width = map(int, size.split("x"))
        crops = crops_of((height, width), layers=int(last), overlap_ratio=512 / 1500)
        assert boxes == [[crop.x0, crop.y0, crop.x1, crop.y1] for crop in crops]
        assert layers == [crop.layer for crop in crops]


def test_masks_cut_off_by_their_crop_are_the_authors(utils: dict[str, Any]) -> None:
    case = utils["is_box_near_crop_edge"]
    _, _, width, height = case["orig"]
    x0, y0, x1, y1 = case["crop"]
    at_origin = Crop(1, 0, 0, x1 - x0, y1 - y0)
    for crop, expected in (
        (Crop(1, x0, y0, x1, y1), case["out"]),
        (at_origin, case["out_crop_at_origin"]),
    ):
        cut = [leaves_crop(tuple(box), crop, shape_hw=(height, width)) for box in case["boxes"]]
        assert expected == cut


@settings(max_examples=30)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 3))
def test_crops_of_any_image_lie_on_it_and_cover_it(height: int, width: int, layers: int) -> None:
    covered = np.zeros((layers + 1, height, width), bool)

    for crop in crops_of((height, width), layers=layers, overlap_ratio=512 / 1500):
        assert 0 <= crop.x0 < crop.x1 <= width
        assert 0 <= crop.y0 < crop.y1 <= height
        covered[crop.layer, crop.y0 : crop.y1, crop.x0 : crop.x1] = True

    assert covered.all()


# ---- filters


def test_stability_is_the_authors(utils: dict[str, Any]) -> None:
    slope = np.tile(np.linspace(-3, 3, 60, dtype=np.float32), (40, 1))
    planes = [slope, *(np.full((40, 60), value, np.float32) for value in (-5, 5, -0.5))]
    tried = {key: values for key, values in utils["stability"].items() if key.startswith("thr")}
    for key, expected in tried.items():
        threshold, offset = (float(part[3:]) for part in key.split("_"))
        found = [stability(plane, threshold=threshold, offset=offset) for plane in planes]
        np.testing.assert_allclose(
            found, [np.nan if value is None else value for value in expected], atol=1e-7
        )
    assert tried


def test_boxes_and_runs_of_masks_are_the_authors(utils: dict[str, Any]) -> None:
    for case in utils["rle"].values():
        mask = np.array(case["mask"], bool)
        assert tuple(case["box"]) == mask_box(mask)
        assert case["coco"] == encode_coco_rle(mask)
        assert case["area"] == mask.sum()


def test_small_regions_are_the_authors(utils: dict[str, Any]) -> None:
    case = utils["remove_small_regions"]
    mask = decode_coco_rle(case["mask_rle"])
    tried = case["out"]
    for name, expected in tried.items():
        mode, _, least = name.partition("_")
        cleaned = (fill_holes if mode == "holes" else remove_islands)(
            mask, min_area_px=float(least)
        )
        assert expected["changed"] == cleaned.changed
        assert expected["area"] == cleaned.mask.sum()
        assert np.array_equal(decode_coco_rle(expected["rle"]), cleaned.mask)
    assert tried


@settings(max_examples=30)
@given(st.integers(0, 2**16), st.integers(1, 30))
def test_a_cleaned_mask_has_nothing_left_to_clean(seed: int, least: int) -> None:
    """Where a part is large enough to stay, a second clean-up finds nothing."""
    mask = np.random.default_rng(seed).random((12, 17)) < 0.6
    once = clean(mask, min_area_px=least).mask

    if once.sum() >= least:
        assert np.array_equal(once, clean(once, min_area_px=least).mask)


@settings(max_examples=30)
@given(st.integers(0, 2**16), st.sampled_from([0.0, 0.3, 0.7, 1.0]))
def test_box_suppression_is_that_of_torchvision(seed: int, limit: float) -> None:
    import torch
    from torchvision.ops import nms

    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 30, (25, 4))
    boxes = np.hstack([corners[:, :2], corners[:, :2] + corners[:, 2:]])
    scores = rng.choice([0.1, 0.5, 0.9], 25)

    kept = kept_by_nms([tuple(box) for box in boxes], scores.tolist(), iou_threshold=limit)

    expected = nms(torch.tensor(boxes).float(), torch.tensor(scores).float(), limit)
    assert expected.tolist() == kept


# ---- whole runs


def test_whole_runs_are_the_authors(sam: Sam, image: np.ndarray, shared: Path) -> None:
    notes, _ = golden(shared)
    model = SamSegmenter(sam, name="tiny", version="tiny@0")
    for run in notes["amg"].values():
        masks = automatic_masks(model, image, settings_of(run["params"]))

        assert len(run["masks"]) == len(masks)
        for expected, mask in zip(run["masks"], masks, strict=True):
            assert expected["rle"] == coco_rle(mask.counts, shape_hw=(240, 320))
            assert expected["area"] == mask.area_px
            assert expected["point"] == list(mask.point_xy)
            assert expected["predicted_iou"] == pytest.approx(mask.score, abs=1e-5)
            assert expected["stability"] == pytest.approx(mask.stability, abs=1e-5)


# Of the authors' own code, which is older than numpy 2.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize(
    "params",
    [
        {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.2, "stability_score_offset": 0.3},
        {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "min_mask_region_area": 50},
        {
            "pred_iou_thresh": 0.0,
            "stability_score_thresh": 0.0,
            "crop_n_layers": 1,
            "crop_nms_thresh": 1.0,
            "crop_n_points_downscale_factor": 2,
        },
        {
            "pred_iou_thresh": 0.05,
            "stability_score_thresh": 0.1,
            "stability_score_offset": 0.05,
            "box_nms_thresh": 0.99,
            "crop_n_layers": 2,
            "crop_n_points_downscale_factor": 2,
            "crop_nms_thresh": 0.95,
            "min_mask_region_area": 100,
        },
    ],
    ids=["stability", "small regions", "crops", "everything"],
)
def test_any_settings_give_what_the_authors_generator_gives(
    sam: Sam, image: np.ndarray, params: dict[str, Any]
) -> None:
    params = {"points_per_side": 4, "box_nms_thresh": 1.0, **params}
    generator = SamAutomaticMaskGenerator(sam, output_mode="coco_rle", **params)
    expected = generator.generate(image)

    masks = automatic_masks(
        SamSegmenter(sam, name="tiny", version="tiny@0"), image, settings_of(params)
    )

    assert len(expected) == len(masks) > 0
    for record, mask in zip(expected, masks, strict=True):
        assert record["segmentation"] == coco_rle(mask.counts, shape_hw=(240, 320))
        assert record["point_coords"] == [list(mask.point_xy)]
        x0, y0, x1, y1 = mask.box
        assert record["bbox"] == [x0, y0, x1 - x0, y1 - y0]
        assert record["predicted_iou"] == pytest.approx(mask.score, abs=1e-5)
        assert record["stability_score"] == pytest.approx(mask.stability, abs=1e-5)
