"""Average two weights files: `python tools/average_weights.py OLD NEW --share 0.5 --out W`.

Weights and those that were trained on from them often lie in one basin: their mean is then
better than either, as if the training had been longer and its last steps smaller (Wortsman et
al. 2022, model soups).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from remask_models.weights import digest
from remask_models.weights_file import read_weights, write_weights


def average(old: Path, new: Path, *, share: float, out: Path) -> None:
    """Write the mean of two weights files, `share` of it from `new`; its facts are those of `new`.

    A score curve and measures are left out: they belong to the weights that they were made with.

    Raises:
        ValueError: The files hold arrays of other names or shapes.
    """
    _, olds = read_weights(old)
    facts, news = read_weights(new)
    if _shapes(olds) != _shapes(news):
        raise ValueError(f"`new` must hold the layers of {old}; {new} holds others")
    mixed = {
        name: (share * array + (1 - share) * olds[name]).astype(array.dtype)
        for name, array in news.items()
    }
    kept = {name: value for name, value in facts.items() if name not in ("score", "checks")}
    write_weights(out, mixed, {**kept, "averaged": {"share": share, "with": digest(old)[:12]}})


def _shapes(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, tuple[int, ...]]:
    return {name: np.shape(array) for name, array in arrays.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--share", type=float, default=0.5, help="Of the new weights.")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    average(asked.old, asked.new, share=asked.share, out=asked.out)


if __name__ == "__main__":
    main()
