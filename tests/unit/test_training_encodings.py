from __future__ import annotations

import numpy as np
import torch

from remask_models.convnet.prompt_planes import BOX, NEGATIVE, POSITIVE, draw_click
from remask_training.encodings import Redrawn, distance_to_click


def test_distances_are_those_to_the_nearest_click() -> None:
    drawn = np.zeros((6, 60, 80), np.float32)
    places = [(10, 50), (79, 0), (41, 22)]
    for x, y in places:
        draw_click(drawn, x, y, positive=True)
    rows, columns = np.mgrid[:60, :80]
    expected = np.min([np.hypot(columns - x, rows - y) for x, y in places], axis=0)

    found = distance_to_click(drawn[POSITIVE])

    assert np.abs(found - expected).max() < 1.5
    assert [found[y, x] for x, y in places] == [0, 0, 0]


def test_clicks_are_redrawn_and_nothing_else() -> None:
    drawn = np.zeros((6, 40, 40), np.float32)
    drawn[BOX, 5:30, 5:30] = 1
    draw_click(drawn, 20, 20, positive=True)

    for encoding in ("gaussian", "distance"):
        shown = Redrawn(encoding)(torch.from_numpy(drawn)[None])[0].numpy()

        line = shown[POSITIVE, 20, 20:]
        assert line[0] == 1
        assert np.all(np.diff(line) <= 0)
        assert line[5] > 0
        assert not shown[NEGATIVE].any()
        assert np.array_equal(shown[2:], drawn[2:])
