"""Automatic masks of any segmenter, on pictures that can be checked by eye."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import ToySegmenter

from remask_core.errors import InputError
from remask_core.types import Candidate, Embedding, Prompt
from remask_masks.automatic.generate import AutomaticSettings, automatic_masks
from remask_masks.automatic.grids import crops_of, layer_grids, point_grid

ALL = AutomaticSettings(points_per_side=4, min_score=0, min_stability=0)


class SquaresSegmenter(ToySegmenter):
    """Answers a click on a bright square with the square, and one beside it with the rest."""

    def predict(self, embedding: Embedding, prompt: Prompt) -> list[Candidate]:
        (click,) = prompt.clicks
        bright = embedding.arrays["image"][:, :, 1] > 127
        on_square = bright[int(click.y), int(click.x)]
        mask = bright if on_square else ~bright
        self.asked = [*getattr(self, "asked", []), (click.x, click.y)]
        return [Candidate(mask=mask, score=0.9 if on_square else 0.3)]


@pytest.fixture
def picture() -> np.ndarray:
    image = np.zeros((80, 80, 3), np.uint8)
    image[5:36, 5:36] = 255
    return image


def test_an_object_hit_by_many_points_is_found_once(picture: np.ndarray) -> None:
    masks = automatic_masks(SquaresSegmenter(), picture, ALL)

    assert [(31 * 31, (5, 5, 35, 35)), (6400 - 31 * 31, (0, 0, 79, 79))] == [
        (mask.area_px, mask.box) for mask in masks
    ]
    assert np.array_equal(picture[:, :, 0] > 0, masks[0].mask((80, 80)))


def test_masks_below_the_score_or_too_large_are_left_out(picture: np.ndarray) -> None:
    by_score = AutomaticSettings(points_per_side=4, min_score=0.5, min_stability=0)
    by_size = AutomaticSettings(points_per_side=4, min_score=0, min_stability=0, max_share=0.5)

    for settings in (by_score, by_size):
        (mask,) = automatic_masks(SquaresSegmenter(), picture, settings)
        assert mask.area_px == 31 * 31


def test_points_on_found_masks_can_be_left_out(picture: np.ndarray) -> None:
    """Of the sixteen points one is asked on the square, and one beside it."""
    model = SquaresSegmenter()
    sparing = AutomaticSettings(points_per_side=4, min_score=0, min_stability=0, skip_covered=True)

    masks = automatic_masks(model, picture, sparing)

    assert [(10, 10), (50, 10)] == model.asked
    assert len(masks) == 2


def test_a_known_embedding_is_not_made_again(picture: np.ndarray) -> None:
    model = SquaresSegmenter()
    known = model.embed(picture)
    model.embed = None  # type: ignore[assignment]

    assert len(automatic_masks(model, picture, ALL, embedding=known)) == 2


def test_work_pauses_between_points(picture: np.ndarray) -> None:
    paused: list[int] = []

    automatic_masks(
        SquaresSegmenter(),
        picture,
        ALL,
        embedding=SquaresSegmenter().embed(picture),
        pause=lambda: paused.append(1),
    )

    assert len(paused) == 16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points_per_side": 0}, "`points_per_side` must leave each layer a point"),
        ({"points_per_side": 2, "crop_layers": 2, "crop_downscale": 2}, "`points_per_side`"),
        ({"crop_layers": -1}, "`crop_layers` must be at least 0"),
        ({"crop_overlap": 1.0}, "`overlap_ratio` must be at least 0 and below 1"),
        ({"box_nms": 1.1}, "`box_nms` must be in"),
        ({"min_region_px": -1}, "`min_region_px` must be at least 0"),
        ({"max_share": 0.0}, "`max_share` must be above 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        AutomaticSettings(**change)  # type: ignore[arg-type]


def test_a_grid_of_one_point_is_the_middle() -> None:
    assert [[0.5, 0.5]] == point_grid(1).tolist()
    assert [1, 4] == [len(grid) for grid in layer_grids(2, crop_layers=1, downscale=2)][::-1]


def test_an_image_of_one_pixel_has_one_crop_per_layer() -> None:
    crops = crops_of((1, 1), layers=2, overlap_ratio=0.3)

    assert {(crop.layer, crop.x0, crop.x1) for crop in crops} == {(0, 0, 1), (1, 0, 1), (2, 0, 1)}
