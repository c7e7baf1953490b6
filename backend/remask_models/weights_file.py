"""Weights files of our networks: arrays and a header of facts in one npz; no pickle, no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from remask_core.errors import InputError, NotFound

__all__ = ["read_header", "read_weights", "write_weights"]

_HEADER = "header.json"
_FORMAT = "remask-{net}-1"


def write_weights(
    path: Path,
    arrays: Mapping[str, npt.NDArray[Any]],
    facts: Mapping[str, Any],
    *,
    net: str = "convnet",
) -> None:
    """Write a weights file; floats are stored in half precision.

    Args:
        path: Where; replaced in one go if it exists.
        arrays: Tensors by their name in the network.
        facts: How they came about: data, steps, seed, results. Must be JSON.
        net: Name of the network they are of.
    """
    header = json.dumps({**facts, "format": _FORMAT.format(net=net)}, sort_keys=True).encode()
    stored = {
        name: array.astype(np.float16) if array.dtype == np.float32 else array
        for name, array in arrays.items()
    }
    partial = path.with_name(path.name + ".part")
    with partial.open("wb") as file:
        np.savez(file, **{_HEADER: np.frombuffer(header, np.uint8)}, **stored)  # type: ignore[arg-type]
    partial.replace(path)


def read_header(path: Path, *, net: str = "convnet") -> dict[str, Any]:
    """Return the facts that a weights file of `net` tells of itself.

    Raises:
        NotFound: There is no such file.
        InputError: It is no weights file of this network.
    """
    return read_weights(path, only_header=True, net=net)[0]


def read_weights(
    path: Path, *, only_header: bool = False, net: str = "convnet"
) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Return the facts and the arrays of a weights file of `net`, floats as float32.

    Raises:
        NotFound: There is no such file.
        InputError: It is no weights file of this network.
    """
    if not path.is_file():
        raise NotFound(f"`weights` must be an existing file; there is none at {path}")
    try:
        with np.load(path, allow_pickle=False) as stored:
            header = json.loads(stored[_HEADER].tobytes())
            names = [] if only_header else [name for name in stored.files if name != _HEADER]
            arrays = {name: stored[name] for name in names}
    except (BadZipFile, KeyError, ValueError, EOFError) as error:
        raise InputError(f"`weights` must be a weights file of {net}; {path} is not") from error
    wanted = _FORMAT.format(net=net)
    if header.get("format") != wanted:
        raise InputError(
            f"`weights` must have the format {wanted}; {path} has {header.get('format')!r}"
        )
    return header, {
        name: array.astype(np.float32) if array.dtype == np.float16 else array
        for name, array in arrays.items()
    }
