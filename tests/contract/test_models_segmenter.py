"""What every segmenter promises, asked of each of them."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from contributing_recipes import recipe, write_files

from remask_core.errors import ClickOutsideImage, InputError, NotFound, ShapeMismatch
from remask_core.types import Box, Candidate, Click, Prompt, RgbImage, Segmenter
from remask_models import registry


def tiny_sam() -> Segmenter:
    from tiny_sam import TINY_ARCH, build_tiny_sam

    from remask_models.sam.segment_anything import SamSegmenter

    return SamSegmenter(build_tiny_sam(TINY_ARCH), name="tiny_sam", version="tiny_sam@000000000000")


def convnet() -> Segmenter:
    try:
        return registry.load("convnet")
    except NotFound as error:
        pytest.skip(f"the bundled network's weights are not in this checkout: {error}")
    except ModuleNotFoundError as error:
        if error.name != "remask_models.convnet.loading":
            raise
        pytest.skip(f"the bundled network is not in this checkout: {error}")


def recipe_model() -> Segmenter:
    """The model that CONTRIBUTING.md shows how to add."""
    with TemporaryDirectory() as folder:
        (path,) = write_files(recipe("Add a model"), Path(folder))
        return runpy.run_path(str(path))["load"]()


def tiny_family(kind: str) -> Segmenter:
    pytest.importorskip("transformers")
    from tiny_family import tiny_family as make

    return make(kind)


MAKERS: dict[str, Callable[[], Segmenter]] = {
    "toy": lambda: registry.load("fakes:load_toy"),
    "grabcut": lambda: registry.load("grabcut"),
    "tiny_sam": tiny_sam,
    **{kind: partial(tiny_family, kind) for kind in ("sam2", "sam_hq", "edgetam", "sam3_tracker")},
    "convnet": convnet,
    "recipe": recipe_model,
}


@pytest.fixture(scope="module", params=MAKERS)
def segmenter(request: pytest.FixtureRequest) -> Segmenter:
    return MAKERS[request.param]()


def scene(seed: int = 0, *, shape_hw: tuple[int, int] = (90, 130)) -> RgbImage:
    """A bright ellipse on a dark, noisy ground."""
    height, width = shape_hw
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    inside = ((rows / height - 0.5) / 0.25) ** 2 + ((columns / width - 0.4) / 0.2) ** 2 < 1
    image = rng.integers(0, 60, (height, width, 3))
    image[inside] += np.array([150, 120, 40])
    return image.astype(np.uint8)


BOX = Box(24, 20, 80, 70)
PRIOR = np.zeros((90, 130), dtype=np.bool_)
PRIOR[30:60, 40:70] = True
INSIDE, OUTSIDE = Click(52, 45, True), Click(100, 80, False)

PROMPTS = {
    "box": Prompt(box=BOX),
    "another box": Prompt(box=Box(30, 5, 90, 50)),
    "a click": Prompt(clicks=(INSIDE,)),
    "two clicks": Prompt(clicks=(INSIDE, OUTSIDE)),
    "box and click": Prompt(clicks=(OUTSIDE,), box=BOX),
    "click outside the box": Prompt(clicks=(Click(110, 20, True),), box=BOX),
    "a negative click alone": Prompt(clicks=(OUTSIDE,)),
    "prior mask and click": Prompt(clicks=(INSIDE,), prior_mask=PRIOR),
    "empty prior mask and click": Prompt(clicks=(INSIDE,), prior_mask=np.zeros_like(PRIOR)),
    "full prior mask and negative click": Prompt(clicks=(OUTSIDE,), prior_mask=PRIOR | True),
    "a click on the edge": Prompt(clicks=(Click(129.9, 89.9, True),)),
    "a box over the edge": Prompt(box=Box(-10, -10, 500, 500)),
    "a box of less than a pixel": Prompt(box=Box(5.2, 5.2, 5.4, 5.4)),
    "contradicting clicks": Prompt(clicks=(INSIDE, Click(52, 45, False))),
}


def same(expected: list[Candidate], actual: list[Candidate]) -> bool:
    return len(expected) == len(actual) and all(
        np.array_equal(a.mask, b.mask) and abs(a.score - b.score) <= 1e-5
        for a, b in zip(expected, actual, strict=True)
    )


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
def test_candidates_are_whole_masks_best_first(segmenter: Segmenter, prompt: Prompt) -> None:
    found = segmenter.predict(segmenter.embed(scene()), prompt)

    assert found
    for candidate in found:
        assert (candidate.mask.shape, candidate.mask.dtype) == ((90, 130), np.bool_)
        assert isinstance(candidate.score, float)
        assert 0 <= candidate.score <= 1
    scores = [candidate.score for candidate in found]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
def test_the_same_question_has_the_same_answer(segmenter: Segmenter, prompt: Prompt) -> None:
    """Whatever was asked in between, and from a fresh embedding as well."""
    embedding = segmenter.embed(scene())
    first = segmenter.predict(embedding, prompt)
    segmenter.predict(segmenter.embed(scene(1)), Prompt(box=Box(1, 1, 9, 9)))

    assert same(first, segmenter.predict(embedding, prompt))
    assert same(first, segmenter.predict(segmenter.embed(scene()), prompt))


def test_a_batch_is_answered_as_one_by_one(segmenter: Segmenter) -> None:
    embedding = segmenter.embed(scene())
    prompts = list(PROMPTS.values())

    together = segmenter.predict_batch(embedding, prompts)

    alone = [segmenter.predict(embedding, prompt) for prompt in prompts]
    assert len(together) == len(prompts)
    assert all(same(candidates, other) for candidates, other in zip(alone, together, strict=True))


def test_an_empty_batch_has_no_answers(segmenter: Segmenter) -> None:
    assert segmenter.predict_batch(segmenter.embed(scene()), []) == []


def test_logits_can_be_handed_back(segmenter: Segmenter) -> None:
    embedding = segmenter.embed(scene())
    first = segmenter.predict(embedding, Prompt(box=BOX))[0]

    found = segmenter.predict(embedding, Prompt((INSIDE,), box=BOX, prior_logits=first.logits))

    assert found[0].mask.shape == (90, 130)


@pytest.mark.parametrize("prompt", [Prompt(), Prompt(prior_mask=PRIOR)], ids=["bare", "prior"])
def test_an_empty_prompt_is_refused(segmenter: Segmenter, prompt: Prompt) -> None:
    with pytest.raises(InputError, match="`prompt`"):
        segmenter.predict(segmenter.embed(scene()), prompt)


@pytest.mark.parametrize(
    ("x", "y"), [(-1, 5), (130, 5), (5, -0.5), (5, 90), (float("nan"), 5), (5, float("inf"))]
)
def test_a_click_outside_the_image_is_refused(segmenter: Segmenter, x: float, y: float) -> None:
    with pytest.raises(ClickOutsideImage, match=r"`clicks\[1\]`"):
        segmenter.predict(
            segmenter.embed(scene()), Prompt(clicks=(INSIDE, Click(x, y, True)), box=BOX)
        )


def test_a_prior_mask_of_another_image_is_refused(segmenter: Segmenter) -> None:
    with pytest.raises(ShapeMismatch, match="`prior_mask`"):
        segmenter.predict(segmenter.embed(scene()), Prompt((INSIDE,), prior_mask=PRIOR[:-1]))


@pytest.mark.parametrize("image", [np.zeros((0, 5, 3), "u1"), np.zeros((5, 5), "u1")])
def test_what_is_no_image_is_refused(segmenter: Segmenter, image: RgbImage) -> None:
    with pytest.raises(InputError, match="`image`"):
        segmenter.embed(image)


@pytest.mark.parametrize("shape_hw", [(1, 1), (1, 200), (200, 1), (3, 2), (700, 900)])
def test_images_of_any_size_have_masks_of_their_size(
    segmenter: Segmenter, shape_hw: tuple[int, int]
) -> None:
    height, width = shape_hw
    embedding = segmenter.embed(scene(shape_hw=shape_hw))

    for prompt in (
        Prompt(box=Box(0, 0, width, height)),
        Prompt(clicks=(Click(width - 1, height - 1, True), Click(0, 0, False))),
    ):
        assert segmenter.predict(embedding, prompt)[0].mask.shape == shape_hw


def test_questions_leave_embedding_and_image_as_they_were(segmenter: Segmenter) -> None:
    image = scene()
    embedding = segmenter.embed(image)
    before = {key: array.copy() for key, array in embedding.arrays.items()}

    segmenter.predict_batch(embedding, list(PROMPTS.values()))

    np.testing.assert_array_equal(image, scene())
    for key, array in before.items():
        np.testing.assert_array_equal(array, embedding.arrays[key])


def test_an_embedding_is_numpy_and_knows_its_size(segmenter: Segmenter) -> None:
    """So that it can be counted, kept and spilled to disk."""
    embedding = segmenter.embed(scene())

    assert embedding.shape_hw == (90, 130)
    assert embedding.nbytes > 0
    assert all(type(array) is np.ndarray for array in embedding.arrays.values())


def test_a_pause_may_ask_the_same_model(segmenter: Segmenter) -> None:
    other = segmenter.embed(scene(1))
    expected_other = segmenter.predict(other, Prompt(box=BOX))
    expected = segmenter.predict(segmenter.embed(scene()), Prompt(box=BOX))
    answers: list[list[Candidate]] = []

    def pause() -> None:
        answers.append(segmenter.predict(other, Prompt(box=BOX)))

    paused = segmenter.predict(segmenter.embed(scene(), pause=pause), Prompt(box=BOX))

    assert same(expected, paused)
    assert all(same(expected_other, answer) for answer in answers)


def test_name_and_version_agree(segmenter: Segmenter) -> None:
    name, _, digest = segmenter.version.partition("@")

    assert name == segmenter.name
    assert len(bytes.fromhex(digest)) == 6
