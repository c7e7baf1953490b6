"""The bundled model, by file: what `remask` needs to know of it before torch is there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from remask_core.errors import InputError
from remask_core.extras import has_module
from remask_core.types import Segmenter
from remask_models.convnet.score_curve import ScoreCurve
from remask_models.device import has_cuda_driver
from remask_models.weights import BUNDLED_CONVNET, digest, stamp
from remask_models.weights_file import read_header, read_weights

if TYPE_CHECKING:
    from remask_models.convnet.network import ConvNet, TorchNetwork
    from remask_models.convnet.onnx_runtime import OnnxNetwork

__all__ = ["WEIGHTS", "load_convnet", "load_network"]

WEIGHTS = BUNDLED_CONVNET
"""The weights that ship with remask."""


def load_network(weights: Path) -> ConvNet:
    """Return the network with the weights of the file, on the CPU.

    Raises:
        NotFound: There is no such file.
        InputError: It is no weights file of this network.
    """
    import torch

    from remask_models.convnet.network import ConvNet

    _, arrays = read_weights(weights)
    net = ConvNet(readings=any(name.startswith("readings.") for name in arrays))
    try:
        net.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    except RuntimeError as error:
        raise InputError(
            f"`weights` must hold this version's layers; those of {weights} are others"
        ) from error
    return net


def load_convnet(weights: Path | None, *, device: str) -> Segmenter:
    """Return the bundled model, ready to answer; on the CPU without torch.

    Args:
        weights: Weights file as `remask train convnet` writes it; None takes the bundled one.
        device: `cpu`, `cuda`, `cuda:1`, or `auto` (the first CUDA device if there is one).

    Raises:
        NotFound: There is no such file.
        InputError: It is no weights file of this network, or the device is not there.
    """
    from remask_models.convnet.segmenter import ConvNetSegmenter

    path = weights or WEIGHTS
    network = _network(path, device)
    return ConvNetSegmenter(
        network,
        version=stamp("convnet", digest(path)),
        curve=ScoreCurve.of(read_header(path)),
        reader=network if network.has_readings else None,
    )


def _network(weights: Path, device: str) -> OnnxNetwork | TorchNetwork:
    # To ask torch for a GPU takes half a gigabyte; without the driver or torch there is none.
    if device == "auto" and not (has_cuda_driver() and has_module("torch")):
        device = "cpu"
    if device != "cpu":
        from remask_models.device import resolve_device

        where = resolve_device(device)
        if where.type != "cpu":
            from remask_models.convnet.network import TorchNetwork

            return TorchNetwork(load_network(weights), where)
    from remask_models.convnet.onnx_runtime import OnnxNetwork

    _, arrays = read_weights(weights)
    return OnnxNetwork(arrays, threads=_threads(os.environ))


def _threads(environ: Mapping[str, str]) -> int:
    """Return what `OMP_NUM_THREADS` asks for, 0 if nothing.

    torch's libraries read it themselves, ONNX Runtime does not; a user sets one thing for both.
    """
    first = environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(first) if first.isdecimal() else 0
