"""Segment Anything as a `Segmenter`: official checkpoints, run by their own package.

Source: Kirillov et al. 2023, through the authors' `segment_anything` package. Ours is what
surrounds it: no state between calls, pauses inside the encoder, one decoder run for many objects.
"""

from __future__ import annotations

import itertools
import pickle
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from segment_anything import sam_model_registry
from segment_anything.modeling import Sam
from segment_anything.utils.transforms import ResizeLongestSide

from remask_core.errors import InputError, ShapeMismatch
from remask_core.types import (
    BoolMask,
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
from remask_models.device import resolve_device
from remask_models.weights import digest, stamp

__all__ = ["SamSegmenter", "load_sam", "random_sam"]

# The pause of the embedding that runs in this thread now. A context variable, because a pause may
# itself embed another image on the same model, whose pauses are its own.
_PAUSE: ContextVar[Pause] = ContextVar("_PAUSE", default=no_pause)

_PRIOR_LOGIT = 10.0  # sigmoid(10) = 0.99995; SAM 2's own code turns given masks into the same
_DECODER_BATCH = 8  # objects in one decoder run; more of them only fight for the cache


class SamSegmenter:
    """A built `Sam` module as a Segmenter.

    The embedding holds the encoder's output alone, float32 `(C, h, w)` (256 x 64 x 64, 4 MiB, for
    the published models); the image is not kept. Scores are the model's predicted IoU, cut to
    [0, 1] because its head has no sigmoid. Logits are its low-resolution mask, `(256, 256)`
    float32 in the frame of the padded 1024-pixel square.
    """

    def __init__(self, sam: Sam, *, name: str, version: str) -> None:
        """Take over `sam`: it is put into evaluation mode and gets a hook before every block."""
        self.name = name
        self.version = version
        self._sam = sam.eval()
        self._resize = ResizeLongestSide(sam.image_encoder.img_size)
        for block in sam.image_encoder.blocks:
            block.register_forward_pre_hook(self._before_block)

    @torch.inference_mode()
    def embed(self, image: RgbImage, *, pause: Pause = no_pause) -> Embedding:
        """Return the embedding; `pause` is called before each block of the encoder."""
        check_image(image)
        resized = torch.as_tensor(self._resize.apply_image(image), device=self._sam.device)
        pixels = self._sam.preprocess(resized.permute(2, 0, 1).contiguous()[None])
        token = _PAUSE.set(pause)
        try:
            features = self._sam.image_encoder(pixels)
        finally:
            _PAUSE.reset(token)
        return Embedding(
            shape_hw=(image.shape[0], image.shape[1]),
            arrays={"features": features[0].float().cpu().numpy()},
        )

    def predict(self, embedding: Embedding, prompt: Prompt) -> list[Candidate]:
        """Return three candidates for a single click alone, else one.

        One click may mean a part, a thing, or a group, so the model is let to answer thrice and
        its predicted IoU chooses; any further prompt settles that, and its single-mask output is
        the better one then (Kirillov et al. 2023, section 3).

        A prior mask becomes a mask prompt as `_logits_of` says. Coordinates are SAM's: a click is
        the index of its pixel, a box its two corners.

        Raises:
            InputError: See `remask_models.prompts.check_prompt`.
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
        answers: dict[int, list[Candidate]] = {}
        for indices in alike.values():
            for start in range(0, len(indices), _DECODER_BATCH):
                batch = indices[start : start + _DECODER_BATCH]
                found = self._decode(embedding, [prompts[index] for index in batch])
                answers.update(zip(batch, found, strict=True))
        return [answers[index] for index in range(len(prompts))]

    def point_masks(
        self, embedding: Embedding, points_xy: Points, *, min_score: float, offset: float
    ) -> Iterator[list[PointMask]]:
        """Yield the three masks of each point, some points at a time; see `PointSegmenter`."""
        for start in range(0, len(points_xy), _DECODER_BATCH):
            some = points_xy[start : start + _DECODER_BATCH]
            yield self._masks_of_points(
                embedding, some, first=start, min_score=min_score, offset=offset
            )

    @torch.inference_mode()
    def _masks_of_points(
        self,
        embedding: Embedding,
        points_xy: Points,
        *,
        first: int,
        min_score: float,
        offset: float,
    ) -> list[PointMask]:
        sam, shape_hw = self._sam, embedding.shape_hw
        placed = self._resize.apply_coords(points_xy, shape_hw)
        points = torch.as_tensor(placed, device=sam.device)[:, None]
        signs = torch.ones(points.shape[:2], dtype=torch.int, device=sam.device)
        sparse, dense = sam.prompt_encoder(points=(points, signs), boxes=None, masks=None)
        low, ious = sam.mask_decoder(
            image_embeddings=self._tensor(embedding.arrays["features"])[None],
            image_pe=sam.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
        )
        input_hw = self._resize.get_preprocess_shape(*shape_hw, self._resize.target_length)
        found: list[PointMask] = []
        for row, column in itertools.product(range(len(points)), range(ious.shape[1])):
            score = float(ious[row, column])
            if 0 < min_score and not score > min_score:
                continue
            # One mask at a time, as in `_candidates`: most points offer none that is good enough.
            full = sam.postprocess_masks(
                low[row : row + 1, column : column + 1], input_hw, shape_hw
            )
            logits, cut = full[0, 0], sam.mask_threshold
            larger = int((logits > cut - offset).sum())
            smaller = int((logits > cut + offset).sum())
            stable = float(np.float32(smaller) / np.float32(larger)) if larger else float("nan")
            mask = (logits > cut).cpu().numpy()
            found.append(PointMask(first + row, mask, score, stable))
        return found

    def _before_block(self, module: torch.nn.Module, inputs: Any) -> None:
        pause = _PAUSE.get()
        if pause is no_pause:
            return
        if self._sam.device.type == "cuda":
            # Launches run ahead of the device: without this the pause would come long before the
            # work that it is to interrupt.
            torch.cuda.synchronize(self._sam.device)
        pause()

    def _decode(self, embedding: Embedding, prompts: Sequence[Prompt]) -> list[list[Candidate]]:
        """Return the candidates of prompts that have equally many clicks, box, and prior."""
        sam, shape_hw = self._sam, embedding.shape_hw
        first = prompts[0]
        points = boxes = masks = None
        if first.clicks:
            xy = np.array([[(c.x, c.y) for c in prompt.clicks] for prompt in prompts], dtype=float)
            signs = [[int(c.positive) for c in prompt.clicks] for prompt in prompts]
            points = (
                self._tensor(self._resize.apply_coords(xy, shape_hw)),
                torch.as_tensor(signs, dtype=torch.int, device=sam.device),
            )
        if first.box is not None:
            corners = [(b.x0, b.y0, b.x1, b.y1) for b in (p.box for p in prompts) if b is not None]
            boxes = self._tensor(self._resize.apply_boxes(np.array(corners, dtype=float), shape_hw))
        priors = [prior for prior in map(self._prior_logits, prompts) if prior is not None]
        if priors:
            masks = self._tensor(np.stack(priors)[:, None])
        sparse, dense = sam.prompt_encoder(points=points, boxes=boxes, masks=masks)
        low, ious = sam.mask_decoder(
            image_embeddings=self._tensor(embedding.arrays["features"])[None],
            image_pe=sam.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=len(first.clicks) == 1 and boxes is None and masks is None,
        )
        return [self._candidates(low[row], ious[row], shape_hw) for row in range(len(prompts))]

    def _candidates(
        self, low: torch.Tensor, ious: torch.Tensor, shape_hw: tuple[int, int]
    ) -> list[Candidate]:
        """Return the candidates of one object, best first, from its `(N, h, w)` logits.

        One object at a time: the masks of a batch at full resolution would not fit for 4K images.
        """
        input_hw = self._resize.get_preprocess_shape(*shape_hw, self._resize.target_length)
        order = torch.argsort(ious, descending=True, stable=True)
        full = self._sam.postprocess_masks(low[order][None], input_hw, shape_hw)[0]
        masks = (full > self._sam.mask_threshold).cpu().numpy()
        logits = low[order].float().cpu().numpy()
        scores = ious[order].clamp(0.0, 1.0).tolist()
        return [
            Candidate(mask=mask, score=score, logits=logit)
            for mask, score, logit in zip(masks, scores, logits, strict=True)
        ]

    def _prior_logits(self, prompt: Prompt) -> Logits | None:
        low_hw = self._sam.prompt_encoder.mask_input_size
        if prompt.prior_logits is not None:
            if prompt.prior_logits.shape != low_hw:
                raise ShapeMismatch(
                    f"`prior_logits` must have shape {low_hw}; got {prompt.prior_logits.shape}"
                )
            return prompt.prior_logits
        if prompt.prior_mask is None:
            return None
        return _logits_of(prompt.prior_mask, side_px=self._resize.target_length, low_hw=low_hw)

    def _tensor(self, array: Any) -> torch.Tensor:
        return torch.as_tensor(array, dtype=torch.float32, device=self._sam.device)


def _logits_of(mask: BoolMask, *, side_px: int, low_hw: tuple[int, int]) -> Logits:
    """Return a mask as the low-resolution logits that SAM takes as a prompt.

    As the image is: scaled so that the longer side is `side_px`, then padded right and below to a
    square. Then each of the `low_hw` cells gets the share of it that the mask covers, and a share
    of 0 becomes -10, a half 0, all of it +10.

    Args:
        mask: (H, W) bool.
        side_px: Side of the padded square, 1024 for the published models.
        low_hw: What the prompt encoder takes, (256, 256) for the published models.

    Returns:
        `low_hw` float32.
    """
    height, width = ResizeLongestSide.get_preprocess_shape(*mask.shape, side_px)
    square = np.zeros((side_px, side_px), dtype=np.float32)
    shrinks = max(mask.shape) > side_px
    square[:height, :width] = cv2.resize(
        mask.astype(np.float32),
        (width, height),
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
    )
    share = cv2.resize(square, low_hw[::-1], interpolation=cv2.INTER_AREA)
    logits: Logits = (_PRIOR_LOGIT * (2 * share - 1)).astype(np.float32)
    return logits


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
