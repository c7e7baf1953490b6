"""The device that a model runs on: `cpu`, `cuda`, `cuda:1` or `auto`."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

from remask_core.errors import InputError
from remask_core.extras import needs_extra

if TYPE_CHECKING:
    import torch

__all__ = ["has_cuda_driver", "resolve_device"]


def resolve_device(device: str) -> torch.device:
    """Return the device for `cpu`, `cuda`, `cuda:1`, or `auto` (CUDA if there is any, else CPU).

    Raises:
        InputError: The word is another one, or this machine has no such device.
        MissingExtra: torch is not installed.
    """
    with needs_extra("train", f"the device {device}"):
        import torch

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


def has_cuda_driver() -> bool:
    """Whether the library of NVIDIA's driver can be opened; CUDA does not work without it."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True
