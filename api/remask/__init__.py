"""The public face of remask: `import remask`, documented in docs/api.md.

Nothing is loaded before it is used, so importing this package costs milliseconds and brings in no
torch, Flask or SDK. A name is looked up in `_MODULE_OF` the first time that somebody asks for it,
a part such as `remask.noise` is imported when it is first named. What is not in `__all__` here or
in a part is private and may change without notice.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from remask import campaigns, errors, evaluation, exports, noise, ranking, simulation
    from remask_core.overlap import boundary_f, boundary_iou, iou
    from remask_core.rle_ls import decode_ls_rle, encode_ls_rle
    from remask_core.types import Box, Candidate, Click, Embedding, Prompt, Segmenter
    from remask_masks.automatic.generate import AutomaticSettings, automatic_masks

    __version__: str

__all__ = [
    "AutomaticSettings",
    "Box",
    "Candidate",
    "Click",
    "Embedding",
    "Prompt",
    "Segmenter",
    "automatic_masks",
    "boundary_f",
    "boundary_iou",
    "campaigns",
    "decode_ls_rle",
    "encode_ls_rle",
    "errors",
    "evaluation",
    "exports",
    "iou",
    "load_model",
    "noise",
    "ranking",
    "simulation",
]

_MODULE_OF = {
    "AutomaticSettings": "remask_masks.automatic.generate",
    "Box": "remask_core.types",
    "Candidate": "remask_core.types",
    "Click": "remask_core.types",
    "Embedding": "remask_core.types",
    "Prompt": "remask_core.types",
    "Segmenter": "remask_core.types",
    "automatic_masks": "remask_masks.automatic.generate",
    "boundary_f": "remask_core.overlap",
    "boundary_iou": "remask_core.overlap",
    "decode_ls_rle": "remask_core.rle_ls",
    "encode_ls_rle": "remask_core.rle_ls",
    "iou": "remask_core.overlap",
}
_PARTS = {"campaigns", "errors", "evaluation", "exports", "noise", "ranking", "simulation"}


def load_model(
    name: str = "convnet", *, weights: str | Path | None = None, device: str = "cpu"
) -> Segmenter:
    """Return the model `name`, ready to answer prompts.

    Args:
        name: `convnet` (bundled), `grabcut` (no weights), `sam_vit_b`, `sam_vit_l`, `sam_vit_h` or
            another name of `remask models list`; or `package.module:factory` for your own.
        weights: Weights file. None takes the bundled weights, or those that `remask models pull`
            has stored.
        device: `cpu`, `cuda`, `cuda:1`, or `auto` (the first CUDA device if there is one).

    Raises:
        InputError: The name is unknown, the weights belong to another model, or the device is
            missing.
        NotFound: The weights file, or the module of your own model, does not exist.
    """
    from pathlib import Path

    from remask_models.registry import load

    return load(name, weights=None if weights is None else Path(weights), device=device)


def __getattr__(name: str) -> Any:
    """Return a public name or part, imported on first use."""
    if name in _MODULE_OF:
        value = getattr(import_module(_MODULE_OF[name]), name)
    elif name in _PARTS:
        return import_module(f"remask.{name}")
    elif name == "__version__":
        from importlib import metadata

        value = metadata.version("remask")
    else:
        raise AttributeError(f"module 'remask' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return [*__all__, "__version__"]
