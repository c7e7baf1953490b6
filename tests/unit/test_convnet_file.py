from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from remask_core.errors import InputError, NotFound
from remask_models.convnet.loading import WEIGHTS
from remask_models.weights_file import read_header, read_weights, write_weights


def test_floats_come_back_in_half_precision_and_facts_whole(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    weights = {"a.weight": np.linspace(-1, 1, 7, dtype=np.float32), "b": np.arange(3)}

    write_weights(path, weights, {"steps": 12, "data": ["x"]})
    facts, arrays = read_weights(path)

    assert facts["steps"] == 12
    assert facts["data"] == ["x"]
    assert arrays["a.weight"].dtype == np.float32
    assert np.allclose(arrays["a.weight"], weights["a.weight"], atol=1e-3)
    assert np.array_equal(arrays["b"], weights["b"])


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is none at"):
        read_header(tmp_path / "none.npz")


@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x05\x06" + bytes(18)])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.npz"
    path.write_bytes(content)

    with pytest.raises(InputError, match="must be a weights file of convnet"):
        read_weights(path)


def test_the_bundled_weights_are_small_and_tell_how_they_were_made() -> None:
    facts = read_header(WEIGHTS)

    assert WEIGHTS.stat().st_size <= 12 * 2**20
    assert {"data", "step", "seed", "config", "init"} <= facts.keys()
