from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tools.average_weights import average

from remask_models.weights_file import read_weights, write_weights


def test_a_quarter_of_the_new_weights_is_a_quarter_of_the_way(tmp_path: Path) -> None:
    old, new, out = (tmp_path / name for name in ("old.npz", "new.npz", "out.npz"))
    write_weights(old, {"a": np.zeros(3, np.float32)}, {"step": 1})
    write_weights(new, {"a": np.full(3, 4, np.float32)}, {"step": 2, "score": {"curve": {}}})

    average(old, new, share=0.25, out=out)

    facts, arrays = read_weights(out)
    assert arrays["a"].tolist() == [1.0, 1.0, 1.0]
    assert facts["step"] == 2
    assert facts["averaged"]["share"] == 0.25
    assert "score" not in facts


def test_weights_of_other_layers_are_refused(tmp_path: Path) -> None:
    old, new = tmp_path / "old.npz", tmp_path / "new.npz"
    write_weights(old, {"a": np.zeros(3, np.float32)}, {})
    write_weights(new, {"a": np.zeros(4, np.float32)}, {})

    with pytest.raises(ValueError, match="`new` must hold"):
        average(old, new, share=0.5, out=tmp_path / "out.npz")
