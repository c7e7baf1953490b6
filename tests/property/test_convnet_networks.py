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


def test_the_graph_of_the_readings_answers_as_their_layers_do() -> None:
    net = load_network(WEIGHTS)
    torch.manual_seed(5)
    if net.readings is None:
        net.start_readings()
        assert net.readings is not None
        torch.nn.init.normal_(net.readings.move.weight, std=0.1)
    arrays = {name: value.numpy() for name, value in net.state_dict().items()}
    plain = {n: array for n, array in arrays.items() if not n.startswith("readings.")}
    rng = np.random.default_rng(0)
    image = rng.uniform(-1, 1, (2, 3, 128, 128)).astype(np.float32)
    prompts = np.zeros((2, 6, 64, 64), np.float32)
    prompts[:, INSIDE] = 1
    prompts[:, 0, 30:36, 30:36] = 1
    onnx, without = OnnxNetwork(arrays), OnnxNetwork(plain)

    found = onnx.read(image, prompts)
    expected = TorchNetwork(net, torch.device("cpu")).read(image, prompts)

    assert [(2, 1, 64, 64), (2,), (1, 2, 64, 64), (1, 3)] == [array.shape for array in found]
    for array, of_torch in zip(found, expected, strict=True):
        np.testing.assert_allclose(array, of_torch, atol=1e-3)
    # The network's own answer is the same to the last bit, with the head or without it.
    assert (onnx.has_readings, without.has_readings) == (True, False)
    for array, own in zip(found[:2], without.look(image, prompts), strict=True):
        assert np.array_equal(array, own)


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
