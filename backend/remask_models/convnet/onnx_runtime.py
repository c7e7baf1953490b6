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

__all__ = ["GRAPH", "READINGS_GRAPH", "OnnxNetwork"]

GRAPH = Path(__file__).parent / "data" / "convnet.onnx"
"""The layers of `ConvNet` without their weights; written by `tools/write_graph.py`."""

READINGS_GRAPH = GRAPH.with_name("convnet_readings.onnx")
"""The layers of `Readings`, which go on from maps that the other graph has computed."""

_TRUNK = ("at16", "look16", "at8", "look8", "at4", "look4", "look2", "drawn")  # of `Trunk`
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
        of_readings = {n: array for n, array in arrays.items() if n.startswith("readings.")}
        others = {n: array for n, array in arrays.items() if n not in of_readings}
        self._session = _session(GRAPH, others, threads=threads)
        # Each session has threads of its own; `threads` is what both may have together.
        self._readings = _session(READINGS_GRAPH, of_readings, threads=1) if of_readings else None

    @property
    def has_readings(self) -> bool:
        """Whether the weights hold the head of `Readings`."""
        return self._readings is not None

    def look(self, image: _Floats, prompts: _Floats) -> tuple[_Floats, _Floats]:
        """See `Network.look`."""
        given = {"image": image, "prompts": prompts}
        logits, judged = self._session.run(["logits", "judged"], given)
        return logits, judged

    def read(self, image: _Floats, prompts: _Floats) -> tuple[_Floats, _Floats, _Floats, _Floats]:
        """See `ReadingNetwork.read`."""
        assert self._readings is not None
        given = {"image": image, "prompts": prompts}
        found = self._session.run(["logits", "judged", *_TRUNK], given)
        logits, judged = found[:2]
        first = dict(zip(_TRUNK, (level[:1] for level in found[2:]), strict=True))
        readings, estimates = self._readings.run(
            ["readings", "estimates"], {"logits": logits[:1], **first}
        )
        return logits, judged, readings, estimates


def _session(
    graph: Path, arrays: Mapping[str, npt.NDArray[Any]], *, threads: int
) -> InferenceSession:
    options = SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = _ONLY_ERRORS
    # Threads that wait awake win 4 ms of 44, and take a core from whoever shares the machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    values = [OrtValue.ortvalue_from_numpy(array) for array in arrays.values()]
    options.add_external_initializers(list(arrays), values)
    try:
        return InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except (Fail, RuntimeException) as error:
        raise InputError(f"`weights` must hold this version's layers; {error}") from error
