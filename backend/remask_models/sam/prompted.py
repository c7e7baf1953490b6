"""What every Segment Anything network shares as a Segmenter: pauses, batches, candidates.

A subclass says how its network encodes pixels and how it decodes a batch of prompts. No state is
kept between calls but a cache: `embed` may be interrupted between two encoder blocks by `predict`
or another `embed` on the same model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from remask_core.errors import ShapeMismatch
from remask_core.lru import ByteLru
from remask_core.types import (
    Candidate,
    Embedding,
    Logits,
    Pause,
    Prompt,
    RgbImage,
    check_image,
    check_prompt,
    no_pause,
)
from remask_masks.automatic.grids import Points
from remask_masks.automatic.point_masks import PointMask
from remask_models.sam.frames import Frame, unpacked
from remask_models.sam.pauses import pause_before, pausing

__all__ = ["PromptBatch", "Prompted"]

_DECODER_BATCH = 8  # objects in one decoder run; more of them only fight for the cache


_DEVICE_CACHE_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class _OnDevice:
    """Features that are on the device, beside the arrays of the embedding that they are of."""

    arrays: Mapping[str, npt.NDArray[Any]]
    features: dict[str, torch.Tensor]


def _bytes_on_device(entry: _OnDevice) -> int:
    return sum(tensor.nbytes for tensor in entry.features.values())


@dataclass(frozen=True, slots=True)
class PromptBatch:
    """Prompts of one image that have equally many clicks, and all or none a box and a prior.

    Attributes:
        points_xy: (N, k, 2) float32 in the frame's pixels; None for no clicks.
        signs: (N, k) int, 1 for a positive click and 0 for a negative; None for no clicks.
        boxes_xyxy: (N, 4) float32 in the frame's pixels; None for no boxes.
        masks: (N, 1, h, w) float32 low-resolution logits; None for no priors.
        multimask: Whether the network is let to answer with several masks.
    """

    points_xy: torch.Tensor | None
    signs: torch.Tensor | None
    boxes_xyxy: torch.Tensor | None
    masks: torch.Tensor | None
    multimask: bool


class Prompted(ABC):
    """A Segment Anything network as a Segmenter.

    Scores are the model's predicted IoU, cut to [0, 1]. Logits are its low-resolution mask,
    `low_hw` float32 in the frame of the square that the network sees.
    """

    def __init__(
        self,
        *,
        name: str,
        version: str,
        frame: Frame,
        low_hw: tuple[int, int],
        device: torch.device,
        blocks: Iterable[torch.nn.Module],
        autocast: torch.dtype | None = None,
        device_cache_bytes: int | None = None,
    ) -> None:
        """Hook a pause before every one of the encoder's `blocks`.

        Args:
            name: `Segmenter.name`.
            version: `Segmenter.version`.
            frame: The square that the network sees.
            low_hw: Of its low-resolution logits.
            device: Where it is.
            blocks: Of its encoder.
            autocast: Precision of the encoder's large products; None takes bfloat16 on a GPU and
                the weights' own on the CPU, `torch.float32` the weights' own everywhere. The
                decoder always runs in the weights' own.
            device_cache_bytes: Most bytes of embeddings kept on the device, so that a click
                uploads nothing but itself; None takes 2 GiB on a GPU and none on the CPU.
        """
        on_gpu = device.type == "cuda"
        self._autocast = autocast or (torch.bfloat16 if on_gpu else None)
        if device_cache_bytes is None:
            device_cache_bytes = _DEVICE_CACHE_BYTES if on_gpu else 0
        self._on_device = ByteLru[int, _OnDevice](device_cache_bytes, size_of=_bytes_on_device)
        self.name = name
        self.version = version
        self.frame = frame
        self.low_hw = low_hw
        self._device = device
        pause_before(blocks, device)

    @property
    def device_cache_nbytes(self) -> int:
        """Bytes of embeddings that are kept on the device."""
        return self._on_device.nbytes

    @abstractmethod
    def _pixels(self, image: RgbImage) -> torch.Tensor:
        """Return the network's input, (1, 3, side, side)."""

    @abstractmethod
    def _encode(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return what the decoder needs of the image, without a batch dimension."""

    @property
    @abstractmethod
    def _stored_dtype(self) -> torch.dtype:
        """How an embedding keeps features: float32 or float16."""

    @abstractmethod
    def _decode(
        self, features: Mapping[str, torch.Tensor], batch: PromptBatch
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (N, M, h, w) logits and (N, M) predicted IoU of N prompts, M masks each."""

    @torch.inference_mode()
    def embed(self, image: RgbImage, *, pause: Pause = no_pause) -> Embedding:
        """Return the embedding; `pause` is called before each block of the encoder."""
        check_image(image)
        pixels = self._pixels(image)
        with pausing(pause), self._precision(self._autocast):
            encoded = self._encode(pixels)
        limit = torch.finfo(self._stored_dtype).max  # what half precision cannot hold is cut
        features = {
            name: tensor.clamp(-limit, limit).to(self._stored_dtype).contiguous()
            for name, tensor in encoded.items()
        }
        arrays = {name: tensor.cpu().numpy() for name, tensor in features.items()}
        self._on_device.put(id(arrays), _OnDevice(arrays, features))
        return Embedding(shape_hw=(image.shape[0], image.shape[1]), arrays=arrays)

    def predict(self, embedding: Embedding, prompt: Prompt) -> list[Candidate]:
        """Return three candidates for a single click alone, else one.

        One click may mean a part, a thing, or a group, so the model is let to answer thrice and
        its predicted IoU chooses; any further prompt settles that, and its single-mask output is
        the better one then (Kirillov et al. 2023, section 3).

        A prior mask becomes a mask prompt as `Frame.prior_logits` says. Coordinates are SAM's: a
        click is the index of its pixel, a box its two corners.

        Raises:
            InputError: See `remask_core.types.check_prompt`.
            ShapeMismatch: `prior_logits` is not of this model's low resolution.
        """
        return self.predict_batch(embedding, [prompt])[0]

    @torch.inference_mode()
    def predict_batch(
        self, embedding: Embedding, prompts: Sequence[Prompt]
    ) -> list[list[Candidate]]:
        """Return the candidates of each prompt; prompts of one shape share a decoder run."""
        alike: dict[tuple[int, bool, bool], list[int]] = defaultdict(list)
        for index, prompt in enumerate(prompts):
            check_prompt(prompt, shape_hw=embedding.shape_hw)
            has_prior = prompt.prior_logits is not None or prompt.prior_mask is not None
            alike[len(prompt.clicks), prompt.box is not None, has_prior].append(index)
        features = self._features(embedding) if prompts else {}
        answers: dict[int, list[Candidate]] = {}
        for indices in alike.values():
            for start in range(0, len(indices), _DECODER_BATCH):
                chosen = indices[start : start + _DECODER_BATCH]
                batch = self._batch([prompts[index] for index in chosen], embedding.shape_hw)
                with self._precision(None):
                    low, ious = self._decode(features, batch)
                for row, index in enumerate(chosen):
                    answers[index] = self._candidates(low[row], ious[row], embedding.shape_hw)
        return [answers[index] for index in range(len(prompts))]

    def point_masks(
        self, embedding: Embedding, points_xy: Points, *, min_score: float, offset: float
    ) -> Iterator[list[PointMask]]:
        """Yield the three masks of each point, some points at a time; see `PointSegmenter`."""
        with torch.inference_mode():
            features = self._features(embedding)
        for start in range(0, len(points_xy), _DECODER_BATCH):
            with torch.inference_mode():
                batch = self._points_alone(
                    points_xy[start : start + _DECODER_BATCH], embedding.shape_hw
                )
                with self._precision(None):
                    low, ious = self._decode(features, batch)
                found = [
                    mask
                    for row in range(len(low))
                    for mask in self._point_masks(
                        low[row], ious[row], start + row, embedding.shape_hw, min_score, offset
                    )
                ]
            yield found

    def _points_alone(self, points_xy: Points, shape_hw: tuple[int, int]) -> PromptBatch:
        """Return positive clicks, one a prompt, in double precision as SAM's own code has them."""
        placed = self.frame.coordinates(points_xy.tolist(), shape_hw)
        points = torch.as_tensor(placed, device=self._device)[:, None]
        signs = torch.ones(points.shape[:2], dtype=torch.int, device=self._device)
        return PromptBatch(points, signs, boxes_xyxy=None, masks=None, multimask=True)

    def _point_masks(
        self,
        low: torch.Tensor,
        ious: torch.Tensor,
        point: int,
        shape_hw: tuple[int, int],
        min_score: float,
        offset: float,
    ) -> Iterator[PointMask]:
        # One mask at a time, as in `_candidates`: most points offer none that is good enough.
        for logits, iou in zip(low, ious.tolist(), strict=True):
            if 0 < min_score and not iou > min_score:
                continue
            full = self.frame.full_logits(logits[None], shape_hw)[0]
            larger, smaller = int((full > -offset).sum()), int((full > offset).sum())
            stable = float(np.float32(smaller) / np.float32(larger)) if larger else float("nan")
            yield PointMask(point, unpacked((full > 0)[None])[0], iou, stable)

    def _precision(self, dtype: torch.dtype | None) -> torch.autocast:
        """Return a context in which large products have this precision; None for the weights' own.

        It must be said for the decoder as well: a prompt may be answered in a pause, in the midst
        of the encoder's context.
        """
        halves = dtype not in (None, torch.float32)
        return torch.autocast(self._device.type, dtype=dtype if halves else None, enabled=halves)

    def _features(self, embedding: Embedding) -> dict[str, torch.Tensor]:
        """Return an embedding's features in single precision, from the device if they are there."""
        kept = self._on_device.get(id(embedding.arrays))
        # An id is used again once its object is gone; the entry holds the object.
        if kept is None or kept.arrays is not embedding.arrays:
            uploaded = {
                name: torch.as_tensor(array, device=self._device)
                for name, array in embedding.arrays.items()
            }
            kept = _OnDevice(embedding.arrays, uploaded)
            self._on_device.put(id(embedding.arrays), kept)
        return {name: tensor.float() for name, tensor in kept.features.items()}

    def _batch(self, prompts: Sequence[Prompt], shape_hw: tuple[int, int]) -> PromptBatch:
        """Return prompts that have equally many clicks, box, and prior as one batch."""
        first = prompts[0]
        points = signs = boxes = None
        if first.clicks:
            rows = [[value for c in prompt.clicks for value in (c.x, c.y)] for prompt in prompts]
            xy = self.frame.coordinates(rows, shape_hw)
            points = self._tensor(xy.reshape(len(prompts), -1, 2))
            signs = torch.as_tensor(
                [[int(c.positive) for c in prompt.clicks] for prompt in prompts],
                dtype=torch.int,
                device=self._device,
            )
        if first.box is not None:
            corners = [(b.x0, b.y0, b.x1, b.y1) for b in (p.box for p in prompts) if b is not None]
            boxes = self._tensor(self.frame.coordinates(corners, shape_hw))
        priors = [prior for prior in map(self._prior_logits, prompts) if prior is not None]
        masks = self._tensor(np.stack(priors)[:, None]) if priors else None
        multimask = len(first.clicks) == 1 and boxes is None and masks is None
        return PromptBatch(points, signs, boxes, masks, multimask)

    def _prior_logits(self, prompt: Prompt) -> Logits | None:
        if prompt.prior_logits is not None:
            if prompt.prior_logits.shape != self.low_hw:
                raise ShapeMismatch(
                    f"`prior_logits` must have shape {self.low_hw}; got {prompt.prior_logits.shape}"
                )
            return prompt.prior_logits
        if prompt.prior_mask is None:
            return None
        return self.frame.prior_logits(prompt.prior_mask, low_hw=self.low_hw)

    def _candidates(
        self, low: torch.Tensor, ious: torch.Tensor, shape_hw: tuple[int, int]
    ) -> list[Candidate]:
        """Return the candidates of one object, best first, from its `(M, h, w)` logits.

        One object at a time: the masks of a batch at full resolution would not fit for 4K images.
        """
        order = torch.argsort(ious, descending=True, stable=True)
        masks = unpacked(self.frame.full_logits(low[order], shape_hw) > 0)
        logits = low[order].float().cpu().numpy()
        scores = ious[order].clamp(0.0, 1.0).tolist()
        return [
            Candidate(mask=mask, score=score, logits=logit)
            for mask, score, logit in zip(masks, scores, logits, strict=True)
        ]

    def _tensor(self, array: Any) -> torch.Tensor:
        return torch.as_tensor(array, dtype=torch.float32, device=self._device)
