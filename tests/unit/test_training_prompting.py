from __future__ import annotations

import numpy as np

from remask_models.convnet.prompt_planes import BOX, HAS_PRIOR, INSIDE, NEGATIVE, POSITIVE, PRIOR
from remask_training.crops import Crop
from remask_training.prompting import add_clicks, draw_prior, noisy_corners, start_prompt


def crop_of(truth: np.ndarray, *, known: np.ndarray | None = None) -> Crop:
    ones = np.ones(truth.shape, np.float32)
    image = np.zeros((2 * truth.shape[0], 2 * truth.shape[1], 3), np.uint8)
    return Crop(image, truth.astype(np.float32), ones if known is None else known, ones)


def square() -> np.ndarray:
    truth = np.zeros((64, 64), np.bool_)
    truth[20:44, 16:48] = True
    return truth


def test_a_missed_object_gets_a_positive_click_inside_it() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        drawn = np.zeros((6, 64, 64), np.float32)
        given = add_clicks(
            drawn, np.zeros((64, 64), np.float32), crop_of(square()), count=1, rng=rng
        )
        rows, columns = np.nonzero(drawn[POSITIVE])
        assert given == 1
        assert square()[round(rows.mean()), round(columns.mean())]
        assert not drawn[NEGATIVE].any()


def test_too_much_mask_gets_a_negative_click() -> None:
    drawn = np.zeros((6, 64, 64), np.float32)
    probs = np.zeros((64, 64), np.float32)
    probs[20:44, 16:60] = 0.9

    add_clicks(drawn, probs, crop_of(square()), count=1, rng=np.random.default_rng(1))

    _, columns = np.nonzero(drawn[NEGATIVE])
    assert columns.mean() > 46
    assert not drawn[POSITIVE].any()


def test_a_right_mask_gets_no_click_and_unknown_pixels_are_no_error() -> None:
    drawn = np.zeros((6, 64, 64), np.float32)
    known = np.ones((64, 64), np.float32)
    known[:, 48:] = 0
    probs = square().astype(np.float32)
    probs[20:44, 48:60] = 1

    given = add_clicks(
        drawn, probs, crop_of(square(), known=known), count=3, rng=np.random.default_rng(1)
    )

    assert given == 0
    assert not drawn.any()


def test_several_clicks_go_to_several_places() -> None:
    drawn = np.zeros((6, 64, 64), np.float32)
    truth = np.zeros((64, 64), np.bool_)
    truth[5:20, 5:20] = truth[40:55, 40:55] = True
    nothing = np.zeros((64, 64), np.float32)

    given = add_clicks(drawn, nothing, crop_of(truth), count=2, rng=np.random.default_rng(2))

    assert given == 2
    assert drawn[POSITIVE, :30, :30].any()
    assert drawn[POSITIVE, 30:, 30:].any()


def test_a_hasty_box_still_overlaps_the_object() -> None:
    rng = np.random.default_rng(4)
    for _ in range(100):
        x0, y0, x1, y1 = noisy_corners(square(), rng=rng)
        both = (min(x1, 48) - max(x0, 16)) * (min(y1, 44) - max(y0, 20))
        assert both / ((x1 - x0) * (y1 - y0) + 32 * 24 - both) >= 0.7
        assert max(abs(x0 - 16), abs(x1 - 48)) <= 0.12 * 32 + 1e-3


def test_an_object_without_a_box_begins_with_a_click() -> None:
    rng = np.random.default_rng(5)

    boxed = start_prompt(crop_of(square()), with_box=True, clicks=0, rng=rng)
    clicked = start_prompt(crop_of(square()), with_box=False, clicks=0, rng=rng)

    assert boxed[BOX].any()
    assert not boxed[POSITIVE].any()
    assert not clicked[BOX].any()
    assert clicked[POSITIVE].any()
    assert clicked[INSIDE].all()


def test_a_prior_can_be_drawn_and_wiped_out() -> None:
    drawn = np.zeros((6, 8, 8), np.float32)

    draw_prior(drawn, np.full((8, 8), 0.3, np.float32))
    assert drawn[PRIOR, 0, 0] == np.float32(0.3)
    assert drawn[HAS_PRIOR].all()
    draw_prior(drawn, None)
    assert not drawn.any()
