"""The network behind `convnet` in ONNX Runtime: quicker than torch, in a third of the memory.

What is computed stands in a graph that ships with remask and holds no weights; they come from the
same file that torch reads, so there is one file to train, to publish and to know a version by.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from onnxruntime import InferenceSession, OrtValue, SessionOptions
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, RuntimeException

from remask_core.errors import InputError

__all__ = ["GRAPH", "OnnxNetwork"]

GRAPH = Path(__file__).parent / "data" / "convnet.onnx"
"""The layers of `ConvNet` without their weights; written by `tools/write_graph.py`."""

_ONLY_ERRORS = 3

_Floats = npt.NDArray[np.float32]


class OnnxNetwork:
    """`ConvNet` on the CPU, without torch.

    Args:
        arrays: Weights by their name in the network, as `read_weights` returns them.
        threads: CPU threads of the arithmetic; 0 takes one per core.

    Raises:
        InputError: The weights are of other layers.
    """

    def __init__(self, arrays: Mapping[str, npt.NDArray[Any]], *, threads: int = 0) -> None:
        options = SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = _ONLY_ERRORS
        # Threads that wait awake win 4 ms of 44, and take a core from whoever shares the machine.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        values = [OrtValue.ortvalue_from_numpy(array) for array in arrays.values()]
        options.add_external_initializers(list(arrays), values)
        try:
            self._session = InferenceSession(GRAPH, options, providers=["CPUExecutionProvider"])
        except (Fail, RuntimeException) as error:
            raise InputError(f"`weights` must hold this version's layers; {error}") from error

    def look(self, image: _Floats, prompts: _Floats) -> tuple[_Floats, _Floats]:
        """See `Network.look`."""
        logits, judged = self._session.run(None, {"image": image, "prompts": prompts})
        return logits, judged
