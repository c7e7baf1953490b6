"""The networks of the Segment Anything family, as the `transformers` package builds them.

Each name's configuration stands here, so that a model is one file of weights and needs no
`config.json` beside it. The figures are those of the authors' own configuration files (SAM 2.1's
`sam2.1_hiera_*.yaml`, HQ-SAM's `build_sam.py`, EdgeTAM's `edgetam.yaml`) and the package's
defaults for SAM 3's tracker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import (
    EdgeTamConfig,
    EdgeTamModel,
    EdgeTamVisionConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Sam2Config,
    Sam2HieraDetConfig,
    Sam2Model,
    Sam2VisionConfig,
    Sam3TrackerConfig,
    Sam3TrackerModel,
    SamHQConfig,
    SamHQMaskDecoderConfig,
    SamHQModel,
    SamHQVisionConfig,
    TimmWrapperConfig,
)
from transformers.utils import logging

from remask_core.errors import InputError

__all__ = ["FAMILY", "MODEL_CLASSES", "build", "build_random", "read_network"]

_bars: Any = logging  # two of its functions have no types
_CRITICAL = 50  # a level of the standard library's logging

MODEL_CLASSES: Mapping[str, Any] = MappingProxyType(
    {
        "sam2": Sam2Model,
        "sam_hq": SamHQModel,
        "edgetam": EdgeTamModel,
        "sam3_tracker": Sam3TrackerModel,
    }
)
"""Class of a network by the `model_type` of its configuration."""


def _sam2(
    *,
    dims: tuple[int, int, int, int],
    heads: tuple[int, int, int, int],
    blocks: tuple[int, int, int, int],
    global_blocks: tuple[int, int, int],
    windows: tuple[int, int, int, int] = (8, 4, 14, 7),
    background: int = 7,
) -> Sam2Config:
    backbone = Sam2HieraDetConfig(
        hidden_size=dims[0],
        num_attention_heads=heads[0],
        embed_dim_per_stage=list(dims),
        num_attention_heads_per_stage=list(heads),
        blocks_per_stage=list(blocks),
        global_attention_blocks=list(global_blocks),
        window_size_per_stage=list(windows),
        window_positional_embedding_background_size=[background, background],
    )
    vision = Sam2VisionConfig(backbone_config=backbone, backbone_channel_list=list(reversed(dims)))
    return Sam2Config(vision_config=vision)


def _sam_hq(*, dim: int, layers: int, heads: int, global_layers: list[int]) -> SamHQConfig:
    return SamHQConfig(
        vision_config=SamHQVisionConfig(
            hidden_size=dim,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            global_attn_indexes=global_layers,
        ),
        mask_decoder_config=SamHQMaskDecoderConfig(vit_dim=dim),
    )


def _edgetam() -> EdgeTamConfig:
    backbone = TimmWrapperConfig(
        architecture="repvit_m1",
        model_args={"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]},
    )
    return EdgeTamConfig(vision_config=EdgeTamVisionConfig(backbone_config=backbone))


_SMALL_DIMS = (96, 192, 384, 768)
_SMALL_HEADS = (1, 2, 4, 8)

FAMILY: Mapping[str, Callable[[], PreTrainedConfig]] = MappingProxyType(
    {
        "sam2.1_hiera_tiny": lambda: _sam2(
            dims=_SMALL_DIMS, heads=_SMALL_HEADS, blocks=(1, 2, 7, 2), global_blocks=(5, 7, 9)
        ),
        "sam2.1_hiera_small": lambda: _sam2(
            dims=_SMALL_DIMS, heads=_SMALL_HEADS, blocks=(1, 2, 11, 2), global_blocks=(7, 10, 13)
        ),
        "sam2.1_hiera_base_plus": lambda: _sam2(
            dims=(112, 224, 448, 896),
            heads=(2, 4, 8, 16),
            blocks=(2, 3, 16, 3),
            global_blocks=(12, 16, 20),
            background=14,
        ),
        "sam2.1_hiera_large": lambda: _sam2(
            dims=(144, 288, 576, 1152),
            heads=(2, 4, 8, 16),
            blocks=(2, 6, 36, 4),
            global_blocks=(23, 33, 43),
            windows=(8, 4, 16, 8),
        ),
        "sam_hq_vit_b": lambda: _sam_hq(dim=768, layers=12, heads=12, global_layers=[2, 5, 8, 11]),
        "sam_hq_vit_l": lambda: _sam_hq(
            dim=1024, layers=24, heads=16, global_layers=[5, 11, 17, 23]
        ),
        "sam_hq_vit_h": lambda: _sam_hq(
            dim=1280, layers=32, heads=16, global_layers=[7, 15, 23, 31]
        ),
        "edgetam": _edgetam,
        "sam3_tracker": Sam3TrackerConfig,
    }
)
"""Name of a model to the function that makes its configuration."""


def build(config: PreTrainedConfig) -> PreTrainedModel:
    """Return the network of a configuration with the package's own initial weights."""
    network: PreTrainedModel = MODEL_CLASSES[config.model_type](config)
    return network


