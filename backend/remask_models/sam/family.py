"""SAM 2.1, HQ-SAM, EdgeTAM and SAM 3's tracker as Segmenters, run by `transformers`.

Source: Ravi et al. 2024 (SAM 2), Ke et al. 2023 (HQ-SAM), Zhou et al. 2025 (EdgeTAM), Carion et
al. 2025 (SAM 3), through the classes of the `transformers` package.
Differs: the package's `forward` takes one mask prompt per image. Here the prompt encoder and the
mask decoder are called one after the other, so that several prompts of one image with a prior
each share a decoder run: every prompt then counts as an image of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from remask_core.types import RgbImage
from remask_models.device import resolve_device
from remask_models.sam.architectures import FAMILY, read_network
from remask_models.sam.frames import Frame
from remask_models.sam.pauses import encoder_blocks
from remask_models.sam.prompted import PromptBatch, Prompted
from remask_models.weights import digest, stamp

__all__ = ["FamilySegmenter", "load_family"]

_IMAGENET_MEAN = (123.675, 116.28, 103.53)
_IMAGENET_STD = (58.395, 57.12, 57.375)
_HALF = (127.5, 127.5, 127.5)  # SAM 3 scales each channel from 0..255 to -1..1


class FamilySegmenter(Prompted):
    """A network of `transformers` as a Segmenter.

    The embedding holds what the decoder needs, in half precision: for SAM 2.1 the last feature
    map and two of higher resolution (8.4 MB), for HQ-SAM the last and the first global block's.
    """

    def __init__(
        self,
        network: Any,
        *,
        name: str,
        version: str,
        dtype: torch.dtype = torch.float16,
        autocast: torch.dtype | None = None,
        device_cache_bytes: int | None = None,
    ) -> None:
        """Take over `network`: it is put into evaluation mode and gets a hook before every block.

        Args:
            network: A `Sam2Model`, `SamHQModel`, `EdgeTamModel` or `Sam3TrackerModel`.
            name: `Segmenter.name`.
            version: `Segmenter.version`.
            dtype: How embeddings are kept: `torch.float16` or `torch.float32`.
            autocast: As for `Prompted`.
            device_cache_bytes: As for `Prompted`.
        """
        self._network = network.eval()
        self._dtype = dtype
        kind = network.config.model_type
        self._is_hq = kind == "sam_hq"
        encoder = network.prompt_encoder
        with torch.inference_mode():
            self._positions = network.get_image_wide_positional_embeddings()
        side_px = encoder.input_image_size
        cells = encoder.image_embedding_size
        super().__init__(
            name=name,
            version=version,
            frame=Frame(
                side_px=side_px,
                pads=self._is_hq,
                mean=_HALF if kind == "sam3_tracker" else _IMAGENET_MEAN,
                std=_HALF if kind == "sam3_tracker" else _IMAGENET_STD,
            ),
            # The mask prompt is halved twice before it meets the image's cells.
            low_hw=(4 * cells[0], 4 * cells[1]),
            device=network.device,
            blocks=encoder_blocks(network.vision_encoder),
            autocast=autocast,
            device_cache_bytes=device_cache_bytes,
        )

    def _pixels(self, image: RgbImage) -> torch.Tensor:
        return self.frame.pixels(image, device=self._device)

    def _encode(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        if self._is_hq:
            features, levels = self._network.get_image_embeddings(pixels)
            return {"features": features[0], "early": levels[0][0]}
        *high, features = self._network.get_image_embeddings(pixels)
        named = {f"high_{number}": level[0] for number, level in enumerate(high)}
        return {"features": features[0], **named}

    @property
    def _stored_dtype(self) -> torch.dtype:
        return self._dtype

    def _decode(
        self, features: Mapping[str, torch.Tensor], batch: PromptBatch
    ) -> tuple[torch.Tensor, torch.Tensor]:
        # Without mask prompts the prompts are those of one image, and what the decoder computes
        # of the image alone is computed once. With them each prompt is an image of its own.
        images = 1 if batch.masks is None else len(batch.masks)
        axis = 0 if images == 1 and batch.masks is None else 1
        sparse, dense = self._network.prompt_encoder(
            input_points=_with_axis(batch.points_xy, axis),
            input_labels=_with_axis(batch.signs, axis),
            input_boxes=_with_axis(batch.boxes_xyxy, axis),
            input_masks=batch.masks,
        )
        spread = {key: value[None].expand(images, *value.shape) for key, value in features.items()}
        extra: dict[str, Any]
        if self._is_hq:
            extra = {"intermediate_embeddings": [spread["early"]], "hq_token_only": False}
        else:
            high = [spread[key] for key in sorted(spread) if key.startswith("high_")]
            extra = {"high_resolution_features": high}
        low, ious, *_ = self._network.mask_decoder(
            image_embeddings=spread["features"],
            image_positional_embeddings=self._positions.expand(images, -1, -1, -1),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=batch.multimask,
            **extra,
        )
        return low.squeeze(axis), ious.squeeze(axis)


def _with_axis(tensor: torch.Tensor | None, axis: int) -> torch.Tensor | None:
    return None if tensor is None else tensor.unsqueeze(axis)


def load_family(name: str, weights: Path, *, device: str = "cpu") -> FamilySegmenter:
    """Return the model `name` of the family with the weights of a file.

    Args:
        name: One of `FAMILY`: the architecture.
        weights: A safetensors file with tensors named as `transformers` names them, published or
            fine-tuned.
        device: `cpu`, `cuda`, `cuda:1` or `auto`.

    Raises:
        InputError: The file is no such file, or the device is not there.
        NotFound: There is no such file.
    """
    where = resolve_device(device)
    version = stamp(name, digest(weights))
    network: Any = read_network(FAMILY[name](), weights, name=name)
    return FamilySegmenter(network.to(where), name=name, version=version)
