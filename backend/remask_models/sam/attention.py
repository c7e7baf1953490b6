"""SAM 1's attention through PyTorch's fused kernels.

The authors' code builds the whole attention map of a block, 4096 x 4096 per head in its global
blocks, adds the decomposed relative positions to it, and takes its softmax in a step of its own.
Here the relative positions are the bias of `scaled_dot_product_attention`, which on a GPU needs
neither the map nor its softmax in memory. The result is the same but for rounding.

Source: Kirillov et al. 2023, `ImageEncoderViT`; the positions are those of Li et al. 2022
(arXiv 2112.01526): a bias of a query and a key is the query's product with a vector of their
distance in rows, plus that with a vector of their distance in columns.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch.nn import functional

__all__ = ["FusedAttention", "fuse_attention"]


class FusedAttention(torch.nn.Module):
    """An `Attention` of SAM 1's encoder with its weights, computed by a fused kernel."""

    def __init__(self, attention: Any) -> None:
        """Take over the layers of `attention`."""
        super().__init__()
        self.num_heads: int = attention.num_heads
        self.qkv = attention.qkv
        self.proj = attention.proj
        self.use_rel_pos: bool = attention.use_rel_pos
        if self.use_rel_pos:
            self.rel_pos_h = attention.rel_pos_h
            self.rel_pos_w = attention.rel_pos_w

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what attention makes of (B, H, W, C), of the same shape."""
        batch, height, width, _ = x.shape
        heads = self.num_heads
        qkv = self.qkv(x).reshape(batch, height * width, 3, heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.unbind(0)  # each (B, heads, H * W, C / heads)
        bias = self._bias(query, height, width) if self.use_rel_pos else None
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        mixed = mixed.transpose(1, 2).reshape(batch, height, width, -1)
        out: torch.Tensor = self.proj(mixed)
        return out

    def _bias(self, query: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """Return the bias of every query for every key, (B, heads, H * W, H * W)."""
        batch, heads, cells, channels = query.shape
        places = query.reshape(batch * heads, height, width, channels)
        rows = _by_distance(self.rel_pos_h, height).to(query.dtype)
        columns = _by_distance(self.rel_pos_w, width).to(query.dtype)
        of_rows = torch.einsum("nhwc,hkc->nhwk", places, rows)
        of_columns = torch.einsum("nhwc,wkc->nhwk", places, columns)
        bias = of_rows[..., :, None] + of_columns[..., None, :]
        return bias.reshape(batch, heads, cells, cells)


def _by_distance(vectors: torch.Tensor, side: int) -> torch.Tensor:
    """Return the vector of each pair of places on one axis, (side, side, C).

    Args:
        vectors: (L, C), one per distance; stretched if `side` is not what they were trained for.
        side: Places on the axis.
    """
    wanted = 2 * side - 1
    if len(vectors) != wanted:
        stretched = functional.interpolate(vectors.T[None], size=wanted, mode="linear")
        vectors = stretched[0].T
    places = torch.arange(side, device=vectors.device)
    return vectors[places[:, None] - places[None, :] + side - 1]


def fuse_attention(blocks: Iterable[Any]) -> None:
    """Replace the attention of each of an encoder's blocks by a fused one."""
    for block in blocks:
        block.attn = FusedAttention(block.attn)
