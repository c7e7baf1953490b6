"""Files rebuilt from public bug reports, in the shared folder beside the checkout."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from remask_campaigns.sources.coco import read_coco
from remask_campaigns.sources.open_images import read_class_descriptions, read_open_images
from remask_campaigns.sources.upload import ImagePlace, SourceImage, check_images
from remask_core.errors import InputError
from remask_core.left_out import LeftOutCounts
from remask_evaluation.coco import read_scored
from remask_evaluation.datasets import open_set
from remask_noise.annotation import NoiseOptions
from remask_noise.apply import apply_noise
from remask_noise.operations import LEVELS
from remask_storage.campaign import Campaign

# Whether a campaign can begin from it, and what is said of it; "" where nothing is left out.
CREATE: dict[str, tuple[bool, str]] = {
    "coco_backslash": (False, r"no-file: 1 \(images/im1\.png"),
    "coco_bbox_null": (True, ""),
    "coco_bom": (True, ""),
    "coco_captions": (False, "it lacks categories"),
    "coco_crlf": (True, ""),
    "coco_cvat_all_crowd": (False, r"Left out, crowd: 1 \(annotation 1\)"),
    "coco_dup_image": (False, "an id that another has: 1"),
    "coco_dup_image_name": (True, r"Left out, twice: 1 \(im1\.png\)"),
    "coco_empty_seg": (True, ""),
    "coco_exif": (False, r"exif6\.jpg .*640 x 480 px, but a browser shows it as 480 x 640"),
    "coco_extra_ann_image": (True, r"no-image: 1 \(annotation 1 \(no image 99\)\)"),
    "coco_flat_polygon": (True, ""),
    "coco_ids_zero": (True, ""),
    "coco_iscrowd_null": (True, ""),
    "coco_list_only": (False, "must hold a JSON object"),
    "coco_mixed_ids": (False, r"no-image: 1 \(annotation 1 \(no image '1'\)\)"),
    "coco_no_area": (True, ""),
    "coco_no_category_name": (False, r"no-class: 1 \(annotation 1 \(category 1 has no name"),
    "coco_null_category": (True, r"no-class: 1 \(annotation 1 \(no category None"),
    "coco_odd_labels": (True, ""),
    "coco_odd_names": (True, ""),
    "coco_outside": (True, r"no-box: 2 \(annotation 4 .*annotation 6 "),
    "coco_rle_list": (True, ""),
    "coco_single_polygon_outside": (True, ""),
    "coco_size_zero": (False, r"annotation 1 \(image 1 has no size\)"),
    "coco_two_point_polygon": (True, r"no-box: 2 \(annotation 1 .*annotation 2 "),
    "coco_utf16": (True, ""),
    "oi_bbox_seg": (True, ""),
    "oi_bom": (True, ""),
    "oi_crlf": (True, ""),
    "oi_header_only": (False, "the file has none"),
    "oi_latin1": (False, "must be text in UTF-8 or UTF-16"),
    "oi_minus_one": (True, r"group: 1 \(line 3\)"),
    "oi_percent_swapped": (True, r"unreadable: 2 \(line 2 .*line 5 "),
    "oi_plain": (True, ""),
    "oi_short_row": (True, r"unreadable: 1 \(line 2 "),
    "oi_trailing": (True, ""),
    "oi_upper_ext": (False, r"no-file: 2 \(im1\.png\.jpg .*IM2\.jpg "),
}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the cases call IMAGES."""
    folder = tmp_path_factory.mktemp("images")
    (folder / "sub dir").mkdir()
    grey = Image.new("RGB", (640, 480), "grey")
    for name in ("im1", "im2", "im3", "im4", "a #1?", "50% off+x", "Capture_d\xe9cran"):
        grey.save(folder / f"{name}.png")
    grey.save(folder / "sub dir/im 4.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    grey.save(folder / "exif6.jpg", exif=exif)
    return folder


@pytest.mark.parametrize("case", CREATE)
def test_create_reads_the_case_or_says_why_not(shared: Path, images: Path, case: str) -> None:
    begins, said = CREATE[case]
    left = LeftOutCounts()
    try:
        found = _source(shared / "cases" / case, images, left)
        wants = Campaign("cats", 0, 0.0).wants
        check_images(found, ImagePlace(images), wants=wants, left_out=left.add)
        refused = ""
    except InputError as error:
        refused = str(error)
    heard = "\n".join([*left.lines(), refused])
    assert begins == (not refused)
    assert re.search(said, heard) if said else not left


def _source(folder: Path, images: Path, left: LeftOutCounts) -> list[SourceImage]:
    if not folder.name.startswith("oi_"):
        return read_coco(folder / "coco.json", left_out=left.add)
    names = read_class_descriptions(folder / "classes.csv")
    return read_open_images(
        folder / "boxes.csv", class_names=names, folder=images, left_out=left.add
    )


# How many true annotations count, or what the file is refused with.
EVAL: dict[str, int | str] = {
    "eval_area_null": 1,
    "eval_bom": 1,
    "eval_boxes_only": "detection at position 0: `segmentation`",
    "eval_cat_null": 1,
    "eval_crowd_rle": 2,
    "eval_dup_cat_names": 2,
    "eval_empty_seg": 2,
    "eval_flat_polygon": r"no-mask: 1 \(annotation 1",
    "eval_float_ids": 1,
    "eval_ids_zero": 2,
    "eval_ignore": 2,
    "eval_missing_area": 1,
    "eval_no_dets": 1,
    "eval_no_truth": 0,
    "eval_perfect": 2,
    "eval_score_int": 1,
    "eval_score_missing": "detection at position 0: `score`",
    "eval_score_nan": "detection at position 0: `score`",
    "eval_score_null": "detection at position 0: `score`",
    "eval_score_text": "detection at position 0: `score`",
    "eval_size_float": 1,
    "eval_string_vs_int": "`image_id` must be one of the images; got '1'",
    "eval_unknown_cat": "`category_id` must be one of the categories; got 7",
    "eval_unknown_image": "`image_id` must be one of the images; got 99",
}


@pytest.mark.parametrize("case", EVAL)
def test_eval_reads_the_case_or_says_why_not(shared: Path, case: str) -> None:
    folder, expected = shared / "cases" / case, EVAL[case]
    if isinstance(expected, str):
        with pytest.raises(InputError, match=expected):
            read_scored(folder / "truth.json", folder / "dets.json")
    else:
        scored = read_scored(folder / "truth.json", folder / "dets.json")
        assert expected == len(scored.truth["annotations"])


# How many annotations have no mask to change; all other annotations get noise.
NOISE = {"noise_empty_seg": 1, "noise_no_seg": 1}
NOISE_CASES = [
    *("noise_bom", "noise_cat_null_super", "noise_crowd", "noise_empty_seg"),
    *("noise_extra_fields", "noise_float_size", "noise_ids_zero", "noise_nan"),
    *("noise_no_annotations", "noise_no_seg", "noise_one_class", "noise_outside"),
    *("noise_thin_image", "noise_tiny", "noise_unicode"),
]


@pytest.mark.parametrize("case", NOISE_CASES)
def test_noise_makes_the_case_noisy(shared: Path, tmp_path: Path, case: str) -> None:
    source = shared / "cases" / case / "in.json"
    counts = apply_noise(source, tmp_path / "out.json", NoiseOptions(LEVELS["medium"], seed=1))
    assert NOISE.get(case, 0) == counts.no_mask == len(counts.left_out)
    assert sum(counts.operations.values()) + counts.no_mask == counts.annotations


PNG = {
    "png_16bit": "",
    "png_grey": "",
    "png_index_bom_crlf": "",
    "png_index_latin1": "must be text in UTF-8 or UTF-16",
    "png_instance_absent": "a-7 has no pixel of its object",
    "png_mask_other_size": r"must have shape \(120, 160\); got \(60, 80\)",
    "png_palette": "",
    "png_rgb": "greyscale or palette PNG of labels; got one of 3 channels",
}


@pytest.mark.parametrize("case", PNG)
def test_a_folder_of_masks_is_read_or_says_why_not(shared: Path, case: str) -> None:
    folder = shared / "cases" / case
    if PNG[case]:
        with pytest.raises(InputError, match=PNG[case]):
            open_set(folder)[0].load()
    else:
        (instance,) = open_set(folder)
        assert instance.load().truth.any()
