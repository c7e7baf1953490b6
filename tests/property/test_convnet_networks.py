"""The network in ONNX Runtime and in torch: one set of weights, one answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from remask_core.errors import InputError
from remask_models.convnet.loading import WEIGHTS, load_network
from remask_models.convnet.network import TorchNetwork
from remask_models.convnet.onnx_runtime import OnnxNetwork
from remask_models.convnet.prompt_planes import HAS_PRIOR, INSIDE, PRIOR
from remask_models.weights_file import read_weights


@pytest.fixture(scope="module")
def both() -> tuple[OnnxNetwork, TorchNetwork]:
    _, arrays = read_weights(WEIGHTS)
    return OnnxNetwork(arrays), TorchNetwork(load_network(WEIGHTS), torch.device("cpu"))


@settings(max_examples=6, deadline=None)
@given(
    crops=st.integers(1, 3),
    size=st.sampled_from([64, 192, 256]),
    seed=st.integers(0, 99),
    prior=st.booleans(),
)
def test_the_graph_answers_as_the_layers_do(
    both: tuple[OnnxNetwork, TorchNetwork], crops: int, size: int, seed: int, prior: bool
) -> None:
    rng = np.random.default_rng(seed)
    image = rng.uniform(-1, 1, (crops, 3, size, size)).astype(np.float32)
    prompts = (rng.random((crops, 6, size // 2, size // 2)) > 0.97).astype(np.float32)
    prompts[:, INSIDE] = 1
    prompts[:, HAS_PRIOR] = prior
    prompts[:, PRIOR] *= prior

    (logits, judged), (torch_logits, torch_judged) = (net.look(image, prompts) for net in both)

    assert logits.shape == (crops, 1, size // 2, size // 2)
    assert judged.shape == (crops,)
    np.testing.assert_allclose(logits, torch_logits, atol=1e-3)
    np.testing.assert_allclose(judged, torch_judged, atol=1e-3)


@pytest.mark.parametrize("fault", ["missing", "shape", "unknown"])
def test_weights_of_other_layers_are_refused(fault: str) -> None:
    _, arrays = read_weights(WEIGHTS)
    if fault == "missing":
        del arrays["out.weight"]
    elif fault == "shape":
        arrays["out.weight"] = np.zeros((2, 16, 3, 3), np.float32)
    else:
        arrays["more.weight"] = np.zeros(3, np.float32)

    with pytest.raises(InputError, match="this version's layers"):
        OnnxNetwork(arrays)
