"""The clickability model, loaded from a file: it predicts where people click on an error.

Source: RClicks (Antonov et al. 2024, arXiv 2410.11722), section 4.
Differs: the paper's network sees the whole image in a frame of 416 px and answers with a map
    scaled to [0, 1]. Ours looks at a window around the error and answers with a distribution.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from remask_core.errors import InputError
from remask_core.types import BoolMask, RgbImage
from remask_masks.clickability import soft_error
from remask_models.clickability.error_window import error_window_of
from remask_models.weights import digest, stamp
from remask_models.weights_file import read_weights

if TYPE_CHECKING:
    import torch

    from remask_models.clickability.network import ClickNet

__all__ = ["NET", "Clickability", "clickability_version", "load_clickability"]

NET = "clickability"


class Clickability:
    """A trained model of clicks.

    Attributes:
        version: Name and digest of the weights; equal version, equal maps.
        facts: What the weights file tells of its making, `clicks` (whose clicks it was trained
            on) among it.
    """

    def __init__(
        self, net: ClickNet, *, version: str, facts: dict[str, Any], device: torch.device
    ) -> None:
        self.version = version
        self.facts = facts
        self._net = net.eval().to(device)
        self._device = device

    def clickmap(
        self, image: RgbImage, truth: BoolMask, error: BoolMask
    ) -> npt.NDArray[np.float32]:
        """Return how likely each pixel is to be clicked by somebody who is to correct `error`.

        Args:
            image: (H, W, 3) uint8 RGB.
            truth: (H, W) bool: the whole object.
            error: (H, W) bool: all that the click may answer, see
                `remask_masks.clickability.error_of`.

        Returns:
            (H, W) float32 with sum 1; all zero for an empty error.

        Raises:
            InputError: An argument is of another type.
            ShapeMismatch: Image and masks differ in size.
        """
        import torch

        found = np.zeros(error.shape, dtype=np.float32)
        if not error.any():
            return found
        sight = error_window_of(image, truth, error)
        with torch.inference_mode():
            seen = torch.from_numpy(sight.image).to(self._device)
            seen = seen.permute(2, 0, 1)[None].float().div(127.5).sub(1)
            planes = torch.from_numpy(sight.planes)[None].to(self._device)
            raised = self._net(self._net.see(seen), planes)
        here, factor = sight.paste(raised[0, 0].cpu().numpy())
        found[here] = np.exp(factor - factor.max()) * soft_error(error)[here]
        found /= np.float32(found.sum(dtype=np.float64))
        return found


def clickability_version(weights: Path) -> str:
    """Return the version of a weights file, known without loading it."""
    return stamp(NET, digest(weights))


def load_clickability(weights: Path, *, device: str = "cpu") -> Clickability:
    """Return the model in a weights file of `remask train clickability`.

    Raises:
        NotFound: There is no such file.
        InputError: It is no weights file of this network, or the device is not there.
    """
    import torch

    from remask_models.clickability.network import ClickNet
    from remask_models.device import resolve_device

    facts, arrays = read_weights(weights, net=NET)
    net = ClickNet()
    try:
        net.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    except RuntimeError as error:
        raise InputError(
            f"`weights` must hold this version's layers; those of {weights} are others"
        ) from error
    return Clickability(
        net, version=clickability_version(weights), facts=facts, device=resolve_device(device)
    )
