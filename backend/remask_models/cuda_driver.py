"""Whether NVIDIA's driver is on this machine, asked without torch."""

from __future__ import annotations

import ctypes

__all__ = ["has_cuda_driver"]


def has_cuda_driver() -> bool:
    """Return whether the driver's library can be opened; without it no CUDA device can be used."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True
