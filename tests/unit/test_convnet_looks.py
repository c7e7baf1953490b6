"""How often the network is asked, and how large the crops are that it is shown."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from remask_core.types import Box, Click, Prompt
from remask_models.convnet.segmenter import ConvNetSegmenter, mask_on_image
from remask_models.convnet.windows import Window, paste, seen_pixels

_Floats = npt.NDArray[np.float32]

BOX = Box(20, 20, 80, 80)
CLICKS = tuple(Click(40 + 5 * n, 50, True) for n in range(4))
IMAGE = np.zeros((100, 100, 3), np.uint8)


class Middle:
    """A network that finds the middle `share` of whatever it is shown, and notes the crops."""

    def __init__(self, share: float) -> None:
        self.share = share
        self.sizes: list[int] = []

    def look(self, image: _Floats, prompts: _Floats) -> tuple[_Floats, _Floats]:
        self.sizes.append(image.shape[-1])
        half = image.shape[-1] // 2
        inner = np.abs(np.arange(half) + 0.5 - half / 2) < self.share * half / 2
        logits = np.where(inner[:, None] & inner, 5.0, -5.0).astype(np.float32)
        return np.broadcast_to(logits, (len(image), 1, half, half)), np.zeros(len(image), "f")


@pytest.mark.parametrize(
    ("prompt", "sizes"),
    [
        (Prompt(box=BOX), [256, 256]),
        (Prompt(box=BOX, clicks=CLICKS[:1]), [256, 256]),
        (Prompt(clicks=CLICKS[:3]), [256, 256]),
        (Prompt(clicks=CLICKS), [320, 320]),
    ],
    ids=["box", "box and click", "clicks", "many clicks"],
)
def test_a_first_answer_is_looked_at_again(prompt: Prompt, sizes: list[int]) -> None:
    network = Middle(share=0.3)
    segmenter = ConvNetSegmenter(network, version="middle@0")
    embedding = segmenter.embed(IMAGE)

    first = segmenter.predict(embedding, prompt)[0]
    assert sizes == network.sizes

    assert first.logits is not None
    next_one = Prompt(box=prompt.box, clicks=prompt.clicks, prior_logits=first.logits)
    segmenter.predict(embedding, next_one)
    assert sizes[:1] == network.sizes[2:]


def test_a_large_object_found_by_clicks_is_looked_at_once() -> None:
    network = Middle(share=0.7)
    segmenter = ConvNetSegmenter(network, version="middle@0")

    segmenter.predict(segmenter.embed(IMAGE), Prompt(clicks=CLICKS[:1]))

    assert [256] == network.sizes


def test_an_empty_answer_is_not_looked_at_again() -> None:
    network = Middle(share=0.0)
    segmenter = ConvNetSegmenter(network, version="middle@0")

    mask = segmenter.predict(segmenter.embed(IMAGE), Prompt(box=BOX))[0].mask

    assert [256] == network.sizes
    assert not mask.any()


def test_a_mask_is_the_same_whether_all_of_the_window_is_pasted_or_the_object() -> None:
    rng = np.random.default_rng(0)
    window = Window(-13.0, 7.5, 150.0)
    for share in (0.0, 0.1, 0.5):
        logits = np.full((32, 32), -3.0, np.float32)
        rows, columns = rng.integers(0, 32, (2, int(40 * share)))
        logits[rows, columns] = rng.uniform(0.5, 9, rows.size)
        x0, y0, x1, y1 = seen_pixels((120, 100), window)
        whole = np.zeros((120, 100), np.bool_)
        whole[y0:y1, x0:x1] = paste(logits, window, onto=(x0, y0, x1, y1)) > 0

        assert np.array_equal(whole, mask_on_image((120, 100), logits, window))


class Reader(Middle):
    """The same, which reads a first click as its middle, too, or as all that it is shown."""

    def __init__(self, share: float, *, smaller: float, larger: float) -> None:
        super().__init__(share)
        self.shares = (smaller, larger)
        self.reads = 0

    def read(self, image: _Floats, prompts: _Floats) -> tuple[_Floats, _Floats, _Floats, _Floats]:
        self.reads += 1
        own = self.look(image, prompts)
        readings = [Middle(share).look(image[:1], prompts)[0] for share in self.shares]
        return *own, np.concatenate(readings, 1), np.array([[2.0, -1.0, 1.0]], "f")


def areas_of(reader: Reader, prompt: Prompt) -> list[int]:
    segmenter = ConvNetSegmenter(reader, version="reader@0", reader=reader)
    found = segmenter.predict(segmenter.embed(IMAGE), prompt)
    assert all(candidate.logits is not None for candidate in found)
    return [int(candidate.mask.sum()) for candidate in found]


def test_a_first_click_has_three_readings_the_better_of_the_others_first() -> None:
    prompt = Prompt(clicks=(Click(50, 50, True),))

    own, larger, smaller = areas_of(Reader(0.85, smaller=0.4, larger=0.98), prompt)

    assert smaller < own < larger


def test_readings_that_are_alike_or_empty_are_not_offered() -> None:
    prompt = Prompt(clicks=(Click(50, 50, True),))

    assert len(areas_of(Reader(0.85, smaller=0.84, larger=0.86), prompt)) == 1
    assert len(areas_of(Reader(0.85, smaller=0.0, larger=0.4), prompt)) == 2


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt(box=BOX),
        Prompt(box=BOX, clicks=CLICKS[:1]),
        Prompt(clicks=CLICKS[:2]),
        Prompt(clicks=(Click(50, 50, False),)),
        Prompt(clicks=CLICKS[:1], prior_mask=np.ones((100, 100), np.bool_)),
    ],
    ids=["box", "box and click", "two clicks", "negative click", "a mask before"],
)
def test_what_is_settled_is_read_once(prompt: Prompt) -> None:
    reader = Reader(0.85, smaller=0.4, larger=0.98)

    assert len(areas_of(reader, prompt)) == 1
    assert reader.reads == 0


def test_a_point_of_a_grid_gives_the_own_mask_alone() -> None:
    reader = Reader(0.85, smaller=0.4, larger=0.98)
    segmenter = ConvNetSegmenter(reader, version="reader@0", reader=reader)
    points = np.array([[50.0, 50.0], [40.0, 60.0]])

    found = list(segmenter.point_masks(segmenter.embed(IMAGE), points, min_score=0.0, offset=1.0))

    assert [1, 1] == [len(masks) for masks in found]
    assert reader.reads == 0
