"""A Segment Anything model small enough for tests, with the weights of the golden vectors."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from segment_anything.modeling import (
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    Sam,
    TwoWayTransformer,
)


def golden(shared: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    folder = shared / "golden" / "sam"
    with np.load(folder / "tiny_sam.npz") as arrays:
        return json.loads((folder / "tiny_sam.json").read_text()), dict(arrays)


def build_tiny_sam(arch: dict[str, Any], *, seed: int = 0) -> Sam:
    grid = arch["img_size"] // arch["patch"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Sam(
            image_encoder=ImageEncoderViT(
                img_size=arch["img_size"],
                patch_size=arch["patch"],
                embed_dim=arch["embed_dim"],
                depth=arch["depth"],
                num_heads=arch["heads"],
                mlp_ratio=arch["mlp_ratio"],
                out_chans=arch["out_chans"],
                qkv_bias=True,
                use_rel_pos=True,
                norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
                global_attn_indexes=arch["global_attn_indexes"],
                window_size=arch["window"],
            ),
            prompt_encoder=PromptEncoder(
                embed_dim=arch["prompt_dim"],
                image_embedding_size=(grid, grid),
                input_image_size=(arch["img_size"], arch["img_size"]),
                mask_in_chans=arch["mask_in_chans"],
            ),
            mask_decoder=MaskDecoder(
                transformer_dim=arch["prompt_dim"],
                transformer=TwoWayTransformer(
                    depth=arch["decoder_depth"],
                    embedding_dim=arch["prompt_dim"],
                    num_heads=arch["decoder_heads"],
                    mlp_dim=arch["decoder_mlp"],
                ),
                num_multimask_outputs=3,
                iou_head_depth=3,
                iou_head_hidden_dim=arch["iou_hidden"],
            ),
        )


TINY_ARCH: dict[str, Any] = {
    "img_size": 128,
    "patch": 16,
    "embed_dim": 32,
    "depth": 3,
    "heads": 2,
    "mlp_ratio": 2,
    "out_chans": 32,
    "window": 3,
    "global_attn_indexes": [1],
    "prompt_dim": 32,
    "mask_in_chans": 8,
    "decoder_depth": 2,
    "decoder_heads": 4,
    "decoder_mlp": 64,
    "iou_hidden": 32,
}


def golden_sam(shared: Path) -> Sam:
    notes, arrays = golden(shared)
    sam = build_tiny_sam(notes["arch"])
    prefix = "w/"
    sam.load_state_dict(
        {
            key.removeprefix(prefix): torch.from_numpy(value)
            for key, value in arrays.items()
            if key.startswith(prefix)
        }
    )
    return sam
