"""The network behind `convnet` in torch: on a GPU, and where it is trained."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from remask_models.convnet_net import ConvNet

__all__ = ["TorchNetwork"]

_Floats = npt.NDArray[np.float32]


class TorchNetwork:
    """`ConvNet` on a device of torch."""

    def __init__(self, net: ConvNet, device: torch.device) -> None:
        self._net = net.eval().to(device)
        self._device = device

    @torch.inference_mode()
    def look(self, image: _Floats, prompts: _Floats) -> tuple[_Floats, _Floats]:
        """See `Network.look`."""
        seen, drawn = (torch.from_numpy(array).to(self._device) for array in (image, prompts))
        logits, judged = self._net(seen, drawn)
        return logits.cpu().numpy(), judged.cpu().numpy()
