"""Write the graphs of `ConvNet` for ONNX Runtime, without its weights.

To be run when the layers change: `python tools/write_graph.py`. The weights are left out because
they are in the weights file already; ONNX Runtime is given them by name when the model is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import Dim

from remask_models.convnet.loading import WEIGHTS, load_network
from remask_models.convnet.network import PROMPT_CHANNELS, ConvNet
from remask_models.convnet.onnx_runtime import GRAPH, READINGS_GRAPH
from remask_models.convnet.readings import Readings, Trunk, climb

# The newest whose group norm keeps its weights' names; ONNX Runtime 1.20 knows it.
_OPSET = 21
_EXTERNAL = 1  # onnx.TensorProto.EXTERNAL


class _Decoder(torch.nn.Module):
    """`ConvNet` that tells the maps of its decoder as well, for `Readings` to go on from."""

    def __init__(self, net: ConvNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor, prompts: Tensor) -> tuple[Tensor, ...]:
        net = self.net
        trunk = net.trunk(net.encode(image), prompts)
        logits = climb(net, trunk)
        return logits, net.judge_mask(trunk.at16, logits), *trunk


class _Readings(torch.nn.Module):
    """`Readings` with its inputs one by one."""

    def __init__(self, readings: Readings) -> None:
        super().__init__()
        self.readings = readings

    def forward(
        self,
        logits: Tensor,
        at16: Tensor,
        look16: Tensor,
        at8: Tensor,
        look8: Tensor,
        at4: Tensor,
        look4: Tensor,
        look2: Tensor,
        drawn: Tensor,
    ) -> tuple[Tensor, Tensor]:
        trunk = Trunk(at16, look16, at8, look8, at4, look4, look2, drawn)
        found: tuple[Tensor, Tensor] = self.readings(trunk, logits)
        return found


def main() -> None:
    net = load_network(WEIGHTS).eval()
    readings = Readings(PROMPT_CHANNELS + 1).eval()
    # The exporter would keep one of two weights that are equal.
    for weight in readings.parameters():
        torch.nn.init.uniform_(weight)
    image, prompts = torch.zeros(2, 3, 192, 192), torch.zeros(2, 6, 96, 96)
    decoder = _Decoder(net)
    with torch.no_grad():
        logits, _, *trunk = decoder(image, prompts)
    _write(
        decoder,
        GRAPH,
        given={"image": image, "prompts": prompts},
        outputs=["logits", "judged", *Trunk._fields],
        prefix="net.",
    )
    _write(
        _Readings(readings),
        READINGS_GRAPH,
        given={"logits": logits, **dict(zip(Trunk._fields, trunk, strict=True))},
        outputs=["readings", "estimates"],
        prefix="",
    )


def _write(
    net: torch.nn.Module,
    path: Path,
    *,
    given: Mapping[str, Tensor],
    outputs: list[str],
    prefix: str,
) -> None:
    """Write the graph of `net`, whose weights' names begin with `prefix` there only."""
    free = {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    program = torch.onnx.export(
        net.eval(),
        tuple(given.values()),
        input_names=list(given),
        output_names=outputs,
        dynamic_shapes=[free] * len(given),
        opset_version=_OPSET,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    model = program.model_proto
    weights = net.state_dict()
    for tensor in model.graph.initializer:
        _forget_origin(tensor)
        if tensor.name in weights:
            tensor.name = tensor.name.removeprefix(prefix)
            tensor.ClearField("raw_data")
            tensor.data_location = _EXTERNAL
            # A place must be named; nothing is there.
            tensor.external_data.add(key="location", value="given-when-loaded")
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if name in weights:
                node.input[place] = name.removeprefix(prefix)
    for part in (model, model.graph, *model.graph.node, *model.graph.input, *model.graph.output):
        _forget_origin(part)
    del model.graph.value_info[:]
    path.write_bytes(model.SerializeToString(deterministic=True))
    print(f"{path.name}: {len(model.graph.node)} operations, {path.stat().st_size} bytes")


def _forget_origin(part: Any) -> None:
    """Remove what the exporter tells of stack traces and paths on this machine."""
    part.ClearField("doc_string")
    part.ClearField("metadata_props")


if __name__ == "__main__":
    main()
