"""Crops to learn from: where the object lies in them, and what is pasted over them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from remask_core.types import Box
from remask_training import composites
from remask_training.composites import compose
from remask_training.crops import Crop, View, augmented_crop, plain_crop
from remask_training.losses import loss_of
from remask_training.samples import Picture, Sample


def sample(*, box: Box = Box(60, 40, 140, 100)) -> Sample:
    """A filled box in a picture of 300 x 200 px."""
    labels = np.zeros((200, 300), np.uint8)
    labels[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)] = 1
    image = np.random.default_rng(0).integers(0, 90, (200, 300, 3), dtype=np.uint8)
    image[labels == 1] += np.array([120, 60, 0], np.uint8)
    return Sample(Picture("one", image), labels, (1,), box, 1.0)


def crops_of(view: View, *, count: int = 40) -> list[Crop]:
    rng = np.random.default_rng(1)
    one = sample()
    return [augmented_crop(one, [one], side=128, view=view, rng=rng) for _ in range(count)]


def cut_by_the_border(crop: Crop) -> bool:
    return bool(
        max(crop.truth[0].max(), crop.truth[-1].max(), *crop.truth[:, [0, -1]].max(0)) > 0.5
    )


def test_an_object_anywhere_is_often_cut_and_always_seen() -> None:
    crops = crops_of(View(context=1.3, anywhere=True))

    assert sum(cut_by_the_border(crop) for crop in crops) > 10
    assert all(crop.truth.sum() > 100 for crop in crops)


def test_an_object_near_the_middle_is_whole() -> None:
    assert not any(map(cut_by_the_border, crops_of(View(context=2.0, anywhere=False))))


def test_a_first_click_is_seen_in_a_window_as_wide_as_the_picture() -> None:
    crops = crops_of(View(context=None, anywhere=False), count=30)

    # The object is 80 x 60 of 300 px, and 50 px left of the picture's middle.
    pasted = [crop.inside.min() == 1 for crop in crops]
    assert np.median([crop.truth.mean() for crop in crops]) == pytest.approx(4800 / 9e4, rel=0.1)
    plain = [crop.inside for crop, other in zip(crops, pasted, strict=True) if not other]
    assert np.median([inside.mean() for inside in plain]) == pytest.approx(5 / 9, abs=0.07)


def test_a_tiny_object_is_looked_at_from_nearby_when_it_cannot_be_seen() -> None:
    one = sample(box=Box(60, 40, 64, 44))
    rng = np.random.default_rng(3)

    crop = augmented_crop(one, [one], side=64, view=View(None, False), rng=rng)

    assert crop.truth.sum() >= 12


def only(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for other in ("_OCCLUDER", "_NEIGHBOUR", "_THIN"):
        monkeypatch.setattr(composites, other, 1.0 if other == name else 0.0)


def composed(count: int = 20) -> list[tuple[Crop, Crop]]:
    plain = plain_crop(sample(), side=128, context=2.0)
    rng = np.random.default_rng(5)
    return [(plain, compose(plain, sample(), rng=rng)) for _ in range(count)]


def test_an_occluder_takes_a_part_of_the_object(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "_OCCLUDER")

    pairs = composed()

    assert all((after.truth <= before.truth).all() for before, after in pairs)
    assert all(after.truth.sum() > 0.3 * before.truth.sum() for before, after in pairs)
    assert sum(after.truth.sum() < before.truth.sum() - 5 for before, after in pairs) > 10


def test_a_neighbour_changes_the_picture_beside_the_object(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    only(monkeypatch, "_NEIGHBOUR")
    monkeypatch.setattr(composites, "_MERGED", 0.0)

    pairs = composed()

    assert all(np.array_equal(after.truth, before.truth) for before, after in pairs)
    changed = [(a.image != b.image).any(2) & (cover(b) == 0) for b, a in pairs]
    assert sum(mask.sum() > 200 for mask in changed) > 10


def cover(crop: Crop) -> np.ndarray:
    return np.kron(crop.truth > 0, np.ones((2, 2)))


def test_a_merged_neighbour_is_part_of_the_object(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "_NEIGHBOUR")
    monkeypatch.setattr(composites, "_MERGED", 1.0)

    grown = [after.truth.sum() / before.truth.sum() for before, after in composed()]

    assert np.median(grown) > 1.3


def test_thin_parts_are_the_object_too(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "_THIN")

    pairs = composed()

    assert all((after.truth >= before.truth - 1e-6).all() for before, after in pairs)
    assert sum(after.truth.sum() > before.truth.sum() + 10 for before, after in pairs) > 15


def test_nothing_is_composed_about_an_object_that_is_not_seen() -> None:
    plain = plain_crop(sample(), side=64, context=2.0)
    empty = Crop(plain.image, np.zeros_like(plain.truth), plain.known, plain.inside)

    for seed in range(30):
        crop = compose(empty, sample(), rng=np.random.default_rng(seed))
        assert not crop.truth.any()


def test_what_was_missed_at_large_weighs_more() -> None:
    truth = torch.zeros(1, 1, 16, 16)
    truth[..., 4:12, 4:12] = 1
    known, judged = torch.ones_like(truth), torch.zeros(1)
    logits = torch.zeros_like(truth)
    small, large = truth.clone(), truth.clone()
    small[..., 4, 4:6] = 0
    large[..., 4:10, :] = 0

    plain = loss_of(logits, judged, truth, known)

    assert torch.equal(plain, loss_of(logits, judged, truth, known, before=small))
    assert loss_of(logits, judged, truth, known, before=large) > plain
