"""What stands out in a picture, within an error."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from remask_clicks.saliency import MapFiles, colour_saliency, saliency_map
from remask_core.errors import InputError, NotFound


def picture() -> tuple[np.ndarray, np.ndarray]:
    """A grey picture with a grey object, one corner of which is red."""
    image = np.full((60, 80, 3), 120, np.uint8)
    image[20:26, 30:36] = (220, 30, 30)
    error = np.zeros((60, 80), np.bool_)
    error[20:40, 30:50] = True
    return image, error


@pytest.mark.parametrize("surroundings", ["picture", "grey"])
def test_the_odd_colour_is_most_salient_and_nothing_lies_outside_the_error(surroundings) -> None:
    image, error = picture()

    found = saliency_map(image, error, surroundings=surroundings)

    row, column = np.unravel_index(int(found.argmax()), found.shape)
    assert 20 <= row < 26
    assert 30 <= column < 36
    assert found.max() == 1.0
    assert not found[~error].any()


def test_what_lies_around_counts_only_where_it_is_shown() -> None:
    image, error = picture()
    blue = image.copy()
    blue[~error] = (0, 0, 255)

    grey = [saliency_map(each, error, surroundings="grey") for each in (image, blue)]

    assert np.array_equal(*grey)
    assert not np.array_equal(saliency_map(image, error), saliency_map(blue, error))


def test_where_nothing_is_salient_all_of_the_error_is() -> None:
    _, error = picture()
    plain = np.full((60, 80, 3), 120, np.uint8)

    assert not colour_saliency(plain).any()
    assert np.array_equal(saliency_map(plain, error), error.astype(np.float32))
    assert not saliency_map(plain, np.zeros_like(error)).any()


def test_a_map_file_is_found_by_the_error_first_and_scaled(tmp_path: Path) -> None:
    _, error = picture()
    small = np.zeros((30, 40), np.uint8)
    small[10:20, 20:25] = 255
    cv2.imwrite(str(tmp_path / "a[1].png"), small)
    cv2.imwrite(str(tmp_path / "b.png"), small[::-1])

    found = MapFiles("net", tmp_path).clickmap(error, ("a[1]", "b"))

    assert found[30, 45] == pytest.approx(1.0)
    assert not found[~error].any()


@pytest.mark.parametrize("words", ["folder", "=folder"])
def test_maps_need_a_name(words: str) -> None:
    with pytest.raises(InputError, match="NAME=FOLDER"):
        MapFiles.parse(words)


def test_a_folder_that_is_not_there_is_named() -> None:
    with pytest.raises(NotFound, match="none at nowhere"):
        MapFiles.parse("net=nowhere")
