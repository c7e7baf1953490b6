"""Write the graph of `ConvNet` for ONNX Runtime, without its weights.

To be run when the layers change: `python tools/write_graph.py`. The weights are left out because
they are in the weights file already; ONNX Runtime is given them by name when the model is loaded.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.export import Dim

from remask_models.convnet.loading import WEIGHTS, load_network
from remask_models.convnet.onnx_runtime import GRAPH

# The newest whose group norm keeps its weights' names; ONNX Runtime 1.20 knows it.
_OPSET = 21
_EXTERNAL = 1  # onnx.TensorProto.EXTERNAL


def main() -> None:
    net = load_network(WEIGHTS).eval()
    crops, drawn = torch.zeros(2, 3, 192, 192), torch.zeros(2, 6, 96, 96)
    free = {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    program = torch.onnx.export(
        net,
        (crops, drawn),
        input_names=["image", "prompts"],
        output_names=["logits", "judged"],
        dynamic_shapes={"image": free, "prompts": free},
        opset_version=_OPSET,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    model = program.model_proto
    for tensor in model.graph.initializer:
        _forget_origin(tensor)
        if tensor.name in net.state_dict():
            tensor.ClearField("raw_data")
            tensor.data_location = _EXTERNAL
            # A place must be named; nothing is there.
            tensor.external_data.add(key="location", value="given-when-loaded")
    for part in (model, model.graph, *model.graph.node, *model.graph.input, *model.graph.output):
        _forget_origin(part)
    del model.graph.value_info[:]
    GRAPH.write_bytes(model.SerializeToString(deterministic=True))
    print(f"{GRAPH.name}: {len(model.graph.node)} operations, {GRAPH.stat().st_size} bytes")


def _forget_origin(part: Any) -> None:
    """Remove what the exporter tells of stack traces and paths on this machine."""
    part.ClearField("doc_string")
    part.ClearField("metadata_props")


if __name__ == "__main__":
    main()
