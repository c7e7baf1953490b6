"""Pauses before the blocks of an image encoder.

The worker answers clicks in the midst of an encoding: it calls `Segmenter.embed` with a function
that is called before every block. The blocks have a hook for it, and the function of the encoding
that runs now is found through a context variable, because a pause may itself embed another image
on the same network, whose pauses are its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch

from remask_core.types import Pause, no_pause

__all__ = ["encoder_blocks", "pause_before", "pausing"]

# A module's name that ends in a numbered block and has no block before it.
_BLOCK = re.compile(r"(?:(?!blocks\.|layers\.)\w+\.)*(?:blocks|layers)\.\d+")
_CUDA: Any = torch.cuda  # its events have no types


@dataclass(slots=True)
class _Run:
    """One run of the encoder.

    Attributes:
        pause: Called before each block.
        reached: Passed by a GPU when it begins the block before the coming one.
    """

    pause: Pause
    reached: Any = None

    def before_block(self, device: torch.device) -> None:
        """Wait until a GPU is only one block behind, then pause.

        Launches run ahead of the device, and the pause would come long before the work that it
        is to interrupt. Waiting for the last block to end would leave the device without work
        before each block; so one block is always under way.
        """
        if device.type == "cuda":
            begins = _CUDA.Event()
            begins.record(torch.cuda.current_stream(device))
            if self.reached is not None:
                self.reached.synchronize()
            self.reached = begins
        self.pause()


_RUN: ContextVar[_Run | None] = ContextVar("_RUN", default=None)


def pause_before(blocks: Iterable[torch.nn.Module], device: torch.device) -> None:
    """Hook the pause of the encoding that runs before each of `blocks`, which are on `device`."""

    def before_block(module: torch.nn.Module, inputs: Any) -> None:
        run = _RUN.get()
        if run is not None and run.pause is not no_pause:
            run.before_block(device)

    for block in blocks:
        block.register_forward_pre_hook(before_block)


@contextmanager
def pausing(pause: Pause) -> Iterator[None]:
    """Let the encoding in this block call `pause` before each of the network's blocks."""
    token = _RUN.set(_Run(pause))
    try:
        yield
    finally:
        _RUN.reset(token)


def encoder_blocks(encoder: torch.nn.Module) -> list[torch.nn.Module]:
    """Return an image encoder's blocks in order: the numbered children of `blocks` or `layers`.

    Blocks inside blocks are not returned.
    """
    return [module for name, module in encoder.named_modules() if _BLOCK.fullmatch(name)]
