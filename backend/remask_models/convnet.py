"""The bundled model, by file: what `remask` needs to know of it before torch is there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from remask_core.errors import InputError
from remask_core.types import Segmenter
from remask_models.convnet_file import read_header, read_weights
from remask_models.convnet_memory import keep_memory
from remask_models.convnet_score import ScoreCurve
from remask_models.weights import BUNDLED_CONVNET, digest, stamp

if TYPE_CHECKING:
    from remask_models.convnet_net import ConvNet

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

    from remask_models.convnet_net import ConvNet

    _, arrays = read_weights(weights)
    net = ConvNet()
    try:
        net.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    except RuntimeError as error:
        raise InputError(
            f"`weights` must hold this version's layers; those of {weights} are others"
        ) from error
    return net


def load_convnet(weights: Path | None, *, device: str) -> Segmenter:
    """Return the bundled model, ready to answer; see `keep_memory` for what it does to the process.

    Args:
        weights: Weights file as `remask train convnet` writes it; None takes the bundled one.
        device: `cpu`, `cuda`, `cuda:1`, or `auto` (the first CUDA device if there is one).

    Raises:
        NotFound: There is no such file.
        InputError: It is no weights file of this network, or the device is not there.
    """
    from remask_models.convnet_segmenter import ConvNetSegmenter
    from remask_models.device import resolve_device

    keep_memory()
    path = weights or WEIGHTS
    return ConvNetSegmenter(
        load_network(path),
        version=stamp("convnet", digest(path)),
        device=resolve_device(device),
        curve=ScoreCurve.of(read_header(path)),
    )
