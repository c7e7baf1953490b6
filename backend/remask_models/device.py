"""The device that a model runs on, from the word a person writes."""

from __future__ import annotations

import torch

from remask_core.errors import InputError

__all__ = ["resolve_device"]


def resolve_device(device: str) -> torch.device:
    """Return the device for `cpu`, `cuda`, `cuda:1`, or `auto` (CUDA if there is any, else CPU).

    Raises:
        InputError: The word is another one, or this machine has no such device.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"`device` must be cpu, cuda, cuda:N or auto; got {device!r}") from error
    if found.type not in ("cpu", "cuda"):
        raise InputError(f"`device` must be cpu, cuda, cuda:N or auto; got {device!r}")
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"`device` is {device}, but torch {torch.__version__} sees "
            f"{torch.cuda.device_count()} CUDA devices here"
        )
    return found