def build_random(config: PreTrainedConfig, *, seed: int) -> PreTrainedModel:
    """Return a network with seeded random weights: real work, meaningless masks.

    For timing and tests where no weights are at hand. Every parameter is drawn, those too that
    the package starts at zero, and so that signals keep their size from layer to layer: no part
    of the network is silent. The global random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build(config)
        with torch.no_grad():
            for module in network.modules():
                embeds = isinstance(module, torch.nn.Embedding)
                for name, parameter in module.named_parameters(recurse=False):
                    noise = torch.randn_like(parameter)
                    if parameter.ndim > 1:
                        fan_in = 1 if embeds else parameter[0].numel()
                        parameter.copy_(noise * fan_in**-0.5)
                    else:
                        parameter.copy_(0.1 * noise + (1.0 if name == "weight" else 0.0))
    network.train(False)
    return network


def read_network(config: PreTrainedConfig, path: Path, *, name: str) -> PreTrainedModel:
    """Return the network of a configuration with the weights of a safetensors file.

    The file may be that of the whole video model: what an image needs of it is taken, as the
    package's own rules say. Half precision becomes single precision.

    Raises:
        InputError: The file is no safetensors file, or lacks weights of this network.
    """
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise InputError(f"`weights` must be a safetensors file; {path} is not: {error}") from error
    _share_positions(state)
    model_class = MODEL_CLASSES[config.model_type]
    try:
        with _quiet():
            network, report = model_class.from_pretrained(
                None, config=config, state_dict=state, output_loading_info=True, dtype=torch.float32
            )
    except RuntimeError as error:  # shapes differ
        raise InputError(f"`weights` must be those of {name}; {path} is not") from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise InputError(
            f"`weights` must be those of {name}; {path} lacks {len(missing)} of its tensors, "
            f"among them {missing[0]}"
        )
    loaded: PreTrainedModel = network
    loaded.train(False)
    return loaded


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the package from printing a bar, and a table of what is missing: the error says that."""
    verbosity, shows_bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(_CRITICAL)
    _bars.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if shows_bar:
            _bars.enable_progress_bar()


def _share_positions(state: dict[str, torch.Tensor]) -> None:
    """Give both owners of the random positions their tensor, where a file holds it once.

    The prompt encoder and the image's positions use one matrix. A file that names only one owner
    would leave the other at random, and every mask would be wrong without an error.
    """
    ends = ("shared_image_embedding.positional_embedding", "shared_embedding.positional_embedding")
    for key in list(state):
        if key.endswith(ends[0]):
            state.setdefault(key.replace(ends[0], f"prompt_encoder.{ends[1]}"), state[key])
        elif key.endswith(f"prompt_encoder.{ends[1]}"):
            state.setdefault(key.replace(f"prompt_encoder.{ends[1]}", ends[0]), state[key])
