"""Crops of packed pictures, made on the device: the counterpart of `remask_training.crops`.

All pictures lie on the device; a batch of crops is one `grid_sample`. What is done to a crop, and
how often, follows the constants of the library, so that both trainings teach the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from tools.gpu.pack import UNION, Packed
from torch import Tensor

from remask_training.samples import IGNORE

WITH_BOX = 0.45
_FIRST_LOOK, _ANYWHERE = 0.25, 0.8
_BOX_CONTEXT, _CLICK_CONTEXT = (1.3, 1.8), (1.15, 9.0)
_LEAST_SEEN, _BEYOND = 0.2, 0.3
_PASTE, _OCCLUDER, _NEIGHBOUR = 0.35, 0.12, 0.12
_GREY, _NOISE = 0.05, 0.1
_LEAST_LEFT = 0.35  # of the object that an occluder leaves


@dataclass(frozen=True, slots=True)
class Crops:
    """A batch of N crops of S x S pixels; planes are (N, 1, S/2, S/2) float32.

    Attributes:
        image: (N, 3, S, S) float32 in [-1, 1].
        truth: Share of each drawn pixel that is the object.
        known: 0 where the truth says nothing.
        inside: 1 on the picture.
        with_box: (N,) bool, whether the object is to be asked for with a box.
    """

    image: Tensor
    truth: Tensor
    known: Tensor
    inside: Tensor
    with_box: Tensor


class Stock:
    """All packed pictures and label maps on a device."""

    def __init__(self, packed: Packed, device: torch.device) -> None:
        side = max(max(picture.shape[:2]) for picture in packed.pictures)
        pictures = np.full((len(packed.pictures), side, side, 3), 128, np.uint8)
        for number, picture in enumerate(packed.pictures):
            pictures[number, : picture.shape[0], : picture.shape[1]] = picture
        labels = np.zeros((len(packed.labels), side, side), np.int16)
        says_nothing = np.zeros(len(packed.labels), np.bool_)
        for number, plane in enumerate(packed.labels):
            labels[number, : plane.shape[0], : plane.shape[1]] = plane.astype(np.int16)
            says_nothing[number] = plane.dtype == np.uint8
        self.pictures = torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2)
        self.labels = torch.from_numpy(labels).to(device)
        self.says_nothing = torch.from_numpy(says_nothing).to(device)
        self.picture_of = torch.from_numpy(packed.picture_of).long().to(device)
        self.labels_of = torch.from_numpy(packed.labels_of).long().to(device)
        self.values = torch.from_numpy(packed.values).to(device)
        self.boxes = torch.from_numpy(packed.boxes).to(device)
        self.odds = torch.from_numpy(packed.odds).float().to(device)
        sizes = [picture.shape[:2] for picture in packed.pictures]
        self.shapes_hw = torch.tensor(sizes, dtype=torch.float32, device=device)
        self.device = device

    def draw(self, count: int, *, side: int) -> Crops:
        """Return `count` random crops of `side` pixels."""
        picks = torch.multinomial(self.odds, count, replacement=True)
        maps = self.labels_of[picks]
        pictures = self.picture_of[maps]
        with_box = self._chance(count) < WITH_BOX
        grid = self._grids(picks, pictures, with_box, side=side)
        image = _sampled(self.pictures[pictures].float(), grid, empty=128.0)
        labels, values = self.labels[maps], self.values[picks][:, None, None]
        nothing = (labels == IGNORE) & self.says_nothing[maps][:, None, None] & (values != IGNORE)
        mask = torch.where(values == UNION, (labels > 0) & ~nothing, labels == values)
        truth = _halved(_sampled(mask[:, None].float(), grid, empty=0.0))
        unknown = _halved(_sampled(nothing[:, None].float(), grid, empty=0.0))
        size = self.shapes_hw[pictures].flip(1)[:, None, None]
        scaled = (grid + 1) * (self.labels.shape[-1] / 2)
        inside = ((scaled >= 0) & (scaled < size)).all(-1)[:, None].float()
        crops = Crops(
            self._recoloured(image),
            truth,
            (unknown < 0.01).float(),
            (_halved(inside) > 0.5).float(),
            with_box,
        )
        return self._composed(crops)

    def _chance(self, *shape: int) -> Tensor:
        return torch.rand(shape, device=self.device)

    def _between(self, low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * self._chance(*shape)

    def _grids(self, picks: Tensor, pictures: Tensor, with_box: Tensor, *, side: int) -> Tensor:
        """Return where each pixel of the crops lies in the padded pictures, (N, S, S, 2)."""
        count = len(picks)
        boxes, shapes = self.boxes[picks], self.shapes_hw[pictures]
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2
        extent = (boxes[:, 2:] - boxes[:, :2]).max(1).values.clamp(min=4)
        whole = shapes.max(1).values / extent
        boxed = torch.exp(self._between(*np.log(_BOX_CONTEXT), count))
        clicked = torch.exp(self._between(*np.log(_CLICK_CONTEXT), count))
        first = ~with_box & (self._chance(count) < _FIRST_LOOK)
        anywhere = ~with_box & ~first & (self._chance(count) < _ANYWHERE)
        context = torch.where(with_box, boxed, torch.minimum(clicked, 1.1 * whole).clamp(min=1.05))
        context = torch.where(first, whole, context)
        near = self._between(-0.06, 0.06, count, 2) * context.clamp(max=2.5)[:, None]
        reach = (context / 2 - _LEAST_SEEN).clamp(min=0.06)[:, None]
        far = self._between(-1, 1, count, 2) * reach
        centre = middle + torch.where(anywhere[:, None], far, near) * extent[:, None]
        inner = ((0.5 - _BEYOND) * context * extent)[:, None]
        size = shapes.flip(1)
        low, high = torch.minimum(inner, size / 2), torch.maximum(size - inner, size / 2)
        centre = torch.where(anywhere[:, None], centre.clamp(low, high), centre)
        turn = self._between(-0.35, 0.35, count) * (self._chance(count) < 0.3)
        stretch = torch.exp(self._between(-0.12, 0.12, count))
        flip = torch.where(self._chance(count) < 0.5, -1.0, 1.0)
        across = context * extent / 2
        cos, sin = torch.cos(turn), torch.sin(turn)
        linear = torch.stack(
            [
                torch.stack([cos * across * stretch * flip, sin * across / stretch], 1),
                torch.stack([-sin * across * stretch * flip, cos * across / stretch], 1),
            ],
            1,
        )
        matrix = torch.cat([linear, centre[:, :, None]], 2)
        grid = F.affine_grid(matrix, [count, 1, side, side], align_corners=False)
        return grid * (2 / self.labels.shape[-1]) - 1

    def _recoloured(self, image: Tensor) -> Tensor:
        count = len(image)
        level = (image / 255).clamp(0, 1) ** self._between(0.8, 1.25, count, 1, 1, 1)
        gain = self._between(0.75, 1.25, count, 1, 1, 1) * self._between(0.9, 1.1, count, 3, 1, 1)
        level = (level - 0.5) * gain + 0.5 + self._between(-0.1, 0.1, count, 1, 1, 1)
        grey = self._chance(count, 1, 1, 1) < _GREY
        level = torch.where(grey, level.mean(1, keepdim=True), level)
        grain = self._between(0.01, 0.04, count, 1, 1, 1) * torch.randn_like(level)
        level = level + grain * (self._chance(count, 1, 1, 1) < _NOISE)
        return level.clamp(0, 1) * 2 - 1

    def _composed(self, crops: Crops) -> Crops:
        """Return the crops with other backgrounds, mirrored neighbours and occluders."""
        count, side = len(crops.image), crops.image.shape[-1]
        image, truth = crops.image, crops.truth
        inside, known = crops.inside, crops.known
        cover = F.interpolate(truth, size=(side, side), mode="bilinear", align_corners=False)
        paste = self._chance(count, 1, 1, 1) < _PASTE
        image = torch.where(paste, cover * image + (1 - cover) * image.roll(1, 0), image)
        inside = torch.where(paste, torch.ones_like(inside), inside)
        # Moved by about the object's own width, so that it stands beside itself.
        width = 2 * (truth > 0.5).any(2).float().mean((1, 2))
        aside = width * self._between(0.7, 1.1, count) * torch.sign(self._between(-1, 1, count))
        apart = torch.stack([-torch.ones_like(aside), aside, 0 * aside, 0 * aside + 1], 1)
        image = self._laid(image, crops.image, truth, apart, 1 - truth, _NEIGHBOUR)[0]
        scale = self._between(1.2, 3.0, count)
        moved = self._between(-0.8, 0.8, count) * scale
        over = torch.stack([scale, moved, self._between(-0.8, 0.8, count) * scale, scale], 1)
        image, alpha = self._laid(
            image, crops.image.roll(2, 0), truth.roll(2, 0), over, inside, _OCCLUDER, before=truth
        )
        return Crops(image, truth * (1 - alpha), known, inside, crops.with_box)

    def _laid(
        self,
        image: Tensor,
        other: Tensor,
        shape: Tensor,
        place: Tensor,
        room: Tensor,
        share: float,
        *,
        before: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return `image` under `other`, cut out along `shape`, and how much each pixel is covered.

        `place` is (N, 4): x scale, x shift, y shift, y scale of an affine grid.
        """
        count = len(image)
        xs, dx, dy, ys = place.unbind(1)
        zero = torch.zeros_like(xs)
        matrix = torch.stack([xs, zero, dx, zero, ys, dy], 1).reshape(count, 2, 3)
        fine = F.affine_grid(matrix, list(image.shape), align_corners=False)
        coarse = F.affine_grid(matrix, list(shape.shape), align_corners=False)
        alpha = F.grid_sample(shape, coarse, align_corners=False) * room
        alpha = alpha * (self._chance(count, 1, 1, 1) < share)
        if before is not None:
            left = (before * (1 - alpha)).sum((1, 2, 3)) / before.sum((1, 2, 3)).clamp(min=1)
            alpha = alpha * (left > _LEAST_LEFT)[:, None, None, None]
        moved = F.grid_sample(other, fine, align_corners=False)
        cover = F.interpolate(alpha, size=image.shape[-2:], mode="bilinear", align_corners=False)
        return cover * moved + (1 - cover) * image, alpha


def _sampled(planes: Tensor, grid: Tensor, *, empty: float) -> Tensor:
    return F.grid_sample(planes - empty, grid, align_corners=False) + empty


def _halved(planes: Tensor) -> Tensor:
    return F.avg_pool2d(planes, 2)
