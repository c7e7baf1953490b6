"""Segment Anything: the authors' numbers, the authors' predictor, and what we add to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from segment_anything import SamPredictor
from tiny_sam import TINY_ARCH, build_tiny_sam, golden, golden_sam

from remask_core.errors import InputError, ShapeMismatch
from remask_core.history import Step, replay
from remask_core.types import Box, Click, Prompt
from remask_models.sam.segment_anything import SamSegmenter, load_sam, random_sam

CLICKS = (Click(128, 120, True), Click(100, 90, True), Click(290, 20, False))
BOX = Box(60, 50, 200, 190)


@pytest.fixture(scope="module")
def image(shared: Path) -> np.ndarray:
    with Image.open(shared / "golden" / "sam" / "image_240x320.png") as file:
        return np.array(file.convert("RGB"))


@pytest.fixture(scope="module")
def tiny(shared: Path) -> SamSegmenter:
    return SamSegmenter(golden_sam(shared), name="tiny", version="tiny@000000000000")


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (96, 140, 3), dtype=np.uint8)


def seeded_tiny(seed: int = 0) -> SamSegmenter:
    return SamSegmenter(build_tiny_sam(TINY_ARCH, seed=seed), name="tiny", version="tiny@0")


def test_embedding_is_the_authors(tiny: SamSegmenter, image: np.ndarray, shared: Path) -> None:
    _, arrays = golden(shared)

    features = tiny.embed(image).arrays["features"]

    np.testing.assert_allclose(features, arrays["embedding"][0], atol=1e-5)
    assert features.dtype == np.float32


CASES: dict[str, tuple[Prompt, str | None]] = {
    "point_multimask": (Prompt(clicks=CLICKS[:1]), None),
    "bg_point_multimask": (Prompt(clicks=CLICKS[2:]), None),
    "points3_single": (Prompt(clicks=CLICKS), None),
    "box_single": (Prompt(box=BOX), None),
    "box_points_single": (Prompt(box=BOX, clicks=CLICKS), None),
    "point_plus_mask(point_single)": (Prompt(clicks=CLICKS[:2]), "point_single"),
    "box_plus_mask(box_single)_refine": (Prompt(box=BOX), "box_single"),
}


@pytest.mark.parametrize("case", CASES)
def test_answers_are_the_authors(
    case: str, tiny: SamSegmenter, image: np.ndarray, shared: Path
) -> None:
    """Logits, scores and mask areas of every golden prompt that the selection rule can ask for."""
    notes, arrays = golden(shared)
    prompt, prior = CASES[case]
    if prior is not None:
        low = arrays[f"{prior}__low"][0]
        prompt = Prompt(clicks=prompt.clicks, box=prompt.box, prior_logits=low)
    best_first = np.argsort(-arrays[f"{case}__iou"], kind="stable")

    found = tiny.predict(tiny.embed(image), prompt)

    expected = arrays[f"{case}__low"][best_first]
    np.testing.assert_allclose([c.logits for c in found], expected, atol=1e-5)
    ious = np.clip(arrays[f"{case}__iou"][best_first], 0, 1)
    np.testing.assert_allclose([c.score for c in found], ious, atol=1e-5)
    areas = [notes["cases"][case]["areas"][index] for index in best_first]
    assert areas == [int(c.mask.sum()) for c in found]


@pytest.mark.parametrize("shape_hw", [(96, 140), (128, 128), (301, 77), (1, 40)])
def test_masks_are_those_of_the_official_predictor(shape_hw: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (*shape_hw, 3), dtype=np.uint8)
    height, width = shape_hw
    ours, predictor = seeded_tiny(), SamPredictor(build_tiny_sam(TINY_ARCH).eval())
    predictor.set_image(image)
    click = Click(width // 2, height // 2, True)

    found = ours.predict(ours.embed(image), Prompt(clicks=(click,)))

    masks, ious, low = predictor.predict(
        np.array([[click.x, click.y]]), np.array([1]), multimask_output=True
    )
    order = np.argsort(-ious, kind="stable")
    np.testing.assert_array_equal(masks[order], [c.mask for c in found])
    np.testing.assert_array_equal(low[order], [c.logits for c in found])


def test_pauses_between_blocks_change_no_bit(noise: np.ndarray) -> None:
    """During each pause another image is embedded and asked on the same model."""
    segmenter = seeded_tiny()
    other = np.ascontiguousarray(noise[::-1])
    other_embedding = segmenter.embed(other)
    expected_other = segmenter.predict(other_embedding, Prompt(box=Box(5, 5, 60, 60)))[0].mask
    plain = segmenter.embed(noise).arrays["features"]
    pauses = 0
    inner_pauses = 0

    def inner_pause() -> None:
        nonlocal inner_pauses
        inner_pauses += 1

    def pause() -> None:
        nonlocal pauses
        pauses += 1
        mask = segmenter.predict(other_embedding, Prompt(box=Box(5, 5, 60, 60)))[0].mask
        np.testing.assert_array_equal(expected_other, mask)
        again = segmenter.embed(other, pause=inner_pause).arrays["features"]
        np.testing.assert_array_equal(other_embedding.arrays["features"], again)

    paused = segmenter.embed(noise, pause=pause).arrays["features"]

    np.testing.assert_array_equal(plain, paused)
    assert (TINY_ARCH["depth"], TINY_ARCH["depth"] ** 2) == (pauses, inner_pauses)


def test_a_pause_that_raises_leaves_the_model_usable(noise: np.ndarray) -> None:
    segmenter = seeded_tiny()
    plain = segmenter.embed(noise).arrays["features"]

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        segmenter.embed(noise, pause=stop)

    np.testing.assert_array_equal(plain, segmenter.embed(noise).arrays["features"])


def test_a_mixed_batch_is_answered_in_order(noise: np.ndarray) -> None:
    segmenter = seeded_tiny()
    embedding = segmenter.embed(noise)
    mask = np.zeros(noise.shape[:2], dtype=bool)
    mask[20:50, 30:90] = True
    rng = np.random.default_rng(2)
    prompts = [
        Prompt(box=Box(x, y, x + 30, y + 20)) for x, y in rng.integers(0, 60, (40, 2)).tolist()
    ]
    prompts[3:3] = [
        Prompt(clicks=(Click(3, 4, True),)),
        Prompt(clicks=(Click(30, 40, False),), box=Box(2, 2, 80, 60)),
        Prompt(clicks=(Click(40, 30, True),), prior_mask=mask),
    ]

    together = segmenter.predict_batch(embedding, prompts)

    for prompt, found in zip(prompts, together, strict=True):
        alone = segmenter.predict(embedding, prompt)
        for expected, actual in zip(alone, found, strict=True):
            np.testing.assert_array_equal(expected.mask, actual.mask)
            np.testing.assert_allclose(expected.logits, actual.logits, atol=1e-5)
            assert expected.score == pytest.approx(actual.score, abs=1e-5)


def test_no_prompts_no_answers(noise: np.ndarray) -> None:
    segmenter = seeded_tiny()

    assert segmenter.predict_batch(segmenter.embed(noise), []) == []


def test_only_one_lone_click_is_answered_thrice(noise: np.ndarray) -> None:
    segmenter = seeded_tiny()
    steps = [Step(clicks=(Click(50, 50, True),)), Step(clicks=(Click(60, 50, True),))]
    embedding = segmenter.embed(noise)
    prior = np.ones(noise.shape[:2], dtype=bool)

    counts = [
        len(segmenter.predict(embedding, prompt))
        for prompt in (
            Prompt(clicks=steps[0].clicks),
            Prompt(clicks=steps[0].clicks + steps[1].clicks),
            Prompt(clicks=steps[0].clicks, box=Box(0, 0, 9, 9)),
            Prompt(clicks=steps[0].clicks, prior_mask=prior),
        )
    ]

    assert counts == [3, 1, 1, 1]
    assert len(replay(segmenter, embedding, steps)) == 2


@pytest.mark.parametrize("shape_hw", [(96, 140), (200, 50), (31, 31), (400, 300)])
def test_prior_mask_lies_where_the_image_lies(shape_hw: tuple[int, int]) -> None:
    """Enlarging the prior's logits as SAM enlarges its own gives the mask back, but for its rim."""
    height, width = shape_hw
    segmenter = seeded_tiny()
    mask = np.zeros(shape_hw, dtype=bool)
    mask[height // 4 : height // 2 + 8, width // 3 : width // 2 + 9] = True

    logits = segmenter._prior_logits(Prompt(prior_mask=mask))

    assert logits is not None
    input_hw = segmenter.frame.inner_hw(shape_hw)
    full = segmenter._sam.postprocess_masks(
        torch.from_numpy(logits)[None, None], input_hw, shape_hw
    )
    back = full[0, 0].numpy() > 0
    rows, columns = np.nonzero(back != mask)
    slack = 4 * max(1, max(shape_hw) / 128)  # one cell of the low resolution
    edges = np.stack([np.gradient(mask.astype(float), axis=a) != 0 for a in (0, 1)]).any(axis=0)
    edge_rows, edge_columns = np.nonzero(edges)
    for row, column in zip(rows, columns, strict=True):
        assert np.hypot(edge_rows - row, edge_columns - column).min() <= slack
    assert logits.min() == pytest.approx(-10)
    assert logits.max() == pytest.approx(10)


def test_prior_logits_win_over_a_prior_mask(noise: np.ndarray) -> None:
    segmenter = seeded_tiny()
    embedding = segmenter.embed(noise)
    clicks = (Click(50, 50, True),)
    logits = np.full((32, 32), 3.0, dtype=np.float32)
    mask = np.zeros(noise.shape[:2], dtype=bool)

    both = segmenter.predict(embedding, Prompt(clicks, prior_logits=logits, prior_mask=mask))

    alone = segmenter.predict(embedding, Prompt(clicks, prior_logits=logits))
    np.testing.assert_array_equal(alone[0].logits, both[0].logits)


def test_foreign_prior_logits_are_refused(noise: np.ndarray) -> None:
    segmenter = seeded_tiny()
    prompt = Prompt(clicks=(Click(1, 1, True),), prior_logits=np.zeros((3, 3), "f4"))

    with pytest.raises(ShapeMismatch, match=r"`prior_logits` must have shape \(32, 32\)"):
        segmenter.predict(segmenter.embed(noise), prompt)


class _RunsCode:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("run",))


@pytest.mark.parametrize("content", ["text", "list", "code", "other"])
def test_a_file_that_is_no_checkpoint_is_refused(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "weights.pth"
    if content == "text":
        path.write_text("not a checkpoint")
    else:
        things = {"list": [1, 2], "code": _RunsCode(), "other": {"a": torch.zeros(1)}}
        torch.save(things[content], path)

    with pytest.raises(InputError, match="`weights` must be"):
        load_sam("sam_vit_b", path)

    assert "run" not in capsys.readouterr().out


def test_random_weights_are_seeded_and_leave_the_generator_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)

    first = random_sam("sam_vit_b", seed=1).mask_decoder.iou_token.weight

    assert torch.equal(expected, torch.rand(1))
    assert torch.equal(first, random_sam("sam_vit_b", seed=1).mask_decoder.iou_token.weight)
