"""The networks that the GPU run measures: published sizes, and tiny ones for a try on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from segment_anything.modeling import (
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    Sam,
    TwoWayTransformer,
)
from transformers import (
    Sam2Config,
    Sam2HieraDetConfig,
    Sam2MaskDecoderConfig,
    Sam2PromptEncoderConfig,
    Sam2VisionConfig,
)

from remask_models.sam.architectures import FAMILY, build_random
from remask_models.sam.segment_anything import random_sam

__all__ = ["FULL", "TINY", "Network"]

_SEED = 0
_SIDE, _DIM = 128, 32


@dataclass(frozen=True, slots=True)
class Network:
    """A network with seeded random weights.

    Attributes:
        name: Its name in the table.
        build: Makes it, on the CPU.
    """

    name: str
    build: Callable[[], Any]


def _family(name: str) -> Network:
    return Network(name, lambda: build_random(FAMILY[name](), seed=_SEED))


FULL = (
    Network("sam_vit_b", partial(random_sam, "sam_vit_b", seed=_SEED)),
    _family("sam2.1_hiera_large"),
    Network("sam_vit_h", partial(random_sam, "sam_vit_h", seed=_SEED)),
    _family("sam_hq_vit_b"),
)
"""The published sizes of which the aims speak, the most telling first."""


def _tiny_sam() -> Sam:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        return Sam(
            image_encoder=ImageEncoderViT(
                img_size=_SIDE,
                embed_dim=_DIM,
                depth=3,
                num_heads=2,
                out_chans=_DIM,
                use_rel_pos=True,
                window_size=3,
                global_attn_indexes=(1,),
            ),
            prompt_encoder=PromptEncoder(
                embed_dim=_DIM,
                image_embedding_size=(_SIDE // 16, _SIDE // 16),
                input_image_size=(_SIDE, _SIDE),
                mask_in_chans=8,
            ),
            mask_decoder=MaskDecoder(
                transformer_dim=_DIM,
                transformer=TwoWayTransformer(depth=2, embedding_dim=_DIM, num_heads=4, mlp_dim=64),
            ),
        )


def _tiny_sam2() -> Any:
    backbone = Sam2HieraDetConfig(
        hidden_size=8,
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[8, 16, 24, 32],
        num_attention_heads_per_stage=[1, 1, 2, 2],
        global_attention_blocks=[3],
    )
    config = Sam2Config(
        vision_config=Sam2VisionConfig(
            backbone_config=backbone,
            backbone_channel_list=[32, 24, 16, 8],
            backbone_feature_sizes=[[32, 32], [16, 16], [8, 8]],
            fpn_hidden_size=_DIM,
        ),
        prompt_encoder_config=Sam2PromptEncoderConfig(hidden_size=_DIM, image_size=_SIDE),
        mask_decoder_config=Sam2MaskDecoderConfig(
            hidden_size=_DIM, mlp_dim=64, num_attention_heads=2
        ),
    )
    return build_random(config, seed=_SEED)


TINY = (Network("tiny_sam", _tiny_sam), Network("tiny_sam2", _tiny_sam2))
"""Networks that a CPU runs in a moment: they show that the run works, not how fast anything is."""
