"""SAM 1: the authors' published checkpoints, run by their own package.

Source: Kirillov et al. 2023, through the authors' `segment_anything` package. Ours is what
surrounds it (`remask_models.sam.prompted`).
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from segment_anything import sam_model_registry
from segment_anything.modeling import Sam
from segment_anything.utils.transforms import ResizeLongestSide

from remask_core.errors import InputError
from remask_core.types import RgbImage
from remask_models.device import resolve_device
from remask_models.sam.attention import fuse_attention
from remask_models.sam.frames import Frame
from remask_models.sam.prompted import PromptBatch, Prompted
from remask_models.weights import digest, stamp

__all__ = ["SamSegmenter", "load_sam", "random_sam"]


class SamSegmenter(Prompted):
    """A built `Sam` module as a Segmenter.

    The embedding holds the encoder's output alone, float32 `(C, h, w)` (256 x 64 x 64, 4 MiB, for
    the published models); the image is not kept. The IoU head has no sigmoid, so scores are cut.
    """

    def __init__(
        self,
        sam: Sam,
        *,
        name: str,
        version: str,
        fused: bool | None = None,
        autocast: torch.dtype | None = None,
        device_cache_bytes: int | None = None,
    ) -> None:
        """Take over `sam`: it is put into evaluation mode and gets a hook before every block.

        Args:
            sam: The network.
            name: `Segmenter.name`.
            version: `Segmenter.version`.
            fused: Whether the encoder's attention is computed by fused kernels; None does so on a
                GPU. On the CPU not a bit differs from the authors' predictor without them.
            autocast: As for `Prompted`.
            device_cache_bytes: As for `Prompted`.
        """
        self._sam = sam.eval()
        if sam.device.type == "cuda" if fused is None else fused:
            fuse_attention(sam.image_encoder.blocks)
        self._resize = ResizeLongestSide(sam.image_encoder.img_size)
        super().__init__(
            name=name,
            version=version,
            frame=Frame(
                side_px=sam.image_encoder.img_size,
                pads=True,
                mean=tuple(sam.pixel_mean.flatten().tolist()),
                std=tuple(sam.pixel_std.flatten().tolist()),
            ),
            low_hw=sam.prompt_encoder.mask_input_size,
            device=sam.device,
            blocks=sam.image_encoder.blocks,
            autocast=autocast,
            device_cache_bytes=device_cache_bytes,
        )

    def _pixels(self, image: RgbImage) -> torch.Tensor:
        if self._device.type == "cuda":
            return self.frame.pixels(image, device=self._device)
        # The package's own scaling and padding, so that not a bit differs from its predictor.
        resized = torch.as_tensor(self._resize.apply_image(image), device=self._device)
        pixels: torch.Tensor = self._sam.preprocess(resized.permute(2, 0, 1).contiguous()[None])
        return pixels

    def _encode(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"features": self._sam.image_encoder(pixels)[0]}

    @property
    def _stored_dtype(self) -> torch.dtype:
        return torch.float32

    def _decode(
        self, features: Mapping[str, torch.Tensor], batch: PromptBatch
    ) -> tuple[torch.Tensor, torch.Tensor]:
        points = None if batch.points_xy is None else (batch.points_xy, batch.signs)
        encoder = self._sam.prompt_encoder
        sparse, dense = encoder(points=points, boxes=batch.boxes_xyxy, masks=batch.masks)
        low, ious = self._sam.mask_decoder(
            image_embeddings=features["features"][None],
            image_pe=encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=batch.multimask,
        )
        return low, ious


def load_sam(name: str, weights: Path, *, device: str = "cpu") -> SamSegmenter:
    """Return the Segment Anything model of a checkpoint.

    Args:
        name: `sam_vit_b`, `sam_vit_l` or `sam_vit_h`: the architecture.
        weights: A state dict of it, published or fine-tuned. It is read as data only; a file that
            would run code on loading is refused.
        device: `cpu`, `cuda`, `cuda:1` or `auto`.

    Raises:
        InputError: The file is no such checkpoint, or the device is not there.
        NotFound: There is no such file.
    """
    where = resolve_device(device)
    version = stamp(name, digest(weights))
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise InputError(
            f"`weights` must be a PyTorch file of tensors; {weights} is not"
        ) from error
    sam = sam_model_registry[name.removeprefix("sam_")]()
    try:
        sam.load_state_dict(state)
    except (RuntimeError, TypeError) as error:
        raise InputError(f"`weights` must be a state dict of {name}; {weights} is not") from error
    return SamSegmenter(sam.to(where), name=name, version=version)


def random_sam(name: str, *, seed: int) -> Sam:
    """Return a Segment Anything model with seeded random weights: real work, meaningless masks.

    For timing where the checkpoints are not at hand. The global random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sam: Sam = sam_model_registry[name.removeprefix("sam_")]()
    return sam
