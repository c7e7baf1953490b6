"""Models by name: one table that says how each is loaded and what its version is.

Nothing here imports torch until a model that needs it is loaded, so that the web process can ask
for versions. Nothing here reads the environment.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

from remask_core.errors import InputError, NotFound
from remask_core.extras import check_modules, needs_extra
from remask_core.types import Segmenter
from remask_models.hub import HUB_FILES, locate_hub
from remask_models.weights import BUNDLED_CONVNET, CHECKPOINTS, digest, locate, stamp

__all__ = ["check", "load", "names", "version"]


@dataclass(frozen=True, slots=True)
class _Entry:
    """How one model is found and loaded.

    Attributes:
        weights: `(given, model_dir)` to the weights file; None for a model without weights.
        load: `(weights, device)` to the model; imports what it needs when called.
        version: Weights file to `Segmenter.version`; imports no torch.
        extra: The extra of the package that brings what the model needs; None for none.
        modules: Those of the extra's modules that it needs; None for all.
    """

    weights: Callable[[Path | None, Path | None], Path | None]
    load: Callable[[Path | None, str], Segmenter]
    version: Callable[[Path | None], str]
    extra: str | None = None
    modules: tuple[str, ...] | None = None


def _version_by_file(name: str, weights: Path | None) -> str:
    assert weights is not None
    return stamp(name, digest(weights))


def _no_weights(given: Path | None, model_dir: Path | None) -> Path | None:
    if given is not None:
        raise InputError(f"`weights` must be absent, the model grabcut has none; got {given}")
    return None


def _load_grabcut(weights: Path | None, device: str) -> Segmenter:
    # On the CPU whatever the device: OpenCV's GrabCut has no other home.
    from remask_models.grabcut import GrabCutSegmenter

    return GrabCutSegmenter()


def _version_grabcut(weights: Path | None) -> str:
    from remask_models.grabcut import version as grabcut_version

    return grabcut_version()


def _convnet_weights(given: Path | None, model_dir: Path | None) -> Path | None:
    return given or BUNDLED_CONVNET


def _load_convnet(weights: Path | None, device: str) -> Segmenter:
    from remask_models.convnet.loading import load_convnet

    return load_convnet(weights, device=device)


def _sam_weights(name: str, given: Path | None, model_dir: Path | None) -> Path | None:
    return locate(name, weights=given, model_dir=model_dir)


def _load_sam(name: str, weights: Path | None, device: str) -> Segmenter:
    with needs_extra("sam", f"the model {name}"):
        from remask_models.sam.segment_anything import load_sam

    assert weights is not None
    return load_sam(name, weights, device=device)


def _hub_weights(name: str, given: Path | None, model_dir: Path | None) -> Path | None:
    return locate_hub(name, weights=given, model_dir=model_dir)


def _load_family(name: str, weights: Path | None, device: str) -> Segmenter:
    check_modules("sam2", f"the model {name}", modules=_family_modules(name))
    with needs_extra("sam2", f"the model {name}"):
        from remask_models.sam.family import load_family

    assert weights is not None
    return load_family(name, weights, device=device)


def _family_modules(name: str) -> tuple[str, ...]:
    needed = ("transformers", "torch", "torchvision")
    return (*needed, "timm") if name == "edgetam" else needed


_TABLE: Mapping[str, _Entry] = MappingProxyType(
    {
        "convnet": _Entry(_convnet_weights, _load_convnet, partial(_version_by_file, "convnet")),
        "grabcut": _Entry(_no_weights, _load_grabcut, _version_grabcut),
        **{
            name: _Entry(
                partial(_sam_weights, name),
                partial(_load_sam, name),
                partial(_version_by_file, name),
                extra="sam",
            )
            for name in CHECKPOINTS
        },
        **{
            name: _Entry(
                partial(_hub_weights, name),
                partial(_load_family, name),
                partial(_version_by_file, name),
                extra="sam2",
                modules=_family_modules(name),
            )
            for name in HUB_FILES
        },
    }
)


def names() -> tuple[str, ...]:
    """Return the names of the models that ship with remask."""
    return tuple(_TABLE)


def load(
    name: str,
    *,
    weights: Path | None = None,
    device: str = "cpu",
    model_dir: Path | None = None,
) -> Segmenter:
    """Return the model `name`, ready to answer.

    Args:
        name: One of `names()`, or `package.module:factory` for a team's own Segmenter. The
            factory is called with `weights` and `device` as keywords if it has parameters of
            these names, else without.
        weights: Weights file; None takes the bundled one, or the published one from `model_dir`.
        device: `cpu`, `cuda`, `cuda:1`, or `auto` (the first CUDA device if there is one).
        model_dir: Folder of weights; None is the user's data folder.

    Raises:
        InputError: The name is unknown, the weights are not what they must be, or the device
            is not there.
        NotFound: The weights file, or a team's own module, does not exist.
    """
    if ":" in name:
        return _call_factory(name, weights=weights, device=device)
    entry = _entry(name)
    return entry.load(entry.weights(weights, model_dir), device)


def check(
    name: str,
    *,
    weights: Path | None = None,
    device: str = "cpu",
    model_dir: Path | None = None,
) -> str | None:
    """Check that `load` would find what it needs, without loading anything.

    A team's own model is imported, but not called.

    Args:
        name: As for `load`.
        weights: As for `load`.
        device: As for `load`, or several with commas between; whether a GPU is there is not asked.
        model_dir: As for `load`.

    Returns:
        The `Segmenter.version` that `load` would give; None for a team's own model.

    Raises:
        InputError: The name is unknown, or the weights file is not what it must be.
        MissingExtra: The model, or the device, needs a package that is not installed.
        NotFound: The weights file, or a team's own module, does not exist.
    """
    if ":" in name:
        _factory(name)
        return None
    entry = _entry(name)
    if entry.extra is not None:
        check_modules(entry.extra, f"the model {name}", modules=entry.modules)
    if "cuda" in device:
        check_modules("train", f"the device {device}")
    return version(name, weights=weights, model_dir=model_dir)


def version(name: str, *, weights: Path | None = None, model_dir: Path | None = None) -> str:
    """Return the `Segmenter.version` that `load` would give, without importing torch.

    A team's own model is asked: the factory's string attribute `version` if it has one (a class
    may simply declare it), else the factory is called and the model's own `version` is taken.

    Raises:
        InputError: The name is unknown, or the weights are not what they must be.
        NotFound: The weights file, or a team's own module, does not exist.
    """
    if ":" in name:
        declared = getattr(_factory(name), "version", None)
        if isinstance(declared, str):
            return declared
        return _call_factory(name, weights=weights, device="cpu").version
    entry = _entry(name)
    return entry.version(entry.weights(weights, model_dir))


def _entry(name: str) -> _Entry:
    try:
        return _TABLE[name]
    except KeyError:
        raise InputError(
            f"`model` must be one of {', '.join(_TABLE)}, or package.module:factory; got {name!r}"
        ) from None


def _factory(name: str) -> Callable[..., Any]:
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise InputError(f"`model` must be like package.module:factory; got {name!r}")
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        # A module that lacks one of its own imports is a fault of that module: let it rise.
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise NotFound(
            f"`model` names the module {module_name}, which is not importable"
        ) from error
    factory = getattr(module, attribute, None)
    if factory is None:
        raise NotFound(f"`model` names {attribute!r}, which {module_name} does not have")
    if not callable(factory):
        raise InputError(f"`model` must name something callable; {name} is not")
    return factory  # type: ignore[no-any-return]


def _call_factory(name: str, *, weights: Path | None, device: str) -> Segmenter:
    factory = _factory(name)
    accepted = inspect.signature(factory).parameters
    if weights is not None and "weights" not in accepted:
        raise InputError(f"`weights` must be absent, {name} takes none; got {weights}")
    offered: dict[str, object] = {"weights": weights, "device": device}
    segmenter: Segmenter = factory(**{key: offered[key] for key in offered if key in accepted})
    return segmenter
