"""Networks of the Segment Anything family small enough for tests, with seeded random weights."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    EdgeTamConfig,
    EdgeTamMaskDecoderConfig,
    EdgeTamPromptEncoderConfig,
    EdgeTamVisionConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Sam2Config,
    Sam2HieraDetConfig,
    Sam2MaskDecoderConfig,
    Sam2PromptEncoderConfig,
    Sam2VisionConfig,
    Sam3TrackerConfig,
    Sam3TrackerMaskDecoderConfig,
    Sam3TrackerPromptEncoderConfig,
    Sam3VisionConfig,
    Sam3ViTConfig,
    SamHQConfig,
    SamHQMaskDecoderConfig,
    SamHQPromptEncoderConfig,
    SamHQVisionConfig,
)

from remask_models.sam.architectures import build_random
from remask_models.sam.family import FamilySegmenter

SIDE = 64
DIM = 32
DECODER: dict[str, Any] = {
    "hidden_size": DIM,
    "mlp_dim": 48,
    "num_attention_heads": 2,
    "iou_head_hidden_dim": 24,
}
SIZES = [[16, 16], [8, 8], [4, 4]]
PROMPTS: dict[str, Any] = {"hidden_size": DIM, "image_size": SIDE, "mask_input_channels": 8}


class StubBackboneConfig(PreTrainedConfig):
    """Stands in for the configuration of the `timm` package's RepViT, EdgeTAM's encoder."""

    model_type = "stub_backbone"


class StubBackbone(PreTrainedModel):
    """Returns four feature maps in a list, as `timm` does."""

    config_class = StubBackboneConfig

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__(config)
        convolutions = [torch.nn.Conv2d(3, 8, 4, stride=4)]
        convolutions += [torch.nn.Conv2d(8, 8, 2, stride=2) for _ in range(3)]
        self.blocks = torch.nn.ModuleList(convolutions)
        self.post_init()

    def forward(self, pixel_values: torch.Tensor, **_: Any) -> Any:
        maps = [pixel_values]
        for block in self.blocks:
            maps.append(block(maps[-1]))
        return SimpleNamespace(last_hidden_state=maps[1:], hidden_states=None)


AutoConfig.register("stub_backbone", StubBackboneConfig)
AutoModel.register(StubBackboneConfig, StubBackbone)


def sam2_config() -> Sam2Config:
    backbone = Sam2HieraDetConfig(
        hidden_size=8,
        image_size=[SIDE, SIDE],
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[8, 16, 24, 32],
        num_attention_heads_per_stage=[1, 1, 2, 2],
        window_size_per_stage=[4, 2, 4, 2],
        global_attention_blocks=[3],
        window_positional_embedding_background_size=[4, 4],
    )
    return Sam2Config(
        vision_config=Sam2VisionConfig(
            backbone_config=backbone,
            backbone_channel_list=[32, 24, 16, 8],
            backbone_feature_sizes=SIZES,
            fpn_hidden_size=DIM,
        ),
        prompt_encoder_config=Sam2PromptEncoderConfig(**PROMPTS),
        mask_decoder_config=Sam2MaskDecoderConfig(**DECODER),
    )


def sam_hq_config() -> SamHQConfig:
    return SamHQConfig(
        vision_config=SamHQVisionConfig(
            hidden_size=24,
            output_channels=DIM,
            num_hidden_layers=3,
            num_attention_heads=2,
            image_size=SIDE,
            patch_size=8,
            window_size=3,
            global_attn_indexes=[1],
            num_pos_feats=DIM // 2,
        ),
        prompt_encoder_config=SamHQPromptEncoderConfig(**PROMPTS, patch_size=8),
        mask_decoder_config=SamHQMaskDecoderConfig(**DECODER, vit_dim=24),
    )


def edgetam_config() -> EdgeTamConfig:
    return EdgeTamConfig(
        vision_config=EdgeTamVisionConfig(
            backbone_config=StubBackboneConfig(),
            backbone_channel_list=[8, 8, 8, 8],
            backbone_feature_sizes=SIZES,
            fpn_hidden_size=DIM,
        ),
        prompt_encoder_config=EdgeTamPromptEncoderConfig(**PROMPTS),
        mask_decoder_config=EdgeTamMaskDecoderConfig(**DECODER),
    )


def sam3_config() -> Sam3TrackerConfig:
    backbone = Sam3ViTConfig(
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=56,
        patch_size=14,
        window_size=2,
        global_attn_indexes=[1],
        pretrain_image_size=28,
    )
    return Sam3TrackerConfig(
        vision_config=Sam3VisionConfig(
            backbone_config=backbone, fpn_hidden_size=DIM, backbone_feature_sizes=SIZES
        ),
        prompt_encoder_config=Sam3TrackerPromptEncoderConfig(**{**PROMPTS, "image_size": 56}),
        mask_decoder_config=Sam3TrackerMaskDecoderConfig(**DECODER),
    )


TINY_CONFIGS: dict[str, Callable[[], Any]] = {
    "sam2": sam2_config,
    "sam_hq": sam_hq_config,
    "edgetam": edgetam_config,
    "sam3_tracker": sam3_config,
}


def tiny_family(kind: str, *, seed: int = 0, **options: Any) -> FamilySegmenter:
    """Return a tiny network of the kind as a Segmenter; two of one seed are equal."""
    network = build_random(TINY_CONFIGS[kind](), seed=seed)
    name = f"tiny_{kind}"
    return FamilySegmenter(network, name=name, version=f"{name}@000000000000", **options)
