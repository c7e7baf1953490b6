from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remask_core.errors import ClickOutsideImage, InputError, NotFound
from remask_core.history import Step, replay
from remask_core.types import BoolMask, Box, Click, Prompt, RgbImage
from remask_models.convnet.loading import WEIGHTS, load_convnet
from remask_models.convnet.segmenter import ConvNetSegmenter
from remask_models.weights_file import read_weights, write_weights


@pytest.fixture(scope="module")
def convnet() -> ConvNetSegmenter:
    segmenter = load_convnet(None, device="cpu")
    assert isinstance(segmenter, ConvNetSegmenter)
    return segmenter


def disk_scene(
    *, shape_hw: tuple[int, int] = (180, 240), centre_xy: tuple[int, int] = (130, 90)
) -> tuple[RgbImage, BoolMask]:
    """A red disk of 45 px radius on noisy green, and its mask."""
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[: shape_hw[0], : shape_hw[1]]
    disk = (columns - centre_xy[0]) ** 2 + (rows - centre_xy[1]) ** 2 < 45**2
    image = rng.integers(0, 40, (*shape_hw, 3))
    image[..., 1] += 120
    image[disk] += np.array([180, -100, 0])
    return np.clip(image, 0, 255).astype(np.uint8), disk


def iou(a: BoolMask, b: BoolMask) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt(box=Box(88, 42, 170, 139)),
        Prompt(clicks=(Click(130, 90, True),)),
        Prompt(clicks=(Click(120, 80, True), Click(20, 20, False))),
    ],
    ids=["box", "click", "clicks"],
)
def test_a_plain_object_is_found(convnet: ConvNetSegmenter, prompt: Prompt) -> None:
    image, disk = disk_scene()

    candidate = convnet.predict(convnet.embed(image), prompt)[0]

    assert iou(candidate.mask, disk) > 0.85
    assert 0 <= candidate.score <= 1


@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_clicks_are_obeyed_and_answers_are_repeatable(
    convnet: ConvNetSegmenter, data: st.DataObject
) -> None:
    height, width = data.draw(st.tuples(st.integers(1, 200), st.integers(1, 200)))
    seed = data.draw(st.integers(0, 99))
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    places = data.draw(
        st.lists(
            st.tuples(st.integers(0, width - 1), st.integers(0, height - 1)),
            min_size=1,
            max_size=5,
            unique=True,
        )
    )
    clicks = tuple(Click(x, y, data.draw(st.booleans())) for x, y in places)
    embedding = convnet.embed(image)
    steps = [Step(clicks=(click,)) for click in clicks]

    first = replay(convnet, embedding, steps)
    again = replay(convnet, embedding, steps)

    mask = first[-1].mask
    assert mask.shape == (height, width)
    assert [bool(mask[int(c.y), int(c.x)]) for c in clicks] == [c.positive for c in clicks]
    assert np.array_equal(mask, again[-1].mask)
    assert first[-1].score == again[-1].score


def test_a_batch_answers_as_one_by_one(convnet: ConvNetSegmenter) -> None:
    image, _ = disk_scene()
    embedding = convnet.embed(image)
    prompts = [Prompt(box=Box(88, 42, 170, 139)), Prompt(clicks=(Click(30, 30, True),))]

    together = convnet.predict_batch(embedding, prompts)
    alone = [convnet.predict(embedding, prompt) for prompt in prompts]

    assert len(together) == 2
    assert all(np.array_equal(a[0].mask, b[0].mask) for a, b in zip(together, alone, strict=True))


def test_a_mask_made_elsewhere_is_taken_up(convnet: ConvNetSegmenter) -> None:
    image, disk = disk_scene()
    given_mask = disk.copy()
    given_mask[:, 150:] = False

    prompt = Prompt(clicks=(Click(165, 90, True),), prior_mask=given_mask)
    mended = convnet.predict(convnet.embed(image), prompt)[0].mask

    assert mended[90, 165]
    assert iou(mended, disk) > iou(given_mask, disk)


@pytest.mark.parametrize(
    ("prompt", "error"),
    [
        (Prompt(), InputError),
        (Prompt(clicks=(Click(240, 3, True),)), ClickOutsideImage),
        (Prompt(box=Box(300, 0, 400, 50)), InputError),
    ],
)
def test_bad_prompts_are_refused(
    convnet: ConvNetSegmenter, prompt: Prompt, error: type[Exception]
) -> None:
    image, _ = disk_scene()

    with pytest.raises(error):
        convnet.predict(convnet.embed(image), prompt)


def test_a_box_beyond_the_image_and_a_box_of_one_pixel_are_answered(
    convnet: ConvNetSegmenter,
) -> None:
    image, _ = disk_scene()
    embedding = convnet.embed(image)

    for box in (Box(-50, -50, 400, 300), Box(10, 10, 11, 11)):
        mask = convnet.predict(embedding, Prompt(box=box))[0].mask
        assert mask.shape == (180, 240)


def test_the_version_is_the_digest_of_the_weights(
    convnet: ConvNetSegmenter, tmp_path: Path
) -> None:
    facts, arrays = read_weights(WEIGHTS)
    other = tmp_path / "other.npz"
    write_weights(other, arrays, {**facts, "seed": 123})

    assert convnet.version.startswith("convnet@")
    assert len(convnet.version) == len("convnet@") + 12
    assert load_convnet(other, device="cpu").version != convnet.version


def test_weights_of_other_layers_and_missing_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "thin.npz"
    write_weights(path, {"out.weight": np.zeros(3, np.float32)}, {})

    with pytest.raises(InputError, match="this version's layers"):
        load_convnet(path, device="cpu")
    with pytest.raises(NotFound):
        load_convnet(tmp_path / "none.npz", device="cpu")


def test_the_readings_of_a_first_click_stand_behind_the_mask_that_was_there_without_them(
    convnet: ConvNetSegmenter, tmp_path: Path
) -> None:
    facts, arrays = read_weights(WEIGHTS)
    kept = {name: array for name, array in arrays.items() if not name.startswith("readings.")}
    assert len(kept) < len(arrays)
    write_weights(tmp_path / "without.npz", kept, facts)
    without = load_convnet(tmp_path / "without.npz", device="cpu")
    image, _ = disk_scene()
    prompt = Prompt(clicks=(Click(110, 90, True),))

    candidates = convnet.predict(convnet.embed(image), prompt)
    (alone,) = without.predict(without.embed(image), prompt)

    first, *others = candidates
    assert np.array_equal(alone.mask, first.mask)
    assert alone.score == first.score
    assert alone.logits is not None
    assert first.logits is not None
    assert np.array_equal(alone.logits, first.logits)
    assert len(others) <= 2
    for other in others:
        assert other.mask[90, 110]
        assert other.score <= first.score
        # A further click goes on from the reading that was taken.
        more = Prompt(clicks=(*prompt.clicks, Click(5, 5, False)), prior_logits=other.logits)
        assert len(convnet.predict(convnet.embed(image), more)) == 1
